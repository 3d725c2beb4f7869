"""What a file does not say of itself."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from schemas.document import Element, Metadata, ParsedDocument
from tasks.metadata import complete_metadata, date_from_path, detect_language, title_from_path
from tasks.parsing.dates import parse_date


def complete(uri: str, *elements: Element, text: str = "", **known: object) -> Metadata:
    parsed = ParsedDocument("test", "text/plain", elements, Metadata(**known))  # type: ignore[arg-type]
    return complete_metadata(parsed, text, uri)


def test_what_the_file_says_is_kept() -> None:
    known = {
        "title": "Title",
        "author": "Kim",
        "authored_at": datetime(2020, 1, 2, tzinfo=UTC),
        "language": "de",
        "tags": ("a",),
        "extra": {"k": "v"},
    }
    got = complete("2026-05-31/b.txt", Element("H", "heading", level=1), text="한국어", **known)
    assert got == Metadata(**known)  # type: ignore[arg-type]


def test_a_title_falls_back_to_the_first_heading_and_then_to_the_name() -> None:
    headings = (Element("Sub", "heading", level=2), Element("Main\ntitle", "heading", level=1))
    assert complete("a.txt", *headings).title == "Main title"
    assert complete("dir/사옥_이전-안내.v2.txt", headings[0]).title == "사옥 이전 안내.v2"


@pytest.mark.parametrize(
    ("uri", "title"),
    [("2026-05-31_report.md", "2026-05-31 report"), ("a-b_c.txt", "a b c"), ("x/.hidden", ".hidden")],
)
def test_a_name_becomes_words(uri: str, title: str) -> None:
    assert title_from_path(uri) == title


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("notes/2026-05-31.md", date(2026, 5, 31)),
        ("notes/20260531_x.md", date(2026, 5, 31)),
        ("2026년 5월/회의록.txt", date(2026, 5, 1)),
        ("2026년_5월_31일.txt", date(2026, 5, 1)),
        ("2026년 5월 31일.txt", date(2026, 5, 31)),
        ("2025-01/x_2026.05.31.txt", date(2026, 5, 31)),
        ("2026-05/a.txt", date(2026, 5, 1)),
        ("a/2026-13-45.txt", None),
        ("a/120260531.txt", None),
        ("a/00010203.txt", None),
        ("2026/a.txt", None),
    ],
)
def test_a_date_in_the_path_is_found(uri: str, expected: date | None) -> None:
    found = date_from_path(uri)
    assert (found and found.date()) == expected
    assert found is None or found.tzinfo is UTC


def test_folders_are_tags_where_the_file_has_none() -> None:
    assert complete("규정/인사/a.txt").tags == ("규정", "인사")
    assert complete("규정/a.txt", tags=("x", "x", " ")).tags == ("x",)


def test_values_are_stripped_of_invisible_characters_and_bounded() -> None:
    got = complete(
        "a.txt", title="a\x00b\n c\u200b", author="x" * 10_000, tags=("\x00", "t\x07"), extra={"k\0": "v\0"}
    )
    assert (got.title, got.tags, got.extra) == ("ab c", ("t",), {"k": "v"})
    assert got.author is not None
    assert len(got.author) == 500


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("이 문서는 한국어로 쓰였으며 API 이름이 몇 개 있다.", "ko"),
        ("The report of the year is for all readers of this company.", "en"),
        ("これは日本語の文章です。", "ja"),
        ("这是一个中文句子。", "zh"),
        ("Das ist ein deutscher Satz, der lang genug sein sollte für eine Regel.", None),
        ("Это русский текст.", None),
        ("12345 --- 67", None),
        ("", None),
    ],
)
def test_the_language_is_told_by_script(text: str, language: str | None) -> None:
    assert detect_language(text) == language


KST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-05-31", datetime(2026, 5, 31, tzinfo=UTC)),
        ("2026-05-31T10:00:00+09:00", datetime(2026, 5, 31, 10, tzinfo=KST)),
        ("2026-05-31T10:00:00Z", datetime(2026, 5, 31, 10, tzinfo=UTC)),
        ("2026.5.31", datetime(2026, 5, 31, tzinfo=UTC)),
        ("2026. 5. 31.", datetime(2026, 5, 31, tzinfo=UTC)),
        ("2026년 5월", datetime(2026, 5, 1, tzinfo=UTC)),
        ("31 May 2026", datetime(2026, 5, 31, tzinfo=UTC)),
        ("May 31, 2026", datetime(2026, 5, 31, tzinfo=UTC)),
        ("Sun, 31 May 2026 10:00:00 +0900", datetime(2026, 5, 31, 10, tzinfo=KST)),
        ("D:20260531100000+09'00'", datetime(2026, 5, 31, 10, tzinfo=KST)),
        ("D:2026", datetime(2026, 1, 1, tzinfo=UTC)),
        (date(2026, 5, 31), datetime(2026, 5, 31, tzinfo=UTC)),
        (datetime(2026, 5, 31, 10), datetime(2026, 5, 31, 10, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-02-31", None),
        ("D:20269999", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_become_aware(value: object, expected: datetime | None) -> None:
    assert parse_date(value) == expected
