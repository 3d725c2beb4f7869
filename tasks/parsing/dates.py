"""Dates as documents write them, to aware datetimes."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from unicodedata import normalize

MAX_CHARS = 100
YEARS = range(1900, 2101)
"""What lies outside is a default of some program or a slip of the pen."""

_PDF = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([+-])(\d\d)'?(\d\d)?)?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d|\d{8}T|\d{4}-W\d\d", re.ASCII)
_MAIL = re.compile(r"(?:[A-Za-z]{3},? )?\d{1,2} [A-Za-z]{3} (?:\d\d){1,2} \d\d?:\d\d", re.ASCII)
_WEEKDAY = r"(?:[A-Za-z]{3,9}\.?,?\s+)?"
_MONTH = r"(?P<name>[A-Za-z]{3,9})\.?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?=\d{4}(?:\d\d)?(?!\d)|(?!\d))",
        r"(?P<y>\d{4})\s*[-./년年]\s*(?P<m>\d{1,2})(?:\s*[-./월月]\s*(?P<d>\d{1,2})\s*[일日.]?)?(?!\d)",
        # the apostrophe says which of the three numbers is the year
        r"['’‘`](?P<short>\d\d)\s*[-./년]\s*(?P<m>\d{1,2})\s*[-./월]\s*(?P<d>\d{1,2})(?!\d)",
        rf"{_WEEKDAY}{_DAY}(?:\s+of\b|\.)?[\s-]+{_MONTH},?[\s-]+(?P<y>\d{{4}})(?!\d)",
        rf"{_WEEKDAY}{_MONTH}\s+{_DAY},?\s+(?P<y>\d{{4}})(?!\d)",
        rf"{_MONTH}\s+(?P<y>\d{{4}})(?!\d)",
        r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d)",
        r"(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<y>\d{4})(?!\d)",
        r"(?P<y>\d{4})\s*[년年]?$",
    )
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = re.compile(
    r"\s*\.?,?\s*(?:\([^()]{1,12}\)|[월화수목금토일]요일)?,?\s*T?\s*(?:at\s+)?(?P<before>오전|오후|[AaPp][Mm]\b)?\s*"
    r"(?P<h>\d{1,2})\s*(?::\s*(?P<min>\d\d)(?::(?P<s>\d\d)(?:[.,]\d+)?)?|시(?:\s*(?P<kmin>\d{1,2})\s*분)?"
    r"(?:\s*(?P<ks>\d{1,2})\s*초)?|(?P<cmin>\d\d)(?P<cs>\d\d)?(?!\d))"
    r"\s*(?P<after>[AaPp]\.?[Mm]\b\.?)?\s*\(?(?P<zone>Z\b|(?:UTC|GMT)?\s*[+-]\d\d:?\d\d|[A-Z]{3}\b)?",
    re.ASCII,
)
_ZONES = {"Z": 0, "UTC": 0, "GMT": 0, "KST": 9, "JST": 9}


def parse_date(value: object) -> datetime | None:
    """The date, UTC where it names no zone, None if it is none or not of the years 1900 to 2100.

    Where the day cannot be told from the month (``4/5/2026``) it is none either. A time that
    makes no sense counts as midnight.

    >>> parse_date("2026년 5월 31일 오후 3시").isoformat()
    '2026-05-31T15:00:00+00:00'
    >>> parse_date("D:20260531120000+09'00'").isoformat()
    '2026-05-31T12:00:00+09:00'
    """
    if isinstance(value, date):
        return _bounded(_aware(value) if isinstance(value, datetime) else _midnight(value))
    for read in (_pdf, _iso, _mail, _written, _loose):
        try:
            found = read(" ".join(normalize("NFKC", str(value)[:MAX_CHARS]).split()))
        except (ValueError, OverflowError):
            continue
        if found is not None:
            return _bounded(found)
    return None


def _bounded(found: datetime) -> datetime | None:
    return found if found.year in YEARS else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _pdf(text: str) -> datetime | None:
    match = _PDF.match(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (
        int(part or default) for part, default in zip(match.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
    )
    sign, hours, minutes = match.groups()[6:]
    zone = _offset(sign, int(hours or 0), int(minutes or 0)) if sign else UTC
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def _iso(text: str) -> datetime | None:
    return _aware(datetime.fromisoformat(text)) if _ISO.match(text) else None


def _written(text: str) -> datetime | None:
    for form in _FORMS:
        if match := form.match(text):
            try:
                year, month, day = _numbers(match.groupdict())
                found = datetime(year, month, day, tzinfo=UTC)
            except (ValueError, OverflowError):
                continue
            return _with_time(found, text[match.end() :])
    return None


def _numbers(parts: dict[str, str | None]) -> tuple[int, int, int]:
    """Year, month, day of a form; what it leaves out is 1."""
    year = int(parts.get("y") or 2000 + int(parts.get("short") or 0))
    if name := parts.get("name"):
        return year, _MONTHS.index(name[:3].lower()) + 1, int(parts.get("d") or 1)
    if parts.get("first") is not None:
        numbers = int(parts["first"] or 0), int(parts["second"] or 0)
        if (numbers[0] > 12) == (numbers[1] > 12) and numbers[0] != numbers[1]:
            raise ValueError("day or month")
        return year, min(numbers), max(numbers)
    return year, int(parts.get("m") or 1), int(parts.get("d") or 1)


def _with_time(day: datetime, rest: str) -> datetime:
    match = _TIME.match(rest)
    if not match:
        return day
    part = match.groupdict()
    hour = _hour(int(part["h"]), (part["before"] or part["after"] or "").replace(".", "").lower())
    minute = int(part["min"] or part["kmin"] or part["cmin"] or 0)
    second = int(part["s"] or part["ks"] or part["cs"] or 0)
    try:
        return day.replace(hour=hour, minute=minute, second=second, tzinfo=_zone(part["zone"] or ""))
    except (ValueError, OverflowError):
        return day


def _hour(hour: int, half: str) -> int:
    """Of a clock of twelve hours where `half` names one: 12 in the morning is 0."""
    if half in ("오후", "pm"):
        return hour + 12 if hour < 12 else hour
    return 0 if hour == 12 and half in ("오전", "am") else hour


def _zone(text: str) -> tzinfo:
    if sign := re.search(r"([+-])(\d\d):?(\d\d)", text):
        return _offset(sign[1], int(sign[2]), int(sign[3]))
    return _offset("+", _ZONES.get(text, 0), 0) if text else UTC


def _offset(sign: str, hours: int, minutes: int) -> tzinfo:
    if not hours and not minutes:
        return UTC
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)


def _mail(text: str) -> datetime | None:
    return _aware(parsedate_to_datetime(text)) if _MAIL.match(text) else None


def _loose(text: str) -> datetime | None:
    """What the mail parser makes of other texts with a month's name: ``Fri Apr 17 14:30:00 2026``."""
    return _aware(parsedate_to_datetime(text)) if re.search("[A-Za-z]{3}", text) else None


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)
