"""kill -9 at any moment: the previous release serves on, the rerun completes, nothing is paid twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import tasks.publishing
from registry.embedded import start_embedded, stop_embedded
from schemas.errors import DatabaseUnavailable
from tests.texts import english_text
from tests.waiting import PATIENCE_S, has_ended, until
from tests.world import World

ROOT = Path(__file__).parents[2]


def _start(base, url, *, store_chunks=2, delay_s=0.2):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.flows.crash_driver", str(base), url, str(store_chunks), str(delay_s)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def _count(url, query):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = revector, public")
        return connection.execute(query).fetchone()[0]


def _wait_for(url, query, at_least, process):
    def is_there():
        assert process.poll() is None, process.stdout.read().decode()
        return _count(url, query) >= at_least

    until(is_there, query, every_s=0.02)


@pytest.fixture
def before(database_url, tmp_path):
    """A world with release 1, and new documents waiting."""
    with World.open(tmp_path, database_url) as world:
        world.write("old.txt", "The previous release speaks of herons.")
        world.ingest()
        for number in range(8):
            world.write(f"new{number}.txt", english_text(40, seed=number))
    return tmp_path, database_url


VECTORS = "SELECT count(*) FROM vectors_1_1"


# before anything is stored, after the first vectors, and near the end
@pytest.mark.parametrize(("query", "at_least"), [("SELECT count(*) FROM run", 2), (VECTORS, 2), (VECTORS, 9)])
def test_killed_run_is_invisible_and_the_rerun_embeds_only_the_rest(before, query, at_least):
    base, url = before
    process = _start(base, url)
    _wait_for(url, query, at_least, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with World.open(base, url) as world:
        assert [hit.uri for hit in world.keyword("herons items", k=50)] == ["old.txt"]
        assert [release.number for release in world.releases()] == [1]
        stored = _count(url, VECTORS)
        report = world.ingest()
        total = _count(url, VECTORS)
        assert (report.state, report.documents.added, report.release) == ("succeeded", 8, 2)
        assert world.embedder.embedded == total - stored, "a chunk was embedded twice"
        assert world.problems() == []
    states = _count(url, "SELECT string_agg(state, ' ' ORDER BY started_at) FROM run")
    assert states == "succeeded crashed succeeded"


def test_a_run_that_only_lacked_its_activation_is_neither_parsed_nor_embedded_again(before, monkeypatch):
    base, url = before
    with World.open(base, url) as world:
        with monkeypatch.context() as patch:
            patch.setattr("tasks.publishing.activate_run", _die)
            with pytest.raises(KeyboardInterrupt):
                world.ingest()
        assert [release.number for release in world.releases()] == [1]
        paid = world.embedder.embedded
        report = world.ingest()
        assert (report.parsed, world.embedder.embedded, report.release) == (0, paid, 2)
        assert world.problems() == []


@pytest.mark.parametrize("lost", ["answer", "commit"])
def test_a_run_whose_connection_broke_at_its_commit_is_recorded_as_what_it_did(before, monkeypatch, lost):
    base, url = before
    activate = tasks.publishing.activate_run

    def break_off(*args, **options):
        if lost == "answer":
            activate(*args, **options)
        raise DatabaseUnavailable("the connection broke", advice="")

    with World.open(base, url) as world:
        with monkeypatch.context() as patch:
            patch.setattr("tasks.publishing.activate_run", break_off)
            with pytest.raises(DatabaseUnavailable):
                world.ingest()
        recorded = _count(
            url, "SELECT state || coalesce(error, '') FROM run ORDER BY started_at DESC LIMIT 1"
        )
        if lost == "answer":
            assert recorded.startswith("succeeded")
            assert world.ingest().state == "unchanged"
        else:
            assert recorded.startswith("failed")
            assert world.ingest().state == "succeeded"
        assert [release.number for release in world.releases()] == [2, 1]


def _die(*args, **kwargs):
    raise KeyboardInterrupt


def test_two_ingests_at_once_both_end_right(before):
    base, url = before
    pair = [_start(base, url, store_chunks=3, delay_s=0.05) for _ in range(2)]
    outputs = [process.communicate(timeout=PATIENCE_S)[0].decode() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    assert {output.strip() for output in outputs} <= {"succeeded", "unchanged"}
    with World.open(base, url) as world:
        assert world.problems() == []
        assert world.ingest().state == "unchanged"
        assert len({hit.uri for hit in world.keyword("items", k=100)}) == 8
        assert len(world.releases()) == 2


def test_the_embedded_server_survives_kill_of_its_user_and_of_itself(open_folder):
    home = open_folder / "killed"
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from registry.embedded import start_embedded\n"
        "print(start_embedded(Path(sys.argv[1])), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, cwd=ROOT, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    url = start_embedded(home)
    assert url == killed.stdout.strip()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    postmaster = int((home / "postgres/postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    until(lambda: has_ended(postmaster), "the end of the server", every_s=0.02)
    with psycopg.connect(start_embedded(home)) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    stop_embedded(home)
