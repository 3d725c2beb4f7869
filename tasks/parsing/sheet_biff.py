"""Number formats of an XLS: which cells have one, by sheet. Source: [MS-XLS] 2.4, records."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tasks.parsing.sheet_styles import Formats, FormattedCells, formats_of

_BOF, _EOF, _SHEET, _XF, _FORMAT = 0x809, 0x0A, 0x85, 0xE0, 0x41E
_NUMBER, _RK, _FORMULA, _ROW_OF_RK = 0x203, 0x27E, 0x06, 0xBD
_ONE_CELL = frozenset((_NUMBER, _RK, _FORMULA))
_BIFF8 = 0x600

Record = tuple[int, int, int]
"""Kind, where its body starts, how long it is."""


def cells_of_biff(book: bytes) -> dict[int, FormattedCells]:
    """Cells with a format by the number of their sheet, from 0; none in files older than Excel 97."""
    formats, starts = _globals(book)
    if not formats:
        return {}
    by_start = _cells_by_start(book, formats)
    return {number: by_start[start] for number, start in enumerate(starts) if start in by_start}


def _globals(book: bytes) -> tuple[Formats, list[int]]:
    """The formats by style, and where each sheet starts: both stand before the first sheet."""
    codes: dict[int, str] = {}
    styles: list[int] = []
    starts: list[int] = []
    for kind, at, size in _records(book):
        if kind == _EOF or (kind == _BOF and _short(book, at) != _BIFF8):
            break
        if kind == _FORMAT:
            codes[_short(book, at)] = _text(book[at + 2 : at + size])
        elif kind == _XF:
            styles.append(_short(book, at + 2))
        elif kind == _SHEET:
            starts.append(_short(book, at) | _short(book, at + 2) << 16)
    return formats_of(styles, codes), starts


def _cells_by_start(book: bytes, formats: Formats) -> dict[int, FormattedCells]:
    """Cells of every part of the book, by where the part starts; a chart in a sheet is no part."""
    found: dict[int, FormattedCells] = {}
    cells = FormattedCells(formats)
    depth = 0
    for kind, at, size in _records(book):
        if kind == _BOF:
            depth += 1
            if depth == 1:
                cells = found[at - 4] = FormattedCells(formats)
        elif kind == _EOF:
            depth = max(depth - 1, 0)
        elif depth == 1 and kind in _ONE_CELL:
            cells.add(_short(book, at), _short(book, at + 2), _short(book, at + 4))
        elif depth == 1 and kind == _ROW_OF_RK:
            row, column = _short(book, at), _short(book, at + 2)
            for number, place in enumerate(range(at + 4, at + size - 2, 6)):
                cells.add(row, column + number, _short(book, place))
    return found


def _records(book: bytes) -> Iterator[Record]:
    at, end = 0, len(book) - 8
    unpack = struct.Struct("<HH").unpack_from
    while at <= end:
        kind, size = unpack(book, at)
        yield kind, at + 4, size
        at += 4 + size


def _short(book: bytes, at: int) -> int:
    return int.from_bytes(book[at : at + 2], "little")


def _text(body: bytes) -> str:
    """A string whose first bytes are its length and whether it is in UTF-16."""
    count = _short(body, 0)
    wide = body[2:3] == b"\1"
    encoding = "utf-16-le" if wide else "latin-1"
    return body[3 : 3 + count * (2 if wide else 1)].decode(encoding, "replace")
