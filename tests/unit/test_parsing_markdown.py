"""Markdown beyond CommonMark: broken front matter, pandoc's tables, depth."""

from __future__ import annotations

import pytest

from schemas.document import Element
from tasks.parsing.markdown import parse

SIMPLE = """Before.

  분기    팔레트 수   비고
  ------- ----------- --------------
  3분기   23,105      도크 **수리** 중
  4분기               정상 | 운영
"""


def kinds(source: str) -> list[tuple[str, str]]:
    return [(element.kind, element.text) for element in parse(source.encode()).elements]


@pytest.mark.parametrize("end", ["", "  ------- ----------- --------------\n"])
def test_a_simple_table_of_pandoc_is_a_table(end):
    table = (
        "| 분기 | 팔레트 수 | 비고 |\n| --- | --- | --- |\n"
        "| 3분기 | 23,105 | 도크 수리 중 |\n| 4분기 |  | 정상 \\| 운영 |"
    )
    assert kinds(SIMPLE + end + "\nAfter.") == [("text", "Before."), ("table", table), ("text", "After.")]


def test_dashes_that_mark_no_columns_make_no_table():
    assert kinds("ab cd\n--- ---\nsome text here\n") == [("text", "ab cd"), ("text", "some text here")]
    assert kinds(f"```\n{SIMPLE}```\n") == [("code", SIMPLE.strip("\n"))]


def test_a_grid_table_keeps_its_lines():
    grid = "+---+---+\n| a | b |\n+===+===+\n| 1 | 2 |\n+---+---+"
    assert kinds(grid) == [("text", grid)]


def test_broken_front_matter_is_told_and_is_no_heading():
    parsed = parse("---\ntitle: 안내\ntags: [broken\nauthor: 김서연\n---\n\n# 제목\n\n본문".encode())
    assert parsed.elements == (Element("제목", "heading", level=1), Element("본문"))
    assert (parsed.metadata.title, parsed.metadata.author) == ("안내", "김서연")
    assert [problem.part for problem in parsed.problems] == ["front matter"]


def test_text_between_rules_is_no_front_matter():
    assert [text for _, text in kinds("---\njust text, [not facts\n---\n\nBody")] == [
        "just text, [not facts",
        "Body",
    ]
    assert "just text" in kinds("---\njust text\n---\n\nBody")[0][1]


def test_text_in_quotes_deeper_than_the_reader_follows_is_found():
    assert kinds("> " * 20_000 + "deep quote\n") == [("text", "deep quote")]
