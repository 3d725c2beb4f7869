"""How a change of the model ends early, and what the next call makes of it."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

import registry.vectors
from flows.reembedding import reembed_collection
from registry.collections import ensure_collection, get_collection
from schemas.errors import ConfigurationError, DatabaseUnavailable, VectorsMissing
from tests.model_changes import at_stage, last_run, require_untouched, search, serving_model
from tests.model_folders import make_model_folder


def test_a_full_disk_stops_it_and_the_next_call_goes_on_from_there(birds, monkeypatch):
    plain, stored = registry.vectors.write_vectors, []

    def write(*arguments, **options):
        if len(stored) == 3:
            raise psycopg.errors.DiskFull("could not extend file: No space left on device")
        stored.append(1)
        return plain(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(registry.vectors, "write_vectors", write)
        with pytest.raises(DatabaseUnavailable, match="No space left on device"):
            reembed_collection(birds.session, "default")
    require_untouched(birds)
    report = reembed_collection(birds.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 6, 6)


def test_a_database_that_is_restarted_meanwhile_costs_no_vector_that_was_stored(birds):
    def restart():
        with psycopg.connect(birds.session.db.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    try:
        reembed_collection(birds.session, "default", progress=at_stage("embed", restart))
    except DatabaseUnavailable:
        assert serving_model(birds) in ("all-MiniLM-L6-v2", "better")
    assert search(birds) == ["storks.txt"]
    reembed_collection(birds.session, "default")
    assert serving_model(birds) == "better"
    assert birds.models.others["better"].embedded == 12
    assert search(birds) == ["storks.txt"]


def test_chunks_that_cannot_be_embedded_do_not_keep_it_going_forever(birds, monkeypatch):
    monkeypatch.setattr("flows.reembedding.embed_chunks", lambda *_, **__: _NOTHING)
    with pytest.raises(VectorsMissing, match="12 chunks that are shown got no vector"):
        reembed_collection(birds.session, "default")
    require_untouched(birds)


_NOTHING = SimpleNamespace(embedded=0, seconds={"model": 0.0, "write": 0.0})


def test_a_collection_without_a_release_has_nothing_to_change(world, tmp_path):
    ensure_collection(world.session.db, "default")
    world.configure(next={"model": str(make_model_folder(tmp_path / "better"))})
    with pytest.raises(ConfigurationError, match="no release yet"):
        reembed_collection(world.session, "default")


def test_a_change_to_what_serves_does_nothing(birds):
    birds.configure(next={"model": "all-MiniLM-L6-v2"})
    report = reembed_collection(birds.session, "default")
    assert (report.state, report.release, birds.embedder.embedded) == ("unchanged", None, 12)
    assert len(birds.releases()) == 1


def test_one_that_dies_after_its_switch_has_succeeded(birds):
    def die(stage, done, total):
        if (stage, done) == ("switch", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reembed_collection(birds.session, "default", progress=die)
    assert (serving_model(birds), last_run(birds)["state"]) == ("better", "succeeded")
    assert reembed_collection(birds.session, "default").state == "unchanged"


def test_chunks_that_the_new_model_does_not_read_to_their_end_are_counted(world, tmp_path):
    world.write("short.txt", "A stork.")
    world.write("long.txt", "The stork stands on one leg in the reeds and waits for frogs all day long. " * 3)
    world.ingest()
    model = make_model_folder(tmp_path / "short-sighted", max_tokens=16)
    world.configure(next={"model": str(model)})
    assert reembed_collection(world.session, "default").truncated == 1


def test_of_vectors_that_are_indexed_another_way_what_is_missing_is_embedded(birds):
    collection = get_collection(birds.session.db, "default")
    with psycopg.connect(birds.session.db.url, autocommit=True) as admin:
        table = f"revector.vectors_{collection.active_space_id}_{collection.id}"
        admin.execute(f"DELETE FROM {table} WHERE chunk_id = (SELECT min(chunk_id) FROM {table})")
    birds.configure(next={"vectors": {"m": 8}})
    report = reembed_collection(birds.session, "default")
    assert (report.state, report.converted, report.embedded) == ("succeeded", 11, 1)
