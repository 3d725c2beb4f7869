"""Facts from paths by templates."""

from __future__ import annotations

import time
import tomllib
import unicodedata
from datetime import UTC, datetime

import pytest

from flows.configuration import load_settings
from schemas.document import Element, Metadata, ParsedDocument
from schemas.errors import ConfigurationError
from schemas.path_template import parse_template
from tasks.metadata import complete_metadata
from tasks.metadata_paths import PathFacts, path_date, read_path


def _day(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        (
            "resumes/{department}/{author}_{date}.pdf",
            "resumes/HR/kim_minsu_2026-04-17.pdf",
            PathFacts({"department": "HR", "author": "kim_minsu"}, _day(2026, 4, 17)),
        ),
        ("{year}/{tag}/**", "2026/hr/a/b.txt", PathFacts({"year": "2026"}, tags=("hr",))),
        ("{year}/{tag}/**", "2026/hr.txt", PathFacts()),
        ("{tag}/{tag}/*", "인사/규정/a.txt", PathFacts(tags=("인사", "규정"))),
        (
            "{title}_{date}.*",
            "a/b/사옥_이전_2026_04_17.hwp",
            PathFacts({"title": "사옥 이전"}, _day(2026, 4, 17)),
        ),
        ("{date}_{title}.md", "260417_회의록.md", PathFacts({"title": "회의록"}, _day(2026, 4, 17))),
        ("{date}_{title}.md", "v2_회의록.md", PathFacts()),
        ("**/{부서}/[0-9].txt", "x/y/인사팀/[0-9].txt", PathFacts({"부서": "인사팀"})),
        ("{language}/**", "ko-KR/a.txt", PathFacts({"language": "ko"})),
        ("{language}/**", "korean/a.txt", PathFacts()),
        ("docs/?{number}.md", "docs/v12.md", PathFacts({"number": "12"})),
        ("{author}.md", "deep/down/Kim.md", PathFacts({"author": "Kim"})),
        ("{author}/x.md", "deep/Kim/x.md", PathFacts()),
        ("{a}-{b}-{c}.md", "1-2-3-4.md", PathFacts({"a": "1-2", "b": "3", "c": "4"})),
        ("x/{Author!}/**", "x/Kim/a", PathFacts({"author": "Kim"}, winners=frozenset({"author"}))),
    ],
)
def test_a_template_reads_a_path(pattern, uri, expected):
    assert read_path(uri, [pattern]) == expected
    assert read_path(unicodedata.normalize("NFD", uri), [unicodedata.normalize("NFD", pattern)]) == expected


def test_the_first_template_that_matches_wins():
    patterns = ["a/{x}.pdf", "a/{y}.*", "**/{z}"]
    assert read_path("a/1.txt", patterns).fields == {"y": "1"}
    assert read_path("b/1.txt", patterns).fields == {"z": "1.txt"}
    assert read_path("b/1.txt", []) == PathFacts()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", _day(2026, 1, 1)),
        ("2026-04", _day(2026, 4, 1)),
        ("202604", _day(2026, 4, 1)),
        ("20260417", _day(2026, 4, 17)),
        ("2026.4.7", _day(2026, 4, 7)),
        ("26-04-17", _day(2026, 4, 17)),
        ("201231", _day(2020, 12, 31)),
        ("2026년 4월 17일", _day(2026, 4, 17)),
        ("2026년_4월", _day(2026, 4, 1)),
        *((text, None) for text in ("17", "20261345", "1234", "3000-01-01", "2026-02-30", "v1", "")),
    ],
)
def test_the_date_of_a_path_is_read(text, expected):
    assert path_date(text) == expected


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("resumes/*.pdf", "names no part"),
        ("{a}{b}", "nothing stands between"),
        ("{a}*", "nothing stands between"),
        ("{a}/{a}", "twice"),
        ("{}", "begins with a letter"),
        ("{1}", "begins with a letter"),
        ("{a/b}", "begins with a letter"),
        ("{a", "lone {"),
        ("a}/{b}", "lone }"),
        ("/".join(f"{{p{i}}}" for i in range(20)), "more than 20"),
        ("{a}" + "x" * 500, "longer"),
    ],
)
def test_a_wrong_template_is_refused_when_settings_are_read(tmp_path, pattern, says):
    with pytest.raises(ValueError, match=says):
        parse_template(pattern)
    (tmp_path / "revector.toml").write_text(f"[collections.a.metadata]\npaths = ['{pattern}']\n")
    with pytest.raises(ConfigurationError, match=rf"collections\.a\.metadata\.paths: .*{says}"):
        load_settings(environ={}, cwd=tmp_path)


def test_templates_are_a_setting_of_a_collection(tmp_path):
    (tmp_path / "revector.toml").write_text(
        '[collections.a.metadata]\npaths = ["{year}/**", "{author!}/*"]\n'
    )
    assert tomllib.loads((tmp_path / "revector.toml").read_text())
    settings = load_settings(environ={}, cwd=tmp_path)
    assert settings.collection("a").metadata.paths == ("{year}/**", "{author!}/*")
    assert settings.collection("b").metadata.paths == ()


def _complete(uri: str, *patterns: str, **known: object) -> Metadata:
    elements = (Element("Heading", "heading", level=1),)
    parsed = ParsedDocument("test", "text/plain", elements, Metadata(**known))  # type: ignore[arg-type]
    return complete_metadata(parsed, "", uri, patterns=patterns)


OWN = {
    "title": "Own",
    "author": "Lee",
    "authored_at": _day(2020, 1, 1),
    "language": "de",
    "tags": ("own",),
    "extra": {"Department": "Law", "k": "v"},
}
URI = "HR/ko/x/Kim_2026-04-17_Path title.pdf"


def test_the_file_wins_over_its_path():
    got = _complete(URI, "{department}/{language}/{tag}/{author}_{date}_{title}.pdf", **OWN)
    assert got == Metadata(**{**OWN, "extra": {"Department": "Law", "k": "v"}})  # type: ignore[arg-type]


def test_the_path_fills_what_the_file_does_not_say():
    got = _complete(URI, "{department}/{language}/{tag}/{author}_{date}_{title}.pdf")
    assert got == Metadata("Path title", "Kim", _day(2026, 4, 17), "ko", ("x",), {"department": "HR"})


def test_the_path_wins_where_the_template_says_so():
    got = _complete(URI, "{department!}/{language!}/{tag!}/{author!}_{date!}_{title!}.pdf", **OWN)
    expected = Metadata("Path title", "Kim", _day(2026, 4, 17), "ko", ("x",), {"department": "HR", "k": "v"})
    assert got == expected


def test_without_a_template_that_matches_all_is_as_before():
    for patterns in ((), ("{a}/{b}",)):
        assert _complete("인사/2026-04-17/a_b.txt", *patterns) == Metadata(
            "Heading", None, _day(2026, 4, 17), None, ("인사", "2026-04-17")
        )


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        ("{a}_{b}_{c}_{d}_{e}_{f}.pdf", "_".join("x" * 120) + ".txt"),
        ("**/a/**/a/**/a/**/a/{b}.pdf", "a/" * 990 + "x"),
        ("{date}_{title}.pdf", "2" * 250),
        ("*a*a*a*a*a_{x}b/y", "a" * 250 + "/y"),
        ("{a}.pdf", "x" * 10_000_000),
    ],
)
def test_a_hostile_path_takes_no_time(pattern, uri):
    start = time.process_time()
    assert read_path(uri, [pattern]) == PathFacts()
    assert time.process_time() - start < 5
