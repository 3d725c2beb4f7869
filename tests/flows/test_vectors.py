"""Stored chunks get their vectors: in any order, each paid for once, and of the right model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tasks.vectors
from flows.electing import embed_stored
from registry.collections import get_collection
from registry.probes import Probe, find_probe, keep_probe
from registry.vectors import store_vectors
from schemas.errors import DatabaseUnavailable, SpaceMismatch
from tests.fake_embedder import FakeEmbedder


class Boom(Exception):
    pass


class StreamingFake(FakeEmbedder):
    """Hands its vectors over as a device does: longest texts first, in blocks."""

    def __init__(self, *, block_chunks=None):
        super().__init__(dim=384)
        self.block_chunks = block_chunks
        self.windows: list[int] = []

    def prepare(self, texts):
        self.windows.append(len(texts))
        return list(texts)

    def stream(self, prepared, *, most):
        order = np.argsort([-len(text) for text in prepared], kind="stable")
        for start in range(0, len(order), most):
            rows = order[start : start + most]
            yield rows, self.embed([prepared[row] for row in rows])


class Probed(StreamingFake):
    probes = b"p" * 32

    def reference(self):
        return np.eye(384, dtype=np.float32)[:2]

    def settle(self, expected):
        return float((self.reference() * expected).sum(axis=1).min())


def use(world, embedder):
    world.session = replace(world.session, load_embedder=lambda *_: embedder)
    return embedder


@pytest.fixture
def filled(world, monkeypatch):
    """Documents of many lengths, not ingested yet; two vectors a store."""
    monkeypatch.setattr(tasks.vectors, "STORE_CHUNKS", 2)
    for number in range(9):
        world.write(f"{number}.txt", f"Stork {number} sits. " * (1 + 5 * (number * 7 % 9)))
    return world


def stored(world):
    query = "SELECT c.text, v.embedding::float4[] FROM chunk c JOIN vectors_1 v ON v.chunk_id = c.id"
    with world.session.db.connection() as connection:
        return sorted(connection.execute(query).fetchall())


def watch_stores(monkeypatch, calls, *, fail_at=None):
    def store(db, collection_id, space_id, ids, vectors, **options):
        calls.append(len(ids))
        if len(calls) == fail_at:
            raise DatabaseUnavailable("the connection broke", advice="")
        return store_vectors(db, collection_id, space_id, ids, vectors, **options)

    monkeypatch.setattr(tasks.vectors, "store_vectors", store)


@pytest.mark.parametrize("window", [1, 2, 4, 1000])
def test_each_chunk_has_the_vector_of_its_own_text_whatever_the_order(filled, monkeypatch, window):
    monkeypatch.setattr(tasks.vectors, "WINDOW_CHUNKS", window)
    embedder = use(filled, StreamingFake())
    report = filled.ingest()
    assert report.chunks.embedded == len(stored(filled)) == embedder.embedded == 9
    for text, vector in stored(filled):
        assert np.allclose(vector, FakeEmbedder(dim=384).embed_query(text), atol=1e-6)


def test_a_window_spans_documents(filled):
    embedder = use(filled, StreamingFake())
    filled.ingest()
    assert embedder.windows == [9]


def test_stores_are_as_large_as_an_accelerator_asks_for(filled, monkeypatch):
    calls: list[int] = []
    watch_stores(monkeypatch, calls)
    use(filled, StreamingFake(block_chunks=5))
    filled.ingest()
    assert calls == [5, 4]


def test_progress_tells_of_each_chunk_once(filled):
    use(filled, StreamingFake())
    told: list[tuple[int, int]] = []
    filled.ingest(progress=lambda stage, done, total: stage == "embed" and told.append((done, total)))
    assert told == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]


@pytest.mark.parametrize("embedder", [StreamingFake, lambda: FakeEmbedder(dim=384)])
@pytest.mark.parametrize("fail_at", [1, 2, 4])
def test_a_store_that_breaks_costs_two_stores_at_most_and_the_rest_is_not_paid_again(
    filled, monkeypatch, embedder, fail_at
):
    calls: list[int] = []
    embedder = use(filled, embedder())
    with monkeypatch.context() as patch:
        watch_stores(patch, calls, fail_at=fail_at)
        with pytest.raises(DatabaseUnavailable):
            filled.ingest()
    kept, paid = len(stored(filled)), embedder.embedded
    assert len(calls) == fail_at, "something was stored after the failure"
    assert kept == 2 * (fail_at - 1)
    assert paid - kept <= tasks.vectors.UNSTORED_STORES * tasks.vectors.STORE_CHUNKS
    assert filled.ingest().chunks.embedded == 9 - kept
    assert embedder.embedded == paid + 9 - kept


@pytest.mark.parametrize("stage", ["prepare", "stream"])
def test_an_error_of_a_stage_is_raised_and_the_next_run_completes(filled, monkeypatch, stage):
    def fail(*args, **options):
        raise Boom(stage)

    embedder = use(filled, StreamingFake())
    monkeypatch.setattr(embedder, stage, fail)
    with pytest.raises(Boom, match=stage):
        filled.ingest()
    use(filled, StreamingFake())
    assert filled.ingest().chunks.embedded == 9


def test_a_step_that_is_tried_again_passes_over_what_has_a_vector(filled, monkeypatch):
    def lose(*args, **options):
        raise AssertionError("the model was loaded")

    filled.ingest()
    collection = get_collection(filled.session.db, "default")
    with filled.session.db.connection() as connection:
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM chunk ORDER BY id")]
    loaded, filled.session = filled.session, replace(filled.session, load_embedder=lose)
    assert embed_stored(filled.session, collection, ids).embedded == 0
    filled.session = loaded
    assert embed_stored(filled.session, collection, ids, replace=True).embedded == len(ids)


def test_a_model_that_gives_other_vectors_is_refused_before_anything_is_written(filled):
    use(filled, Probed())
    filled.ingest()
    before = stored(filled)
    with filled.session.db.connection() as connection:
        assert connection.execute("SELECT count(*) FROM space_probe").fetchone() == (1,)
    drifted = use(filled, Probed())
    drifted.reference = lambda: -np.eye(384, dtype=np.float32)[:2]
    filled.write("new.txt", "A heron stands in the reeds.")
    with pytest.raises(SpaceMismatch, match="files or libraries have changed"):
        filled.ingest()
    assert stored(filled) == before
    assert drifted.embedded == 0
    use(filled, Probed())
    assert filled.ingest().chunks.embedded == 1


def test_a_space_that_was_probed_elsewhere_is_compared_with_that(filled):
    embedder = use(filled, Probed())
    filled.ingest()
    made = find_probe(filled.session.db, 1, Probed.probes)
    assert made.probes == Probed.probes
    assert np.array_equal(made.vectors, embedder.reference())
    kept = keep_probe(filled.session.db, 1, Probe(Probed.probes, -made.vectors))
    assert np.array_equal(kept.vectors, made.vectors)


def test_equal_images_of_different_windows_are_embedded_once(world, monkeypatch):
    monkeypatch.setattr(tasks.vectors, "STORE_CHUNKS", 1)
    monkeypatch.setattr(tasks.vectors, "WINDOW_CHUNKS", 1)
    for label in ("cat", "dog"):
        for shade in (30, 200):
            path = world.folder / label / f"{shade}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (40, 40), (shade, 90, 10))
            image.paste((0, shade, 255), (0, 0, 20, 9))
            image.save(path)
    world.configure(kind="images", model="small-clip", duplicates={"policy": "off"})
    report = world.ingest()
    assert report.chunks.embedded >= 2
    assert world.image_embedder.embedded == 2
