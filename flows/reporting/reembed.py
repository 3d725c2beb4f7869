"""What a reembed leaves on the page of its flow run."""

from __future__ import annotations

from flows.announcing import announce_shown
from flows.output_estimate import reembed_plan_lines
from flows.output_reembed import comparison_line, counts_line, next_step, truncated_line
from flows.reporting.artifacts import leave_markdown
from flows.reporting.markdown import artifact_key
from flows.reporting.runs import leave_runs
from flows.session import Session
from registry.collections import get_collection
from registry.runs import latest_runs
from schemas.estimate import ReembedPlan
from schemas.reembed import ReembedReport
from schemas.release import Kind


def leave_reembed_reports(session: Session, report: ReembedReport) -> None:
    """The report, and the last runs."""
    name, tenant = report.collection, session.settings.tenant
    leave_markdown(
        reembed_markdown(report),
        key=artifact_key("reembed", name, tenant=tenant),
        description=reembed_outcome(report),
    )
    runs = latest_runs(session.db, get_collection(session.db, name).id)
    leave_runs(runs, name, tenant=tenant)


def leave_reembed_plan(session: Session, plan: ReembedPlan, kind: Kind) -> None:
    """What a reembed would do."""
    leave_markdown(
        plan_markdown(plan, kind),
        key=artifact_key("reembed", plan.collection, tenant=session.settings.tenant),
        description="preview",
    )


def reembed_outcome(report: ReembedReport) -> str:
    """In a few words."""
    return f"release {report.release}" if report.release else report.state


def reembed_markdown(report: ReembedReport) -> str:
    """A reembed for somebody who has half a minute."""
    title = f"# {report.state}: collection `{report.collection}`"
    if report.release is None:
        return f"{title}\n\nIt shows vectors of `{report.model_after}` already: nothing was done."
    lines = [
        title,
        f"`{report.model_before}` → `{report.model_after}`. Release **{report.release}**, "
        f"digest `{report.digest}`; the switch took {report.switch_seconds:.3f} s.",
        f"**Chunks:** {counts_line(report)}.",
        f"**Truncated:** {truncated_line(report)}." if report.truncated else "",
        f"**Compared:** {comparison_line(report.comparison)}.",
        f"**Next:** {next_step(report)}",
        _seconds(report),
        f"Run `{report.run_id}`.",
    ]
    return "\n\n".join(line for line in lines if line)


def plan_markdown(plan: ReembedPlan, kind: Kind) -> str:
    """What a reembed would do, or that there is nothing to do."""
    title = f"# reembed of collection `{plan.collection}` (only looked)"
    if not plan.is_change:
        return f"{title}\n\nIt shows vectors of `{plan.model_after}` already: nothing to do."
    lines = [f"- {line}" for line in reembed_plan_lines(plan, kind)]
    return "\n".join([title, "", f"`{plan.model_before}` → `{plan.model_after}`", "", *lines])


def announce_reembed(report: ReembedReport, *, tenant: str) -> None:
    """Say that a release is shown, of another model; nothing where none came of the run."""
    facts = {
        "model_before": report.model_before,
        "model_after": report.model_after,
        "chunks": {
            "total": report.chunks,
            "reused": report.kept + report.converted,
            "embedded": report.embedded,
        },
    }
    announce_shown(report, facts, tenant=tenant)


def _seconds(report: ReembedReport) -> str:
    spent = [f"{name} {value:.2f}" for name, value in report.seconds.items() if value >= 0.005]
    paused = f" Stood back for searches: {report.paused:.2f}." if report.paused else ""
    return f"**Seconds:** {', '.join(spent)}.{paused}" if spent else ""
