"""PPTX: slides in their order, each with its title, text, tables, charts and notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument
from tasks.parsing.drawing import A, Drawings, R
from tasks.parsing.package import Package, damaged, open_package
from tasks.parsing.properties import core_metadata
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

MIME = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
NOTES = "Notes: "
MAX_LEVELS = 9

_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TITLES = ("title", "ctrTitle")
_REPEATED = ("dt", "ftr", "hdr", "sldNum")
_BULLETED = (None, "obj", "body")
_SHAPES = (f"{_P}sp", f"{_P}graphicFrame")


def parse(data: bytes) -> ParsedDocument:
    """Elements of all slides; the page is the slide's number.

    Hidden slides are read: whoever has the file can show them. Footers, dates and slide
    numbers are not: they stand on every slide.
    """
    package = open_package(data)
    elements: list[Element] = []
    for page, name in enumerate(_slides(package), 1):
        elements += _slide(package, name, page)
    metadata = core_metadata(package)
    return ParsedDocument("pptx", MIME, tuple(elements), metadata, problems=tuple(package.problems))


def _slides(package: Package) -> list[str]:
    """Names of the slides' parts in the order in which they are shown, each once."""
    named = [link.target for link in package.relations("").values() if link.kind == "officeDocument"]
    main = next((name for name in named if name in package), "ppt/presentation.xml")
    links = package.relations(main)
    names = [
        links[link].target
        for node in package.xml(main).iter(f"{_P}sldId")
        if (link := node.get(f"{R}id") or "") in links
    ]
    if not names and any(link.kind == "slide" for link in links.values()):
        raise damaged("the order of its slides is missing")
    return list(dict.fromkeys(names))


def _slide(package: Package, name: str, page: int) -> Iterator[Element]:
    root = package.optional_xml(name, f"slide {page}")
    links = package.relations(name)
    drawings = Drawings(package, links)
    shapes = list(_shapes(root))
    # The title is read first wherever it stands in the slide's drawing order.
    shapes.sort(key=lambda shape: _placeholder(shape) not in _TITLES)
    for shape in shapes:
        if shape.tag == f"{_P}sp":
            yield from _text_shape(shape, page)
        else:
            for table in shape.iter(f"{A}tbl"):
                yield from table_elements(_rows(table), page)
            yield from drawings.elements(shape, page)
    notes = next((link.target for link in links.values() if link.kind == "notesSlide"), "")
    yield from _notes(package.optional_xml(notes, f"notes of slide {page}"), page)


def _shapes(root: _Element) -> Iterator[_Element]:
    """Shapes of a slide in the order in which a screen reader reads them, groups opened."""
    for copy in list(root.iter(f"{_MC}Fallback")):  # what old readers show in place of the choice above
        copy.clear()
    yield from root.iter(*_SHAPES)


def _text_shape(shape: _Element, page: int) -> Iterator[Element]:
    kind = _placeholder(shape)
    body = shape.find(f"{_P}txBody")
    if body is None or kind in _REPEATED:
        return
    if kind in _TITLES:
        text = " ".join(" ".join(_text(p) for p in body.iterchildren(f"{A}p")).split())
        if text:
            yield Element(text, "heading", level=1 if page == 1 else 2, page=page)
        return
    yield from _paragraphs(body, page, has_bullets=kind in _BULLETED)


def _paragraphs(body: _Element, page: int, *, has_bullets: bool) -> Iterator[Element]:
    """Text and list items of a shape; `has_bullets` is what its layout does where it says nothing."""
    style = body.find(f"{A}lstStyle")
    counts = [0] * MAX_LEVELS
    for paragraph in body.iterchildren(f"{A}p"):
        text = _text(paragraph).strip()
        if not text:
            continue
        level = _level(paragraph)
        bullet = _bullet(paragraph, style, level)
        counts[level + 1 :] = [0] * (MAX_LEVELS - level - 1)
        counts[level] = counts[level] + 1 if bullet == "buAutoNum" else 0
        if bullet == "buNone" or not (bullet or has_bullets):
            yield Element(text, page=page)
        else:
            marker = f"{counts[level]}. " if bullet == "buAutoNum" else "- "
            yield Element(marker + text, "list_item", page=page)


def _bullet(paragraph: _Element, style: _Element | None, level: int) -> str:
    """Name of the element that says which bullet a paragraph has, "" where neither place says it."""
    places = [paragraph.find(f"{A}pPr")]
    if style is not None:
        places.append(style.find(f"{A}lvl{level + 1}pPr"))
    for place in places:
        for name in ("buNone", "buChar", "buAutoNum", "buBlip") if place is not None else ():
            if place is not None and place.find(A + name) is not None:
                return name
    return ""


def _level(paragraph: _Element) -> int:
    properties = paragraph.find(f"{A}pPr")
    level = "" if properties is None else properties.get("lvl") or ""
    return min(int(level), MAX_LEVELS - 1) if level.isdecimal() and len(level) < 3 else 0


def _placeholder(shape: _Element) -> str | None:
    """Type of a placeholder, None for one of content, "" for any other shape."""
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return "" if found is None else found.get("type")


def _rows(table: _Element) -> list[list[str]]:
    """Cell texts; what a merged cell covers is there as empty cells."""
    return [
        [" ".join(_text(p) for p in cell.iterfind(f"{A}txBody/{A}p")) for cell in row.iterchildren(f"{A}tc")]
        for row in table.iterchildren(f"{A}tr")
    ]


def _text(paragraph: _Element) -> str:
    parts: list[str] = []
    for node in paragraph.iter(f"{A}t", f"{A}br", f"{A}tab"):
        if node.tag != f"{A}t":
            parts.append("\n")
        elif (above := node.getparent()) is None or above.get("type") != "slidenum":
            parts.append(node.text or "")
    return "".join(parts).replace("\x0b", "\n")


def _notes(root: _Element, page: int) -> Iterator[Element]:
    for shape in root.iter(f"{_P}sp"):
        body = shape.find(f"{_P}txBody")
        if body is not None and _placeholder(shape) == "body":
            lines = [_text(p).strip() for p in body.iterchildren(f"{A}p")]
            text = "\n".join(line for line in lines if line)
            yield from (Element(NOTES + text, page=page),) if text else ()
