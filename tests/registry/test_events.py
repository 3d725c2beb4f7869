"""Events: durable once accepted, taken by one run at a time, free again when it dies."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from registry.collections import ensure_collection, ensure_source
from registry.events import (
    accept_delivery,
    claim_events,
    count_events,
    count_pending,
    count_settled,
    drop_old_deliveries,
    find_delivery,
    give_back_events,
    list_events,
    pending_collections,
    pending_sources,
    retry_events,
    settle_events,
)
from registry.opening import open_registry
from registry.runs import finish_run, hold_new_run, mark_crashed_runs
from schemas.errors import EventConflict
from schemas.event import Delivery, NamedChange
from schemas.source import Source


@pytest.fixture
def place(db):
    collection = ensure_collection(db, "default")
    source = ensure_source(db, collection.id, Source("docs", "/data/docs"))
    return collection.id, source.id


def deliver(db, place, *uris, id="d1", sender="cms", action="changed", body=b"x"):
    changes = tuple(NamedChange(place[1], uri, action) for uri in uris)
    return accept_delivery(db, place[0], Delivery(sender, id, hashlib.sha256(body).digest(), changes))


def held(db, place):
    run = uuid4()
    return run, hold_new_run(db, place[0], run, flow="reindex", trigger="event", scope="docs")


def test_a_delivery_that_comes_twice_is_one(db, place):
    assert deliver(db, place, "a.txt", "b.txt") is True
    assert deliver(db, place, "a.txt", "b.txt") is False
    assert count_pending(db, place[0]) == 2


def test_many_who_deliver_the_same_at_once_deliver_one(db, place):
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda _: deliver(db, place, "a.txt"), range(40)))
    assert (sum(new), count_pending(db, place[0])) == (1, 1)


def test_an_id_that_says_something_else_is_refused(db, place):
    deliver(db, place, "a.txt")
    with pytest.raises(EventConflict):
        deliver(db, place, "a.txt", body=b"other")
    other = ensure_collection(db, "other").id
    with pytest.raises(EventConflict):
        deliver(db, (other, place[1]), "a.txt")
    assert deliver(db, place, "a.txt", sender="other") is True


def test_what_a_living_run_has_taken_nobody_else_takes(db, place):
    deliver(db, place, "a.txt", "b.txt")
    first, holding = held(db, place)
    with holding:
        assert [e.uri for e in claim_events(db, *place, first)] == ["a.txt", "b.txt"]
        second, also = held(db, place)
        with also:
            assert claim_events(db, *place, second) == []
            assert pending_sources(db, place[0]) == []
            assert pending_collections(db, debounce_s=0, max_wait_s=0) == []
            finish_run(db, second, "unchanged", stats={})
        finish_run(db, first, "succeeded", stats={})


def test_what_a_dead_run_had_taken_is_free_again_and_settled_once(db, place):
    deliver(db, place, "a.txt")
    dead, holding = held(db, place)
    with holding:
        taken = claim_events(db, *place, dead)
    assert mark_crashed_runs(db, place[0]) == [dead]
    heir, also = held(db, place)
    with also:
        again = claim_events(db, *place, heir)
        assert [(e.id, e.crashes) for e in again] == [(taken[0].id, 1)]
        assert settle_events(db, dead, {taken[0].id: "added"}) == 0  # it was not dead after all: too late
        assert settle_events(db, heir, {taken[0].id: "added"}) == 1
        assert settle_events(db, heir, {taken[0].id: "changed"}) == 0
        finish_run(db, heir, "succeeded", stats={})
    status = find_delivery(db, "cms", "d1")
    assert (status.state, status.collection, status.runs) == ("applied", "default", (str(heir),))
    assert [(e["source"], e["uri"], e["outcome"], e["attempts"]) for e in status.events] == [
        ("docs", "a.txt", "added", 0)
    ]


def test_a_try_that_failed_is_repeated_later_and_not_for_ever(db, place):
    deliver(db, place, "a.txt")
    for attempt in (1, 2, 3):
        run, holding = held(db, place)
        with holding:
            assert [e.uri for e in claim_events(db, *place, run)] == ["a.txt"], attempt
            give_back_events(db, run, error="down", retry=True, attempts=3, delay_s=0)
            finish_run(db, run, "failed", stats={})
    assert count_pending(db, place[0]) == 0
    assert [(e["state"], e["error"]) for e in list_events(db, place[0])] == [("failed", "down")]
    assert [(name, state, n) for name, state, n, _ in count_events(db)] == [("default", "failed", 1)]
    assert retry_events(db, place[0]) == 1
    assert count_pending(db, place[0]) == 1


def test_after_a_failure_nobody_tries_before_it_is_due(db, place):
    deliver(db, place, "a.txt")
    give_back_events(db, None, source_id=place[1], error="not mounted", retry=True, attempts=None, delay_s=60)
    assert pending_sources(db, place[0]) == []
    assert count_pending(db, place[0]) == 1
    deliver(db, place, "b.txt", id="d2")
    give_back_events(db, None, source_id=place[1], error="wrong model", retry=False, attempts=5)
    assert {e["uri"]: e["state"] for e in list_events(db, place[0])} == {
        "a.txt": "pending",
        "b.txt": "failed",
    }


def test_a_burst_is_waited_for_but_not_for_ever(db, place):
    deliver(db, place, "a.txt")
    assert pending_collections(db, debounce_s=60, max_wait_s=60) == []
    assert [c.events for c in pending_collections(db, debounce_s=0, max_wait_s=60)] == [1]
    assert [c.name for c in pending_collections(db, debounce_s=60, max_wait_s=0)] == ["default"]


def test_old_deliveries_go_but_not_what_waits(db, place):
    deliver(db, place, "a.txt")
    later = datetime.now(UTC) + timedelta(days=1)
    assert drop_old_deliveries(db, place[0], before=later) == 0
    run, holding = held(db, place)
    with holding:
        settle_events(db, run, {e.id: "added" for e in claim_events(db, *place, run)})
        finish_run(db, run, "succeeded", stats={})
    assert drop_old_deliveries(db, place[0], before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert drop_old_deliveries(db, place[0], before=later) == 1
    assert list_events(db, place[0]) == []


def test_another_tenant_sees_nothing_of_it(db, place, database_url, tmp_path):
    deliver(db, place, "a.txt")
    with open_registry(tmp_path / "other", url=database_url, tenant="other") as other:
        assert find_delivery(other, "cms", "d1") is None
        assert count_events(other) == []
        assert pending_collections(other, debounce_s=0, max_wait_s=0) == []
        with other.connection() as connection:
            for table in ("delivery", "event", "dispatch"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_an_event_that_kills_its_run_does_not_keep_the_others_for_ever(db, place):
    for number in range(16):
        deliver(db, place, f"{number}.txt", id=str(number))
    done: set[str] = set()
    runs = 0
    while count_pending(db, place[0]):
        run, holding = held(db, place)
        runs += 1
        with holding:
            claimed = claim_events(db, *place, run)
            if all(event.uri != "7.txt" for event in claimed):
                settle_events(db, run, {event.id: "added" for event in claimed})
                finish_run(db, run, "succeeded", stats={})
                done |= {event.uri for event in claimed}
        mark_crashed_runs(db, place[0])
        assert runs < 60, done
    assert len(done) == 15
    assert [(e["uri"], e["error"]) for e in list_events(db, place[0], state="failed")] == [
        ("7.txt", "24 runs have died with it.")
    ]
    assert count_settled(db, place[0], since=datetime.now(UTC) - timedelta(hours=1)) == 16
