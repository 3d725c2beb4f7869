"""The frame of every Prefect flow: caught up once, cancelled cleanly, failing with an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import OrchestrationResult
from prefect.exceptions import Abort
from prefect.states import Cancelled, Failed

from flows.announcing import announce_failure, flush_announcements
from flows.catching_up import cancel_missed, find_newer
from flows.flow_run import ThisRun, forward_logs, note_outcome, settings_of, this_run
from flows.logs import log_context
from flows.reporting.artifacts import leave_markdown
from flows.reporting.failure import failure_markdown, failure_message
from flows.reporting.markdown import artifact_key
from schemas.errors import RevectorError

log = logging.getLogger(__name__)

T = TypeVar("T")


def run_work(flow: str, collection: str, config: str | None, work: Callable[[ThisRun], T]) -> T:
    """Do a flow's work as the current flow run; returns what it returns, or the state the run ends in.

    A scheduled run that has a newer one ends as Cancelled, and its process with it, before anything is
    touched. A failed one leaves a report, an event, and a state whose message starts with what happened and
    says what to do.

    Args:
        flow: name of the flow.
        collection: its name, "" for all.
        config: the flow's parameter.
        work: what is to be done.
    """
    run = this_run()
    forward_logs()
    if newer := _find_newer(run):
        log.info("%s", newer)
        _end_as_cancelled(run, newer)
    try:
        with log_context(flow=flow, collection=collection or None, flow_run=str(run.id) if run.id else None):
            done = work(run)
    except Exception as exc:
        state = _fail(exc, run, flow, collection, config)
        flush_announcements()
        return cast("T", state)
    flush_announcements()
    return done


def _find_newer(run: ThisRun) -> str | None:
    """Why this run has nothing to do; what was missed as well is cancelled with it."""
    if run.flow_run is None or not run.flow_run.auto_scheduled or run.flow_run.deployment_id is None:
        return None
    now = datetime.now(UTC)
    try:
        with get_client(sync_client=True) as client:
            newer = find_newer(client, run.flow_run, now)
            cancel_missed(client, run.flow_run.deployment_id, now)
    except Exception as exc:  # twice is better than not at all: a second run finds nothing to do
        log.warning("Missed runs were not looked for (%s: %s).", type(exc).__name__, exc)
        return None
    return newer


def _end_as_cancelled(run: ThisRun, why: str) -> None:
    """End the process of a run that has nothing to do; returning the state would log it as a failure.

    Raises:
        Abort: what Prefect raises itself where its server ends a run; the process ends with exit code 0.
    """
    assert run.flow_run is not None
    with get_client(sync_client=True) as client:
        done: OrchestrationResult[Any] = client.set_flow_run_state(run.flow_run.id, Cancelled(message=why))
    end = Abort(why)
    end.state = done.state  # type: ignore[attr-defined]  # the engine reads it: what the run has ended in
    raise end


def _fail(error: Exception, run: ThisRun, flow: str, collection: str, config: str | None) -> State[Any]:
    """The state of a run that failed, after saying so wherever somebody may look."""
    message = failure_message(error)
    if isinstance(error, RevectorError):
        log.error("%s", message)
    else:
        log.exception("A bug: %s", message)
    tenant = _tenant(config)
    leave_markdown(
        failure_markdown(error, flow=flow, collection=collection, flow_run_id=run.id),
        key=artifact_key(f"{flow}-failed", collection or "all", tenant=tenant),
        description=message[:200],
    )
    note_outcome(type(error).__name__)
    announce_failure(error, flow=flow, tenant=tenant, collection=collection)
    return Failed(message=message, data=error)


def _tenant(config: str | None) -> str:
    """Whose run it is, "default" where the configuration is what failed."""
    try:
        return settings_of(config).tenant
    except RevectorError:
        return "default"
