"""A change of the model beside other runs: nothing is lost, overruled or kept that should go."""

from __future__ import annotations

import os
import threading

import psycopg
import pytest

from flows.forgetting import forget
from flows.purging import purge_collection
from flows.reembedding import reembed_collection
from flows.rollback import LAST, rollback_collection
from flows.staged import activate_staged
from registry.collections import get_collection
from registry.purge import list_spaces
from registry.runs import latest_runs
from schemas.errors import GateFailed, RunStopped
from tasks.throttling import Throttle
from tests.model_changes import (
    at_stage,
    changed_vectors,
    count_vectors,
    interrupt,
    last_run,
    search,
    serving_model,
)
from tests.model_folders import make_model_folder


def test_of_two_at_once_the_second_is_refused_and_pays_nothing(birds):
    refused = []

    def again():
        with pytest.raises(RunStopped, match="Another reembed of collection 'default' is at work") as info:
            reembed_collection(birds.session, "default")
        refused.append(info.value)

    report = reembed_collection(birds.session, "default", progress=at_stage("embed", again))
    assert len(refused) == 1
    assert (report.state, report.embedded, birds.models.others["better"].embedded) == ("succeeded", 12, 12)
    runs = latest_runs(birds.session.db, get_collection(birds.session.db, "default").id)
    assert [run["flow"] for run in runs] == ["reembed", "ingest"], "the second is no run"


def test_after_one_that_failed_the_next_is_let_in(birds):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            reembed_collection(birds.session, "default", progress=at_stage("embed", interrupt))
    assert reembed_collection(birds.session, "default").state == "succeeded"


def test_a_purge_meanwhile_takes_nothing_that_the_switch_needs(birds):
    short = {"keep_days": 0, "keep_versions": 0, "grace_hours": 0}
    birds.configure(next={"model": str(birds.model)}, retention=short)
    birds.write("storks.txt", "The storks have left for the south.")
    birds.ingest()
    dropped = []

    def purge():
        dropped.append(purge_collection(birds.session, "default")["chunks"])

    report = reembed_collection(birds.session, "default", progress=at_stage("embed", purge))
    assert (report.state, dropped) == ("succeeded", [1])
    assert search(birds, "storks have left for the south") == ["storks.txt"]


def test_an_index_that_a_killed_change_left_building_holds_up_no_ingest(birds):
    """The backend of a client that is gone builds on; whoever stores there waits for it."""
    with pytest.raises(KeyboardInterrupt):
        reembed_collection(birds.session, "default", progress=at_stage("embed", interrupt))
    db, collection = birds.session.db, get_collection(birds.session.db, "default")
    table = f"revector.vectors_{list_spaces(db, collection.id)[-1].id}_{collection.id}"
    with psycopg.connect(db.url) as builder:
        builder.execute(f"LOCK TABLE {table} IN SHARE MODE")
        change = threading.Thread(target=reembed_collection, args=(birds.session, "default"))
        change.start()
        try:
            with psycopg.connect(db.url, autocommit=True) as looker:
                while not looker.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    assert change.is_alive()
            birds.write("new.txt", "A kite circles over the field.")
            late = threading.Timer(20, builder.rollback)
            late.start()
            assert birds.ingest().release == 2
            assert late.is_alive(), "the ingest waited for the build"
            late.cancel()
        finally:
            builder.rollback()
            change.join()


@pytest.mark.parametrize("moment", ["embed", "switch", "model"])
def test_what_is_forgotten_meanwhile_has_no_vector_in_any_space(birds, moment):
    proofs = []

    def erase(*_):
        if not proofs:
            for path in (birds.session.settings.home / "blobs").rglob("*"):
                os.utime(path, (1.7e9, 1.7e9))  # else raw bytes are left to a purge: another run is at work
            (birds.folder / "owls.txt").unlink()
            proofs.append(forget(birds.session, "owls.txt", "default")["proof"])

    if moment == "model":  # read for the model, and gone when its vector comes

        def late(vectors):
            erase()
            return vectors

        with changed_vectors(birds, late):
            reembed_collection(birds.session, "default")
            vectors = count_vectors(birds)
    else:
        reembed_collection(birds.session, "default", progress=at_stage(moment, erase))
        vectors = count_vectors(birds)
    assert not any(proofs[0].values())
    assert vectors == [11, 11]
    assert search(birds, "owls of the lake") != ["owls.txt"]


def test_a_rollback_to_another_model_meanwhile_is_not_overruled(birds, tmp_path, monkeypatch):
    monkeypatch.setattr(Throttle, "EVERY_S", 0)  # it watches searches before and after
    reembed_collection(birds.session, "default")
    third = make_model_folder(tmp_path / "third", dim=48)
    birds.configure(next={"model": str(third)}, model="all-MiniLM-L6-v2")
    # better, which serves, is no candidate any more: the change needs it for nothing
    progress = at_stage("embed", lambda: rollback_collection(birds.session, "default", "1"))
    with pytest.raises(RunStopped, match="switched to another model"):
        reembed_collection(birds.session, "default", progress=progress)
    assert serving_model(birds) == "all-MiniLM-L6-v2"
    assert search(birds) == ["storks.txt"]
    assert last_run(birds)["state"] == "stopped"
    assert [release.kind for release in birds.releases()] == ["rollback", "reembed", "ingest"]
    report = reembed_collection(birds.session, "default")
    assert (report.state, report.kept, report.embedded) == ("succeeded", 12, 0)


def test_a_rollback_says_that_all_is_well_after_documents_came_and_went(birds):
    reembed_collection(birds.session, "default")
    birds.write("new.txt", "A kite circles over the field.")
    birds.write("owls.txt", "The owls have moved to the barn.")
    birds.ingest()
    for target in ("1", LAST):
        assert rollback_collection(birds.session, "default", target).problems == []


def test_a_run_that_a_gate_held_back_is_shown_after_the_switch_by_the_new_model(birds, tmp_path):
    canaries = tmp_path / "canaries.toml"
    canaries.write_text('[[canary]]\nquery = "storks"\ndocument = "storks.txt"\nk = 1\n')
    chosen = {"next": {"model": str(birds.model)}, "gate": {"canaries": canaries}}
    birds.configure(**chosen)
    birds.write("storks.txt", "Nothing about them any more.")
    with pytest.raises(GateFailed) as info:
        birds.ingest()
    assert reembed_collection(birds.session, "default").state == "succeeded"
    report = activate_staged(birds.session, "default", info.value.facts["run_id"])
    assert (report.state, report.problems) == ("succeeded", [])
    assert search(birds, "nothing about them any more") == ["storks.txt"]
