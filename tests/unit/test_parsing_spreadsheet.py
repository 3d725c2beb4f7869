"""Spreadsheets: blocks, values as people read them, merged cells, hostile sizes, both readers."""

import io
import resource
import struct
import time as time_of_day
from datetime import date, datetime, time, timedelta

import pytest
import xlsxwriter

from schemas.document import Element
from schemas.errors import DocumentError, EncryptedDocument, ParseFailed
from tasks.parsing import spreadsheet
from tasks.parsing.package import open_package
from tasks.parsing.sheet_blocks import cells_of, sheet_elements, shown
from tests.formats.build_office import zipped
from tests.formats.build_sheets import xls, xlsb
from tests.formats.build_text import FIXTURES
from tests.unit.parsing_inputs import package

READERS = [spreadsheet.parse, spreadsheet.parse_thorough]
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    'officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>',
}


def by_hand(cells: str) -> bytes:
    """A workbook around the XML of a sheet."""
    sheet = (
        f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{cells}</worksheet>'
    )
    return package(PARTS | {"xl/worksheets/sheet1.xml": sheet})


def written(write) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        write(book)
    return buffer.getvalue()


def blocks(*rows: list[object]) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in sheet_elements("S", map(cells_of, rows), 1)[1:]]


def test_blank_rows_part_blocks_and_a_title_above_a_table_is_text() -> None:
    found = blocks(
        ["Sales 2026"], ["Region", "Sum"], ["서울", 3.0], ["Source: books"], [], ["a", "b"], ["c", "d"]
    )
    assert found == [
        ("text", "Sales 2026"),
        ("table", "| Region | Sum |\n| --- | --- |\n| 서울 | 3 |"),
        ("text", "Source: books"),
        ("table", "| a | b |\n| --- | --- |\n| c | d |"),
    ]


def test_a_row_of_one_cell_inside_a_table_stays_in_it() -> None:
    assert blocks(["a", "b"], ["Group"], ["c", "d"])[0][1].count("\n") == 3


def test_blank_columns_are_left_out() -> None:
    assert blocks(["", "a", "", "b"], ["", "1x", "", "2x"]) == [
        ("table", "| a | b |\n| --- | --- |\n| 1x | 2x |")
    ]


def test_rows_of_numbers_get_a_header_and_years_above_words_are_one() -> None:
    assert blocks([1.0, 2.0], [3.0, 4.0])[0][1].startswith("| column 1 | column 2 |")
    assert blocks([2025.0, 2026.0], ["a", "b"])[0][1].startswith("| 2025 | 2026 |")


def test_a_sheet_without_text_gives_nothing() -> None:
    assert sheet_elements("S", [[], []], 1) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.0, "1234"),
        (0.1 + 0.2, "0.3"),
        (-18.4, "-18.4"),
        (1e300, "1e+300"),
        (123456789012345678.0, "1.23456789012346e+17"),
        (True, "TRUE"),
        (datetime(2026, 4, 17), "2026-04-17"),
        (datetime(2026, 4, 17, 9, 5), "2026-04-17 09:05:00"),
        (date(2026, 4, 17), "2026-04-17"),
        (time(9, 5), "09:05:00"),
        (timedelta(days=1, hours=2), "26:00:00"),
        ("#REF!", ""),
        ("#DIV/0!", ""),
        ("Err:502", ""),
        ("#1 choice", "#1 choice"),
        (" text ", "text"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text


def _mixed(book) -> None:
    day, percent = (book.add_format({"num_format": form}) for form in ("yyyy-mm-dd", "0%"))
    sheet = book.add_worksheet("자료")
    sheet.write_row(0, 0, ["Day", "Sum", "Share", "Ok"])
    sheet.write_datetime(1, 0, datetime(2026, 4, 17), day)
    sheet.write_formula(1, 1, "=SUM(1,2)", None, 3)
    sheet.write_number(1, 2, 0.15, percent)
    sheet.write_boolean(1, 3, True)
    sheet.write_formula(2, 1, "=1/0", None, "#DIV/0!")
    sheet.write_string(2, 3, "a|b")
    hidden = book.add_worksheet("hidden")
    hidden.hide()
    hidden.write(0, 0, "found")
    book.add_worksheet("empty")


@pytest.mark.parametrize("read", READERS)
def test_both_readers_give_the_same_sheets(read) -> None:
    assert read(written(_mixed)).elements == (
        Element("자료", "heading", level=2, page=1),
        Element(
            "| Day | Sum | Share | Ok |\n| --- | --- | --- | --- |\n| 2026-04-17 | 3 | 15% | TRUE |\n"
            "|  |  |  | a\\|b |",
            "table",
            page=1,
        ),
        Element("hidden", "heading", level=2, page=2),
        Element("found", page=2),
    )


def test_a_label_merged_over_rows_stands_in_each_and_one_over_columns_once() -> None:
    def write(book) -> None:
        sheet = book.add_worksheet()
        sheet.merge_range(2, 1, 2, 3, "wide")
        sheet.merge_range(3, 1, 4, 1, "tall")
        sheet.write_row(3, 2, ["a", "b"])
        sheet.write_row(4, 2, ["c", "d"])

    assert [e.text for e in spreadsheet.parse(written(write)).elements[1:]] == [
        "wide",
        "| tall | a | b |\n| --- | --- | --- |\n| tall | c | d |",
    ]


def test_merged_ranges_without_end_fill_no_more_than_the_sheet_has() -> None:
    ranges = "".join(f'<mergeCell ref="A{n}:A1048576"/>' for n in range(1, 500))
    rows = "".join(f'<row r="{n}"><c r="A{n}"><v>{n}</v></c></row>' for n in range(1, 2000))
    data = by_hand(f"<sheetData>{rows}</sheetData><mergeCells>{ranges}</mergeCells>")
    assert len(spreadsheet.parse(data).elements) == 2000


FAR = (
    '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>near</t></is></c>'
    "</row>"
    '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row></sheetData>'
)


def test_cells_far_apart_are_left_to_the_reader_that_needs_no_area() -> None:
    data = by_hand(FAR)
    with pytest.raises(ParseFailed, match="too far apart"):
        spreadsheet.parse(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [e.text for e in spreadsheet.parse_thorough(data).elements] == ["S", "near", "far"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


@pytest.mark.parametrize("read", READERS)
def test_a_declared_size_means_nothing(read) -> None:
    near = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>near</t></is></c></row></sheetData>'
    data = by_hand(f'<dimension ref="A1:XFD1048576"/>{near}')
    assert [e.text for e in read(data).elements] == ["S", "near"]


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A1" t="s"><v>99999999</v></c>',
        '<c r="A1" s="9999"><v>1</v></c>',
        '<c r="ZZZZZZ99999999999"><v>1</v></c>',
        '<c r="A0"><v>1</v></c>',
        '<c r=""><v>x</v></c>',
        '<c t="d"><v>9999-99-99</v></c>',
        '<c><v>1e999</v></c>',
    ],
)  # fmt: skip
def test_absurd_cells_do_no_harm(cell: str) -> None:
    try:
        found = spreadsheet.parse(by_hand(f'<sheetData><row r="1">{cell}</row></sheetData>'))
    except DocumentError as error:
        assert error.advice
    else:
        assert sum(len(e.text) for e in found.elements) < 1000


def test_xls_is_read_with_its_metadata() -> None:
    parsed = spreadsheet.parse(xls({"자료": [("이름", "값"), ("가", "1")]}, title="제목", author="Kim"))
    assert [e.text for e in parsed.elements] == ["자료", "| 이름 | 값 |\n| --- | --- |\n| 가 | 1 |"]
    assert (parsed.metadata.title, parsed.metadata.author) == ("제목", "Kim")


def test_xls_with_a_password_is_encrypted() -> None:
    with pytest.raises(EncryptedDocument):
        spreadsheet.parse(xls({"S": [("a", "b")]}, has_password=True))


def test_xlsb_is_read() -> None:
    parsed = spreadsheet.parse(xlsb({"자료": [("이름", "값"), ("가", "1")]}))
    assert [e.text for e in parsed.elements] == ["자료", "| 이름 | 값 |\n| --- | --- |\n| 가 | 1 |"]


def test_binary_sheets_with_cells_far_apart_are_refused_before_they_are_opened() -> None:
    data = xlsb({"S": [("a",), ("b",)]})
    sheet = open_package(data).read("xl/worksheets/sheet1.bin")
    last_row = sheet.replace(b"\0\x11\1\0\0\0", b"\0\x11\xff\xff\x0f\0")
    wide = last_row.replace(b"\6\x0e\0\0\0\0", b"\6\x0e\xff\x3f\0\0", 1)
    parts = {name: open_package(data).read(name) for name in open_package(data).names()}
    with pytest.raises(ParseFailed, match="too far apart"):
        spreadsheet.parse(zipped(parts | {"xl/worksheets/sheet1.bin": wide}))


def test_old_sheets_with_cells_far_apart_are_refused_before_they_are_opened() -> None:
    label = bytes.fromhex("04020b00") + bytes(4)
    data = xls({"S": [("a",), ("b",)]}).replace(label, bytes.fromhex("04020b00") + b"\xff\xff\xff\xff", 1)
    with pytest.raises(ParseFailed, match="too far apart"):
        spreadsheet.parse(data)


def test_a_header_that_counts_more_sectors_than_there_are_is_refused() -> None:
    data = bytearray(xls({"S": [("a",)]}))
    data[44:48] = b"\xff\xff\xff\x7f"
    with pytest.raises(ParseFailed, match="more sectors"):
        spreadsheet.parse(bytes(data))


def test_a_damaged_sheet_is_told_and_the_others_are_read() -> None:
    def write(book) -> None:
        for name in ("one", "two"):
            sheet = book.add_worksheet(name)
            for row in range(500):
                sheet.write_row(row, 0, [f"{name} {row}", row * 7919])

    data = bytearray(written(write))
    middle = data.find(b"xl/worksheets/sheet2.xml") + 2000
    data[middle : middle + 200] = b"\xff" * 200
    parsed = spreadsheet.parse(bytes(data))
    assert [e.text for e in parsed.elements if e.kind == "heading"] == ["one"]
    assert [problem.part for problem in parsed.problems] == ["sheet two"]


@pytest.mark.parametrize("read", READERS)
def test_a_bomb_that_another_library_would_unpack_is_refused(read) -> None:
    parts = PARTS | {"xl/worksheets/sheet1.xml": "<worksheet/>", "xl/sharedStrings.xml": " " * (40 * 2**20)}
    with pytest.raises(ParseFailed, match="decompression bomb"):
        read(package(parts))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("read", READERS)
def test_a_workbook_cut_off_is_damaged(read, share: float) -> None:
    data = written(_mixed)
    with pytest.raises(ParseFailed):
        read(data[: int(len(data) * share)])


def _formats(book) -> None:
    sheet = book.add_worksheet("first")
    sheet.write_row(1, 1, ["item", "sum"])
    sheet.write_string(2, 1, "12", book.add_format({"num_format": "0.00%"}))
    sheet.write_number(2, 2, -1234.5, book.add_format({"num_format": '_-"₩"* #,##0_-;-"₩"* #,##0_-'}))
    sheet.write_boolean(3, 1, True, book.add_format({"num_format": "0.00"}))
    sheet.write_formula(3, 2, "=1/3", book.add_format({"num_format": "0.0%"}), 1 / 3)
    other = book.add_worksheet("second")
    other.write_row("A1", ["a", "b"])
    other.write_number("A2", 0.5)
    other.write_number("B2", 1e9, book.add_format({"num_format": 3}))


@pytest.mark.parametrize("read", READERS)
def test_numbers_are_read_as_their_cells_show_them(read) -> None:
    found = [e.text for e in read(written(_formats)).elements if e.kind == "table"]
    assert found == [
        "| item | sum |\n| --- | --- |\n| 12 | -₩1,235 |\n| TRUE | 33.3% |",
        "| a | b |\n| --- | --- |\n| 0.5 | 1,000,000,000 |",
    ]


@pytest.mark.parametrize("name", ["numbers.xls", "numbers.xlsb"])
def test_binary_workbooks_show_their_numbers_too(name: str) -> None:
    parsed = spreadsheet.parse((FIXTURES / name).read_bytes())
    assert "| 냉장 | 1,234,568 | 12.50% | ₩5,000 | -20.00 | 2026-04-17 |" in parsed.elements[1].text
    assert "| all | 3,580,245.50 |" in parsed.elements[3].text


STYLES = (
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts>'
    '<numFmt numFmtId="170" formatCode="0.0&quot;kg&quot;"/></numFmts><cellXfs><xf numFmtId="0"/>'
    '<xf numFmtId="170"/><xf numFmtId="x"/></cellXfs></styleSheet>'
)


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ('r="B1" s="1"', "2.0kg"),
        ("t='n' s='1' r='B1'", "2.0kg"),
        ('r="B1" s="2"', "2"),
        ('r="B1" s="99999"', "2"),
        ('r="B1" s="-1"', "2"),
        ('r="B1"', "2"),
    ],
)
def test_the_style_of_a_cell_is_found_however_its_xml_is_written(attributes: str, shown: str) -> None:
    cells = f'<sheetData><row r="1"><c {attributes}><v>2</v></c></row></sheetData>'
    sheet = (
        f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{cells}</worksheet>'
    )
    types = PARTS["[Content_Types].xml"].replace(
        "</Types>",
        '<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.styles+xml"/></Types>',
    )
    data = package(
        PARTS | {"[Content_Types].xml": types, "xl/styles.xml": STYLES, "xl/worksheets/sheet1.xml": sheet}
    )
    assert [e.text for e in spreadsheet.parse(data).elements] == ["S", shown]


def test_a_long_row_of_digits_takes_no_time_in_the_search_for_a_header() -> None:
    start = time_of_day.process_time()
    digits = "1" * 100_000 + "x"
    assert blocks([digits, digits], [digits, digits])
    assert time_of_day.process_time() - start < 2


def test_a_property_that_counts_four_billion_values_is_left_out() -> None:
    data = xls({"S": [("a", "b")]}, title="T", author="Kim")
    value = struct.pack("<II", 30, 4) + b"Kim\0"
    assert data.count(value) == 1
    parsed = spreadsheet.parse(data.replace(value, struct.pack("<III", 0x100D, 0xFFFFFFFF, 0)))
    assert (parsed.metadata.title, parsed.metadata.author) == ("T", None)
