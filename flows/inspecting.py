"""What is there: the state of a collection, and its near-duplicates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.session import Session
from flows.spaces import shown_space
from registry.collections import count_duplicates, get_collection, list_collections, list_sources
from registry.connection import Database
from registry.dispatch import list_waiting
from registry.election import list_clusters
from registry.events import count_failed
from registry.history import find_release, require_whole
from registry.rollback import count_holds
from registry.runs import latest_runs, list_staged_runs, mark_crashed_runs
from registry.vector_index import index_state
from schemas.errors import RevectorError
from schemas.release import Collection


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
    suppressed, flagged = count_duplicates(session.db, collection.id)
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
        "duplicates": {"suppressed": suppressed, "flagged": flagged},
        "model": row["model"],
        "revision": row["revision"],
        "dim": row["dim"],
        "next": next_model(session, collection),
        "index": _index(session.db, collection),
        "sources": [
            {"name": source.name, "root": source.root_url}
            for source in list_sources(session.db, collection.id)
        ],
        "failed_events": count_failed(session.db, collection.id),
        "waiting": waiting_events(session.db, collection.id),
        "staged_runs": list_staged_runs(session.db, collection.id),
        "last_run": last
        and {
            key: last[key]
            for key in ("run_id", "flow", "trigger", "state", "started_at", "finished_at", "error")
        },
    }


def next_model(session: Session, collection: Collection) -> dict[str, Any] | None:
    """The model that is named as `next`, and whether it serves; None where none is, or nothing serves yet.

    `problem` says why nothing can be changed to it.
    """
    settings = session.settings.collection(collection.name)
    if settings.next is None or collection.active_space_id is None:
        return None
    try:
        active, choice = session.changing(collection)
    except RevectorError as exc:
        return {
            "model": settings.next_model_for(collection.kind), "is_active": False, "problem": exc.message
        }  # fmt: skip
    return {"model": shown_space(choice.space), "is_active": choice.space == active, "problem": None}


def _index(db: Database, collection: Collection) -> dict[str, Any] | None:
    """The index that vector searches use; None where there is none, and they read all vectors."""
    if collection.active_space_id is None:
        return None
    found = index_state(db, collection.active_space_id, collection.id)
    return None if found is None else asdict(found)


def waiting_events(db: Database, collection_id: int) -> dict[str, Any] | None:
    """Events that are pending, since when, and why if something is wrong; None where there are none."""
    for found in list_waiting(db, collection_id):
        return {
            "events": found.events,
            "since": found.since,
            "failures": found.failures,
            "trouble": found.trouble,
        }
    return None


def list_duplicates(session: Session, name: str, reference: str | None = None) -> dict[str, Any]:
    """The documents of a release that stand for others, with these; as plain values.

    Args:
        session: the open registry.
        name: of the collection.
        reference: a release by number, tag or time; None is the current one.

    Raises:
        CollectionNotFound, ReleaseNotFound: see the classes.
        ReleaseIncomplete: documents of that release were purged, so its groups are no longer whole.
    """
    db = session.db
    collection = get_collection(db, name)
    number = collection.current_release
    if reference is not None:
        number = find_release(db, collection, reference).number
        with db.connection() as connection:
            require_whole(connection, db.tenant_id, collection, number, vectors=False)
    clusters = list_clusters(db, collection, number) if number else []
    return {
        "collection": name,
        "release": number or None,
        "clusters": [asdict(cluster) for cluster in clusters],
    }
