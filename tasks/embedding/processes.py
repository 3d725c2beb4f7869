"""Processes that hold a model each, as their parent sees them: start, ask, explain a death, end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import EmbeddingFailed, RevectorError

Request = Callable[[Any], Any]
"""What a process applies to its model; it is pickled, and so is what it returns."""


class Load(NamedTuple):
    """A device, and what loads the model there; it is pickled."""

    device: str
    load: Callable[[], Any]


class DeviceProcess:
    """A process with a model. It ends when the pipe to it does, and so with its parent."""

    def __init__(self, load: Load) -> None:
        self.device = load.device
        self.connection: Connection[Any, Any]
        self.connection, theirs = Pipe()
        with theirs:
            try:
                self._process = _start_child(theirs.fileno(), load.device)
            except OSError as exc:
                raise EmbeddingFailed(
                    f"The process that embeds on {load.device} cannot be started: {exc}.",
                    advice="Free memory, or name fewer devices; then run the same command again.",
                    device=load.device,
                ) from exc
        self.send(load.load)

    def send(self, message: Any) -> None:
        """Have it answer; `receive` gives the answer.

        Raises:
            EmbeddingFailed: it is dead.
        """
        try:
            self.connection.send(message)
        except OSError as exc:
            raise self._death() from exc

    def receive(self) -> Any:
        """The next answer, waited for.

        Raises:
            RevectorError: what its model raised, or EmbeddingFailed: it is dead.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, OSError) as exc:
            raise self._death() from exc
        if isinstance(answer, RevectorError):
            raise answer
        return answer

    def end(self) -> None:
        """End it now, whatever it does. Any number of times."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _death(self) -> EmbeddingFailed:
        code = self._process.wait()
        how = f"exited with {code}"
        if code < 0:
            how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        memory = "Memory is the likely cause: name fewer devices, or free some. " * (code == -signal.SIGKILL)
        return EmbeddingFailed(
            f"The process that embeds on {self.device} {how}; nothing of what it had was stored.",
            advice=f"{memory}What was stored stays: run the same command again.",
            device=self.device,
            exit_code=code,
        )


class DevicePool:
    """One process a device, started by the first question; all end with the pool, and when one fails.

    Not for several threads.
    """

    def __init__(self, loads: Sequence[Load]) -> None:
        self._loads = loads
        self._processes: list[DeviceProcess] = []
        weakref.finalize(self, _end, self._processes)

    @property
    def devices(self) -> list[str]:
        """The device of each process."""
        return [load.device for load in self._loads]

    @property
    def is_started(self) -> bool:
        """Whether there are processes."""
        return bool(self._processes)

    def ask_all(self, request: Request) -> list[Any]:
        """What the request gives on each device, in their order.

        Raises:
            RevectorError: a model could not be loaded, or raised; EmbeddingFailed: a process is dead.
        """
        try:
            self._start()
            for process in self._processes:
                process.send(request)
            return [process.receive() for process in self._processes]
        except BaseException:
            self.close()
            raise

    def ask_any(self, requests: Iterable[Request]) -> Iterator[tuple[int, Any]]:
        """Requests to whichever device is free; a device has one at a time.

        A device gets the next one when its answer is handed over: there are never more answers, made or being
        made, than devices.

        Args:
            requests: each is made when a device is free for it.

        Yields:
            The number of a request, and its answer, in any order.

        Raises:
            RevectorError: as `ask_all`.
        """
        todo = enumerate(requests)
        busy: dict[Any, tuple[DeviceProcess, int]] = {}

        def give(process: DeviceProcess) -> None:
            for number, request in todo:
                process.send(request)
                busy[process.connection] = process, number
                return

        try:
            self._start()
            for process in self._processes:
                give(process)
            while busy:
                for connection in wait(list(busy)):
                    process, number = busy.pop(connection)
                    answer = process.receive()
                    give(process)
                    yield number, answer
        except BaseException:  # answers under way would be taken for those of the next requests
            self.close()
            raise

    def close(self) -> None:
        """End all processes now; the next question starts others."""
        _end(self._processes)

    def _start(self) -> None:
        if not self._processes:
            for load in self._loads:
                self._processes.append(DeviceProcess(load))
            for process in self._processes:
                process.receive()


def _start_child(fd: int, device: str) -> subprocess.Popen[bytes]:
    """The child at a pipe's other end; one of multiprocessing would run the caller's main module again."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tasks.embedding.child", str(fd), device],
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)},
        start_new_session=True,  # Ctrl-C is the parent's to answer
    )


def _end(processes: list[DeviceProcess]) -> None:
    while processes:
        processes.pop().end()
