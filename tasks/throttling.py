"""Work that stands back for searches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


class Throttle:
    """Stands back while searches are slower than they were before the work began.

    Args:
        search: one search as users make them.
        duty: share of the time that work may take at most; above 0, up to 1.
        timer: seconds, monotonic.
        sleep: waits so many seconds.
    """

    EVERY_S = 1.0
    FIRST = 5
    SLOWER = 3.0
    SLOWER_BY_S = 0.02
    MOST_FACTOR = 8.0
    MOST_PAUSE_S = 5.0

    def __init__(
        self,
        search: Callable[[], object],
        *,
        duty: float = 1.0,
        timer: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._search = search
        self._rest = 1 / duty - 1
        self._timer = timer
        self._sleep = sleep
        usual = statistics.median(self._time() for _ in range(self.FIRST))
        self._limit = max(self.SLOWER * usual, usual + self.SLOWER_BY_S)
        self._factor = 0.0
        self._asked_at = self._since = timer()
        self.paused = 0.0
        """Seconds that it has stood back."""

    def breathe(self) -> None:
        """Call between two pieces of work: waits as long as searches, and the duty, ask for."""
        now = self._timer()
        worked = now - self._since
        if now - self._asked_at >= self.EVERY_S:
            self._asked_at = now
            self._factor = self._next_factor(is_slow=self._time() > self._limit)
        # the limit is for searches, which may be fast again; the duty is what the user asked for
        pause = max(min(worked * self._factor, self.MOST_PAUSE_S), worked * self._rest)
        if pause > 0:
            self._sleep(pause)
            self.paused += pause
        self._since = self._timer()

    def _next_factor(self, *, is_slow: bool) -> float:
        """Pauses as a multiple of the work between them: doubled while searches are slow, halved after."""
        if is_slow:
            return min(max(2 * self._factor, 0.5), self.MOST_FACTOR)
        return self._factor / 2 if self._factor > 0.1 else 0.0

    def _time(self) -> float:
        began = self._timer()
        self._search()
        return self._timer() - began
