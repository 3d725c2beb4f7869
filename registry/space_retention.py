"""Embedding spaces that a collection does not need any more: what may go, and dropping it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from registry.connection import Connection, Database
from registry.locks import is_run_alive, lock_collection, lock_vector_space
from registry.prototype_retention import drop_sets
from registry.queries import load
from registry.space import LOCK_ATTEMPTS, LOCK_MS
from schemas.errors import DatabaseUnavailable

_SQL = load("space_retention")

log = logging.getLogger(__name__)


class OldSpace(NamedTuple):
    """A space of a collection that retention does not keep.

    Attributes:
        id: of the space.
        model, dtype, dim: of its vectors.
        last_release: the last one that showed it; None where it was never switched to.
        bytes: on disk, with the index.
    """

    id: int
    model: str
    dtype: str
    dim: int
    last_release: int | None
    bytes: int


def find_old_spaces(
    db: Database, collection_id: int, *, before: datetime, built_before: datetime, keep_tagged: bool
) -> list[OldSpace]:
    """Spaces that retention does not keep, oldest first; none while another run may be writing into one.

    Kept are the active one, that of the prototypes in use, and that of a tagged release.

    Args:
        db: the registry.
        collection_id: whose.
        before: a space that served goes if it was not used since then.
        built_before: the same for one that never did: its reembed was given up.
        keep_tagged: those of tagged releases stay.
    """
    values = _values(db, collection_id, before, built_before, keep_tagged=keep_tagged)
    with db.transaction() as connection:
        return _find(connection, values)


def drop_spaces(
    db: Database, collection_id: int, *, before: datetime, built_before: datetime, keep_tagged: bool
) -> list[OldSpace]:
    """Drop what `find_old_spaces` finds, each in a transaction, with the prototypes made in it.

    One that searches do not let go of stays until the next time.

    Returns:
        What was dropped.
    """
    values = _values(db, collection_id, before, built_before, keep_tagged=keep_tagged)
    with db.transaction() as connection:
        found = _find(connection, values)
    return [space for space in found if _drop(db, values, space)]


def _drop(db: Database, values: dict[str, Any], space: OldSpace) -> bool:
    """Drop a space that is still as it was found: a rollback or a reembed may want it again by now."""
    values = {**values, "space": space.id, "lock_ms": LOCK_MS, "attempts": LOCK_ATTEMPTS}
    try:
        with db.transaction() as connection:
            lock_collection(connection, values["collection"])
            lock_vector_space(connection, space.id)
            connection.execute(load("purge")["wait_for_tags"])
            if space.id not in {old.id for old in _find(connection, values)}:
                return False
            sets = [version for (version,) in connection.execute(_SQL["sets_of_space"], values)]
            drop_sets(connection, values, sets)
            connection.execute(_SQL["note_dropped"], values)
            connection.execute(_SQL["drop_space"], values)
            connection.execute(_SQL["drop_vector_partition"], values)
    except DatabaseUnavailable as exc:
        if not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
            raise
        log.warning("searches held space %d all the time: it stays until the next purge", space.id)
        return False
    return True


def _find(connection: Connection, values: dict[str, Any]) -> list[OldSpace]:
    writers = [str(run) for (run,) in connection.execute(_SQL["writing_runs"], values)]
    if any(is_run_alive(connection, run) for run in writers):
        return []
    return [OldSpace(*row) for row in connection.execute(_SQL["old_spaces"], values)]


def _values(
    db: Database, collection_id: int, before: datetime, built_before: datetime, *, keep_tagged: bool
) -> dict[str, Any]:
    return {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "before": before,
        "built_before": built_before,
        "keep_tagged": keep_tagged,
    }
