"""Which cells of a workbook show their number in a format of their own: read beside the values.

calamine gives values only. Three numbers a cell are kept, and of those cells alone whose style
has a format that `sheet_formats` understands.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Any

from schemas.errors import DocumentError
from tasks.parsing.package import parse_xml
from tasks.parsing.sheet_formats import BUILT_IN, NumberFormat, number_format

if TYPE_CHECKING:
    from tasks.parsing.package import Package

MAX_STYLES_BYTES = 16 * 2**20
MAX_STYLES = 65_536

Formats = dict[int, NumberFormat]
"""Formats that are understood, by the number of the cell style that has them."""

_CELL = re.compile(
    rb"""<(?:\w{1,20}:)?c(?=\s[^<>]{0,200}?\bs=["'](\d{1,5})["'])(?=\s[^<>]{0,200}?\br=["']([A-Za-z]{1,3})(\d{1,7})["'])"""
)


class FormattedCells:
    """Places of a sheet's cells with a format, and the numbers of their styles."""

    def __init__(self, formats: Formats) -> None:
        self._formats = formats
        self._places = array("I")

    def add(self, row: int, column: int, style: int) -> None:
        """Note a cell; row and column from 0. One whose style has no format is left out."""
        if style in self._formats:
            self._places.extend((row, column, style))

    def show(self, rows: list[list[Any]], start: tuple[int, int]) -> None:
        """Put texts in the place of numbers, in rows that begin at the cell `start`."""
        top, left = start
        places = iter(self._places)
        for row, column, style in zip(places, places, places, strict=True):
            if not (0 <= row - top < len(rows) and 0 <= column - left < len(rows[row - top])):
                continue
            value = rows[row - top][column - left]
            if type(value) in (int, float):  # no bool
                rows[row - top][column - left] = self._formats[style].show(value) or value


def styles_of(package: Package) -> Formats:
    """Formats of an XLSX's cell styles; none where its styles cannot be read."""
    name = "xl/styles.xml"
    if name not in package:
        return {}
    try:
        data = package.read(name)
        root = parse_xml(data, name) if len(data) <= MAX_STYLES_BYTES else None
    except DocumentError:  # the values are right without: calamine says where it needs this part
        return {}
    if root is None:
        return {}
    codes = {
        node.get("numFmtId"): node.get("formatCode") or "" for node in root.iterfind("{*}numFmts/{*}numFmt")
    }
    ids = [node.get("numFmtId") or "" for node in root.iterfind("{*}cellXfs/{*}xf")]
    return formats_of([number if number in codes else _number(number) for number in ids], codes)


def formats_of(styles: list[Any], codes: dict[Any, str]) -> Formats:
    """Formats by style: of each style the number of its format, and the codes that the file gives them."""
    found = {
        style: number_format(codes[number] if number in codes else BUILT_IN.get(number, ""))
        for style, number in enumerate(styles[:MAX_STYLES])
    }
    return {style: form for style, form in found.items() if form}


def cells_of_xml(data: bytes, formats: Formats) -> FormattedCells:
    """Cells with a format in the XML of a sheet."""
    cells = FormattedCells(formats)
    wanted = {str(style).encode(): style for style in formats}
    columns: dict[bytes, int] = {}
    for match in _CELL.finditer(data):
        style, letters, row = match.groups()
        if style in wanted:
            if letters not in columns:
                columns[letters] = column_of(letters) - 1
            cells.add(int(row) - 1, columns[letters], wanted[style])
    return cells


def column_of(letters: bytes) -> int:
    """Number of a column from 1.

    >>> column_of(b"AA")
    27
    """
    number = 0
    for letter in letters:
        number = number * 26 + (letter & 0x1F)
    return number


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def parts_of(package: Package) -> list[str]:
    """Names of the sheets' parts in the workbook's order, "" for one that is not found."""
    name = "xl/workbook.xml"
    links = package.relations(name)
    ids = [
        next((value for key, value in sheet.attrib.items() if key.endswith("}id")), "")
        for sheet in package.optional_xml(name).iterfind("{*}sheets/{*}sheet")
    ]
    return [links[link].target.lower() if link in links else "" for link in ids]
