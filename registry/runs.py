"""Runs and the rejections they record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from registry.connection import Database
from registry.locks import hold_run, is_run_alive, lock_blobs
from registry.queries import load
from registry.staging import drop_staged
from schemas.release import Rejection, RunState
from schemas.source import Stat

_SQL = load("runs")
_RUN_FIELDS = ("run_id", "flow", "trigger", "scope", "started_at", "finished_at", "state", "stats", "error",
               "prefect_flow_run_id")  # fmt: skip


class RejectionRow(NamedTuple):
    """A rejection with what tells the next run that nothing has changed since."""

    rejection: Rejection
    stat: Stat | None
    content_sha256: bytes | None
    parser: str
    fingerprint: bytes


@contextmanager
def hold_new_run(
    db: Database,
    collection_id: int,
    run_id: UUID,
    *,
    flow: str,
    trigger: str,
    scope: str,
    prefect_flow_run_id: UUID | None = None,
) -> Iterator[None]:
    """Record a run and hold its lock while it lives, so that others can tell it from a dead one."""
    with db.dedicated() as connection:
        hold_run(connection, str(run_id))
        values = {
            "run": run_id,
            "tenant": db.tenant_id,
            "collection": collection_id,
            "flow": flow,
            "trigger": trigger,
            "prefect_flow_run": prefect_flow_run_id,
            "scope": scope,
        }
        with connection.transaction():  # not while blobs are being deleted for want of this run
            lock_blobs(connection, db.tenant_id)
            connection.execute(_SQL["create_run"], values)
        yield


def finish_run(
    db: Database, run_id: UUID, state: RunState, *, stats: dict[str, Any], error: str | None = None
) -> None:
    """Record how a run ended. What it staged stays only where it is to be looked at (`staged`).

    An ingest or rollback that failed after its release was shown has succeeded: the answer to its
    COMMIT was lost. One that is staged replaces what an earlier run of the same place has staged.
    """
    with db.transaction() as connection:
        if state == "staged":
            connection.execute(_SQL["drop_superseded"], {"run": run_id, "tenant": db.tenant_id})
        else:
            drop_staged(connection, {"run": run_id, "tenant": db.tenant_id})
        connection.execute(
            _SQL["finish_run"],
            {"run": run_id, "tenant": db.tenant_id, "state": state, "stats": Jsonb(stats), "error": error},
        )


def settle_staged(db: Database, run_id: UUID, state: RunState, *, stats: dict[str, Any]) -> None:
    """End a staged run: it was activated, or is dropped with all it staged."""
    values = {"run": run_id, "tenant": db.tenant_id, "state": state, "stats": Jsonb(stats)}
    with db.transaction() as connection:
        if connection.execute(_SQL["settle_staged"], values).rowcount:
            drop_staged(connection, values)


def complete_staged(db: Database, run_id: UUID, *, stats: dict[str, Any]) -> None:
    """Record what activating a staged run showed; its state went with the release."""
    values = {"run": run_id, "tenant": db.tenant_id, "stats": Jsonb(stats)}
    with db.connection() as connection:
        connection.execute(_SQL["complete_staged"], values)


def mark_crashed_runs(db: Database, collection_id: int) -> list[UUID]:
    """Mark runs whose process is gone; their staged changes are dropped, what they stored is reused.

    One that died after its release was shown has succeeded.
    """
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["list_running"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchall()
    crashed = []
    for (run_id,) in rows:
        with db.transaction() as connection:
            if is_run_alive(connection, str(run_id)):
                continue
            values = {"run": run_id, "tenant": db.tenant_id}
            connection.execute(_SQL["mark_crashed"], values)
            drop_staged(connection, values)
            crashed.append(run_id)
    return crashed


def latest_runs(db: Database, collection_id: int, *, most: int = 20) -> list[dict[str, Any]]:
    """The last runs, newest first."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["latest_runs"], {"tenant": db.tenant_id, "collection": collection_id, "most": most}
        ).fetchall()
    return [dict(zip(_RUN_FIELDS, row, strict=True)) for row in rows]


def list_staged_runs(db: Database, collection_id: int) -> list[str]:
    """Ids of runs that a gate held back, newest first."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["list_staged"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchall()
    return [run_id for (run_id,) in rows]


def get_run(db: Database, collection_id: int, run_id: UUID) -> dict[str, Any] | None:
    """A run of the collection, None where there is none of that id."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["get_run"], {"tenant": db.tenant_id, "collection": collection_id, "run": run_id}
        ).fetchone()
    return dict(zip(_RUN_FIELDS, row, strict=True)) if row else None


def record_rejections(
    db: Database, collection_id: int, source_id: int, run_id: UUID, rows: Iterable[RejectionRow]
) -> None:
    """Store rejections; one of the same document before is replaced."""
    values = [
        {
            "tenant": db.tenant_id,
            "collection": collection_id,
            "source": source_id,
            "run": run_id,
            "uri": row.rejection.uri,
            "stage": row.rejection.stage,
            "error": row.rejection.error,
            "message": row.rejection.message.replace("\x00", ""),
            "retryable": row.rejection.retryable,
            **(row.stat._asdict() if row.stat else dict.fromkeys(Stat._fields)),
            "content_sha256": row.content_sha256,
            "parser": row.parser,
            "fingerprint": row.fingerprint,
        }
        for row in rows
    ]
    if values:
        with db.transaction() as connection, connection.cursor() as cursor:
            cursor.executemany(_SQL["upsert_rejections"], values)


def drop_rejections(db: Database, source_id: int, uris: Sequence[str]) -> None:
    """Forget rejections of documents that are gone or were indexed."""
    if uris:
        with db.connection() as connection:
            connection.execute(
                _SQL["drop_rejections"], {"tenant": db.tenant_id, "source": source_id, "uris": list(uris)}
            )


def sources_to_retry(
    db: Database, collection_id: int, uris: Sequence[str] | None
) -> dict[str, frozenset[str]]:
    """Root of a source -> uris that stand rejected there, or were read in part; what they lie in is reopened.

    Args:
        db: the registry.
        collection_id: where.
        uris: only these; None is all.
    """
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "uris": None if uris is None else list(uris),
    }
    found: dict[str, set[str]] = {}
    with db.transaction() as connection:
        for root, uri in connection.execute(_SQL["sources_to_retry"], values).fetchall():
            found.setdefault(root, set()).add(uri)
        places = {"/".join(uri.split("/")[:n]) for uris in found.values() for uri in uris
                  for n in range(1, uri.count("/") + 2)}  # fmt: skip
        connection.execute(_SQL["reopen_containers"], {**values, "uris": sorted(places)})
    return {root: frozenset(names) for root, names in found.items()}


def list_rejections(
    db: Database, collection_id: int, *, source_id: int | None = None, most: int = 10_000
) -> list[Rejection]:
    """What stands rejected now, latest first."""
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["list_rejections"],
            {"tenant": db.tenant_id, "collection": collection_id, "source": source_id, "most": most},
        ).fetchall()
    return [Rejection(*row) for row in rows]
