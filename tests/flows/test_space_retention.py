"""A model that serves no more: its vectors go when retention does not want them, and not before."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

import pytest

import registry.search
import registry.space_retention
from flows.checking import check
from flows.comparing import compare
from flows.inspecting import collection_status
from flows.purging import purge_collection
from flows.reembedding import reembed_collection
from flows.rollback import preview_rollback, rollback_collection
from flows.searching import search_text
from registry.collections import ensure_space, ensure_vector_partition, get_collection
from registry.connection import connect_admin
from registry.export import open_release
from registry.history import tag_release
from registry.prototypes import list_sets
from registry.purge import list_spaces
from registry.runs import hold_new_run
from registry.search import search_collection
from schemas.errors import ReleaseIncomplete
from tests.model_folders import make_model_folder
from tests.pictures import file

DAY_NS = 86_400 * 10**9
OLD, NEW = "all-MiniLM-L6-v2", "better"


@pytest.fixture
def switched(world, tmp_path):
    """A collection that was changed to another model today."""
    world.write("storks.txt", "Storks nest on chimneys and leave for the south in August.")
    world.ingest()
    world.next = {"model": str(make_model_folder(tmp_path / NEW, dim=96))}
    world.configure(next=world.next)
    assert reembed_collection(world.session, "default").state == "succeeded"
    return world


def _purge(world, *, days=0.0, **options):
    """A purge after so many days."""
    later = replace(world.session, clock_ns=lambda: time.time_ns() + int(days * DAY_NS))
    return purge_collection(later, "default", **options)


def _models(world):
    collection = get_collection(world.session.db, "default")
    with world.session.db.connection() as connection:
        rows = connection.execute(
            "SELECT s.model FROM collection_space u JOIN embedding_space s ON s.id = u.space_id "
            "WHERE u.collection_id = %s ORDER BY s.id", [collection.id]
        )  # fmt: skip
        return [model for (model,) in rows]


def _partitions(world):
    with connect_admin(world.session.db.url) as admin:
        rows = admin.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^vectors_[0-9]+_[0-9]+$' ORDER BY 1"
        )
        return [name for (name,) in rows]


def test_the_vectors_of_a_model_that_served_long_ago_go(switched):
    dry = _purge(switched, days=15, dry_run=True)
    assert [(space["model"], space["last_release"]) for space in dry["spaces"]] == [(OLD, 1)]
    assert dry["spaces"][0]["bytes"] > 0
    assert _partitions(switched) == ["vectors_1_1", "vectors_2_1"], "a dry run writes nothing"
    report = _purge(switched, days=15)
    assert report["spaces"] == dry["spaces"]
    assert (_models(switched), _partitions(switched)) == ([NEW], ["vectors_2_1"])
    assert [(one.number, one.vectors_purged) for one in switched.releases()] == [(2, False), (1, True)]
    assert search_text(switched.session, "storks", "default", k=1)[0].uri == "storks.txt"
    assert check(switched.session, "default").problems == []
    assert _purge(switched, days=15)["spaces"] == []


def test_a_release_whose_vectors_went_is_refused(switched):
    _purge(switched, days=15)
    for attempt in (
        lambda: rollback_collection(switched.session, "default", "1"),
        lambda: preview_rollback(switched.session, "default", "1"),
        lambda: search_text(switched.session, "storks", "default", as_of="1"),
        lambda: search_text(switched.session, "storks", "default", as_of="1", mode="vector"),
    ):
        with pytest.raises(ReleaseIncomplete, match="vectors of its model are purged") as refused:
            attempt()
        assert refused.value.message.startswith("Release 1 ")
        assert "--mode keyword" in refused.value.advice
    assert len(switched.releases()) == 2


def test_it_is_refused_for_its_vectors_also_when_its_model_is_configured_no_more(switched):
    _purge(switched, days=15)
    switched.configure(model=switched.next["model"])
    for attempt in (
        lambda: search_text(switched.session, "storks", "default", as_of="1"),
        lambda: preview_rollback(switched.session, "default", "1"),
        lambda: rollback_collection(switched.session, "default", "1"),
    ):
        with pytest.raises(ReleaseIncomplete, match="vectors of its model are purged"):
            attempt()


def test_what_needs_no_vector_is_done_with_a_release_whose_vectors_went(switched):
    switched.write("new.txt", "A heron.")
    switched.ingest()
    _purge(switched, days=15)
    diff = compare(switched.session, "default", "1")
    assert [(one.status, one.uri) for one in diff.documents] == [("added", "new.txt")]
    (hit,) = search_text(switched.session, "storks heron", "default", as_of="1", mode="keyword")
    assert hit.uri == "storks.txt"


def test_a_release_whose_documents_went_is_still_refused(switched):
    switched.write("storks.txt", "The storks have left.")
    switched.ingest()
    switched.configure(next=switched.next, retention={"keep_days": 0, "keep_versions": 0, "grace_hours": 0})
    _purge(switched, days=15)
    for attempt in (
        lambda: compare(switched.session, "default", "1"),
        lambda: search_text(switched.session, "storks", "default", as_of="1", mode="keyword"),
    ):
        with pytest.raises(ReleaseIncomplete, match="1 documents of it are purged"):
            attempt()


def test_it_stays_refused_when_the_model_comes_back(switched):
    switched.write("new.txt", "A heron.")
    switched.ingest()
    _purge(switched, days=15)
    switched.configure(model=switched.next["model"], next={"model": OLD})
    assert reembed_collection(switched.session, "default").release == 4
    assert _models(switched) == [OLD, NEW]
    with pytest.raises(ReleaseIncomplete, match="vectors of its model are purged"):
        search_text(switched.session, "storks", "default", as_of="1")
    assert search_text(switched.session, "heron", "default", as_of="4", k=1)[0].uri == "new.txt"


def test_a_model_that_served_lately_stays_and_can_be_rolled_back_to(switched):
    assert _purge(switched, days=13)["spaces"] == []
    rollback_collection(switched.session, "default", "1")
    assert _purge(switched, days=13)["spaces"] == []
    assert _models(switched) == [OLD, NEW]


def test_the_model_of_a_tagged_release_stays_unless_tags_do_not_count(switched):
    db = switched.session.db
    tag_release(db, get_collection(db, "default"), switched.releases()[-1], "audit")
    assert _purge(switched, days=400)["spaces"] == []
    switched.configure(next=switched.next, retention={"keep_tagged": False})
    assert [space["model"] for space in _purge(switched, days=400)["spaces"]] == [OLD]


def _abandon(world):
    """A reembed that was given up: its space is half built."""
    db = world.session.db
    space = replace(world.embedder.space(), revision="abandoned")
    ensure_vector_partition(db, ensure_space(db, space), 1)


def test_what_a_reembed_left_that_was_given_up_goes_after_the_grace(switched):
    _abandon(switched)
    assert _purge(switched, days=0.5)["spaces"] == []
    (gone,) = _purge(switched, days=1.5)["spaces"]
    assert gone["last_release"] is None
    assert _models(switched) == [OLD, NEW]


def test_nothing_goes_while_a_run_may_be_filling_it(switched):
    _abandon(switched)
    run = {"flow": "reembed", "trigger": "manual", "scope": "default"}
    with hold_new_run(switched.session.db, 1, uuid4(), **run):
        assert _purge(switched, days=400, dry_run=True)["spaces"] == []
        assert _purge(switched, days=400)["spaces"] == []
    # its process is gone, and nobody has marked it yet
    assert len(_purge(switched, days=400, dry_run=True)["spaces"]) == 2
    assert len(_purge(switched, days=400)["spaces"]) == 2


def test_a_reembed_that_begins_meanwhile_keeps_its_space(switched, monkeypatch):
    _abandon(switched)
    real = registry.space_retention.lock_vector_space

    def begin(connection, space_id):
        ensure_vector_partition(switched.session.db, space_id, 1)
        real(connection, space_id)

    monkeypatch.setattr(registry.space_retention, "lock_vector_space", begin)
    assert _purge(switched)["spaces"] == []
    assert len(_partitions(switched)) == 3


def test_a_search_that_does_not_let_go_keeps_the_space_until_the_next_purge(switched, monkeypatch):
    monkeypatch.setattr(registry.space_retention, "LOCK_ATTEMPTS", 1)
    with switched.session.db.transaction() as reader:
        reader.execute("SELECT count(*) FROM vectors_1")
        assert _purge(switched, days=15)["spaces"] == []
    assert _models(switched) == [OLD, NEW]
    assert len(_purge(switched, days=15)["spaces"]) == 1


def test_a_search_whose_vectors_go_meanwhile_says_so(switched, monkeypatch):
    db = switched.session.db
    collection = get_collection(db, "default")
    real = registry.search.narrow

    def purge(scope, where):
        assert len(_purge(switched, days=15)["spaces"]) == 1
        return real(scope, where)

    monkeypatch.setattr(registry.search, "narrow", purge)
    query = switched.embedder.embed_query("storks")
    with pytest.raises(ReleaseIncomplete, match="vectors of its model are purged"):
        search_collection(db, collection, k=1, release=1, vector=query, space_id=1)


def test_an_export_that_has_begun_keeps_its_vectors(switched, monkeypatch):
    monkeypatch.setattr(registry.space_retention, "LOCK_ATTEMPTS", 1)
    db = switched.session.db
    with open_release(db, get_collection(db, "default"), 1) as reader:
        assert _purge(switched, days=15)["spaces"] == []
        assert sum(len(hashes) for hashes, _ in reader.vectors()) == 1
    assert len(_purge(switched, days=15)["spaces"]) == 1
    with pytest.raises(ReleaseIncomplete), open_release(db, get_collection(db, "default"), 1):
        pass


def test_the_status_shows_no_index_of_a_small_collection(switched):
    assert collection_status(switched.session, "default")["index"] is None


def test_prototypes_of_a_model_that_went_go_with_it(world):
    images = {"kind": "images", "model": "small-clip", "gate": {"max_prototype_shift": 2}}
    world.configure(**images)
    for name in ("car", "hat"):
        for number in range(3):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    db = world.session.db
    (space,) = list_spaces(db, 1)
    world.configure(**images, next={"vectors": {"dtype": "halfvec"}})
    assert reembed_collection(world.session, "default").state == "succeeded"
    assert len({one.space_id for one in list_sets(db, 1)}) == 2
    gone = _purge(world, days=15)["spaces"]
    assert [old["id"] for old in gone] == [space.id]
    assert space.id not in {one.space_id for one in list_sets(db, 1)}
    assert check(world.session, "default").problems == []
