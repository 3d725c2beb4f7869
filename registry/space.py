"""Give deleted rows' space back: sizes, vacuum, vector partitions rebuilt."""

from __future__ import annotations

import logging

import psycopg
from psycopg import sql

from registry.connection import Database, connect_admin
from registry.locks import lock_collection
from registry.purge import Space, list_spaces
from registry.queries import load
from registry.vector_index import count_rows, drop_broken, is_worn, note_build, resources_for
from registry.vectors import partition_name, vector_table
from schemas.errors import DatabaseUnavailable

_SQL = load("purge")

TABLES = (
    "document", "document_version", "activation", "chunk", "version_chunk", "visible", "staged_change",
    "parsed", "signature", "signature_band", "rejection", "hold", "run", "release",
    "prototype", "prototype_set", "prototype_set_member", "delivery", "event",
)  # fmt: skip
REBUILD_FROM_BYTES = 8 << 20
"""A smaller partition is not worth a rebuild."""
LOCK_MS = 200
"""What a search may have to wait for the swap to get its lock; then the swap steps back."""
LOCK_ATTEMPTS = 20
VACUUM_MS = 10_000
"""How long a rebuild waits for a vacuum of its partition; an autovacuum gives way after a second."""
LONGEST_INLINE = 8 + 4 * 1_900
"""Bytes of a vector up to which it stays in the row (`build_vector_partition`)."""
_PAGE = 8192

log = logging.getLogger(__name__)


def table_sizes(db: Database, collection_id: int) -> dict[str, int]:
    """Bytes on disk by table, indexes included: the shared tables and the collection's vectors."""
    partitions = [partition_name(space.id, collection_id) for space in list_spaces(db, collection_id)]
    with db.connection() as connection:
        rows = connection.execute(_SQL["table_sizes"], {"tables": [*TABLES, *partitions]}).fetchall()
    return {name: total for name, total, _ in rows}


def vacuum(db: Database, collection_id: int, *, rewrite: bool = False) -> list[str]:
    """Free the space of deleted rows for new ones, and refresh statistics; as the owner of the tables.

    A vector partition of which at least half is empty is built anew: vacuum gives back what
    lies at the end of a file only, and searches read the empty pages too. So is one whose index has
    lost many of its vectors, and what an interrupted build left goes.

    Args:
        db: the registry.
        collection_id: whose vectors.
        rewrite: write all tables anew, so that their files do not hold the bytes of deleted rows any
            more. Everything that uses a table waits while it is written.

    Returns:
        The partitions that were rebuilt.
    """
    rebuilt = []
    with connect_admin(db.url) as admin:
        how = sql.SQL("VACUUM (FULL, ANALYZE) {}" if rewrite else "VACUUM (ANALYZE) {}")
        for table in TABLES:
            admin.execute(how.format(sql.Identifier(table)))
        for space in list_spaces(db, collection_id):
            name = partition_name(space.id, collection_id)
            drop_broken(db, space.id, collection_id)
            wasted = not rewrite and (
                is_sparse(db, collection_id, space) or is_worn(db, space.id, collection_id)
            )
            if wasted and rebuild_partition(db, collection_id, space):
                rebuilt.append(name)
            else:
                admin.execute(how.format(sql.Identifier(name)))
    return rebuilt


def is_sparse(db: Database, collection_id: int, space: Space) -> bool:
    """Whether a partition takes at least twice the space that its rows need."""
    name = partition_name(space.id, collection_id)
    with db.connection() as connection:
        row = connection.execute(_SQL["table_sizes"], {"tables": [name]}).fetchone()
        if row is None or row[2] < REBUILD_FROM_BYTES:
            return False
    rows = count_rows(db, space.id, collection_id)
    return int(row[2]) >= 2 * needed_bytes(rows, space)


def needed_bytes(rows: int, space: Space) -> int:
    """What so many vectors take in full pages: a row is not split, so large ones leave gaps.

    >>> needed_bytes(1000, Space(1, 1024, "vector")) // 8192
    1000
    """
    vector = 8 + space.dim * (4 if space.dtype == "vector" else 2)
    row = 4 + 24 + 16 + (vector + 7) // 8 * 8
    per_page = (_PAGE - 24) // row
    if vector > LONGEST_INLINE:  # stored out of line, in pieces of 2 kB
        return rows * (vector + vector // 10 + 64)
    return -(-rows // per_page) * _PAGE


def rebuild_partition(db: Database, collection_id: int, space: Space) -> bool:
    """Copy a partition's rows into a new table that takes its place; False where searches never let it.

    The collection is held meanwhile, so nobody writes. Searches go on: they wait for the swap
    only, a moment, and at most `LOCK_MS` for the swap to get its turn.
    """
    names = {
        "vectors": vector_table(space.id),
        "fresh": sql.Identifier(f"{partition_name(space.id, collection_id)}_new"),
        "tenant": sql.Literal(db.tenant_id),
        "collection": sql.Literal(collection_id),
    }
    values = {"space": space.id, "collection": collection_id}
    resources = resources_for(db, space.id, collection_id)
    try:
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            connection.execute(_SQL["begin_vector_rebuild"], {**values, "lock_ms": VACUUM_MS})
            with (
                db.connection() as reader,
                reader.cursor().copy(sql.SQL(_SQL["read_vectors"]).format(**names)) as out,
                connection.cursor().copy(sql.SQL(_SQL["write_vectors"]).format(**names)) as into,
            ):
                for block in out:
                    into.write(block)
            swap = {**values, **resources._asdict(), "lock_ms": LOCK_MS, "attempts": LOCK_ATTEMPTS}
            row = connection.execute(_SQL["finish_vector_rebuild"], swap).fetchone()
    except DatabaseUnavailable as exc:
        if not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
            raise
        log.warning(
            "searches or a vacuum held %s all the time: it keeps its size",
            partition_name(space.id, collection_id),
        )
        return False
    if row is not None and row[0] is not None:
        note_build(db, space.id, collection_id, seconds=row[0])
    return True
