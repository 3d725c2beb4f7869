"""Jupyter notebooks: prose and code in order.

Outputs are left out: they are made by the code, hold images and timings, and change with
every run, so a notebook that was merely run again would be embedded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from schemas.document import Element, Metadata, ParsedDocument
from schemas.errors import ParseFailed
from tasks.parsing.data import load_json
from tasks.parsing.encodings import decode
from tasks.parsing.facts import metadata_from
from tasks.parsing.markdown import parse as parse_markdown

_STRING = re.compile(r'^\s*"((?:[^"\\\n]|\\.)*)\\n",?\s*$', re.M)
_MIME = "application/x-ipynb+json"


def parse(data: bytes) -> ParsedDocument:
    """Cells of Markdown by their blocks, cells of code whole, raw ones as text.

    Raises:
        ParseFailed: it is no JSON, or no notebook.
    """
    notebook = load_json(decode(data))
    cells = _cells(notebook)
    if cells is None:
        raise ParseFailed(
            "The JSON has no cells of a notebook.", advice="Check what wrote it, or exclude it."
        )
    own = Metadata()
    elements: list[Element] = []
    for cell in cells:
        if cell.get("cell_type") == "markdown":
            parsed = parse_markdown(_source(cell).encode("utf-8", "replace"))
            own = own if own != Metadata() else parsed.metadata
            elements += parsed.elements
        else:
            elements += _other(cell)
    return ParsedDocument("notebook", _MIME, tuple(elements), _metadata(notebook, own))


def parse_plain(data: bytes) -> ParsedDocument:
    """Lines of a notebook that is cut or broken: the strings that stand on lines of their own."""
    text = decode(data)
    found = [load_json(f'"{match[1]}"') for match in _STRING.finditer(text)]
    return ParsedDocument("notebook", _MIME, (Element("\n".join(found) or text),))


def _cells(notebook: Any) -> list[dict[str, Any]] | None:
    if not isinstance(notebook, dict):
        return None
    sheets = notebook.get("worksheets")  # format 3
    holders = [notebook, *(sheets if isinstance(sheets, list) else [])]
    lists = [h["cells"] for h in holders if isinstance(h, dict) and isinstance(h.get("cells"), list)]
    return [cell for cells in lists for cell in cells if isinstance(cell, dict)] if lists else None


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))


def _other(cell: dict[str, Any]) -> Iterator[Element]:
    text = _source(cell).strip("\n")
    if not text.strip():
        return
    kind = cell.get("cell_type")
    if kind == "heading":  # format 3
        level = str(cell.get("level", 1))
        yield Element(text, "heading", level=int(level) if level in "123456" else 1)
    else:
        yield Element(text, "code" if kind == "code" else "text")


def _metadata(notebook: dict[str, Any], own: Metadata) -> Metadata:
    """The notebook's facts, else those of its first cell with front matter; the kernel's language."""
    stated = notebook.get("metadata")
    facts = {key.lower(): value for key, value in stated.items()} if isinstance(stated, dict) else {}
    found = metadata_from({key: value for key, value in facts.items() if key != "language"})
    kernel = [facts.get(key) for key in ("language_info", "kernelspec")]
    names = [info.get(key) for info in kernel if isinstance(info, dict) for key in ("name", "language")]
    language = next((name for name in names if isinstance(name, str)), "")
    return replace(
        found,
        title=found.title or own.title,
        author=found.author or own.author,
        authored_at=found.authored_at or own.authored_at,
        tags=found.tags or own.tags,
        extra={**own.extra, **({"code_language": language} if language else {})},
    )
