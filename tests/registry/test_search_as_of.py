"""A search in an earlier release finds what a search found then."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import registry.search
from flows.searching import search_text
from registry.collections import ensure_space, ensure_vector_partition, get_collection
from registry.search import search_collection, search_open
from schemas.errors import ReleaseIncomplete, ReleaseNotFound, SpaceMismatch
from tests.releases import fill_releases
from tests.texts import english_sentence, english_text

SHARED = "The grey heron stands in shallow water and waits for fish. "
QUESTIONS = [
    "grey heron in shallow water",
    "storks nest on chimneys",
    "왜가리는 물가에 선다",
    "word4 sentence",
]
DIM = 16


def _search(world, question, mode, release=None):
    collection = get_collection(world.session.db, "default")
    sides = {"text": question} if mode != "vector" else {}
    if mode != "keyword":
        sides["vector"] = world.embedder.embed_query(question)
    return search_collection(world.session.db, collection, k=8, release=release, **sides)


def _all_hits(world, release=None, questions=QUESTIONS):
    modes = ("keyword", "vector", "hybrid")
    return {(q, mode): _search(world, q, mode, release) for q in questions for mode in modes}


def _live_through_changes(world):
    """Documents come, share text, move, change and go; yields after each release."""
    world.write("a.txt", SHARED + english_text(12, seed=1))
    world.write("b.txt", "Storks nest on chimneys and come back in spring.")
    world.write("새/왜가리.md", "# 왜가리\n\n왜가리는 물가에 선다. 물고기를 기다린다.\n")
    yield world.ingest()
    world.write("shared.txt", "Storks nest on chimneys and come back in spring.")
    yield world.ingest()
    (world.folder / "b.txt").rename(world.folder / "moved.txt")
    world.write("a.txt", english_text(20, seed=2))
    yield world.ingest()
    (world.folder / "shared.txt").unlink()
    (world.folder / "새/왜가리.md").unlink()
    yield world.ingest(allow_deletions=True)
    world.write("a.txt", SHARED + english_text(12, seed=1))
    world.write("새/왜가리.md", "# 왜가리\n\n왜가리는 물가에 선다. 물고기를 기다린다.\n")
    yield world.ingest()


def test_an_old_release_is_searched_as_it_was_in_every_mode(world):
    then = {}
    for report in _live_through_changes(world):
        then[report.release] = _all_hits(world)
    assert list(then) == [1, 2, 3, 4, 5]
    for number, hits in then.items():
        assert _all_hits(world, number) == hits
        assert {hit.release for found in hits.values() for hit in found} == {number}
    storks = ("storks nest on chimneys", "vector")
    assert then[1][storks][0].documents == ("b.txt",)
    assert then[2][storks][0].documents == ("b.txt", "shared.txt")
    assert then[3][storks][0].documents == ("moved.txt", "shared.txt")
    assert then[4][storks][0].documents == ("moved.txt",)


@pytest.mark.parametrize("seed", [3, 4])
def test_any_old_release_is_searched_as_it_was(world, seed):
    rng = random.Random(seed)
    then = {}
    questions = [english_sentence(rng) for _ in range(3)]
    for _ in range(8):
        for _ in range(3):
            path = world.folder / f"f{rng.randint(0, 8)}.txt"
            if path.exists() and rng.random() < 0.4:
                path.unlink()
            else:
                text = english_text(rng.randint(1, 20), seed=rng.randint(0, 10**6))
                path.write_text(" ".join([*rng.sample(questions, 2), text]))
        report = world.ingest(allow_deletions=True)
        if report.release:
            then[report.release] = _all_hits(world, None, questions)
    assert len(then) > 4
    for number, hits in then.items():
        assert _all_hits(world, number, questions) == hits


def test_the_index_route_finds_what_the_exact_one_does(world, monkeypatch):
    for _ in _live_through_changes(world):
        pass
    exact = {number: _all_hits(world, number) for number in range(1, 6)}
    monkeypatch.setattr(registry.search, "EXACT_UP_TO_CHUNKS", 0)
    for number, hits in exact.items():
        assert _all_hits(world, number) == hits


def _unit(rng, count, around=None):
    vectors = rng.standard_normal((count, DIM)) * (1 if around is None else 0.05)
    vectors = vectors if around is None else vectors + around
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("exact_up_to", [0, 2_000])
def test_a_release_that_shows_a_small_part_of_the_index_gives_as_many_hits_as_asked(
    db, monkeypatch, exact_up_to
):
    """Its chunks lie far from the query, behind 5,900 others that are nearer."""
    monkeypatch.setattr(registry.search, "EXACT_UP_TO_CHUNKS", exact_up_to)
    rng = np.random.default_rng(1)
    query = _unit(rng, 1)[0]
    old, new = _unit(rng, 100, around=-query), _unit(rng, 5_900, around=query)
    collection, _ = fill_releases(db, "many", [old, new])
    with db.transaction() as connection:  # as if the index were a hundred times larger
        connection.execute("SET LOCAL hnsw.max_scan_tuples = 200")
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SET LOCAL enable_sort = off")
        hits = search_open(connection, db.tenant_id, collection, k=20, release=1, vector=query)
    distances = old @ query
    assert [hit.text for hit in hits] == [f"many chunk {row}" for row in np.argsort(-distances)[:20]]
    assert [hit.score for hit in hits] == pytest.approx(sorted(distances, reverse=True)[:20], abs=1e-6)
    assert {hit.text for hit in search_collection(db, collection, k=5, vector=query)} <= {
        f"many chunk {row}" for row in range(100, 6_000)
    }


def test_an_old_release_of_thousands_of_chunks_is_searched_by_the_index(db):
    rng = np.random.default_rng(2)
    old, new = _unit(rng, 5_000), _unit(rng, 1_000)
    collection, _ = fill_releases(db, "many", [old, new])
    with db.connection() as connection:
        connection.execute("SELECT refresh_statistics()")
    found = wanted = 0
    for query in _unit(rng, 20):
        hits = search_collection(db, collection, k=10, release=1, vector=query)
        best = {f"many chunk {row}" for row in np.argsort(-(old @ query))[:10]}
        assert len(hits) == 10
        found += len({hit.text for hit in hits} & best)
        wanted += 10
    assert found / wanted >= 0.95


def test_a_release_that_lost_documents_is_refused(world):
    for _ in _live_through_changes(world):
        pass
    with world.session.db.connection() as connection:
        connection.execute("UPDATE release SET missing = 1 WHERE number = 2")
    with pytest.raises(ReleaseIncomplete):
        _search(world, "heron", "keyword", 2)
    assert _search(world, "heron", "keyword", 1)


@pytest.mark.parametrize("reference", ["0", "7", "no-such-tag", "1999-01-01"])
def test_a_release_that_is_not_there_is_refused(world, reference):
    world.write("a.txt", "A heron.")
    world.ingest()
    with pytest.raises(ReleaseNotFound):
        search_text(world.session, "heron", "default", mode="keyword", as_of=reference)


def test_the_query_must_be_of_the_models_space(world):
    world.write("a.txt", "A heron.")
    world.ingest()
    db = world.session.db
    collection, query = get_collection(db, "default"), world.embedder.embed_query("heron")
    other = ensure_space(db, replace(world.embedder.space(), revision="2"))
    ensure_vector_partition(db, other, collection.id)
    with pytest.raises(SpaceMismatch):
        search_collection(db, collection, k=1, release=1, vector=query, space_id=other)
    with db.connection() as connection:  # as a collection looks after its model was changed
        connection.execute("UPDATE release SET space_id = %s WHERE number = 1", [other])
    with pytest.raises(SpaceMismatch, match="release's model"):
        search_collection(db, collection, k=1, release=1, vector=query)
    with pytest.raises(SpaceMismatch, match=r"Release 1 holds vectors of fake \(2\)"):
        search_text(world.session, "heron", "default", as_of="1")
    assert len(search_text(world.session, "heron", "default", mode="keyword", as_of="1")) == 1
    with db.connection() as connection:
        connection.execute("UPDATE release SET space_id = %s WHERE number = 1", [collection.active_space_id])


def test_a_search_on_an_open_connection_sees_the_release_that_is_being_made(db):
    vectors = _unit(np.random.default_rng(3), 30)
    seen = []

    def look(connection):
        collection = get_collection(db, "many")  # another connection: as it was before
        scope = {"k": 3, "vector": vectors[25], "text": "chunk 25"}
        for release in (None, 1):
            seen.append(search_open(connection, db.tenant_id, collection, release=release, **scope))
        assert search_collection(db, collection, **scope) == []

    collection, _ = fill_releases(db, "many", [vectors], indexed=False, inspect=look)
    assert seen[0][0].text == "many chunk 25"
    assert seen[0] == seen[1] == search_collection(db, collection, k=3, vector=vectors[25], text="chunk 25")
