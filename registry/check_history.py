"""Can every release of the past still be shown as it was? Recounted from the activations."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import groupby, islice
from typing import Any

from registry.connection import Connection
from registry.queries import load
from schemas.check import HISTORY, INTERVALS, CheckReport, Problem
from schemas.digest import EMPTY_STATE, entry_digest, release_digest, update_state

_SQL = load("check")

FETCH_ROWS = 10_000
SHOWN_RELEASES = 20


def sum_digests(connection: Connection, values: dict[str, Any]) -> bytes:
    """The set hash of the active versions, recounted."""
    rows = stream_rows(connection, "active_digests", values)
    return update_state(EMPTY_STATE, (entry_digest(*row) for row in rows), [])


def check_history(connection: Connection, values: dict[str, Any], current: int, report: CheckReport) -> None:
    """Intervals of activations, and the digest and counts of every release before the current one.

    A release of which documents were removed (`missing`) cannot be recounted: it is left out.
    Those around it can, since a removed version took all its activations along.
    """
    _check_intervals(connection, values, current, report)
    releases = connection.execute(_SQL["releases"], values, binary=True).fetchall()
    chunks = connection.execute(_SQL["chunk_events"], values).fetchall()
    with closing(stream_rows(connection, "activation_events", values)) as events:
        wrong = list(_compare(releases, _Recount(events, chunks), current))
    report.checked["releases"] = sum(1 for row in releases if not row[4])
    report.problems += [Problem(HISTORY, detail) for detail in wrong[:SHOWN_RELEASES]]
    if len(wrong) > SHOWN_RELEASES:
        report.problems.append(Problem(HISTORY, f"and {len(wrong) - SHOWN_RELEASES} releases more"))


def _compare(releases: Iterable[tuple[Any, ...]], recount: _Recount, current: int) -> Iterator[str]:
    """What is wrong with each release but the current one, which has its own check."""
    for number, digest, documents, chunks, missing, fingerprint in releases:
        recount.advance(number)
        if missing or number == current:
            continue
        parts = ["the digest differs"] if release_digest(recount.state, fingerprint) != digest else []
        if (documents, chunks) != (recount.documents, recount.chunks):
            counted = f"{recount.documents} and {recount.chunks} counted"
            parts.append(f"{documents} documents and {chunks} chunks stored, {counted}")
        if parts:
            yield f"release {number}: {'; '.join(parts)}"


class _Recount:
    """Set hash and counts, release by release, in memory that does not grow with the collection."""

    def __init__(self, events: Iterable[tuple[Any, ...]], chunks: Iterable[tuple[int, int]]) -> None:
        self.state, self.documents, self.chunks = EMPTY_STATE, 0, 0
        self._groups = groupby(events, key=lambda event: event[:2])
        self._next = next(self._groups, None)
        self._chunks = deque(chunks)

    def advance(self, number: int) -> None:
        """Take in what opened and closed up to that release."""
        while self._next is not None and self._next[0][0] <= number:
            (_, opens), group = self._next
            while digests := [entry_digest(*event[2:]) for event in islice(group, FETCH_ROWS)]:
                added, removed = (digests, []) if opens else ([], digests)
                self.state = update_state(self.state, added, removed)
                self.documents += len(added) - len(removed)
            self._next = next(self._groups, None)
        while self._chunks and self._chunks[0][0] <= number:
            self.chunks += self._chunks.popleft()[1]


def _check_intervals(
    connection: Connection, values: dict[str, Any], current: int, report: CheckReport
) -> None:
    row = connection.execute(_SQL["wrong_intervals"], {**values, "current": current}).fetchone()
    assert row is not None
    overlapping, homeless, foreign, report.checked["activations"] = row
    for count, what in (
        (overlapping, "overlap another of their document"),
        (homeless, "name a release that is not there"),
        (foreign, "show a version of another document"),
    ):
        if count:
            report.problems.append(Problem(INTERVALS, f"{count} activations {what}"))


def stream_rows(
    connection: Connection, name: str, values: dict[str, Any], *, at_once: int = FETCH_ROWS
) -> Generator[tuple[Any, ...], None, None]:
    """Rows of a statement of check.sql by a server-side cursor, some at a time."""
    with connection.cursor(name=name, binary=True) as cursor:
        cursor.itersize = at_once
        yield from cursor.execute(_SQL[name], values)
