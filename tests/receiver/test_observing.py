"""Runs, health and metrics."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from flows.receiver.answers import AGAIN, ASK
from flows.receiver.meters import RegistryMeters, Within
from flows.receiver.observing import WITHHELD
from registry.collections import ensure_collection
from registry.connection import Database
from registry.events import give_back_events
from registry.opening import open_registry
from registry.runs import finish_run, hold_new_run
from schemas.errors import DatabaseUnavailable
from tests.architecture.test_layers import HEAVY
from tests.receiver.conftest import OTHER_SECRET

ROOT = Path(__file__).parents[2]


def _run(
    db: Database,
    name: str,
    *,
    flow_run: UUID | None = None,
    scope: str = "/srv/docs",
    error: str | None = None,
    **stats: int,
) -> UUID:
    collection, run_id = ensure_collection(db, name), uuid4()
    with hold_new_run(
        db,
        collection.id,
        run_id,
        flow="ingest",
        trigger="event",
        scope=scope,
        prefect_flow_run_id=flow_run,
    ):
        finish_run(db, run_id, "failed" if error else "succeeded", stats=stats, error=error)
    return run_id


def test_a_run_is_found_by_its_id(receiver):
    run_id = _run(receiver.db, "default", added=3)
    (found,) = receiver.get(f"/v1/runs/{run_id}").json()["runs"]
    assert (found["run_id"], found["collection"], found["state"]) == (str(run_id), "default", "succeeded")
    assert found["stats"] == {"added": 3}
    assert (found["source"], found["error"]) == ("docs", None)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("SourceUnavailable: sftp://kim:hunter2@host cannot be listed", "SourceUnavailable"),
        ("cancelled (KeyboardInterrupt)", "cancelled"),
        ("crashed", "crashed"),
        ("no answer from hunter2", "failed"),
        ("/srv/hunter2: gone", "failed"),
    ],
)
def test_a_sender_sees_neither_places_nor_texts_of_errors(receiver, error, shown):
    run_id = _run(receiver.db, "default", scope="sftp://kim:hunter2@host/docs", error=error)
    done = receiver.get(f"/v1/runs/{run_id}")
    (found,) = done.json()["runs"]
    assert (found["state"], found["source"], found["error"]) == ("failed", None, shown)
    assert "hunter2" not in done.text
    assert "scope" not in found


@pytest.mark.parametrize(("retry", "shown"), [(False, ASK), (True, AGAIN)])
def test_a_sender_sees_that_an_event_failed_and_not_the_text_of_the_error(receiver, retry, shown):
    receiver.post({"changed": ["a"]}, id="m1")
    with receiver.db.connection() as connection:
        (source,) = connection.execute("SELECT id FROM source").fetchone()
    why = "There is nothing at /srv/hunter2."
    give_back_events(receiver.db, None, source_id=source, error=why, retry=retry, attempts=5)
    done = receiver.get("/v1/events/default/m1")
    assert done.json()["events"][0]["error"] == shown
    assert "hunter2" not in done.text


def test_the_runs_of_a_flow_run_are_found_by_its_id(receiver):
    flow_run = uuid4()
    first, second = (_run(receiver.db, "default", flow_run=flow_run) for _ in range(2))
    _run(receiver.db, "default")
    found = receiver.get(f"/v1/runs/{flow_run}").json()["runs"]
    assert [run["run_id"] for run in found] == [str(first), str(second)]


def test_a_sender_sees_the_runs_of_its_collections_only(receiver):
    ours, theirs = _run(receiver.db, "legal-2026"), _run(receiver.db, "default")
    assert receiver.get(f"/v1/runs/{ours}", secret=OTHER_SECRET).status_code == 200
    assert receiver.get(f"/v1/runs/{theirs}", secret=OTHER_SECRET).status_code == 404
    assert receiver.get(f"/v1/runs/{uuid4()}").status_code == 404
    assert receiver.get("/v1/runs/no-uuid").json()["error"]["message"] == "There is no such run."
    assert receiver.client.get(f"/v1/runs/{ours}").status_code == 401


def test_runs_of_another_tenant_are_not_found(receiver, tmp_path):
    with open_registry(tmp_path / "home", url=receiver.db.url, tenant="other") as other:
        run_id = _run(other, "default")
    assert receiver.get(f"/v1/runs/{run_id}").status_code == 404
    assert "other" not in receiver.client.get("/metrics").text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/events/default", 405),
        ("PUT", "/v1/documents/default", 405),
        ("POST", "/health", 405),
        ("HEAD", "/v1/events/default", 405),
        ("BREW", "/health", 405),
    ],
)
def test_every_error_has_the_one_form(receiver, method, path, status):
    done = receiver.client.request(method, path)
    assert done.status_code == status
    if method != "HEAD":
        assert set(done.json()) == {"error"}
        assert set(done.json()["error"]) == {"class", "message", "advice"}
    assert done.headers["content-type"] == "application/json"
    assert status != 405 or "Allow" in done.headers


def test_a_receiver_that_is_not_ready_says_why_and_is_alive_all_the_same(receiver, monkeypatch):
    receiver.problems.append("Prefect does not answer.")
    done = receiver.client.get("/ready")
    assert (done.status_code, done.json()["problems"]) == (503, ["Prefect does not answer."])
    receiver.problems.clear()

    def fail(*_args):
        raise DatabaseUnavailable("The database is not available: gone.")

    monkeypatch.setattr(Database, "connection", fail)
    done = receiver.client.get("/ready")
    assert (done.status_code, done.json()["ready"]) == (503, False)
    assert receiver.client.get("/health").json() == {"status": "ok"}
    metrics = receiver.client.get("/metrics")
    assert metrics.status_code == 200
    assert "revector_registry_up 0.0" in metrics.text


def test_a_call_that_hangs_is_left_alone_and_not_started_again():
    release, calls = threading.Event(), []

    def hang() -> int:
        calls.append(1)
        assert release.wait(30)
        return 5

    within = Within(hang, limit_s=0.0)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            within()
    assert calls == [1]
    release.set()
    patient = Within(hang, limit_s=30)
    assert patient() == 5
    assert patient() == 5
    assert len(calls) == 3


def test_metrics_show_what_is_in_the_registry(receiver):
    receiver.post({"changed": ["a", "b"]})
    receiver.post({"changed": ["a"]}, secret="not the secret of anybody here")
    receiver.upload("a.txt", b"12345")
    _run(receiver.db, "default")
    receiver.client.request("BREW", "/v1/events/default")
    receiver.client.get("/no/such/path/of/strangers")
    lines = set(receiver.client.get("/metrics").text.splitlines())
    assert {
        'revector_events{collection="default",state="pending"} 3.0',
        'revector_runs{collection="default",state="succeeded"} 1.0',
        'revector_release{collection="default"} 0.0',
        'revector_documents{collection="default"} 0.0',
        "revector_registry_up 1.0",
        "revector_upload_bytes_total 5.0",
        'revector_secrets_sound{sender="hr"} 1.0',
        'revector_http_refusals_total{reason="NotAuthenticated"} 1.0',
        'revector_http_requests_total{method="POST",route="/v1/events/{collection}",status="202"} 1.0',
        'revector_http_requests_total{method="POST",route="/v1/events/{collection}",status="401"} 1.0',
        'revector_http_requests_total{method="GET",route="unmatched",status="404"} 1.0',
    } <= lines
    assert any(line.startswith("revector_oldest_pending_event_seconds{") for line in lines)
    assert not any("BREW" in line or "strangers" in line for line in lines)


def test_metrics_show_the_release_that_is_served(world):
    world.write("a.txt", "Storks nest on chimneys.")
    world.ingest()
    found = {
        sample.name: sample.value
        for family in RegistryMeters(world.session.db, dict).collect()
        for sample in family.samples
    }
    assert found["revector_documents"] == 1
    assert found["revector_release"] == 1
    assert found["revector_release_timestamp_seconds"] > 1_700_000_000


NEAR = ["127.0.0.1", "::1", "10.0.0.7", "172.18.0.3", "::ffff:192.168.1.5", "fd00::7"]
FAR = ["8.8.8.8", "2a00:1450::7", "testclient", ""]


@pytest.mark.parametrize("host", NEAR)
def test_metrics_are_for_this_machine_and_private_networks(receiver, host):
    assert receiver.from_address(host).get("/metrics").status_code == 200


@pytest.mark.parametrize("host", FAR)
def test_strangers_see_no_names_in_metrics_and_no_hosts_in_problems(receiver, host):
    far = receiver.from_address(host)
    done = far.get("/metrics")
    assert (done.status_code, done.json()["error"]["class"]) == (403, "NotObservable")
    assert far.get("/ready").json() == {"ready": True, "problems": []}
    receiver.problems.append("Nobody answers at db.internal.")
    done = far.get("/ready")
    assert (done.status_code, done.json()["problems"]) == (503, [WITHHELD])


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_from_outside(receiver, name):
    assert receiver.client.get("/metrics", headers={name: "10.0.0.7"}).status_code == 403


@pytest.mark.parametrize(
    ("setting", "host", "status"), [("open", "8.8.8.8", 200), ("off", "127.0.0.1", 403), ("off", "::1", 403)]
)
def test_metrics_may_be_for_all_or_nobody(configure, setting, host, status):
    assert configure(metrics=setting).from_address(host).get("/metrics").status_code == status


def test_two_receivers_in_one_process_count_apart(configure):
    first, second = configure(), configure()
    first.client.get("/health")
    assert "/health" in first.client.get("/metrics").text
    assert 'route="/health"' not in second.client.get("/metrics").text


@pytest.mark.parametrize(
    ("module", "barred"), [("flows.receiver.app", HEAVY), ("flows.cli", ["fastapi", "uvicorn"])]
)
def test_the_receiver_loads_no_model_and_the_command_line_no_receiver(module, barred):
    script = f"import sys, {module}; print(' '.join(m for m in {barred!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == ""
