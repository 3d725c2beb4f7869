"""DOCX, read from its XML: paragraphs, lists and tables in reading order.

python-docx and unstructured leave out what stands in content controls and text boxes;
both are common in Korean forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.document import Element, ParsedDocument
from schemas.errors import UnsupportedFormat
from tasks.parsing import pptx, spreadsheet
from tasks.parsing.docx_blocks import Blocks
from tasks.parsing.docx_styles import Numbering, Styles, W, without_table_styles
from tasks.parsing.drawing import Drawings
from tasks.parsing.package import Package, Relation, damaged, open_package
from tasks.parsing.properties import core_metadata

MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_NOTES = ("footnotes", "endnotes")
_NO_NOTE = ("separator", "continuationSeparator", "continuationNotice")


def parse(data: bytes) -> ParsedDocument:
    """Headings by style, list items, tables, notes at the end, and the package's core properties.

    Comments, headers and footers, deleted text and macros are left out, and so is the table of
    contents. A presentation or spreadsheet is parsed as what it is: the first bytes of a
    package do not always tell.
    """
    package = open_package(data)
    main = _main_part(package)
    if main.startswith("ppt/"):
        return pptx.parse(data)
    if main.startswith("xl/"):
        return spreadsheet.parse(data)
    document = package.xml(main)
    links = package.relations(main)
    blocks = Blocks(
        Styles(package.optional_xml(_linked(links, "styles"), trim=without_table_styles)),
        Numbering(package.optional_xml(_linked(links, "numbering"))),
        Drawings(package, links),
    )
    body = document.find(f"{W}body")
    elements = [] if body is None else list(blocks.elements(body))
    for kind in _NOTES:
        elements += _notes(package, _linked(links, kind), blocks)
    metadata = core_metadata(package)
    return ParsedDocument("docx", MIME, tuple(elements), metadata, problems=tuple(package.problems))


def _main_part(package: Package) -> str:
    """Name of the part that holds the document: not always the usual one."""
    named = [link.target for link in package.relations("").values() if link.kind == "officeDocument"]
    usual = ("word/document.xml", "ppt/presentation.xml", "xl/workbook.xml", "xl/workbook.bin")
    for name in (*named, *usual):
        if name in package and name.startswith(("word/", "ppt/", "xl/")):
            return name
    if any(name.startswith(("word/", "ppt/", "xl/")) for name in package.names()):
        raise damaged("its main part is missing")
    raise UnsupportedFormat(
        "No parser takes this content: zip archive.",
        advice="Unpack it into the source, or exclude it.",
        format="zip archive",
    )


def _linked(links: Mapping[str, Relation], kind: str) -> str:
    """Name of the part of one kind that the document links to; the usual name where it links none."""
    return next((link.target for link in links.values() if link.kind == kind), f"word/{kind}.xml")


def _notes(package: Package, name: str, blocks: Blocks) -> Iterator[Element]:
    for note in package.optional_xml(name).iterchildren(f"{W}footnote", f"{W}endnote"):
        if note.get(f"{W}type") not in _NO_NOTE:
            yield from blocks.elements(note)
