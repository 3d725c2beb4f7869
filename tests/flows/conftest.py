"""Fixtures that tests of flows share."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import flows.session
from flows.cli import app
from tests.fake_models import FakeModels


@pytest.fixture(scope="module")
def server():
    """A Prefect server of the module's own: starting one takes seconds."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def run(database_url, tmp_path, monkeypatch):
    """Calls the app in this process with a fake model; returns (exit code, stdout, stderr)."""
    monkeypatch.setenv("REVECTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REVECTOR_DATABASE_URL", database_url)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flows.session, "load_real_embedder", FakeModels().load)
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
