"""Parsing in killable processes: a document that hangs or crashes costs only itself."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from schemas.document import ParsedDocument
from schemas.errors import DocumentError, ParseCrashed, RevectorError
from tasks.parsing.limits import ParseLimits
from tasks.parsing.process import ParserProcess

__all__ = ["ParseLimits", "ParseRequest", "ParserPool"]

Outcome = ParsedDocument | DocumentError


@dataclass(frozen=True, slots=True)
class ParseRequest:
    """A local file and the uri it stands for (which only helps to choose the parser)."""

    path: Path
    uri: str


@dataclass(frozen=True, slots=True)
class _Job:
    request: ParseRequest
    result: Future[Outcome]


class ParserPool:
    """Parser processes, each driven by one thread; started when there is work for them.

    Args:
        workers: most processes at a time.
        limits: what one document may cost.
        parse: ``module:function`` that a process calls with path and uri.
    """

    def __init__(
        self,
        workers: int,
        limits: ParseLimits | None = None,
        *,
        parse: str = "tasks.parsing.base:parse_file",
    ) -> None:
        self._workers = max(1, workers)
        self._limits = limits or ParseLimits()
        self._parse = parse
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[ParserProcess] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._broken: RevectorError | None = None

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def parse_many(self, requests: Sequence[ParseRequest]) -> list[Outcome]:
        """For each request, in order, the document or the error that rejects it.

        Raises:
            RevectorError: a parser process cannot be started on this machine.
            RuntimeError: the pool is closed, or was closed by another thread meanwhile.
        """
        jobs = [_Job(request, Future()) for request in requests]
        with self._lock:
            if self._closed:
                raise RuntimeError("the parser pool is closed")
            self._start_threads(len(jobs))
            for job in jobs:
                self._jobs.put(job)
        return [job.result.result() for job in jobs]

    def close(self) -> None:
        """End all processes now; documents under way are given up."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _start_threads(self, jobs: int) -> None:
        while len(self._threads) < min(self._workers, jobs):
            name = f"parser-{len(self._threads)}"
            thread = threading.Thread(target=self._drive, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _drive(self) -> None:
        process: ParserProcess | None = None
        while (job := self._jobs.get()) is not None:
            try:
                process, outcome = self._run(process, job.request)
                job.result.set_result(outcome)
            except BaseException as error:  # the caller waits for this job: it must be told
                self._end(process)
                process = None
                if isinstance(error, RevectorError):
                    self._broken = self._broken or error
                job.result.set_exception(error)
        self._end(process)

    def _run(
        self, process: ParserProcess | None, request: ParseRequest
    ) -> tuple[ParserProcess | None, Outcome]:
        """The outcome and the process for the next request, None where it has ended."""
        fresh = process is None
        process = process or self._start()
        outcome = process.parse(str(request.path), request.uri)
        if self._closed:
            self._end(process)  # nobody else knows of one that was started here
            raise RuntimeError("the parser pool was closed")
        if isinstance(outcome, ParseCrashed) and not fresh:
            # What earlier documents left behind may be the cause: only a crash in a new
            # process says something about this document.
            self._end(process)
            return self._run(None, request)
        if process.is_spent:
            self._end(process)
            return None, outcome
        return process, outcome

    def _start(self) -> ParserProcess:
        if self._closed:
            raise RuntimeError("the parser pool was closed")
        if self._broken:
            raise self._broken
        process = ParserProcess(self._limits, self._parse)
        with self._lock:
            self._processes.add(process)
            if self._closed:
                process.kill()
        try:
            process.wait_ready()
        except BaseException as error:
            self._end(process)
            if self._closed:  # killed while it started: the machine is not to blame
                raise RuntimeError("the parser pool was closed") from error
            raise
        return process

    def _end(self, process: ParserProcess | None) -> None:
        if process is not None:
            process.close()
            with self._lock:
                self._processes.discard(process)
