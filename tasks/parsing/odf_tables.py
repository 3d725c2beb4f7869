"""Rows of OpenDocument tables, whose cells and rows are written once and repeated by number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tasks.parsing.sheet_blocks import Cells

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_REPEATED = 1_000_000
"""Cells of a document that come from repeats; what is beyond stands once."""
MAX_COLUMNS = 16_384

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_ROW_GROUPS = frozenset(_TABLE + name for name in ("table-header-rows", "table-rows", "table-row-group"))
CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")


class Budget:
    """How many cells repeats may still make."""

    def __init__(self, cells: int = MAX_REPEATED) -> None:
        self._left = cells
        self.is_exceeded = False

    def take(self, repeats: int, cells: int) -> int:
        """How often something with so many cells may stand: as asked for, or once."""
        if repeats <= 1 or not cells:
            return 1
        if (repeats - 1) * cells > self._left:
            self.is_exceeded = True
            return 1
        self._left -= (repeats - 1) * cells
        return repeats


def rows_of(table: _Element, budget: Budget, text_of: Callable[[_Element], str]) -> Iterator[Cells]:
    """Cells with text of each row; a blank row stands once however often it is repeated."""
    for row in table_rows(table):
        cells = _cells(row, budget, text_of)
        for _ in range(budget.take(_repeats(row, "number-rows-repeated"), len(cells))):
            yield cells


def table_rows(table: _Element) -> Iterator[_Element]:
    """Rows of a table, through groups of them; not those of tables inside."""
    stack = [table.iterchildren("*")]
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
        elif node.tag == f"{_TABLE}table-row":
            yield node
        elif node.tag in _ROW_GROUPS:
            stack.append(node.iterchildren("*"))


def _cells(row: _Element, budget: Budget, text_of: Callable[[_Element], str]) -> Cells:
    found: Cells = []
    column = 0
    for cell in row.iterchildren(*CELLS):
        if column >= MAX_COLUMNS:
            break
        repeats = min(_repeats(cell, "number-columns-repeated"), MAX_COLUMNS - column)
        text = text_of(cell) if len(cell) or cell.attrib else ""
        if text:
            found += [(column + i, text) for i in range(budget.take(repeats, 1))]
        column += repeats
    return found


def _repeats(node: _Element, name: str) -> int:
    count = node.get(_TABLE + name)
    if not count:
        return 1
    return max(int(count), 1) if count.isdecimal() and len(count) < 10 else 1
