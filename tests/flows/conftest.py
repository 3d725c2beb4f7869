"""Fixtures that tests of flows share."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import flows.session
from flows.cli import app
from tests.fake_models import FakeModels
from tests.model_folders import make_model_folder
from tests.prefect_server import make_template, serve_prefect

BIRDS = "storks herons cranes owls gulls larks wrens terns swans ducks crows finches".split()


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory):
    """Prefect's database as a new server makes it."""
    return make_template(tmp_path_factory.mktemp("prefect-template"))


@pytest.fixture(scope="module")
def server(prefect_database, tmp_path_factory):
    """A Prefect server of the module's own, which knows nothing yet."""
    with serve_prefect(prefect_database, tmp_path_factory.mktemp("prefect-server")):
        yield


@pytest.fixture(scope="module")
def client(server):
    """Asks the server."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def environment(database_url, tmp_path, monkeypatch):
    """A registry that the environment of this process names, and fake models; it works in `tmp_path`."""
    monkeypatch.setenv("REVECTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REVECTOR_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flows.session, "load_real_embedder", FakeModels().load)


@pytest.fixture
def named(server, environment, tmp_path, monkeypatch):
    """The collection `named`, filled with a.txt by its flow; flows wait for nothing between tries."""
    import flows.flow_run
    from flows.ingest import ingest

    monkeypatch.setattr(flows.flow_run, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("A text about pelicans.")
    ingest(str(tmp_path / "docs"), collection="named")


@pytest.fixture
def run(environment, monkeypatch):
    """Calls the app in this process with a fake model; returns (exit code, stdout, stderr)."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("flows.commands.shared.configure_logs", lambda **_: None)

    def call(*arguments: str):
        done = CliRunner().invoke(app, list(arguments))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.stdout, done.stderr

    return call


@pytest.fixture
def run_json(run):
    def call(*arguments: str):
        code, out, err = run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return call


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Storks\n\nStorks nest on chimneys.\n")
    (folder / "b.txt").write_text("Herons stand in the water.")
    (folder / "empty.txt").write_bytes(b"")
    return folder


@pytest.fixture
def ticking(world):
    """The world with a clock that goes on a second at each look."""
    seconds = iter(range(1_000_000))
    world.session = replace(world.session, timer=lambda: float(next(seconds)))
    return world


@pytest.fixture
def birds(world, tmp_path, monkeypatch):
    """Twelve documents and a model that the settings name as the next one; vectors are stored two by two."""
    monkeypatch.setattr("tasks.vectors.STORE_CHUNKS", 2)
    for bird in BIRDS:
        world.write(f"{bird}.txt", f"The {bird} of the lake were counted in May by the warden of {bird}.")
    world.ingest()
    world.model = make_model_folder(tmp_path / "better", dim=96)
    world.configure(next={"model": str(world.model)})
    return world
