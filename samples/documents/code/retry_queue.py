"""A small in-memory retry queue with exponential backoff.

Jobs that fail are put back with a growing delay. A job that has failed
`max_attempts` times is moved to the dead-letter list, where an operator can
look at it. Time is passed in by the caller, so the queue is easy to test.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    """One unit of work and its history."""

    name: str
    payload: dict[str, Any]
    attempts: int = 0
    errors: list[str] = field(default_factory=list)


class QueueFull(RuntimeError):
    """Raised when more than `capacity` jobs are waiting."""


def backoff_seconds(attempt: int, base: float = 1.5, ceiling: float = 300.0) -> float:
    """Return the wait before the given attempt, doubling each time.

    The first retry waits `base` seconds. The delay never exceeds `ceiling`,
    which is five minutes unless told otherwise.
    """
    if attempt < 1:
        raise ValueError("attempt counts from 1")
    return min(ceiling, base * 2 ** (attempt - 1))


class RetryQueue:
    """Keeps jobs ordered by the moment at which they may run next."""

    def __init__(self, max_attempts: int = 6, capacity: int = 10_000) -> None:
        self.max_attempts = max_attempts
        self.capacity = capacity
        self.dead_letters: list[Job] = []
        self._heap: list[tuple[float, int, Job]] = []
        self._ticket = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, job: Job, not_before: float = 0.0) -> None:
        """Add a job; ties are served in the order of arrival."""
        if len(self._heap) >= self.capacity:
            raise QueueFull(f"{self.capacity} jobs are already waiting")
        heapq.heappush(self._heap, (not_before, next(self._ticket), job))

    def run_due(self, now: float, handler: Callable[[Job], None]) -> int:
        """Run every job that is due and return how many succeeded."""
        succeeded = 0
        while self._heap and self._heap[0][0] <= now:
            _, _, job = heapq.heappop(self._heap)
            job.attempts += 1
            try:
                handler(job)
            except Exception as error:
                job.errors.append(str(error))
                if job.attempts >= self.max_attempts:
                    self.dead_letters.append(job)
                else:
                    self.push(job, now + backoff_seconds(job.attempts))
            else:
                succeeded += 1
        return succeeded
