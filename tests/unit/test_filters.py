"""Conditions of a search as they are written."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.filtering import glob_regex
from schemas.errors import ConfigurationError
from schemas.filters import Condition, Period, parse_condition, parse_conditions, parse_period


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("author=Kim", Condition("author", "=", ("Kim",))),
        (" Author = Kim Lee ", Condition("author", "=", ("Kim Lee",))),
        ("tag=hr|finance", Condition("tag", "=", ("hr", "finance"))),
        ("tags!=hr", Condition("tag", "!=", ("hr",))),
        ("title~연차 휴가", Condition("title", "~", ("연차 휴가",))),
        (r"author=LEE \| Park|Kim", Condition("author", "=", ("LEE | Park", "Kim"))),
        ("field.department=HR", Condition("field", "=", ("HR",), "department")),
        ("field.담당 부서~인사", Condition("field", "~", ("인사",), "담당 부서")),
        ("parser=pdf", Condition("format", "=", ("pdf",))),
        ("mime~html", Condition("mime", "~", ("html",))),
        ("path=resumes/**|*.md", Condition("path", "=", ("resumes/**", "*.md"))),
        ("title=a=b>c", Condition("title", "=", ("a=b>c",))),
        ("lang=ko", Condition("language", "=", ("ko",))),
    ],
)
def test_a_condition_is_read(text, expected):
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "author", "=Kim", "author=", "author=|", "tag=a||b", "colour=red", "field=x", "field.=x"),
        *("author>=K", "title<x", "date~2026", "date>=2026|2027", "date=yesterday", "date=2026-13", "date="),
        *("author=\0", "author=\ud800", "date=2026-02-30", "date=0000", "date=9999", "date=2026-04-17T25"),
        "title=" + "x" * 1000,
    ],
)
def test_what_is_no_condition_is_refused_with_what_there_is(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_condition(text)
    assert caught.value.advice
    assert caught.value.exit_code == 2


def test_a_wrong_field_or_operator_is_answered_with_a_list_of_them():
    for text in ("colour=red", "author>K"):
        with pytest.raises(ConfigurationError, match=r"author, title, language.*field.NAME.*~ \(contains\)"):
            parse_condition(text)


def test_too_many_conditions_are_refused():
    assert len(parse_conditions(["tag=a"] * 50)) == 50
    with pytest.raises(ConfigurationError, match="51 conditions"):
        parse_conditions(["tag=a"] * 51)


def test_values_are_composed_as_stored_text_is():
    condition = parse_condition(unicodedata.normalize("NFD", "field.부서=인사팀"))
    assert (condition.name, condition.values) == ("부서", ("인사팀",))


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", _utc(2026, 1, 1), _utc(2027, 1, 1)),
        ("2026-12", _utc(2026, 12, 1), _utc(2027, 1, 1)),
        ("2026-4", _utc(2026, 4, 1), _utc(2026, 5, 1)),
        ("2024-02-29", _utc(2024, 2, 29), _utc(2024, 3, 1)),
        ("2026.04.17", _utc(2026, 4, 17), _utc(2026, 4, 18)),
        ("2026-04-17T23", _utc(2026, 4, 17, 23), _utc(2026, 4, 18)),
        ("2026-04-17 09:59", _utc(2026, 4, 17, 9, 59), _utc(2026, 4, 17, 10)),
        ("2026-04-17T09:30:59Z", _utc(2026, 4, 17, 9, 30, 59), _utc(2026, 4, 17, 9, 31)),
        ("2026-04-17T09:30:00.5", _utc(2026, 4, 17, 9, 30, 0, 500000), _utc(2026, 4, 17, 9, 30, 0, 500001)),
        ("2026-04-17T09:00+09:00", _utc(2026, 4, 17), _utc(2026, 4, 17, 0, 1)),
        ("2026-04-17T09:00-0130", _utc(2026, 4, 17, 10, 30), _utc(2026, 4, 17, 10, 31)),
    ],
)
def test_a_date_stands_for_all_of_the_time_it_names(text, start, end):
    assert parse_period(text) == Period(start, end)
    assert parse_condition(f"date={text}|{text}").periods == (Period(start, end),) * 2


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=9)))))
def test_any_moment_is_read_back(moment):
    text = moment.isoformat()
    if moment.year in range(2, 9999):
        assert parse_period(text).start == moment


@given(st.text(alphabet="date=2026-014.5:TZ+<>!~|\\ authorfield.", max_size=40))
def test_nothing_but_a_configuration_error_comes_out(text):
    try:
        condition = parse_condition(text)
    except ConfigurationError:
        return
    assert condition.values
    assert all(condition.values)


def test_conditions_are_shown_as_they_hold():
    shown = [c.as_json() for c in parse_conditions(["field.x!=a|b", "date>2026"])]
    assert shown == [
        {"field": "field.x", "operator": "!=", "values": ["a", "b"]},
        {"field": "date", "operator": ">", "values": ["2026"]},
    ]


def test_a_glob_is_a_regular_expression_of_its_own_length():
    assert glob_regex("a?/**/*.{x}") == "^a[^/]/(?:.*/)?[^/]*[.][{]x[}]$"
    assert glob_regex("/hr/") == "^hr/.*$"
    assert glob_regex("^\\") == "^(?:.*/)?\\^\\\\$"
