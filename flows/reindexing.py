"""Reindex: look at the documents that events, or a person, have named; nothing else is listed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from flows.named import CONFLICT, places
from flows.pipeline import ingest_location
from flows.progress import Progress, ignore_progress
from flows.session import Session
from registry.collections import get_collection, list_sources
from registry.dispatch import end_trouble
from registry.events import claim_events, give_back_events, pending_sources, settle_events
from registry.runs import mark_crashed_runs
from schemas.errors import MassDeletion, RevectorError, SourceNotFound, SourceUnavailable
from schemas.event import Claimed
from schemas.plan import Named
from schemas.report import RunReport
from schemas.source import Source
from tasks.batch import Steps
from tasks.sources.base import require_same_root
from tasks.sources.routing import require_uri, route

OVERTAKEN = "Another run has changed it meanwhile; it is looked at again."
FIRST_PAUSE_S = 5.0
"""After a try that failed; it doubles each time."""
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
        """Take what is pending. What is said to be deleted and to be changed as well may be there again."""
        self._run_id = run_id
        self._claimed = claim_events(self._db, self._collection_id, self._source_id, run_id)
        said: dict[str, set[str]] = {}
        for event in self._claimed:
            said.setdefault(event.uri, set()).add(event.action)
        gone = frozenset(uri for uri, actions in said.items() if actions == {"deleted"})
        return Named(frozenset(said), gone)

    def settle(self, run_id: UUID, outcomes: Mapping[str, str]) -> None:
        """Record what came of each; what another run was faster with stays pending."""
        self.outcomes = dict(outcomes)
        done = {event.id: outcomes[event.uri] for event in self._claimed}
        overtaken = [event for event, outcome in done.items() if outcome == CONFLICT]
        for event in overtaken:
            del done[event]
        self.settled, self.retried = settle_events(self._db, run_id, done), len(overtaken)
        if overtaken:
            self._give_back(OVERTAKEN, retry=True, counts=False, delay_s=AGAIN_S, ids=overtaken)

    def give_back(self, error: Exception) -> None:
        """After a run that failed: whether another try can help decides what becomes of the events.

        A source that is away is waited for. A bug is tried again as well: what is pending is seen, and the
        number of tries is limited.
        """
        if not isinstance(error, RevectorError):
            self._give_back(f"{type(error).__name__}: {error}", retry=True)
        elif isinstance(error, SourceNotFound | SourceUnavailable):
            self._give_back(str(error), retry=True, attempts=None)
        else:
            self._give_back(str(error), retry=error.retryable)

    def fail_guarded(self, error: MassDeletion) -> bool:
        """Fail the events that the guard held, let go of the others; whether there are any."""
        doomed = {place for uri in error.facts["deleted"] for place in places(uri)}
        held = [event.id for event in self._claimed if event.uri in doomed]
        others = [event.id for event in self._claimed if event.uri not in doomed]
        if not held:  # they are named as another source calls them
            self.give_back(error)
            return False
        self._give_back(str(error), retry=False, ids=held)
        self._give_back("", retry=True, counts=False, delay_s=0, ids=others)
        return bool(others)

    def _give_back(
        self,
        error: str,
        *,
        retry: bool,
        attempts: int | None = 0,
        counts: bool = True,
        delay_s: float = FIRST_PAUSE_S,
        ids: Sequence[int] | None = None,
    ) -> None:
        give_back_events(
            self._db,
            self._run_id,
            error=error,
            retry=retry,
            attempts=self._attempts if attempts == 0 else attempts,
            delay_s=delay_s,
            counts=counts,
            source_id=self._source_id,
            ids=ids,
        )


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
    report = ReindexReport(collection)
    last: RevectorError | None = None
    sources = deque(pending_sources(session.db, found.id))
    while sources:
        source = sources.popleft()
        naming = EventNaming(session, found.id, source)
        try:
            require_same_root(source)
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
        except MassDeletion as error:
            report.errors[source.name], last = str(error), error
            if naming.fail_guarded(error):
                sources.appendleft(source)
            continue
        except Exception as error:
            naming.give_back(error)
            if not isinstance(error, RevectorError):
                raise
            report.errors[source.name], last = str(error), error
            continue
        report.add(source, done, naming.outcomes)
        report.events += naming.settled
        report.retried += naming.retried
    if report.events:
        end_trouble(session.db, found.id)
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
            require_same_root(place)
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
