"""OpenDocument: text (ODT), presentations (ODP) and spreadsheets (ODS), in a package or flat (FODT...)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import ParseFailed
from tasks.parsing.odf_tables import Budget, rows_of
from tasks.parsing.odf_text import DRAW, OFFICE, TABLE, TEXT, Blocks, inline
from tasks.parsing.package import (
    DAMAGE,
    Package,
    damaged,
    encrypted,
    open_package,
    parse_xml,
    safe_xml,
    xml_parser,
)
from tasks.parsing.pptx import NOTES
from tasks.parsing.properties import odf_metadata
from tasks.parsing.sheet_blocks import sheet_elements, shown

if TYPE_CHECKING:
    from lxml.etree import _Element

MIME = "application/vnd.oasis.opendocument."

_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_KINDS = {"text": "text", "presentation": "presentation", "drawing": "graphics", "spreadsheet": "spreadsheet"}
_REPEATED = ("date-time", "footer", "header", "page-number")
_MIDNIGHT = re.compile(r"T00:00:00(?:\.0+)?$")


def parse(data: bytes) -> ParsedDocument:
    """Elements of the document; the page is a presentation's slide or a spreadsheet's sheet.

    Comments, deleted text, indexes, headers and footers are left out; notes come at the end.
    """
    if not data.startswith(b"PK"):
        root, problems = flat_root(data)
        return _document(root, root, root, problems)
    package = open_package(data)
    if _is_encrypted(package):
        raise encrypted()
    content = package.xml("content.xml")
    styles, meta = package.optional_xml("styles.xml"), package.optional_xml("meta.xml")
    return _document(content, styles, meta, tuple(package.problems))


def flat_root(data: bytes) -> tuple[_Element, tuple[PartProblem, ...]]:
    """Root of a flat document; of a damaged one what can be read, with a note that it is.

    Raises:
        ParseFailed: it declares entities, or nothing of it can be read.
    """
    from lxml import etree

    name = "the document"
    try:
        return parse_xml(data, name), ()
    except ParseFailed as error:
        if error.facts.get("cause") != DAMAGE:
            raise
        try:
            root = etree.fromstring(safe_xml(data, name), xml_parser(recover=True))
        except (etree.XMLSyntaxError, ValueError):
            root = None
        if root is None:
            raise
        return root, (PartProblem("end of the document", type(error).__name__, str(error)),)


def _document(
    content: _Element, styles: _Element, meta: _Element, problems: tuple[PartProblem, ...]
) -> ParsedDocument:
    body = content.find(f"{OFFICE}body")
    part = None if body is None else next(body.iterchildren(*(OFFICE + kind for kind in _KINDS)), None)
    if part is None:
        raise damaged("its content has no body")
    budget = Budget()
    roots = (content,) if styles is content else (styles, content)
    blocks = Blocks(roots, budget)
    kind = part.tag.removeprefix(OFFICE)
    if kind == "spreadsheet":
        elements = tuple(_sheets(part, budget))
    elif kind == "text":
        elements = (*blocks.elements(part), *blocks.drain_notes())
    else:
        elements = (*_slides(part, blocks), *blocks.drain_notes())
    name = "spreadsheet" if kind == "spreadsheet" else "opendocument"
    mime = MIME + _KINDS[kind] + ("-flat-xml" if meta is content else "")
    found = (*problems, *_repeats_left_out(budget))
    return ParsedDocument(name, mime, elements, odf_metadata(meta), problems=found)


def _is_encrypted(package: Package) -> bool:
    manifest = package.optional_xml("META-INF/manifest.xml")
    return "encrypted-package" in package or next(manifest.iter("{*}encryption-data"), None) is not None


def _slides(presentation: _Element, blocks: Blocks) -> Iterator[Element]:
    for page, slide in enumerate(presentation.iterchildren(f"{DRAW}page"), 1):
        shapes = list(slide.iterchildren("*"))
        # The title is read first wherever it stands in the slide's drawing order.
        shapes.sort(key=lambda shape: _class(shape) != "title")
        for shape in shapes:
            if _class(shape) == "title":
                yield from _title(shape, page)
            elif shape.tag == f"{_PRESENTATION}notes":
                yield from _notes(shape, page)
            elif _class(shape) not in _REPEATED:
                yield from blocks.elements(shape, page)


def _title(shape: _Element, page: int) -> Iterator[Element]:
    text = " ".join(" ".join(inline(p)[0] for p in shape.iter(f"{TEXT}p", f"{TEXT}h")).split())
    if text:
        yield Element(text, "heading", level=1 if page == 1 else 2, page=page)


def _notes(notes: _Element, page: int) -> Iterator[Element]:
    for shape in notes.iterchildren("*"):
        if _class(shape) == "notes":
            lines = [inline(p)[0].strip() for p in shape.iter(f"{TEXT}p")]
            text = "\n".join(line for line in lines if line)
            yield from (Element(NOTES + text, page=page),) if text else ()


def _class(shape: _Element) -> str:
    return shape.get(f"{_PRESENTATION}class") or ""


def _sheets(book: _Element, budget: Budget) -> Iterator[Element]:
    for page, table in enumerate(book.iterchildren(f"{TABLE}table"), 1):
        name = table.get(f"{TABLE}name") or f"{page}"
        rows = rows_of(table, budget, _value)
        yield from sheet_elements(name, rows, page)


def _value(cell: _Element) -> str:
    """What a cell shows; a date as ISO."""
    if date := cell.get(f"{OFFICE}date-value"):
        return _MIDNIGHT.sub("", date).replace("T", " ")[:32]
    lines = [inline(p)[0].strip() for p in cell.iterchildren(f"{TEXT}p")]
    text = lines[0] if len(lines) == 1 else "\n".join(filter(None, lines))
    return shown(text or cell.get(f"{OFFICE}string-value") or cell.get(f"{OFFICE}value") or "")


def _repeats_left_out(budget: Budget) -> tuple[PartProblem, ...]:
    message = "Cells that repeat a million times and more stand once. Delete the repeated rows."
    return (PartProblem("tables", "ParseFailed", message),) if budget.is_exceeded else ()
