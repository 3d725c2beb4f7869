"""What parsers do to a process when they go wrong, for the tests of the parser pool."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path

from schemas.document import Element, ParsedDocument
from schemas.errors import EmptyDocument
from tasks.parsing.jobs import Job

_calls = 0
_hoard: list[bytearray] = []

HELPER = ["sleep", "300.125"]
"""Of no other process on the machine."""


def parse(path: Path, uri: str, job: Job) -> ParsedDocument:
    """Do what the uri says."""
    global _calls
    _calls += 1
    action, _, argument = uri.partition(":")
    return globals()[f"_{action}"](path, argument)


def _document(text: str) -> ParsedDocument:
    return ParsedDocument("test", "text/plain", (Element(text),))


def _read(path: Path, argument: str) -> ParsedDocument:
    return _document(path.read_text())


def _say(path: Path, argument: str) -> ParsedDocument:
    return _document(argument)


def _process(path: Path, argument: str) -> ParsedDocument:
    return _document(str(os.getpid()))


def _environment(path: Path, argument: str) -> ParsedDocument:
    return _document(" ".join(sorted(os.environ)))


def _sleep(path: Path, argument: str) -> ParsedDocument:
    time.sleep(float(argument))
    return _document("awake")


def _hang(path: Path, argument: str) -> ParsedDocument:
    if argument:
        Path(argument).write_text(str(os.getpid()))
    while True:
        pass


def _hold(path: Path, argument: str) -> ParsedDocument:
    """No other thread of this process runs any more."""
    Path(argument).write_text(str(os.getpid()))
    re.match(r"(a+)+$", "a" * 60 + "b")
    raise AssertionError


def _quit(path: Path, argument: str) -> ParsedDocument:
    sys.exit(int(argument))


def _fork(path: Path, argument: str) -> ParsedDocument:
    """A helper program that outlives its parser, as converters do."""
    if os.fork() == 0:
        os.execv("/bin/sleep", HELPER)
    return _hang(path, "")


def _segfault(path: Path, argument: str) -> ParsedDocument:
    ctypes.string_at(0)
    raise AssertionError


def _exit(path: Path, argument: str) -> ParsedDocument:
    os._exit(int(argument))


def _killed(path: Path, argument: str) -> ParsedDocument:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _abort_full(path: Path, argument: str) -> ParsedDocument:
    """What a C++ library does without memory."""
    _hoard.append(bytearray(int(argument) << 20))
    time.sleep(0.3)
    os.abort()


def _memory(path: Path, argument: str) -> ParsedDocument:
    while True:
        _hoard.append(bytearray(16 << 20))


def _leak(path: Path, argument: str) -> ParsedDocument:
    """Memory that stays behind when the document is done."""
    _hoard.append(bytearray(int(argument) << 20))
    return _document("leaked")


def _large(path: Path, argument: str) -> ParsedDocument:
    return _document("x" * (int(argument) << 20))


def _print(path: Path, argument: str) -> ParsedDocument:
    print("noise " * 100_000)
    print("noise " * 100_000, file=sys.stderr, flush=True)
    return _document("quiet")


def _raise(path: Path, argument: str) -> ParsedDocument:
    raise RuntimeError("secret words of the document")


def _reject(path: Path, argument: str) -> ParsedDocument:
    raise EmptyDocument("nothing there", advice="do this", pages=3)


def _forge(path: Path, argument: str) -> ParsedDocument:
    """A result that would run code where it is read."""

    class Forged:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (argument,)

    return Forged()  # type: ignore[return-value]


def _nonsense(path: Path, argument: str) -> ParsedDocument:
    return "a string"  # type: ignore[return-value]
