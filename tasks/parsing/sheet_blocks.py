"""Cells of a sheet to elements: blocks between blank rows, captions apart from tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta

from schemas.document import Element
from tasks.parsing.tables import table_elements

Cells = list[tuple[int, str]]
"""(column from 0, text) of the cells of a row that have text, from left to right."""

MAX_CELL_CHARS = 100_000
_CURRENCY = "[₩￦$€£¥￥]"
_NUMBER = re.compile(
    rf"\(?+[-+]?{_CURRENCY}?\s?[-+]?[.,]*+\d[\d.,]*+(?:E[-+]\d+)?\s?(?:%|원|{_CURRENCY}|[A-Z]{{3}}\b)?\)?"
)
_ERRORS = frozenset(
    ("#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#N/A", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!",
     "#BLOCKED!", "#UNKNOWN!", "#CONNECT!", "#BUSY!", "#GETTING_DATA")
)  # fmt: skip
_LIBRE_ERROR = re.compile(r"Err:\d{3}")


def cells_of(row: Sequence[object]) -> Cells:
    """The row's cells that have text."""
    found = ((column, shown(value)) for column, value in enumerate(row) if value is not None and value != "")
    return [(column, text) for column, text in found if text]


def sheet_elements(name: str, rows: Iterable[Cells], page: int) -> list[Element]:
    """The sheet's name as heading, then its blocks; nothing for a sheet without text."""
    elements = [element for block in _blocks(rows) for element in _block_elements(block, page)]
    return [Element(name, "heading", level=2, page=page), *elements] if elements else []


def shown(value: object) -> str:
    """A value as people read it: dates as ISO, numbers with 15 digits, errors as nothing.

    >>> shown(1234.0), shown(0.1 + 0.2), shown(datetime(2026, 4, 17)), shown(True), shown("#REF!")
    ('1234', '0.3', '2026-04-17', 'TRUE', '')
    """
    if isinstance(value, str):
        text = value.strip()[:MAX_CELL_CHARS]
        is_error = text in _ERRORS or (text.startswith("Err:") and _LIBRE_ERROR.fullmatch(text))
        return "" if is_error else text
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime):
        at_midnight = value.time() == time(0)
        return value.date().isoformat() if at_midnight else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _blocks(rows: Iterable[Cells]) -> Iterator[list[Cells]]:
    """Runs of rows with text."""
    block: list[Cells] = []
    for row in rows:
        if row:
            block.append(row)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _block_elements(block: list[Cells], page: int) -> Iterator[Element]:
    """Rows of one cell above and below a table as text, the rows between as the table.

    A last row whose only cell is not in the first column is data with gaps, not a remark.
    """
    wide = [number for number, row in enumerate(block) if len(row) > 1]
    first = wide[0] if wide else len(block)
    left = min((row[0][0] for row in block[first:]), default=0)
    rows = [
        number for number, row in enumerate(block) if number >= first and (len(row) > 1 or row[0][0] > left)
    ]
    last = rows[-1] + 1 if rows else len(block)
    yield from _lines(block[:first], page)
    yield from table_elements(_table(block[first:last]), page)
    yield from _lines(block[last:], page)


def _lines(rows: list[Cells], page: int) -> Iterator[Element]:
    for row in rows:
        yield Element(row[0][1], page=page)


def _table(rows: list[Cells]) -> list[list[str]]:
    """Rows of equal length without blank columns; a header is put above rows of numbers only."""
    columns = sorted({column for row in rows for column, _ in row})
    place = {column: number for number, column in enumerate(columns)}
    if len(rows) > 1 and all(_NUMBER.fullmatch(text) for row in rows[:2] for _, text in row):
        table = [[f"column {number + 1}" for number in range(len(columns))]]
    else:
        table = []
    for row in rows:
        cells = [""] * len(columns)
        for column, text in row:
            cells[place[column]] = text
        table.append(cells)
    return table
