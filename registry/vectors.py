"""Chunks and their vectors: what is missing, and writing it in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.collections import read_space
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from schemas.chunk import Chunk
from schemas.errors import EmbeddingFailed
from schemas.grams import gram_hashes, text_grams

_SQL = load("chunks")

COPY_ROWS = 4096

_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


def vector_table(space_id: int) -> sql.Identifier:
    """The table of a space's vectors: the partitioned parent, guarded by row level security."""
    return sql.Identifier(f"vectors_{space_id}")


def vector_partition(space_id: int, collection_id: int) -> sql.Identifier:
    """The partition of one collection; the application may only insert into it by name."""
    return sql.Identifier(partition_name(space_id, collection_id))


def partition_name(space_id: int, collection_id: int) -> str:
    """The same as text."""
    return f"vectors_{space_id}_{collection_id}"


def chunk_texts(db: Database, collection_id: int, ids: Sequence[int]) -> list[tuple[int, str]]:
    """(id, text) of those chunks that are there."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "ids": list(ids)}
    with db.connection() as connection:
        return connection.execute(_SQL["chunk_texts"], values).fetchall()


def chunk_images(db: Database, collection_id: int, ids: Sequence[int]) -> list[tuple[int, bytes, bytes]]:
    """(id, sha256 of the image, sha256 of raw bytes that hold it) of those image chunks that are there."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "ids": list(ids)}
    with db.connection() as connection:
        rows = connection.execute(_SQL["chunk_images"], values).fetchall()
    return [(id_, bytes(content), bytes(raw)) for id_, content, raw in rows]


def reuse_vectors(db: Database, collection_id: int, space_id: int, ids: Sequence[int]) -> list[int]:
    """Give image chunks the vector that the same image has under another class or caption.

    Returns:
        The ids of those that have one now.
    """
    values = {"tenant": db.tenant_id, "collection": collection_id, "ids": list(ids)}
    query = sql.SQL(_SQL["reuse_vectors"]).format(vectors=vector_table(space_id))
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        return [id_ for (id_,) in connection.execute(query, values)]


def store_vectors(
    db: Database,
    collection_id: int,
    space_id: int,
    ids: Sequence[int],
    vectors: NDArray[np.float32],
    *,
    replace: bool = False,
) -> int:
    """Give chunks their vectors in one transaction; returns how many were written.

    The collection is locked for the writing only: models ran before, readers never wait. A
    chunk that was purged meanwhile gets none.

    Args:
        db: the registry.
        collection_id: whose chunks.
        space_id: the space of the vectors.
        ids: N chunks, all different.
        vectors: (N, D) float32.
        replace: write also those that have one.

    Raises:
        EmbeddingFailed: a vector holds NaN or infinity, or is zero: nothing would be near it.
            Also where it only becomes so in the numbers of 2 bytes that are stored.
    """
    _require_sound(vectors)
    numbers = np.asarray(ids, dtype=np.int64)
    values = {"tenant": db.tenant_id, "collection": collection_id, "ids": list(ids)}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        there = [id_ for (id_,) in connection.execute(_SQL["chunks_there"], values)]
        if replace:
            query = sql.SQL(_SQL["drop_vectors"]).format(vectors=vector_table(space_id))
            count_deleted(connection, values, space_id, connection.execute(query, values).rowcount)
        keep = np.isin(numbers, np.asarray(there, dtype=np.int64))
        return write_vectors(connection, db.tenant_id, collection_id, space_id, numbers[keep], vectors[keep])


def count_deleted(connection: Connection, values: Mapping[str, Any], space_id: int, count: int) -> None:
    """Note that the index of a collection's vectors has lost so many: `registry.vector_index` rebuilds it."""
    if count:
        connection.execute(_SQL["count_deleted"], {**values, "space": space_id, "deleted": count})


def _require_sound(vectors: NDArray[np.float32]) -> None:
    if bad := _count_unsound(vectors):
        raise EmbeddingFailed(
            f"The model gave {bad} of {len(vectors)} vectors that are zero or not finite.",
            advice='Set precision = "float32" and run again; if it stays, choose another model.',
        )


def _count_unsound(vectors: NDArray[Any]) -> int:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return int(np.count_nonzero(~(np.isfinite(lengths) & (lengths > 0))))


def _halve(vectors: NDArray[np.float32]) -> NDArray[np.float16]:
    """As float16; numbers are rounded by at most 2**-11 of themselves."""
    with np.errstate(over="ignore", under="ignore"):
        half = vectors.astype(np.float16)
    if bad := _count_unsound(half):
        raise EmbeddingFailed(
            f"{bad} of {len(vectors)} vectors do not fit into float16: numbers too large, or too small.",
            advice='Store them as float32: vectors.dtype = "vector".',
        )
    return half


def ensure_chunks(
    connection: Connection, tenant_id: int, collection_id: int, chunks: Mapping[bytes, Chunk]
) -> dict[bytes, int]:
    """Hash -> id of the chunks, storing those that are not there yet.

    Call inside a transaction that holds the collection.
    """
    ids = chunk_ids(connection, tenant_id, collection_id, list(chunks))
    fresh = {hash_: chunk for hash_, chunk in chunks.items() if hash_ not in ids}
    if fresh:
        _insert_chunks(connection, tenant_id, collection_id, fresh)
        ids |= chunk_ids(connection, tenant_id, collection_id, list(fresh))
    return ids


def _insert_chunks(
    connection: Connection, tenant_id: int, collection_id: int, fresh: Mapping[bytes, Chunk]
) -> None:
    grams = (gram_hashes(text_grams(chunk.text), collection_id) for chunk in fresh.values())
    connection.execute(
        _SQL["create_chunks"],
        {
            "tenant": tenant_id,
            "collection": collection_id,
            "hash": list(fresh),
            "kind": [chunk.kind for chunk in fresh.values()],
            "text": [chunk.text for chunk in fresh.values()],
            "tokens": [chunk.tokens for chunk in fresh.values()],
            "content": [chunk.content or None for chunk in fresh.values()],
            "grams": ["{" + ",".join(map(str, row)) + "}" for row in grams],
        },
    )


def chunk_ids(
    connection: Connection, tenant_id: int, collection_id: int, hashes: Sequence[bytes]
) -> dict[bytes, int]:
    """Hash -> id of stored chunks."""
    rows = connection.execute(
        _SQL["chunk_ids"], {"tenant": tenant_id, "collection": collection_id, "hashes": list(hashes)}
    ).fetchall()
    return {bytes(hash_): id_ for hash_, id_ in rows}


def write_vectors(
    connection: Connection,
    tenant_id: int,
    collection_id: int,
    space_id: int,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
) -> int:
    """COPY the vectors whose chunk has none yet; returns how many were written.

    Call inside a transaction that holds the collection, so that no other run writes the
    same chunk in between.

    Args:
        connection: a connection in a transaction.
        tenant_id: whose vectors.
        collection_id: where to.
        space_id: the space of the vectors.
        ids: (N,) chunk ids.
        vectors: (N, D) float32.

    Raises:
        EmbeddingFailed: they do not fit into the column's float16.
    """
    query = sql.SQL(_SQL["ids_with_vectors"]).format(vectors=vector_table(space_id))
    rows = connection.execute(
        query, {"tenant": tenant_id, "collection": collection_id, "ids": ids.tolist()}
    ).fetchall()
    if rows:
        keep = ~np.isin(ids, np.fromiter((row[0] for row in rows), dtype=np.int64))
        ids, vectors = ids[keep], vectors[keep]
    if len(ids):
        copy = sql.SQL(_SQL["copy_vectors"]).format(partition=vector_partition(space_id, collection_id))
        stored = vectors if read_space(connection, space_id).column_type == "vector" else _halve(vectors)
        with connection.cursor() as cursor, cursor.copy(copy) as stream:
            for block in encode_vectors(tenant_id, collection_id, ids, stored):
                stream.write(block)
    return len(ids)


def encode_vectors(
    tenant_id: int,
    collection_id: int,
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32] | NDArray[np.float16],
) -> Iterator[bytes]:
    """The rows in PostgreSQL's binary COPY format, blocks of `COPY_ROWS`; float16 for columns of halfvec.

    Source: PostgreSQL documentation, COPY, "Binary Format"; pgvector `vector_recv`, `halfvec_recv`.
    """
    dim, size = vectors.shape[1], vectors.dtype.itemsize
    row = _copy_row(dim, size)
    yield _COPY_HEADER
    for start in range(0, len(ids), COPY_ROWS):
        part = slice(start, start + COPY_ROWS)
        block = np.zeros(len(ids[part]), dtype=row)
        block["fields"], block["tenant_len"], block["collection_len"] = 4, 4, 4
        block["chunk_len"], block["vector_len"] = 8, 4 + size * dim
        block["tenant"], block["collection"], block["dim"] = tenant_id, collection_id, dim
        block["chunk"], block["vector"] = ids[part], vectors[part]
        yield block.tobytes()
    yield _COPY_TRAILER


def _copy_row(dim: int, size: int) -> np.dtype[Any]:
    return np.dtype(
        [
            ("fields", ">i2"),
            ("tenant_len", ">i4"), ("tenant", ">i4"),
            ("collection_len", ">i4"), ("collection", ">i4"),
            ("chunk_len", ">i4"), ("chunk", ">i8"),
            ("vector_len", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("vector", f">f{size}", (dim,)),
        ]
    )  # fmt: skip
