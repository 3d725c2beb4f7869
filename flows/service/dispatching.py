"""From events to flow runs: one that looks at all that waits, whatever dies in between.

Level-triggered: as long as a collection has events that are due, and no flow run is under way for it,
one is asked for. So nothing depends on any single message, process or answer getting through.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from registry.collections import list_collections
from registry.connection import Database
from registry.dispatch import (
    Dispatch,
    crashed_flow_runs,
    hold_dispatch,
    next_dispatch,
    note_dispatch,
    note_trouble,
    read_dispatch,
    runs_of_flow_run,
)
from registry.events import count_settled, pending_collections
from registry.runs import mark_crashed_runs
from schemas.errors import RevectorError
from schemas.event import PendingCollection
from schemas.settings import Settings

log = logging.getLogger(__name__)

STEP_S = 0.5
TIDY_S = 5.0
STUCK_S = 60.0
"""A flow run that is pending for so long has lost its process."""
RUNNING_FACTOR = 10
"""One that is running without a run of ours gets so many times as long: it may wait for a lock."""
RETRY_S = 2.0
MOST_RETRY_S = 300.0
CANCELLED_S = 300.0
"""Whoever cancels a run has time to pause the deployment, or to mend the source."""

PAUSED = "The deployment reindex/reindex is paused in Prefect."
NOT_TAKEN = "waits to be taken: the pool is busy with other runs or paused, or it has no worker."


class FlowRun(Protocol):
    """What is known of a flow run."""

    @property
    def state(self) -> str:
        """SCHEDULED, PENDING, RUNNING, CANCELLING, PAUSED; COMPLETED, FAILED, CRASHED, CANCELLED."""
        ...

    @property
    def since(self) -> datetime:
        """When it came into that state."""
        ...

    @property
    def why(self) -> str:
        """What it says of that state; may be empty."""
        ...


class Orchestrator(Protocol):
    """Who runs flows: Prefect, but for tests."""

    def ask(self, collection: str, key: str, *, tenant: str) -> UUID | None:
        """Ask for a reindex; with the same key it is the same one. None while it is paused."""
        ...

    def look(self, flow_run_id: UUID) -> FlowRun | None:
        """What has become of a flow run; None where there is none."""
        ...

    def declare_crashed(self, flow_run_id: UUID, why: str) -> None:
        """Say that a flow run that is pending or running has no process any more."""
        ...

    def crash_stuck(self, older_than: timedelta) -> list[UUID]:
        """Say so of all our flow runs that a worker has taken so long ago, and not started."""
        ...


FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


class Dispatcher:
    """Asks for flow runs, and tells the orchestrator of runs whose process is gone.

    Any number may run beside each other: they agree by locks in the database.

    Args:
        db: the registry.
        settings: whose `webhook` and `tenant` matter.
        orchestrator: who runs flows.
        stuck_s: see `STUCK_S`.
        retry_s: before a flow run after one that failed; it doubles up to `most_retry_s`.
        most_retry_s: the longest wait.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        orchestrator: Orchestrator,
        *,
        stuck_s: float = STUCK_S,
        retry_s: float = RETRY_S,
        most_retry_s: float = MOST_RETRY_S,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._settings = settings.webhook
        self._tenant = settings.tenant
        self._orchestrator = orchestrator
        self._stuck = timedelta(seconds=stuck_s)
        self._retry_s = retry_s
        self._most_retry_s = most_retry_s
        self._clock = clock
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """What failed when it was tried last; "" where nothing did."""
        return "; ".join(self._troubles.values())

    def wake(self) -> None:
        """Something was accepted: look sooner."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` after the step it is at."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Dispatch and tidy up until `stop`; trouble is logged once, and tried again."""
        tidied, failures = 0.0, 0
        while not self._stopped.is_set():
            if time.monotonic() - tidied >= TIDY_S:
                tidied = time.monotonic()
                self._try("finding dead runs", self.tidy)
            failures = 0 if self._try("dispatching events", self.step) else failures + 1
            self._wake.wait(min(STEP_S * 2 ** min(failures, 4), 10.0))
            self._wake.clear()

    def step(self) -> list[UUID]:
        """Ask for what is due; returns the flow runs asked for. Trouble with one collection is not another's.

        Raises:
            Exception: the first trouble, after all were tried.
        """
        asked, trouble = [], None
        for due in pending_collections(
            self._db, debounce_s=self._settings.debounce_s, max_wait_s=self._settings.max_wait_s
        ):
            try:
                with hold_dispatch(self._db, due.id) as is_mine:
                    if is_mine and (flow_run := self._dispatch(due)) is not None:
                        asked.append(flow_run)
            except Exception as error:
                trouble = trouble or error
                with suppress(RevectorError):  # the database may be what is away
                    note_trouble(self._db, due.id, _said(error))
        if trouble:
            raise trouble
        return asked

    def tidy(self) -> list[UUID]:
        """Mark runs whose process is gone, in the registry and in Prefect; returns their flow runs."""
        gone = []
        for collection in list_collections(self._db):
            if crashed := mark_crashed_runs(self._db, collection["id"]):
                log.warning("collection %s: %d runs had lost their process", collection["name"], len(crashed))
                gone += crashed_flow_runs(self._db, crashed)
        for flow_run in gone:
            self._orchestrator.declare_crashed(flow_run, "its process is gone")
        return gone + self._orchestrator.crash_stuck(self._stuck)

    def _dispatch(self, due: PendingCollection) -> UUID | None:
        last, failures = read_dispatch(self._db, due.id), 0
        if last is not None and last.flow_run_id is None:  # asked, but the answer was lost
            return self._ask(due, last.key)
        if last is not None and last.flow_run_id is not None:
            seen = self._orchestrator.look(last.flow_run_id)
            if seen is not None and seen.state not in FINAL and not self._has_died(last.flow_run_id, seen):
                self._note_waiting(due, last.flow_run_id, seen)
                return None
            if seen is not None and not self._has_done_something(due, last, seen):
                failures = last.failures + 1
                note_trouble(self._db, due.id, _ended(last.flow_run_id, seen))
                if seen.state in FINAL and self._clock() < seen.since + self._pause(seen.state, failures):
                    return None
        return self._ask(due, next_dispatch(self._db, due.id, failures=failures))

    def _has_done_something(self, due: PendingCollection, last: Dispatch, seen: FlowRun) -> bool:
        """Whether a flow run has completed, and settled events: one that looks elsewhere completes, too."""
        return seen.state == "COMPLETED" and count_settled(self._db, due.id, since=last.asked_at) > 0

    def _ask(self, due: PendingCollection, key: UUID) -> UUID | None:
        flow_run = self._orchestrator.ask(due.name, str(key), tenant=self._tenant)
        if flow_run is not None:
            note_dispatch(self._db, due.id, key, flow_run)
            log.info("collection %s: %d events: flow run %s", due.name, due.events, flow_run)
        else:
            note_trouble(self._db, due.id, PAUSED)
        return flow_run

    def _note_waiting(self, due: PendingCollection, flow_run_id: UUID, seen: FlowRun) -> None:
        """Say so where a flow run waits for long: nobody may be there who would take it."""
        if seen.state == "SCHEDULED" and self._clock() >= seen.since + self._stuck:
            note_trouble(self._db, due.id, f"Flow run {flow_run_id} {NOT_TAKEN}")

    def _pause(self, state: str, failures: int) -> timedelta:
        if state == "CANCELLED":
            return timedelta(seconds=CANCELLED_S)
        return timedelta(seconds=min(self._retry_s * 2.0 ** min(failures - 1, 20), self._most_retry_s))

    def _has_died(self, flow_run_id: UUID, seen: FlowRun) -> bool:
        """Whether a flow run that should be at work has no process: then Prefect is told."""
        stuck = self._stuck if seen.state == "PENDING" else self._stuck * RUNNING_FACTOR
        if seen.state == "SCHEDULED" or self._clock() < seen.since + stuck:
            return False
        runs = runs_of_flow_run(self._db, flow_run_id)
        if any(state == "running" for state, _ in runs):  # `tidy` finds out whether it lives
            return False
        if runs and self._clock() < runs[0][1] + stuck:
            return False
        why = f"{seen.state.lower()} for long, and no run is at work"
        self._orchestrator.declare_crashed(flow_run_id, why)
        return True

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        """Whether it works; trouble is logged when it begins, changes and ends."""
        try:
            work()
        except Exception as error:  # the database or the server is away: they come back
            says = _said(error)
            if says != self._troubles.get(what):
                log.warning("%s fails, and is tried again: %s", what, says)
            self._troubles[what] = says
            return False
        if self._troubles.pop(what, None):
            log.info("%s works again", what)
        return True


def _said(error: Exception) -> str:
    return error.message if isinstance(error, RevectorError) else f"{type(error).__name__}: {error}"


def _ended(flow_run_id: UUID, seen: FlowRun) -> str:
    """What a flow run that has settled nothing says for itself."""
    if seen.state not in FINAL:
        return f"Flow run {flow_run_id} had no process any more."
    why = seen.why or "it settled no event"
    return f"Flow run {flow_run_id} is {seen.state.capitalize()}: {why}"


@contextmanager
def dispatching(dispatcher: Dispatcher) -> Iterator[Dispatcher]:
    """Run a dispatcher in a thread while the block runs."""
    thread = threading.Thread(target=dispatcher.run, name="dispatcher", daemon=True)
    thread.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        thread.join(timeout=30)
