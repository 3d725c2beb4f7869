"""Releases: showing what a run staged, and the history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from registry.activation import Elect, apply_staged
from registry.collections import get_space
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from registry.staging import drop_staged, require_running
from schemas.release import Activation, Release, RunState

_SQL = load("releases")

STATISTICS_FROM_DOCUMENTS = 500
"""After so many changes the planner's old numbers cost more than taking new ones: with none,
comparing 10,000 documents takes three times as long (nested loops instead of hash joins)."""

STATISTICS_FROM_CHUNKS = 2_000
"""The same for few documents with many chunks: keyword search is planned by these numbers."""


def activate_run(
    db: Database,
    collection_id: int,
    space_id: int,
    run_id: UUID,
    *,
    elect: Elect | None = None,
    inspect: Callable[[Connection], None] | None = None,
    state: RunState = "running",
) -> Activation:
    """Show what an ingest staged, as a new release; all of it or nothing.

    A document that another run changed after this one planned is left as that run made it
    and given back as overtaken. The cost follows what changed.

    Args:
        db: the registry.
        collection_id: whose state changes.
        space_id: the space of the staged chunks' vectors.
        run_id: whose staged changes.
        state: that the run must be in; `staged` for one that a gate held back.
        elect: holds the election, where the run's own is out of date.
        inspect: looks at the new state before anybody else can; what it raises undoes it.

    Raises:
        VectorsMissing: a chunk that would be shown has none (invariant 1); nothing is activated.
        RunLost: the run was taken for dead meanwhile.
        SpaceSwitched: see the class.
    """
    fingerprint = get_space(db, space_id).fingerprint
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection_id, "run": run_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        done = connection.execute(_SQL["release_of_run"], values).fetchone()
        if done:  # a retry after the connection broke between commit and answer
            return Activation(Release(*done))
        require_running(connection, values, state)
        activation = apply_staged(connection, values, space_id, fingerprint, kind="ingest", elect=elect)
        if inspect is not None and activation.release:
            inspect(connection)
        connection.execute(_SQL["update_stats"], values)
        connection.execute(_SQL["drop_solved_rejections"], values)
        connection.execute(_SQL["drop_holds"], values)
        drop_staged(connection, values)
        if activation.release:  # a run that is shown must not look as if it could still be dropped
            connection.execute(_SQL["end_staged"], values)
    refresh_statistics(db, activation)
    return activation


def refresh_statistics(db: Database, activation: Activation) -> None:
    """Give the planner new numbers after a large change."""
    if activation.documents >= STATISTICS_FROM_DOCUMENTS or abs(activation.chunks) >= STATISTICS_FROM_CHUNKS:
        with db.connection() as connection:
            connection.execute(_SQL["refresh_statistics"])


def list_releases(db: Database, collection_id: int, *, most: int = 1000) -> list[Release]:
    """Releases of a collection, newest first."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["list_releases"], {"tenant": db.tenant_id, "collection": collection_id, "most": most}
        ).fetchall()
    return [replace(Release(*row[:9]), tags=tuple(row[9]), vectors_purged=row[10]) for row in rows]
