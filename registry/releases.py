"""Releases: activation in one short transaction, and the history."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import sql

from registry.collections import get_space
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from registry.staging import require_running
from registry.vectors import vector_table
from schemas.digest import release_digest, update_state
from schemas.errors import GateFailed, SpaceMismatch
from schemas.release import Activation, Overtaken, Release

_SQL = load("releases")

STATISTICS_FROM_DOCUMENTS = 500
"""After so many changes the planner's old numbers cost more than taking new ones: with none,
comparing 10,000 documents takes three times as long (nested loops instead of hash joins)."""


def activate_run(
    db: Database, collection_id: int, space_id: int, run_id: UUID, *, kind: str = "ingest", note: str = ""
) -> Activation:
    """Show what the run staged, as a new release; all of it or nothing.

    A document that another run changed after this one planned is left as that run made it
    and given back as overtaken. The cost follows what changed.

    Raises:
        GateFailed: a staged chunk has no vector (invariant 1); nothing is activated.
        RunLost: the run was taken for dead meanwhile.
        SpaceMismatch: the collection's space was switched meanwhile.
    """
    fingerprint = get_space(db, space_id).fingerprint
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection_id, "run": run_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        done = connection.execute(_SQL["release_of_run"], values).fetchone()
        if done:  # a retry after the connection broke between commit and answer
            return Activation(Release(*done))
        require_running(connection, values)
        current, state = _locked_state(connection, values, space_id)
        overtaken = _drop_conflicts(connection, values)
        _require_vectors(connection, values, space_id)
        pairs = connection.execute(_SQL["changed_digests"], values).fetchall()
        release = None
        if pairs:
            state = update_state(state, [new for new, _ in pairs if new], [old for _, old in pairs if old])
            previous = _get_release(connection, values, current)
            grown = sum(1 for _, old in pairs if old is None) - sum(1 for new, _ in pairs if new is None)
            values |= {
                "number": current + 1,
                "kind": kind,
                "note": note,
                "space": space_id,
                "digest": release_digest(state, fingerprint),
                "digest_state": state,
                "documents": (previous.documents if previous else 0) + grown,
            }
            release = _write_release(connection, values, previous)
        connection.execute(_SQL["update_stats"], values)
        connection.execute(_SQL["drop_solved_rejections"], values)
        connection.execute(_SQL["drop_staged"], values)
    if len(pairs) >= STATISTICS_FROM_DOCUMENTS:
        with db.connection() as connection:
            connection.execute(_SQL["refresh_statistics"])
    return Activation(release, overtaken)


def count_missing_vectors(db: Database, collection_id: int, space_id: int, run_id: UUID) -> int:
    """How many of the chunks that a run staged have no vector."""
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection_id, "run": run_id}
    with db.connection() as connection:
        return _missing_vectors(connection, values, space_id)


def list_releases(db: Database, collection_id: int, *, most: int = 1000) -> list[Release]:
    """Releases of a collection, newest first."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["list_releases"], {"tenant": db.tenant_id, "collection": collection_id, "most": most}
        ).fetchall()
    return [Release(*row) for row in rows]


def _locked_state(connection: Connection, values: dict[str, Any], space_id: int) -> tuple[int, bytes]:
    row = connection.execute(_SQL["lock_state"], values).fetchone()
    assert row is not None
    current, active_space, state = row
    if active_space not in (None, space_id):
        raise SpaceMismatch(
            "The collection's embedding model was switched while this run embedded with another.",
            advice="Run it again with the configured model.",
        )
    return int(current), bytes(state)


def _drop_conflicts(connection: Connection, values: dict[str, Any]) -> tuple[Overtaken, ...]:
    """Staged rows whose base moved on, because another run was faster."""
    rows = connection.execute(_SQL["drop_conflicts"], values).fetchall()
    return tuple(Overtaken(*row) for row in rows)


def _require_vectors(connection: Connection, values: dict[str, Any], space_id: int) -> None:
    """The gate looked before; what vanished since then must not become visible."""
    if missing := _missing_vectors(connection, values, space_id):
        raise GateFailed(
            f"{missing} staged chunks have no vector; nothing was activated.",
            advice="Run the ingest again: it embeds what is missing.",
        )


def _missing_vectors(connection: Connection, values: dict[str, Any], space_id: int) -> int:
    query = sql.SQL(_SQL["missing_vectors"]).format(vectors=vector_table(space_id))
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0


def _write_release(connection: Connection, values: dict[str, Any], previous: Release | None) -> Release:
    row = connection.execute(_SQL["update_visible"], values).fetchone()
    assert row is not None
    values["chunks"] = (previous.chunks if previous else 0) + int(row[0])
    stamp = connection.execute(_SQL["create_release"], values).fetchone()
    assert stamp is not None
    connection.execute(_SQL["close_activations"], values)
    connection.execute(_SQL["open_activations"], values)
    connection.execute(_SQL["update_collection"], values)
    return Release(
        values["number"], values["kind"], str(values["run"]), stamp[0], values["digest"],
        values["documents"], values["chunks"],
    )  # fmt: skip


def _get_release(connection: Connection, values: dict[str, Any], number: int) -> Release | None:
    row = connection.execute(_SQL["get_release"], {**values, "number": number}).fetchone()
    return Release(*row) if row else None
