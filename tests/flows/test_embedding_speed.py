"""How fast a model embeds is learned from all that has embedded with it, and from nothing else."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from flows.reembedding import reembed_collection
from flows.staged import activate_staged
from registry.collections import get_collection, get_space
from registry.estimating import count_tokens, embedding_speed
from registry.runs import get_run
from schemas.errors import GateFailed
from tests.model_folders import make_model_folder

STORK = "Storks nest on chimneys and leave for the south in August. "


@pytest.fixture
def embedded(ticking):
    """One document, embedded and shown."""
    ticking.write("a.txt", STORK * 40)
    ticking.ingest()
    return ticking


def _collection(world):
    return get_collection(world.session.db, "default")


def _speed(world, space=None):
    """Of the model that serves, or of another space's."""
    db, collection = world.session.db, _collection(world)
    return embedding_speed(db, collection.id, space or get_space(db, collection.active_space_id))


def _stage(world, tmp_path, **settings):
    """A run that embeds and is held back by its gate; its id."""
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "storks"\ndocument = "nowhere.txt"\n')
    world.configure(gate={"canaries": canaries}, **settings)
    world.write("b.txt", "Herons stand in the water. " + STORK * 10)
    with pytest.raises(GateFailed) as info:
        world.ingest()
    world.configure(**settings)
    return UUID(info.value.facts["run_id"])


def test_the_speed_is_that_of_the_model_and_of_the_last_runs(embedded):
    db, collection = embedded.session.db, _collection(embedded)
    space = get_space(db, collection.active_space_id)
    for other in ({"model": "better"}, {"revision": "2"}, {"dim": 96}):
        assert _speed(embedded, replace(space, **other)) is None
    assert _speed(embedded).tokens_per_s > 0
    with db.connection() as connection:  # a run from before tokens were counted
        connection.execute("UPDATE run SET stats = stats - 'tokens' WHERE stats ? 'tokens'")
    old = _speed(embedded)
    assert (old.tokens_per_s, old.texts_per_s > 0) == (None, True)


def test_a_speed_stays_known_when_only_the_storage_of_vectors_changes(embedded):
    before = _speed(embedded)
    embedded.configure(next={"vectors": {"dtype": "halfvec"}})
    assert reembed_collection(embedded.session, "default").converted > 0
    space = get_space(embedded.session.db, _collection(embedded).active_space_id)
    assert (space.dtype, _speed(embedded)) == ("halfvec", before)
    assert _speed(embedded, replace(space, dtype="bit", document_prompt="p: ")) == before, "of no space here"


def test_vectors_that_were_stored_another_way_teach_no_speed(embedded):
    embedded.write("b.txt", "Herons stand in the water.")
    embedded.ingest()
    before, collection = _speed(embedded), _collection(embedded)
    with psycopg.connect(embedded.session.db.url, autocommit=True) as admin:
        table = f"revector.vectors_{collection.active_space_id}_{collection.id}"
        admin.execute(f"DELETE FROM {table} WHERE chunk_id = (SELECT min(chunk_id) FROM {table})")
    embedded.configure(next={"vectors": {"m": 8}})
    report = reembed_collection(embedded.session, "default")
    assert (report.embedded, report.converted > 0) == (1, True)
    assert _speed(embedded) == before


def test_a_reembed_counts_its_tokens_and_the_next_run_knows_the_speed(embedded, tmp_path):
    embedded.configure(next={"model": str(make_model_folder(tmp_path / "better", dim=96))})
    report = reembed_collection(embedded.session, "default")
    db, number = embedded.session.db, _collection(embedded).id
    assert report.tokens == count_tokens(db, number, range(1, report.embedded + 1)) > 0
    assert report.as_json()["tokens"] == report.tokens
    found = _speed(embedded)
    assert found.tokens_per_s == pytest.approx(report.tokens / (report.seconds["embed"] - report.paused))
    assert found.texts_per_s == pytest.approx(report.embedded / (report.seconds["embed"] - report.paused))


def test_a_run_that_was_held_back_keeps_what_it_did_and_teaches_its_speed(embedded, tmp_path):
    first = _speed(embedded)
    run_id = _stage(embedded, tmp_path)
    db, collection = embedded.session.db, _collection(embedded)
    staged = get_run(db, collection.id, run_id)["stats"]
    assert _speed(embedded) == first, "it is not shown yet"
    report = activate_staged(embedded.session, "default", run_id)
    assert report.chunks.embedded == 0, "showing it embeds nothing"
    shown = get_run(db, collection.id, run_id)["stats"]
    for name in ("source", "parsed", "estimate", "tokens"):
        assert shown[name] == staged[name] != 0, name
    assert shown["chunks"] == {"total": 1, "reused": 0, "embedded": staged["chunks"]["embedded"]}
    assert shown["seconds"]["embed"] == staged["seconds"]["embed"] > 0
    assert shown["seconds"]["total"] > staged["seconds"]["total"]
    assert (shown["release"], shown["documents"]["added"]) == (2, 1)
    assert _speed(embedded) != first


def test_a_run_that_was_held_back_over_a_switch_is_not_taken_for_one_of_the_new_model(embedded, tmp_path):
    chosen = {"next": {"model": str(make_model_folder(tmp_path / "better", dim=96))}}
    run_id = _stage(embedded, tmp_path, **chosen)
    reembed_collection(embedded.session, "default")
    before = _speed(embedded)
    assert activate_staged(embedded.session, "default", run_id).chunks.embedded > 0
    assert _speed(embedded) == before
