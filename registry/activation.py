"""The heart of every release: staged changes become what is shown. Call inside a transaction."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from registry.connection import Connection
from registry.queries import load
from registry.vectors import vector_table
from schemas.digest import release_digest, update_state
from schemas.errors import GateFailed, SpaceMismatch
from schemas.release import Activation, Overtaken, Release

_SQL = load("releases")


def apply_staged(
    connection: Connection,
    values: dict[str, Any],
    space_id: int,
    fingerprint: bytes,
    *,
    kind: str,
    note: str = "",
) -> Activation:
    """Show what the run staged as a new release. The cost follows what changed.

    The caller holds the collection's lock, and drops or keeps the staged rows afterwards. A
    document that is no longer as the plan saw it is left as it is and given back.

    Args:
        connection: in a transaction that holds the collection.
        values: tenant, collection and run.
        space_id: the space of the vectors; must be the collection's own.
        fingerprint: of the space.
        kind: of the release: ingest, rollback, purge or reembed.
        note: for the history.

    Raises:
        GateFailed: a staged chunk has no vector (invariant 1).
        SpaceMismatch: the collection's space was switched meanwhile.
    """
    current, state = _locked_state(connection, values, space_id)
    overtaken = tuple(Overtaken(*row) for row in connection.execute(_SQL["drop_conflicts"], values))
    _require_vectors(connection, values, space_id)
    pairs = connection.execute(_SQL["changed_digests"], values).fetchall()
    if not pairs:
        return Activation(None, overtaken)
    state = update_state(state, [new for new, _ in pairs if new], [old for _, old in pairs if old])
    previous = get_release(connection, values, current)
    added = sum(1 for _, old in pairs if old is None)
    deleted = sum(1 for new, _ in pairs if new is None)
    release = _write_release(
        connection,
        {
            **values,
            "number": current + 1,
            "kind": kind,
            "note": note,
            "space": space_id,
            "digest": release_digest(state, fingerprint),
            "digest_state": state,
            "documents": (previous.documents if previous else 0) + added - deleted,
        },
        previous,
    )
    chunks = release.chunks - (previous.chunks if previous else 0)
    return Activation(release, overtaken, added, len(pairs) - added - deleted, deleted, chunks)


def count_missing(connection: Connection, values: dict[str, Any], space_id: int) -> int:
    """How many of the chunks that a run staged have no vector."""
    query = sql.SQL(_SQL["missing_vectors"]).format(vectors=vector_table(space_id))
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0


def get_release(connection: Connection, values: dict[str, Any], number: int) -> Release | None:
    """The release of that number, without its tags."""
    row = connection.execute(load("history")["find_by_number"], {**values, "number": number}).fetchone()
    return Release(*row) if row else None


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


def _require_vectors(connection: Connection, values: dict[str, Any], space_id: int) -> None:
    """The gate looked before; what vanished since then must not become visible."""
    if missing := count_missing(connection, values, space_id):
        raise GateFailed(
            f"{missing} staged chunks have no vector; nothing was activated.",
            advice="Run the ingest again: it embeds what is missing.",
        )


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
        values["documents"], values["chunks"], values["note"],
    )  # fmt: skip
