"""Runs that end early, with a real Prefect server and a real worker: cancelled in the UI, or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.texts import english_text
from tests.waiting import PATIENCE_S, until
from tests.world import World

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).parents[2]
POOL = "early"


def _client():
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


@pytest.fixture
def worker(server, database_url, tmp_path):
    """A worker whose flows take 0.3 s for each chunk."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with _client() as client:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        url = str(client.api_url)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": "0.5",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "REVECTOR_HOME": str(tmp_path / "home"),
        "REVECTOR_DATABASE_URL": database_url,
        "TESTS_SLOW_S": "0.3",
    }
    log = (tmp_path / "worker.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL],
        cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    yield process
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
    log.close()


@pytest.fixture
def start(worker, tmp_path):
    """Starts an ingest of a folder with many texts; returns the id of its flow run."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(60):
        (docs / f"{number}.txt").write_text(english_text(60, seed=number))

    def call():
        from tests.flows.slow_flows import ingest

        with _client() as client:
            flow_id = client.create_flow(ingest)
            deployment = client.create_deployment(
                flow_id=flow_id,
                name="slow",
                entrypoint="tests.flows.slow_flows:ingest",
                work_pool_name=POOL,
                parameters={"path": str(docs)},
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            )
            return client.create_flow_run_from_deployment(deployment).id

    return call


def _rows(url, query):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = revector, public")
        try:
            return connection.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def _family(worker):
    """Processes below the worker: the run and its parsers."""
    return psutil.Process(worker.pid).children(recursive=True)


def _is_embedding(url):
    rows = _rows(url, "SELECT count(*) FROM vectors_1_1")
    return bool(rows) and rows[0][0] >= 2


def _state(run_id):
    with _client() as client:
        return client.read_flow_run(run_id).state


def test_a_cancelled_run_is_over_at_once_and_leaves_nothing_behind(worker, start, database_url, tmp_path):
    from prefect.states import Cancelling

    run_id = start()
    until(lambda: _is_embedding(database_url), "the first embedding")
    family = _family(worker)
    parsers = [p for p in family if "tasks.parsing.child" in p.cmdline()]
    assert parsers, [p.cmdline() for p in family]
    with _client() as client:
        client.set_flow_run_state(run_id, Cancelling())
    until(lambda: _state(run_id).is_cancelled(), "the cancelled state")
    until(lambda: not psutil.wait_procs(family, timeout=0)[1], "the end of its processes")
    state, error, prefect_id = _rows(database_url, "SELECT state, error, prefect_flow_run_id FROM run")[0]
    assert (state, error.partition(" ")[0]) in (("failed", "cancelled"), ("failed", "TerminationSignal:"))
    assert prefect_id == run_id
    assert _rows(database_url, "SELECT count(*) FROM staged_change") == [(0,)]
    assert _rows(database_url, "SELECT count(*) FROM release") == [(0,)]


def test_after_kill_9_the_run_is_crashed_and_the_next_one_takes_over(worker, start, database_url, tmp_path):
    run_id = start()
    until(lambda: _is_embedding(database_url), "the first embedding")
    family = _family(worker)
    (engine,) = [p for p in family if any(c for c in p.children() if "tasks.parsing.child" in c.cmdline())]
    engine.kill()
    until(lambda: _state(run_id).is_crashed(), "the crashed state")
    until(lambda: not psutil.wait_procs(family, timeout=0)[1], "the end of its processes")
    with World.open(tmp_path, database_url) as world:
        report = world.ingest()
        assert report.release == 1
        assert report.chunks.embedded < report.chunks.total
        assert world.problems() == []
    assert [row[0] for row in _rows(database_url, "SELECT state FROM run ORDER BY started_at")] == [
        "crashed",
        "succeeded",
    ]
