"""Records of an XLSB: where its cells are, and which have a number format. Source: [MS-XLSB] 2.1.4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.errors import DocumentError
from tasks.parsing.sheet_styles import MAX_STYLES_BYTES, Formats, FormattedCells, formats_of

if TYPE_CHECKING:
    from tasks.parsing.package import Package

_ROW, _LAST_CELL = 0, 11
_NUMBERS = frozenset((2, 5, 9))  # RK, real, the number of a formula
_FORMAT, _STYLE, _STYLES_START, _STYLES_END, _SHEET = 44, 47, 617, 618, 156

Record = tuple[int, int, int]
"""Kind, where its body starts, how long it is."""


def places_of_xlsb(data: bytes) -> Iterator[tuple[int, int]]:
    """(row, column) of the cells of a sheet, from 0."""
    row = 0
    for kind, at, _ in _records(data):
        if kind == _ROW:
            row = _long(data, at)
        elif kind <= _LAST_CELL:
            yield row, _long(data, at)


def cells_of_xlsb(data: bytes, formats: Formats) -> FormattedCells:
    """Cells with a format in a sheet."""
    cells = FormattedCells(formats)
    row = 0
    for kind, at, _ in _records(data):
        if kind == _ROW:
            row = _long(data, at)
        elif kind in _NUMBERS:
            cells.add(row, _long(data, at), _long(data, at + 4) & 0xFFFFFF)
    return cells


def styles_of_xlsb(package: Package) -> Formats:
    """Formats of the workbook's cell styles; none where its styles cannot be read."""
    data = _part(package, "xl/styles.bin")
    codes: dict[int, str] = {}
    styles: list[int] = []
    is_cell_style = False
    for kind, at, size in _records(data if len(data) <= MAX_STYLES_BYTES else b""):
        if kind in (_STYLES_START, _STYLES_END):
            is_cell_style = kind == _STYLES_START
        elif kind == _STYLE and is_cell_style:
            styles.append(_long(data, at) >> 16)
        elif kind == _FORMAT:
            codes[_long(data, at) & 0xFFFF] = _wide(data[at : at + size], 2)
    return formats_of(styles, codes)


def parts_of_xlsb(package: Package) -> list[str]:
    """Names of the sheets' parts in the workbook's order, "" for one that is not found."""
    name = "xl/workbook.bin"
    links = package.relations(name)
    data = _part(package, name)
    ids = [_wide(data[at : at + size], 8) for kind, at, size in _records(data) if kind == _SHEET]
    return [links[link].target.lower() if link in links else "" for link in ids]


def _part(package: Package, name: str) -> bytes:
    try:
        return package.read(name)
    except DocumentError:  # calamine says what it needs of this part
        return b""


def _records(data: bytes) -> Iterator[Record]:
    at, end = 0, len(data)
    while at < end:
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = (kind & 0x7F) | (data[at] if at < end else 0) << 7
            at += 1
        size, shift = 0, 0
        while at < end and shift < 28:
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, at, size
        at += size


def _long(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _wide(body: bytes, at: int) -> str:
    """A string whose length stands before it."""
    return body[at + 4 : at + 4 + 2 * _long(body, at)].decode("utf-16-le", "replace")
