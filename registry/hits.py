"""Chunks that were found, with the documents that show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from registry.filtering import Scope
from registry.queries import load
from schemas.search import Hit

_SQL = load("search")


class _Place(NamedTuple):
    """A chunk in a document; `shown_id` is the document's, None where it is kept out of search."""

    text: str
    uri: str
    source: str
    version: int
    page: int | None
    heading: str
    title: str | None
    author: str | None
    authored_at: datetime | None
    language: str | None
    tags: list[str]
    format: str
    shown_id: int | None


def describe(scope: Scope, ranked: Sequence[tuple[int, float]]) -> list[Hit]:
    """The hits of (chunk id, score), in that order; only documents that the scope holds are named."""
    values = scope.values(ids=[chunk for chunk, _ in ranked])
    places: dict[int, list[_Place]] = {}
    for chunk, *place in scope.run(scope.compose(_SQL["describe_chunks"]), values):
        places.setdefault(chunk, []).append(_Place(*place))
    duplicates = _duplicates(scope, {place.shown_id for found in places.values() for place in found})
    return [
        _hit(score, places[chunk], duplicates, scope.number) for chunk, score in ranked if chunk in places
    ]


def _duplicates(scope: Scope, documents: set[int | None]) -> dict[int, list[str]]:
    """Of each document that stands for others, the uris of these."""
    found: dict[int, list[str]] = {}
    if winners := sorted(id_ for id_ in documents if id_ is not None):
        statement = scope.compose(_SQL["duplicates_of"])
        for winner, uri in scope.run(statement, scope.values(winners=winners)):
            found.setdefault(winner, []).append(uri)
    return found


def _hit(score: float, places: list[_Place], duplicates: dict[int, list[str]], release: int) -> Hit:
    first = places[0]
    shown = dict.fromkeys(place.shown_id for place in places if place.shown_id is not None)
    return Hit(
        score=float(score),
        uri=first.uri,
        source=first.source,
        version=first.version,
        release=release,
        text=first.text,
        page=first.page,
        heading=first.heading,
        title=first.title,
        documents=tuple(dict.fromkeys(place.uri for place in places)),
        duplicates=tuple(dict.fromkeys(uri for id_ in shown for uri in duplicates.get(id_, ()))),
        author=first.author,
        authored_at=first.authored_at.astimezone(UTC) if first.authored_at else None,
        language=first.language,
        tags=tuple(first.tags),
        format=first.format,
    )
