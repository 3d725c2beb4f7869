"""Filters of a search: which documents its hits may come from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, get_args
from unicodedata import normalize

from schemas.errors import ConfigurationError

Field = Literal["author", "title", "language", "date", "tag", "path", "source", "format", "mime", "field"]
Operator = Literal["=", "!=", "~", ">=", "<=", ">", "<"]

MAX_CONDITIONS = 50
MAX_CHARS = 1000

_ALIASES = {"parser": "format", "tags": "tag", "lang": "language", "authored_at": "date", "uri": "path"}
_FREE = {"class": "class"}
"""Free fields that need no `field.` before their name."""
_SHAPE = re.compile(r"\s*(?P<field>[^=!~<>]+?)\s*(?P<operator>!=|>=|<=|=|~|>|<)\s*(?P<value>.*?)\s*", re.S)
_SEPARATOR = re.compile(r"(?<!\\)\|")
_FIELDS = "author, title, language, date, tag, path, source, format, mime, class, field.NAME"
_SYNTAX = (
    f"Fields: {_FIELDS}. Operators: = != ~ (contains); of a date also >= > <= <. Values: A|B is any of them."
)
_DATE = re.compile(
    r"(\d{4})(?:[-./](\d{1,2})(?:[-./](\d{1,2})(?:[T ](\d{1,2})(?::(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_DATES = "Write a year, month, day or time: 2026, 2026-04, 2026-04-17, 2026-04-17T09:30, with Z or +09:00."
_RANGES = frozenset({">=", "<=", ">", "<"})


@dataclass(frozen=True, slots=True)
class Period:
    """The time from `start` to before `end`; both aware."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a document.

    Attributes:
        field: which of its facts.
        operator: ``=`` and ``!=`` compare whole values whatever their case, ``~`` looks for a part; a path's
            ``=`` is a glob. ``!=`` holds for a document without the fact as well.
        values: one of them must fit; for ``!=`` none may. NFC.
        name: of a free field, "" for all others.
        periods: of a date, in the order of `values`.
    """

    field: Field
    operator: Operator
    values: tuple[str, ...]
    name: str = ""
    periods: tuple[Period, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The condition as the command line shows it."""
        field = f"field.{self.name}" if self.name else self.field
        return {"field": field, "operator": self.operator, "values": list(self.values)}


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Each text as `parse_condition` reads it; all of them must hold.

    Raises:
        ConfigurationError: one of them is no condition, or they are more than 50.
    """
    conditions = tuple(parse_condition(text) for text in texts)
    if len(conditions) > MAX_CONDITIONS:
        raise ConfigurationError(
            f"{len(conditions)} conditions are more than {MAX_CONDITIONS}.",
            advice="Join values of one field: tag=hr|finance.",
        )
    return conditions


def parse_condition(text: str) -> Condition:
    r"""``author=Kim``, ``tag=hr|finance``, ``date>=2026-01``, ``field.department~sales`` as a condition.

    A ``|`` inside a value is written ``\|``.

    >>> parse_condition("tag=hr|finance").values
    ('hr', 'finance')
    >>> parse_condition("date=2026-04").periods[0].end.isoformat()
    '2026-05-01T00:00:00+00:00'
    >>> parse_condition("field.부서 != HR").name
    '부서'

    Raises:
        ConfigurationError: field, operator or value is none that there is.
    """
    _require_text(text)
    match = _SHAPE.fullmatch(normalize("NFC", text))
    if not match:
        raise ConfigurationError(f"{text!r} is no condition.", advice=_SYNTAX)
    field, name = _field(match["field"])
    operator: Any = match["operator"]
    values = tuple(part.strip().replace("\\|", "|") for part in _SEPARATOR.split(match["value"]))
    if not all(values):
        raise ConfigurationError(f"{text!r} names no value.", advice=_SYNTAX)
    _check_operator(text, field, operator, values)
    periods = tuple(parse_period(value) for value in values) if field == "date" else ()
    return Condition(field, operator, values, name, periods)


def parse_period(text: str) -> Period:
    """The year, month, day, hour, minute, second or microsecond that a text names; UTC without a zone.

    >>> parse_period("2026").start.isoformat(), parse_period("2026").end.isoformat()
    ('2026-01-01T00:00:00+00:00', '2027-01-01T00:00:00+00:00')

    Raises:
        ConfigurationError: it names none.
    """
    match = _DATE.fullmatch(text)
    try:
        if match:
            return _period(match)
    except (ValueError, OverflowError):
        pass
    raise ConfigurationError(f"{text!r} is no date.", advice=_DATES)


def _period(match: re.Match[str]) -> Period:
    *parts, fraction, zone = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    year, month, day, hour, minute, second = (*numbers, *(0, 1, 1, 0, 0, 0)[len(numbers) :])
    micros = int((fraction or "").ljust(6, "0"))
    start = datetime(year, month, day, hour, minute, second, micros, _zone(zone))
    if len(numbers) == 1:
        return Period(start, start.replace(year=year + 1))
    if len(numbers) == 2:
        return Period(start, start.replace(year=year + month // 12, month=month % 12 + 1))
    seconds = (86_400, 3600, 60, 1)[len(numbers) - 3]
    return Period(start, start + (timedelta(microseconds=1) if fraction else timedelta(seconds=seconds)))


def _zone(text: str | None) -> timezone:
    if text in (None, "Z"):
        return UTC
    assert text is not None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _require_text(text: str) -> None:
    """What the database could not take, or would take too long over."""
    if len(text) > MAX_CHARS:
        raise ConfigurationError(f"A condition is longer than {MAX_CHARS} characters.", advice=_SYNTAX)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigurationError(f"{text!r} is no text.", advice="Leave out what is not a character.")


def _field(text: str) -> tuple[Field, str]:
    if text.lower().startswith("field."):
        name = text[len("field.") :].strip()
        if name:
            return "field", name
    lowered = text.lower()
    if lowered in _FREE:
        return "field", _FREE[lowered]
    field: Any = _ALIASES.get(lowered, lowered)
    if field not in get_args(Field) or field == "field":
        raise ConfigurationError(f"There is no field {text!r} to filter by.", advice=_SYNTAX)
    return field, ""


def _check_operator(text: str, field: Field, operator: Operator, values: tuple[str, ...]) -> None:
    is_date = field == "date"
    if (operator in _RANGES) != is_date and operator not in ("=", "!="):
        what = "of a date" if is_date else "of anything but a date"
        raise ConfigurationError(f"{text!r}: {operator} is no operator {what}.", advice=_SYNTAX)
    if operator in _RANGES and len(values) > 1:
        raise ConfigurationError(f"{text!r}: {operator} takes one value.", advice=_SYNTAX)
