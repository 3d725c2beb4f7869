"""The heart of every release: staged changes become what is shown. Call inside a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import sql

from registry.connection import Connection
from registry.election import begin_election
from registry.queries import load
from registry.vectors import vector_table
from schemas.digest import entry_digest, release_digest, update_state
from schemas.errors import SpaceSwitched, VectorsMissing
from schemas.release import Activation, Overtaken, Release

_SQL = load("releases")
MOST_UNEMBEDDED = 4096

Elect = Callable[[Connection], None]
"""Decides about duplicates among what would be shown, and writes it into the run's staged rows."""


def apply_staged(
    connection: Connection,
    values: dict[str, Any],
    space_id: int,
    fingerprint: bytes,
    *,
    kind: str,
    note: str = "",
    elect: Elect | None = None,
    election: bytes | None = None,
    switch: bool = False,
) -> Activation:
    """Show what the run staged as a new release. The cost follows what changed.

    The caller holds the collection's lock, and drops or keeps the staged rows afterwards. A
    document that is no longer as the plan saw it is left as it is and given back.

    Args:
        connection: in a transaction that holds the collection.
        values: tenant, collection and run.
        space_id: the space of the vectors.
        fingerprint: of the space.
        kind: of the release: ingest, rollback, purge or reembed.
        note: for the history.
        elect: holds the election, unless the run held it on the release that is still current;
            None where the staged rows say themselves who won.
        election: the settings of the last election, where not those of the run or the collection.
        switch: whether the collection may have another space active until now: then all that is shown
            has its vectors in this one, or nothing changes.

    Raises:
        VectorsMissing: a staged chunk that would be shown has no vector (invariant 1).
        SpaceSwitched: see the class.
    """
    current, state, active = _locked_state(connection, values)
    is_switch = active not in (None, space_id)
    if is_switch and not switch:
        raise SpaceSwitched(
            "The collection's embedding model was switched while this run embedded with another.",
            advice="Run it again: it embeds with the other one what has no vector there yet.",
        )
    is_stale = elect is not None and not _is_elected(connection, values, current)
    if is_stale:
        begin_election(connection, values)
    overtaken = tuple(Overtaken(*row) for row in connection.execute(_SQL["drop_conflicts"], values))
    if is_stale and elect is not None:
        elect(connection)
    _require_vectors(connection, values, space_id)
    pairs = connection.execute(_SQL["changed_entries"], values).fetchall()
    elected = election if election is not None else _elected_by(connection, values)
    if not pairs and not is_switch:
        connection.execute(_SQL["update_election"], {**values, "election": elected})
        return Activation(None, overtaken)
    new = [entry_digest(*row[:3]) for row in pairs if row[0]]
    old = [entry_digest(*row[3:6]) for row in pairs if row[3]]
    state = update_state(state, new, old)
    previous = get_release(connection, values, current)
    reelected = sum(1 for row in pairs if row[6])
    places = count_places(connection, values)
    added, deleted = len(pairs) - len(old), len(pairs) - len(new)
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
            "election": elected,
        },
        previous,
    )
    if is_switch:
        connection.execute(_SQL["end_use"], {**values, "space": active})
        _require_all_vectors(connection, values, space_id)
    return Activation(
        release,
        overtaken,
        added,
        len(pairs) - added - deleted - reelected,
        deleted,
        release.chunks - (previous.chunks if previous else 0),
        reelected,
        duplicates=sum(1 for row in pairs if row[1] is not None and not row[6]),
        hidden=sum(1 for row in pairs if row[2] and not row[5]),
        restored=sum(1 for row in pairs if row[5] and row[0] and not row[2]),
        places=places,
    )


def count_places(connection: Connection, values: dict[str, Any]) -> int:
    """Places of chunks that a run would show and that its documents do not show now."""
    row = connection.execute(_SQL["staged_places"], values).fetchone()
    return int(row[0]) if row else 0


def list_missing(connection: Connection, values: dict[str, Any], space_id: int) -> list[int]:
    """The chunks that a run would show and that have no vector in the space, in order."""
    query = sql.SQL(_SQL["missing_vectors"]).format(vectors=vector_table(space_id))
    return [chunk for (chunk,) in connection.execute(query, values)]


def get_release(connection: Connection, values: dict[str, Any], number: int) -> Release | None:
    """The release of that number, without its tags."""
    row = connection.execute(load("history")["find_by_number"], {**values, "number": number}).fetchone()
    return Release(*row) if row else None


def _locked_state(connection: Connection, values: dict[str, Any]) -> tuple[int, bytes, int | None]:
    """(current release, state of the digest, active space)."""
    row = connection.execute(_SQL["lock_state"], values).fetchone()
    assert row is not None
    current, active_space, state = row
    return int(current), bytes(state), active_space


def _is_elected(connection: Connection, values: dict[str, Any], current: int) -> bool:
    """Whether the run's election saw the release that is current."""
    row = connection.execute(_SQL["elected_release"], values).fetchone()
    return row is not None and row[0] == current


def _elected_by(connection: Connection, values: dict[str, Any]) -> bytes:
    row = connection.execute(_SQL["elected_by"], values).fetchone()
    assert row is not None
    return bytes(row[0])


def _require_vectors(connection: Connection, values: dict[str, Any], space_id: int) -> None:
    """The gate looked before; what vanished since then must not become visible."""
    if missing := list_missing(connection, values, space_id):
        raise VectorsMissing(
            f"{len(missing)} staged chunks have no vector; nothing was activated.",
            advice="Run the ingest again: it embeds what is missing.",
            chunks=missing,
        )


def list_unembedded(
    connection: Connection, values: dict[str, Any], space_id: int, *, most: int = MOST_UNEMBEDDED
) -> list[int]:
    """Chunks that the current release shows and that have no vector in the space, in order."""
    query = sql.SQL(_SQL["unembedded"]).format(
        vectors=vector_table(space_id), collection=sql.Literal(values["collection"])
    )
    return [chunk for (chunk,) in connection.execute(query, {**values, "most": most})]


def _require_all_vectors(connection: Connection, values: dict[str, Any], space_id: int) -> None:
    """Of a switch: also what did not change is to be found in the space."""
    if missing := list_unembedded(connection, values, space_id):
        raise VectorsMissing(
            f"{len(missing)} chunks have no vector of the model that is to serve; nothing was switched.",
            advice="Run it again: it embeds what is missing.",
            chunks=missing,
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
