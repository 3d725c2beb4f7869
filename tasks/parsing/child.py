"""The process that parses or drafts: reads requests from a pipe, answers on another, one by one.

It is started by `tasks.parsing.worker` and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from schemas.container import Unpacked
from schemas.document import ParsedDocument
from schemas.errors import ParseCrashed, ParseFailed, RevectorError
from schemas.image import ImageFacts
from tasks.parsing.limits import ParseLimits

LENGTH_BYTES = 8
READY = b"ready"
PARENT_CHECK_S = 1.0
CPU_MARGIN_S = 10

if TYPE_CHECKING:  # what parses need not import it
    from schemas.version import VersionDraft

    Result = ParsedDocument | Unpacked | ImageFacts | VersionDraft
    DoJob = Callable[[Path, str, Any], Result | RevectorError]


def main(arguments: str) -> None:
    """Serve until the request pipe closes. `arguments` is JSON from the parent."""
    given = json.loads(arguments)
    limits = ParseLimits(**given["limits"])
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, limits.memory_mb * 2**20)
    _end_with_parent(given["parent"], given["life"])
    module, name = given["parse"].split(":")
    do_job: DoJob = getattr(importlib.import_module(module), name)
    with os.fdopen(given["requests"], "rb") as requests, os.fdopen(given["replies"], "wb") as replies:
        _write(replies, READY)
        _silence()
        while (request := read_message(requests)) is not None:
            path, uri, job, timeout_s = pickle.loads(request)
            _allow_cpu(timeout_s)
            _write(replies, _answer(do_job, path, uri, job, limits))


def read_message(stream: BinaryIO) -> bytes | None:
    """The next length-prefixed message, None at the end of the stream."""
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return None
    return stream.read(int.from_bytes(prefix, "big"))


def frame(payload: bytes) -> bytes:
    """The message as it goes over the pipe."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def _answer(do_job: DoJob, path: str, uri: str, job: object, limits: ParseLimits) -> bytes:
    try:
        return _pickle(_do(do_job, path, uri, job, limits.who), limits)
    except MemoryError:
        pass  # answered outside of the handler, where the parser's frames are freed
    return pickle.dumps(
        ParseCrashed(
            f"The {limits.who} ran out of its {limits.memory_mb} MB of memory.",
            advice=limits.advice("memory"),
            cause="memory",
        )
    )


def _do(do_job: DoJob, path: str, uri: str, job: object, who: str) -> Result | RevectorError:
    try:
        return do_job(Path(path), uri, job)
    except RevectorError as error:
        return error
    except MemoryError:
        raise
    except Exception as exc:
        return ParseFailed(
            f"The {who} failed with {type(exc).__name__}.",
            advice="Open the file in its own application and save it again, or exclude it.",
            error=type(exc).__name__,
        )


def _pickle(result: Result | RevectorError, limits: ParseLimits) -> bytes:
    payload = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    if len(payload) <= limits.output_mb * 2**20:
        return payload
    error = ParseFailed(
        f"The {limits.who} returned {len(payload) >> 20} MB, the limit is {limits.output_mb} MB.",
        advice="Split the document, or exclude it.",
        size_bytes=len(payload),
    )
    return pickle.dumps(error)


def _write(stream: BinaryIO, payload: bytes) -> None:
    stream.write(frame(payload))
    stream.flush()


def _limit(what: int, value: int) -> None:
    """Lower a limit; where the machine's own hard limit is lower still, that one holds."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))


def _allow_cpu(timeout_s: float) -> None:
    """A backstop for the time after the parent's death: the parent kills far earlier."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + 2 * timeout_s) + CPU_MARGIN_S
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _end_with_parent(parent: int, life: int) -> None:
    """The parent alone holds the other end of the pipe `life`, in which nothing is ever written.

    Linux sends SIGIO when that end is closed, which ends a process whatever its threads are at; a
    regular expression holds the interpreter for as long as it likes. Elsewhere the thread must do.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _silence() -> None:
    """Parsers print, and what they print may quote the document."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


if __name__ == "__main__":
    main(sys.argv[1])
