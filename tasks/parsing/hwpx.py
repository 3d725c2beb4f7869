"""HWPX (OWPML, KS X 6101): the sections of the package, in the order of its spine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument
from tasks.parsing.hwp_blocks import (
    PREVIEW_ONLY,
    TEXT,
    Cell,
    Style,
    flow,
    preview_elements,
    style_named,
    table_blocks,
)
from tasks.parsing.hwpx_package import HwpxPackage, damaged, tag_of

if TYPE_CHECKING:
    from lxml.etree import _Element

MIME = "application/hwp+zip"

_UNSEEN = frozenset(
    ("hiddenComment", "header", "footer", "secPr", "linesegarray", "parameters", "shapeComment")
)
_CHARACTERS = {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}


def parse(data: bytes) -> ParsedDocument:
    """Headings by outline level, list items, tables and notes; the package's own metadata."""
    package = HwpxPackage(data)
    styles = _Styles(package.root("Contents/header.xml"))
    elements: list[Element] = []
    for name in package.sections:
        if (section := package.root(name)) is not None:
            elements += _blocks(section, styles)
    if package.problems and not elements:
        raise damaged()
    return ParsedDocument("hwpx", MIME, tuple(elements), package.metadata(), problems=package.problems)


def parse_thorough(data: bytes) -> ParsedDocument:
    """By unhwp, after the checks that keep a locked or overlong file from it."""
    from tasks.parsing.hwp import parse_unhwp

    package = HwpxPackage(data)
    package.check_sizes()
    return ParsedDocument("hwpx", MIME, parse_unhwp(data).elements, package.metadata())


def parse_plain(data: bytes) -> ParsedDocument:
    """The text of each paragraph, even of damaged XML; where there is none, the preview."""
    from lxml import etree

    package = HwpxPackage(data)
    elements: list[Element] = []
    for part in filter(None, map(package.read, package.sections)):
        parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
        root = etree.fromstring(part, parser)
        for node in () if root is None else root.iter("{*}p"):
            texts = (t for run in node.iterchildren("{*}run") for t in run.iterchildren("{*}t"))
            text = "".join("".join(t.itertext()) for t in texts).strip()
            elements += [Element(text)] if text else []
    if elements:
        return ParsedDocument("hwpx", MIME, tuple(elements))
    preview = preview_elements(package.read("Preview/PrvText.txt").decode("utf-8", "replace"))
    return ParsedDocument("hwpx", MIME, preview, problems=(PREVIEW_ONLY,) if preview else ())


class _Styles:
    """Heading level and list membership of paragraphs, from header.xml."""

    def __init__(self, root: _Element | None) -> None:
        self._shapes: dict[str | None, Style] = {}
        self._names: dict[str | None, Style] = {}
        for node in () if root is None else root.iter("{*}paraPr"):
            heading = node.find("{*}heading")
            self._shapes[node.get("id")] = TEXT if heading is None else _shape(heading)
        for node in () if root is None else root.iter("{*}style"):
            self._names[node.get("id")] = style_named(node.get("name") or "")

    def of(self, paragraph: _Element) -> Style:
        """The style of a paragraph."""
        own = self._shapes.get(paragraph.get("paraPrIDRef"), TEXT)
        return own if own != TEXT else self._names.get(paragraph.get("styleIDRef"), TEXT)


def _shape(heading: _Element) -> Style:
    kind, level = heading.get("type"), heading.get("level") or "0"
    if kind == "OUTLINE":
        return Style("heading", int(level) + 1 if re.fullmatch("[0-9]", level) else 1)
    return Style("list_item") if kind in ("NUMBER", "BULLET") else TEXT


def _blocks(parent: _Element, styles: _Styles) -> Iterator[Element]:
    """Elements of the paragraphs anywhere below, not of those inside other paragraphs."""
    for node in parent.iterchildren(tag="*"):
        if tag_of(node) == "p":
            yield from flow(_items(node, styles), styles.of(node))
        elif tag_of(node) not in _UNSEEN:
            yield from _blocks(node, styles)


def _items(paragraph: _Element, styles: _Styles) -> Iterator[str | tuple[Element, ...]]:
    """The paragraph's text with its tables where they stand, then its notes and text boxes."""
    after: list[Element] = []
    is_deleted = False
    for run in paragraph.iterchildren("{*}run"):
        for node in run.iterchildren(tag="*"):
            if tag_of(node) == "t":
                text, is_deleted = _text(node, is_deleted=is_deleted)
                yield text
            else:
                yield from _object(node, styles, after)
    if after:
        yield tuple(after)


def _text(node: _Element, *, is_deleted: bool) -> tuple[str, bool]:
    """A text element's text without what tracked changes delete, and whether that goes on."""
    parts = ["" if is_deleted else node.text or ""]
    for child in node.iterchildren(tag="*"):
        tag = tag_of(child)
        is_deleted = {"deleteBegin": True, "deleteEnd": False}.get(tag, is_deleted)
        if not is_deleted:
            parts.append(_CHARACTERS.get(tag, ""))
            parts.append(child.tail or "")
    return "".join(parts), is_deleted


def _object(node: _Element, styles: _Styles, after: list[Element]) -> Iterator[str | tuple[Element, ...]]:
    tag = tag_of(node)
    if tag == "tbl":
        yield _table(node, styles)
    elif tag == "equation":
        yield node.findtext("{*}script") or ""
    elif tag == "dutmal":  # text with small text above it
        yield node.findtext("{*}mainText") or ""
    elif tag == "compose":  # characters set over each other
        yield node.get("composeText") or ""
    elif tag not in _UNSEEN:
        after += _blocks(node, styles)


def _table(node: _Element, styles: _Styles) -> tuple[Element, ...]:
    caption: Iterable[Element] = (
        e for part in node.iterchildren("{*}caption") for e in _blocks(part, styles)
    )
    cells = [
        _cell(cell, number, column, styles)
        for number, row in enumerate(node.iterchildren("{*}tr"))
        for column, cell in enumerate(row.iterchildren("{*}tc"))
    ]
    return (*caption, *table_blocks(cells))


def _cell(cell: _Element, row: int, column: int, styles: _Styles) -> Cell:
    place, span = cell.find("{*}cellAddr"), cell.find("{*}cellSpan")
    return Cell(
        _number(place, "rowAddr", row),
        _number(place, "colAddr", column),
        _number(span, "rowSpan", 1),
        _number(span, "colSpan", 1),
        tuple(_blocks(cell, styles)),
    )


def _number(node: _Element | None, name: str, default: int) -> int:
    value = "" if node is None else node.get(name) or ""
    return int(value) if re.fullmatch("[0-9]{1,5}", value) else default
