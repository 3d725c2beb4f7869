"""What an ingest or a rollback leaves on the page of its flow run."""

from __future__ import annotations

from uuid import UUID

from flows.flow_run import note_outcome
from flows.output_estimate import describe_estimate, duration
from flows.reporting.artifacts import leave_markdown, leave_table
from flows.reporting.markdown import artifact_key, prototypes_markdown, report_markdown, run_link
from flows.reporting.runs import leave_runs, runs_chart
from flows.session import Session
from registry.collections import get_collection
from registry.releases import list_releases
from registry.runs import get_run, latest_runs
from schemas.release import Kind, Rejection
from schemas.report import RunReport

SHOWN_ROWS = 500
"""Of a table of rejections: an artifact is one value, and a browser draws all of it."""


def leave_reports(session: Session, report: RunReport, *, flow: str) -> None:
    """The report, tables of rejections and of the last runs, and pictures of the prototypes."""
    collection = get_collection(session.db, report.collection)
    runs = latest_runs(session.db, collection.id)
    tenant = session.settings.tenant
    name = report.collection
    before = previous_line(session, collection.id, report)
    parts = [
        report_markdown(report, before=before), estimate_line(report, collection.kind), runs_chart(runs)
    ]  # fmt: skip
    note_outcome(outcome_of(report))
    leave_markdown(
        "\n\n".join(part for part in parts if part),
        key=artifact_key(flow, name, tenant=tenant),
        description=outcome_of(report),
    )
    leave_table(
        rejections_table(report.rejections),
        key=artifact_key("rejections", name, tenant=tenant),
        description=f"{len(report.rejections)} rejected, in part or as a whole: collection {name}",
    )
    leave_runs(runs, name, tenant=tenant)
    if report.prototypes and (page := prototypes_markdown(session, name)):
        leave_markdown(
            page,
            key=artifact_key("prototypes", name, tenant=tenant),
            description=f"class prototypes, version {report.prototypes.version}",
        )


def outcome_of(report: RunReport) -> str:
    """In a few words."""
    return f"release {report.release}" if report.release else report.state


def estimate_line(report: RunReport, kind: Kind) -> str:
    """What there was to embed, how long it was thought to take, and took; "" for nothing."""
    if report.estimate is None or not report.estimate.texts:
        return ""
    took = duration(report.seconds["model"] + report.seconds["embed"])
    return f"**Embedding:** {describe_estimate(report.estimate, kind)}. It took {took}."


def previous_line(session: Session, collection_id: int, report: RunReport) -> str:
    """What search showed before, with a link to the flow run that made it; "" at the first release."""
    shown = list_releases(session.db, collection_id, most=2)
    before = next((one for one in shown if one.number != report.release), None)
    if before is None:
        return ""
    run = get_run(session.db, collection_id, UUID(before.run_id)) or {}
    flow_run_id = run["prefect_flow_run_id"]
    link = f", made by {run_link(flow_run_id, 'this run')}" if flow_run_id else ""
    when = "Before it" if report.release else "Shown is still"
    return f"{when}: release {before.number} of {before.activated_at:%Y-%m-%d %H:%M}{link}."


def rejections_table(rejections: list[Rejection]) -> list[dict[str, object]]:
    """A row for each document or part that is not indexed, those to try again first."""
    first = sorted(rejections, key=lambda one: (not one.retryable, one.error, one.name))
    return [
        {
            "document": one.name,
            "stage": one.stage,
            "error": one.error,
            "what to do": one.message,
            "tries": one.attempts,
            "tried again": "by itself" if one.retryable else "when the file changes",
        }
        for one in first[:SHOWN_ROWS]
    ]
