"""Runs on several devices: what is stored is right, whatever happens to one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import psutil
import pytest

import tasks.vectors
from flows.reembedding import reembed_collection
from schemas.errors import EmbeddingFailed
from tasks.embedding import several
from tasks.embedding.processes import DevicePool
from tasks.embedding.several import SeveralTextEmbedder
from tests.device_models import DEADLY, DeviceFake, load
from tests.model_folders import make_model_folder

COUNT = 12


@pytest.fixture
def filled(world, monkeypatch):
    """Documents of many lengths, not ingested yet; two vectors a store."""
    monkeypatch.setattr(tasks.vectors, "STORE_CHUNKS", 2)
    monkeypatch.setattr(several, "FEW", 1)
    for number in range(COUNT - 1):
        world.write(f"{number}.txt", f"Stork {number} sits. " * (1 + 5 * (number * 7 % 9)))
    world.write("deadly.txt", f"{DEADLY} " * 3)
    return world


def use(world, **options):
    """Two devices, of which the second has the options."""
    embedder = SeveralTextEmbedder(DeviceFake("one"), DevicePool([load("one"), load("two", **options)]))
    world.session = replace(world.session, load_embedder=lambda *_: embedder)
    return embedder


def stored(world):
    """Text -> its vector."""
    query = "SELECT c.text, v.embedding::float4[] FROM chunk c JOIN vectors_1 v ON v.chunk_id = c.id"
    with world.session.db.connection() as connection:
        return dict(connection.execute(query).fetchall())


def processes():
    found = psutil.Process().children()
    return [child for child in found if "tasks.embedding.child" in child.cmdline()]


def test_each_chunk_gets_its_own_vector(filled):
    use(filled)
    assert filled.ingest().chunks.embedded == COUNT
    found = stored(filled)
    assert np.allclose(list(found.values()), DeviceFake("one").embed(list(found)), atol=1e-3)


def test_processes_end_with_their_run_and_the_next_one_starts_others(filled):
    seen = []

    def watch(stage, done, total):
        if stage == "embed" and done:
            seen.append(len(processes()))

    use(filled)  # one model for all runs, as `watch` keeps it
    for number in range(2):
        assert filled.ingest(progress=watch).chunks.embedded > 1
        assert max(seen) == 2
        assert processes() == []
        seen.clear()
        for name in ("more", "most"):
            filled.write(f"{name}.txt", f"The {name} of round {number}.")


def test_a_change_of_the_model_ends_its_processes(filled, tmp_path):
    filled.ingest()
    filled.configure(next={"model": str(make_model_folder(tmp_path / "better", dim=384))})
    use(filled)
    assert reembed_collection(filled.session, "default").embedded == COUNT
    assert processes() == []


def test_a_device_that_dies_stops_the_run_and_the_next_one_embeds_the_rest(filled):
    embedder = use(filled, is_mortal=True)
    embedder._pool._loads = embedder._pool._loads[1:]  # who is handed the deadly text is not for chance
    with pytest.raises(EmbeddingFailed, match="on two was ended by signal 9"):
        filled.ingest()
    kept = stored(filled)
    assert 0 < len(kept) < COUNT
    assert not any(DEADLY in text for text in kept)
    assert processes() == []
    use(filled)
    assert filled.ingest().chunks.embedded == COUNT - len(kept)
    assert stored(filled).items() >= kept.items()


def test_a_device_with_other_vectors_stops_it_before_anything_is_stored(filled):
    use(filled, cosine=0.5)
    with pytest.raises(EmbeddingFailed, match="on two than those expected"):
        filled.ingest()
    assert stored(filled) == {}
    assert processes() == []


def test_an_interrupt_leaves_no_process_behind_and_keeps_what_was_stored(filled):
    def interrupt(stage, done, total):
        if stage == "embed" and done:
            raise KeyboardInterrupt

    use(filled)
    with pytest.raises(KeyboardInterrupt):
        filled.ingest(progress=interrupt)
    assert len(stored(filled)) > 0
    assert processes() == []
    assert filled.ingest().chunks.embedded > 0
