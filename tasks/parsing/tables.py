"""Delimited text, and tables as Markdown for every parser."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence

from schemas.document import Element, ParsedDocument
from tasks.parsing.text import decode

_DELIMITERS = ",\t;|"
_SAMPLE_ROWS = 50
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")

Rows = list[list[str]]


def parse(data: bytes) -> ParsedDocument:
    """The whole file as one table, its first row as the header if it reads like names."""
    text = decode(data)
    rows = [row for row in _read(text, _delimiter(text)) if any(cell.strip() for cell in row)]
    if rows and any(not cell.strip() or _NUMBER.fullmatch(cell.strip()) for cell in rows[0]):
        rows.insert(0, [f"column {i + 1}" for i in range(max(map(len, rows)))])
    return ParsedDocument("csv", "text/csv", table_elements(rows))


def table_elements(rows: Sequence[Sequence[str]], page: int | None = None) -> tuple[Element, ...]:
    """The table as one element, none if it has no text."""
    text = markdown_table(rows)
    return (Element(text, "table", page=page),) if text else ()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    r"""Markdown rows, the first one as header; "" without text. Short rows are filled up.

    >>> print(markdown_table([["a", "b"], ["1|2"]]))
    | a | b |
    | --- | --- |
    | 1\|2 |  |
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(max(i + 1 for i, cell in enumerate(row) if cell) for row in cells)
    lines = [_line((row + [""] * width)[:width]) for row in cells]
    lines.insert(1, _line(["---"] * width))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _delimiter(text: str) -> str:
    """The delimiter that gives the most rows of one width above 1; a comma if none does."""
    sample = text[:65536]
    return max(_DELIMITERS, key=lambda d: _evenness(_read(sample, d)[:_SAMPLE_ROWS]))


def _evenness(rows: Rows) -> tuple[float, int]:
    widths = Counter(len(row) for row in rows if row)
    if not widths:
        return (0.0, 0)
    width, count = widths.most_common(1)[0]
    return (count / widths.total() if width > 1 else 0.0, width)


def _read(text: str, delimiter: str) -> Rows:
    """Rows; quotes are plain characters where one of them is never closed."""
    csv.field_size_limit(sys.maxsize)
    try:
        return list(csv.reader(io.StringIO(text, ""), delimiter=delimiter, strict=True))
    except csv.Error as exc:
        never_closed = "end of data" in str(exc)
    if never_closed:
        return list(csv.reader(io.StringIO(text, ""), delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return list(csv.reader(io.StringIO(text, ""), delimiter=delimiter))
