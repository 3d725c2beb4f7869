"""Show how far a run is: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""(stage, done, total): called often; whoever shows it thins it out."""

LABELS = {"documents": "read and stored", "embed": "chunks embedded", "switch": "switched"}
"""Stages as they are shown; the number of chunks is known when the first is embedded."""

ESTIMATES = "flows.estimating"
"""The logger that says how much is to be embedded."""


def ignore_progress(stage: str, done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def show_progress(*, quiet: bool = False, first: str = "documents") -> Iterator[Progress]:
    """A progress function for the block; on standard error, so results stay clean.

    Args:
        quiet: only log.
        first: the stage whose bar is there from the beginning.
    """
    if quiet or not sys.stderr.isatty():
        yield _log_progress
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        shown = {first: bars.add_task(LABELS[first], total=None)}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                shown[stage] = bars.add_task(LABELS.get(stage, stage), total=total)
            bars.update(shown[stage], completed=done, total=total)

        with _shown_above(bars.console.print):
            yield update


@contextmanager
def _shown_above(show: Callable[[str], None]) -> Iterator[None]:
    """Show what is to be embedded above the bars, whatever the level of the log is."""
    logger = logging.getLogger(ESTIMATES)
    handler, level = _Shown(show), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Shown(logging.Handler):
    """Hands on what is logged, and nothing of when and by whom."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show the message."""
        self._show(record.getMessage())


def _log_progress(stage: str, done: int, total: int) -> None:
    log.info("%s: %d of %d", LABELS.get(stage, stage), done, total)
