"""Delimited text (CSV, TSV): one table, with the lines above its header."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter

from schemas.document import Element, ParsedDocument
from tasks.parsing.encodings import decode_counted
from tasks.parsing.tables import table_elements
from tasks.parsing.text import problems_of

MAX_TITLE_ROWS = 10
_DELIMITERS = ",\t;|"
_SAMPLE_CHARS = 65_536
_SAMPLE_ROWS = 50
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")
_EXCEL_MARK = re.compile(r'"?sep=(.)"?\n', re.I)

Rows = list[list[str]]


def parse(data: bytes) -> ParsedDocument:
    """Titles above the table as text, then all rows, the first one as header if it reads like names."""
    decoded = decode_counted(data)
    text = decoded.text
    mark = _EXCEL_MARK.match(text)
    text = text[mark.end() :] if mark else text
    delimiter = mark[1] if mark else _delimiter(text)
    rows = [row for row in _read(text, delimiter) if any(map(str.strip, row))]
    titles = _title_rows(rows)
    rows = rows[len(titles) :]
    if rows and not _is_header(rows[0]):
        rows.insert(0, [f"column {i + 1}" for i in range(max(map(len, rows)))])
    elements = (*map(Element, titles), *table_elements(rows))
    return ParsedDocument("csv", "text/csv", elements, problems=problems_of(decoded))


def _title_rows(rows: Rows) -> list[str]:
    """What stands alone on the first lines above rows with several cells."""
    titles: list[str] = []
    for row in rows[: MAX_TITLE_ROWS + 1]:
        cells = [cell.strip() for cell in row if cell.strip()]
        if len(cells) > 1:
            return titles
        titles += cells
    return []  # a table of one column


def _is_header(row: list[str]) -> bool:
    """Names, of which the corner above the rows' own names may be blank."""
    cells = [cell.strip() for cell in row]
    named = all(cells[1:]) and (bool(cells[0]) or len(cells) > 2)
    return named and not any(map(_NUMBER.fullmatch, cells))


def _delimiter(text: str) -> str:
    """The delimiter that gives the most rows of one width above 1; a comma if none does."""
    sample = text[:_SAMPLE_CHARS]
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
