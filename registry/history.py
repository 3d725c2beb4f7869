"""Releases by number, name or time; tags; differences between two of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from registry.collections import read_space
from registry.connection import Connection, Database
from registry.queries import load
from schemas.errors import ConfigurationError, ReleaseIncomplete, ReleaseNotFound
from schemas.history import DiffStatus, DocumentDiff, ReleaseDiff
from schemas.release import Collection, Release

_SQL = load("history")
_DATE = re.compile(r"\d{4}-(\d{2}-\d{2}|W\d{2}(-\d)?)$|\d{4}W\d{2}\d?$")
RESERVED = "last"
"""Names the release before the current one, where a rollback or a comparison asks for one."""


def find_release(db: Database, collection: Collection, reference: str) -> Release:
    """The release that a number, a tag or a time names; of a time the one shown then.

    A date alone means the end of that day; without an offset, local time is meant.

    Raises:
        ReleaseNotFound: there is none.
    """
    reference = reference.strip()
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection.id}
    if reference.isascii() and reference.isdigit():
        statement, values["number"] = "find_by_number", _number(reference)
    elif (time := parse_time(reference)) is not None:
        statement, values["time"] = "find_by_time", time
    else:
        statement, values["name"] = "find_by_tag", reference
    with db.connection() as connection:
        row = connection.execute(_SQL[statement], values).fetchone()
    if row is None:
        raise ReleaseNotFound(
            f"Collection {collection.name!r} has no release {reference!r}.",
            advice=f"The current one is {collection.current_release}; `revector history` lists all, with "
            "their tags. A time is written 2026-11-20 or 2026-11-20T14:30.",
        )
    return Release(*row)


def _number(digits: str) -> int:
    """The number, or one that no release has: Python refuses to read thousands of digits."""
    digits = digits.lstrip("0") or "0"
    return min(int(digits), 2**31 - 1) if len(digits) <= 10 else 2**31 - 1


def parse_time(text: str) -> datetime | None:
    """A moment written in ISO 8601, None where the text is none.

    >>> parse_time("2026-11-20T10:00:00+00:00").isoformat()
    '2026-11-20T10:00:00+00:00'
    >>> parse_time("v1") is None
    True
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if _DATE.match(text):
        time += timedelta(days=1, microseconds=-1)
    if time.tzinfo:
        return time
    try:
        return time.astimezone()
    except (ValueError, OverflowError):  # the first and the last day of the calendar
        return time.replace(tzinfo=UTC)


def tag_release(db: Database, collection: Collection, release: Release, name: str) -> None:
    """Give a release a name; retention keeps what it shows.

    Raises:
        ConfigurationError: the name could be taken for a number, a time, a run or `last`, or is in use.
        ReleaseIncomplete: purge has taken parts of it: there is nothing whole to keep.
    """
    shadowed = name.isdigit() or parse_time(name) or name == RESERVED or _is_run_id(name)
    if not name.strip() or name != name.strip() or shadowed or len(name) > 200:
        raise ConfigurationError(
            f"{name!r} cannot be a tag.",
            advice="Use a name of up to 200 characters that is no number, no date, no run id and not `last`.",
        )
    values = {"tenant": db.tenant_id, "collection": collection.id, "name": name, "number": release.number}
    with db.transaction() as connection:
        created = connection.execute(_SQL["set_tag"], values).rowcount
        # looked at after the row is there: a purge at work holds it up until it is done
        require_whole(connection, db.tenant_id, collection, release.number)
        if not created:
            row = connection.execute(_SQL["find_by_tag"], values).fetchone()
            if row is not None and row[0] != release.number:
                raise ConfigurationError(
                    f"The tag {name!r} names release {row[0]}.",
                    advice="Choose another name, or delete that one first: `revector tag --delete NAME`.",
                )


def _is_run_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def delete_tag(db: Database, collection: Collection, name: str) -> int:
    """Take a name away; returns the release it named.

    Raises:
        ReleaseNotFound: there is no such tag.
    """
    values = {"tenant": db.tenant_id, "collection": collection.id, "name": name}
    with db.connection() as connection:
        row = connection.execute(_SQL["delete_tag"], values).fetchone()
    if row is None:
        raise ReleaseNotFound(f"There is no tag {name!r}.", advice="`revector history` shows the tags.")
    return int(row[0])


def require_whole(
    connection: Connection, tenant_id: int, collection: Collection, *numbers: int, vectors: bool = True
) -> None:
    """Refuse releases that do not exist or that purge has taken parts of; 0 is the empty start.

    Args:
        connection: any.
        tenant_id: whose collection.
        collection: whose releases.
        numbers: of the releases.
        vectors: whether those are needed: purge takes all vectors of a model at once.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
    """
    rows = connection.execute(
        _SQL["release_missing"],
        {"tenant": tenant_id, "collection": collection.id, "numbers": list(numbers)},
    ).fetchall()
    missing: dict[int, int] = {number: lost for number, lost, _ in rows}
    dropped = {number for number, _, is_dropped in rows if is_dropped}
    for number in numbers:
        if number and number not in missing:
            raise ReleaseNotFound(
                f"Collection {collection.name!r} has no release {number}.",
                advice="`revector history` lists those there are.",
            )
        if lost := missing.get(number, 0):
            raise ReleaseIncomplete(
                f"Release {number} cannot be shown any more: {lost} documents of it are purged or forgotten.",
                advice="`revector history` shows which releases are whole. To keep one, tag it.",
                missing=lost,
            )
        if vectors and number in dropped:
            raise ReleaseIncomplete(
                f"Release {number} cannot be shown any more: the vectors of its model are purged.",
                advice="It can be searched by keywords, with --mode keyword, and compared: `revector diff`. "
                "Single documents come back with `revector rollback --document URI`.",
            )


def diff_releases(db: Database, collection: Collection, old: int, new: int) -> ReleaseDiff:
    """What leads from one release to another; the cost follows what changed between them.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
    """
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        require_whole(connection, db.tenant_id, collection, old, new, vectors=False)
        rows = connection.execute(
            _SQL["diff_releases"],
            {
                "tenant": db.tenant_id,
                "collection": collection.id,
                "old": old,
                "new": new,
                "low": min(old, new),
                "high": max(old, new),
            },
        ).fetchall()
        models = _models(connection, db.tenant_id, collection, old, new)
    return ReleaseDiff(str(old), str(new), tuple(_document(row) for row in rows), models)


def _models(
    connection: Connection, tenant_id: int, collection: Collection, old: int, new: int
) -> tuple[str, str] | None:
    """What the vectors of two releases are of, where that is not the same; None of the empty start."""
    values = {"tenant": tenant_id, "collection": collection.id, "numbers": [old, new]}
    spaces: dict[int, int] = dict(connection.execute(_SQL["release_spaces"], values).fetchall())
    if old not in spaces or new not in spaces or spaces[old] == spaces[new]:
        return None
    before, after = (read_space(connection, spaces[number]) for number in (old, new))
    return before.describe(after), after.describe(before)


def diff_staged(db: Database, collection: Collection, run_id: UUID) -> ReleaseDiff:
    """What activating a staged run would change."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["diff_staged"], {"tenant": db.tenant_id, "collection": collection.id, "run": run_id}
        ).fetchall()
    return ReleaseDiff(str(collection.current_release), str(run_id), tuple(_document(row) for row in rows))


def _document(row: tuple[Any, ...]) -> DocumentDiff:
    assert row[0] in get_args(DiffStatus)
    found = DocumentDiff(*row)
    if found.similarity is None:
        return found
    return found._replace(similarity=float(f"{found.similarity:.4f}"))  # stored in 4 bytes
