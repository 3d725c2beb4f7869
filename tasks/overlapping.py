"""Three stages at the same time: the next piece is made ready, one is computed, the last one is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import Thread
from typing import Generic, TypeVar

Ready = TypeVar("Ready")
Block = TypeVar("Block")
Stored = TypeVar("Stored")


GRACE_S = 5.0
"""What is under way when another stage fails has this long to end by itself: it may be paid for ..."""
SIGNAL_GRACE_S = 0.5
"""... less when somebody ends the run ..."""
STEP_S = 0.1
"""... then it is interrupted, again and again, since between two statements nothing is there to interrupt."""


class Overlap(Generic[Ready, Block, Stored]):
    """Runs the stages; `compute`, `stored` and the caller share a thread, the others have one each.

    One piece is ready ahead, and one block is being stored, never more. What a stage raises ends all of
    them and is raised once, when the calls that were under way have returned.

    Args:
        compute: the blocks of a piece.
        store: writes a block away; called for one after the other.
        stored: told what `store` gave.
        timer: seconds, monotonic.
        interrupt: makes what the other threads wait for come to an end; called until they have ended.
    """

    def __init__(
        self,
        compute: Callable[[Ready], Iterable[Block]],
        store: Callable[[Block], Stored],
        stored: Callable[[Stored], None],
        timer: Callable[[], float],
        interrupt: Callable[[], None],
    ) -> None:
        self._compute = compute
        self._store = store
        self._stored = stored
        self._timer = timer
        self._interrupt = interrupt
        self._storing: Future[Stored] | None = None
        self.waited = 0.0
        """Seconds that computing waited for a store."""
        self.told = 0.0
        """Seconds in `stored`."""

    def run(self, pieces: Iterator[Ready]) -> None:
        """Run until all is stored; `pieces` are made in a thread, each while the one before is computed."""
        ahead, behind = ThreadPoolExecutor(1, "ready"), ThreadPoolExecutor(1, "store")
        grace_s = SIGNAL_GRACE_S
        try:
            for pool in (ahead, behind):  # a signal while a thread starts would lose it, with its work
                pool.submit(int).result()
            self._run(pieces, ahead, behind)
        except Exception:
            grace_s = GRACE_S
            raise
        finally:
            self._end(grace_s, ahead, behind)

    def _run(self, pieces: Iterator[Ready], ahead: Executor, behind: Executor) -> None:
        coming = ahead.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = ahead.submit(next, pieces, None)
            for block in self._compute(piece):
                self._finish()
                self._storing = behind.submit(self._store, block)
        self._finish()

    def _finish(self) -> None:
        """Wait for the block that is being stored."""
        if self._storing is None:
            return
        began = self._timer()
        done = self._storing.result()
        self._storing, ended = None, self._timer()
        self._stored(done)
        self.waited += ended - began
        self.told += self._timer() - ended

    def _end(self, grace_s: float, *pools: Executor) -> None:
        """Take back what has not begun, and wait for what has; not for what that waits for."""
        closing = Thread(target=_close, args=pools, name="end")
        closing.start()
        another: BaseException | None = None
        while closing.is_alive():
            try:
                closing.join(grace_s)
                if closing.is_alive():
                    self._interrupt()
            except BaseException as exc:  # a second Ctrl-C: threads left behind would keep the process alive
                another = exc
            grace_s = STEP_S
        if another is not None:
            raise another


def _close(*pools: Executor) -> None:
    for pool in pools:
        pool.shutdown(cancel_futures=True)
