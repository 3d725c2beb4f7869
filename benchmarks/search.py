"""Searching 50,000 chunks of a release, against pgvector's plain nearest-neighbour query."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.corpus import DIM, make_words, normalise
from benchmarks.database import connect_owner, fresh_registry
from benchmarks.filling import Filled, fill_collection
from benchmarks.measuring import Row, alternate, median_ratio, milliseconds
from registry.connection import Database
from registry.search import CANDIDATES, EF_SEARCH, format_vector, search_collection
from registry.vector_index import ensure_index
from registry.vectors import encode_vectors

K = 10
_PLAIN = f"CREATE TABLE plain (tenant_id int, collection_id int, chunk_id bigint, embedding vector({DIM}))"
_COPY = "COPY plain (tenant_id, collection_id, chunk_id, embedding) FROM STDIN (FORMAT binary)"
_INDEX = "CREATE INDEX ON plain USING hnsw (embedding vector_cosine_ops)"
_NEAREST = f"SELECT chunk_id FROM plain ORDER BY embedding <=> %s::vector LIMIT {K}"

Found = list[list[str]]


def run(quick: bool) -> list[Row]:
    """Median latencies of the three modes, recall of the index, and the plain query's."""
    count, queries = (6_000, 10) if quick else (50_000, 50)
    with fresh_registry() as db:
        filled = fill_collection(db, count)
        probes = _probes(filled.vectors, queries)
        first_s = _time(lambda: _keyword_hits(db, filled, _questions(1)), 1, 1, warm_up=False)
        exact = _exact_hits(db, filled, probes)
        unindexed = _recall(exact, _vector_hits(db, filled, probes))
        assert unindexed > 0.99, f"without an index a search reads all, and found {unindexed:.3f}"
        exact_s = _time(lambda: _vector_hits(db, filled, probes[:10]), 3, 10)
        assert ensure_index(db, filled.space_id, filled.collection.id)
        before = _index_reads(db)
        found = _vector_hits(db, filled, probes)
        start = _index_reads(db)
        indexed = (start["HNSW"] - before["HNSW"]) / queries
        # where the planner left the index aside, exact hits were compared with exact ones
        recall = f"{_recall(exact, found):.3f}" if indexed >= 1 else f"unknown: {indexed:.0%} read the index"
        rounds = 3 if quick else 5
        rows = [
            Row(
                name="first search after a first ingest",
                ours=milliseconds(first_s),
                baseline="-",
                ratio=None,
                meaning="keyword mode, right after activation; once, so no ratio",
            ),
            *_compare(db, filled, probes, exact_s, recall, rounds=rounds),
        ]
        # a mode's own searches and hybrid ones, the warm-up too
        return [*rows, _index_use(start, _index_reads(db), searches=2 * queries * (1 + rounds))]


def _probes(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Queries near stored vectors, as a question is near its answer."""
    rng = np.random.default_rng(5)
    near = vectors[rng.choice(len(vectors), count, replace=False)]
    return normalise(near + rng.standard_normal(near.shape).astype(np.float32) * np.float32(0.4 / DIM**0.5))


def _compare(
    db: Database,
    filled: Filled,
    probes: NDArray[np.float32],
    exact_s: Sequence[float],
    recall: str,
    *,
    rounds: int,
) -> list[Row]:
    texts = _questions(len(probes))
    with connect_owner(db.url) as owner:
        _fill_plain(owner, filled)
        sides: dict[str, Callable[[], object]] = {
            "vector": lambda: _vector_hits(db, filled, probes),
            "plain": lambda: _plain_hits(owner, probes),
            "keyword": lambda: _keyword_hits(db, filled, texts),
            "hybrid": lambda: [
                search_collection(db, filled.collection, k=K, text=text, vector=vector)
                for text, vector in zip(texts, probes, strict=True)
            ],
        }
        total = alternate(sides, rounds=rounds)
    seconds = {name: [value / len(probes) for value in values] for name, values in total.items()}
    plain = milliseconds(seconds["plain"])
    meanings = {
        "vector": f"recall@{K} {recall}, exact scan {milliseconds(exact_s)}; with text, place and title",
        "keyword": "grams by GIN, BM25; no plain query does the same",
        "hybrid": "both, fused",
    }
    return [
        Row(
            name=f"search {name}, {len(filled.vectors):,} chunks",
            ours=milliseconds(seconds[name]),
            baseline=plain,
            ratio=median_ratio(seconds[name], seconds["plain"]),
            meaning=f"{meaning} / plain ORDER BY <=> LIMIT {K} with the same ef_search; lower is better",
        )
        for name, meaning in meanings.items()
    ]


def _exact_hits(db: Database, filled: Filled, probes: NDArray[np.float32]) -> Found:
    """Computed here, so that no plan of the server's can make it less than exact."""
    query = "SELECT text FROM chunk WHERE tenant_id = %s AND collection_id = %s ORDER BY id"
    with db.connection() as connection:
        texts = [row[0] for row in connection.execute(query, [db.tenant_id, filled.collection.id])]
    nearest = np.argsort(-(probes @ filled.vectors.T), axis=1, kind="stable")[:, :K]
    return [[texts[row] for row in rows] for rows in nearest]


def _vector_hits(db: Database, filled: Filled, probes: NDArray[np.float32]) -> Found:
    return [
        [hit.text for hit in search_collection(db, filled.collection, k=K, vector=vector)]
        for vector in probes
    ]


def _keyword_hits(db: Database, filled: Filled, texts: Sequence[str]) -> Found:
    return [[hit.text for hit in search_collection(db, filled.collection, k=K, text=text)] for text in texts]


def _questions(count: int) -> list[str]:
    return [" ".join(make_words(6, seed=10**6 + number)) for number in range(count)]


def _time(call: Callable[[], object], rounds: int, calls: int, *, warm_up: bool = True) -> list[float]:
    return [value / calls for value in alternate({"it": call}, rounds=rounds, warm_up=warm_up)["it"]]


def _recall(exact: Found, found: Found) -> float:
    """Share of the exact hits that the index finds."""
    return statistics.mean(len(set(a) & set(b)) / len(a) for a, b in zip(exact, found, strict=True))


def _fill_plain(owner: psycopg.Connection, filled: Filled) -> None:
    owner.execute(_PLAIN)
    ids = np.arange(1, len(filled.vectors) + 1)
    with owner.cursor() as cursor, cursor.copy(_COPY) as stream:
        for block in encode_vectors(1, filled.collection.id, ids, filled.vectors):
            stream.write(block)
    owner.execute("SET maintenance_work_mem = '512MB'")
    owner.execute(_INDEX)
    owner.execute("ANALYZE plain")
    owner.execute(f"SET hnsw.ef_search = {max(EF_SEARCH, CANDIDATES)}")


def _plain_hits(owner: psycopg.Connection, probes: NDArray[np.float32]) -> None:
    for vector in probes:
        owner.execute(_NEAREST, [format_vector(vector)]).fetchall()


def _index_reads(db: Database) -> dict[str, int]:
    """How often each index was read so far, by the server's own count."""
    query = "SELECT coalesce(sum(idx_scan), 0)::int FROM pg_stat_user_indexes WHERE indexrelname LIKE %s"
    with db.connection() as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")  # what was counted is handed over when a statement ends
    reads = {}
    with connect_owner(db.url) as owner:
        for name, pattern in (("HNSW", "vectors%hnsw%"), ("grams", "chunk_grams%")):
            row = owner.execute(query, [pattern]).fetchone()
            reads[name] = row[0] if row else 0
    return reads


def _index_use(before: dict[str, int], after: dict[str, int], *, searches: int) -> Row:
    uses = (f"{name} {(after[name] - before[name]) / searches:.2f}" for name in after)
    return Row(
        name="search, index reads",
        ours=", ".join(uses),
        baseline="-",
        ratio=None,
        meaning="reads a timed search (HNSW: 1, grams: one a gram); less means that tables are read whole",
    )
