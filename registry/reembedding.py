"""Another embedding space beside the active one: what it lacks, and the switch to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.activation import apply_staged, list_unembedded
from registry.collections import get_collection_by_id, get_space
from registry.connection import Connection, Database
from registry.locks import lock_collection, try_hold_reembed
from registry.queries import load
from registry.staging import require_running
from registry.vectors import vector_partition, vector_table
from schemas.errors import RunStopped
from schemas.release import Activation, Collection, Release

_SQL = load("reembedding")


@contextmanager
def hold_reembed(db: Database, collection: Collection) -> Iterator[None]:
    """Be the only reembed of a collection while the block runs; kill -9 ends it too.

    Raises:
        RunStopped: another one is at work; nothing was written.
    """
    with db.dedicated() as connection:
        if not try_hold_reembed(connection, collection.id):
            raise RunStopped(
                f"Another reembed of collection {collection.name!r} is at work. This one did nothing.",
                advice=f"Wait until it ends: `revector status --collection {collection.name}`.",
            )
        yield


def wait_for_build(db: Database, collection_id: int, space_id: int) -> None:
    """Return when no index of the space is being built: the backend of a killed reembed builds on.

    Whoever waited for that while storing would hold the collection, and so hold up all ingests.
    """
    query = sql.SQL(_SQL["wait_for_build"]).format(partition=vector_partition(space_id, collection_id))
    with db.transaction() as connection:
        connection.execute(query)


def count_unembedded(db: Database, collection_id: int, space_id: int) -> tuple[int, int]:
    """How many chunks the current release shows, and how many of them have no vector in the space."""
    query = sql.SQL(_SQL["count_unembedded"]).format(
        vectors=vector_table(space_id), collection=sql.Literal(collection_id)
    )
    with db.connection() as connection:
        row = connection.execute(query, _values(db, collection_id)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def find_unembedded(db: Database, collection_id: int, space_id: int, *, most: int) -> list[int]:
    """Chunks that the current release shows and that have no vector in the space; at most so many."""
    with db.connection() as connection:
        return list_unembedded(connection, _values(db, collection_id), space_id, most=most)


def convert_vectors(db: Database, collection_id: int, old: int, new: int, ids: list[int]) -> int:
    """Give chunks the vector that they have in another space of the same model, stored the new way."""
    query = sql.SQL(_SQL["convert_vectors"]).format(
        old=vector_table(old),
        new=vector_partition(new, collection_id),
        fresh=vector_table(new),
        collection=sql.Literal(collection_id),
        kind=sql.Identifier(get_space(db, new).column_type),
    )
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        return connection.execute(query, {**_values(db, collection_id), "ids": ids}).rowcount


def sample_chunks(db: Database, collection_id: int, *, most: int) -> list[tuple[int, str]]:
    """(id, text) of chunks that the current release shows, the same ones as long as it shows them."""
    with db.connection() as connection:
        rows = connection.execute(_SQL["sample_chunks"], {**_values(db, collection_id), "most": most})
        return [(id_, text) for id_, text in rows]


def count_truncated(db: Database, collection_id: int, most: int) -> int:
    """How many chunks that are shown have more tokens than so many, as the model counted that cut them."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["count_truncated"], {**_values(db, collection_id), "most": most}
        ).fetchone()
    assert row is not None
    return int(row[0])


def shown_vector(db: Database, collection_id: int, space_id: int) -> NDArray[np.float32] | None:
    """(D,) float32: the vector of some chunk that is shown; None where none is."""
    query = sql.SQL(_SQL["shown_vector"]).format(
        vectors=vector_table(space_id), collection=sql.Literal(collection_id)
    )
    with db.connection() as connection:
        row = connection.execute(query, _values(db, collection_id)).fetchone()
    return np.asarray(json.loads(row[0]), dtype=np.float32) if row else None


def switch_space(
    db: Database,
    collection_id: int,
    run_id: UUID,
    space_id: int,
    *,
    before: int,
    note: str,
    inspect: Callable[[Connection], None] | None = None,
) -> Activation:
    """Let searches read another space: a release that shows the same, in one transaction.

    Args:
        db: the registry.
        collection_id: whose state changes.
        run_id: the run that does it.
        space_id: the space that is to serve.
        before: the space that the change began with, and that comparisons were made with.
        note: for the history.
        inspect: looks at the new state before anybody else can; what it raises undoes it.

    Raises:
        VectorsMissing: a chunk that is shown has no vector there; `chunks` in the facts are some of them.
        RunLost: the run was taken for dead meanwhile.
        RunStopped: the collection was switched to a third space meanwhile, as by a rollback.
    """
    fingerprint = get_space(db, space_id).fingerprint
    values = {**_values(db, collection_id), "run": run_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        done = connection.execute(load("releases")["release_of_run"], values).fetchone()
        if done:  # a retry after the connection broke between commit and answer
            return Activation(Release(*done))
        require_running(connection, values)
        active = get_collection_by_id(connection, db.tenant_id, collection_id).active_space_id
        if active not in (before, space_id):
            raise RunStopped(
                "Meanwhile the collection was switched to another model than the one this change began with. "
                "Nothing was changed.",
                advice="Look at `revector history`. If it is still to be changed, run it again: what is "
                "embedded stays.",
            )
        activation = apply_staged(
            connection, values, space_id, fingerprint, kind="reembed", note=note, switch=True
        )
        if inspect is not None:
            inspect(connection)
    return activation


def _values(db: Database, collection_id: int) -> dict[str, Any]:
    return {"tenant": db.tenant_id, "collection": collection_id}
