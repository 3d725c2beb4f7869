"""One parser process as its parent sees it: start, ask, kill, explain its death."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas.container import Unpacked
from schemas.document import ParsedDocument
from schemas.errors import (
    ConfigurationError,
    DocumentError,
    ParseCrashed,
    ParseTimeout,
    RevectorError,
)
from schemas.image import ImageFacts
from schemas.version import VersionDraft
from tasks.parsing.child import LENGTH_BYTES, READY, frame
from tasks.parsing.limits import ParseLimits

START_TIMEOUT_S = 60.0
MEMORY_CHECK_S = 0.1
OWN_END_S = 2.0
_READ_BYTES = 1 << 20
_KEPT_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("LC_", "PYTHON")
_SAVE_AGAIN = "Save the file again with its own application, or exclude it."
_PICKLED_MODULES = (
    "schemas.chunk", "schemas.container", "schemas.document", "schemas.duplicate", "schemas.errors",
    "schemas.image", "schemas.version", "datetime",
)  # fmt: skip


Outcome = ParsedDocument | Unpacked | ImageFacts | VersionDraft | DocumentError


class _ProcessEnded(Exception):
    """The process closed its end of the pipe."""


class _BadReply(Exception):
    """The process sends what our child would not."""


class ParserProcess:
    """A running child. Not for several threads, except `kill`."""

    def __init__(self, limits: ParseLimits, parse: str) -> None:
        self._limits = limits
        self._served = 0
        self._failed = False
        self._reaping = threading.Lock()
        self._seen_bytes = 0
        self._startup_log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pipes
        child_reads, self._requests = os.pipe()
        self._replies, child_writes = os.pipe()
        child_life, own_life = os.pipe()
        theirs = (child_reads, child_writes, child_life)
        self._pipe_ends: tuple[int, ...] = (self._requests, self._replies, own_life)
        try:
            self._process = subprocess.Popen(
                _command(limits, parse, *theirs),
                pass_fds=theirs,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._startup_log,
                env=_environment(),
                start_new_session=True,
            )
        except OSError as exc:
            self._close_files()
            raise _cannot_start(str(exc)) from exc
        finally:
            for fd in theirs:
                os.close(fd)

    @property
    def is_spent(self) -> bool:
        """Whether the next document needs another process."""
        return self._failed or self._served >= self._limits.recycle_after

    def wait_ready(self) -> None:
        """Return when the child has imported its parser.

        Raises:
            ConfigurationError: it did not come up; its own last words are in the message.
        """
        try:
            reply = self._read(time.monotonic() + START_TIMEOUT_S)
        except (TimeoutError, _ProcessEnded, _BadReply):
            reply = b""
        if reply != READY:
            self.kill()
            self._startup_log.seek(0)
            log = self._startup_log.read()[-2000:].decode("utf-8", "replace").strip()
            raise _cannot_start(log or f"exit code {self._process.returncode}")

    def ask(self, path: str, uri: str, job: object, timeout_s: float) -> Outcome:
        """What the child answers; its death or silence as an error.

        Raises:
            RevectorError: the cause is this machine, not the document (a missing library).
        """
        self._served += 1
        deadline = time.monotonic() + timeout_s
        try:
            self._send(pickle.dumps((path, uri, job, timeout_s)))
            outcome = _unpickle(self._read(deadline))
            if isinstance(outcome, RevectorError) and not isinstance(outcome, DocumentError):
                raise outcome
        except TimeoutError:
            self.kill()
            outcome = self._timeout_error(timeout_s)
        except (_ProcessEnded, BrokenPipeError):
            self._wait_for_its_own_end()
            self.kill()
            outcome = self._crash_error()
        except _BadReply:
            self.kill()
            outcome = ParseCrashed(f"The {self._limits.who} process sent no result.", advice=_SAVE_AGAIN)
        self._failed = isinstance(outcome, ParseTimeout | ParseCrashed)
        return outcome

    def kill(self) -> None:
        """End the process with all of its group and reap it. Any thread, any number of times."""
        with self._reaping:
            if self._process.returncode is None:
                # The group goes first: once the leader is reaped its id may be another's.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _wait_for_its_own_end(self) -> None:
        """A process closes its pipes before it ends: its own exit code says more than our signal.

        It is not reaped yet: its id is that of the group which is killed next.
        """
        until = time.monotonic() + OWN_END_S
        what = os.WEXITED | os.WNOWAIT | os.WNOHANG
        with contextlib.suppress(ChildProcessError):
            while os.waitid(os.P_PID, self._process.pid, what) is None and time.monotonic() < until:
                time.sleep(0.005)

    def close(self) -> None:
        """Kill and give back the pipes. For the thread that uses the process."""
        self.kill()
        self._close_files()

    def _close_files(self) -> None:
        self._startup_log.close()
        for fd in self._pipe_ends:
            os.close(fd)
        self._pipe_ends = ()  # closed twice, the number may be another file's

    def _send(self, payload: bytes) -> None:
        data = memoryview(frame(payload))
        while data:
            data = data[os.write(self._requests, data) :]

    def _read(self, deadline: float) -> bytes:
        """One message. Raises TimeoutError, or _ProcessEnded at the end of the pipe."""
        prefix = self._read_exactly(LENGTH_BYTES, deadline)
        size = int.from_bytes(prefix, "big")
        if size > self._limits.output_mb * 2**20 + 4096:
            raise _BadReply  # our child checks the limit itself
        return self._read_exactly(size, deadline)

    def _read_exactly(self, size: int, deadline: float) -> bytes:
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not poll.poll(min(left, MEMORY_CHECK_S) * 1000):
                self._seen_bytes = max(self._seen_bytes, _address_space(self._process.pid))
                continue
            part = os.read(self._replies, min(_READ_BYTES, size - len(data)))
            if not part:
                raise _ProcessEnded
            data += part
        return bytes(data)

    def _crash_error(self) -> ParseCrashed:
        code = self._process.returncode
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"exited with {code}"
        limit = self._limits.memory_mb
        if code == -signal.SIGKILL or self._seen_bytes > limit * 2**20 / 2:
            likely = f" Memory is the likely cause: the limit is {limit} MB."
            advice = self._limits.advice("memory")
        else:
            likely, advice = "", _SAVE_AGAIN
        return ParseCrashed(f"The {self._limits.who} process {how}.{likely}", advice=advice, exit_code=code)

    def _timeout_error(self, timeout_s: float) -> ParseTimeout:
        return ParseTimeout(
            f"The {self._limits.who} did not finish within {timeout_s:g} s.",
            advice=self._limits.advice("time"),
            timeout_s=timeout_s,
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _address_space(pid: int) -> int:
    """Bytes that count against the limit now, 0 where the system does not tell.

    Not the resource usage of the dead child: there Linux counts the peak of its parent too,
    from before exec.
    """
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _command(limits: ParseLimits, parse: str, requests: int, replies: int, life: int) -> list[str]:
    arguments = {
        "limits": asdict(limits),
        "parent": os.getpid(),
        "parse": parse,
        "requests": requests,
        "replies": replies,
        "life": life,
    }
    # -P: a json.py in the current directory must not become the child's json module.
    return [sys.executable, "-P", "-m", "tasks.parsing.child", json.dumps(arguments)]


def _environment() -> dict[str, str]:
    """What a parser needs and no more: it reads hostile files and must not hold passwords."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    root = str(Path(__file__).resolve().parents[2])
    paths = [str(Path(path).absolute()) for path in sys.path]
    kept["PYTHONPATH"] = os.pathsep.join(paths if root in paths else [*paths, root])
    kept["PYTHONHASHSEED"] = "0"  # a parser that walks a set gives the same order each time
    kept["OMP_THREAD_LIMIT"] = "1"
    return kept


def _cannot_start(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The parser process did not start: {reason}",
        advice="Check the installation with `revector doctor`.",
    )


class _Unpickler(pickle.Unpickler):
    """Only our value types: a parser taken over by its input must not run code here."""

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if module in _PICKLED_MODULES else None
        # A dotted name would lead from a class to what its module imports.
        if "." in name or not (isinstance(found, type) or name == "_rebuild"):
            raise pickle.UnpicklingError(f"{module}.{name} is no result of a parser")
        return found


def _unpickle(payload: bytes) -> Outcome | RevectorError:
    try:
        outcome = _Unpickler(io.BytesIO(payload)).load()
    except Exception as exc:  # a payload that is not a result can raise anything
        raise _BadReply from exc
    if not isinstance(outcome, Outcome | RevectorError):
        raise _BadReply
    return outcome
