"""What is there: the state of a collection."""

from __future__ import annotations

from typing import Any

from flows.session import Session
from registry.collections import get_collection, list_collections, list_sources
from registry.rollback import count_holds
from registry.runs import latest_runs, list_staged_runs, mark_crashed_runs


def collection_status(session: Session, name: str) -> dict[str, Any]:
    """Release, counts, model, sources and last run of a collection, as plain values.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    collection = get_collection(session.db, name)
    mark_crashed_runs(session.db, collection.id)
    row = next(row for row in list_collections(session.db) if row["id"] == collection.id)
    runs = latest_runs(session.db, collection.id, most=1)
    last = runs[0] if runs else None
    return {
        "collection": name,
        "kind": row["kind"],
        "release": row["release"] or None,
        "digest": row["digest"].hex() if row["digest"] else None,
        "activated_at": row["activated_at"],
        "documents": row["documents"],
        "chunks": row["chunks"],
        "rejected": row["rejected"],
        "held": count_holds(session.db, collection.id),
        "model": row["model"],
        "revision": row["revision"],
        "dim": row["dim"],
        "sources": [
            {"name": source.name, "root": source.root_url}
            for source in list_sources(session.db, collection.id)
        ],
        "staged_runs": list_staged_runs(session.db, collection.id),
        "last_run": last
        and {
            key: last[key]
            for key in ("run_id", "flow", "trigger", "state", "started_at", "finished_at", "error")
        },
    }
