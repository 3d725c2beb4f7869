"""What can go wrong in a change of the model: it stops before the switch, says why, and searches go on."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psycopg
import pytest

import registry.vectors
import tasks.embedding.hub
import tasks.embedding.text
import tasks.vectors
from flows import prototyping
from flows.commands.watching import load_once
from flows.forgetting import forget
from flows.purging import purge_collection
from flows.reembedding import reembed_collection
from flows.rollback import LAST, rollback_collection
from flows.searching import search_text
from flows.session import load_real_embedder
from flows.staged import activate_staged
from registry.collections import ensure_collection, get_collection, get_space
from registry.prototypes import get_set
from registry.purge import list_spaces
from registry.reembedding import count_unembedded
from registry.runs import latest_runs
from schemas.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    EmbeddingFailed,
    GateFailed,
    ModelNotAvailable,
    RunStopped,
    SpaceMismatch,
    VectorsMissing,
)
from tasks.embedding.card import require_unchanged, resolve_model
from tasks.embedding.image_card import SMALL_FOLDER, resolve_image_model
from tasks.throttling import Throttle
from tests.fake_embedder import FakeEmbedder
from tests.model_folders import make_model_folder
from tests.pictures import file

BIRDS = "storks herons cranes owls gulls larks wrens terns swans ducks crows finches".split()


@pytest.fixture
def indexed(world, tmp_path, monkeypatch):
    """Twelve documents and a model that the settings name as the next one; vectors are stored two by two."""
    monkeypatch.setattr(tasks.vectors, "STORE_CHUNKS", 2)
    for bird in BIRDS:
        world.write(f"{bird}.txt", f"The {bird} of the lake were counted in May by the warden of {bird}.")
    world.ingest()
    world.model = make_model_folder(tmp_path / "better", dim=96)
    world.configure(next={"model": str(world.model)})
    return world


def _model(world):
    return get_space(world.session.db, get_collection(world.session.db, "default").active_space_id).model


def _search(world, text="storks of the lake", **options):
    return [hit.uri for hit in search_text(world.session, text, "default", k=1, mode="vector", **options)]


def _last_run(world, flow="reembed"):
    collection = get_collection(world.session.db, "default")
    return next(run for run in latest_runs(world.session.db, collection.id) if run["flow"] == flow)


def _stored(world):
    """Vectors in the space that is not active."""
    db, collection = world.session.db, get_collection(world.session.db, "default")
    other = [space for space in list_spaces(db, collection.id) if space.id != collection.active_space_id][-1]
    chunks, missing = count_unembedded(db, collection.id, other.id)
    return chunks - missing


def _require_unchanged(world):
    assert _model(world) == "all-MiniLM-L6-v2"
    assert [release.kind for release in world.releases()] == ["ingest"]
    assert _search(world) == ["storks.txt"]
    assert world.ingest().state == "unchanged"


def _at(stage, action):
    """Progress that does something once: when the first chunks are embedded, or right before the switch."""
    done = []

    def tell(at, number, total):
        if at == stage and (number or stage == "switch") and not done:
            done.append(at)
            action()

    return tell


@contextmanager
def _answers(world, change):
    """The new model's vectors, changed."""
    card = resolve_model(str(world.model))
    model = FakeEmbedder(name=card.name, revision=card.revision, dim=card.dim)
    plain = model.embed
    model.embed = lambda texts, **options: change(plain(texts, **options))
    world.models.others["better"] = model
    yield
    del world.models.others["better"]


# --- the model is not what it says ----------------------------------------------------------


def test_vectors_of_another_length_stop_it_before_anything_is_stored(indexed):
    indexed.models.others["better"] = FakeEmbedder(name="better", dim=64)
    with pytest.raises(EmbeddingFailed, match="64 dimensions, not 96"):
        reembed_collection(indexed.session, "default")
    assert _stored(indexed) == 0
    assert _last_run(indexed)["state"] == "failed"
    assert "64 dimensions" in _last_run(indexed)["error"]
    _require_unchanged(indexed)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_vectors_that_are_not_finite_or_zero_stop_it(indexed, value):
    def spoil(vectors):
        vectors[-1] = value
        return vectors

    with (
        _answers(indexed, spoil),
        pytest.raises(EmbeddingFailed, match="1 of 2 vectors that are zero or not finite"),
    ):
        reembed_collection(indexed.session, "default")
    assert _stored(indexed) == 0
    _require_unchanged(indexed)
    assert reembed_collection(indexed.session, "default").embedded == 12


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_vectors_of_one_revision_are_not_used_for_another(indexed, name):
    with pytest.raises(KeyboardInterrupt):
        reembed_collection(indexed.session, "default", progress=_at("embed", _interrupt))
    assert _stored(indexed) == 2
    before = resolve_model(str(indexed.model)).revision
    _change_a_byte(indexed.model / name)
    indexed.models.others.clear()
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 0, 12)
    collection = get_collection(indexed.session.db, "default")
    space = get_space(indexed.session.db, collection.active_space_id)
    assert space.revision == resolve_model(str(indexed.model)).revision != before


def test_another_revision_on_the_hub_is_another_space(indexed, monkeypatch):
    commit = "a" * 40
    monkeypatch.setattr(tasks.embedding.hub, "find_hub_model", lambda *_, **__: (indexed.model, commit))
    indexed.configure(next={"model": "someone/better"})
    assert reembed_collection(indexed.session, "default").embedded == 12
    commit = "b" * 40
    with pytest.raises(SpaceMismatch, match="someone/better"):
        _search(indexed)
    indexed.models.others.clear()
    report = reembed_collection(indexed.session, "default")
    assert (report.kept, report.embedded) == (0, 12)
    assert _search(indexed) == ["storks.txt"]


def test_what_serves_is_not_searched_with_its_files_changed(indexed):
    reembed_collection(indexed.session, "default")
    _change_a_byte(indexed.model / "model.safetensors")
    with pytest.raises(SpaceMismatch, match="holds vectors of better"):
        _search(indexed)
    with pytest.raises(SpaceMismatch, match="holds vectors of better"):
        indexed.ingest()
    assert indexed.keyword("storks")[0].uri == "storks.txt"


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
def loading(indexed, monkeypatch):
    """Models of folders are loaded as in production, less the weights; call it for another one's to come."""
    swaps = []

    def load_text_embedder(card, **_):
        if swaps:
            _change_a_byte(swaps.pop())
        return Probed(card)

    def load(card, settings):
        return (load_real_embedder if card.name == "better" else indexed.models.load)(card, settings)

    monkeypatch.setattr(tasks.embedding.text, "load_text_embedder", load_text_embedder)
    indexed.session = replace(indexed.session, load_embedder=load)
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
def test_files_that_are_changed_while_they_are_loaded_leave_nothing_behind(indexed, loading, work, is_kept):
    if is_kept:  # as `revector watch` does
        indexed.session = replace(indexed.session, load_embedder=load_once(indexed.session.load_embedder))
    weights = indexed.model / "model.safetensors"
    good = weights.read_bytes()
    loading(weights)
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        work(indexed)
    assert _kept(indexed) == (0, 12)
    assert _search(indexed) == ["storks.txt"]
    weights.write_bytes(good)
    work(indexed)
    assert _kept(indexed) == (1, 24)


def test_a_search_does_not_take_files_that_are_changed_while_they_are_loaded(indexed, loading):
    reembed_collection(indexed.session, "default")
    loading(indexed.model / "model.safetensors")
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        _search(indexed)


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


def test_a_model_folder_that_is_gone_stops_it(indexed):
    shutil.rmtree(indexed.model)
    with pytest.raises(ModelNotAvailable, match="no folder"):
        reembed_collection(indexed.session, "default")
    _require_unchanged(indexed)


def test_weights_that_are_cut_off_stop_it(indexed, tmp_path):
    cut = shutil.copytree(resolve_model("all-MiniLM-L6-v2").path, tmp_path / "cut")
    with (cut / "model.safetensors").open("r+b") as weights:
        weights.truncate(10_000_000)
    indexed.configure(next={"model": str(cut)})

    def load(card, settings):
        return (load_real_embedder if card.name == "cut" else indexed.models.load)(card, settings)

    indexed.session = replace(indexed.session, load_embedder=load)
    with pytest.raises(ModelNotAvailable, match="cannot be loaded"):
        reembed_collection(indexed.session, "default")
    assert _stored(indexed) == 0
    _require_unchanged(indexed)


# --- the machine fails ----------------------------------------------------------------------


def test_a_full_disk_stops_it_and_the_next_call_goes_on_from_there(indexed, monkeypatch):
    plain, stored = registry.vectors.write_vectors, []

    def write(*arguments, **options):
        if len(stored) == 3:
            raise psycopg.errors.DiskFull("could not extend file: No space left on device")
        stored.append(1)
        return plain(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(registry.vectors, "write_vectors", write)
        with pytest.raises(DatabaseUnavailable, match="No space left on device"):
            reembed_collection(indexed.session, "default")
    _require_unchanged(indexed)
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 6, 6)


def test_a_database_that_is_restarted_meanwhile_costs_no_vector_that_was_stored(indexed):
    def restart():
        with psycopg.connect(indexed.session.db.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    try:
        reembed_collection(indexed.session, "default", progress=_at("embed", restart))
    except DatabaseUnavailable:
        assert _model(indexed) in ("all-MiniLM-L6-v2", "better")
    assert _search(indexed) == ["storks.txt"]
    reembed_collection(indexed.session, "default")
    assert _model(indexed) == "better"
    assert indexed.models.others["better"].embedded == 12
    assert _search(indexed) == ["storks.txt"]


def test_chunks_that_cannot_be_embedded_do_not_keep_it_going_forever(indexed, monkeypatch):
    monkeypatch.setattr("flows.reembedding.embed_chunks", lambda *_, **__: _NOTHING)
    with pytest.raises(VectorsMissing, match="12 chunks that are shown got no vector"):
        reembed_collection(indexed.session, "default")
    _require_unchanged(indexed)


_NOTHING = SimpleNamespace(embedded=0, seconds={"model": 0.0, "write": 0.0})


# --- others are at work ---------------------------------------------------------------------


def test_of_two_at_once_the_second_is_refused_and_pays_nothing(indexed):
    refused = []

    def again():
        with pytest.raises(RunStopped, match="Another reembed of collection 'default' is at work") as info:
            reembed_collection(indexed.session, "default")
        refused.append(info.value)

    report = reembed_collection(indexed.session, "default", progress=_at("embed", again))
    assert len(refused) == 1
    assert (report.state, report.embedded, indexed.models.others["better"].embedded) == ("succeeded", 12, 12)
    runs = latest_runs(indexed.session.db, get_collection(indexed.session.db, "default").id)
    assert [run["flow"] for run in runs] == ["reembed", "ingest"], "the second is no run"


def test_after_one_that_failed_the_next_is_let_in(indexed):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            reembed_collection(indexed.session, "default", progress=_at("embed", _interrupt))
    assert reembed_collection(indexed.session, "default").state == "succeeded"


def test_a_purge_meanwhile_takes_nothing_that_the_switch_needs(indexed):
    short = {"keep_days": 0, "keep_versions": 0, "grace_hours": 0}
    indexed.configure(next={"model": str(indexed.model)}, retention=short)
    indexed.write("storks.txt", "The storks have left for the south.")
    indexed.ingest()
    dropped = []

    def purge():
        dropped.append(purge_collection(indexed.session, "default")["chunks"])

    report = reembed_collection(indexed.session, "default", progress=_at("embed", purge))
    assert (report.state, dropped) == ("succeeded", [1])
    assert _search(indexed, "storks have left for the south") == ["storks.txt"]


def test_an_index_that_a_killed_change_left_building_holds_up_no_ingest(indexed):
    """The backend of a client that is gone builds on; whoever stores there waits for it."""
    with pytest.raises(KeyboardInterrupt):
        reembed_collection(indexed.session, "default", progress=_at("embed", _interrupt))
    db, collection = indexed.session.db, get_collection(indexed.session.db, "default")
    table = f"revector.vectors_{list_spaces(db, collection.id)[-1].id}_{collection.id}"
    with psycopg.connect(db.url) as builder:
        builder.execute(f"LOCK TABLE {table} IN SHARE MODE")
        change = threading.Thread(target=reembed_collection, args=(indexed.session, "default"))
        change.start()
        try:
            with psycopg.connect(db.url, autocommit=True) as looker:
                while not looker.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    assert change.is_alive()
            indexed.write("new.txt", "A kite circles over the field.")
            late = threading.Timer(20, builder.rollback)
            late.start()
            assert indexed.ingest().release == 2
            assert late.is_alive(), "the ingest waited for the build"
            late.cancel()
        finally:
            builder.rollback()
            change.join()


@pytest.mark.parametrize("moment", ["embed", "switch", "model"])
def test_what_is_forgotten_meanwhile_has_no_vector_in_any_space(indexed, moment):
    proofs = []

    def erase(*_):
        if not proofs:
            for path in (indexed.session.settings.home / "blobs").rglob("*"):
                os.utime(path, (1.7e9, 1.7e9))  # else raw bytes are left to a purge: another run is at work
            (indexed.folder / "owls.txt").unlink()
            proofs.append(forget(indexed.session, "owls.txt", "default")["proof"])

    if moment == "model":  # read for the model, and gone when its vector comes

        def late(vectors):
            erase()
            return vectors

        with _answers(indexed, late):
            reembed_collection(indexed.session, "default")
            vectors = _count_vectors(indexed)
    else:
        reembed_collection(indexed.session, "default", progress=_at(moment, erase))
        vectors = _count_vectors(indexed)
    assert not any(proofs[0].values())
    assert vectors == [11, 11]
    assert _search(indexed, "owls of the lake") != ["owls.txt"]


def test_a_rollback_to_another_model_meanwhile_is_not_overruled(indexed, tmp_path, monkeypatch):
    monkeypatch.setattr(Throttle, "EVERY_S", 0)  # it watches searches before and after
    reembed_collection(indexed.session, "default")
    third = make_model_folder(tmp_path / "third", dim=48)
    indexed.configure(next={"model": str(third)}, model="all-MiniLM-L6-v2")
    # better, which serves, is no candidate any more: the change needs it for nothing
    progress = _at("embed", lambda: rollback_collection(indexed.session, "default", "1"))
    with pytest.raises(RunStopped, match="switched to another model"):
        reembed_collection(indexed.session, "default", progress=progress)
    assert _model(indexed) == "all-MiniLM-L6-v2"
    assert _search(indexed) == ["storks.txt"]
    assert _last_run(indexed)["state"] == "stopped"
    assert [release.kind for release in indexed.releases()] == ["rollback", "reembed", "ingest"]
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 12, 0)


def test_a_rollback_says_that_all_is_well_after_documents_came_and_went(indexed):
    reembed_collection(indexed.session, "default")
    indexed.write("new.txt", "A kite circles over the field.")
    indexed.write("owls.txt", "The owls have moved to the barn.")
    indexed.ingest()
    for target in ("1", LAST):
        assert rollback_collection(indexed.session, "default", target).problems == []


def test_a_run_that_a_gate_held_back_is_shown_after_the_switch_by_the_new_model(indexed, tmp_path):
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "storks"\ndocument = "storks.txt"\nk = 1\n')
    chosen = {"next": {"model": str(indexed.model)}, "gate": {"canaries": canaries}}
    indexed.configure(**chosen)
    indexed.write("storks.txt", "Nothing about them any more.")
    with pytest.raises(GateFailed) as info:
        indexed.ingest()
    assert reembed_collection(indexed.session, "default").state == "succeeded"
    report = activate_staged(indexed.session, "default", info.value.facts["run_id"])
    assert (report.state, report.problems) == ("succeeded", [])
    assert _search(indexed, "nothing about them any more") == ["storks.txt"]


# --- nothing to do, or not all of it --------------------------------------------------------


def test_a_collection_without_a_release_has_nothing_to_change(world, tmp_path):
    ensure_collection(world.session.db, "default")
    world.configure(next={"model": str(make_model_folder(tmp_path / "better"))})
    with pytest.raises(ConfigurationError, match="no release yet"):
        reembed_collection(world.session, "default")


def test_a_change_to_what_serves_does_nothing(indexed):
    indexed.configure(next={"model": "all-MiniLM-L6-v2"})
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.release, indexed.embedder.embedded) == ("unchanged", None, 12)
    assert len(indexed.releases()) == 1


def test_one_that_dies_after_its_switch_has_succeeded(indexed):
    def die(stage, done, total):
        if (stage, done) == ("switch", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reembed_collection(indexed.session, "default", progress=die)
    assert (_model(indexed), _last_run(indexed)["state"]) == ("better", "succeeded")
    assert reembed_collection(indexed.session, "default").state == "unchanged"


def test_chunks_that_the_new_model_does_not_read_to_their_end_are_counted(world, tmp_path):
    world.write("short.txt", "A stork.")
    world.write("long.txt", "The stork stands on one leg in the reeds and waits for frogs all day long. " * 3)
    world.ingest()
    model = make_model_folder(tmp_path / "short-sighted", max_tokens=16)
    world.configure(next={"model": str(model)})
    assert reembed_collection(world.session, "default").truncated == 1


def test_of_vectors_that_are_indexed_another_way_what_is_missing_is_embedded(indexed):
    collection = get_collection(indexed.session.db, "default")
    with psycopg.connect(indexed.session.db.url, autocommit=True) as admin:
        table = f"revector.vectors_{collection.active_space_id}_{collection.id}"
        admin.execute(f"DELETE FROM {table} WHERE chunk_id = (SELECT min(chunk_id) FROM {table})")
    indexed.configure(next={"vectors": {"m": 8}})
    report = reembed_collection(indexed.session, "default")
    assert (report.state, report.converted, report.embedded) == ("succeeded", 11, 1)


# --- images ---------------------------------------------------------------------------------


@pytest.fixture
def pictures(world, tmp_path):
    """Two classes of images, with prototypes, and another model."""
    other = shutil.copytree(SMALL_FOLDER, tmp_path / "other-clip")
    _change_a_byte(other / "open_clip_model.safetensors")
    world.configure(kind="images", model="small-clip", next={"model": f"local-dir:{other}"})
    for name in ("car", "hat"):
        for number in range(4):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    return world


def _prototypes(world):
    db = world.session.db
    collection = get_collection(db, "default")
    found = get_set(db, collection.id)
    return found, found.space_id == collection.active_space_id


def test_prototypes_are_made_for_the_new_space_and_come_back_with_the_old_one(pictures):
    before, _ = _prototypes(pictures)
    assert reembed_collection(pictures.session, "default").embedded == 8
    new, is_of_it = _prototypes(pictures)
    assert is_of_it
    assert new.space_id != before.space_id
    rollback_collection(pictures.session, "default", LAST)
    back, is_of_it = _prototypes(pictures)
    assert (is_of_it, back.digest) == (True, before.digest)
    rollback_collection(pictures.session, "default", LAST)
    forth, is_of_it = _prototypes(pictures)
    assert (is_of_it, forth.digest) == (True, new.digest)
    assert pictures.image_embedder.embedded == 16


def test_a_kill_between_the_switch_and_the_prototypes_is_made_good_by_the_next_call(pictures, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("flows.reembedding.refresh", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            reembed_collection(pictures.session, "default")
    assert not _prototypes(pictures)[1]
    assert reembed_collection(pictures.session, "default").state == "unchanged"
    assert _prototypes(pictures)[1]
    assert prototyping.show(pictures.session, "default")["is_current"]


# --- shared ---------------------------------------------------------------------------------


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def _change_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _count_vectors(world):
    """Of each space, oldest first."""
    db, collection = world.session.db, get_collection(world.session.db, "default")
    with db.connection() as connection:
        return [
            connection.execute(
                f"SELECT count(*) FROM vectors_{space.id} WHERE collection_id = {collection.id}"
            ).fetchone()[0]
            for space in list_spaces(db, collection.id)
        ]
