"""Releases that a gate held back: show them all the same, or drop them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from flows.electing import with_election
from flows.prototyping import refresh
from flows.session import Session
from registry.blobs import BlobStore
from registry.check_release import check_release
from registry.collections import find_space, get_collection
from registry.releases import activate_run
from registry.runs import complete_staged, get_run, settle_staged
from schemas.errors import ConfigurationError, RunNotStaged
from schemas.release import Collection
from schemas.report import ChunkCounts, RunReport

_STAGED = ("source", "parsed", "estimate", "tokens")
"""What showing a run adds nothing to."""


def activate_staged(session: Session, collection_name: str, run_id: UUID) -> RunReport:
    """Show what a run staged, whatever its gate said. Each chunk must have a vector all the same.

    A document that another run has changed since then stays as it is.

    Raises:
        RunNotStaged: the run holds nothing.
        GateFailed: chunks lack vectors.
    """
    collection, run = _staged(session, collection_name, run_id)
    started = session.timer()
    space_id = collection.active_space_id or _configured_space(session, collection)
    collection = replace(collection, active_space_id=space_id)
    activation, embedded = with_election(
        session,
        collection,
        run_id,
        lambda elect: activate_run(session.db, collection.id, space_id, run_id, state="staged", elect=elect),
    )
    report = RunReport(str(run_id), collection_name)
    counts = report.documents
    counts.added, counts.changed, counts.deleted = activation.added, activation.changed, activation.deleted
    counts.duplicate = activation.duplicates
    report.chunks = ChunkCounts(activation.places, activation.places - embedded, embedded)
    report.hidden, report.restored = activation.hidden, activation.restored
    report.conflicts = sum(1 for item in activation.overtaken if not item.is_same)
    report.state = "succeeded" if activation.release else "unchanged"
    report.seconds["activate"] = report.seconds["total"] = session.timer() - started
    if activation.release:
        report.release, report.digest = activation.release.number, activation.release.digest.hex()
        blobs = BlobStore(session.settings.home, session.db.tenant_id)
        report.problems = check_release(session.db, collection.id, report.release, space_id, blobs)
        report.prototypes = refresh(session, collection_name)
    stats = _add_up(run["stats"], report)
    if activation.release is None:
        settle_staged(session.db, run_id, report.state, stats=stats)
    elif activation.documents:  # none where another process has shown it at the same moment
        complete_staged(session.db, run_id, stats=stats)
    return report


def _add_up(staged: dict[str, Any], report: RunReport) -> dict[str, Any]:
    """What is stored of the run: the work that it did before it was held back, and showing it."""
    shown = report.stats()
    kept = {name: staged[name] for name in _STAGED if name in staged}
    seconds = {**staged.get("seconds", {})}
    for stage, spent in shown["seconds"].items():
        seconds[stage] = round(seconds.get(stage, 0.0) + spent, 4)
    chunks = report.chunks
    embedded = chunks.embedded + staged.get("chunks", {}).get("embedded", 0)
    counts = ChunkCounts(chunks.total, max(0, chunks.total - embedded), embedded)
    return {**staged, **shown, **kept, "seconds": seconds, "chunks": asdict(counts)}


def discard_staged(session: Session, collection_name: str, run_id: UUID) -> None:
    """Drop what a run staged; what it stored is reused by the next run, or purged.

    Raises:
        RunNotStaged: the run holds nothing.
    """
    _, run = _staged(session, collection_name, run_id)
    settle_staged(session.db, run_id, "stopped", stats=run["stats"])


def _staged(session: Session, collection_name: str, run_id: UUID) -> tuple[Collection, dict[str, Any]]:
    collection = get_collection(session.db, collection_name)
    run = get_run(session.db, collection.id, run_id)
    if run is None:
        raise RunNotStaged(
            f"Collection {collection_name!r} has no run {run_id}.",
            advice="`revector status` shows the last run.",
        )
    if run["state"] != "staged":
        raise RunNotStaged(
            f"Run {run_id} is {run['state']}, not staged.", advice="`revector status` shows the last run."
        )
    return collection, run


def _configured_space(session: Session, collection: Collection) -> int:
    """The space of a first release: that of the configured model."""
    choice = session.choose_space(collection.name, collection.kind, None)
    found = find_space(session.db, choice.space)
    if found is None:
        raise ConfigurationError(
            f"{choice.card.name} is not the model this run embedded with.", advice="Set the model back."
        )
    return found
