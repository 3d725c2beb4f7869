"""Drop stored versions and what only they needed. Batch by batch: each leaves the registry sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from psycopg import sql

from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.prototype_retention import drop_incomplete_sets
from registry.queries import load
from registry.signatures import drop_signatures
from registry.vectors import count_deleted, vector_table
from schemas.retention import Dropped, VersionFacts

_SQL = load("purge")

BATCH_VERSIONS = 200
BATCH_STRAYS = 2_000

T = TypeVar("T")


class Space(NamedTuple):
    """An embedding space that a collection has vectors in."""

    id: int
    dim: int
    dtype: str


def version_facts(db: Database, collection_id: int, *, staged_before: datetime) -> list[VersionFacts]:
    """All versions of a collection. What runs staged before that time counts as discarded."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "staged_before": staged_before}
    with db.connection() as connection:
        rows = connection.execute(_SQL["version_facts"], values).fetchall()
    return [VersionFacts(*(*row[:-1], tuple(row[-1]))) for row in rows]


def list_spaces(db: Database, collection_id: int) -> list[Space]:
    """The spaces in which the collection has a partition."""
    with db.connection() as connection:
        return spaces_of(connection, {"tenant": db.tenant_id, "collection": collection_id})


def spaces_of(connection: Connection, values: dict[str, Any]) -> list[Space]:
    """As `list_spaces`, on a connection."""
    return [Space(*row) for row in connection.execute(_SQL["spaces_of_collection"], values)]


def discard_staged(db: Database, collection_id: int, *, staged_before: datetime) -> int:
    """Drop what runs staged before that time and never showed; returns how many changes."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "staged_before": staged_before}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        return connection.execute(_SQL["discard_staged"], values).rowcount


def foresee(db: Database, collection_id: int, version_ids: Sequence[int]) -> Dropped:
    """What `drop_versions` would take with these versions; strays are not counted."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "versions": list(version_ids)}
    with db.connection() as connection:
        row = connection.execute(_SQL["foreseen"], values).fetchone()
        assert row is not None
        chunks, parsed, signatures = row
        vectors = 0
        for space in spaces_of(connection, values):
            query = sql.SQL(_SQL["foreseen_vectors"]).format(
                vectors=vector_table(space.id), collection=sql.Literal(collection_id)
            )
            counted = connection.execute(query, {**values, "chunks": chunks}).fetchone()
            vectors += counted[0] if counted else 0
    return Dropped(len(version_ids), len(chunks), vectors, parsed, signatures=signatures)


def drop_versions(
    db: Database, collection_id: int, versions: Sequence[VersionFacts], *, keep_tagged: bool
) -> Dropped:
    """Drop versions that are still as they were planned; what changed meanwhile stays.

    Args:
        db: the registry.
        collection_id: whose versions.
        versions: to be dropped.
        keep_tagged: leave those that a tagged release shows.
    """
    total = Dropped()
    for batch in batches(versions, BATCH_VERSIONS):
        values: dict[str, Any] = {
            "tenant": db.tenant_id,
            "collection": collection_id,
            "versions": [version.id for version in batch],
            "ended": [version.ended_release for version in batch],
            "keep_tagged": keep_tagged,
        }
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            connection.execute(_SQL["wait_for_tags"])  # one that is being given is seen, or comes after
            rows = connection.execute(_SQL["still_droppable"], values).fetchall()
            ids, contents, documents = zip(*rows, strict=True) if rows else ((), (), ())
            total += erase_versions(connection, values, ids, contents)
            total += Dropped(documents=_drop_documents(connection, values, documents))
    return total


def erase_versions(
    connection: Connection, values: dict[str, Any], version_ids: Sequence[int], contents: Sequence[bytes]
) -> Dropped:
    """Drop versions and what nothing else needs. No current release may show them.

    Call inside a transaction that holds the collection. The releases that showed them note
    that they are incomplete.

    Args:
        connection: in that transaction.
        values: tenant and collection.
        version_ids: what goes.
        contents: sha256 of bytes whose parser results go where no version is left that has them.
    """
    values = {**values, "versions": list(version_ids), "contents": list(contents)}
    connection.execute(_SQL["count_missing"], values)
    drop_incomplete_sets(connection, values)
    connection.execute(_SQL["drop_activations"], values)
    chunks = [id_ for (id_,) in connection.execute(_SQL["drop_places"], values)]
    dropped = drop_unused_chunks(connection, values, chunks)
    texts = [text for (text,) in connection.execute(_SQL["drop_versions"], values)]
    parsed = connection.execute(_SQL["drop_parsed"], values).rowcount
    signatures = drop_signatures(connection, values, list(set(texts)))
    return dropped + Dropped(versions=len(texts), parsed=parsed, signatures=signatures)


def drop_unused_chunks(connection: Connection, values: dict[str, Any], chunks: Sequence[int]) -> Dropped:
    """Drop those of the chunks that no version contains, with their vectors in all spaces.

    Call inside a transaction that holds the collection.
    """
    values = {**values, "chunks": list(chunks)}
    unused = [id_ for (id_,) in connection.execute(_SQL["unused_chunks"], values)] if chunks else []
    if not unused:
        return Dropped()
    values["chunks"] = unused
    vectors = 0
    for space in spaces_of(connection, values):
        query = sql.SQL(_SQL["drop_vectors"]).format(
            vectors=vector_table(space.id), collection=sql.Literal(values["collection"])
        )
        dropped = connection.execute(query, values).rowcount
        count_deleted(connection, values, space.id, dropped)
        vectors += dropped
    return Dropped(chunks=connection.execute(_SQL["drop_chunks"], values).rowcount, vectors=vectors)


def _drop_documents(connection: Connection, values: dict[str, Any], ids: Sequence[int]) -> int:
    return connection.execute(_SQL["drop_documents"], {**values, "documents": list(set(ids))}).rowcount


def sweep_strays(db: Database, collection_id: int, *, stored_before: datetime) -> Dropped:
    """Drop what crashed runs and purges left: chunks, parser results, signatures, bare documents.

    Args:
        db: the registry.
        collection_id: where.
        stored_before: younger chunks stay.
    """
    values: dict[str, Any] = {"tenant": db.tenant_id, "collection": collection_id, "before": stored_before}
    total = Dropped()

    def drop_parsed(connection: Connection, found: Sequence[bytes]) -> Dropped:
        values_ = {**values, "contents": list(found)}
        return Dropped(parsed=connection.execute(_SQL["drop_parsed"], values_).rowcount)

    for found in _pages(db, "stray_chunks", values, 0):
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            total += drop_unused_chunks(connection, values, found)
    for contents in _pages(db, "stray_parsed", values, b""):
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            total += drop_parsed(connection, contents)
    for texts in _pages(db, "stray_signatures", values, b""):
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            total += Dropped(signatures=drop_signatures(connection, values, texts))
    for documents in _pages(db, "stray_documents", values, 0):
        with db.transaction() as connection:
            lock_collection(connection, collection_id)
            total += Dropped(documents=_drop_documents(connection, values, documents))
    return total


def _pages(db: Database, statement: str, values: dict[str, Any], after: T) -> Iterator[list[T]]:
    """Keys that a statement finds, page by page; each page is looked for when the last is done."""
    while True:
        with db.connection() as connection:
            rows = connection.execute(
                _SQL[statement], {**values, "after": after, "most": BATCH_STRAYS}
            ).fetchall()
        if not rows:
            return
        yield [row[0] for row in rows]
        after = rows[-1][0]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
