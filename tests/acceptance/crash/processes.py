"""The processes of a campaign: children that are to die, the server, and waiting for either."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

from registry.embedded import start_embedded, stop_embedded
from tests.acceptance.crash.killing import postmaster_pid
from tests.waiting import PATIENCE_S, has_ended, until

ROOT = Path(__file__).parents[3]
ORPHAN_S = 120


class Child:
    """A child from its start (its imports) to its end; it waits for `begin`."""

    def __init__(self, base: Path) -> None:
        self.answer: dict[str, Any] = {}
        self.killed = False
        self._log = base / "children.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.crash.child", str(base)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(base)},
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def begin(self, task: dict[str, Any]) -> None:
        """Let it begin, as soon as its imports are done."""
        assert self._lines.get(timeout=PATIENCE_S) == "ready", self._log
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.close()

    def wait(self, seconds: float = PATIENCE_S, meanwhile: Callable[[], object] | None = None) -> bool:
        """Until it ends, says that it killed something, or the time is over; True where it ended."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=min(left, 0.03))
            except queue.Empty:
                if meanwhile is not None:
                    meanwhile()
                continue
            if line is None:
                self._process.wait()
                return True
            if line == "killed":
                self.killed = True
                return False
            self.answer = json.loads(line)
        return False

    def kill(self) -> None:
        """The process alone: what it started is to notice by itself."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.strip())
        self._lines.put(None)


class Server:
    """The embedded server of a campaign, with the settings that users have (fsync on)."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._connection: psycopg.Connection[Any] | None = None

    def start(self) -> float:
        """Start it if it does not run; returns the seconds until it answers."""
        self.forget()
        started = time.monotonic()
        start_embedded(self.home)
        return time.monotonic() - started

    def look(self, query: str) -> list[Any] | None:
        """Rows as a superuser sees them, None while nobody answers."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    start_embedded(self.home), autocommit=True, application_name="campaign"
                )
            return self._connection.execute(query).fetchall()  # type: ignore[arg-type]
        except psycopg.OperationalError:
            self.forget()
            return None

    def forget(self) -> None:
        """Close the connection: its server is gone, or is to go."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def backends(self) -> list[int]:
        """Those that serve revector's processes."""
        rows = self.look("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'revector%'")
        return [pid for (pid,) in rows or ()]

    def wait_until_alone(self) -> None:
        """Until nothing is left that served a process which is gone."""
        until(
            lambda: self.look("SELECT 1") is not None and not self.backends(),
            "the end of the backends of a dead client", every_s=0.02, patience_s=ORPHAN_S,
        )  # fmt: skip

    def stop(self) -> None:
        """Whoever has it open: an administrator's fast shutdown."""
        self.forget()
        stop_embedded(self.home)
        if (pid := postmaster_pid(self.home)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            wait_for_end(pid)


def wait_for_orphans(base: Path) -> None:
    """Until the parser processes of killed clients, known by their TMPDIR, have ended by themselves."""
    until(
        lambda: not any(_is_parser(process, base) for process in psutil.process_iter()),
        "the end of the parsers of killed clients", every_s=0.1, patience_s=ORPHAN_S,
    )  # fmt: skip


def _is_parser(process: psutil.Process, base: Path) -> bool:
    try:
        return "python" in process.name() and process.environ().get("TMPDIR") == str(base)
    except psutil.Error:
        return False


def wait_for_end(pid: int) -> None:
    """Until that process is gone, or dead and not yet collected."""
    until(lambda: has_ended(pid), f"the end of {pid}", every_s=0.01)
