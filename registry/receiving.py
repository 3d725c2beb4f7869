"""What the receiver asks of the registry: runs by id, runs by state, documents by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from registry.connection import Database
from registry.queries import load
from schemas.release import RunState

_SQL = load("receiving")
_RUN_FIELDS = (
    "run_id", "collection", "flow", "trigger", "scope", "prefect_flow_run_id",
    "started_at", "finished_at", "state", "stats", "error",
)  # fmt: skip


def find_runs(db: Database, run_id: UUID) -> list[dict[str, Any]]:
    """The run with that id, or the runs of the Prefect flow run with that id, oldest first."""
    with db.connection() as connection:
        rows = connection.execute(_SQL["find_runs"], {"tenant": db.tenant_id, "run": run_id}).fetchall()
    return [dict(zip(_RUN_FIELDS, row, strict=True)) for row in rows]


def count_runs(db: Database) -> list[tuple[str, RunState, int]]:
    """(collection, state, runs)."""
    with db.connection() as connection:
        return connection.execute(_SQL["count_runs"], {"tenant": db.tenant_id}).fetchall()


def find_unknown(db: Database, source_id: int, uris: Sequence[str], *, most: int) -> list[str]:
    """Those of the uris at which, and below which, the index shows nothing; in order, at most `most`."""
    values = {"tenant": db.tenant_id, "source": source_id, "uris": list(uris), "most": most}
    with db.connection() as connection:
        rows = connection.execute(_SQL["find_unknown"], values).fetchall()
    return [uri for (uri,) in rows]
