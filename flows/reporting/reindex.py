"""What a reindex leaves on the page of its flow run: what became of each document that was named."""

from __future__ import annotations

from collections import Counter

from flows.reindexing import ReindexReport
from flows.reporting.artifacts import leave_markdown, leave_table
from flows.reporting.ingest import rejections_table
from flows.reporting.markdown import artifact_key, report_markdown
from flows.reporting.runs import leave_runs
from flows.session import Session
from registry.collections import get_collection
from registry.runs import latest_runs

SHOWN_ROWS = 500

MEANING = {
    "unknown": "neither the source nor the index has it: is the name right?",
    "rejected": "it could not be indexed, see the table of rejections",
    "partial": "a part of it could not be read, see the table of rejections",
    "held": "it stays as a rollback showed it",
    "ignored": "the source's patterns leave it out",
    "deleted": "it is gone from the source, and now from search",
    "unchanged": "it is as it was",
}
_ORDER = ("unknown", "rejected", "partial", "held", "ignored", "deleted", "changed", "added", "moved")


def leave_reindex_reports(session: Session, report: ReindexReport) -> None:
    """The report, a row for each document, what was rejected, and the last runs."""
    name, tenant = report.collection, session.settings.tenant
    leave_markdown(
        reindex_markdown(report),
        key=artifact_key("reindex", name, tenant=tenant),
        description=f"{len(report.outcomes)} named: {_summary(report) or 'nothing to do'}",
    )
    leave_table(
        outcomes_table(report),
        key=artifact_key("outcomes", name, tenant=tenant),
        description=f"what became of each document that was named: collection {name}",
    )
    rejections = [one for run in report.runs for one in run.rejections]
    leave_table(
        rejections_table(rejections),
        key=artifact_key("rejections", name, tenant=tenant),
        description=f"{len(rejections)} rejected, in part or as a whole: collection {name}",
    )
    runs = latest_runs(session.db, get_collection(session.db, name).id)
    leave_runs(runs, name, tenant=tenant)


def reindex_markdown(report: ReindexReport) -> str:
    """Outcomes by number, names that nobody knows, sources that failed, and the report of each run."""
    lines = [f"# reindex of collection `{report.collection}`", ""]
    lines.append(f"**{len(report.outcomes)}** named: {_summary(report) or 'nothing was pending'}.")
    if report.retried:
        lines += ["", f"**{report.retried} events stay pending** and are tried again."]
    for source, why in report.errors.items():
        lines += ["", f"**Source `{source}` was not looked at:** {why}"]
    unknown = [uri for (_, uri), outcome in report.outcomes.items() if outcome == "unknown"]
    if unknown:
        lines += ["", f"## {len(unknown)} unknown: neither the source nor the index has them", ""]
        lines += [f"- `{uri}`" for uri in unknown[:50]]
        lines += [f"- ... and {len(unknown) - 50} more"] if len(unknown) > 50 else []
    return "\n".join([*lines, *("\n" + report_markdown(one) for one in report.runs)])


def outcomes_table(report: ReindexReport) -> list[dict[str, str]]:
    """A row for each document, those that somebody should look at first."""
    rank = {outcome: place for place, outcome in enumerate(_ORDER)}
    found = sorted(report.outcomes.items(), key=lambda item: (rank.get(item[1], len(rank)), item[0]))
    return [
        {"source": source, "document": uri, "outcome": outcome, "meaning": MEANING.get(outcome, "")}
        for (source, uri), outcome in found[:SHOWN_ROWS]
    ]


def _summary(report: ReindexReport) -> str:
    counts = Counter(report.outcomes.values())
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
