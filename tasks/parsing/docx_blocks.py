"""The blocks of a DOCX body in reading order, text boxes and nested tables included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element
from tasks.parsing.docx_styles import BULLET, Numbering, Styles, W, value
from tasks.parsing.drawing import Drawings
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_NESTING = 40
"""Frames inside frames; what lies deeper comes as one text. Word itself stops at 20."""
MAX_SPAN = 64

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_TEXT_TAGS = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-"}
_WORDS = (f"{W}t", f"{_M}t")
# Deleted and moved text, field codes, the reading above a ruby base, the copy of a text box
# for old readers.
_SKIPPED = frozenset(
    (f"{W}del", f"{W}moveFrom", f"{W}instrText", f"{W}delText", f"{W}rt", f"{_MC}Fallback")
)  # fmt: skip
_APART = _SKIPPED | {f"{W}txbxContent"}
_OF_TEXT = (*_WORDS, *_TEXT_TAGS, *_APART)
_LEAVES = frozenset((f"{W}p", f"{W}tbl", f"{W}tr", f"{W}tc"))


class Blocks:
    """Reads the parts of one document: they share styles, list counters and drawings."""

    def __init__(self, styles: Styles, numbering: Numbering, drawings: Drawings) -> None:
        self._styles = styles
        self._numbering = numbering
        self._drawings = drawings

    def elements(self, parent: _Element, depth: int = 0) -> Iterator[Element]:
        """Elements of a body, note, content control or text box, in order."""
        if depth > MAX_NESTING:
            yield from _flat(parent)
            return
        for node in _children(parent):
            if node.tag == f"{W}p":
                yield from self._paragraph(node, depth)
            elif node.tag == f"{W}tbl":
                yield from self._table(node, depth)

    def _paragraph(self, node: _Element, depth: int) -> Iterator[Element]:
        text, has_boxes = _text(node)
        text = text.strip()
        if text and not self._styles.is_contents(node):
            yield self._text_element(node, text)
        for box in _text_boxes(node) if has_boxes else ():
            yield from self.elements(box, depth + 1)
        yield from self._drawings.elements(node)

    def _text_element(self, node: _Element, text: str) -> Element:
        numbering = self._styles.numbering(node)
        label = self._numbering.label(*numbering) if numbering else ""
        level = self._styles.level(node)
        if level:
            # A plain number would change every later heading when a section is inserted; a
            # number that is part of a name (Article 3, 제3조) is what readers cite.
            name = f"{label} " if any(c.isalpha() for c in label) and len(label) > 2 else ""
            return Element(name + " ".join(text.split()), "heading", level=level)
        if numbering:
            return Element((f"{label} " if label else BULLET) + text, "list_item")
        return Element(text)

    def _table(self, table: _Element, depth: int) -> Iterator[Element]:
        """Rows of a table, then the tables inside its cells; one cell is a frame around its blocks."""
        rows = [_cells(row) for row in _children(table) if row.tag == f"{W}tr"]
        cells = [cell for row in rows for cell in row]
        if len(cells) == 1:
            yield from self.elements(cells[0], depth + 1)
            return
        inner: list[_Element] = []
        yield from table_elements([self._row(row, inner) for row in rows])
        for nested in inner:
            yield from self._table(nested, depth + 1) if depth < MAX_NESTING else _flat(nested)

    def _row(self, cells: list[_Element], inner: list[_Element]) -> list[str]:
        row: list[str] = []
        for cell in cells:
            row.append(" ".join(_cell_texts(cell, inner)))
            span = value(cell, "tcPr/gridSpan") or "1"
            if span.isdecimal() and len(span) < 5:
                row += [""] * (min(int(span), MAX_SPAN) - 1)
        return row


def _flat(parent: _Element) -> Iterator[Element]:
    """All words under a node as one text."""
    words = " ".join(node.text or "" for node in parent.iter(*_WORDS))
    yield from (Element(words),) if words.strip() else ()


def _cell_texts(cell: _Element, inner: list[_Element]) -> Iterator[str]:
    """Texts of a cell; a table in it that has rows and columns of its own goes to `inner`."""
    stack = [_children(cell)]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif node.tag == f"{W}p":
            text, has_boxes = _text(node)
            if text.strip():
                yield text
            stack += [_children(box) for box in _text_boxes(node)] if has_boxes else []
        elif node.tag == f"{W}tbl" and _is_grid(node):
            inner.append(node)
        else:
            stack.append(_children(node))


def _is_grid(table: _Element) -> bool:
    rows = [_cells(row) for row in _children(table) if row.tag == f"{W}tr"]
    return len(rows) > 1 and max(map(len, rows)) > 1


def _cells(row: _Element) -> list[_Element]:
    return [cell for cell in _children(row) if cell.tag == f"{W}tc"]


def _children(parent: _Element) -> Iterator[_Element]:
    """Blocks under a node, through content controls, insertions and custom XML around them."""
    stack = [parent.iterchildren("*")]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif node.tag in _LEAVES:
            yield node
        elif node.tag not in _SKIPPED:
            stack.append(node.iterchildren("*"))


def _text(paragraph: _Element) -> tuple[str, bool]:
    """The paragraph's own text, without what is not shown or stands apart; whether it has text boxes."""
    parts: list[str] = []
    for node in paragraph.iter(*_OF_TEXT):
        if node.tag in _APART:
            return _text_around(paragraph)
        parts.append(_TEXT_TAGS.get(node.tag) or node.text or "")
    return "".join(parts), False


def _text_around(paragraph: _Element) -> tuple[str, bool]:
    """As `_text`, for the few paragraphs that have something to leave out; a slower walk."""
    from lxml import etree

    parts: list[str] = []
    has_boxes = False
    walk = etree.iterwalk(paragraph, events=("start",))
    for _, node in walk:
        if node.tag in _APART:
            has_boxes = has_boxes or node.tag == f"{W}txbxContent"
            walk.skip_subtree()
        elif node.tag in _WORDS:
            parts.append(node.text or "")
        elif node.tag in _TEXT_TAGS:
            parts.append(_TEXT_TAGS[node.tag])
    return "".join(parts), has_boxes


def _text_boxes(paragraph: _Element) -> Iterator[_Element]:
    """Text boxes anchored here, not those inside others, each once."""
    for box in paragraph.iter(f"{W}txbxContent"):
        for above in box.iterancestors():
            if above is paragraph:
                yield box
                break
            if above.tag in _APART:
                break
