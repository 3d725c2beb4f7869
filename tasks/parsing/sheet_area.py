"""Sheets whose few cells lie so far apart that the fast reader cannot hold what is between them.

calamine holds a sheet's whole area, 32 bytes a cell: where it is too large it ends the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from schemas.errors import ParseFailed
from tasks.parsing.ole import stream
from tasks.parsing.ole_chains import is_endless
from tasks.parsing.package import DAMAGE, damaged, encrypted
from tasks.parsing.sheet_styles import column_of
from tasks.parsing.sheet_xlsb import places_of_xlsb

if TYPE_CHECKING:
    from tasks.parsing.package import Package

MAX_AREA = 20_000_000

_ROW = re.compile(rb"""\br=["'](\d{1,30})["']""")
_COLUMN = re.compile(rb"""\br=["']([A-Za-z]{1,30})\d""")
_BIFF_CELLS = frozenset((0x06, 0xBD, 0xBE, 0xD6, 0xFD, 0x201, 0x203, 0x204, 0x205, 0x207, 0x27E))
_SECTOR_BYTES = 512
_SECTOR_COUNTS = (40, 44, 64, 72)
"""Where an OLE header counts sectors: calamine makes room for as many as it says."""
_BIFF_PASSWORD = 0x2F

Place = tuple[int, int]
"""(row, column) of a cell, from 0."""


def refuse_wide(package: Package, seen: Callable[[str, bytes], None]) -> None:
    """Raise ParseFailed where a sheet of an XLSX or XLSB has too large an area.

    `seen` gets the name and the bytes of each sheet, which are unpacked only once for both.
    """
    package.refuse_bombs("xl/")
    for name in package.names():
        if not name.startswith("xl/worksheets/") or not name.endswith((".xml", ".bin")):
            continue
        try:
            data = package.read(name)
        except ParseFailed as error:
            if error.facts.get("cause") != DAMAGE:
                raise
            continue  # the other sheets are read: calamine says of this one what it finds
        if name.endswith(".xml"):
            rows = [int(row) for row in _ROW.findall(data)]
            columns = [column_of(letters) for letters in set(_COLUMN.findall(data))]
            _check(rows, columns)
        else:
            _check_places(places_of_xlsb(data))
        seen(name, data)


def workbook_of_xls(data: bytes) -> bytes:
    """The stream of an XLS that holds its sheets, none where it is missing.

    Raises:
        ParseFailed: a sheet of it is too large, or the file is damaged.
        EncryptedDocument: it has a password; calamine only says that it does not know the format.
    """
    import olefile

    sectors = len(data) // _SECTOR_BYTES + 1
    if any(int.from_bytes(data[at : at + 4], "little") > sectors for at in _SECTOR_COUNTS):
        raise damaged("its header counts more sectors than it has")
    try:
        with olefile.OleFileIO(data) as file:
            endless = is_endless(file, data)
            book = stream(file, "Workbook")
    except Exception as exc:
        raise damaged("its directory cannot be read") from exc
    if endless:
        raise damaged("its sectors go in circles")
    _check_places(_biff_places(book))
    return book


def _check_places(places: Iterator[Place]) -> None:
    rows, columns = set[int](), set[int]()
    for row, column in places:
        rows.add(row)
        columns.add(column)
    _check(list(rows), list(columns))


def _check(rows: list[int], columns: list[int]) -> None:
    if rows and columns and (max(rows) - min(rows) + 1) * (max(columns) - min(columns) + 1) > MAX_AREA:
        raise ParseFailed(
            "The cells of a sheet lie too far apart for the fast reader.",
            advice="Delete the stray cells at the sheet's end, or exclude the file.",
        )


def _biff_places(book: bytes) -> Iterator[Place]:
    """Places of the cells of all sheets of an XLS. Source: [MS-XLS] 2.1.4, records."""
    at, end = 0, len(book)
    while at + 8 <= end:
        kind = book[at] | book[at + 1] << 8
        if kind == _BIFF_PASSWORD:
            raise encrypted()
        if kind in _BIFF_CELLS:
            yield book[at + 4] | book[at + 5] << 8, book[at + 6] | book[at + 7] << 8
        at += 4 + (book[at + 2] | book[at + 3] << 8)
