"""Dates as documents write them, to aware datetimes."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

_PDF = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([+-])(\d\d)'?(\d\d)?)?", re.ASCII)
_NUMERIC = re.compile(r"(\d{4})\s*[-./년]\s*(\d{1,2})(?:\s*[-./월]\s*(\d{1,2}))?(?!\d)", re.ASCII)
_NAMED = ("%d %B %Y", "%B %d, %Y", "%d %b %Y", "%b %d, %Y", "%B %Y", "%Y%m%d", "%Y")


def parse_date(value: object) -> datetime | None:
    """The date, UTC where it names no zone, None if it is none.

    >>> parse_date("2026년 5월 31일").isoformat()
    '2026-05-31T00:00:00+00:00'
    >>> parse_date("D:20260531120000+09'00'").isoformat()
    '2026-05-31T12:00:00+09:00'
    """
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()[:100]
    try:
        return _pdf(text) or _iso(text) or _numeric(text) or _named(text) or _mail(text)
    except (ValueError, OverflowError):
        return None


def _pdf(text: str) -> datetime | None:
    match = _PDF.match(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (
        int(part or default) for part, default in zip(match.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
    )
    sign, hours, minutes = match.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset) if sign else UTC
    return datetime(year, month, day, hour, minute, second, tzinfo=zone)


def _iso(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text)) if "-" in text else None
    except ValueError:
        return None


def _numeric(text: str) -> datetime | None:
    match = _NUMERIC.match(text)
    if not match:
        return None
    year, month, day = (int(part or 1) for part in match.groups())
    return datetime(year, month, day, tzinfo=UTC)


def _named(text: str) -> datetime | None:
    for form in _NAMED:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _mail(text: str) -> datetime | None:
    return _aware(parsedate_to_datetime(text))


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)
