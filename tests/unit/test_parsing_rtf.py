# ruff: noqa: E501

from __future__ import annotations

import pytest

from schemas.errors import ParseFailed
from tasks.parsing.rtf import parse, parse_plain
from tests.formats.build_rtf import features_rtf, hexed


def read(
    body: str,
    head: str = r"\ansi\ansicpg949\deff0{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset129 B;}{\f2\fcharset204 C;}}",
):
    return parse(f"{{\\rtf1{head} {body}}}".encode("latin-1"))


def texts(body: str) -> list[str]:
    return [element.text for element in read(body).elements]


def test_the_current_font_decides_the_code_page():
    assert texts(r"\f1 \'c7\'d1\'b1\'db {\f2 \'cf\'f0\'e8} \'b0\'a1\par") == ["한글 При 가"]


def test_a_trail_byte_may_be_a_letter():
    assert "갂".encode("cp949") == b"\x81A"
    assert texts(r"\f1 \'81A!\par") == ["갂!"]


def test_unicode_skips_as_many_fallback_characters_as_declared():
    assert texts(r"\uc2\u44032\'b0\'a1\uc0\u45208\uc1\u45796?!\par") == ["가나다!"]


def test_an_emoji_in_two_halves_is_one_character():
    assert texts(r"\u-10179?\u-8704?\par") == ["😀"]


def test_half_an_emoji_does_no_harm():
    assert "a" in texts(r"a\u-10179?\par")[0]


@pytest.mark.parametrize("page", ["0", "1", "99999", "-5", "949000000000"])
def test_an_absurd_code_page_does_no_harm(page):
    parsed = parse(f"{{\\rtf1\\ansi\\ansicpg{page} abc \\'e9\\par}}".encode())
    assert parsed.elements[0].text.startswith("abc")


def test_styles_named_as_headings_are_headings_in_both_languages():
    head = r"{\stylesheet{\s1 heading 2;}{\s2 " + hexed("개요 3") + r";}{\s3\outlinelevel0 Own;}{\s4 List;}}"
    found = read(head + r"\pard\s1 A\par\pard\s2 B\par\pard\s3 C\par\pard\s4 D\par\pard E\par").elements
    assert [(e.text, e.level) for e in found] == [("A", 2), ("B", 3), ("C", 1), ("D", 0), ("E", 0)]


def test_markers_of_lists_stay_and_bullets_become_dashes():
    assert texts(r"\pard{\listtext \'b7\tab}one\par\pard{\listtext 2.\tab}two\par") == ["- one", "2. two"]


def test_nothing_of_pictures_objects_headers_and_binary_data_is_text():
    body = r"{\header secret\par}{\pict 6162}{\object{\*\objdata 6162}{\result seen}}{\*\unknown secret}\bin7 {{{{{{{ end\par"
    assert texts(body) == ["seen end"]


def test_hidden_and_deleted_text_is_left_out():
    assert texts(r"a{\v b}\v c\v0 d{\deleted e}f\par") == ["adf"]


def test_notes_come_last():
    assert texts(r"a{\footnote\pard note\par}b\par c\par") == ["ab", "c", "note"]


def test_cells_keep_their_paragraphs_apart_and_their_row():
    body = r"\trowd\cellx1\cellx2\pard\intbl a\par b\cell c\cell\row\trowd\cellx1\cellx2\intbl d\cell e\cell\row\pard end\par"
    assert texts(body) == ["| a b | c |\n| --- | --- |\n| d | e |", "end"]


def test_a_row_whose_end_is_missing_is_kept():
    assert texts(r"\trowd\cellx1\cellx2\pard\intbl a\cell b\cell\pard end\par")[0].startswith("| a | b |")


def test_what_is_said_in_the_code_page_and_in_unicode_is_read_once():
    upr = r"{\upr{\title ??}{\*\ud{\title \u54616\'3f\u48152\'3f}}}"
    parsed = read(rf"{{\info{upr}{{\author \u44608\'3f}}}}before {{\upr{{old}}{{\*\ud{{new}}}}}} after\par")
    assert (parsed.metadata.title, parsed.metadata.author) == ("하반", "김")
    assert [e.text for e in parsed.elements] == ["before new after"]


def test_cells_behind_a_wide_one_keep_their_columns():
    narrow = r"\trowd\clvmgf\cellx1000\cellx2000\cellx3000\pard\intbl a\cell b\cell c\cell\row"
    wide = r"\trowd\cellx2010\cellx3000\pard\intbl total\cell 7\cell\row"
    tall = r"\trowd\clvmrg\cellx1000\cellx3000\pard\intbl\cell d\cell\row"
    assert texts(narrow + wide + narrow + tall)[0].split("\n")[2:] == [
        "| total |  | 7 |",
        "| a | b | c |",
        "| a | d |  |",
    ]


def test_a_row_without_cells_costs_nothing():
    row = r"\trowd\cellx1000\cellx2000\pard\intbl a\cell b\cell\row"
    assert texts(row + r"\trowd\row" + row)[0].count("| a | b |") == 2


def test_edges_that_fit_no_other_row_leave_the_cells_in_order():
    rows = r"\trowd\cellx1000\cellx2000\cellx3000\pard\intbl a\cell b\cell c\cell\row"
    odd = r"\trowd\cellx1500\cellx3000\pard\intbl d\cell e\cell\row"
    absurd = r"\trowd\cellx-99999999999999999999\cellx3000\pard\intbl f\cell g\cell\row"
    assert texts(rows + odd + absurd)[0].split("\n")[2:] == ["| d | e |  |", "| f | g |  |"]


def test_a_file_that_ends_in_its_text_says_so():
    parsed = parse(b"{\\rtf1 first\\par second {\\b third")
    assert [e.text for e in parsed.elements] == ["first", "second third"]
    assert parsed.problems[0].part == "end"


def test_very_many_open_groups_cost_no_stack():
    assert parse(b"{\\rtf1 " + b"{" * 200_000 + b"deep").elements[0].text == "deep"


def test_absurd_widths_do_not_multiply():
    data = b"{\\rtf1 " + b"\\cell " * 20_000 + b"a\\cell\\row " + b"b\\cell\\row " * 2_000 + b"}"
    text = parse(data).elements[0].text
    assert "a" in text and len(text) < 1_000_000


def test_the_last_rung_also_reads_what_the_first_does_not_know():
    data = b"{\\rtf1 {\\*\\strange inner text}}"
    assert parse(data).elements == ()
    assert [e.text for e in parse_plain(data).elements] == ["inner text"]


def test_something_else_is_refused():
    with pytest.raises(ParseFailed):
        parse(b"no rtf at all")


def test_every_cut_of_a_document_is_read_or_refused():
    data = features_rtf()
    for end in range(0, len(data), 7):
        try:
            parse(data[:end])
        except ParseFailed:
            assert end < 10
