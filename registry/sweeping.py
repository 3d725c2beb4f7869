"""Delete raw files that no version needs any more, beside runs that may be storing them again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from registry.blobs import BlobStore
from registry.connection import Connection, Database
from registry.locks import lock_blobs
from registry.queries import load
from registry.runs import mark_crashed_runs

_SQL = load("purge")

BATCH_BLOBS = 500
CLOCK_MARGIN_S = 600
"""The file system's clock and the database's may differ by so much."""
NEVER_PUT = ["purge", "forget"]
"""Flows whose runs store no blobs."""


class Swept(NamedTuple):
    """Deleted blobs, or those that would be."""

    blobs: int
    bytes: int


def mark_all_crashed(db: Database) -> None:
    """Mark dead runs of all collections: they must not count as live, nor write any more."""
    with db.connection() as connection:
        found = connection.execute(_SQL["collections_with_runs"], {"tenant": db.tenant_id}).fetchall()
    for (collection_id,) in found:
        mark_crashed_runs(db, collection_id)


def sweep_blobs(db: Database, blobs: BlobStore) -> Swept:
    """Delete blobs that no version of the tenant has; all commits that drop versions come before.

    A run stores a blob, or touches the one that is there, before it writes the version. So while
    runs live, only those that nobody touched since the oldest of them began are deleted. A run
    cannot begin while a batch is deleted.
    """
    mark_all_crashed(db)
    bring_back(db, blobs)
    deleted, freed = 0, 0
    candidates = blobs.stored()
    while batch := list(islice(candidates, BATCH_BLOBS)):
        with db.transaction() as connection:
            lock_blobs(connection, db.tenant_id)
            live_since = _oldest_live_run(connection, db.tenant_id)
            limit = None if live_since is None else live_since.timestamp() - CLOCK_MARGIN_S
            for digest in set(batch) - _in_use(connection, db.tenant_id, batch):
                if (size := blobs.discard(digest, untouched_since=limit)) is not None:
                    deleted, freed = deleted + 1, freed + size
    with db.transaction() as connection:
        lock_blobs(connection, db.tenant_id)
        if _oldest_live_run(connection, db.tenant_id) is None:
            blobs.clear_parts()
    return Swept(deleted, freed)


def bring_back(db: Database, blobs: BlobStore) -> None:
    """Undo what a killed sweep had begun to delete: a run may have come to need it."""
    with db.transaction() as connection:
        lock_blobs(connection, db.tenant_id)
        blobs.bring_back()


def find_unused_blobs(db: Database, blobs: BlobStore, dropped: Iterable[int] = ()) -> Swept:
    """What `sweep_blobs` would delete once these versions are gone and no run lives."""
    values = {"tenant": db.tenant_id, "dropped": list(dropped)}
    with db.connection() as connection:
        rows = connection.execute(_SQL["contents_kept"], values)
        kept = {bytes(sha256) for (sha256,) in rows}
    sizes = [blobs.size(digest) for digest in blobs.stored() if digest not in kept]
    return Swept(len(sizes), sum(sizes))


def contents_in_use(db: Database, contents: Sequence[bytes], besides: Sequence[int] = ()) -> set[bytes]:
    """Those of the contents that a version of the tenant has, besides these versions."""
    with db.connection() as connection:
        return _in_use(connection, db.tenant_id, contents, besides)


def _in_use(
    connection: Connection, tenant_id: int, contents: Sequence[bytes], besides: Sequence[int] = ()
) -> set[bytes]:
    values = {"tenant": tenant_id, "contents": list(contents), "except": list(besides)}
    return {bytes(sha256) for (sha256,) in connection.execute(_SQL["contents_in_use"], values)}


def _oldest_live_run(connection: Connection, tenant_id: int) -> datetime | None:
    row = connection.execute(_SQL["oldest_live_run"], {"tenant": tenant_id, "flows": NEVER_PUT}).fetchone()
    started: datetime | None = row[0] if row else None
    return started
