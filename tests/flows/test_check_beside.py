"""A check reads the vectors of models that do not serve as well: somebody may go back to them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import registry.check_beside
from flows.checking import check
from flows.purging import purge_collection
from flows.reembedding import reembed_collection
from flows.rollback import rollback_collection
from flows.searching import search_text
from registry.collections import ensure_space, ensure_vector_partition, read_space
from registry.connection import connect_admin
from registry.rollback import DocumentTarget
from schemas.check import BESIDE
from schemas.errors import VectorsMissing
from tests.model_folders import make_model_folder

OLD = "all-MiniLM-L6-v2"
NAME = f"{OLD} (vector, space 1)"
DAY_NS = 86_400 * 10**9


@pytest.fixture
def switched(world, tmp_path):
    """Two documents, one of them changed, in a collection that was changed to another model."""
    world.write("storks.txt", "Storks nest on chimneys.")
    world.write("lease.txt", "The lease ends in June.")
    world.ingest()
    world.write("storks.txt", "Storks leave for the south in August.")
    world.ingest()
    world.better = str(make_model_folder(tmp_path / "better", dim=96))
    world.configure(next={"model": world.better})
    assert reembed_collection(world.session, "default").release == 3
    return world


def _change(world, statement):
    with connect_admin(world.session.db.url) as admin:
        return admin.execute(statement).rowcount


def _spoil(world, table="vectors_1", chunk=1):
    assert _change(
        world, f"UPDATE {table} SET embedding = array_fill(2, ARRAY[384])::vector WHERE chunk_id = {chunk}"
    )


def _problems(world, **options):
    return [(one.invariant, one.detail) for one in check(world.session, "default", **options).problems]


def _chunk_of(world, text):
    with world.session.db.connection() as connection:
        return connection.execute("SELECT id FROM chunk WHERE text LIKE %s", [f"%{text}%"]).fetchone()[0]


def test_sound_spaces_are_counted(switched):
    report = check(switched.session, "default")
    assert report.problems == []
    assert {name: report.checked[name] for name in ("spaces", "vectors", "vectors_beside")} == {
        "spaces": 2, "vectors": 2, "vectors_beside": 3,
    }  # fmt: skip


def test_a_vector_that_nothing_is_near_to_is_found(switched):
    _spoil(switched)
    assert _problems(switched) == [
        (BESIDE, f"{NAME}: 1 of 3 vectors are not finite and of unit length"),
    ]
    assert _problems(switched, quick=True) == []


def test_a_vector_that_a_rollback_needs_and_that_is_lost_is_found(switched):
    lost = _chunk_of(switched, "south")
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {lost}")
    assert _problems(switched) == [(BESIDE, f"{NAME}: 1 chunks of release 2 have none")]


def test_of_a_space_that_is_being_filled_only_what_is_there_is_looked_at(switched):
    db = switched.session.db
    filling = ensure_space(db, replace(switched.embedder.space(), revision="filling"))
    ensure_vector_partition(db, filling, 1)
    _change(switched, f"INSERT INTO vectors_{filling} SELECT * FROM vectors_1 WHERE chunk_id = 1")
    assert _problems(switched) == []
    _spoil(switched, f"vectors_{filling}")
    ((invariant, detail),) = _problems(switched)
    assert invariant == BESIDE
    assert "1 of 1 vectors are not finite" in detail


def test_a_release_that_is_not_whole_any_more_needs_no_vectors(switched):
    _change(switched, "UPDATE release SET missing = 1 WHERE number = 2")
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {_chunk_of(switched, 'south')}")
    assert [problem for problem in _problems(switched) if problem[0] == BESIDE] == []
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {_chunk_of(switched, 'chimneys')}")
    problems = [detail for invariant, detail in _problems(switched) if invariant == BESIDE]
    assert problems == [f"{NAME}: 1 chunks of release 1 have none"]


def test_a_space_that_a_purge_drops_meanwhile_is_no_problem(switched, monkeypatch):
    def drop_first(connection, space_id):
        monkeypatch.setattr(registry.check_beside, "read_space", read_space)
        later = replace(switched.session, clock_ns=lambda: time.time_ns() + 15 * DAY_NS)
        assert len(purge_collection(later, "default")["spaces"]) == 1
        return read_space(connection, space_id)

    monkeypatch.setattr(registry.check_beside, "read_space", drop_first)
    assert _problems(switched) == []


def test_a_repair_leaves_them_as_they_are(switched):
    _spoil(switched)
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {_chunk_of(switched, 'south')}")
    before, embedded = _problems(switched), switched.embedder.embedded
    report = check(switched.session, "default", repair=True)
    assert [(one.invariant, one.detail) for one in report.problems] == before
    assert (len(before), report.repaired, switched.embedder.embedded) == (2, [], embedded)
    assert search_text(switched.session, "storks leave", "default", k=1)[0].uri == "storks.txt"


def test_a_rollback_to_what_lost_its_vectors_says_how_to_get_at_it(switched):
    (switched.folder / "lease.txt").unlink()
    switched.ingest(allow_deletions=True)
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {_chunk_of(switched, 'lease')}")
    with pytest.raises(VectorsMissing, match="1 chunks of release 2 have no vector; nothing") as found:
        rollback_collection(switched.session, "default", "2")
    assert "--document" in found.value.advice
    assert search_text(switched.session, "lease ends", "default", as_of="2", mode="keyword")
    document = DocumentTarget("lease.txt")
    assert rollback_collection(switched.session, "default", document).release == 5


def test_a_purge_is_not_held_up_by_them_and_drops_them_in_time(switched):
    _spoil(switched)
    assert purge_collection(switched.session, "default")["spaces"] == []
    later = replace(switched.session, clock_ns=lambda: time.time_ns() + 15 * DAY_NS)
    assert len(purge_collection(later, "default")["spaces"]) == 1
    assert _problems(switched) == []


def test_what_the_check_advises_mends_them(switched):
    _spoil(switched, chunk=_chunk_of(switched, "lease"))
    _change(switched, f"DELETE FROM vectors_1 WHERE chunk_id = {_chunk_of(switched, 'south')}")
    (advice,) = {problem.advice for problem in check(switched.session, "default").problems}
    assert "`revector reembed`" in advice
    switched.configure(model=switched.better, next={"model": OLD})
    assert reembed_collection(switched.session, "default").embedded == 1
    report = check(switched.session, "default", repair=True)
    assert (report.problems, len(report.repaired)) == ([], 1)
    rollback_collection(switched.session, "default", "1")
    assert search_text(switched.session, "storks nest", "default", k=1)[0].uri == "storks.txt"
