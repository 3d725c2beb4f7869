"""Store what planning found out, whatever becomes of the run."""

from __future__ import annotations

from registry.containers import drop_containers, remember_containers
from registry.documents import drop_holds, restat
from registry.runs import RejectionRow, drop_rejections, record_rejections
from schemas.release import Rejection
from schemas.source import ListingProblem
from tasks.changes import is_racy
from tasks.planning import Planned
from tasks.workspace import Workspace

NOT_LISTED = "What lies there is left as it is: make it readable, or exclude it."


def remember_plan(workspace: Workspace, planned: Planned, listed_ns: int) -> None:
    """New stats, containers, what could not be listed, rejections that are over.

    Args:
        workspace: the run's surroundings.
        planned: what planning gave.
        listed_ns: when the source was listed.
    """
    plan, opened = planned.plan, planned.opened
    target = workspace.require_target()
    db = workspace.db
    restat(
        db,
        target.source_id,
        {uri: None if is_racy(stat, listed_ns) else stat for uri, stat in plan.restat.items()},
    )
    drop_rejections(db, target.source_id, plan.forgotten)
    drop_holds(db, plan.settled)
    remember_containers(db, target.collection_id, target.source_id, opened.looked_into)
    drop_containers(db, target.source_id, opened.gone)
    record_rejections(
        db,
        target.collection_id,
        target.source_id,
        target.run_id,
        [
            RejectionRow(
                _not_listed(problem),
                stat=None,
                content_sha256=None,
                parser="",
                fingerprint=workspace.fingerprints[""],
            )
            for problem in opened.listing.problems
        ],
    )


def _not_listed(problem: ListingProblem) -> Rejection:
    if problem.error == "NotListed":
        return Rejection(problem.uri, "list", problem.error, f"{problem.message}. {NOT_LISTED}", True)
    return Rejection(problem.uri, "unpack", problem.error, problem.message, False)
