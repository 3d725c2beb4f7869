"""What meets a switch of the model at the wrong moment is done with the model that serves then."""

from __future__ import annotations

import pytest

import flows.forgetting
import flows.rollback
from flows.forgetting import forget
from flows.reembedding import reembed_collection
from flows.rollback import LAST, rollback_collection
from flows.switching import ATTEMPTS, in_one_space
from registry.collections import get_collection, get_space
from registry.rollback import DocumentTarget
from registry.runs import latest_runs
from schemas.errors import SpaceSwitched
from tests.model_folders import make_model_folder
from tests.texts import english_text


@pytest.fixture
def switched(world, tmp_path):
    """A document of two versions, one that stands for another, and a collection changed to another model."""
    text = english_text(20, seed=1)
    world.write("stork.txt", "A stork nests on the chimney.")
    world.write("kim.txt", f"{text} Kim Minsu has the number 880101-1234567.")
    world.write("copy.txt", text)
    world.ingest()
    world.write("stork.txt", "The stork has left for the south.")
    world.ingest()
    world.configure(next={"model": str(make_model_folder(tmp_path / "better", dim=96))})
    assert reembed_collection(world.session, "default").release == 3
    return world


def _switch_before(monkeypatch, world, module, name):
    """The collection goes back to its first model right before the call, and forth again before the next."""
    real, times = getattr(module, name), iter(range(2))

    def late(*args, **options):
        if next(times, None) is not None:
            rollback_collection(world.session, "default", LAST)
        return real(*args, **options)

    monkeypatch.setattr(module, name, late)


def _model(world):
    collection = get_collection(world.session.db, "default")
    return get_space(world.session.db, collection.active_space_id).model


def test_a_document_is_forgotten_and_what_it_stood_for_comes_into_view(switched, monkeypatch):
    _switch_before(monkeypatch, switched, flows.forgetting, "forget_document")
    (switched.folder / "kim.txt").unlink()
    report = forget(switched.session, "kim.txt", "default")
    assert set(report["proof"].values()) == {0}
    assert (report["retired"], report["release"]) == ([], switched.releases()[0].number)
    assert switched.keyword("items of the", k=1)[0].uri == "copy.txt"
    assert _model(switched) == "better"
    assert latest_runs(switched.session.db, 1)[0]["state"] == "succeeded"


def test_a_document_is_rolled_back(switched, monkeypatch):
    _switch_before(monkeypatch, switched, flows.rollback, "roll_back_document")
    report = rollback_collection(switched.session, "default", DocumentTarget("stork.txt", version=1))
    assert (report.state, report.problems) == ("succeeded", [])
    assert switched.keyword("nests on the chimney", k=1)[0].uri == "stork.txt"
    assert _model(switched) == "better"


def test_a_rollback_to_the_empty_start_leaves_the_model_that_serves_by_then(switched, monkeypatch):
    real = flows.rollback.roll_back

    def late(*args, **options):
        monkeypatch.setattr(flows.rollback, "roll_back", real)
        rollback_collection(switched.session, "default", LAST)
        return real(*args, **options)

    monkeypatch.setattr(flows.rollback, "roll_back", late)
    rollback_collection(switched.session, "default", "0")
    assert (_model(switched), switched.releases()[0].documents) == ("all-MiniLM-L6-v2", 0)
    assert switched.releases()[0].note == "to release 0"


def test_who_meets_a_switch_every_time_is_told():
    tried = []

    def attempt():
        tried.append(1)
        raise SpaceSwitched("switched again", advice="")

    with pytest.raises(SpaceSwitched):
        in_one_space(attempt)
    assert len(tried) == ATTEMPTS
