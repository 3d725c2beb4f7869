"""The embedded server: half-made databases, closed folders, several users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from registry import embedded
from registry.embedded import start_embedded, stop_embedded
from schemas.errors import DatabaseUnavailable

ROOT = Path(__file__).parents[2]


def _answer(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone()


def test_what_a_killed_initdb_left_is_made_again(open_folder):
    home = open_folder / "half-made"
    (home / "postgres").mkdir(parents=True)
    (home / "postgres/PG_VERSION").write_text("18\n")
    (home / "postgres/postmaster.pid").write_text("-29282\n/nowhere\n1\n")
    assert _answer(start_embedded(home)) == (1,)
    stop_embedded(home)


def test_a_database_that_answered_once_is_never_made_again(open_folder):
    home = open_folder / "kept"
    with psycopg.connect(start_embedded(home), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    stop_embedded(home)
    (home / "postgres/postmaster.pid").write_text(f"{os.getpid()}\n/nowhere\n1\n5432\n/tmp\n\n0 0\nready\n")
    with psycopg.connect(start_embedded(home)) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    stop_embedded(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_folders_above_the_home_are_not_opened_for_reading(open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    assert _answer(start_embedded(closed / "home")) == (1,)
    stop_embedded(closed / "home")
    assert oct(closed.stat().st_mode & 0o777) == oct(0o711)


def test_the_server_stops_with_its_last_user_and_forgets_killed_ones(open_folder):
    home = open_folder / "shared-home"
    url = start_embedded(home)
    script = (
        "import sys; from pathlib import Path; from registry.embedded import start_embedded; "
        "print(start_embedded(Path(sys.argv[1])))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert other.stdout.strip() == url
    assert _answer(url) == (1,), "the server was stopped under a user"
    handles = home / "postgres/.handle_pids.json"
    handles.write_text(f"[999999999, {os.getpid()}]")
    stop_embedded(home)
    start_embedded(home)  # prunes the dead handle
    assert handles.read_text() == f"[{os.getpid()}]"
    stop_embedded(home)
    assert not (home / "postgres/postmaster.pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a process that adopts orphans")
def test_a_killed_server_whose_process_nobody_collects_is_started_again(open_folder):
    """As in containers whose first process does not wait for adopted children."""
    start = (
        "import os, sys; from pathlib import Path; from registry.embedded import start_embedded; "
        "start_embedded(Path(sys.argv[1])); os._exit(0)"
    )
    script = (
        "import ctypes, os, signal, subprocess, sys\n"
        "from pathlib import Path\n"
        "from registry.embedded import start_embedded, stop_embedded\n"
        "home = Path(sys.argv[1])\n"
        "PR_SET_CHILD_SUBREAPER = 36\n"
        "assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0\n"
        f"subprocess.run([sys.executable, '-c', {start!r}, str(home)], check=True)\n"
        "killed = int((home / 'postgres/postmaster.pid').read_text().split()[0])\n"
        "os.kill(killed, signal.SIGKILL)\n"
        "start_embedded(home)\n"
        "assert Path(f'/proc/{killed}').exists(), 'it was collected: this test shows nothing'\n"
        "stop_embedded(home)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(open_folder / "not-collected")],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_folder_that_was_given_up_is_not_touched_at_exit(open_folder):
    script = (
        "import shutil, sys\n"
        "from pathlib import Path\n"
        "from registry.embedded import start_embedded, stop_embedded\n"
        "start_embedded(Path(sys.argv[1]))\n"
        "stop_embedded(Path(sys.argv[1]))\n"
        "shutil.rmtree(sys.argv[1])\n"
    )
    home = open_folder / "given-up"
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not home.exists()


def test_a_server_that_recovers_is_waited_for(open_folder, monkeypatch):
    """After kill -9 of a backend, PostgreSQL lets nobody in until it has synced its whole folder."""
    home = open_folder / "recovering"
    start_embedded(home)
    connect, refused = psycopg.connect, iter(range(embedded.START_ATTEMPTS + 3))

    def refuse(*args, **options):
        if next(refused, None) is not None:
            raise psycopg.OperationalError("the database system is in recovery mode")
        return connect(*args, **options)

    monkeypatch.setattr(embedded.psycopg, "connect", refuse)
    start_embedded(home)
    assert next(refused, None) is None
    monkeypatch.setattr(embedded, "RECOVERY_S", 0.5)
    refused = iter(range(100))
    with pytest.raises(DatabaseUnavailable, match="in recovery mode"):
        start_embedded(home)
    monkeypatch.undo()
    start_embedded(home)
    stop_embedded(home)
