"""Events: accepted, taken by a run, settled. A run that dies gives back what it has taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from registry.connection import Database
from registry.queries import load
from schemas.errors import EventConflict
from schemas.event import Claimed, Delivery, DeliveryStatus, EventState, PendingCollection
from schemas.source import Source

_SQL = load("events")
_EVENT_FIELDS = ("source", "uri", "action", "state", "outcome", "error", "attempts", "run_id")
_LIST_FIELDS = ("received_at", "sender", "delivery", *_EVENT_FIELDS)
SHOWN_EVENTS = 1000
FREE_CRASHES = 2
"""So many deaths of a run are nobody's fault: machines are restarted."""
DEADLY = 24
"""Enough to halve what waits down to one event."""


def accept_delivery(
    db: Database, collection_id: int, delivery: Delivery, *, effect: Callable[[], object] | None = None
) -> bool:
    """Store a delivery durably; False where it is stored already.

    Args:
        db: the registry.
        collection_id: what it is about.
        delivery: what to store.
        effect: what it does besides; done for a new one only, before it is stored. If it raises, nothing is.
            Another process with the same message waits meanwhile: who inserts first holds its key.

    Raises:
        EventConflict: the sender has used that id for something else.
    """
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "sender": delivery.sender,
        "delivery": delivery.id,
        "body_sha256": delivery.body_sha256,
    }
    with db.transaction() as connection:
        row = connection.execute(_SQL["accept_delivery"], values).fetchone()
        if row is None:
            earlier = connection.execute(_SQL["earlier_delivery"], values).fetchone()
            if earlier != (delivery.body_sha256, collection_id):
                raise EventConflict(
                    f"{delivery.sender} has used the id {delivery.id!r} for another message.",
                    advice="Give each message an id of its own.",
                )
            return False
        sources, uris, actions = zip(*delivery.changes, strict=True) if delivery.changes else ((), (), ())
        connection.execute(
            _SQL["accept_events"],
            {
                **values,
                "delivery": row[0],
                "sources": list(sources),
                "uris": list(uris),
                "actions": list(actions),
            },
        )
        if effect is not None:
            effect()
    return True


def find_delivery(db: Database, sender: str, delivery: str) -> DeliveryStatus | None:
    """What has become of a delivery, with at most `SHOWN_EVENTS` of its events; None where there is none."""
    values = {"tenant": db.tenant_id, "sender": sender, "delivery": delivery, "most": SHOWN_EVENTS}
    with db.connection() as connection:
        head = connection.execute(_SQL["find_delivery"], values).fetchone()
        rows = connection.execute(_SQL["events_of_delivery"], values).fetchall()
    if head is None:
        return None
    events = tuple(dict(zip(_EVENT_FIELDS, row, strict=True)) for row in rows)
    states = {event["state"] for event in events}
    state: EventState = "pending" if "pending" in states else "failed" if "failed" in states else "applied"
    runs = dict.fromkeys(event["run_id"] for event in events if event["run_id"])
    return DeliveryStatus(head[0], head[1], head[2], head[3], state, events, tuple(runs))


def pending_collections(db: Database, *, debounce_s: float, max_wait_s: float) -> list[PendingCollection]:
    """Collections whose events are due, the longest waiting first; not those a living run works on."""
    values = {"tenant": db.tenant_id, "debounce": debounce_s, "max_wait": max_wait_s}
    with db.connection() as connection:
        rows = connection.execute(_SQL["pending_collections"], values).fetchall()
    return [PendingCollection(*row) for row in rows]


def pending_sources(db: Database, collection_id: int) -> list[Source]:
    """Sources of a collection that events wait for."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["pending_sources"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchall()
    return [
        Source(name, root, tuple(include), tuple(exclude), id=id_)
        for id_, name, root, include, exclude in rows
    ]


def claim_events(
    db: Database, collection_id: int, source_id: int, run_id: UUID, *, most: int = 100_000
) -> list[Claimed]:
    """Take what is pending for a source, oldest first; nobody else does while the run lives.

    Where runs have died with events again and again, ever fewer are taken at a time, and those that no run
    has died with first: so the others are done, and the one that kills is found, and has failed.
    """
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "source": source_id,
        "run": run_id,
    }
    deadly = {"error": f"{DEADLY} runs have died with it.", "deadly": DEADLY}
    with db.transaction() as connection:
        connection.execute(_SQL["fail_deadly_events"], {**values, **deadly})
        row = connection.execute(_SQL["due_events"], values).fetchone()
        assert row is not None
        due, crashes = row
        fewer = min(most, max(1, due >> max(0, crashes - FREE_CRASHES)))
        rows = connection.execute(_SQL["claim_events"], {**values, "most": fewer}).fetchall()
    return sorted(Claimed(*row) for row in rows)


def settle_events(db: Database, run_id: UUID, outcomes: Mapping[int, str]) -> int:
    """Record what came of events the run has taken: id -> outcome; returns how many that settled."""
    values = {
        "tenant": db.tenant_id,
        "run": run_id,
        "ids": list(outcomes),
        "outcomes": list(outcomes.values()),
    }
    with db.connection() as connection:
        return connection.execute(_SQL["settle_events"], values).rowcount


def give_back_events(
    db: Database,
    run_id: UUID | None,
    *,
    error: str,
    retry: bool,
    attempts: int | None,
    delay_s: float = 5.0,
    counts: bool = True,
    source_id: int | None = None,
    ids: Sequence[int] | None = None,
) -> None:
    """Let go of what the run has taken and not settled.

    Args:
        db: the registry.
        run_id: of the run; None for a source's events that no run could take.
        error: what went wrong, for whoever looks.
        retry: whether another run may try; otherwise they have failed.
        attempts: after how many tries they have failed; None is never.
        delay_s: before the second try; it doubles each time, up to ten minutes.
        counts: whether this was a try.
        source_id: of the source, where there is no run.
        ids: only these.
    """
    values = {
        "tenant": db.tenant_id,
        "run": run_id,
        "source": source_id,
        "error": error,
        "retry": retry,
        "attempts": attempts,
        "delay": delay_s,
        "counts": counts,
        "ids": None if ids is None else list(ids),
    }
    with db.connection() as connection:
        connection.execute(_SQL["give_back_events"], values)


def retry_events(db: Database, collection_id: int) -> int:
    """Make failed events pending again; returns how many."""
    with db.connection() as connection:
        return connection.execute(
            _SQL["retry_events"], {"tenant": db.tenant_id, "collection": collection_id}
        ).rowcount


def count_events(db: Database) -> list[tuple[str, EventState, int, datetime]]:
    """(collection, state, events, the oldest's arrival)."""
    with db.connection() as connection:
        return connection.execute(_SQL["count_events"], {"tenant": db.tenant_id}).fetchall()


def count_settled(db: Database, collection_id: int, *, since: datetime) -> int:
    """How many events of a collection were settled since a time."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "since": since}
    with db.connection() as connection:
        row = connection.execute(_SQL["count_settled"], values).fetchone()
    assert row is not None
    return int(row[0])


def count_failed(db: Database, collection_id: int) -> int:
    """How many events of a collection have failed."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["count_failed"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchone()
    return int(row[0]) if row else 0


def count_pending(db: Database, collection_id: int) -> int:
    """How many events of a collection wait."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["count_pending"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchone()
    assert row is not None
    return int(row[0])


def list_events(
    db: Database, collection_id: int, *, state: EventState | None = None, most: int = 100
) -> list[dict[str, Any]]:
    """Events of a collection, newest first."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "state": state, "most": most}
    with db.connection() as connection:
        rows = connection.execute(_SQL["list_events"], values).fetchall()
    return [dict(zip(_LIST_FIELDS, row, strict=True)) for row in rows]


def drop_old_deliveries(db: Database, collection_id: int, *, before: datetime) -> int:
    """Forget deliveries that came before a time and have nothing pending; returns how many."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "before": before}
    with db.connection() as connection:
        return connection.execute(_SQL["drop_old_deliveries"], values).rowcount


def count_old_deliveries(db: Database, collection_id: int, *, before: datetime) -> int:
    """How many `drop_old_deliveries` would forget."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "before": before}
    with db.connection() as connection:
        row = connection.execute(_SQL["count_old_deliveries"], values).fetchone()
    assert row is not None
    return int(row[0])
