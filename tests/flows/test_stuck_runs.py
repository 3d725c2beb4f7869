"""Runs that a worker took and never started, at a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.prefect

POOL = "gpu"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def deploy(client):
    from flows.service.pools import ensure_pools

    ensure_pools()

    def make(*tags):
        from flows.maintenance import check

        return client.create_deployment(
            flow_id=client.create_flow(check),
            name="-".join(["stuck", *tags]),
            tags=list(tags),
            work_pool_name=POOL,
        )

    return make


@pytest.fixture
def take(client, deploy):
    """Has a worker take a run, or nobody whose name is known; returns its id."""

    def call(worker=None, *, tags=("revector",), due=timedelta(0)):
        from prefect.states import Pending, Scheduled

        when = Scheduled(scheduled_time=datetime.now(UTC) + due)
        run = client.create_flow_run_from_deployment(deploy(*tags), state=when, parameters={})
        client.set_flow_run_state(run.id, Pending(), force=True)
        if worker:
            labels = {"prefect.worker.name": worker}
            client.request("PATCH", "/flow_runs/{id}/labels", path_params={"id": run.id}, json=labels)
        return run.id

    return call


@pytest.fixture
def crash(client):
    """Looks for stuck runs, as if so much time had gone by."""
    from flows.service.orchestrator import PrefectOrchestrator

    def call(later):
        return PrefectOrchestrator().crash_stuck(MINUTE, now=datetime.now(UTC) + later)

    return call


def beat(client, worker):
    client.send_worker_heartbeat(POOL, worker, 30)


def state(client, run_id):
    return client.read_flow_run(run_id).state


def test_a_run_whose_worker_died_before_it_could_say_so_is_crashed(client, take, crash):
    run = take()
    assert run in crash(2 * MINUTE)
    assert state(client, run).is_crashed()
    assert "the worker that had taken it is gone" in state(client, run).message
    assert run not in crash(2 * MINUTE)


def test_a_run_whose_worker_is_known_to_be_gone_is_crashed(take, crash):
    run = take("vm-gpu-gone")
    assert run in crash(2 * MINUTE)


def test_a_run_whose_worker_lives_is_left_alone_until_it_is_gone(client, take, crash):
    beat(client, "vm-gpu-alive")
    run = take("vm-gpu-alive")
    assert run not in crash(60 * MINUTE)
    client.request("DELETE", f"/work_pools/{POOL}/workers/vm-gpu-alive")
    assert run in crash(2 * MINUTE)


def test_a_run_that_was_just_taken_is_left_alone(client, take, crash):
    run = take()
    assert run not in crash(MINUTE / 2)
    assert state(client, run).is_pending()


def test_a_run_that_was_taken_before_it_is_due_has_its_minute_from_then_on(take, crash):
    run = take(due=5 * MINUTE)
    assert run not in crash(5 * MINUTE)
    assert run in crash(7 * MINUTE)


def test_runs_of_others_are_left_alone(client, take, crash):
    run = take(tags=("theirs",))
    assert run not in crash(2 * MINUTE)
    assert state(client, run).is_pending()


def test_a_run_that_has_ended_by_itself_is_left_alone(client, take, crash):
    from prefect.states import Completed

    run = take()
    client.set_flow_run_state(run, Completed(), force=True)
    assert run not in crash(2 * MINUTE)
    assert state(client, run).is_completed()


def test_workers_of_this_machine_that_are_gone_are_forgotten_and_no_others(client, monkeypatch):
    from prefect.client.schemas.objects import Worker, WorkerStatus

    from flows.service.pools import forget_workers
    from flows.service.worker import worker_name

    dead, alive = worker_name(POOL), worker_name(POOL)
    for name in (dead, alive, "another-machine"):
        beat(client, name)
    monkeypatch.setattr(
        type(client),
        "read_workers_for_work_pool",
        lambda self, pool, **_: [
            Worker(name=name, work_pool_id=self.read_work_pool(pool).id, status=status)
            for name, status in (
                (dead, WorkerStatus.OFFLINE),
                (alive, WorkerStatus.ONLINE),
                ("another-machine", WorkerStatus.OFFLINE),
            )
            if pool == POOL
        ],
    )
    assert forget_workers() == [dead]
    monkeypatch.undo()
    left = {worker.name for worker in client.read_workers_for_work_pool(POOL)}
    assert (dead in left, alive in left, "another-machine" in left) == (False, True, True)
