"""Facts about a document from its path, by the collection's templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from unicodedata import normalize

from schemas.path_template import PathTemplate, Token, parse_template

MAX_URI_CHARS = 2000
MAX_NAME_CHARS = 255
"""Of a file or folder: what file systems take. Longer ones are not read, which bounds the time."""

_DATES = (
    re.compile(r"((?:19|20)\d\d)(?:[-._ ]?(\d\d?)(?:[-._ ]?(\d\d?))?)?", re.ASCII),
    re.compile(r"(\d\d)[-._ ]?(\d\d)[-._ ]?(\d\d)", re.ASCII),
    re.compile(r"((?:19|20)\d\d)년(?:[ _]?(\d\d?)월(?:[ _]?(\d\d?)일)?)?", re.ASCII),
)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{2,4})?")


@dataclass(frozen=True, slots=True)
class PathFacts:
    """What a path says.

    Attributes:
        fields: ``title``, ``author``, ``language`` and free fields by name.
        date: aware; midnight UTC.
        tags: in the order of the path.
        winners: names of parts that win over what the file says (``tag`` for all tags).
    """

    fields: dict[str, str] = field(default_factory=dict)
    date: datetime | None = None
    tags: tuple[str, ...] = ()
    winners: frozenset[str] = frozenset()


def read_path(uri: str, patterns: Sequence[str]) -> PathFacts:
    """What the first template that matches finds in the path; nothing where none does.

    ``{date}`` matches dates only and ``{language}`` codes such as ``ko`` only.

    >>> read_path("resumes/HR/Kim_2026-04-17.pdf", ["resumes/{department}/{author}_{date}.pdf"]).fields
    {'department': 'HR', 'author': 'Kim'}
    """
    uri = normalize("NFC", uri)
    if len(uri) > MAX_URI_CHARS or max(map(len, uri.split("/"))) > MAX_NAME_CHARS:
        return PathFacts()
    for pattern in patterns:
        template = _template(pattern)
        found = _Match(template, uri).find()
        if found is not None:
            return _facts(template, found)
    return PathFacts()


@cache
def _template(pattern: str) -> PathTemplate:
    return parse_template(pattern)


def _facts(template: PathTemplate, values: Sequence[str]) -> PathFacts:
    parts = [token for token in template.tokens if token.kind == "part"]
    named = list(zip(parts, values, strict=True))
    fields = {part.value: value for part, value in named if part.value not in ("date", "tag")}
    if title := fields.get("title"):
        fields["title"] = title.replace("_", " ")
    if language := fields.get("language"):
        fields["language"] = re.split("[-_]", language.lower())[0]
    return PathFacts(
        fields=fields,
        date=next((path_date(value) for part, value in named if part.value == "date"), None),
        tags=tuple(value for part, value in named if part.value == "tag"),
        winners=frozenset(part.value for part in parts if part.wins),
    )


def path_date(text: str) -> datetime | None:
    """The date of a part, midnight UTC: ``2026``, ``2026-04``, ``20260417``, ``260417``, ``2026년 4월``.

    >>> path_date("260417").date().isoformat()
    '2026-04-17'
    """
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            year, month, day = (int(part or 1) for part in match.groups())
            try:
                return datetime(year if year >= 100 else 2000 + year, month, day, tzinfo=UTC)
            except ValueError:
                continue
    return None


class _Match:
    """One template against one path: each (token, position) is tried once, so time is bounded."""

    def __init__(self, template: PathTemplate, uri: str) -> None:
        self._tokens = template.tokens
        self._uri = uri
        self._failed: set[tuple[int, int]] = set()

    def find(self) -> list[str] | None:
        """The values of the parts, in order; None where the template does not match."""
        return self._from(0, 0)

    def _from(self, index: int, start: int) -> list[str] | None:
        if index == len(self._tokens):
            return [] if start == len(self._uri) else None
        if (index, start) in self._failed:
            return None
        token = self._tokens[index]
        for end in self._ends(index, start):
            rest = self._from(index + 1, end)
            if rest is not None:
                return [self._uri[start:end], *rest] if token.kind == "part" else rest
        self._failed.add((index, start))
        return None

    def _ends(self, index: int, start: int) -> Iterator[int]:
        """Where the token may end that starts here, the longest first."""
        token = self._tokens[index]
        if token.kind == "text":
            if self._uri.startswith(token.value, start):
                yield start + len(token.value)
        elif token.value == "**/" and token.kind == "glob":
            yield start
            yield from (match.end() for match in re.compile("/").finditer(self._uri, start))
        else:
            least, most = self._span(token, start)
            for end in self._stops(index, start + least, most):
                if token.kind == "glob" or _fits(token, self._uri[start:end]):
                    yield end

    def _span(self, token: Token, start: int) -> tuple[int, int]:
        """(least length, furthest end) of a part or wildcard."""
        if token.value == "**" and token.kind == "glob":
            return 0, len(self._uri)
        slash = self._uri.find("/", start)
        segment_end = len(self._uri) if slash < 0 else slash
        if token.kind == "glob" and token.value == "?":
            return 1, min(start + 1, segment_end)
        return (1 if token.kind == "part" else 0), segment_end

    def _stops(self, index: int, first: int, last: int) -> Iterator[int]:
        """Places from the last to the first where what follows the token could begin."""
        following = self._tokens[index + 1] if index + 1 < len(self._tokens) else None
        if following is None:
            if first <= last == len(self._uri):
                yield last
            return
        text = following.value if following.kind == "text" else ""
        end = last
        while end >= first:
            end = self._uri.rfind(text, first, end + len(text))
            if end < 0:
                return
            yield end
            end -= 1


def _fits(token: Token, value: str) -> bool:
    if token.value == "date":
        return path_date(value) is not None
    return token.value != "language" or _LANGUAGE.fullmatch(value) is not None
