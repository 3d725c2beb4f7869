"""reStructuredText by docutils: nothing is inserted, and what only Sphinx knows keeps its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from schemas.document import Element, ElementKind, Metadata, ParsedDocument
from schemas.errors import ParseFailed
from tasks.parsing.encodings import decode
from tasks.parsing.facts import metadata_from
from tasks.parsing.tables import table_elements
from tasks.parsing.text import split_blank_lines

if TYPE_CHECKING:
    from docutils import nodes

MAX_CHARS = 1_000_000
"""docutils reads some 300 kB a second; longer files are data that only look like prose."""

MAX_LINE_CHARS = 10_000
"""docutils' own limit, behind which it returns an empty document."""

MAX_PARAGRAPH_CHARS = 30_000
"""Inline markup costs docutils quadratic time in its paragraph: 9 kB of backquotes take a second."""

MAX_COPIES = 10_000
_SUBSTITUTION = re.compile(r"^[ \t]*\.\. \|[^|\n]+\| replace::(.*(?:\n[ \t]+\S.*)*)", re.M)

MAX_LEVEL = 6
MAX_SPAN = 100
_ERROR = 3
_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "halt_level": 5,
    "report_level": 5,
    "line_length_limit": MAX_LINE_CHARS,
    "syntax_highlight": "none",
    "smart_quotes": False,
    "warning_stream": False,
    "input_encoding": "unicode",
}
_SKIPPED = frozenset(
    "comment substitution_definition target system_message raw pending meta docinfo decoration".split()
)
_BLOCKS = frozenset("paragraph term attribution rubric caption subtitle title line_block".split())


def parse(data: bytes) -> ParsedDocument:
    """Headings, paragraphs, list items, code and tables; the field list at the start as metadata.

    Raises:
        ParseFailed: the file is too long, or has a line that is.
    """
    source = decode(data)
    longest = max(map(len, split_blank_lines(source)), default=0)
    if len(source) > MAX_CHARS or longest > MAX_PARAGRAPH_CHARS or _longest_line(source) > MAX_LINE_CHARS:
        raise ParseFailed("The file is too long for docutils.", advice="Split it into several files.")
    if _copies(source) > MAX_COPIES:
        raise ParseFailed("The file's substitutions multiply.", advice="Exclude it.")
    document = _read(source)
    elements = tuple(_Walk(document).elements())
    return ParsedDocument("rst", "text/x-rst", elements, _metadata(document))


def parse_plain(data: bytes) -> ParsedDocument:
    """The file's paragraphs as they are written."""
    return ParsedDocument("rst", "text/plain", tuple(map(Element, split_blank_lines(decode(data)))))


def _copies(source: str) -> int:
    """How often substitutions inside substitutions may repeat a text, at most."""
    copies = 1
    for definition in _SUBSTITUTION.finditer(source):
        copies *= max(1, definition[1].count("|") // 2)
        if copies > MAX_COPIES:
            break
    return copies


def _longest_line(source: str) -> int:
    return max(map(len, source.split("\n")))


def _read(source: str) -> nodes.document:
    from docutils.core import publish_doctree

    from tasks.parsing.rst_names import register_names

    register_names(source)
    document = publish_doctree(source, settings_overrides=_SETTINGS)
    _drop_messages(document)
    return document


def _drop_messages(document: nodes.document) -> None:
    """Take docutils' own words out, wherever they stand; what it could not read stays as it is written."""
    from docutils import nodes

    for message in list(document.findall(nodes.system_message)):
        lost = [child for child in message.children if isinstance(child, nodes.literal_block)]
        # below an error the same lines have been read as well
        message.parent.replace(message, lost if message.get("level", 0) >= _ERROR else [])


class _Walk:
    """One pass over the tree of docutils, without recursion."""

    def __init__(self, document: nodes.document) -> None:
        self._document = document
        # A title that docutils took out of its section, and its subtitle, stand above all sections.
        self._depth = sum(type(child).__name__ in ("title", "subtitle") for child in document.children)
        self._titles = 0
        self._items: list[str] = []

    def elements(self) -> Iterator[Element]:
        stack: list[tuple[Any, bool]] = [(child, False) for child in reversed(self._document.children)]
        while stack:
            node, done = stack.pop()
            name = type(node).__name__
            if done:
                self._leave(name)
            elif name not in _SKIPPED:
                whole = self._whole(node, name)
                if whole is not None:
                    yield from whole
                    continue
                self._enter(node, name)
                stack.append((node, True))
                stack += [(child, False) for child in reversed(node.children)]

    def _enter(self, node: Any, name: str) -> None:
        if name == "section":
            self._depth += 1
        elif name == "list_item":
            self._items.append(_marker(node))

    def _leave(self, name: str) -> None:
        if name == "section":
            self._depth -= 1
        elif name == "list_item" and self._items:
            self._items.pop()

    def _whole(self, node: Any, name: str) -> tuple[Element, ...] | None:
        """The elements of a node that is taken whole, None where its children are looked at."""
        if name in ("title", "subtitle") and type(node.parent).__name__ in ("section", "document"):
            return self._heading(node)
        if name in ("literal_block", "doctest_block", "math_block"):
            return _text(node.astext().strip("\n"), "code")
        if name == "table":
            titles = [_flat(child) for child in node.children if type(child).__name__ == "title"]
            return (*_text(" ".join(titles)), *table_elements(_rows(node)))
        if name == "image":
            return _text(str(node.get("alt", "")))
        if name == "field":
            return _text(": ".join(_flat(child) for child in node.children))
        if name in ("footnote", "citation", "option_list_item"):
            return _text(" ".join(_flat(child) for child in node.children))
        if name in _BLOCKS:
            return self._block(node, name)
        if not hasattr(node, "children") or not node.children:
            return _text(node.astext()) if name == "Text" else ()
        return None

    def _heading(self, node: Any) -> tuple[Element, ...]:
        if type(node.parent).__name__ == "document":
            self._titles += 1
            return (Element(_flat(node), "heading", level=self._titles),)
        return (Element(_flat(node), "heading", level=min(self._depth, MAX_LEVEL)),)

    def _block(self, node: Any, name: str) -> tuple[Element, ...]:
        lines = map(_flat, node.children) if name == "line_block" else [_flat(node)]
        text = "\n".join(lines)
        if not text.strip() or not self._items:
            return _text(text)
        marker, self._items[-1] = self._items[-1], ""
        return (Element(marker + text, "list_item"),)


def _text(text: str, kind: ElementKind = "text") -> tuple[Element, ...]:
    return (Element(text, kind),) if text.strip() else ()


def _flat(node: Any) -> str:
    return " ".join(node.astext().split())


def _marker(item: Any) -> str:
    parent = item.parent
    if type(parent).__name__ != "enumerated_list":
        return "- "
    return f"{int(parent.get('start', 1)) + parent.index(item)}. "


def _rows(table: Any) -> list[list[str]]:
    """Cell texts; a cell that spans rows or columns stands in each of them."""
    from docutils import nodes

    rows: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for row in table.findall(nodes.row):
        cells: list[str] = []
        for entry in row.children:
            _fill(cells, hanging)
            text, down = _flat(entry), min(int(entry.get("morerows", 0)), MAX_SPAN)
            for _ in range(1 + min(int(entry.get("morecols", 0)), MAX_SPAN)):
                if down:
                    hanging[len(cells)] = (down, text)
                cells.append(text)
        _fill(cells, hanging)
        rows.append(cells)
    return rows


def _fill(cells: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    while hanging.get(len(cells), (0, ""))[0] > 0:
        left, text = hanging[len(cells)]
        hanging[len(cells)] = (left - 1, text)
        cells.append(text)


def _metadata(document: nodes.document) -> Metadata:
    from docutils import nodes

    facts: dict[str, object] = {"title": document.get("title")}
    for info in document.findall(nodes.docinfo):
        _add(facts, info.children)
        break
    for meta in document.findall(nodes.meta):
        facts.setdefault(str(meta.get("name", "")).lower(), str(meta.get("content", "")))
    return metadata_from(facts, extra=True)


def _add(facts: dict[str, object], fields: Sequence[Any]) -> None:
    for field in fields:
        name = type(field).__name__
        if name == "field" and len(field.children) == 2:
            facts[field.children[0].astext().strip().lower()] = _flat(field.children[1])
        elif name == "authors":
            facts["author"] = [author.astext() for author in field.children]
        else:
            facts[name] = _flat(field)
