"""Rebuild what follows from the rest. The past is never rewritten: a release row stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg import sql

from registry.blobs import BlobStore
from registry.check_blobs import find_lost, is_damaged
from registry.check_history import sum_digests
from registry.check_vectors import sound_square
from registry.collections import get_space
from registry.connection import Database
from registry.locks import lock_collection
from registry.queries import load
from registry.vectors import count_deleted, vector_table
from schemas.check import (
    ACTIVE_BLOBS,
    BANDS,
    BYTES,
    ELECTION,
    REFS,
    STAGED,
    STATE,
    VECTOR_CHUNKS,
    CheckReport,
    Repaired,
)
from schemas.errors import HomeNotWritable
from schemas.release import Collection

_SQL = load("repair")


def repair_collection(
    db: Database, collection: Collection, blobs: BlobStore, found: CheckReport
) -> list[Repaired]:
    """What could be mended without a model, in one transaction that holds the collection.

    `visible` and the set hash are counted anew from the active versions; vectors of no chunk
    and staged changes of runs that are over are deleted, bands of signatures stored as these say.
    Where elections are wrong, the settings that they were held by are forgotten, so that the next
    ingest holds them anew. A damaged blob is set aside, and a
    document whose bytes were lost forgets what it knew of its file, so that the next ingest
    fetches it again and, finding the version it has, brings back the bytes only.

    Args:
        db: the registry.
        collection: what to repair.
        blobs: the tenant's raw bytes.
        found: the check that went before; what it says of blobs is looked at again.
    """
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection.id}
    done: list[Repaired] = []
    damaged = _set_aside(blobs, found.damaged)
    if damaged:
        done.append(Repaired(BYTES, f"{len(damaged)} blobs set aside as *.damaged"))
    lost = find_lost(blobs, [*found.lost, *damaged])
    with db.transaction() as connection:
        lock_collection(connection, collection.id)
        changed = connection.execute(_SQL["drop_stale_staged"], values).rowcount
        _note(done, STAGED, changed, "staged rows dropped")
        changed = connection.execute(_SQL["drop_hidden"], values).rowcount
        changed += connection.execute(_SQL["recount_visible"], values).rowcount
        _note(done, REFS, changed, "rows of visible counted anew")
        state = sum_digests(connection, values)
        changed = connection.execute(_SQL["write_state"], {**values, "state": state}).rowcount
        _note(done, STATE, changed, "set hash counted anew")
        changed = connection.execute(_SQL["drop_homeless_bands"], values).rowcount
        changed += connection.execute(_SQL["store_lost_bands"], values).rowcount
        _note(done, BANDS, changed, "bands deleted or stored again")
        if any(problem.invariant == ELECTION for problem in found.problems):
            changed = connection.execute(_SQL["forget_election"], values).rowcount
            _note(done, ELECTION, changed, "collection will be compared anew by the next ingest")
        if collection.active_space_id is not None:
            query = sql.SQL(_SQL["drop_homeless_vectors"]).format(
                vectors=vector_table(collection.active_space_id)
            )
            changed = connection.execute(query, values).rowcount
            count_deleted(connection, values, collection.active_space_id, changed)
            _note(done, VECTOR_CHUNKS, changed, "vectors of no chunk deleted")
        if lost:
            changed = connection.execute(_SQL["forget_stats"], {**values, "hashes": lost}).rowcount
            _note(done, ACTIVE_BLOBS, changed, "documents will be fetched again by the next ingest")
    return done


def chunks_to_embed(db: Database, collection: Collection, *, unsound_too: bool) -> list[int]:
    """Chunks of active versions without a vector and, if asked, all whose vector is not fit."""
    if collection.active_space_id is None:
        return []
    normalised = get_space(db, collection.active_space_id).normalised
    query = sql.SQL(_SQL["chunks_to_embed"]).format(
        vectors=vector_table(collection.active_space_id), is_sound=sound_square(normalised)
    )
    values = {"tenant": db.tenant_id, "collection": collection.id, "all": unsound_too}
    with db.connection() as connection:
        return [chunk for (chunk,) in connection.execute(query, values)]


def _set_aside(blobs: BlobStore, damaged: Sequence[bytes]) -> list[bytes]:
    """Take damaged files from under their names: one of the right size would be taken as stored."""
    moved = []
    for sha256 in damaged:
        path = blobs.path(sha256)
        if is_damaged(blobs, sha256):
            with _write_errors(path):
                path.rename(path.with_suffix(".damaged"))
            moved.append(sha256)
    return moved


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise HomeNotWritable(
            f"The damaged raw file {path} cannot be set aside ({exc.strerror or exc}).",
            advice="Run the repair as the user who ingests.",
        ) from exc


def _note(done: list[Repaired], invariant: str, count: int, what: str) -> None:
    if count:
        done.append(Repaired(invariant, f"{count} {what}"))
