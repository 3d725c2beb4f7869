"""`revector purge`: drop what retention does not keep, and give the space back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from flows.ending import describe_end
from flows.session import Session
from registry.blobs import BlobStore
from registry.check import check_fully
from registry.collections import get_collection
from registry.events import count_old_deliveries, drop_old_deliveries
from registry.prototype_retention import drop_old_sets, find_old_sets
from registry.purge import discard_staged, drop_versions, foresee, sweep_strays, version_facts
from registry.runs import finish_run, hold_new_run, mark_crashed_runs
from registry.space import table_sizes, vacuum
from registry.space_retention import drop_spaces, find_old_spaces
from registry.sweeping import bring_back, find_unused_blobs, sweep_blobs
from schemas.check import BESIDE, RECALL
from schemas.errors import RegistryUnsound, RunStopped
from schemas.release import Collection, RunState
from schemas.retention import Dropped, RetentionPlan
from schemas.settings import RetentionSettings
from tasks.retention import apply_policy


def purge_collection(
    session: Session,
    name: str,
    *,
    dry_run: bool = False,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
) -> dict[str, Any]:
    """Drop what retention does not keep; what is shown does not change.

    Safe beside anything else, and after a kill the next call completes it.

    Args:
        session: the open registry.
        name: of the collection.
        dry_run: only say what would go; writes nothing.
        trigger: manual or schedule.
        prefect_flow_run_id: of the flow run, if there is one.

    Raises:
        CollectionNotFound: there is no such collection.
        RegistryUnsound: the whole check (without reading the raw bytes) finds problems.
    """
    started = session.timer()
    collection = get_collection(session.db, name)
    policy = session.settings.collection(name).retention
    blobs = BlobStore(session.settings.home, session.db.tenant_id)
    now = datetime.fromtimestamp(session.clock_ns() / 1e9, UTC)
    report: dict[str, Any] = {"collection": name, "run_id": None, "dry_run": dry_run}
    if dry_run:
        _require_sound(session, collection, blobs)
        _foresee(session, collection, policy, blobs, now, report)
    else:
        held = hold_flow(
            session,
            collection,
            "purge",
            report,
            trigger=trigger,
            prefect_flow_run_id=prefect_flow_run_id,
        )
        with held as stats:
            bring_back(session.db, blobs)
            _require_sound(session, collection, blobs)
            stats.update(_purge(session, collection, policy, blobs, now, report))
    report["seconds"] = round(session.timer() - started, 4)
    return report


@contextmanager
def hold_flow(
    session: Session,
    collection: Collection,
    flow: str,
    report: dict[str, Any],
    *,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
) -> Iterator[dict[str, Any]]:
    """A recorded run around the block; what the block puts into the value is its stats.

    An empty value at the end means that there was nothing to do.
    """
    run_id: UUID = uuid4()
    report["run_id"] = str(run_id)
    mark_crashed_runs(session.db, collection.id)
    stats: dict[str, Any] = {}
    held = hold_new_run(
        session.db,
        collection.id,
        run_id,
        flow=flow,
        trigger=trigger,
        scope=collection.name,
        prefect_flow_run_id=prefect_flow_run_id,
    )
    with held:
        try:
            yield stats
        except BaseException as exc:
            state: RunState = "stopped" if isinstance(exc, RunStopped) else "failed"
            finish_run(session.db, run_id, state, stats=stats, error=describe_end(exc))
            raise
        finish_run(session.db, run_id, "succeeded" if stats else "unchanged", stats=stats)


def _require_sound(session: Session, collection: Collection, blobs: BlobStore) -> None:
    report = check_fully(session.db, collection, blobs, hash_blobs=False)
    # a poor index finds less, but nothing is deleted for it
    problems = [problem for problem in report.problems if problem.invariant not in (RECALL, BESIDE)]
    if problems:
        listed = "; ".join(f"{problem.invariant}: {problem.detail}" for problem in problems)
        raise RegistryUnsound(
            f"Collection {collection.name!r} is not sound: {listed}. Nothing was dropped.",
            advice="Look at it with `revector check` before anything is deleted.",
            problems=[f"{problem.invariant}: {problem.detail}" for problem in problems],
        )


def _purge(
    session: Session,
    collection: Collection,
    policy: RetentionSettings,
    blobs: BlobStore,
    now: datetime,
    report: dict[str, Any],
) -> dict[str, Any]:
    """Drop, sweep, give back; in the order that a kill at any point leaves nothing half deleted."""
    db = session.db
    before = sum(table_sizes(db, collection.id).values())
    blobs_before = blobs.bytes_stored()
    discarded = discard_staged(db, collection.id, staged_before=_staged_before(policy, now))
    spaces = drop_spaces(db, collection.id, keep_tagged=policy.keep_tagged, **_unused_before(policy, now))
    plan = _plan(session, collection, policy, now)
    dropped = drop_versions(db, collection.id, plan.dropped, keep_tagged=policy.keep_tagged)
    grace = now - timedelta(hours=policy.grace_hours)
    dropped += sweep_strays(db, collection.id, stored_before=grace)
    sets = drop_old_sets(db, collection.id, _old_sets(session, collection, policy, now))
    swept = sweep_blobs(db, blobs)
    deliveries = drop_old_deliveries(db, collection.id, before=_received_before(session, now))
    rebuilt = vacuum(db, collection.id)
    counts = _fill(report, plan, dropped, swept.blobs)
    report["bytes"] = {
        "tables_before": before,
        "tables_after": sum(table_sizes(db, collection.id).values()),
        "blobs_before": blobs_before,
        "blobs_after": blobs_before - swept.bytes,
    }
    report["rebuilt"], report["prototypes"], report["deliveries"] = rebuilt, sets, deliveries
    report["spaces"] = [space._asdict() for space in spaces]
    done = dropped != Dropped() or swept.blobs or discarded or rebuilt or sets or deliveries or spaces
    return {**counts, "bytes": report["bytes"], "spaces": len(spaces)} if done else {}


def _foresee(
    session: Session,
    collection: Collection,
    policy: RetentionSettings,
    blobs: BlobStore,
    now: datetime,
    report: dict[str, Any],
) -> None:
    plan = _plan(session, collection, policy, now)
    ids = [version.id for version in plan.dropped]
    swept = find_unused_blobs(session.db, blobs, ids)
    _fill(report, plan, foresee(session.db, collection.id, ids), swept.blobs)
    tables, stored = sum(table_sizes(session.db, collection.id).values()), blobs.bytes_stored()
    report["bytes"] = {
        "tables_before": tables,
        "tables_after": None,  # nobody knows before
        "blobs_before": stored,
        "blobs_after": stored - swept.bytes,
    }
    report["rebuilt"], report["prototypes"] = [], len(_old_sets(session, collection, policy, now))
    spaces = find_old_spaces(
        session.db, collection.id, keep_tagged=policy.keep_tagged, **_unused_before(policy, now)
    )
    report["spaces"] = [space._asdict() for space in spaces]
    before = _received_before(session, now)
    report["deliveries"] = count_old_deliveries(session.db, collection.id, before=before)


def _plan(
    session: Session, collection: Collection, policy: RetentionSettings, now: datetime
) -> RetentionPlan:
    facts = version_facts(session.db, collection.id, staged_before=_staged_before(policy, now))
    return apply_policy(facts, policy, now)


def _old_sets(
    session: Session, collection: Collection, policy: RetentionSettings, now: datetime
) -> list[int]:
    """Versions of prototypes that go."""
    before = now - timedelta(days=policy.keep_days)
    return find_old_sets(
        session.db, collection.id, keep=policy.keep_versions, before=before, keep_tagged=policy.keep_tagged
    )


def _staged_before(policy: RetentionSettings, now: datetime) -> datetime:
    return now - timedelta(days=policy.keep_days)


def _unused_before(policy: RetentionSettings, now: datetime) -> dict[str, datetime]:
    """Since when a space must not have been used: one that served, and one that never did."""
    grace = timedelta(hours=policy.grace_hours)
    return {"before": now - max(grace, timedelta(days=policy.keep_days)), "built_before": now - grace}


def _received_before(session: Session, now: datetime) -> datetime:
    """Deliveries of events that came before are forgotten; they are no part of the collection's past."""
    return now - timedelta(days=session.settings.webhook.keep_days)


def _fill(report: dict[str, Any], plan: RetentionPlan, dropped: Dropped, blobs: int) -> dict[str, Any]:
    """Put the counts into the report; returns them."""
    counts: dict[str, Any] = {
        "versions": {"kept": len(plan.items) - dropped.versions, "dropped": dropped.versions},
        "documents": dropped.documents,
        "chunks": dropped.chunks,
        "vectors": dropped.vectors,
        "parsed": dropped.parsed,
        "signatures": dropped.signatures,
        "blobs": blobs,
    }
    report.update(counts)
    report["items"] = [
        {
            "uri": item.facts.uri,
            "source": item.facts.source,
            "version": item.facts.version,
            "keep": item.keep,
            "reason": item.reason,
        }
        for item in plan.items
    ]
    return counts
