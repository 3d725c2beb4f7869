"""The same steps under a Prefect server: names, progress and a report in its UI."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.pictures import file
from tests.waiting import until

pytestmark = pytest.mark.prefect


@pytest.fixture
def deployed(server, database_url, tmp_path, monkeypatch):
    """The module of the flows as a deployment runs it, but for the models."""
    import flows.ingest
    import flows.session
    from tests.fake_models import FakeModels

    monkeypatch.setenv("REVECTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REVECTOR_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    models = FakeModels()
    monkeypatch.setattr(flows.session, "load_real_embedder", models.load)
    return flows.ingest


@pytest.fixture
def flow(deployed):
    return deployed.ingest


def _read(query):
    from prefect.client.orchestration import get_client

    async def call():
        async with get_client() as client:
            return await query(client)

    return asyncio.run(call())


def test_the_flow_does_what_the_plain_steps_do_and_reports_it(flow, tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("A text about pelicans.")
    (docs / "b.txt").write_text("A text about storks.")
    (docs / "empty.txt").write_bytes(b"")
    report = flow(str(docs), collection="새 모음")
    assert (report.state, report.release, report.documents.added) == ("succeeded", 1, 2)
    assert (report.chunks.embedded, report.documents.rejected) == (2, 1)

    runs = _read(lambda client: client.read_flow_runs())
    assert runs[0].name == f"ingest 새 모음 from {docs} (manual) → release 1"
    assert runs[0].state_name == "Completed"
    assert runs[0].parameters["path"] == str(docs)
    tasks = {task.name.rsplit("-", 1)[0] for task in _read(lambda client: client.read_task_runs())}
    assert {"parse window 1", "write window 1", "elect among duplicates", "embed batch 1"} <= tasks
    artifacts = _read(lambda client: client.read_artifacts())
    markdown = next(a.data for a in artifacts if a.type == "markdown")
    assert "| added | 2 |" in markdown
    assert "`empty.txt` | parse | EmptyDocument" in markdown
    assert next(a.data for a in artifacts if a.type == "progress") == 100.0

    again = flow(str(docs), collection="새 모음")
    assert (again.state, again.parsed, again.chunks.embedded) == ("unchanged", 0, 0)


def test_the_flow_images_builds_prototypes_and_shows_their_quality(deployed, tmp_path):
    (tmp_path / "revector.toml").write_text('[collections.things]\nmodel = "small-clip"\n')
    for name in ("고양이", "hat"):
        (tmp_path / "things" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "things" / name / f"{number}.png").write_bytes(file(name, number))
    report = deployed.images(str(tmp_path / "things"), collection="things")
    assert (report.documents.added, report.prototypes.classes) == (6, 2)
    runs = _read(lambda client: client.read_flow_runs())
    assert f"images things from {tmp_path / 'things'} (manual) → release 1" in {run.name for run in runs}
    tasks = {task.name.rsplit("-", 1)[0] for task in _read(lambda client: client.read_task_runs())}
    assert "build prototypes" in tasks
    artifacts = {a.key: a.data for a in _read(lambda client: client.read_artifacts()) if a.type == "markdown"}
    assert "version 1: 2 classes of 6 images" in artifacts["images-things"]
    assert "| rightly classified | 1 |" in artifacts["prototypes-things"]
    assert "고양이" in artifacts["prototypes-things"]
    assert "](data:image/png;base64,iVBORw0KGgo" in artifacts["prototypes-things"]


def test_a_stopped_run_fails_in_prefect_and_says_why(flow, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The only text.")
    flow(str(docs))
    (docs / "a.txt").unlink()
    state = flow(str(docs), return_state=True)
    assert state.is_failed()
    assert "--allow-deletions" in state.message


def test_a_retryable_error_is_tried_again_and_a_bug_is_not(server, monkeypatch):
    from prefect import flow as make_flow

    import tasks.steps
    from schemas.errors import DatabaseError, DatabaseUnavailable

    monkeypatch.setattr(tasks.steps, "RETRY_DELAYS_S", [0.0, 0.0])
    calls = {"flaky": 0, "broken": 0}

    def flaky():
        calls["flaky"] += 1
        if calls["flaky"] < 3:
            raise DatabaseUnavailable("gone for a moment")
        return "back"

    def broken():
        calls["broken"] += 1
        raise DatabaseError("a bug")

    @make_flow(persist_result=False)
    def both():
        state = tasks.steps._as_task(broken, "broken")(return_state=True)
        return tasks.steps._as_task(flaky, "flaky")(), state.is_failed()

    assert both() == ("back", True)
    assert calls == {"flaky": 3, "broken": 1}


def _folder(tmp_path, **texts):
    docs = tmp_path / "docs"
    docs.mkdir(exist_ok=True)
    for name, text in texts.items():
        (docs / f"{name}.txt").write_text(text)
    return str(docs)


def _latest(key):
    """The latest artifact of a key."""
    found = [a for a in _read(lambda client: client.read_artifacts()) if a.key == key]
    return max(found, key=lambda artifact: artifact.created)


def _event(name, collection):
    """The event of that name about a collection; the server shows what it took a few seconds later."""
    from prefect.client.orchestration import get_client

    wanted = {"event": {"name": [name]}, "resource": {"labels": {"revector.collection": collection}}}
    with get_client(sync_client=True) as client:

        def find():
            return client.request("POST", "/events/filter", json={"filter": wanted, "limit": 50}).json()[
                "events"
            ]

        (event,) = until(find, f"an event {name} of {collection}")
    return event


def test_a_stopped_run_says_what_happened_and_what_to_do_everywhere(deployed, tmp_path):
    source = _folder(tmp_path, a="The only text.")
    deployed.ingest(source, collection="stops")
    (tmp_path / "docs" / "a.txt").unlink()
    state = deployed.ingest(source, collection="stops", return_state=True)
    assert state.message.startswith("MassDeletion: ")
    run = max(_read(lambda client: client.read_flow_runs()), key=lambda run: run.start_time)
    assert run.name == f"ingest stops from {source} (manual) → MassDeletion"
    page = _latest("ingest-failed-stops").data
    assert page.startswith("# stopped: ingest of collection `stops`\n")
    assert "**What to do:** " in page
    assert "/runs/flow-run/" in page
    event = _event("revector.run.failed", "stops")
    assert event["payload"]["error"] == "MassDeletion"
    assert "--allow-deletions" in event["payload"]["advice"]
    assert any(r["prefect.resource.id"].startswith("prefect.flow-run.") for r in event["related"])


def test_a_caller_gets_the_error_itself(deployed, tmp_path):
    from schemas.errors import SourceNotFound

    with pytest.raises(SourceNotFound):
        deployed.ingest(str(tmp_path / "nowhere"), collection="default")


def test_a_bug_fails_the_run_and_is_called_one(deployed, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(deployed, "ingest_location", broken)
    state = deployed.ingest(_folder(tmp_path), collection="bug", return_state=True)
    assert state.is_failed()
    assert state.message.startswith("ZeroDivisionError: division by zero This is a bug")


def test_a_held_gate_is_announced_as_such(deployed, tmp_path):
    (tmp_path / "revector.toml").write_text(
        "[collections.gated.gate]\nmin_documents = 1\nmax_rejected_share = 0\n"
    )
    source = _folder(tmp_path, a="A text.")
    deployed.ingest(source, collection="gated")
    (tmp_path / "docs" / "b.txt").write_text("B text.")
    (tmp_path / "docs" / "c.txt").write_bytes(b"")
    assert deployed.ingest(source, collection="gated", return_state=True).message.startswith("GateFailed: ")
    event = _event("revector.gate.failed", "gated")
    assert event["resource"]["prefect.resource.id"] == "revector.collection.default.gated"
    assert event["payload"]["error"] == "GateFailed"
    assert "revector diff" in _latest("ingest-failed-gated").data


def test_a_release_is_announced_with_its_digest_and_counts(deployed, tmp_path):
    report = deployed.ingest(_folder(tmp_path, a="A text."), collection="급여")
    event = _event("revector.release.activated", "급여")
    assert event["payload"]["digest"] == report.digest
    assert event["payload"]["release"] == 1
    assert event["payload"]["documents"]["added"] == 1


def test_a_run_ends_well_where_its_reports_and_events_cannot_be_stored(deployed, tmp_path, monkeypatch):
    import flows.announcing
    import flows.reporting.artifacts

    def away(*_, **__):
        raise ConnectionError("no server")

    for name in ("create_markdown_artifact", "create_table_artifact", "create_progress_artifact"):
        monkeypatch.setattr(flows.reporting.artifacts, name, away)
    monkeypatch.setattr(flows.announcing, "emit_event", away)
    report = deployed.ingest(_folder(tmp_path, a="A text."), collection="quiet")
    assert report.release == 1


def test_without_a_path_all_sources_are_ingested_though_one_fails(deployed, tmp_path):
    first = _folder(tmp_path, a="A text of the first source.")
    second = tmp_path / "more"
    second.mkdir()
    (second / "b.txt").write_text("A text of the second source.")
    deployed.ingest(first, collection="two")
    deployed.ingest(str(second), collection="two")
    (tmp_path / "docs" / "c.txt").write_text("One more text.")
    (second / "d.txt").write_text("And another one.")
    report = deployed.ingest(collection="two")
    assert (report.documents.added, report.release) == (2, 4)
    (tmp_path / "docs" / "e.txt").write_text("One more again.")
    (second / "b.txt").unlink()
    (second / "d.txt").unlink()
    state = deployed.ingest(collection="two", return_state=True)
    assert state.message.startswith("MassDeletion: 1 of 2 sources failed")
    assert deployed.ingest(first, collection="two").state == "unchanged"


def test_rollback_purge_and_check_are_runs_with_reports(deployed, tmp_path):
    from flows import maintenance

    source = _folder(tmp_path, a="A text.")
    deployed.ingest(source, collection="kept")
    (tmp_path / "docs" / "a.txt").write_text("Another text.")
    deployed.ingest(source, collection="kept")
    assert maintenance.rollback("kept", dry_run=True) is None
    assert "| changed | `a.txt` |" in _latest("rollback-kept").data
    report = maintenance.rollback("kept", to="1")
    assert report.release == 3
    event = _event("revector.release.rolled_back", "kept")
    assert event["payload"]["digest"] == report.digest
    (purged,) = maintenance.purge()
    assert purged["versions"] == {"kept": 2, "dropped": 0}
    assert _latest("purge-kept").data.startswith("# purge of collection `kept`\n")
    (checked,) = maintenance.check()
    assert checked.problems == []
    assert _latest("check-kept").data.startswith("# sound: check of collection `kept`\n")
    names = {run.name for run in _read(lambda client: client.read_flow_runs())}
    assert {"rollback kept to 1 (manual) → release 3", "preview of rollback kept to last (manual)",
            "purge all collections (manual)", "check all collections (manual) → sound"} <= names  # fmt: skip


def test_a_check_that_finds_something_fails_and_names_it(deployed, database_url, tmp_path):
    import psycopg

    from flows import maintenance

    deployed.ingest(_folder(tmp_path, a="A text."), collection="broken")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE revector.visible SET refs = refs + 1")
    state = maintenance.check("broken", return_state=True)
    assert state.message.startswith("RegistryUnsound: Not sound: 'broken': visible.refs equals the recount")
    assert "| **visible.refs equals the recount** |" in _latest("check-broken").data


def test_reindex_names_what_became_of_each_document(deployed, tmp_path):
    from flows.reindex import reindex

    source = _folder(tmp_path, a="A text.", b="B text.")
    deployed.ingest(source, collection="named")
    (tmp_path / "docs" / "a.txt").write_text("Another text.")
    report = reindex("named", uris=["a.txt", "b.txt", "없음.txt"])
    assert report.runs[0].documents.changed == 1
    page = _latest("reindex-named").data
    assert "## 1 unknown: neither the source nor the index has them\n\n- `없음.txt`" in page
    rows = json.loads(_latest("outcomes-named").data)
    assert [(row["document"], row["outcome"]) for row in rows] == [
        ("없음.txt", "unknown"), ("a.txt", "changed"), ("b.txt", "unchanged")]  # fmt: skip
    assert "reindex named: 3 paths (manual) → release 2" in {
        run.name for run in _read(lambda c: c.read_flow_runs())
    }


def test_reindex_without_paths_applies_the_pending_events(deployed, tmp_path, database_url):
    from flows.reindex import reindex
    from registry.collections import get_collection, list_sources
    from registry.events import accept_delivery, find_delivery
    from registry.opening import open_registry
    from schemas.event import Delivery, NamedChange

    source = _folder(tmp_path, a="A text.")
    deployed.ingest(source, collection="told")
    (tmp_path / "docs" / "a.txt").write_text("Another text.")
    with open_registry(tmp_path / "home", url=database_url, tenant="default") as db:
        collection = get_collection(db, "told")
        (found,) = list_sources(db, collection.id)
        changes = (NamedChange(found.id, "a.txt", "changed"),)
        accept_delivery(db, collection.id, Delivery("cms", "1", b"x" * 32, changes))
        report = reindex("told")
        assert [run.release for run in report.runs] == [2]
        assert find_delivery(db, "cms", "1").state == "applied"
    assert "reindex told: 1 event → release 2" in {run.name for run in _read(lambda c: c.read_flow_runs())}


def test_an_outage_is_waited_for_and_a_wrong_setting_is_not():
    from flows.flow_run import retrying
    from schemas.errors import ConfigurationError, DatabaseUnavailable

    waited, answers = [], [DatabaseUnavailable("away"), DatabaseUnavailable("away"), "done"]

    def run():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retrying(run, (5, 30, 120), sleep=waited.append) == "done"
    assert waited == [5, 30]
    answers[:] = [DatabaseUnavailable("away")] * 4
    with pytest.raises(DatabaseUnavailable):
        retrying(run, (5, 30, 120), sleep=waited.append)
    answers[:] = [ConfigurationError("wrong")]
    with pytest.raises(ConfigurationError):
        retrying(run, (5,), sleep=waited.append)
    assert (waited, answers) == ([5, 30, 5, 30, 120], [])
