"""`revector up` whole: database, Prefect server, workers, receiver, as a user starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import httpx
import psutil
import pytest

from registry.collections import get_collection
from registry.embedded import stop_embedded
from registry.runs import latest_runs
from registry.search import search_collection
from tests.acceptance.chaos import index_first, run_chaos
from tests.service import Service, open_service
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.prefect

DEPLOYMENTS = """
name: tests
prefect-version: 3.8.8
deployments:
  - name: reindex
    entrypoint: flows.reindex:reindex
    tags: [revector]
    work_pool: {name: gpu}
  - name: check
    entrypoint: flows.maintenance:check
    tags: [revector]
    parameters: {quick: true}
    work_pool: {name: cpu}
    schedules:
      - {interval: 5, slug: often, active: false}
"""

OTHERS = """
name: others
prefect-version: 3.8.8
deployments:
  - name: of-others
    entrypoint: flows.maintenance:check
    tags: [revector]
    work_pool: {name: cpu}
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Started once; the tests below use it one after the other, the last one ends it."""
    with open_service(prefect_yaml=DEPLOYMENTS) as made:
        index_first(made, documents=20)
        made.start()
        yield made


def api(service: Service, method: str, path: str, **body: object) -> object:
    answer = httpx.request(method, f"{service.api}{path}", json=body or None, timeout=60)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def due_at(run: dict[str, str]) -> float:
    return datetime.fromisoformat(run["expected_start_time"]).timestamp()


def found(service: Service, word: str) -> list[str]:
    with service.session() as session:
        collection = get_collection(session.db, "default")
        return [hit.uri for hit in search_collection(session.db, collection, k=5, text=word)]


def applied(service: Service, id: str) -> dict[str, object] | None:
    status = service.get(f"/v1/events/default/{id}").json()
    return status if status.get("state") == "applied" else None


def test_a_signed_message_makes_a_document_searchable(service):
    (service.docs / "new.txt").write_text("An unheard-of text about pelicans.")
    answer = service.post("/v1/events/default", {"changed": ["new.txt"]}, id="first")
    assert answer.status_code == 202
    status = service.wait(lambda: applied(service, "first"))
    assert status["events"][0]["outcome"] == "added"
    assert found(service, "pelicans") == ["new.txt"]
    (flow_run,) = service.wait(
        lambda: [run for run in service.flow_runs() if run["state_name"] == "Completed"]
    )
    assert flow_run["name"] == "reindex default: 1 event → release 2"
    (run,) = service.get(f"/v1/runs/{status['runs'][0]}").json()["runs"]
    assert (run["flow"], run["trigger"], run["state"]) == ("reindex", "event", "succeeded")
    assert run["prefect_flow_run_id"] == flow_run["id"]
    artifacts = api(service, "POST", "/artifacts/filter")
    assert any("new.txt" in str(artifact["data"]) for artifact in artifacts)


def test_an_uploaded_file_becomes_searchable_and_goes_again(service):
    path = "/v1/documents/default?path=letters/kim.txt"
    assert service.send("POST", path, b"A letter about ospreys.").status_code == 202
    service.wait(lambda: found(service, "ospreys") == ["letters/kim.txt"])
    assert service.send("DELETE", path, b"").status_code == 202
    service.wait(lambda: found(service, "ospreys") == [])


@pytest.mark.parametrize("pattern", [r"flows\.cli.* webhook", r"flows\.service\.worker gpu"])
def test_what_is_killed_is_started_again(service, pattern):
    (before,) = service.find(pattern)
    before.kill()
    after = service.wait(lambda: [p for p in service.find(pattern) if p.pid != before.pid])
    service.wait(lambda: service.get("/ready").status_code == 200)
    assert after[0].pid != before.pid


def test_a_second_one_on_the_same_data_is_refused(service):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "up"], cwd=service.folder, env=service.environment,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "runs already" in done.stderr


def test_one_that_uses_the_server_of_another_leaves_its_pools_as_they_are(service):
    def paused():
        return {pool["name"]: pool["is_paused"] for pool in api(service, "POST", "/work_pools/filter")}

    api(service, "PATCH", "/work_pools/cpu", is_paused=True)  # by an operator
    with open_service(prefect_yaml=OTHERS) as other:
        other.environment["PREFECT_API_URL"] = service.api
        other.start()
        assert paused() == {"cpu": True, "gpu": False}
        assert other.stop() == 0
        assert other.all_processes() == []
        assert other.databases() == []
    assert paused() == {"cpu": True, "gpu": False}
    api(service, "PATCH", "/work_pools/cpu", is_paused=False)


def test_events_survive_kills_of_everything(service):
    """A small part of `python -m tests.acceptance.chaos`, which kills for minutes."""
    outcome = run_chaos(service, events=60, documents=20, seed=3, pauses=(1, 3), every=2.0)
    assert (outcome.applied, outcome.deliveries, outcome.failed, outcome.wrong) == (60, 60, 0, [])
    assert outcome.kills.total() >= 2


def test_schedules_fire_and_what_was_missed_is_caught_up_once(service):
    (deployment,) = api(service, "POST", "/deployments/filter", deployments={"name": {"any_": ["check"]}})
    (schedule,) = deployment["schedules"]
    where = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"

    def runs(*states):
        query = {"deployment_id": {"any_": [deployment["id"]]}}
        return [
            run for run in service.flow_runs(flow_runs=query) if not states or run["state_name"] in states
        ]

    (worker,) = service.wait(lambda: service.find(r"flows\.service\.worker cpu"))
    os.kill(worker.pid, signal.SIGSTOP)
    api(service, "PATCH", where, active=True)
    service.wait(lambda: len([run for run in runs() if due_at(run) < time.time()]) >= 4)
    api(service, "PATCH", where, active=False)  # takes back what is not due yet
    late = len(runs())
    os.kill(worker.pid, signal.SIGCONT)
    service.wait(lambda: len(runs("Completed", "Cancelled", "Failed", "Crashed")) == late)
    assert (len(runs("Completed")), len(runs("Cancelled"))) == (1, late - 1)
    assert all("superseded" in run["state"]["message"] for run in runs("Cancelled"))
    assert "unexpected exception" not in (service.home / "logs" / "worker-cpu.log").read_text()


def test_two_workers_keep_the_order_and_the_limit_of_queued_runs(service):
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gpu", "--name", "second"]
    second = subprocess.Popen(
        command, cwd=service.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**service.environment, "PREFECT_API_URL": service.api, "PREFECT_WORKER_QUERY_SECONDS": "1"},
    )  # fmt: skip
    try:
        (deployment,) = api(
            service, "POST", "/deployments/filter", deployments={"name": {"any_": ["reindex"]}}
        )
        ask = f"/deployments/{deployment['id']}/create_flow_run"
        asked = []
        for number in range(8):
            parameters = {"collection": "default", "uris": [f"{number}.txt"]}
            asked.append(api(service, "POST", ask, name=f"queued {number}", parameters=parameters)["id"])

        def ended():
            query = {"id": {"any_": asked}, "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
            return service.flow_runs(flow_runs=query)

        service.wait(lambda: len(ended()) == 8, every_s=1.0)
        runs = sorted(ended(), key=lambda run: run["start_time"])
        assert {run["state_name"] for run in runs} == {"Completed"}
        assert [run["id"] for run in runs] == asked
        assert all(one["end_time"] <= other["start_time"] for one, other in pairwise(runs))
    finally:
        second.terminate()
        second.wait(PATIENCE_S)


def test_on_sigterm_what_is_at_work_is_finished_and_nothing_is_left(service):
    (service.docs / "last.txt").write_text("A last text, about albatrosses.")
    service.post("/v1/events/default", {"changed": ["last.txt"]}, id="last")
    service.wait(lambda: [run for run in service.flow_runs() if run["state_name"] in ("Pending", "Running")])
    stop_embedded(service.home)  # this process has used it as well
    assert service.stop() == 0
    assert service.all_processes() == []
    assert service.databases() == []
    with service.session() as session:
        collection = get_collection(session.db, "default")
        assert latest_runs(session.db, collection.id)[0]["state"] in ("succeeded", "unchanged")
    assert found(service, "albatrosses") == ["last.txt"]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(service.folder) in str(p.info["cmdline"])
                and "postgres" not in str(p.info["cmdline"])]  # fmt: skip
