"""What a file does not say of itself."""

import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from schemas.document import Element, Metadata, ParsedDocument
from tasks.metadata import complete_metadata, date_from_path, detect_language, title_from_path
from tasks.parsing.dates import parse_date
from tasks.parsing.markdown import parse as parse_markdown


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026. 4. 17. 오후 3:05", datetime(2026, 4, 17, 15, 5, tzinfo=UTC)),
        ("2026년 4월 17일 오후 3시", datetime(2026, 4, 17, 15, tzinfo=UTC)),
        ("2026년 4월 17일 (금) 오전 12시 30분 5초", datetime(2026, 4, 17, 0, 30, 5, tzinfo=UTC)),
        ("2026년 4월 17일 금요일 오후 12시", datetime(2026, 4, 17, 12, tzinfo=UTC)),
        ("'26.4.17", datetime(2026, 4, 17, tzinfo=UTC)),
        ("2026.\u00a04.\u00a017.", datetime(2026, 4, 17, tzinfo=UTC)),
        ("２０２６．４．１７", datetime(2026, 4, 17, tzinfo=UTC)),
        ("2026-04-17 14:30 KST", datetime(2026, 4, 17, 14, 30, tzinfo=KST)),
        ("2026/04/17 14:30:22", datetime(2026, 4, 17, 14, 30, 22, tzinfo=UTC)),
        ("20260417T143000Z", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("20260417143000", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("17 April 2026 14:30", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("Friday, April 17th, 2026 2:30 PM", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("17-Apr-2026", datetime(2026, 4, 17, tzinfo=UTC)),
        ("Fri, 17 Apr 2026 14:30:00 EST", datetime(2026, 4, 17, 19, 30, tzinfo=UTC)),
        ("Fri Apr 17 14:30:00 2026", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("4/17/2026 2:30:00 PM", datetime(2026, 4, 17, 14, 30, tzinfo=UTC)),
        ("17.04.2026", datetime(2026, 4, 17, tzinfo=UTC)),
        ("2026-04-17T14:30:00+25:00", datetime(2026, 4, 17, tzinfo=UTC)),
        ("04/05/2026", None),
        ("26.04.17", None),
        ("1601-01-01T00:00:00Z", None),
        ("9999-12-31", None),
        (datetime(1, 1, 1), None),
        (date(2101, 1, 1), None),
        ("46129", None),
        ("1.2.3", None),
        pytest.param(10**5000, None, id="a number of 5,000 digits"),
        pytest.param("1" * 10**6, None, id="a million digits"),
    ],
)
def test_dates_are_read_as_people_and_programs_write_them(value: object, expected: datetime | None) -> None:
    found = parse_date(value)
    assert found == expected
    assert found is None or found.tzinfo is not None


def test_front_matter_is_read_with_korean_keys_and_lists() -> None:
    source = (
        "---\n제목: 인사 규정\n작성자: [김민수, 이영희]\n작성일: 2026. 4. 17.\n태그: '#인사 #규정'\n"
        "키워드: [휴가, 규정]\ncategories: a; b\n부서: 인사팀\n"
        "reviewers: [x, y]\ndue: 2026-05-01\n---\n본문\n"
    )
    for text in (source, unicodedata.normalize("NFD", source)):
        got = complete_metadata(parse_markdown(text.encode()), "본문", "x.md")
        assert got == Metadata(
            title="인사 규정",
            author="김민수, 이영희",
            authored_at=datetime(2026, 4, 17, tzinfo=UTC),
            language="ko",
            tags=("a", "b", "인사", "규정", "휴가"),
            extra={"due": "2026-05-01", "reviewers": "x, y", "부서": "인사팀"},
        )


def test_a_list_of_authors_with_names_is_read() -> None:
    facts = "---\nauthors:\n  - name: Kim\n    mail: k@x\n  - Lee\ntags: false\ndraft: true\n---\nx"
    got = parse_markdown(facts.encode()).metadata
    assert (got.author, got.tags, got.extra["draft"]) == ("Kim, Lee", (), "True")


def test_an_alias_that_repeats_a_text_thousands_of_times_stays_small() -> None:
    facts = "---\na: &a " + "x" * 20_000 + "\nauthors: [" + ", ".join(["*a"] * 8_000) + "]\n---\ny"
    author = parse_markdown(facts.encode()).metadata.author
    assert author is not None
    assert len(author) < 500_000
