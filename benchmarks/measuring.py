"""What all benchmarks share: the row they return, and timing in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict


class Row(TypedDict):
    """One line of the table. `ratio` is ours / baseline, None where there is no baseline."""

    name: str
    ours: str
    baseline: str
    ratio: float | None
    meaning: str


Sides = Mapping[str, Callable[[], object]]


def alternate(
    sides: Sides,
    *,
    rounds: int,
    before: Callable[[], None] | None = None,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Seconds of each side by name, run in turns (A B A B ...), so that a busy machine slows both.

    Args:
        sides: what to time.
        rounds: measured rounds.
        before: called before each measured call, not timed.
        warm_up: run each side once first, not measured.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + warm_up):
        for name, side in sides.items():
            if before:
                before()
            started = time.perf_counter()
            side()
            elapsed = time.perf_counter() - started
            if number >= warm_up:
                seconds[name].append(elapsed)
    return seconds


def median_ratio(ours: Sequence[float], baseline: Sequence[float]) -> float:
    """Median over the rounds of ours / baseline of the same round.

    >>> median_ratio([2.0, 3.0, 9.0], [1.0, 1.0, 1.0])
    3.0
    """
    return statistics.median(a / b for a, b in zip(ours, baseline, strict=True))


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, for a cell of the table.

    >>> milliseconds([0.001, 0.5, 0.002])
    '2.0 ms'
    """
    return f"{statistics.median(seconds) * 1000:,.1f} ms"


def per_second(count: int, seconds: Sequence[float], unit: str) -> str:
    """The median rate, for a cell of the table.

    >>> per_second(10_000, [2.0], "vectors")
    '5,000 vectors/s'
    """
    return f"{count / statistics.median(seconds):,.0f} {unit}/s"
