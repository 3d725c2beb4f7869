"""Deployments as prefect.yaml has them, and what becomes of schedules that were missed."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.waiting import until

pytestmark = pytest.mark.prefect

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def _prefect(client, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": str(client.api_url)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def deployments(client):
    """The deployments by name, deployed twice."""
    for pool in ("cpu", "gpu"):
        _prefect(client, "work-pool", "create", pool, "--type", "process")
    for _ in range(2):
        _prefect(client, "deploy", "--all")
    found = client.read_deployments()
    assert len(found) == len({one.name for one in found}), "deploying again made duplicates"
    return {one.name: one for one in found}


def test_every_flow_has_its_deployment_in_a_pool(deployments):
    assert {name: one.work_pool_name for name, one in deployments.items()} == {
        "ingest": "gpu", "images": "gpu", "reindex": "gpu", "rollback": "cpu", "purge": "cpu", "check": "cpu",
        "reembed": "gpu",
    }  # fmt: skip
    assert all(one.tags == ["revector"] and one.description for one in deployments.values())


def test_runs_of_a_deployment_wait_in_line(deployments):
    for one in deployments.values():
        if one.work_pool_name == "cpu":  # the pool gpu has a limit itself
            assert one.global_concurrency_limit.limit == 1
            assert one.concurrency_options.collision_strategy == "ENQUEUE"


def test_the_night_has_an_order_ingest_then_purge_then_check(deployments):
    schedules = {name: one.schedules[0] for name, one in deployments.items() if one.schedules}
    assert {name: (s.schedule.cron, s.schedule.timezone, s.active) for name, s in schedules.items()} == {
        "ingest": ("30 0 * * *", "Asia/Seoul", False),
        "purge": ("30 2 * * *", "Asia/Seoul", True),
        "check": ("0 4 * * *", "Asia/Seoul", True),
    }


def test_the_run_form_tells_a_person_what_to_enter(deployments):
    for one in deployments.values():
        properties = one.parameter_openapi_schema["properties"]
        for name, shown in properties.items():
            assert shown["title"] != name, (one.name, name)
            assert len(shown["description"]) > 20, (one.name, name)
        order = sorted(properties, key=lambda name: properties[name]["position"])
        assert order[-1] == ("tenant" if one.name == "reindex" else "config")
    assert deployments["rollback"].parameter_openapi_schema["required"] == ["collection"]
    assert deployments["purge"].parameter_openapi_schema.get("required", []) == []
    back = deployments["rollback"].parameter_openapi_schema["properties"]["to"]
    assert (back["default"], back["examples"][1]) == ("last", "12")


def _runs_of(client, deployment_id):
    """Runs of a deployment that no schedule made."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

    chosen = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))
    return [run for run in client.read_flow_runs(flow_run_filter=chosen) if not run.auto_scheduled]


@pytest.fixture
def deployment(client):
    """A fresh deployment of ours."""
    from flows.maintenance import check

    name = f"check-{datetime.now(UTC).timestamp()}"
    return client.create_deployment(flow_id=client.create_flow(check), name=name, tags=["revector"])


def _scheduled(client, deployment, hours_ago, *, auto=True, **parameters):
    """A run that a schedule made for a time before NOW."""
    from prefect.states import Scheduled

    run = client.create_flow_run_from_deployment(
        deployment,
        state=Scheduled(scheduled_time=NOW - timedelta(hours=hours_ago)),
        parameters=parameters,
    )
    if auto:  # only the scheduler can say so through the API
        _mark_auto_scheduled(run.id)
    return run.id


def _mark_auto_scheduled(run_id):
    import sqlite3

    from prefect.settings import get_current_settings

    url = str(get_current_settings().server.database.connection_url.get_secret_value())
    with sqlite3.connect(url.split("///")[1], timeout=30) as connection:
        changed = connection.execute(
            "UPDATE flow_run SET auto_scheduled = 1 WHERE id = ?", (str(run_id),)
        ).rowcount
    connection.close()
    assert changed == 1


def _states(client, *ids):
    return [client.read_flow_run(id_).state_name for id_ in ids]


def test_of_missed_runs_only_the_newest_stays(client, deployment):
    from flows.catching_up import cancel_missed

    missed = [_scheduled(client, deployment, hours) for hours in (72, 48, 24)]
    future = _scheduled(client, deployment, -24)
    asked = _scheduled(client, deployment, 100, auto=False)
    other = _scheduled(client, deployment, 100, collection="hr")
    assert set(cancel_missed(client, deployment, NOW)) == set(missed[:2])
    assert _states(client, *missed) == ["Cancelled", "Cancelled", "Scheduled"]
    assert _states(client, future, asked, other) == ["Scheduled"] * 3
    assert "superseded: the run that was due at 2026-11-20 03:00 UTC" in client.read_flow_run(
        missed[0]).state.message  # fmt: skip
    assert cancel_missed(client, deployment, NOW) == []


def test_an_older_run_yields_to_a_newer_one_that_another_worker_has_started(client, deployment):
    from prefect.states import Failed, Running

    from flows.catching_up import cancel_missed, find_newer

    older, newer = (_scheduled(client, deployment, hours) for hours in (48, 24))
    client.set_flow_run_state(newer, Running(), force=True)
    assert find_newer(client, client.read_flow_run(newer), NOW) is None
    assert find_newer(client, client.read_flow_run(older), NOW).startswith("superseded: ")
    client.set_flow_run_state(newer, Failed(), force=True)
    assert find_newer(client, client.read_flow_run(older), NOW) is None
    assert cancel_missed(client, deployment, NOW) == []


def test_all_our_deployments_are_caught_up(client, deployment):
    from flows.catching_up import catch_up

    missed = [_scheduled(client, deployment, hours) for hours in (3, 2, 1)]
    assert catch_up(now=NOW) == 2
    assert _states(client, *missed) == ["Cancelled", "Cancelled", "Scheduled"]


def test_a_missed_run_that_starts_ends_as_cancelled_and_leaves_no_run(
    client, deployment, tmp_path, monkeypatch
):
    """Its engine is called as a worker calls it; the registry is not even opened."""
    from prefect.exceptions import Abort
    from prefect.flow_engine import run_flow

    import flows.flow_run
    from flows.maintenance import check

    def opened(*_):
        raise AssertionError("the registry was opened")

    monkeypatch.setattr(flows.flow_run, "open_session", opened)
    older, newer = (_scheduled(client, deployment, hours) for hours in (48, 24))
    with pytest.raises(Abort) as ended:  # to Prefect: exit code 0, no traceback
        run_flow(check, flow_run=client.read_flow_run(older), parameters={}, return_type="state")
    assert ended.value.state.is_cancelled()
    assert client.read_flow_run(older).state.message.startswith("superseded: ")
    assert _states(client, older, newer) == ["Cancelled", "Scheduled"]


def test_a_held_gate_starts_a_check_by_the_automations_of_the_example(client, deployments, tmp_path):
    from flows.announcing import announce, flush_announcements

    text = (ROOT / "examples" / "automations.yaml").read_text()
    text = text.replace("00000000-0000-0000-0000-000000000002", str(deployments["check"].id))
    (tmp_path / "automations.yaml").write_text(text)
    said = _prefect(client, "automation", "create", "--from-file", str(tmp_path / "automations.yaml"))
    assert "Created 3 automation(s)" in said
    announce("revector.gate.failed", tenant="acme", collection="인사", payload={"error": "GateFailed"})
    assert flush_announcements(30)
    run = until(lambda: _runs_of(client, deployments["check"].id), "a run of the check")[0]
    assert run.parameters["collection"] == "인사"


def test_a_scheduled_run_works_though_missed_runs_cannot_be_asked_for(client, deployment, monkeypatch):
    """Doing it twice costs little; not doing it is an index that drifts."""
    from prefect.flow_engine import run_flow

    import flows.flow_body
    from flows.maintenance import check

    def away(*_, **__):
        raise ConnectionError("no answer")

    monkeypatch.setattr(flows.flow_body, "find_newer", away)
    monkeypatch.setattr("flows.maintenance.with_session", lambda *_, **__: [])
    run = client.read_flow_run(_scheduled(client, deployment, 1))
    assert run_flow(check, flow_run=run, parameters={}, return_type="state").is_completed()
