"""Vectors as float32, as float16, and by their signs: written, indexed, searched and read alike."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest

import registry.search
from registry.blobs import BlobStore
from registry.check import check_fully
from registry.collections import ensure_collection, ensure_space, ensure_vector_partition, get_collection
from registry.export import open_release
from registry.members import _find_space, _read_vectors
from registry.purge import list_spaces
from registry.repair import chunks_to_embed
from registry.search import search_collection
from registry.space import needed_bytes, rebuild_partition
from registry.vector_index import ensure_index, index_state, measure_index
from registry.vectors import encode_vectors, store_vectors
from schemas.embedding import EmbeddingSpace
from schemas.errors import EmbeddingFailed
from schemas.filters import parse_conditions
from tests.releases import fill_releases

TYPES = ("vector", "halfvec", "bit")
INDEXED = 6_000


def _clustered(rng, count, dim, clusters=60):
    """(count, dim) float32 unit vectors around some centres, as texts about some subjects have."""
    centres = rng.standard_normal((clusters, dim))
    vectors = centres[rng.integers(0, clusters, count)] + 0.7 * rng.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _texts(hits):
    return [hit.text.split(" ", 1)[1] for hit in hits]


def test_all_types_give_the_same_hits_on_every_route(db):
    rng = np.random.default_rng(1)
    releases = [_clustered(rng, 300, 128), _clustered(rng, 200, 128)]
    queries = _clustered(rng, 5, 128)
    where = parse_conditions(["title ~ chunk"])
    found = {}
    for dtype in TYPES:
        collection, _ = fill_releases(db, dtype, releases, indexed=False, dtype=dtype)
        found[dtype] = [
            _texts(search_collection(db, collection, k=10, vector=query, release=release, where=filters))
            for query in queries
            for release in (None, 1)
            for filters in ((), where)
        ]
    assert found["vector"] == found["halfvec"] == found["bit"]
    assert all(len(hits) == 10 for hits in found["vector"])


@pytest.mark.parametrize("dtype", TYPES)
def test_the_index_of_each_type_finds_the_nearest(db, dtype):
    rng = np.random.default_rng(2)
    vectors, queries = np.split(_clustered(rng, INDEXED + 20, 128), [INDEXED])
    collection, space_id = fill_releases(db, "many", [vectors], dtype=dtype)
    assert index_state(db, space_id, collection.id).recall >= 0.95
    found = 0
    for query in queries:
        best = {f"chunk {row}" for row in np.argsort(-(vectors @ query))[:10]}
        found += len(best & set(_texts(search_collection(db, collection, k=10, vector=query))))
    print(f"\n{dtype}: recall@10 {found / 200:.3f}, {index_state(db, space_id, collection.id)}")
    assert found / 200 >= 0.95


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("route", ["current", "as of", "filtered", "filtered as of"])
def test_every_search_of_many_chunks_reads_the_index(db, monkeypatch, dtype, route):
    rng = np.random.default_rng(3)
    vectors = _clustered(rng, 5_000, 64)
    collection, space_id = fill_releases(db, "many", [vectors, _clustered(rng, 10, 64)], dtype=dtype)
    options = {"where": parse_conditions(["title ~ chunk"])} if "filtered" in route else {}
    options |= {"release": 1} if "as of" in route else {}
    plans = []
    run = registry.search.Scope.run

    def explain(scope, statement, values):
        if "candidates" in values:
            scope.connection.execute("SET LOCAL enable_seqscan = off")
            scope.connection.execute("SET LOCAL enable_sort = off")
            rows = scope.connection.execute(
                psycopg.sql.SQL("EXPLAIN {}").format(statement), values, prepare=False
            )
            plans.append("\n".join(line for (line,) in rows))
        return run(scope, statement, values)

    monkeypatch.setattr(registry.search.Scope, "run", explain)
    hits = search_collection(db, collection, k=5, vector=vectors[7], **options)
    assert _texts(hits)[0] == "chunk 7"
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert len(plans) == 1
    assert f"Index Scan using vectors_{space_id}_{collection.id}_hnsw_idx" in plans[0]


@pytest.mark.parametrize(("dtype", "dim"), [("halfvec", 3_072), ("bit", 5_000)])
def test_long_vectors_are_indexed_and_found(db, monkeypatch, dtype, dim):
    monkeypatch.setattr("registry.vector_index.INDEX_FROM_ROWS", 300)
    monkeypatch.setattr(registry.search, "EXACT_UP_TO_CHUNKS", 0)
    vectors = _clustered(np.random.default_rng(4), 400, dim)
    collection, space_id = fill_releases(db, "long", [vectors], dtype=dtype)
    assert measure_index(db, space_id, collection.id) >= 0.95
    assert _texts(search_collection(db, collection, k=3, vector=vectors[9]))[0] == "chunk 9"
    space = list_spaces(db, collection.id)[0]
    assert rebuild_partition(db, collection.id, space)
    with db.connection() as connection:
        query = f"SELECT pg_table_size('vectors_{space_id}_{collection.id}')"
        taken = connection.execute(query).fetchone()[0]
    assert needed_bytes(400, space) <= 1.05 * taken < 2 * needed_bytes(400, space)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_space_of_each_type_is_sound_and_its_vectors_are_read_as_they_are(db, tmp_path, dtype):
    vectors = _clustered(np.random.default_rng(5), 50, 24)
    collection, space_id = fill_releases(db, "some", [vectors], indexed=False, dtype=dtype)
    report = check_fully(db, collection, BlobStore(tmp_path, db.tenant_id), hash_blobs=False)
    assert not [problem for problem in report.problems if "vector" in problem.invariant]
    assert (report.checked["vectors"], report.checked["spaces"]) == (50, 1)
    assert chunks_to_embed(db, collection, unsound_too=True) == []
    stored = vectors if dtype == "vector" else vectors.astype(np.float16).astype(np.float32)
    with open_release(db, collection, None) as reader:
        exported = np.concatenate([block for _, block in reader.vectors()])
    assert sorted(exported.tolist()) == sorted(stored.tolist())
    with db.transaction() as connection:
        ids = np.array([id_ for (id_,) in connection.execute("SELECT id FROM chunk ORDER BY id")])
        values = {"tenant": db.tenant_id, "collection": collection.id}
        read = _read_vectors(connection, values, _find_space(db, space_id), ids)
    assert read.tolist() == stored.tolist()


def test_a_release_says_how_its_vectors_are_stored(db):
    vectors = _clustered(np.random.default_rng(6), 20, 16)
    spaces = {dtype: fill_releases(db, dtype, [vectors], indexed=False, dtype=dtype)[1] for dtype in TYPES}
    assert len(set(spaces.values())) == 3
    fingerprints = {EmbeddingSpace("text", "p", "m", "1", 16, dtype).fingerprint for dtype in TYPES}
    assert len(fingerprints) == 3


@pytest.mark.parametrize("value", [1e6, 1e-12])
def test_vectors_that_float16_cannot_hold_are_refused(db, value):
    collection = ensure_collection(db, "c")
    space = ensure_space(db, EmbeddingSpace("text", "p", "m", "1", 4, "halfvec", normalised=False))
    ensure_vector_partition(db, space, collection.id)
    with db.connection() as connection:
        connection.execute(
            "INSERT INTO chunk (tenant_id, collection_id, hash, kind, text, tokens, grams) "
            "VALUES (%s, %s, %s, 'text', 'a', 1, '{}')",
            [db.tenant_id, collection.id, bytes(16)],
        )
        (chunk,) = connection.execute("SELECT id FROM chunk").fetchone()
    with pytest.raises(EmbeddingFailed, match="float16"):
        store_vectors(db, collection.id, space, [chunk], np.full((1, 4), value, np.float32))


def test_rows_of_float16_are_half_as_long():
    ids, vectors = np.arange(3), np.ones((3, 8), np.float32)
    single = b"".join(encode_vectors(1, 1, ids, vectors))
    half = b"".join(encode_vectors(1, 1, ids, vectors.astype(np.float16)))
    assert len(single) - len(half) == 3 * 8 * 2


def test_vectors_too_long_for_an_index_are_searched_without_one(db):
    vectors = _clustered(np.random.default_rng(7), 30, 2_100)
    collection, space_id = fill_releases(db, "old", [vectors], indexed=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("registry.vector_index.INDEX_FROM_ROWS", 10)
        assert ensure_index(db, space_id, collection.id) is None
    assert index_state(db, space_id, collection.id) is None
    assert _texts(search_collection(db, get_collection(db, "old"), k=1, vector=vectors[3])) == ["chunk 3"]
