"""Results on standard output: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flows.output_images import prototypes_line
from flows.printable import printable
from flows.snippet import snippet
from schemas.errors import RevectorError
from schemas.filters import Condition
from schemas.plan import ChangePlan
from schemas.release import Rejection, Release
from schemas.report import RunReport
from schemas.search import Hit

SHOWN_URIS = 15
SHOWN_HERE = 5
"""In a line of its own."""


def print_json(data: Any) -> None:
    """One JSON document."""
    json.dump(data, sys.stdout, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)


def plan_json(collection: str, plan: ChangePlan) -> dict[str, Any]:
    """The plan by the contract of the command line."""
    return {
        "collection": collection,
        "added": list(plan.added),
        "changed": list(plan.changed),
        "moved": [list(pair) for pair in plan.moved],
        "deleted": list(plan.deleted),
        "unchanged": plan.unchanged,
        "held": list(plan.held),
        "rejected": list(plan.rejected),
        "reelect": plan.reelect,
    }


def hits_json(hits: Iterable[Hit], where: Iterable[Condition] = ()) -> dict[str, Any]:
    """Search hits, best first, and the conditions that hold for their documents."""
    return {
        "where": [condition.as_json() for condition in where],
        "hits": [
            {
                "score": round(hit.score, 6),
                "uri": hit.uri,
                "source": hit.source,
                "version": hit.version,
                "release": hit.release,
                "text": hit.text,
                "page": hit.page,
                "heading": hit.heading,
                "title": hit.title,
                "author": hit.author,
                "date": hit.authored_at.isoformat() if hit.authored_at else None,
                "language": hit.language,
                "tags": list(hit.tags),
                "format": hit.format,
                "documents": list(hit.documents),
                "duplicates": list(hit.duplicates),
            }
            for hit in hits
        ],
    }


def releases_json(releases: Iterable[Release]) -> dict[str, Any]:
    """The history, newest first."""
    return {
        "releases": [
            {
                "number": release.number,
                "kind": release.kind,
                "run_id": release.run_id,
                "activated_at": release.activated_at.isoformat(),
                "digest": release.digest.hex(),
                "documents": release.documents,
                "chunks": release.chunks,
                "note": release.note,
                "missing": release.missing,
                "vectors_purged": release.vectors_purged,
                "tags": list(release.tags),
            }
            for release in releases
        ]
    }


def failures_json(rejections: Iterable[Rejection]) -> dict[str, Any]:
    """What stands rejected."""
    return {
        "failures": [
            {
                "uri": rejection.uri,
                "part": rejection.part or None,
                "stage": rejection.stage,
                "error": rejection.error,
                "message": rejection.message,
                "run_id": rejection.run_id,
                "attempts": rejection.attempts,
            }
            for rejection in rejections
        ]
    }


def error_json(error: RevectorError) -> dict[str, Any]:
    """A failure, with what to do next and the facts that belong to it."""
    return {
        "error": {
            "class": type(error).__name__,
            "message": error.message,
            "advice": error.advice,
            "retryable": error.retryable,
            **error.facts,
        }
    }


def print_plan(collection: str, plan: ChangePlan) -> None:
    """The plan for people."""
    print(f"Plan for collection {collection}:")
    for sign, label, uris in (("+", "added", plan.added), ("~", "changed", plan.changed)):
        _print_uris(sign, label, uris)
    _print_uris(">", "moved", [f"{old} -> {new}" for old, new in plan.moved])
    _print_uris("-", "deleted", plan.deleted)
    _print_uris("!", "held since a rollback (--reapply brings them back)", plan.held)
    print(
        f"  = {plan.unchanged} unchanged"
        + (f", {len(plan.rejected)} rejected before" if plan.rejected else "")
    )
    if plan.reelect:
        print("  * near-duplicates were elected by other settings: all documents are compared anew")


def print_report(report: RunReport) -> None:
    """A run for people."""
    d, c = report.documents, report.chunks
    print(f"Run {report.run_id} of collection {report.collection}: {report.state}")
    partial = f", {d.partial} read in part" if d.partial else ""
    print(
        f"  documents  {d.added} added, {d.changed} changed, {d.moved} moved, {d.deleted} deleted, "
        f"{d.unchanged} unchanged, {d.rejected} rejected{partial}"
    )
    if line := duplicates_line(report):
        print(f"  duplicates {line}; see revector duplicates")
    embedded = f"{c.embedded} embedded" + (f" ({report.tokens:,} tokens)" if report.tokens else "")
    print(f"  chunks     {c.total} searchable in these documents, {c.reused} reused, {embedded}")
    spent = [f"{name} {value:.2f}" for name, value in report.seconds.items() if value >= 0.005]
    print("  seconds    " + (", ".join(spent) or "0.00"))
    if report.release is None:
        print("  release    none: nothing changed")
    else:
        print(f"  release    {report.release}, digest {report.digest[:16] if report.digest else ''}")
    if report.prototypes:
        print(f"  prototypes {prototypes_line(report.prototypes)}")
    if report.held:
        print(f"  held       {report.held} documents stay as a rollback showed them; see --reapply")
    if report.conflicts:
        print(f"  conflicts  {report.conflicts} documents were changed by another run; ingest again")
    for problem in report.problems:
        print(f"  PROBLEM    {problem.invariant}: {problem.detail}. {problem.advice}")
    for rejection in report.rejections[:SHOWN_URIS]:
        what = "in part " if rejection.part else "rejected"
        print(f"  {what}   {printable(rejection.name)}: {rejection.message}")
    if len(report.rejections) > SHOWN_URIS:
        print(f"  ... and {len(report.rejections) - SHOWN_URIS} more: revector failures")


def duplicates_line(report: RunReport) -> str:
    """What a run found out about near-duplicates; empty for nothing."""
    parts = []
    if count := report.documents.duplicate:
        what = "is a near-duplicate" if count == 1 else "are near-duplicates"
        parts.append(f"{count} of these {what} of another")
    if report.hidden:
        parts.append(f"{report.hidden} hidden from search")
    if report.restored:
        parts.append(f"{report.restored} shown again")
    return ", ".join(parts)


def print_hits(query: str, hits: Sequence[Hit]) -> None:
    """Search hits for people."""
    if not hits:
        print("Nothing found.")
    for number, hit in enumerate(hits, start=1):
        page = f", page {hit.page}" if hit.page else ""
        heading = f" - {hit.heading}" if hit.heading else ""
        print(f"{number}. {hit.uri}{page}{heading}  (score {hit.score:.4f}, version {hit.version})")
        print(f"   {snippet(hit.text, query)}")
        others = [uri for uri in hit.documents if uri != hit.uri and uri not in hit.duplicates]
        for label, uris in (("also in", others), ("near-duplicates", hit.duplicates)):
            if uris:
                print(f"   {label}: {_shortened(uris)}")


def _shortened(uris: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(uris) - SHOWN_HERE
    return ", ".join(uris[:SHOWN_HERE]) + (f" and {more} more" if more > 0 else "")


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Rows under their column names, aligned."""
    cells = [[shown(row.get(column)) for column in columns] for row in rows]
    if not cells:
        print(empty)
        return
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    for line in ([column.upper() for column in columns], *cells):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def shown(value: Any) -> str:
    """A value as a table has it: times are local, to the second."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()[:16]
    return str(value)


def _print_uris(sign: str, label: str, uris: Sequence[str]) -> None:
    if uris:
        print(f"  {sign} {len(uris)} {label}")
        for uri in uris[:SHOWN_URIS]:
            print(f"      {printable(uri)}")
        if len(uris) > SHOWN_URIS:
            print(f"      ... and {len(uris) - SHOWN_URIS} more")
