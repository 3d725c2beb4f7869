"""A run's report as Markdown, for the Prefect UI."""

from __future__ import annotations

import base64
import hashlib
import re
from uuid import UUID

from flows.output_images import prototypes_line
from flows.prototyping import draw, show
from flows.session import Session
from schemas.errors import PrototypesNotFound, ReleaseIncomplete
from schemas.report import RunReport
from tasks.prototypes.quality_markdown import quality_markdown

SHOWN_REJECTIONS = 50


def artifact_key(prefix: str, name: str, *, tenant: str = "default") -> str:
    """A Prefect artifact key: lowercase letters, digits and dashes; unique for any name and tenant.

    >>> artifact_key("ingest", "default")
    'ingest-default'
    >>> artifact_key("ingest", "default", tenant="acme")
    'ingest-acme-default'
    """
    parts = [prefix, _slug(name)] if tenant == "default" else [prefix, _slug(tenant), _slug(name)]
    return "-".join(parts)


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    if slug != name:
        slug = f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".strip("-")
    return slug


def run_link(flow_run_id: UUID, text: str) -> str:
    """A link to a flow run, relative to wherever the UI is."""
    return f"[{text}](/runs/flow-run/{flow_run_id})"


def report_markdown(report: RunReport, *, before: str = "") -> str:
    """A run for somebody who has half a minute: what is shown, what needs a look, what changed, how long.

    Args:
        report: of the run.
        before: a sentence about what was shown before.
    """
    parts = [
        f"# {report.state}: collection `{report.collection}`, source `{report.source}`",
        f"Release **{report.release}**, digest `{report.digest}`. Its gate has passed."
        if report.release
        else "**No release**: nothing changed.",
        before,
        _problems(report),
        f"**{report.conflicts} documents** were changed by another run: ingest again."
        if report.conflicts
        else "",
        _counts(report),
        f"**Prototypes:** {_cell(prototypes_line(report.prototypes))}." if report.prototypes else "",
        _rejections(report),
        _seconds(report),
        f"Run `{report.run_id}`.",
    ]
    return "\n\n".join(part for part in parts if part)


def _problems(report: RunReport) -> str:
    if not report.problems:
        return ""
    lines = [f"- **{p.invariant}**: {p.detail}. {p.advice}" for p in report.problems]
    return "\n".join(["## The check of this release found problems", "", *lines])


def _counts(report: RunReport) -> str:
    """A table of what is not zero; a long column of zeros hides the one number that matters."""
    d, c = report.documents, report.chunks
    counts = {
        "added": d.added,
        "changed": d.changed,
        "moved": d.moved,
        "deleted": d.deleted,
        "unchanged": d.unchanged,
        "near-duplicates among these": d.duplicate,
        "hidden as near-duplicates": report.hidden,
        "shown again": report.restored,
        "rejected": d.rejected,
        "read in part": d.partial,
        "held since a rollback": report.held,
    }
    rows = [f"| {name} | {value} |" for name, value in counts.items() if value]
    chunks = f"**Chunks:** {c.total} searchable in these documents, {c.reused} reused, {c.embedded} embedded."
    return "\n".join(["| documents | |", "| --- | ---: |", *rows, "", chunks])


def _rejections(report: RunReport) -> str:
    if not report.rejections:
        return ""
    lines = [
        "## Rejected: not indexed, in part or as a whole, or still shown as before",
        "",
        "| document | stage | error | what to do |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{_cell(r.name)}` | {r.stage} | {r.error} | {_cell(r.message)} |"
            for r in report.rejections[:SHOWN_REJECTIONS]
        ),
    ]
    if len(report.rejections) > SHOWN_REJECTIONS:
        lines.append(f"\n... and {len(report.rejections) - SHOWN_REJECTIONS} more: `revector failures`.")
    return "\n".join(lines)


def _seconds(report: RunReport) -> str:
    spent = [f"{name} {value:.2f}" for name, value in report.seconds.items() if value >= 0.005]
    return f"**Seconds:** {', '.join(spent)}." if spent else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def prototypes_markdown(session: Session, collection: str) -> str:
    """Quality of the prototypes in use, with their picture; "" where there are none."""
    try:
        found = show(session, collection)
    except PrototypesNotFound:
        return ""
    text = (
        f"# Class prototypes of `{collection}`, version {found['version']} (release {found['release']})\n\n"
        f"{quality_markdown(found['report'])}\n"
    )
    try:
        picture = base64.b64encode(draw(session, collection)).decode()
    except (PrototypesNotFound, ReleaseIncomplete) as exc:
        return f"{text}\nNo picture: {exc.message}\n"
    shows = "similarities of classes, scores of known and unknown images"
    return f"{text}\n![{shows}](data:image/png;base64,{picture})\n"
