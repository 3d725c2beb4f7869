"""One flow run for all that waits, whatever dies in between."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from flows.service.dispatching import CANCELLED_S, Dispatcher, dispatching
from registry.collections import ensure_collection, ensure_source
from registry.dispatch import list_waiting
from registry.events import accept_delivery, claim_events, settle_events
from registry.runs import finish_run, hold_new_run
from schemas.errors import PrefectUnavailable
from schemas.event import Delivery, NamedChange
from schemas.settings import Settings
from schemas.source import Source

NOW = datetime.now(UTC)


@dataclass
class Seen:
    state: str
    since: datetime
    why: str = ""


class FakePrefect:
    """Keeps flow runs by key, as the server does; can be down, or lose its answers."""

    def __init__(self):
        self.runs: dict[UUID, Seen] = {}
        self.keys: dict[str, UUID] = {}
        self.crashed: list[UUID] = []
        self.is_down = self.loses_answers = self.is_paused = False

    def ask(self, collection, key, *, tenant):
        self._require()
        if self.is_paused:
            return None
        if key not in self.keys:
            self.keys[key] = uuid4()
            self.runs[self.keys[key]] = Seen("SCHEDULED", NOW)
        if self.loses_answers:
            raise PrefectUnavailable("the answer was lost")
        return self.keys[key]

    def look(self, flow_run_id):
        self._require()
        return self.runs.get(flow_run_id)

    def declare_crashed(self, flow_run_id, why):
        self._require()
        self.crashed.append(flow_run_id)
        self.runs[flow_run_id] = Seen("CRASHED", NOW)

    def crash_stuck(self, older_than):
        self._require()
        return []

    def _require(self):
        if self.is_down:
            raise PrefectUnavailable("down")


class Scene:
    def __init__(self, db):
        self.db = db
        self.collection = ensure_collection(db, "default").id
        self.source = ensure_source(db, self.collection, Source("docs", "/data/docs")).id
        self.prefect = FakePrefect()
        self.now = NOW
        self.dispatcher = self.make()

    def make(self):
        settings = Settings(webhook={"debounce_s": 0, "max_wait_s": 0})
        return Dispatcher(self.db, settings, self.prefect, stuck_s=100, retry_s=2, clock=lambda: self.now)

    def deliver(self, uri="a.txt"):
        change = NamedChange(self.source, uri, "changed")
        body = hashlib.sha256(uri.encode()).digest()
        accept_delivery(self.db, self.collection, Delivery("cms", str(uuid4()), body, (change,)))

    def hold(self, flow_run):
        run = uuid4()
        return run, hold_new_run(
            self.db,
            self.collection,
            run,
            flow="reindex",
            trigger="event",
            scope="x",
            prefect_flow_run_id=flow_run,
        )

    def apply(self, flow_run):
        """What the flow does."""
        run, holding = self.hold(flow_run)
        with holding:
            claimed = claim_events(self.db, self.collection, self.source, run)
            settle_events(self.db, run, {event.id: "changed" for event in claimed})
            finish_run(self.db, run, "succeeded", stats={})
        self.prefect.runs[flow_run] = Seen("COMPLETED", NOW)
        return len(claimed)

    @property
    def trouble(self):
        """Why the collection's events wait, and after how many flow runs in vain."""
        (waiting,) = list_waiting(self.db, self.collection)
        return waiting.trouble, waiting.failures


@pytest.fixture
def scene(db):
    return Scene(db)


def test_a_burst_becomes_one_flow_run_and_the_next_events_another(scene):
    for number in range(5):
        scene.deliver(f"{number}.txt")
    (flow_run,) = scene.dispatcher.step()
    scene.deliver("late.txt")
    assert scene.dispatcher.step() == []  # one is under way, it takes that along
    assert scene.apply(flow_run) == 6
    assert scene.dispatcher.step() == []
    scene.deliver("later.txt")
    (second,) = scene.dispatcher.step()
    assert second != flow_run


def test_nothing_waits_nothing_is_asked(scene):
    assert scene.dispatcher.step() == []
    assert scene.prefect.keys == {}


def test_an_answer_that_is_lost_does_not_double_the_run(scene):
    scene.deliver()
    scene.prefect.loses_answers = True
    with pytest.raises(PrefectUnavailable):
        scene.dispatcher.step()
    scene.prefect.loses_answers = False
    (flow_run,) = scene.make().step()  # the dispatcher was killed, too
    assert list(scene.prefect.runs) == [flow_run]


def test_while_prefect_is_down_events_wait(scene):
    scene.deliver()
    scene.prefect.is_down = True
    with pytest.raises(PrefectUnavailable):
        scene.dispatcher.step()
    assert scene.trouble == ("down", 0)
    scene.prefect.is_down = False
    assert len(scene.dispatcher.step()) == 1
    assert scene.trouble == (None, 0)


def test_while_the_deployment_is_paused_events_wait(scene):
    scene.deliver()
    scene.prefect.is_paused = True
    assert scene.dispatcher.step() == []
    assert "is paused" in scene.trouble[0]
    scene.prefect.is_paused = False
    assert len(scene.dispatcher.step()) == 1
    assert scene.trouble == (None, 0)


def test_a_flow_run_that_failed_is_followed_by_another_ever_later(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    for pause in (2, 4, 8):
        scene.prefect.runs[flow_run] = Seen("FAILED", scene.now)
        scene.now += timedelta(seconds=pause - 0.1)
        assert scene.dispatcher.step() == []
        scene.now += timedelta(seconds=0.2)
        (flow_run,) = scene.dispatcher.step()
    scene.apply(flow_run)
    scene.deliver("b.txt")
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("FAILED", scene.now)
    scene.now += timedelta(seconds=2.1)  # the failures before were forgotten
    assert len(scene.dispatcher.step()) == 1


def test_after_a_person_cancelled_it_nobody_asks_for_minutes(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("CANCELLED", scene.now)
    scene.now += timedelta(seconds=CANCELLED_S - 1)
    assert scene.dispatcher.step() == []
    scene.now += timedelta(seconds=2)
    assert len(scene.dispatcher.step()) == 1


def test_a_flow_run_that_prefect_has_lost_is_asked_for_again(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    del scene.prefect.runs[flow_run]
    assert len(scene.dispatcher.step()) == 1


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_flow_run_without_a_process_is_given_up(scene, state):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen(state, scene.now)
    scene.now += timedelta(seconds=99 if state == "PENDING" else 999)
    assert scene.dispatcher.step() == []
    scene.now += timedelta(seconds=2)
    (second,) = scene.dispatcher.step()
    assert scene.prefect.crashed == [flow_run]
    assert second != flow_run


def test_a_flow_run_that_waits_for_a_worker_is_waited_for(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.now += timedelta(days=2)
    assert scene.dispatcher.step() == []
    assert scene.prefect.runs[flow_run].state == "SCHEDULED"


def test_a_long_run_at_work_is_not_taken_for_dead(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("RUNNING", scene.now)
    run, holding = scene.hold(flow_run)
    with holding:
        claim_events(scene.db, scene.collection, scene.source, run)
        scene.deliver("b.txt")
        scene.now += timedelta(hours=5)
        assert scene.dispatcher.tidy() == []
        assert scene.dispatcher.step() == []
        finish_run(scene.db, run, "succeeded", stats={})


def test_a_run_whose_process_was_killed_is_crashed_for_prefect_too(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("RUNNING", scene.now)
    run, holding = scene.hold(flow_run)
    with holding:
        claim_events(scene.db, scene.collection, scene.source, run)
    assert scene.dispatcher.tidy() == [flow_run]
    scene.now += timedelta(seconds=3)
    (second,) = scene.dispatcher.step()
    assert scene.apply(second) == 1


def test_the_thread_survives_an_outage_and_is_woken(scene):
    scene.prefect.is_down = True
    asked = threading.Event()
    plain = scene.prefect.ask
    scene.prefect.ask = lambda *args, **options: (plain(*args, **options), asked.set())[0]
    with dispatching(scene.dispatcher) as dispatcher:
        scene.deliver()
        dispatcher.wake()
        while not dispatcher.trouble:
            threading.Event().wait(0.01)
        scene.prefect.is_down = False
        dispatcher.wake()
        assert asked.wait(30)
    assert len(scene.prefect.runs) == 1


def test_a_flow_run_that_completes_without_settling_anything_is_not_asked_for_at_once(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("COMPLETED", scene.now)
    assert scene.dispatcher.step() == []
    scene.now += timedelta(seconds=2.1)
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("COMPLETED", scene.now)
    scene.now += timedelta(seconds=2.1)
    assert scene.dispatcher.step() == []


def test_trouble_with_one_collection_is_not_another_ones(scene):
    scene.deliver()
    other = ensure_collection(scene.db, "other").id
    source = ensure_source(scene.db, other, Source("more", "/data/more")).id
    change = NamedChange(source, "x.txt", "changed")
    accept_delivery(scene.db, other, Delivery("cms", "other", b"x" * 32, (change,)))
    plain, asked = scene.prefect.ask, []

    def ask(collection, key, *, tenant):
        if collection == "default":
            raise PrefectUnavailable("refused")
        asked.append((collection, tenant))
        return plain(collection, key, tenant=tenant)

    scene.prefect.ask = ask
    with pytest.raises(PrefectUnavailable):
        scene.dispatcher.step()
    assert asked == [("other", "default")]


def test_why_flow_runs_end_in_vain_is_kept_for_whoever_looks_until_one_has_done_something(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    assert scene.trouble == (None, 0)
    for failures in (1, 2, 3):
        scene.prefect.runs[flow_run] = Seen("CRASHED", scene.now, "exited with status code 1")
        scene.dispatcher.step()
        scene.now += timedelta(seconds=10)
        before, (flow_run,) = flow_run, scene.dispatcher.step()
        assert scene.trouble == (f"Flow run {before} is Crashed: exited with status code 1", failures)
    scene.apply(flow_run)
    scene.deliver("b.txt")
    scene.dispatcher.step()
    assert scene.trouble == (None, 0)


def test_a_flow_run_that_nobody_takes_is_told_after_a_while(scene):
    scene.deliver()
    (flow_run,) = scene.dispatcher.step()
    scene.prefect.runs[flow_run] = Seen("SCHEDULED", scene.now)
    scene.now += timedelta(seconds=99)
    scene.dispatcher.step()
    assert scene.trouble == (None, 0)
    scene.now += timedelta(seconds=2)
    scene.dispatcher.step()
    assert "waits to be taken" in scene.trouble[0]


def test_trouble_is_logged_when_it_begins_and_when_it_ends(scene, caplog):
    caplog.set_level("INFO", logger="flows.service.dispatching")
    scene.prefect.is_down = True
    scene.deliver()
    with dispatching(scene.dispatcher) as dispatcher:
        while not dispatcher.trouble:
            threading.Event().wait(0.01)
        for _ in range(20):
            dispatcher.wake()
            threading.Event().wait(0.01)
        scene.prefect.is_down = False
        while dispatcher.trouble:
            dispatcher.wake()
            threading.Event().wait(0.01)
    said = [record.getMessage() for record in caplog.records if "dispatching events" in record.getMessage()]
    assert said == ["dispatching events fails, and is tried again: down", "dispatching events works again"]
