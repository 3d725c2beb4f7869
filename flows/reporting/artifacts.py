"""Leave artifacts on a run's page. They tell of the work; that they cannot be stored never stops it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.progress import LABELS, Progress
from flows.reporting.markdown import artifact_key

log = logging.getLogger(__name__)

P = ParamSpec("P")

PROGRESS_EVERY_S = 1.0
PROGRESS_KEYS = {"documents": "progress", "embed": "embedding"}
"""What the key of a stage's artifact ends in, after the flow's name."""


def _never_stops(leave: Callable[P, None]) -> Callable[P, None]:
    @functools.wraps(leave)
    def call(*args: P.args, **options: P.kwargs) -> None:
        try:
            leave(*args, **options)
        except Exception as exc:  # a server that is away or full: the release counts, not its report
            log.warning("No report was left in Prefect (%s: %s).", type(exc).__name__, exc)

    return call


@_never_stops
def leave_markdown(text: str, *, key: str, description: str) -> None:
    """A page of Markdown."""
    create_markdown_artifact(text, key=key, description=description)


@_never_stops
def leave_table(rows: Sequence[dict[str, Any]], *, key: str, description: str) -> None:
    """A table with a column for each key of the rows; nothing where there are none."""
    if rows:
        create_table_artifact([*rows], key=key, description=description)


def progress_artifact(
    collection: str, timer: Callable[[], float], *, tenant: str = "default", flow: str = "ingest"
) -> Progress:
    """A progress function that keeps an artifact a stage up to date, each at most once a second."""
    artifacts: dict[str, UUID] = {}
    shown: dict[str, float] = {}

    @_never_stops
    def update(stage: str, done: int, total: int) -> None:
        if total == 0:
            return
        percent, now = 100.0 * done / total, timer()
        if stage in shown and now - shown[stage] < PROGRESS_EVERY_S and done < total:
            return
        shown[stage] = now  # also where it fails: the next try is a second away
        if stage in artifacts:
            update_progress_artifact(artifacts[stage], percent)
            return
        created = create_progress_artifact(
            percent,
            key=artifact_key(f"{flow}-{PROGRESS_KEYS.get(stage, stage)}", collection, tenant=tenant),
            description=f"{LABELS.get(stage, stage)}: collection {collection}",
        )
        assert isinstance(created, UUID)  # a coroutine only where the caller is async
        artifacts[stage] = created

    return update
