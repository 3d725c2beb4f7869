"""Wall time by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds seconds to a dict under the stage's name.

    >>> ticks = iter([1.0, 3.5])
    >>> watch = Stopwatch(lambda: next(ticks), {})
    >>> with watch("parse"):
    ...     pass
    >>> watch.seconds
    {'parse': 2.5}
    """

    def __init__(self, timer: Callable[[], float], seconds: dict[str, float]) -> None:
        self.timer = timer
        self.seconds = seconds

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block."""
        started = self.timer()
        try:
            yield
        finally:
            self.add(stage, self.timer() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds that were measured elsewhere."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
