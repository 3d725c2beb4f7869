"""From elements to one clean text."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.document import Element, ElementKind, ParsedDocument
from tasks.cleaning import clean


def blocks(*elements: Element) -> list[str]:
    return [block.text for block in clean(ParsedDocument("test", "text/plain", elements)).blocks]


def joined(text: str, *others: str) -> str:
    return blocks(Element(text, wrapped=True), *(Element(other, wrapped=True) for other in others))[0]


def test_blocks_lie_in_the_text_where_they_say() -> None:
    elements = (Element("A", "heading", level=1), Element("  "), Element("b\nc"), Element("x = 1\n", "code"))
    document = clean(ParsedDocument("test", "text/plain", elements))
    assert document.text == "A\n\nb\nc\n\nx = 1"
    assert [document.text[b.start : b.end] for b in document.blocks] == ["A", "b\nc", "x = 1"]


def test_a_heading_path_follows_the_levels() -> None:
    headings = [("A", 1), ("B", 2), ("C", 4), ("D", 2), ("E", 1)]
    elements = tuple(
        element
        for text, level in headings
        for element in (Element(text, "heading", level=level), Element("t"))
    )
    document = clean(ParsedDocument("test", "text/plain", elements))
    paths = ["A", "A > B", "A > B > C", "A > D", "E"]
    assert [b.heading for b in document.blocks] == [path for path in paths for _ in range(2)]


def test_pages_and_symbols_are_kept() -> None:
    (block,) = clean(
        ParsedDocument("test", "text/plain", (Element("x", "code", page=3, symbol="A.b\0"),))
    ).blocks
    assert (block.page, block.symbol, block.kind) == (3, "A.b", "code")


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\x00b\x07c", "abc"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("right\u202eto\u2066left", "righttoleft"),
        ("tag\U000e0041\U000e0042ged", "tagged"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("e\u0301", "é"),
        ("a \t\u00a0\u3000 b", "a b"),
        ("a  \n   b\r\nc\u2028d", "a\nb\nc\nd"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        (
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467",
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467",
        ),
        ("no\u200djoin 한\u200c글", "nojoin 한글"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_what_nobody_sees_is_removed(dirty: str, expected: str) -> None:
    assert blocks(Element(dirty)) == [expected]


def test_code_keeps_its_spaces_and_loses_only_what_is_invisible() -> None:
    assert blocks(Element("def f():\n\n\n    x  =  1   \n\treturn\x00 x\n\n", "code")) == [
        "def f():\n\n\n    x  =  1\n\treturn x"
    ]


def test_a_table_keeps_one_line_per_row() -> None:
    assert blocks(Element("| a  |\x00 b |\n| --- | --- |\n| 1 |   |", "table")) == [
        "| a | b |\n| --- | --- |\n| 1 | |"
    ]


def test_a_heading_is_one_line() -> None:
    assert blocks(Element("Long \ntitle", "heading", level=1, wrapped=True)) == ["Long title"]


@pytest.mark.parametrize(
    ("wrapped", "expected"),
    [
        ("one two\nthree", "one two three"),
        ("one two \nthree", "one two three"),
        ("infor-\nmation", "information"),
        ("infor\u00ad\nmation", "information"),
        ("INFOR-\nMATION", "INFORMATION"),
        ("COVID-\n19 and Smith-\nJones", "COVID-19 and Smith-Jones"),
        ("5 -\n3", "5 - 3"),
        ("그 프로덕\n션 서버", "그 프로덕션 서버"),
        ("그 프로덕션 \n서버", "그 프로덕션 서버"),
        ("これは日本\n語です", "これは日本語です"),
        ("one\n\ntwo", "one\n\ntwo"),
        (
            "This long line is followed.\nShort end.\nThe next paragraph begins",
            "This long line is followed. Short end.\n\nThe next paragraph begins",
        ),
    ],
)
def test_wrapped_lines_are_joined(wrapped: str, expected: str) -> None:
    assert joined(wrapped) == expected


def test_a_compound_of_the_document_keeps_its_hyphen_at_a_line_end() -> None:
    assert joined("a self-\ncontained unit", "every Self-contained unit") == "a self-contained unit"


def test_lines_that_are_the_authors_stay() -> None:
    assert blocks(Element("roses-\nare red")) == ["roses-\nare red"]


ELEMENTS = st.builds(
    Element,
    st.text(st.characters(), max_size=60),
    st.sampled_from(("heading", "text", "list_item", "table", "code")),
    level=st.integers(0, 6),
    wrapped=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ELEMENTS, max_size=8))
def test_any_elements_give_a_storable_text_with_exact_spans(elements: list[Element]) -> None:
    parsed = ParsedDocument("test", "text/plain", tuple(elements))
    document = clean(parsed)
    assert document == clean(parsed)
    assert "\0" not in document.text
    document.text.encode()
    assert [document.text[b.start : b.end] for b in document.blocks] == [b.text for b in document.blocks]
    assert all(block.text.strip() for block in document.blocks)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=80))
def test_cleaning_what_is_clean_changes_nothing(text: str) -> None:
    once = blocks(Element(text))
    assert blocks(*map(Element, once)) == once


HOSTILE: dict[str, tuple[str, ElementKind, bool]] = {
    "marks": ("a" + "\u0301\u0316" * 1_000_000, "text", False),
    "rare marks": ("a" + "\u0301\U0001d165" * 500_000, "text", False),
    "spaces": ("a" + " " * 2_000_000 + "b", "code", False),
    "newlines": ("a" + "\n" * 2_000_000 + "b", "text", True),
    "one word": ("x" * 2_000_000, "text", True),
    "hyphens": ("a-" * 1_000_000, "text", True),
    "short lines": ("가-\n" * 500_000, "text", True),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name: str) -> None:
    text, kind, wrapped = HOSTILE[name]
    start = time.process_time()
    blocks(Element(text, kind, wrapped=wrapped))
    assert time.process_time() - start < 5
