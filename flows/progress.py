"""Show how far a run is: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.pipeline import Progress

log = logging.getLogger(__name__)

LABELS = {"documents": "read and stored", "embed": "chunks embedded"}
"""Stages as they are shown; the number of chunks is known when the first is embedded."""


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress function for the block; on standard error, so results stay clean."""
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
        shown = {"documents": bars.add_task(LABELS["documents"], total=None)}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                shown[stage] = bars.add_task(LABELS.get(stage, stage), total=total)
            bars.update(shown[stage], completed=done, total=total)

        yield update


def _log_progress(stage: str, done: int, total: int) -> None:
    log.info("%s: %d of %d", LABELS.get(stage, stage), done, total)
