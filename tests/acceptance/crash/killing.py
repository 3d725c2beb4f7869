"""Death at a given step: of the process itself, of the backend that serves it, of the postmaster."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

import registry.activation

TARGETS = ("client", "backend", "postmaster")
FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.utime")


def postmaster_pid(home: Path) -> int | None:
    """Process id of the embedded server under a home, None where none has written its own."""
    try:
        return int((home / "postgres/postmaster.pid").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return None


class StepKiller:
    """Counts steps and kills at one of them.

    A step is a round trip to the database (COMMIT too), or a change to the blob store.

    Args:
        home: of the process that this is installed in.
        order: `target`, `step`, `when` (before, during or after it), `delay` in seconds for `during`,
            and `near` where steps are counted from the writing of a release; empty to count only.
    """

    def __init__(self, home: Path, order: dict[str, Any]) -> None:
        self.steps = 0
        self._home = home
        self._order = order
        self._numbers = itertools.count(1)
        self._backend: int | None = None
        self._release_at: int | None = None

    def install(self) -> None:
        """Watch this process from now on; there is no way back."""
        wait = psycopg.Connection.wait
        blobs = str(self._home / "blobs")

        def counted(connection: Any, *args: Any, **options: Any) -> Any:
            self._backend = connection.pgconn.backend_pid or self._backend
            number = self._begin()
            result = wait(connection, *args, **options)
            self._at(number, "after")
            return result

        write_release = registry.activation._write_release

        def marked(*args: Any, **options: Any) -> Any:
            self._release_at = self.steps
            return write_release(*args, **options)

        def audit(event: str, args: tuple[Any, ...]) -> None:
            if event in FILE_EVENTS and str(args[0]).startswith(blobs):
                self._begin()

        psycopg.Connection.wait = counted  # type: ignore[method-assign]
        registry.activation._write_release = marked
        sys.addaudithook(audit)

    def _begin(self) -> int:
        self.steps = number = next(self._numbers)
        self._at(number, "before")
        self._at(number, "during")
        return number

    def _at(self, number: int, when: str) -> None:
        if self._order.get("near"):
            number -= number if self._release_at is None else self._release_at
        if number == self._order.get("step") and when == self._order["when"]:
            if when == "during":
                threading.Timer(self._order["delay"], self._kill).start()
            else:
                self._kill()

    def _kill(self) -> None:
        match self._order["target"]:
            case "client":
                os.kill(os.getpid(), signal.SIGKILL)
            case "backend":
                pid = self._backend
            case "postmaster":
                pid = postmaster_pid(self._home)
        if pid is not None:
            with_grace = 0.002  # what is killed may have a last word to say on its way
            os.kill(pid, signal.SIGKILL)
            print("killed", flush=True)
            time.sleep(with_grace)
