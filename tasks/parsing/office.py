"""DOCX, read from its XML: paragraphs, lists and tables in reading order.

python-docx and unstructured leave out what stands in content controls and text boxes;
both are common in Korean forms.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element, Metadata, ParsedDocument
from schemas.errors import ParseFailed, UnsupportedFormat
from tasks.parsing.dates import parse_date
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_PART_BYTES = 512 * 2**20
MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TEXT_TAGS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_SKIPPED = frozenset((f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", f"{_W}delText", f"{_MC}Fallback"))
_HEADING_NAME = re.compile(r"(?:heading|제목|개요)\s*([1-9])", re.I)
_OTHER_OFFICE = {"xl/": "XLSX spreadsheet", "ppt/": "PPTX presentation"}


def parse(data: bytes) -> ParsedDocument:
    """Headings by style, list items, tables, and the package's core properties."""
    with _open(data) as package:
        document = _xml(package, "word/document.xml")
        styles = _Styles(_xml(package, "word/styles.xml", required=False))
        metadata = _metadata(_xml(package, "docProps/core.xml", required=False))
    body = document.find(f"{_W}body")
    elements = () if body is None else tuple(_blocks(body, styles))
    return ParsedDocument("docx", MIME, elements, metadata)


def _open(data: bytes) -> zipfile.ZipFile:
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as exc:
        raise _damaged() from exc
    names = package.namelist()
    if "word/document.xml" not in names:
        kinds = (kind for name in names for folder, kind in _OTHER_OFFICE.items() if
                 name.startswith(folder))  # fmt: skip
        kind = next(kinds, "zip archive")
        raise UnsupportedFormat(
            f"No parser takes this content: {kind}.",
            advice="Save it as PDF, DOCX, HTML or text, or exclude it.",
            format=kind,
        )
    return package


def _xml(package: zipfile.ZipFile, name: str, *, required: bool = True) -> _Element:
    """A part's root; an empty element for one that may be missing and is."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    try:
        if package.getinfo(name).file_size > MAX_PART_BYTES:
            raise ParseFailed(
                f"{name} unpacks to more than {MAX_PART_BYTES >> 20} MB.",
                advice="Split the document, or exclude it.",
            )
        data = package.read(name)
        return etree.fromstring(data.replace(_STRICT.encode(), _W[1:-1].encode()), parser)
    except KeyError:
        return etree.Element("missing")
    except (zipfile.BadZipFile, etree.XMLSyntaxError, OSError, EOFError, ValueError) as exc:
        if not required:
            return etree.Element("damaged")
        raise _damaged() from exc
    except Exception as exc:  # zlib.error, NotImplementedError: by compression method
        raise _damaged() from exc


class _Styles:
    """Heading level and list membership by style, inherited from the style it is based on."""

    def __init__(self, root: _Element) -> None:
        self._styles = {style.get(f"{_W}styleId"): style for style in root.iter(f"{_W}style")}

    def level(self, paragraph: _Element) -> int:
        """1 to 9 for a heading, 0 for text."""
        if (own := _outline_level(paragraph)) is not None:
            return own
        for style in self._chain(paragraph):
            name = _value(style, "name") or ""
            if match := _HEADING_NAME.match(name):
                return int(match[1])
            if name.lower() in ("title", "제목"):
                return 1
            if (level := _outline_level(style)) is not None:
                return level
        return 0

    def is_list(self, paragraph: _Element) -> bool:
        """Whether the paragraph has a number or bullet."""
        chain = [paragraph, *self._chain(paragraph)]
        for node in chain:
            number = node.find(f"{_W}pPr/{_W}numPr/{_W}numId")
            if number is not None:
                return str(number.get(f"{_W}val")) != "0"
        return False

    def _chain(self, paragraph: _Element) -> Iterator[_Element]:
        name, seen = _value(paragraph, "pPr/pStyle"), set[str]()
        while name and name not in seen and name in self._styles:
            seen.add(name)
            yield self._styles[name]
            name = _value(self._styles[name], "basedOn")


def _outline_level(node: _Element) -> int | None:
    value = _value(node, "pPr/outlineLvl")
    if value is None or not value.isdecimal():
        return None
    return int(value) + 1 if int(value) < 9 else 0


def _value(node: _Element, path: str) -> str | None:
    found = node.find("/".join(_W + step for step in path.split("/")))
    return None if found is None else found.get(f"{_W}val")


def _blocks(parent: _Element, styles: _Styles) -> Iterator[Element]:
    """Elements of a body, content control or text box, in order."""
    for node in parent.iterchildren(tag=None):
        if node.tag == f"{_W}p":
            yield from _paragraph(node, styles)
        elif node.tag == f"{_W}tbl":
            yield from _table(node, styles)
        elif isinstance(node.tag, str) and node.tag not in _SKIPPED:
            yield from _blocks(node, styles)  # content controls, insertions, custom XML


def _paragraph(node: _Element, styles: _Styles) -> Iterator[Element]:
    text = _text(node).strip()
    if text:
        level = styles.level(node)
        if level:
            yield Element(" ".join(text.split()), "heading", level=level)
        elif styles.is_list(node):
            yield Element("- " + text, "list_item")
        else:
            yield Element(text)
    for box in _text_boxes(node):
        yield from _blocks(box, styles)


def _table(node: _Element, styles: _Styles) -> Iterator[Element]:
    """Rows of a table; a table of one cell is a frame around its blocks."""
    rows = [list(row.iter(f"{_W}tc")) for row in node.iterchildren(f"{_W}tr")]
    cells = [cell for row in rows for cell in row]
    if len(cells) == 1:
        yield from _blocks(cells[0], styles)
    else:
        yield from table_elements([_row(row) for row in node.iter(f"{_W}tr") if _is_in(row, node)])


def _is_in(row: _Element, table: _Element) -> bool:
    return next(row.iterancestors(f"{_W}tbl"), None) is table


def _row(row: _Element) -> list[str]:
    cells: list[str] = []
    for cell in row.iter(f"{_W}tc"):
        if next(cell.iterancestors(f"{_W}tr"), None) is not row:
            continue
        texts = (_text(p) for p in cell.iter(f"{_W}p"))
        cells.append(" ".join(text for text in texts if text.strip()))
        span = _value(cell, "tcPr/gridSpan") or "1"
        cells += [""] * (min(int(span), 64) - 1 if span.isdecimal() else 0)
    return cells


def _text(paragraph: _Element) -> str:
    """The paragraph's own text, without deleted text, field codes and text boxes."""
    from lxml import etree

    parts: list[str] = []
    walk = etree.iterwalk(paragraph, events=("start",))
    for _, node in walk:
        if node.tag in _SKIPPED or node.tag == f"{_W}txbxContent":
            walk.skip_subtree()
        elif node.tag == f"{_W}t":
            parts.append(node.text or "")
        elif node.tag in _TEXT_TAGS:
            parts.append(_TEXT_TAGS[node.tag])
    return "".join(parts)


def _text_boxes(paragraph: _Element) -> Iterator[_Element]:
    """Text boxes anchored here, not those inside others, each once."""
    for box in paragraph.iter(f"{_W}txbxContent"):
        above = {a.tag for a in box.iterancestors()}
        if f"{_MC}Fallback" not in above and f"{_W}txbxContent" not in above:
            yield box


def _metadata(core: _Element) -> Metadata:
    facts = {
        node.tag.rpartition("}")[2]: (node.text or "").strip()
        for node in core.iterchildren()
        if isinstance(node.tag, str)
    }
    tags = [word.strip() for word in re.split("[,;]", facts.get("keywords", ""))]
    extra = {key: facts[key] for key in ("subject", "description", "category") if facts.get(key)}
    if facts.get("contentStatus"):
        extra["status"] = facts["contentStatus"]
    return Metadata(
        title=facts.get("title") or None,
        author=facts.get("creator") or None,
        authored_at=parse_date(facts.get("created") or facts.get("modified") or ""),
        language=facts.get("language", "").lower().split("-")[0] or None,
        tags=tuple(tag for tag in tags if tag),
        extra=extra,
    )


def _damaged() -> ParseFailed:
    return ParseFailed(
        "The DOCX package is damaged or cut off.",
        advice="Fetch the file again, or open and save it in a word processor.",
    )
