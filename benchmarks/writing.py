"""Writing vectors: our transactional path against one raw binary COPY of the same bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import DIM, make_chunks, make_vectors
from benchmarks.database import connect_owner, fresh_registry
from benchmarks.filling import store_chunks
from benchmarks.measuring import Row, alternate, median_ratio, per_second
from registry.collections import ensure_collection, ensure_space, ensure_vector_partition
from registry.connection import Database
from registry.locks import lock_collection
from registry.vectors import encode_vectors, write_vectors
from schemas.chunk import Chunk
from schemas.embedding import EmbeddingSpace
from tasks.vectors import STORE_CHUNKS

_PLAIN = (
    "CREATE TABLE plain (tenant_id int NOT NULL, collection_id int NOT NULL, chunk_id bigint NOT NULL, "
    f"embedding vector({DIM}) NOT NULL, PRIMARY KEY (collection_id, chunk_id))"
)
_COPY = "COPY plain (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary)"
_TRUNCATE = "TRUNCATE vectors_{space}, plain"


def run(quick: bool) -> list[Row]:
    """Vectors a second of both, and of the whole path with chunk texts and keyword grams."""
    count = 10_000 if quick else 100_000
    vectors = make_vectors(count)
    with fresh_registry() as db:
        collection_id = ensure_collection(db, "bench").id
        space_id = ensure_space(db, EmbeddingSpace("text", "bench", "bench", "1", DIM))
        ensure_vector_partition(db, space_id, collection_id)
        whole = _store_all(db, collection_id, space_id, make_chunks(count), vectors)
        return [
            _compare(db, collection_id, space_id, vectors, rounds=3 if quick else 5),
            Row(
                name="write chunks",
                ours=per_second(count, [whole], "chunks"),
                baseline="-",
                ratio=None,
                meaning="the same with chunk texts, keyword grams and their index",
            ),
        ]


def _store_all(
    db: Database,
    collection_id: int,
    space_id: int,
    chunks: Sequence[Chunk],
    vectors: NDArray[np.float32],
) -> float:
    """Seconds to store everything in a run's batches."""
    started = time.perf_counter()
    for start in range(0, len(chunks), STORE_CHUNKS):
        part = slice(start, start + STORE_CHUNKS)
        store_chunks(db, collection_id, space_id, chunks[part], vectors[part])
    return time.perf_counter() - started


def _compare(
    db: Database, collection_id: int, space_id: int, vectors: NDArray[np.float32], *, rounds: int
) -> Row:
    with connect_owner(db.url) as owner:
        owner.execute(_PLAIN)
        ids = _chunk_ids(db, collection_id)
        blocks = list(encode_vectors(db.tenant_id, collection_id, ids, vectors))

        def empty() -> None:
            owner.execute(_TRUNCATE.format(space=space_id))
            owner.execute("CHECKPOINT")

        def ours() -> None:
            with db.dedicated() as connection:  # a new one, as in a new run: it has planned nothing yet
                for start in range(0, len(ids), STORE_CHUNKS):
                    part = slice(start, start + STORE_CHUNKS)
                    with connection.transaction():
                        lock_collection(connection, collection_id)
                        write_vectors(
                            connection, db.tenant_id, collection_id, space_id, ids[part], vectors[part]
                        )

        def raw() -> None:
            with owner.cursor() as cursor, cursor.copy(_COPY) as stream:
                for block in blocks:
                    stream.write(block)

        seconds = alternate({"ours": ours, "raw": raw}, rounds=rounds, before=empty)
    return Row(
        name="write vectors",
        ours=per_second(len(ids), seconds["ours"], "vectors"),
        baseline=per_second(len(ids), seconds["raw"], "vectors"),
        ratio=1 / median_ratio(seconds["ours"], seconds["raw"]),
        meaning=f"{STORE_CHUNKS} a transaction, locked and checked / one raw COPY; higher is better",
    )


def _chunk_ids(db: Database, collection_id: int) -> NDArray[np.int64]:
    query = "SELECT id FROM chunk WHERE tenant_id = %s AND collection_id = %s ORDER BY id"
    with db.connection() as connection:
        rows = connection.execute(query, [db.tenant_id, collection_id]).fetchall()
    return np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
