"""The Prefect flow `reembed`: the entrypoint of its deployment is `flows.reembed:reembed`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prefect import flow

from flows.estimating import foresee_reembed
from flows.flow_body import run_work
from flows.flow_parameters import CollectionName, Config, DryRun
from flows.flow_run import ThisRun, name_run, note_outcome, rename_run, with_session
from flows.reembedding import reembed_collection
from flows.reporting.artifacts import progress_artifact
from flows.reporting.reembed import (
    announce_reembed,
    leave_reembed_plan,
    leave_reembed_reports,
    reembed_outcome,
)
from flows.session import Session
from registry.collections import get_collection
from schemas.estimate import ReembedPlan
from schemas.reembed import ReembedReport


def _describe(parameters: Mapping[str, Any]) -> str:
    look = "preview of " if parameters.get("dry_run") else ""
    return f"{look}reembed {parameters.get('collection')}"


@flow(
    name="reembed",
    flow_run_name=name_run(_describe),
    description="Change a collection to the model that its settings name as `next`, beside what serves.",
    persist_result=False,
)
def reembed(
    collection: CollectionName, dry_run: DryRun = False, config: Config = None
) -> ReembedReport | ReembedPlan:
    """Embed a collection anew and switch to it; searches read the old vectors until then.

    Args:
        collection: its name.
        dry_run: only report what would be embedded.
        config: a configuration file instead of `revector.toml`.
    """

    def work(run: ThisRun) -> ReembedReport | ReembedPlan:
        return with_session(config, lambda session: _reembed(session, run, collection, dry_run))

    return run_work("reembed", collection, config, work)


def _reembed(session: Session, run: ThisRun, collection: str, dry_run: bool) -> ReembedReport | ReembedPlan:
    plan = foresee_reembed(session, collection)
    kind = get_collection(session.db, collection).kind
    if plan.is_change:
        rename_run(_named(plan, run, dry_run))
    if dry_run:
        leave_reembed_plan(session, plan, kind)
        return plan
    tenant = session.settings.tenant
    report = reembed_collection(
        session,
        collection,
        trigger=run.trigger,
        prefect_flow_run_id=run.id,
        progress=progress_artifact(collection, time.monotonic, tenant=tenant, flow="reembed"),
    )
    note_outcome(reembed_outcome(report))
    leave_reembed_reports(session, report)
    announce_reembed(report, tenant=tenant)
    return report


def _named(plan: ReembedPlan, run: ThisRun, dry_run: bool) -> str:
    """From what to what; in words, as an arrow stands before the outcome."""
    described = _describe({"collection": plan.collection, "dry_run": dry_run})
    return f"{described}: {plan.model_before} to {plan.model_after} ({run.trigger})"
