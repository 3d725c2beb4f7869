"""Spreadsheets (XLSX, XLSM, XLSB, XLS, ODS): each sheet a heading with its blocks of cells."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from schemas.document import Element, Metadata, ParsedDocument, PartProblem
from schemas.errors import DocumentError, ParseFailed
from tasks.parsing import opendocument
from tasks.parsing.package import damaged, encrypted, open_package
from tasks.parsing.properties import core_metadata, ole_metadata
from tasks.parsing.sheet_area import refuse_wide, workbook_of_xls
from tasks.parsing.sheet_biff import cells_of_biff
from tasks.parsing.sheet_blocks import Cells, cells_of, sheet_elements
from tasks.parsing.sheet_formats import number_format
from tasks.parsing.sheet_styles import FormattedCells, cells_of_xml, parts_of, styles_of
from tasks.parsing.sheet_xlsb import cells_of_xlsb, parts_of_xlsb, styles_of_xlsb

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
XLS = "application/vnd.ms-excel"
MAX_FILLED = 200_000
"""Cells of a sheet that get the value of the merged cell that covers them."""

_HEAD_BYTES = 1024
_BLANKS = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
_OLE = b"\xd0\xcf\x11\xe0"
_Result = TypeVar("_Result")
_Range = tuple[tuple[int, int], tuple[int, int]]


def parse(data: bytes) -> ParsedDocument:
    """A heading and the blocks of cells of every sheet, hidden ones too; the page is the sheet's number.

    Cells give their last calculated value as it is shown, never a formula; sheets of macros are left out.
    """
    if data.startswith(_OLE):
        formatted = cells_of_biff(workbook_of_xls(data))
        return _document(data, XLS, ole_metadata(data), (), formatted)
    if data[:_HEAD_BYTES].lstrip(_BLANKS).startswith(b"<"):  # a flat OpenDocument file
        return opendocument.parse(data)
    package = open_package(data)
    if "content.xml" in package:  # as calamine holds the area of a sheet, and repeats unfold in it
        return opendocument.parse(data)
    is_binary = "xl/workbook.bin" in package
    formats = styles_of_xlsb(package) if is_binary else styles_of(package)
    shown: dict[str, FormattedCells] = {}

    def note(name: str, sheet: bytes) -> None:
        if formats:
            read = cells_of_xlsb if name.endswith(".bin") else cells_of_xml
            shown[name.lower()] = read(sheet, formats)

    refuse_wide(package, note)
    metadata, noted = core_metadata(package), tuple(package.problems)
    parts = parts_of_xlsb(package) if is_binary else parts_of(package)
    formatted = {number: shown[part] for number, part in enumerate(parts) if part in shown}
    return _document(data, XLSB if is_binary else XLSX, metadata, noted, formatted)


def parse_thorough(data: bytes) -> ParsedDocument:
    """As `parse`, by openpyxl: slower, but a row at a time, so that no sheet is too wide.

    Raises:
        ParseFailed: the file is no XLSX, which is all that this rung reads, or a damaged one.
    """
    from openpyxl import load_workbook

    package = open_package(data)
    if "xl/workbook.xml" not in package:
        raise damaged("its main part is missing")
    package.refuse_bombs("xl/")
    elements: list[Element] = []
    try:
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        for page, sheet in enumerate(book.worksheets, 1):
            sheet.reset_dimensions()  # those declared may be a million rows where three are there
            rows = (cells_of(list(map(_as_shown, row))) for row in sheet.iter_rows())
            elements += sheet_elements(sheet.title, rows, page)
    except MemoryError:
        raise
    except Exception as exc:  # BadZipFile, KeyError, ParseError and more, by where the damage is
        raise damaged("openpyxl cannot read it") from exc
    return ParsedDocument("spreadsheet", XLSX, tuple(elements), core_metadata(package))


def _as_shown(cell: Any) -> object:
    """Value of a cell of openpyxl, a number as its format shows it."""
    value = cell.value
    if type(value) not in (int, float):
        return value
    form = number_format(cell.number_format or "")
    return (form.show(value) if form else None) or value


def _document(
    data: bytes,
    mime: str,
    metadata: Metadata,
    noted: tuple[PartProblem, ...],
    formatted: Mapping[int, FormattedCells],
) -> ParsedDocument:
    from python_calamine import CalamineWorkbook, SheetTypeEnum

    book = _translated(lambda: CalamineWorkbook.from_filelike(io.BytesIO(data)))
    elements: list[Element] = []
    problems: list[PartProblem] = []
    for page, listed in enumerate(book.sheets_metadata, 1):
        if listed.typ in (SheetTypeEnum.MacroSheet, SheetTypeEnum.Vba):
            continue
        try:
            rows = _translated(partial(_rows, book, page - 1, formatted.get(page - 1)))
        except ParseFailed as error:
            problems.append(PartProblem(f"sheet {listed.name}", type(error).__name__, str(error)))
            continue
        elements += sheet_elements(listed.name, rows, page)
    if problems and not elements:
        raise damaged("no sheet of it can be read")
    return ParsedDocument("spreadsheet", mime, tuple(elements), metadata, problems=(*noted, *problems))


def _rows(book: CalamineWorkbook, number: int, formatted: FormattedCells | None) -> Iterator[Cells]:
    sheet = book.get_sheet_by_index(number)
    start = sheet.start or (0, 0)
    rows = sheet.to_python()
    if formatted:
        formatted.show(rows, start)
    return _filled(rows, _from_start(sheet.merged_cell_ranges or (), start))


def _translated(call: Callable[[], _Result]) -> _Result:
    """What a call into calamine gives; its errors, and a panic of its Rust code, as ours."""
    from python_calamine import PasswordError

    try:
        return call()
    except PasswordError as exc:
        raise encrypted() from exc
    except (DocumentError, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exc:  # PanicException is no Exception
        raise damaged("a sheet of it cannot be read") from exc


def _from_start(merged: Sequence[_Range], start: tuple[int, int]) -> list[_Range]:
    """Ranges of merged cells counted from the first used cell."""
    top, left = start
    return [((a - top, b - left), (c - top, d - left)) for (a, b), (c, d) in merged]


def _filled(rows: list[list[Any]], merged: Sequence[_Range]) -> Iterator[Cells]:
    """Cells of each row; a label merged over several rows of one column stands in each of them.

    One merged over columns stays in the first: it is a caption, not a value of each column.
    """
    left = MAX_FILLED
    for (top, column), (bottom, last) in merged:
        if column != last or not 0 <= top < len(rows) or not 0 <= column < len(rows[top]):
            continue
        for row in rows[top + 1 : min(bottom + 1, top + 1 + left)]:
            row[column] = rows[top][column]
            left -= 1
    return map(cells_of, rows)
