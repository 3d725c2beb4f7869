"""Parsing in killable processes: a document that hangs or crashes costs only itself."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from schemas.errors import ParseCrashed, RevectorError
from tasks.parsing.jobs import ParseJob
from tasks.parsing.limits import ParseLimits
from tasks.parsing.process import Outcome, ParserProcess

__all__ = ["ParseLimits", "ParserPool", "Request"]

FIRST_RUNG = ParseJob()
MIN_TIMEOUT_S = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """A local file, the uri it stands for, what to do with it and for how long.

    `uri` only helps to choose the parser; `job` is what the pool's function understands; `timeout_s` is
    the pool's own limit where None.
    """

    path: Path
    uri: str
    job: object = FIRST_RUNG
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    request: Request
    result: Future[Outcome]


class PoolClosed(RuntimeError):
    """The run ended while it was asked."""


class ParserPool:
    """Parser processes, each driven by one thread; started when there is work for them.

    Args:
        workers: most processes at a time.
        limits: what one document may cost.
        parse: ``module:function`` that a process calls with path, uri and job.
    """

    def __init__(
        self,
        workers: int,
        limits: ParseLimits | None = None,
        *,
        parse: str = "tasks.parsing.jobs:do_job",
    ) -> None:
        self._workers = max(1, workers)
        self._limits = limits or ParseLimits()
        self._parse = parse
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[ParserProcess] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._unfinished = 0
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

    def submit(self, request: Request) -> Future[Outcome]:
        """The answer to come, or the error that rejects the document.

        The future raises RevectorError where a parser process cannot be started on this
        machine, and PoolClosed where the pool was closed meanwhile.

        Raises:
            PoolClosed: the pool is closed.
        """
        task = _Task(request, Future())
        with self._lock:
            if self._closed:
                raise PoolClosed("the parser pool is closed")
            self._unfinished += 1
            self._start_thread()
            self._tasks.put(task)
        return task.result

    def close(self) -> None:
        """End all processes now; documents under way are given up."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _start_thread(self) -> None:
        """One more where all are busy. For the holder of the lock."""
        if len(self._threads) < min(self._workers, self._unfinished):
            name = f"parser-{len(self._threads)}"
            thread = threading.Thread(target=self._drive, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _drive(self) -> None:
        process: ParserProcess | None = None
        while (task := self._tasks.get()) is not None:
            try:
                process, outcome = self._run(process, task.request)
            except BaseException as error:  # the caller waits for this: it must be told
                process = None
                if isinstance(error, RevectorError):
                    self._broken = self._broken or error
                self._finish()
                task.result.set_exception(error)
            else:
                self._finish()
                task.result.set_result(outcome)
        self._end(process)

    def _finish(self) -> None:
        with self._lock:
            self._unfinished -= 1

    def _run(self, process: ParserProcess | None, request: Request) -> tuple[ParserProcess | None, Outcome]:
        """The outcome and the process for the next request, None where it has ended."""
        fresh = process is None
        process = process or self._start()
        timeout_s = self._limits.timeout_s if request.timeout_s is None else request.timeout_s
        started = time.monotonic()
        try:
            outcome = process.ask(str(request.path), request.uri, request.job, timeout_s)
        except BaseException:
            self._end(process)  # `_drive` does not know of one that was started here
            raise
        if self._closed:
            self._end(process)  # nobody else knows of one that was started here
            raise PoolClosed("the parser pool was closed")
        if isinstance(outcome, ParseCrashed) and not fresh:
            # What earlier documents left behind may be the cause: only a crash in a new
            # process says something about this document.
            self._end(process)
            left = timeout_s - (time.monotonic() - started)
            return self._run(None, replace(request, timeout_s=max(left, MIN_TIMEOUT_S)))
        if process.is_spent:
            self._end(process)
            return None, outcome
        return process, outcome

    def _start(self) -> ParserProcess:
        if self._closed:
            raise PoolClosed("the parser pool was closed")
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
                raise PoolClosed("the parser pool was closed") from error
            raise
        return process

    def _end(self, process: ParserProcess | None) -> None:
        if process is not None:
            process.close()
            with self._lock:
                self._processes.discard(process)
