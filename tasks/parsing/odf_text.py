"""Blocks of OpenDocument content: headings, paragraphs, lists, tables, notes at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from schemas.document import Element
from tasks.parsing.odf_tables import CELLS, rows_of, table_rows
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

    from tasks.parsing.odf_tables import Budget

MAX_NESTING = 40
MAX_SPACES = 100

_NS = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
TEXT, TABLE, DRAW, OFFICE, STYLE = (_NS % name for name in ("text", "table", "drawing", "office", "style"))
_SPACE = re.compile(r"[ \t\r\n]+")
_TITLES = ("title", "제목")
# Deleted text, indexes (they repeat headings), forms, comments, alternative texts of images.
_SKIPPED = frozenset(
    [TEXT + name for name in ("tracked-changes", "table-of-content", "alphabetical-index", "table-index",
                              "illustration-index", "user-index", "object-index", "ruby-text",
                              "note-citation", "sequence-decls", "variable-decls")]
    + [OFFICE + name for name in ("forms", "annotation", "annotation-end", "event-listeners", "binary-data")]
    + ["{http://www.w3.org/1998/Math/MathML}math"]
)  # fmt: skip
_SVG_NOTES = frozenset(
    ("{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}" + n) for n in ("title", "desc")
)
_APART = frozenset((f"{TEXT}note", f"{DRAW}text-box", f"{TABLE}table", f"{DRAW}custom-shape"))
_PARAGRAPHS = frozenset((f"{TEXT}p", f"{TEXT}h"))


class Blocks:
    """Reads the content of one document: its parts share styles, notes and the budget of repeats."""

    def __init__(self, roots: tuple[_Element, ...], budget: Budget) -> None:
        self._budget = budget
        self._styles = {
            node.get(f"{STYLE}name") or "": node for root in roots for node in root.iter(f"{STYLE}style")
        }
        self._numbered = {
            (node.get(f"{STYLE}name") or "", int(level.get(f"{TEXT}level") or 0))
            for root in roots
            for node in root.iter(f"{TEXT}list-style")
            for level in node.iterchildren(f"{TEXT}list-level-style-number")
            if (level.get(f"{TEXT}level") or "").isdecimal() and level.get(f"{STYLE}num-format")
        }
        self.notes: list[_Element] = []

    def elements(self, parent: _Element, page: int | None = None, depth: int = 0) -> Iterator[Element]:
        """Elements under a node in order; notes are gathered in `notes`."""
        if depth > MAX_NESTING:
            yield from self._flat(parent, page)
            return
        for node in _open(parent):
            if node.tag in _PARAGRAPHS:
                yield from self._paragraph(node, page, depth)
            elif node.tag == f"{TEXT}list":
                yield from self._list(node, page, depth)
            elif node.tag == f"{TABLE}table":
                yield from self._table(node, page, depth)

    def drain_notes(self) -> Iterator[Element]:
        """Elements of the notes met so far, each once."""
        while self.notes:
            note = self.notes.pop(0)
            body = note.find(f"{TEXT}note-body")
            yield from () if body is None else self.elements(body)

    def _flat(self, parent: _Element, page: int | None, depth: int = 0) -> Iterator[Element]:
        """All words under a node as one text, at whatever depth: beyond the nesting that is followed."""
        words = " ".join(" ".join(parent.itertext()).split())
        yield from (Element(words, page=page),) if words else ()

    def _paragraph(self, node: _Element, page: int | None, depth: int, marker: str = "") -> Iterator[Element]:
        text, apart = inline(node)
        text = text.strip()
        level = self._level(node)
        if text and level:
            yield Element(" ".join(text.split()), "heading", level=level, page=page)
        elif text:
            yield Element(marker + text, "list_item" if marker else "text", page=page)
        for inner in apart:
            if inner.tag == f"{TEXT}note":
                self.notes.append(inner)
            elif inner.tag == f"{TABLE}table":
                yield from self._table(inner, page, depth + 1)
            else:
                yield from self.elements(inner, page, depth + 1)

    def _level(self, node: _Element) -> int:
        """1 to 10 for a heading, 0 for text."""
        if node.tag == f"{TEXT}h":
            level = node.get(f"{TEXT}outline-level") or "1"
            return min(max(int(level), 1), 10) if level.isdecimal() and len(level) < 4 else 1
        name, seen = node.get(f"{TEXT}style-name") or "", 0
        while name and seen < 20:
            style = self._styles.get(name)
            shown = name if style is None else style.get(f"{STYLE}display-name") or name
            if shown.lower() in _TITLES:
                return 1
            name = "" if style is None else style.get(f"{STYLE}parent-style-name") or ""
            seen += 1
        return 0

    def _list(
        self, node: _Element, page: int | None, depth: int, style: str = "", level: int = 1
    ) -> Iterator[Element]:
        style = node.get(f"{TEXT}style-name") or style
        is_numbered = (style, level) in self._numbered
        number = 0
        for item in node.iterchildren(f"{TEXT}list-item", f"{TEXT}list-header"):
            start = item.get(f"{TEXT}start-value") or ""
            number = int(start) if start.isdecimal() and len(start) < 9 else number + 1
            marker = f"{number}. " if is_numbered else "- "
            yield from self._item(item, marker, page, depth, style, level)

    def _item(
        self, item: _Element, marker: str, page: int | None, depth: int, style: str, level: int
    ) -> Iterator[Element]:
        """Paragraphs of an item, the marker before the first, and the lists inside it."""
        if depth > MAX_NESTING:
            yield from self._flat(item, page)
            return
        for node in _open(item):
            if node.tag in _PARAGRAPHS:
                yield from self._paragraph(node, page, depth, marker)
                marker = ""
            elif node.tag == f"{TEXT}list":
                yield from self._list(node, page, depth + 1, style, level + 1)
            elif node.tag == f"{TABLE}table":
                yield from self._table(node, page, depth + 1)

    def _table(self, table: _Element, page: int | None, depth: int) -> Iterator[Element]:
        """Rows of a table; one of a single cell is a frame around its blocks."""
        cells = list(islice((cell for row in table_rows(table) for cell in row.iterchildren(*CELLS)), 2))
        if len(cells) == 1:
            yield from self.elements(cells[0], page, depth + 1)
            return
        apart: list[_Element] = []
        rows = []
        for row in rows_of(table, self._budget, lambda cell: self._cell(cell, apart)):
            width = row[-1][0] + 1 if row else 0
            texts = [""] * min(width, 1000)
            for column, text in row:
                if column < len(texts):
                    texts[column] = text
            rows.append(texts)
        yield from table_elements(rows, page)
        for inner in apart:
            deeper = self._table if depth < MAX_NESTING else self._flat
            yield from deeper(inner, page, depth + 1)

    def _cell(self, cell: _Element, apart: list[_Element]) -> str:
        """Text of a cell; a table in it goes to `apart`, a note to the notes."""
        parts: list[str] = []
        for node in cell.iter(*_PARAGRAPHS, f"{TABLE}table"):
            above = next(
                (a for a in node.iterancestors() if a is cell or a.tag in _APART or a.tag in _SKIPPED), cell
            )
            if above is not cell and above.tag != f"{DRAW}text-box":
                continue
            if node.tag == f"{TABLE}table":
                apart.append(node)
            else:
                text, inner = inline(node)
                parts.append(text.strip())
                self.notes += [note for note in inner if note.tag == f"{TEXT}note"]
        return " ".join(part for part in parts if part)


def inline(paragraph: _Element) -> tuple[str, list[_Element]]:
    """Text of a paragraph, and what is anchored in it but stands apart (notes, text boxes, tables)."""
    from lxml import etree

    if not len(paragraph):
        return _SPACE.sub(" ", paragraph.text or ""), []
    parts: list[str] = []
    apart: list[_Element] = []
    walk = etree.iterwalk(paragraph, events=("start", "end"))
    for event, node in walk:
        if event == "end":
            parts.append(_SPACE.sub(" ", node.tail or "") if node is not paragraph else "")
        elif node.tag in _SKIPPED or node.tag in _APART or node.tag in _SVG_NOTES:
            apart += [node] if node.tag in _APART else []
            walk.skip_subtree()
        elif node.tag == f"{TEXT}s":
            count = node.get(f"{TEXT}c") or "1"
            parts.append(" " * (min(int(count), MAX_SPACES) if count.isdecimal() and len(count) < 9 else 1))
        elif node.tag == f"{TEXT}tab":
            parts.append("\t")
        elif node.tag == f"{TEXT}line-break":
            parts.append("\n")
        else:
            parts.append(_SPACE.sub(" ", node.text or ""))
    return "".join(parts), apart


def _open(parent: _Element) -> Iterator[_Element]:
    """Paragraphs, lists and tables under a node, through sections, frames and groups."""
    stack = [parent.iterchildren("*")]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif node.tag in _PARAGRAPHS or node.tag in (f"{TEXT}list", f"{TABLE}table"):
            yield node
        elif node.tag not in _SKIPPED and node.tag not in _SVG_NOTES:
            stack.append(node.iterchildren("*"))
