"""Three stages at the same time: the next piece is made ready, one is computed, the last one is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Ready = TypeVar("Ready")
Block = TypeVar("Block")
Stored = TypeVar("Stored")


class Overlap(Generic[Ready, Block, Stored]):
    """Runs the stages; `compute`, `stored` and the caller share a thread, the others have one each.

    One piece is ready ahead, and one block is being stored, never more. What a stage raises ends all of
    them and is raised once, when the calls that were under way have returned.

    Args:
        compute: the blocks of a piece.
        store: writes a block away; called for one after the other.
        stored: told what `store` gave.
        timer: seconds, monotonic.
    """

    def __init__(
        self,
        compute: Callable[[Ready], Iterable[Block]],
        store: Callable[[Block], Stored],
        stored: Callable[[Stored], None],
        timer: Callable[[], float],
    ) -> None:
        self._compute = compute
        self._store = store
        self._stored = stored
        self._timer = timer
        self._storing: Future[Stored] | None = None
        self.waited = 0.0
        """Seconds that computing waited for a store."""
        self.told = 0.0
        """Seconds in `stored`."""

    def run(self, pieces: Iterator[Ready]) -> None:
        """Run until all is stored; `pieces` are made in a thread, each while the one before is computed."""
        with _thread("ready") as ahead, _thread("store") as behind:
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


@contextmanager
def _thread(name: str) -> Iterator[ThreadPoolExecutor]:
    """One thread, gone at the end; what it has not begun by then is not done."""
    pool = ThreadPoolExecutor(1, name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
