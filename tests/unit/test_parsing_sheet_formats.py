"""Number formats of workbooks: what is shown, and what is left as it is stored."""

import time

import pytest

from tasks.parsing.sheet_biff import cells_of_biff
from tasks.parsing.sheet_formats import BUILT_IN, number_format
from tasks.parsing.sheet_styles import FormattedCells, cells_of_xml, formats_of
from tasks.parsing.sheet_xlsb import cells_of_xlsb

ACCOUNTING = '_-"₩"* #,##0_-;-"₩"* #,##0_-;_-"₩"* "-"_-;_-@_-'


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        ("0.00%", 0.125, "12.50%"),
        ("0%", -0.031, "-3%"),
        ("#,##0", 1234567.5, "1,234,568"),
        ("#,##0", -5, "-5"),
        ("0.00", 0.125, "0.13"),
        ("0.00", 2.675, "2.68"),
        ("0.00", -0.001, "0.00"),
        (ACCOUNTING, 1234, "₩1,234"),
        (ACCOUNTING, -1234, "-₩1,234"),
        (ACCOUNTING, 0, "₩-"),
        ("#,##0_);[Red](#,##0)", -12, "(12)"),
        ('#,##0"원"', 1500, "1,500원"),
        ("#,##0원", 1500, "1,500원"),
        ("[$₩-412]#,##0", 5000, "₩5,000"),
        ("[$₩-ko-KR]#,##0", 5000, "₩5,000"),
        (r"#,##0.00\ [$€-407]", 3.5, "3.50 €"),
        ("$#,##0.00", -5, "-$5.00"),
        ("0.00E+00", 12345.678, "1.23E+04"),
        ("0.00E+00", -31.25, "-3.13E+01"),
        ("0.00E+00", 9.996, "1.00E+01"),
        ("0E+0", 5e-320, "5E-320"),
        ("0.0E+0", -0.00012, "-1.2E-4"),
        ("0.00E+00", 0, "0.00E+00"),
        ("#,##0,", 1234567, "1,235"),
        ('0.0,,"백만"', 1234567, "1.2백만"),
        ("0.0#", 1.5, "1.5"),
        (".00", 0.5, ".50"),
        ("00000", 42, "00042"),
        ("000-0000-0000", 1012345678, "010-1234-5678"),
        ("000000-0000000", 9001011234567, "900101-1234567"),
        ('General"개"', 2.5, "2.5개"),
        ('0.0 "kg"', -2.25, "-2.3 kg"),
    ],
)
def test_a_number_is_shown_as_excel_shows_it(code: str, value: float, text: str) -> None:
    form = number_format(code)
    assert form is not None
    assert form.show(value) == text


@pytest.mark.parametrize(
    "code",
    ["", "General", "@", "# ?/?", "yyyy-mm-dd", "[h]:mm", "[>=1000]#,##0;0", "##0.0E+0", ";;;", '"',
     "0.0 0.0",     '"Y";"N"', "0" + "." + "0" * 40, "0" * 300, "[DBNum1]0", "\x00", "0x"],
)  # fmt: skip
def test_a_format_that_is_not_understood_whole_is_none(code: str) -> None:
    assert number_format(code) is None


@pytest.mark.parametrize("value", [1e15, -1e300, float("inf"), float("nan")])
def test_a_number_without_digits_to_show_stays_as_it_is(value: float) -> None:
    form = number_format("#,##0.00")
    assert form is not None
    assert form.show(value) is None


def test_a_format_that_hides_a_number_leaves_it() -> None:
    form = number_format("0;;")
    assert form is not None
    assert [form.show(value) for value in (1, -1, 0)] == ["1", None, None]


def test_more_digits_than_a_decimal_has_leave_the_number() -> None:
    form = number_format("0.000000000000000%%%%%")
    assert form is not None
    assert form.show(9e14) is None


def test_all_built_in_codes_are_understood() -> None:
    assert all(number_format(code) for code in BUILT_IN.values())


def test_styles_point_to_codes_of_the_file_before_the_built_in_ones() -> None:
    found = formats_of([0, 9, 3, 200], {3: "0.0"})
    assert {style: form.show(0.5) for style, form in found.items()} == {1: "50%", 2: "0.5"}


def test_places_beyond_the_rows_are_passed_over() -> None:
    cells = FormattedCells(formats_of([9], {}))
    for place in ((0, 0), (5, 0), (1, 7), (1, 1), (2, 1)):
        cells.add(*place, 0)
    cells.add(1, 1, 4)
    rows = [[0.5, 0.5], [True]]
    cells.show(rows, (1, 1))
    assert rows == [["50%", 0.5], [True]]


@pytest.mark.parametrize(
    "data",
    [b"<c " * 300_000, b"<c s='1' " * 200_000, b"<c " + b"x" * 2_000_000, b"<c s='1'" + b" " * 2_000_000],
)
def test_cells_are_looked_for_in_linear_time(data: bytes) -> None:
    start = time.process_time()
    cells_of_xml(data, formats_of([9, 9], {}))
    cells_of_xlsb(data, formats_of([9, 9], {}))
    cells_of_biff(data)
    assert time.process_time() - start < 3
