"""Undo: a rollback as a recorded run, and what it would change."""

from __future__ import annotations

from uuid import UUID, uuid4

from flows.electing import with_election
from flows.ending import describe_end
from flows.prototyping import refresh
from flows.session import Session
from flows.switching import in_one_space
from registry.blobs import BlobStore
from registry.check_release import check_release
from registry.collections import get_collection, get_space
from registry.history import RESERVED, diff_releases, find_release
from registry.rollback import DocumentTarget, RolledBack, preview_document, roll_back, roll_back_document
from registry.runs import finish_run, hold_new_run, mark_crashed_runs
from registry.search import space_of_release
from schemas.errors import ConfigurationError
from schemas.history import ReleaseDiff
from schemas.release import Collection
from schemas.report import ChunkCounts, RunReport

LAST = RESERVED
"""The release before the current one."""


def target_release(session: Session, collection: Collection, reference: str) -> int:
    """The number a reference names: a number, a tag, a time, `LAST`; 0 is the empty start.

    Raises:
        ReleaseNotFound: there is none.
        ConfigurationError: there is nothing to undo yet.
    """
    if reference == LAST:
        if collection.current_release == 0:
            raise ConfigurationError(
                f"Collection {collection.name!r} has no release yet.", advice="There is nothing to undo."
            )
        return collection.current_release - 1
    if reference.strip() == "0":
        return 0
    return find_release(session.db, collection, reference).number


def preview_rollback(session: Session, collection_name: str, reference: str) -> ReleaseDiff:
    """What a rollback to that release would change; writes nothing.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        SpaceMismatch: the release's model is none of those that are configured.
    """
    collection = get_collection(session.db, collection_name)
    to = target_release(session, collection, reference)
    _require_its_model(session, collection, to)
    return diff_releases(session.db, collection, collection.current_release, to)


def preview_document_rollback(session: Session, collection_name: str, target: DocumentTarget) -> int:
    """The version that a rollback of that document would show; writes nothing."""
    return preview_document(session.db, get_collection(session.db, collection_name), target)


def _require_its_model(session: Session, collection: Collection, to: int) -> None:
    """A release that nobody could search afterwards is not shown.

    Raises:
        ReleaseIncomplete: purge has taken parts, or vectors, of it.
        SpaceMismatch: its model is none of those that are configured.
    """
    space_id = space_of_release(session.db, collection, to)
    if space_id not in (None, collection.active_space_id):
        space = get_space(session.db, space_id)
        session.choose_space(collection.name, collection.kind, space, what=f"Release {to}")


def rollback_collection(
    session: Session,
    collection_name: str,
    target: str | DocumentTarget,
    *,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
) -> RunReport:
    """Show what an earlier release, or version of a document, showed; a new release comes of it.

    Args:
        session: the open registry.
        collection_name: which collection.
        target: a release (number, tag, time, `LAST`), or a document.
        trigger: manual, schedule or event.
        prefect_flow_run_id: of the flow run, if there is one.

    Raises:
        ReleaseNotFound, ReleaseIncomplete, DocumentNotFound: see the classes.
        SpaceMismatch: the release's model is none of those that are configured.
    """
    collection = get_collection(session.db, collection_name)
    mark_crashed_runs(session.db, collection.id)
    to = target if isinstance(target, DocumentTarget) else target_release(session, collection, target)
    if isinstance(to, int):
        _require_its_model(session, collection, to)
    report = RunReport(str(run_id := uuid4()), collection_name)
    held = hold_new_run(
        session.db,
        collection.id,
        run_id,
        flow="rollback",
        trigger=trigger,
        scope=to.uri if isinstance(to, DocumentTarget) else f"release {to}",
        prefect_flow_run_id=prefect_flow_run_id,
    )
    with held:
        started, embedded = session.timer(), 0
        try:
            if isinstance(to, DocumentTarget):
                done, embedded = _roll_back_document(session, collection_name, run_id, to)
            else:
                # undoing "the last" must not undo one more that has come since
                seen = collection.current_release if target == LAST else None
                done = roll_back(session.db, collection, run_id, to, only_from=seen)
        except BaseException as exc:
            finish_run(session.db, run_id, "failed", stats={}, error=describe_end(exc))
            raise
        report.seconds["activate"] = session.timer() - started
        _fill(report, done, embedded)
        _check(session, collection, report)
        report.prototypes = refresh(session, collection_name)
        report.seconds["total"] = session.timer() - started
        stats = report.stats()
        finish_run(session.db, run_id, report.state, stats=stats)
    return report


def _roll_back_document(
    session: Session, collection_name: str, run_id: UUID, to: DocumentTarget
) -> tuple[RolledBack, int]:
    """What was done, and how many chunks had to be embedded for it, with the model that serves by then."""

    def attempt() -> tuple[RolledBack, int]:
        now = get_collection(session.db, collection_name)
        return with_election(
            session, now, run_id, lambda elect: roll_back_document(session.db, now, run_id, to, elect=elect)
        )

    return in_one_space(attempt)


def _check(session: Session, collection: Collection, report: RunReport) -> None:
    if report.release is not None:
        # a rollback may have switched the space
        space_id = space_of_release(session.db, collection, report.release)
        assert space_id is not None
        started = session.timer()
        blobs = BlobStore(session.settings.home, session.db.tenant_id)
        report.problems = check_release(session.db, collection.id, report.release, space_id, blobs)
        report.seconds["check"] = session.timer() - started


def _fill(report: RunReport, done: RolledBack, embedded: int) -> None:
    activation = done.activation
    report.state = "succeeded" if activation.release else "unchanged"
    counts = report.documents
    counts.added, counts.changed, counts.deleted = activation.added, activation.changed, activation.deleted
    report.held = done.held
    report.hidden, report.restored = activation.hidden, activation.restored
    counts.duplicate = activation.duplicates
    report.chunks = ChunkCounts(activation.places, activation.places - embedded, embedded)
    if activation.release:
        report.release = activation.release.number
        report.digest = activation.release.digest.hex()
