"""What parser processes cost while a campaign runs: every request's time, every process's memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from schemas.errors import DocumentError
from tasks.parsing.jobs import Job, OcrJob, ParseJob
from tasks.parsing.process import Outcome, ParserProcess

SAMPLE_S = 0.1
_CHILD = "tasks.parsing.child"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a parser process.

    Attributes:
        uri: of the document.
        job: ``rung 0``, ``ocr``, ``unpack``.
        seconds: it took, the killing of the process included.
        limit_s: it was allowed.
        error: class of the error it ended with, "" where it gave a result.
        detail: the error's message.
        parser: the parser that raised, where the error knows it.
        raised: class of a library's exception that nobody translated.
    """

    uri: str
    job: str
    seconds: float
    limit_s: float
    error: str = ""
    detail: str = ""
    parser: str = ""
    raised: str = ""


@dataclass
class Watch:
    """What was seen; memory in bytes.

    Attributes:
        asks: requests, in the order in which they ended.
        parent_peak: resident memory of this process.
        child_peak: resident memory of the largest parser process, what it started included.
        space_peak: largest address space of a parser process.
        processes: how many parser processes were seen.
    """

    asks: list[Ask] = field(default_factory=list)
    parent_peak: int = 0
    child_peak: int = 0
    space_peak: int = 0
    processes: set[int] = field(default_factory=set)

    def sample(self) -> None:
        me = psutil.Process()
        self.parent_peak = max(self.parent_peak, me.memory_info().rss)
        for child in parser_processes():
            try:
                memory = child.memory_info()
                below = sum(process.memory_info().rss for process in child.children(recursive=True))
            except psutil.Error:
                continue
            self.processes.add(child.pid)
            self.child_peak = max(self.child_peak, memory.rss + below)
            self.space_peak = max(self.space_peak, memory.vms)


def parser_processes() -> list[psutil.Process]:
    """Those of this process that live, and what outlived one that was killed."""
    found = []
    for process in psutil.Process(os.getpid()).children():
        try:
            if _CHILD in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def watching() -> Iterator[Watch]:
    """Record every request to a parser process and sample memory, while the block runs."""
    watch, over = Watch(), threading.Event()
    plain_ask = ParserProcess.ask

    def ask(process: ParserProcess, path: str, uri: str, job: Job, timeout_s: float) -> Outcome:
        started = time.monotonic()
        outcome = plain_ask(process, path, uri, job, timeout_s)
        watch.asks.append(_describe(uri, job, time.monotonic() - started, timeout_s, outcome))
        return outcome

    def sample() -> None:
        while not over.wait(SAMPLE_S):
            watch.sample()

    sampler = threading.Thread(target=sample, name="sampler", daemon=True)
    ParserProcess.ask = ask  # type: ignore[method-assign]
    sampler.start()
    try:
        yield watch
    finally:
        ParserProcess.ask = plain_ask  # type: ignore[method-assign]
        over.set()
        sampler.join()


def _describe(uri: str, job: Job, seconds: float, limit_s: float, outcome: Outcome) -> Ask:
    if isinstance(job, ParseJob):
        name = f"rung {job.rung}"
    else:
        name = f"ocr page {job.page}" if isinstance(job, OcrJob) else "unpack"
    if not isinstance(outcome, DocumentError):
        return Ask(uri, name, seconds, limit_s)
    parser, raised = str(outcome.facts.get("parser", "")), str(outcome.facts.get("error", ""))
    return Ask(uri, name, seconds, limit_s, type(outcome).__name__, outcome.message, parser, raised)
