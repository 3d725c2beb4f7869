"""Purge beside runs that use again what it drops, and purge killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from flows.pipeline import ingest_location
from flows.purging import purge_collection
from tasks.batch import plain_steps
from tests.texts import english_text
from tests.waiting import until
from tests.world import World

ROOT = Path(__file__).parents[2]
SETTINGS = {"default": {"retention": {"keep_versions": 0, "keep_days": 0, "grace_hours": 0}}}


@pytest.fixture
def world(database_url, tmp_path):
    with World.open(tmp_path, database_url, collections=SETTINGS) as made:
        yield made
        assert made.problems() == []


@pytest.fixture
def ingest_with(world):
    """Ingests, and purges after the named step; returns the report and what the purge dropped."""

    def run(step, *, action=None):
        purged = []

        def after(original):
            def wrapped(*args, **options):
                result = original(*args, **options)
                if step == "prepare_window":
                    result.result()
                if not purged:
                    purged.append((action or (lambda: purge_collection(world.session, "default")))())
                return result

            return wrapped

        with plain_steps() as steps:
            steps = replace(steps, **{step: after(getattr(steps, step))})
            report = ingest_location(world.session, steps, str(world.folder), "default", allow_deletions=True)
        return report, purged[0]

    return run


def _two_states(world):
    for state in ("first", "second"):
        world.write("a.txt", f"The {state} state of the stork.")
        world.ingest()


def test_chunks_purged_between_lookup_and_staging_are_embedded_again(world, ingest_with):
    _two_states(world)
    world.write("b.txt", "The first state of the stork.")
    paid = world.embedder.embedded
    report, purged = ingest_with("prepare_window")
    assert (purged["chunks"], purged["versions"]["dropped"]) == (1, 1)
    assert (report.state, report.documents.added, report.chunks.embedded) == ("succeeded", 1, 1)
    assert world.embedder.embedded == paid + 1
    assert world.keyword("first")[0].uri == world.vector("first")[0].uri == "b.txt"


def test_a_stored_version_purged_before_it_is_staged_is_a_conflict_and_made_again(world, ingest_with):
    _two_states(world)
    world.write("a.txt", "The first state of the stork.")
    report, purged = ingest_with("prepare_window")
    assert purged["versions"]["dropped"] == 1
    assert (report.documents.changed, report.conflicts, report.release) == (0, 1, None)
    assert world.keyword("state")[0].text == "The second state of the stork."
    again = world.ingest()
    assert (again.documents.changed, again.chunks.embedded, again.conflicts) == (1, 1, 0)
    assert world.keyword("state")[0].text == "The first state of the stork."


def test_a_document_whose_new_name_lost_its_version_keeps_the_old_name(world, ingest_with):
    world.write("new.txt", "A stork that moves about.")
    world.ingest()
    (world.folder / "new.txt").rename(world.folder / "old.txt")
    world.ingest()
    (world.folder / "old.txt").rename(world.folder / "new.txt")
    report, purged = ingest_with("prepare_window")
    assert purged["versions"]["dropped"] == 1
    assert (report.documents.moved, report.conflicts) == (0, 1)
    assert [hit.uri for hit in world.keyword("stork")] == ["old.txt"]
    assert world.ingest().documents.moved == 1
    assert [hit.uri for hit in world.keyword("stork")] == ["new.txt"]


def _overtake(world, text):
    """Another run changes a.txt, and a purge drops the version that the first one planned with."""

    def action():
        if text is not None:
            world.write("a.txt", text)
        world.ingest()
        return purge_collection(world.session, "default")

    return action


def test_a_change_whose_base_is_purged_is_a_conflict(world, ingest_with):
    world.write("a.txt", "The first state of the stork.")
    world.ingest()
    world.write("a.txt", "The second state of the stork.")
    action = _overtake(world, "The third state of the stork.")
    report, purged = ingest_with("prepare_window", action=action)
    assert purged["versions"]["dropped"] == 1
    assert (report.conflicts, report.release) == (1, None)
    assert world.keyword("state")[0].text == "The third state of the stork."


def test_a_deletion_whose_version_is_purged_does_not_retire_the_newer_one(world, ingest_with):
    world.write("keep.txt", "A heron.")
    path = world.write("a.txt", "The first state of the stork.")
    world.ingest()
    path.unlink()
    report, purged = ingest_with("plan_run", action=_overtake(world, "The second state of the stork."))
    assert purged["versions"]["dropped"] == 1
    assert (report.documents.deleted, report.conflicts) == (0, 1)
    assert world.keyword("state")[0].text == "The second state of the stork."


def test_a_deletion_of_a_document_that_is_purged_meanwhile_is_done(world, ingest_with):
    world.write("keep.txt", "A heron.")
    path = world.write("a.txt", "The first state of the stork.")
    world.ingest()
    path.unlink()
    report, purged = ingest_with("plan_run", action=_overtake(world, None))
    assert (purged["versions"]["dropped"], purged["documents"]) == (1, 1)
    assert (report.state, report.release) == ("unchanged", None)
    assert world.keyword("state") == []


STEPS = "list_source plan_run prepare_window write_window hold_election embed_batch check_gate".split()


@pytest.mark.parametrize("step", STEPS)
def test_a_purge_at_any_moment_of_an_ingest_takes_nothing_from_it(world, ingest_with, step):
    _two_states(world)
    world.write("b.txt", "A crane.")
    for uri, text in {"b.txt": "Another crane.", "c.txt": "The first state of the stork."}.items():
        world.write(uri, text)
    report, _ = ingest_with(step)
    assert (report.state, report.conflicts, report.documents.added) == ("succeeded", 0, 2)
    assert {hit.uri for hit in world.keyword("stork crane", k=10)} == {"a.txt", "b.txt", "c.txt"}
    assert world.ingest().state == "unchanged"


def test_bytes_that_a_live_run_found_stored_are_not_deleted_under_it(world, ingest_with):
    """The blob is a day old and no version has it any more when the run stages its own."""
    _two_states(world)
    old = time.time() - 86_400
    for path in (world.session.settings.home / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    world.write("b.txt", "The first state of the stork.")
    report, purged = ingest_with("prepare_window")
    assert (purged["versions"]["dropped"], purged["blobs"], report.documents.added) == (1, 0, 1)


# --- kill -9 -----------------------------------------------------------------------------


def _count(url, query):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = revector, public")
        return connection.execute(query).fetchone()[0]


@pytest.fixture
def before(database_url, tmp_path):
    """Twelve documents, each with a version that retention drops."""
    with World.open(tmp_path, database_url, collections=SETTINGS) as world:
        for seed in (0, 100):
            for number in range(12):
                world.write(f"{number}.txt", english_text(30, seed=seed + number))
            world.ingest()
    return tmp_path, database_url


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("SELECT count(*) FROM document_version", 24),  # before anything is dropped
        ("SELECT count(*) FROM document_version", 19),
        ("SELECT count(*) FROM document_version", 12),  # before the blobs
        ("blobs", 18),
        ("blobs", 12),  # before the space comes back
    ],
)
def test_a_killed_purge_leaves_all_sound_and_the_next_one_completes_it(before, query, left):
    base, url = before
    folder = base / "home" / "blobs"

    def counted():
        if query == "blobs":
            return sum(1 for path in folder.rglob("*") if path.is_file())
        return _count(url, query)

    process = subprocess.Popen(
        [sys.executable, "-m", "tests.flows.purge_driver", str(base), url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    def is_far_enough():
        assert process.poll() is None, process.stdout.read().decode()
        return _count(url, "SELECT count(*) FROM run WHERE flow = 'purge'") and counted() <= left

    until(is_far_enough, f"{query} at {left}", every_s=0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with World.open(base, url, collections=SETTINGS) as world:
        assert world.problems() == []
        shown = world.keyword("items", k=100)
        assert len({hit.uri for hit in shown}) == 12
        purge_collection(world.session, "default")
        assert world.problems() == []
        assert world.keyword("items", k=100) == shown
        assert world.ingest().state == "unchanged"
        assert {release.number: release.missing for release in world.releases()} == {1: 12, 2: 0}
    assert sum(1 for path in folder.rglob("*") if path.is_file()) == 12
    assert _count(url, "SELECT count(*) FROM document_version") == 12
    assert _count(url, "SELECT count(*) FROM vectors_1") == _count(url, "SELECT count(*) FROM visible")
    assert _count(url, "SELECT string_agg(state, ' ' ORDER BY started_at) FROM run").startswith(
        "succeeded succeeded crashed"
    )
