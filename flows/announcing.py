"""Tell Prefect what happened to a collection, as events that automations can react to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Literal

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from schemas.errors import GateFailed, RevectorError
from schemas.reembed import ReembedReport
from schemas.report import RunReport

log = logging.getLogger(__name__)

BUG = "This is a bug: please report it, with the run's log."

Happening = Literal[
    "revector.release.activated",
    "revector.release.rolled_back",
    "revector.gate.failed",
    "revector.run.failed",
]
FLUSH_S = 10.0
"""How long a run waits at its end for the server to take its events."""


def announce(happening: Happening, *, tenant: str, collection: str, payload: Mapping[str, Any]) -> None:
    """Emit an event about a collection; the flow run is among its related resources.

    An event is news, not state: where it cannot be sent that is logged, and the run goes on.
    """
    name = collection or "*"
    resource = {
        "prefect.resource.id": f"revector.collection.{tenant}.{name}",
        "prefect.resource.name": name,
        "revector.tenant": tenant,
        "revector.collection": name,
    }
    try:
        emit_event(happening, resource=resource, payload={"collection": collection, **payload})
    except Exception as exc:  # whatever a client raises, the work is done
        log.warning("The event %s was not sent (%s: %s).", happening, type(exc).__name__, exc)


def announce_release(
    report: RunReport, *, tenant: str, happening: Happening = "revector.release.activated"
) -> None:
    """Say that a release is shown; nothing where none came of the run."""
    counts = report.as_json()
    facts = {name: counts[name] for name in ("source", "documents", "chunks")}
    announce_shown(report, facts, tenant=tenant, happening=happening)


def announce_shown(
    report: RunReport | ReembedReport,
    facts: Mapping[str, Any],
    *,
    tenant: str,
    happening: Happening = "revector.release.activated",
) -> None:
    """Say that a release is shown, with what is told of its kind of run; nothing where none came of it."""
    if report.release is None:
        return
    announce(
        happening,
        tenant=tenant,
        collection=report.collection,
        payload={
            "release": report.release,
            "digest": report.digest,
            "run": report.run_id,
            **facts,
            "seconds": round(report.seconds["total"], 4),
        },
    )


def announce_failure(error: Exception, *, flow: str, tenant: str, collection: str) -> None:
    """Say that a run failed, or that its gate held the release back."""
    known = error if isinstance(error, RevectorError) else None
    announce(
        "revector.gate.failed" if isinstance(error, GateFailed) else "revector.run.failed",
        tenant=tenant,
        collection=collection,
        payload={
            "flow": flow,
            "error": type(error).__name__,
            "message": known.message if known else str(error),
            "advice": known.advice if known else BUG,
            "retryable": bool(known and known.retryable),
        },
    )


def flush_announcements(timeout_s: float = FLUSH_S) -> bool:
    """Wait until the server has what was announced; False where it has not in time."""
    done = threading.Event()

    def wait() -> None:
        EventsWorker.instance().wait_until_empty()
        done.set()

    # a thread of its own: joining Prefect's queue has no time limit, and the server may be away
    threading.Thread(target=wait, name="flush-events", daemon=True).start()
    if done.wait(timeout_s):
        return True
    log.warning("The Prefect server did not take this run's events within %g s.", timeout_s)
    return False
