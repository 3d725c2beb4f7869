"""A worker that finishes what it has, and then ends."""

from __future__ import annotations

import asyncio

import pytest
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessWorker

from flows.service.worker import FinishingWorker, name_prefix, worker_name


class Ends(FinishingWorker):
    """Notes that it would end."""

    @classmethod
    def __dispatch_key__(cls):
        return "ends"

    def __init__(self, **options):
        super().__init__(work_pool_name="gpu", **options)
        self.ended = 0

    def _end(self):
        self.ended += 1


@pytest.fixture
def worker():
    return Ends()


def test_prefects_own_worker_stays_what_its_command_starts():
    assert BaseWorker.get_worker_class_from_type("process") is ProcessWorker


def test_an_idle_worker_ends_at_once(worker):
    worker.finish()
    assert worker.ended == 1


def test_a_worker_with_a_run_ends_after_it_and_takes_nothing_more(worker, monkeypatch):
    async def run(self, flow_run):
        worker.finish()
        assert await worker.get_and_submit_flow_runs() == []
        assert worker.ended == 0
        return "done"

    monkeypatch.setattr(ProcessWorker, "_submit_run_and_capture_errors", run)
    assert asyncio.run(worker._submit_run_and_capture_errors("a run")) == "done"
    assert worker.ended == 1


def test_a_run_that_is_being_started_is_waited_for(worker):
    worker._submitting_flow_run_ids.add("one")
    worker.finish()
    assert asyncio.run(worker.get_and_submit_flow_runs()) == []
    assert worker.ended == 0
    worker._submitting_flow_run_ids.clear()
    assert asyncio.run(worker.get_and_submit_flow_runs()) == []
    assert worker.ended == 1


def test_each_start_of_a_worker_has_a_name_of_its_own():
    names = {worker_name("gpu") for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith(name_prefix("gpu")) for name in names)
