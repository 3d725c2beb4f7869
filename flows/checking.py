"""`revector check`: look at everything, mend what can be mended, look again."""

from __future__ import annotations

from flows.electing import embed_stored
from flows.prototyping import refresh
from flows.session import Session
from registry.blobs import BlobStore
from registry.check import check_fully, check_quickly
from registry.collections import get_collection
from registry.repair import chunks_to_embed, repair_collection
from registry.runs import mark_crashed_runs
from schemas.check import PROTOTYPES, UNIT, VECTORS, CheckReport, Repaired
from schemas.errors import ModelNotAvailable, SpaceMismatch
from schemas.release import Collection


def check(session: Session, name: str, *, quick: bool = False, repair: bool = False) -> CheckReport:
    """What is wrong with a collection; after a repair, what still is.

    Args:
        session: the open registry.
        name: of the collection.
        quick: only the cheap part: rows, digest, and whether the active raw files are there.
        repair: rebuild what can be rebuilt; otherwise nothing is written.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    collection = get_collection(session.db, name)
    blobs = BlobStore(session.settings.home, session.db.tenant_id)
    report = _look(session, collection, blobs, quick=quick, hash_blobs=True)
    if not repair or not report.problems:
        return report
    repaired, notes = _mend(session, collection, blobs, report)
    # damaged files were set aside: what is left was read a moment ago
    again = _look(session, collection, blobs, quick=quick, hash_blobs=False)
    again.repaired, again.notes = repaired, notes
    return again


def _look(
    session: Session, collection: Collection, blobs: BlobStore, *, quick: bool, hash_blobs: bool
) -> CheckReport:
    if quick:
        return check_quickly(session.db, collection, blobs)
    return check_fully(session.db, collection, blobs, hash_blobs=hash_blobs)


def _mend(
    session: Session, collection: Collection, blobs: BlobStore, report: CheckReport
) -> tuple[list[Repaired], list[str]]:
    """What was repaired, and what could not be."""
    mark_crashed_runs(session.db, collection.id)
    repaired = repair_collection(session.db, collection, blobs, report)
    broken = {problem.invariant for problem in report.problems} & {VECTORS, UNIT}
    ids = chunks_to_embed(session.db, collection, unsound_too=UNIT in broken)
    if not ids:
        if any(problem.invariant == PROTOTYPES for problem in report.problems):
            refresh(session, collection.name, rebuild=True)
            repaired.append(Repaired(PROTOTYPES, "made again from all images"))
        return repaired, []
    try:
        count = embed_stored(session, collection, ids, replace=True).embedded
    except (ModelNotAvailable, SpaceMismatch) as exc:
        return repaired, [f"{len(ids)} chunks could not be embedded. {exc}"]
    refresh(session, collection.name, rebuild=True)  # what is embedded again may differ in its last bits
    return [*repaired, Repaired(VECTORS, f"{count} chunks embedded again")], []
