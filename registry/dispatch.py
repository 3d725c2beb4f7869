"""Which flow run was last asked for on behalf of a collection's events, and why events wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from registry.connection import Database
from registry.locks import try_lock_dispatch
from registry.queries import load
from schemas.release import RunState

_SQL = load("dispatch")
MAX_TROUBLE = 1000


class Dispatch(NamedTuple):
    """The last flow run asked for.

    Attributes:
        key: its idempotency key.
        flow_run_id: None while the answer is not known.
        asked_at: when.
        failures: how many before it, in a row, did not complete.
        trouble: why events wait; None where nothing is known to be wrong.
    """

    key: UUID
    flow_run_id: UUID | None
    asked_at: datetime
    failures: int
    trouble: str | None


@contextmanager
def hold_dispatch(db: Database, collection_id: int) -> Iterator[bool]:
    """Be the only one who asks for a collection's flow runs, while the block runs; False where another is."""
    with db.transaction() as connection:
        yield try_lock_dispatch(connection, collection_id)


def read_dispatch(db: Database, collection_id: int) -> Dispatch | None:
    """The last one, None where there was none."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["read_dispatch"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchone()
    return Dispatch(*row) if row else None


def next_dispatch(db: Database, collection_id: int, *, failures: int) -> UUID:
    """Write down that another one is about to be asked for; returns its key."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "failures": failures}
    with db.connection() as connection:
        row = connection.execute(_SQL["next_dispatch"], values).fetchone()
    assert row is not None
    key: UUID = row[0]
    return key


def note_dispatch(db: Database, collection_id: int, key: UUID, flow_run_id: UUID) -> None:
    """Write down which flow run that is."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "key": key, "flow_run": flow_run_id}
    with db.connection() as connection:
        connection.execute(_SQL["note_dispatch"], values)


def note_trouble(db: Database, collection_id: int, trouble: str) -> None:
    """Write down why a collection's events wait, for whoever looks."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "trouble": trouble[:MAX_TROUBLE]}
    with db.connection() as connection:
        connection.execute(_SQL["note_trouble"], values)


def end_trouble(db: Database, collection_id: int) -> None:
    """A run has settled events: what was wrong before is over."""
    with db.connection() as connection:
        connection.execute(_SQL["end_trouble"], {"tenant": db.tenant_id, "collection": collection_id})


class Waiting(NamedTuple):
    """Events of a collection that are pending.

    Attributes:
        collection: its name.
        events: how many.
        since: when the oldest came.
        failures: flow runs in a row that were asked for and did not settle any.
        trouble: why they wait; None where nothing is known to be wrong.
    """

    collection: str
    events: int
    since: datetime
    failures: int
    trouble: str | None


def list_waiting(db: Database, collection_id: int | None = None) -> list[Waiting]:
    """Of each collection with events that are pending, or of one."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.connection() as connection:
        return [Waiting(*row) for row in connection.execute(_SQL["waiting"], values).fetchall()]


def runs_of_flow_run(db: Database, flow_run_id: UUID) -> list[tuple[RunState, datetime]]:
    """(state, when it ended, or began) of a flow run's runs, latest first."""
    with db.connection() as connection:
        return connection.execute(
            _SQL["runs_of_flow_run"], {"tenant": db.tenant_id, "flow_run": flow_run_id}
        ).fetchall()


def crashed_flow_runs(db: Database, run_ids: Sequence[UUID]) -> list[UUID]:
    """The flow runs of those of these runs that have crashed."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["flow_runs_of"], {"tenant": db.tenant_id, "runs": list(run_ids)}
        ).fetchall()
    return [flow_run for (flow_run,) in rows]
