"""Differences between two states of a collection, named as people name them."""

from __future__ import annotations

from uuid import UUID

from flows.rollback import target_release
from flows.session import Session
from registry.collections import get_collection
from registry.history import diff_releases, diff_staged
from registry.runs import get_run
from schemas.errors import RunNotStaged
from schemas.history import ReleaseDiff


def compare(session: Session, collection_name: str, old: str, new: str | None = None) -> ReleaseDiff:
    """What leads from one release to another, or what a staged run would change.

    Args:
        session: the open registry.
        collection_name: which collection.
        old: a release (number, tag or time; 0 is the empty start), or the id of a staged run.
        new: a release; the current one by default.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        RunNotStaged: the run holds nothing.
    """
    collection = get_collection(session.db, collection_name)
    if new is None and (run_id := _run_id(old)) is not None:
        run = get_run(session.db, collection.id, run_id)
        if run is None or run["state"] not in ("staged", "running"):
            raise RunNotStaged(
                f"Run {old} of collection {collection_name!r} holds nothing staged.",
                advice="`revector status` shows the last run.",
            )
        return diff_staged(session.db, collection, run_id)
    first = target_release(session, collection, old)
    second = collection.current_release if new is None else target_release(session, collection, new)
    return diff_releases(session.db, collection, first, second)


def _run_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
