"""Show how far a run is: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.pipeline import Progress

log = logging.getLogger(__name__)


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress function for the block; on standard error, so results stay clean."""
    if quiet or not sys.stderr.isatty():
        yield _log_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[chunks]} chunks embedded"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("documents", total=None, chunks=0)
        embedded = 0

        def update(stage: str, done: int, total: int) -> None:
            nonlocal embedded
            if stage == "embed":
                embedded += done
                bars.update(task, chunks=embedded)
            else:
                bars.update(task, completed=done, total=total)

        yield update


def _log_progress(stage: str, done: int, total: int) -> None:
    if stage == "documents":
        log.info("documents done: %d of %d", done, total)
