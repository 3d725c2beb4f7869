"""Reindex: look at the documents that events, or a person, have named; nothing else is listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flows.named import CONFLICT
from flows.pipeline import Progress, ignore_progress, ingest_location
from flows.session import Session
from registry.collections import get_collection, list_sources
from registry.events import claim_events, defer_events, give_back_events, pending_sources, settle_events
from registry.runs import mark_crashed_runs
from schemas.errors import RevectorError, SourceNotFound
from schemas.event import Claimed
from schemas.plan import Named
from schemas.report import RunReport
from schemas.source import Source
from tasks.batch import Steps
from tasks.sources.routing import require_uri, route

OVERTAKEN = "Another run has changed it meanwhile; it is looked at again."
AGAIN_S = 1.0
"""Before what another run has changed meanwhile is looked at again."""


@dataclass(slots=True)
class ReindexReport:
    """What a reindex of a collection did.

    Attributes:
        collection: its name.
        runs: one for each source that was looked at, in order; those that failed are not among them.
        outcomes: (source, uri) -> outcome (`schemas.event.Outcome`), of what was named.
        errors: name of a source -> why nothing of it was done.
        events: how many events were settled.
        retried: how many stay pending, because another run has changed what they name meanwhile.
    """

    collection: str
    runs: list[RunReport] = field(default_factory=list)
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    events: int = 0
    retried: int = 0

    def add(self, source: Source, run: RunReport, outcomes: Mapping[str, str]) -> None:
        """Put the run over a source into the report."""
        self.runs.append(run)
        self.outcomes |= {(source.name, uri): outcome for uri, outcome in sorted(outcomes.items())}


class EventNaming:
    """What pending events of a source name; they are settled with the run that has looked."""

    def __init__(self, session: Session, collection_id: int, source: Source) -> None:
        assert source.id is not None
        self._db = session.db
        self._attempts = session.settings.webhook.attempts
        self._collection_id = collection_id
        self._source_id = source.id
        self._run_id: UUID | None = None
        self._claimed: list[Claimed] = []
        self.outcomes: dict[str, str] = {}
        self.settled = 0
        self.retried = 0

    def claim(self, run_id: UUID) -> Named:
        """Take what is pending."""
        self._run_id = run_id
        self._claimed = claim_events(self._db, self._collection_id, self._source_id, run_id)
        gone = frozenset(event.uri for event in self._claimed if event.action == "deleted")
        return Named(frozenset(event.uri for event in self._claimed), gone)

    def settle(self, run_id: UUID, outcomes: Mapping[str, str]) -> None:
        """Record what came of each; what another run was faster with stays pending."""
        self.outcomes = dict(outcomes)
        done = {event.id: outcomes[event.uri] for event in self._claimed}
        overtaken = [event for event, outcome in done.items() if outcome == CONFLICT]
        for event in overtaken:
            del done[event]
        self.settled, self.retried = settle_events(self._db, run_id, done), len(overtaken)
        if overtaken:
            give_back_events(
                self._db,
                run_id,
                error=OVERTAKEN,
                retry=True,
                attempts=self._attempts,
                delay_s=AGAIN_S,
                ids=overtaken,
            )

    def give_back(self, error: Exception) -> None:
        """After a run that failed: whether another try can help decides what becomes of the events.

        A bug is tried again as well: what is pending is seen, and the number of tries is limited.
        """
        if isinstance(error, RevectorError):
            says, retry = str(error), error.retryable or isinstance(error, SourceNotFound)  # mounted again?
        else:
            says, retry = f"{type(error).__name__}: {error}", True
        if self._run_id is None:
            defer_events(self._db, self._source_id, error=says, retry=retry, attempts=self._attempts)
        else:
            give_back_events(self._db, self._run_id, error=says, retry=retry, attempts=self._attempts)


class PersonNaming:
    """What a person names."""

    def __init__(self, uris: frozenset[str]) -> None:
        self._uris = uris
        self.outcomes: dict[str, str] = {}

    def claim(self, run_id: UUID) -> Named:
        """The uris; that they are gone is taken as meant."""
        return Named(self._uris, self._uris)

    def settle(self, run_id: UUID, outcomes: Mapping[str, str]) -> None:
        """Keep what came of each."""
        self.outcomes = dict(outcomes)


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
    found = get_collection(session.db, collection)
    mark_crashed_runs(session.db, found.id)  # what they had taken is free again
    report, last = ReindexReport(collection), None
    for source in pending_sources(session.db, found.id):
        naming = EventNaming(session, found.id, source)
        try:
            done = ingest_location(
                session,
                steps,
                source.root_url,
                collection,
                naming=naming,
                trigger="event",
                prefect_flow_run_id=prefect_flow_run_id,
                progress=progress,
            )
        except Exception as error:
            naming.give_back(error)
            if not isinstance(error, RevectorError):
                raise
            report.errors[source.name], last = str(error), error
            continue
        report.add(source, done, naming.outcomes)
        report.events += naming.settled
        report.retried += naming.retried
    if last is not None and not report.runs:
        raise last
    return report


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
    found = get_collection(session.db, collection)
    sources = list_sources(session.db, found.id)
    routed: dict[str, set[str]] = {}
    inbox = str(session.settings.inbox.expanduser().resolve())
    for uri in uris:
        place, inner = route(sources, require_uri(uri, folder=True), source=source, inbox=inbox)
        routed.setdefault(place.root_url, set()).add(inner)
    report = ReindexReport(collection)
    for place in sources:
        if place.root_url in routed:
            naming = PersonNaming(frozenset(routed[place.root_url]))
            done = ingest_location(
                session,
                steps,
                place.root_url,
                collection,
                naming=naming,
                trigger=trigger,
                prefect_flow_run_id=prefect_flow_run_id,
                progress=progress,
            )
            report.add(place, done, naming.outcomes)
    return report
