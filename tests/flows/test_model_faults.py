"""A model that is not what it says: a change to it stops before the switch, and searches go on."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

import tasks.embedding.hub
import tasks.embedding.text
from flows.commands.watching import load_once
from flows.reembedding import reembed_collection
from flows.session import load_real_embedder
from registry.collections import get_collection, get_space
from schemas.errors import EmbeddingFailed, ModelNotAvailable, SpaceMismatch
from tasks.embedding.card import require_unchanged, resolve_model
from tasks.embedding.image_card import resolve_image_model
from tests.fake_embedder import FakeEmbedder
from tests.model_changes import (
    at_stage,
    change_a_byte,
    changed_vectors,
    count_stored,
    interrupt,
    last_run,
    require_untouched,
    search,
)
from tests.model_folders import build_tiny_model, damage_weights, make_model_folder


def test_vectors_of_another_length_stop_it_before_anything_is_stored(birds):
    birds.models.others["better"] = FakeEmbedder(name="better", dim=64)
    with pytest.raises(EmbeddingFailed, match="64 dimensions, not 96"):
        reembed_collection(birds.session, "default")
    assert count_stored(birds) == 0
    assert last_run(birds)["state"] == "failed"
    assert "64 dimensions" in last_run(birds)["error"]
    require_untouched(birds)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_finite_or_zero_stop_it(birds, value):
    def spoil(vectors):
        vectors[-1] = value
        return vectors

    with (
        changed_vectors(birds, spoil),
        pytest.raises(EmbeddingFailed, match="1 of 2 vectors that are zero or not finite"),
    ):
        reembed_collection(birds.session, "default")
    assert count_stored(birds) == 0
    require_untouched(birds)
    assert reembed_collection(birds.session, "default").embedded == 12


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_vectors_of_one_revision_are_not_used_for_another(birds, name):
    with pytest.raises(KeyboardInterrupt):
        reembed_collection(birds.session, "default", progress=at_stage("embed", interrupt))
    assert count_stored(birds) == 2
    before = resolve_model(str(birds.model)).revision
    change_a_byte(birds.model / name)
    birds.models.others.clear()
    report = reembed_collection(birds.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 0, 12)
    collection = get_collection(birds.session.db, "default")
    space = get_space(birds.session.db, collection.active_space_id)
    assert space.revision == resolve_model(str(birds.model)).revision != before


def test_another_revision_on_the_hub_is_another_space(birds, monkeypatch):
    commit = "a" * 40
    monkeypatch.setattr(tasks.embedding.hub, "find_hub_model", lambda *_, **__: (birds.model, commit))
    birds.configure(next={"model": "someone/better"})
    assert reembed_collection(birds.session, "default").embedded == 12
    commit = "b" * 40
    with pytest.raises(SpaceMismatch, match="someone/better"):
        search(birds)
    birds.models.others.clear()
    report = reembed_collection(birds.session, "default")
    assert (report.kept, report.embedded) == (0, 12)
    assert search(birds) == ["storks.txt"]


def test_what_serves_is_not_searched_with_its_files_changed(birds):
    reembed_collection(birds.session, "default")
    change_a_byte(birds.model / "model.safetensors")
    with pytest.raises(SpaceMismatch, match="holds vectors of better"):
        search(birds)
    with pytest.raises(SpaceMismatch, match="holds vectors of better"):
        birds.ingest()
    assert birds.keyword("storks")[0].uri == "storks.txt"


class Probed(FakeEmbedder):
    """Its vectors, and those of its probes, are of what its weights were when it was loaded."""

    probes = b"p" * 32

    def __init__(self, card):
        super().__init__(name=card.name, revision=resolve_model(str(card.path)).revision, dim=card.dim)

    def reference(self):
        return self.embed(["a", "b"])

    def settle(self, expected):
        return float((self.reference() * expected).sum(axis=1).min())


@pytest.fixture
def loading(birds, monkeypatch):
    """Models of folders are loaded as in production, less the weights; call it for another one's to come."""
    swaps = []

    def load_text_embedder(card, **_):
        if swaps:
            change_a_byte(swaps.pop())
        return Probed(card)

    def load(card, settings):
        return (load_real_embedder if card.name == "better" else birds.models.load)(card, settings)

    monkeypatch.setattr(tasks.embedding.text, "load_text_embedder", load_text_embedder)
    birds.session = replace(birds.session, load_embedder=load)
    return swaps.append


def _kept(world):
    """Probes and vectors in the registry, of whatever space and collection."""
    with world.session.db.connection() as connection:
        spaces = "SELECT to_regclass('vectors_' || id)::text FROM embedding_space"
        tables = [table for (table,) in connection.execute(spaces) if table]
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("space_probe", *tables)
        ]
    return counts[0], sum(counts[1:])


def _changes_the_model(world):
    reembed_collection(world.session, "default")


def _ingests_into_another(world):
    settings = world.session.settings
    other = settings.collection("default").model_copy(update={"model": str(world.model), "next": None})
    collections = {**settings.collections, "other": other}
    world.session = replace(world.session, settings=settings.model_copy(update={"collections": collections}))
    world.ingest(collection="other")


@pytest.mark.parametrize("work", [_changes_the_model, _ingests_into_another])
@pytest.mark.parametrize("is_kept", [False, True], ids=["loaded each time", "kept in memory"])
def test_files_that_are_changed_while_they_are_loaded_leave_nothing_behind(birds, loading, work, is_kept):
    if is_kept:  # as `revector watch` does
        birds.session = replace(birds.session, load_embedder=load_once(birds.session.load_embedder))
    weights = birds.model / "model.safetensors"
    good = weights.read_bytes()
    loading(weights)
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        work(birds)
    assert _kept(birds) == (0, 12)
    assert search(birds) == ["storks.txt"]
    weights.write_bytes(good)
    work(birds)
    assert _kept(birds) == (1, 24)


def test_a_search_does_not_take_files_that_are_changed_while_they_are_loaded(birds, loading):
    reembed_collection(birds.session, "default")
    loading(birds.model / "model.safetensors")
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        search(birds)


def test_what_a_revision_stands_for_is_found_again_for_each_kind_of_model(tmp_path):
    folder = make_model_folder(tmp_path / "some")
    card, default = resolve_model(str(folder)), resolve_model("all-MiniLM-L6-v2")
    for same in (card, default, replace(card, revision="a" * 40), resolve_image_model("small-clip")):
        require_unchanged(same)
    for other in (replace(card, revision="sha256:0"), replace(default, revision=f"{default.revision}.1")):
        with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
            require_unchanged(other)
    shutil.rmtree(folder)
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        require_unchanged(card)


def test_a_model_folder_that_is_gone_stops_it(birds):
    shutil.rmtree(birds.model)
    with pytest.raises(ModelNotAvailable, match="no folder"):
        reembed_collection(birds.session, "default")
    require_untouched(birds)


def test_weights_that_are_cut_off_stop_it(birds, tmp_path):
    cut = shutil.copytree(resolve_model("all-MiniLM-L6-v2").path, tmp_path / "cut")
    with (cut / "model.safetensors").open("r+b") as weights:
        weights.truncate(10_000_000)
    birds.configure(next={"model": str(cut)})

    def load(card, settings):
        return (load_real_embedder if card.name == "cut" else birds.models.load)(card, settings)

    birds.session = replace(birds.session, load_embedder=load)
    with pytest.raises(ModelNotAvailable, match="cannot be loaded"):
        reembed_collection(birds.session, "default")
    assert count_stored(birds) == 0
    require_untouched(birds)


@pytest.mark.model
def test_weights_that_are_no_numbers_stop_it_and_are_said_to_be_damaged(birds, tmp_path):
    damage_weights(build_tiny_model(tmp_path / "worn"))
    birds.configure(next={"model": str(tmp_path / "worn")})

    def load(card, settings):
        return (load_real_embedder if card.name == "worn" else birds.models.load)(card, settings)

    birds.session = replace(birds.session, load_embedder=load)
    with pytest.raises(
        EmbeddingFailed, match=r"model worn gives .* not finite .* weights are damaged"
    ) as info:
        reembed_collection(birds.session, "default")
    assert "Download the model again" in info.value.advice
    assert _kept(birds) == (0, 12)
    require_untouched(birds)
