"""Processes that are kept running: started, restarted when they die, ended in order."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
MOST_PAUSE_S = 30.0
HEALTHY_S = 60.0
"""A process that ran so long is started again at once, and its earlier deaths are forgotten."""
FINISH = signal.SIGUSR1
"""At this a worker of ours (`flows.service.worker`) takes nothing more and finishes what it has."""

LOG_BYTES = 20_000_000
"""A log that is longer is kept as `NAME.log.1`, in place of the one before, and begins anew."""

LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":  # SIGTERM when the parent is killed: PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
for number in (signal.SIGINT, signal.SIGTERM):  # ignored ones would be inherited
    signal.signal(number, signal.SIG_DFL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(slots=True)
class Child:
    """One process.

    Attributes:
        name: for people.
        command: program and arguments.
        environment: the whole of it.
        folder: where it runs.
        log_file: standard output and error go there.
        grace_s: what it gets to end after SIGTERM.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log_file: Path
    grace_s: float = 15.0
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started: float = 0.0
    due: float = field(default=0.0)

    def start(self) -> None:
        """Start it, in a process group of its own: Ctrl-C in the terminal is ours to pass on."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(os.getpid()), *self.command],
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.started = time.monotonic()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def has_ended(self) -> bool:
        """Whether it was started and has ended, however."""
        return self.process is not None and self.process.poll() is not None

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None:
            self.process.send_signal(number)

    def watch(self) -> None:
        """Start it again where it has died, ever later if it dies again and again; keep its log short."""
        rotate(self.log_file)
        now = time.monotonic()
        if self.process is not None and (code := self.process.poll()) is not None:
            self.deaths = 1 if now - self.started > HEALTHY_S else self.deaths + 1
            pause = min(FIRST_PAUSE_S * 2.0 ** (self.deaths - 1), MOST_PAUSE_S)
            log.warning("%s ended (%s); again in %.0f s: %s", self.name, _how(code), pause, self.log_file)
            self.process, self.due = None, now + pause
        if self.process is None and now >= self.due:
            self.start()

    def end(self) -> None:
        """SIGTERM, then SIGKILL for its whole group."""
        if self.process is None:
            return
        if self.is_running:
            self.tell(signal.SIGTERM)
            try:
                self.process.wait(self.grace_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not end within %.0f s: killed", self.name, self.grace_s)
        _kill_group(self.process.pid)
        self.process.wait()
        self.process = None


def rotate(log_file: Path, *, most_bytes: int = LOG_BYTES) -> bool:
    """Copy a log that has become too long to `NAME.log.1` and empty it; whether that was so.

    Whoever writes it has it open for appending, and goes on in the emptied file.
    """
    try:
        if log_file.stat().st_size <= most_bytes:
            return False
        shutil.copyfile(log_file, log_file.with_name(f"{log_file.name}.1"))
        os.truncate(log_file, 0)
    except FileNotFoundError:
        return False
    except OSError as exc:  # a full disk: what runs matters more
        log.warning("%s is not rotated: %s", log_file, exc)
        return False
    return True


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
