"""Tables as Markdown."""

import pytest

from tasks.parsing.docx_styles import without_table_styles
from tasks.parsing.tables import markdown_table


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("plain", "plain"),
        ("two words", "two words"),
        (" before", "before"),
        ("after ", "after"),
        ("two  spaces", "two spaces"),
        ("two\nlines", "two lines"),
        ("\u3000wide\u00a0space", "wide space"),
        ("a|b", "a\\|b"),
        ("nul\0inside", "nul\0inside"),
        ("", ""),
        (" ", ""),
    ],
)
def test_a_cell_is_one_line_wherever_it_stands(cell: str, expected: str) -> None:
    for place in range(3):
        row = ["x", "y", "z"]
        row[place] = cell
        header, rule, line = markdown_table([["a", "b", "c"], row]).split("\n")
        want = ["x", "y", "z"]
        want[place] = expected
        assert (header, rule) == ("| a | b | c |", "| --- | --- | --- |")
        assert line == f"| {' | '.join(want)} |"


def test_columns_without_any_text_at_the_end_are_left_out() -> None:
    assert markdown_table([["a", "", " "], ["b", "c", ""], ["", ""]]) == "| a |  |\n| --- | --- |\n| b | c |"
    assert markdown_table([["", " "], []]) == ""


def test_styles_that_are_cut_off_are_left_as_they_are() -> None:
    table = b'<w:style w:type="table" w:styleId="T"><w:name w:val="Grid"/>'
    assert without_table_styles(table) == table
    kept = b'<w:style w:type="paragraph" w:styleId="P"/>'
    assert without_table_styles(table + b"</w:style>" + kept) == kept
