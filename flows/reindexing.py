"""Reindex: look at the documents that events, or a person, have named; nothing else is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flows.pipeline import Progress, ignore_progress
from flows.session import Session
from schemas.report import RunReport
from tasks.batch import Steps


@dataclass(slots=True)
class ReindexReport:
    """What a reindex of a collection did.

    Attributes:
        collection: its name.
        runs: one for each source that was looked at, in order; those that failed are not among them.
        outcomes: (source, uri) -> outcome (`schemas.event.Outcome`), of what was named.
        errors: name of a source -> why nothing of it was done.
        retried: how many events stay pending for another try.
    """

    collection: str
    runs: list[RunReport] = field(default_factory=list)
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    retried: int = 0


def apply_events(
    session: Session,
    steps: Steps,
    collection: str,
    *,
    prefect_flow_run_id: UUID | None = None,
    progress: Progress = ignore_progress,
) -> ReindexReport:
    """Apply the pending events of a collection, source by source; each leads to at most one release.

    Raises:
        CollectionNotFound: there is no such collection.
        RevectorError: nothing could be done for any source; the events stay, or have failed.
    """
    raise NotImplementedError


def reindex_documents(
    session: Session,
    steps: Steps,
    collection: str,
    uris: Sequence[str],
    *,
    source: str | None = None,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
    progress: Progress = ignore_progress,
) -> ReindexReport:
    """Look at named documents or folders now, without events. A uri that is gone is retired.

    Args:
        session: the open registry.
        steps: how the steps are run.
        collection: its name.
        uris: paths below the source, of files or folders.
        source: its name; needed where the collection has several.
        trigger: manual, schedule or event.
        prefect_flow_run_id: of the flow run, if there is one.
        progress: told how far it is.

    Raises:
        CollectionNotFound, EventRefused: see the classes.
        RevectorError: as `ingest_location`.
    """
    raise NotImplementedError
