"""The same steps under a Prefect server: names, progress and a report in its UI."""

from __future__ import annotations

import asyncio

import pytest

from tests.pictures import file

pytestmark = pytest.mark.prefect


@pytest.fixture(scope="module")
def server():
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


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
    assert runs[0].name == f"ingest 새 모음 from {docs} (manual)"
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
    assert f"images things from {tmp_path / 'things'} (manual)" in {run.name for run in runs}
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
