"""What a purge, a check and the preview of a rollback leave on the page of their flow run."""

from __future__ import annotations

from typing import Any, Final

from schemas.check import CheckReport
from schemas.history import ReleaseDiff

MB: Final = 1 << 20
SHOWN: Final = 100


def purge_markdown(report: dict[str, Any]) -> str:
    """What went, or would go, with the reason of each version."""
    verb = "would go" if report["dry_run"] else "dropped"
    size = report["bytes"]
    after = "unknown" if size["tables_after"] is None else f"{size['tables_after'] / MB:.1f}"
    counts = [
        (f"versions {verb}", report["versions"]["dropped"]),
        ("versions kept", report["versions"]["kept"]),
    ]
    counts += [(f"{name} {verb}", report[name]) for name in ("documents", "chunks", "vectors", "blobs")]
    lines = [
        f"# purge of collection `{report['collection']}`{' (only looked)' if report['dry_run'] else ''}",
        "",
        *_table(("what", "number"), counts),
        "",
        *_table(
            ("MB", "before", "after"),
            [
                ("tables", f"{size['tables_before'] / MB:.1f}", after),
                ("raw files", f"{size['blobs_before'] / MB:.1f}", f"{size['blobs_after'] / MB:.1f}"),
            ],
        ),
    ]
    if report["spaces"]:
        rows = [(_cell(one["model"]), one["dtype"], f"{one['bytes'] / MB:.1f}") for one in report["spaces"]]
        lines += ["", f"## Vectors of models that {'would go' if report['dry_run'] else 'went'}", ""]
        lines += _table(("model", "stored as", "MB"), rows)
    gone = [item for item in report["items"] if not item["keep"]]
    if gone:
        rows = [(f"`{_cell(item['uri'])}`", item["version"], item["reason"]) for item in gone[:SHOWN]]
        lines += ["", f"## Versions that {'would go' if report['dry_run'] else 'went'}", ""]
        lines += _table(("document", "version", "why"), rows)
        lines += [f"\n... and {len(gone) - SHOWN} more."] if len(gone) > SHOWN else []
    return "\n".join(lines)


def check_markdown(report: CheckReport) -> str:
    """Problems with what to do about each, then what was looked at."""
    verdict = f"{len(report.problems)} problems" if report.problems else "sound"
    kind = "quick check" if report.quick else "check"
    lines = [f"# {verdict}: {kind} of collection `{report.collection}`", ""]
    if report.problems:
        rows = [(f"**{p.invariant}**", _cell(p.detail), _cell(p.advice)) for p in report.problems]
        lines += [*_table(("broken", "found", "what to do"), rows), ""]
    if report.repaired:
        rows = [(r.invariant, _cell(r.detail), "") for r in report.repaired]
        lines += ["## Repaired", "", *_table(("what", "how", ""), rows), ""]
    lines += [f"- {note}" for note in report.notes]
    lines += ["", *_table(("looked at", "number"), list(report.checked.items()))]
    if report.hnsw_recall is not None:
        lines += ["", f"The vector index finds {report.hnsw_recall:.1%} of what an exact scan finds."]
    return "\n".join(lines)


def preview_markdown(diff: ReleaseDiff, collection: str) -> str:
    """What a rollback would change, document by document."""
    lines = [f"# A rollback of `{collection}` from release {diff.old} to {diff.new} would change", ""]
    if diff.models:
        lines += [f"The model: {_cell(' → '.join(diff.models))}.", ""]
    rows = [(change.status, f"`{_cell(change.uri)}`") for change in diff.documents[:SHOWN]]
    lines += _table(("change", "document"), rows) if rows else ["No document."]
    lines += [f"\n... and {len(diff.documents) - SHOWN} more."] if len(diff.documents) > SHOWN else []
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: list[Any]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
