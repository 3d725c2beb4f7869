"""The order of an ingest, written once: handed its steps, it does not know who runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID, uuid4

from flows.embedding import embed_missing
from flows.ending import describe_end
from flows.named import look_at, named_outcomes
from flows.progress import Progress, ignore_progress
from flows.session import Session, open_workspace
from flows.stopwatch import Stopwatch
from registry.collections import ensure_collection, ensure_source, ensure_space, ensure_vector_partition
from registry.runs import (
    finish_run,
    hold_new_run,
    list_rejections,
    mark_crashed_runs,
)
from schemas.errors import GateFailed, RunStopped, SpaceSwitched
from schemas.plan import ChangePlan, Named
from schemas.release import Kind, RunState
from schemas.report import RunReport
from schemas.source import Listing
from tasks.batch import Steps
from tasks.remembering import remember_plan
from tasks.windows import make_windows
from tasks.workspace import RunTarget, Workspace


class Naming(Protocol):
    """Says what a run is to look at, and is told what came of it."""

    def claim(self, run_id: UUID) -> Named:
        """What is named: asked for once, when the run's lock is held."""
        ...

    def settle(self, run_id: UUID, outcomes: Mapping[str, str]) -> None:
        """Uri -> outcome (`schemas.event.Outcome`, or "conflict") of what was named; the run is through."""
        ...


def ingest_location(
    session: Session,
    steps: Steps,
    location: str,
    collection: str,
    *,
    allow_deletions: bool = False,
    reapply: bool = False,
    only: frozenset[str] | None = None,
    kind: Kind | None = None,
    naming: Naming | None = None,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
    progress: Progress = ignore_progress,
) -> RunReport:
    """Bring a collection up to date with a location; at most one release comes of it.

    What a rollback took out of view stays so until its file changes, or with `reapply`. With `only`,
    just these uris are tried, even if they were rejected before. `kind` is what a new collection is to hold.
    With `naming`, only what it names is listed; the run is then a "reindex".

    Where the collection is switched to another model meanwhile, a second run does it with that one.

    Raises:
        RunStopped: a guard or gate held; the previous release serves on.
        RevectorError: see the classes; nothing of the run is visible.
    """

    def run() -> RunReport:
        return _run(
            session,
            steps,
            location,
            collection,
            {"allow_deletions": allow_deletions, "reapply": reapply, "only": only},
            kind=kind,
            naming=naming,
            trigger=trigger,
            prefect_flow_run_id=prefect_flow_run_id,
            progress=progress,
        )

    try:
        return run()
    except SpaceSwitched:
        if naming is not None:  # whoever names is told, and asks again
            raise
        return run()


def _run(
    session: Session,
    steps: Steps,
    location: str,
    collection: str,
    options: dict[str, Any],
    *,
    kind: Kind | None,
    naming: Naming | None,
    trigger: str,
    prefect_flow_run_id: UUID | None,
    progress: Progress,
) -> RunReport:
    """One run of `ingest_location`; `options` are those of the plan."""
    with open_workspace(session, location, collection, kind=kind) as workspace:
        target = _open_target(workspace, collection)
        workspace.target, workspace.allow_deletions = target, options["allow_deletions"]
        report = RunReport(str(target.run_id), collection, workspace.scope.source.name)
        held = hold_new_run(
            session.db,
            target.collection_id,
            target.run_id,
            flow="reindex" if naming else "ingest",
            trigger=trigger,
            scope=location,
            prefect_flow_run_id=prefect_flow_run_id,
        )
        with held:
            started = session.timer()
            try:
                if naming:
                    look_at(workspace, naming.claim(target.run_id))
                outcome = _ingest(session, workspace, steps, report, options, progress)
                if naming:
                    naming.settle(target.run_id, outcome)
            except BaseException as exc:
                state: RunState = "failed"
                if isinstance(exc, RunStopped):
                    state = "staged" if isinstance(exc, GateFailed) else "stopped"
                _finish(session, target, report, state, started, error=describe_end(exc))
                raise
            _finish(session, target, report, "succeeded" if report.release else "unchanged", started)
        return report


def _open_target(workspace: Workspace, collection_name: str) -> RunTarget:
    """Register collection, source and space; tidy up after runs that died."""
    db = workspace.db
    collection = ensure_collection(db, collection_name, kind=workspace.kind)
    source = ensure_source(db, collection.id, workspace.scope.source)
    workspace.scope = replace(workspace.scope, source=source)
    space_id = ensure_space(db, workspace.space)
    ensure_vector_partition(db, space_id, collection.id)
    mark_crashed_runs(db, collection.id)
    assert source.id is not None
    return RunTarget(collection.id, source.id, space_id, uuid4())


def _ingest(
    session: Session,
    workspace: Workspace,
    steps: Steps,
    report: RunReport,
    options: dict[str, Any],
    progress: Progress,
) -> dict[str, str]:
    """Uri -> outcome of what a scope of names has named; empty for any other."""
    clock = Stopwatch(session.timer, report.seconds)
    listed_ns = session.clock_ns()
    with clock("list"):
        listing = steps.list_source(workspace)
    with clock("plan"):
        planned = steps.plan_run(workspace, listing, **options)
        plan, listing = planned.plan, planned.opened.listing
        remember_plan(workspace, planned, listed_ns)
    outcome = _stage(workspace, steps, listing, plan, report, clock, progress)
    if not plan.is_empty:
        steps.retire_documents(workspace, plan, outcome)
        with clock("elect"):
            steps.hold_election(workspace)
        embed_missing(workspace, steps, report, clock, progress)
        with clock("gate"):
            steps.check_gate(workspace)
        with clock("activate"):
            activation = steps.activate(workspace)
        for item in activation.overtaken:
            same = "gone" if item.action == "deleted" else "same"
            outcome[item.uri] = same if item.is_same else "conflict"
        if activation.release:
            report.release = activation.release.number
            report.digest = activation.release.digest.hex()
            report.documents.duplicate = activation.duplicates
            report.hidden, report.restored = activation.hidden, activation.restored
            report.chunks.total = activation.places
            report.chunks.embedded += activation.embedded
            report.chunks.reused = max(0, report.chunks.total - report.chunks.embedded)
            with clock("check"):
                report.problems = steps.check_release(workspace, report.release)
    if workspace.kind == "images":
        with clock("prototypes"):
            report.prototypes = steps.build_prototypes(workspace)
    _count(workspace, plan, report, outcome)
    return named_outcomes(workspace, planned, outcome, report.rejections)


def _stage(
    workspace: Workspace,
    steps: Steps,
    listing: Listing,
    plan: ChangePlan,
    report: RunReport,
    clock: Stopwatch,
    progress: Progress,
) -> dict[str, str]:
    """Prepare and store window by window; returns uri -> outcome of what was processed."""
    windows = list(make_windows(listing, plan, workspace.settings.limits))
    total, done = len(plan.work), 0
    outcome: dict[str, str] = {}
    pending = steps.prepare_window(workspace, windows[0]) if windows else None
    for number, window in enumerate(windows, start=1):
        assert pending is not None
        with clock("wait"):
            prepared = pending.result()
        if number < len(windows):  # parse the next window while this one is written
            pending = steps.prepare_window(workspace, windows[number])
        clock.add("parse", prepared.seconds)
        with clock("write"):
            conflicts = steps.write_window(workspace, prepared)
        report.parsed += prepared.read
        outcome |= {document.uri: document.action for document in prepared.documents}
        outcome |= {row.rejection.uri: "rejected" for row in prepared.rejections}
        outcome |= dict.fromkeys(conflicts, "conflict")
        done += len(window.items)
        progress("documents", done, total)
    return outcome


def _count(workspace: Workspace, plan: ChangePlan, report: RunReport, outcome: dict[str, str]) -> None:
    target = workspace.require_target()
    counts = report.documents
    counts.added = sum(1 for uri in plan.added if outcome.get(uri) == "added")
    counts.changed = sum(1 for uri in plan.changed if outcome.get(uri) == "changed")
    counts.moved = sum(1 for _, new in plan.moved if outcome.get(new) == "moved")
    counts.deleted = sum(1 for uri in plan.deleted if uri not in outcome)
    counts.unchanged = plan.unchanged + sum(1 for action in outcome.values() if action in ("restat", "same"))
    report.held = len(plan.held)
    report.conflicts = sum(1 for action in outcome.values() if action == "conflict")
    standing = list_rejections(workspace.db, target.collection_id, source_id=target.source_id)
    report.rejections = [rejection for rejection in standing if workspace.scope.covers(rejection.uri)]
    counts.rejected = sum(not rejection.part for rejection in report.rejections)
    counts.partial = len({rejection.uri for rejection in report.rejections if rejection.part})


def _finish(
    session: Session,
    target: RunTarget,
    report: RunReport,
    state: RunState,
    started: float,
    *,
    error: str | None = None,
) -> None:
    report.state = state
    report.seconds["total"] = session.timer() - started
    stats = report.stats()
    finish_run(session.db, target.run_id, state, stats=stats, error=error)
