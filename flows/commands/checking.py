"""Commands that look after what is stored: check."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, session_for
from schemas.check import ADVICE, RECALL, CheckReport

MB = 1 << 20


@app.command()
def check(
    ctx: typer.Context,
    collection: Collection = "default",
    quick: Annotated[
        bool, typer.Option("--quick", help="Only rows, digest and the presence of raw files.")
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild what can be rebuilt.")] = False,
    as_json: Json = False,
) -> None:
    """Check rows, history, vectors and raw files of a collection; exit code 1 if something is wrong."""
    from flows import checking

    with session_for(ctx, as_json, collection) as session:
        report = checking.check(session, collection, quick=quick, repair=repair)
    if as_json:
        output.print_json(report.as_json())
    else:
        print_check(report)
    if report.problems:
        raise typer.Exit(1)


def print_check(report: CheckReport) -> None:
    """What was checked, line by line, and what to do about what is wrong."""
    print(f"Collection {report.collection}, release {report.release or '-'}: {_counts(report)}")
    for repaired in report.repaired:
        print(f"mended {repaired.invariant}: {repaired.detail}")
    details: dict[str, list[str]] = {}
    for problem in report.problems:
        details.setdefault(problem.invariant, []).append(problem.detail)
    for invariant in report.invariants:
        if invariant not in details:
            print(f"ok     {invariant}{_recall(report) if invariant == RECALL else ''}")
        for detail in details.get(invariant, ()):
            print(f"FAIL   {invariant}: {detail}")
        if invariant in details:
            print(f"       -> {ADVICE[invariant]}")
    for note in report.notes:
        print(f"Not mended: {note}")
    if (unused := report.orphans) and (unused.chunks or unused.signatures or unused.blobs):
        counts = f"{unused.chunks} chunks, {unused.signatures} signatures, {unused.blobs} raw files"
        print(f"Unused: {counts} ({unused.bytes / MB:.1f} MB).")


def _counts(report: CheckReport) -> str:
    names = {
        "blob_bytes": "bytes of blobs", "duplicates": "near-duplicates", "places": "places of chunks",
        "vectors_beside": "vectors in other spaces", "visible": "visible chunks",
    }  # fmt: skip
    parts = [f"{count} {names.get(name, name)}" for name, count in report.checked.items()]
    return ", ".join(parts) or "nothing to check"


def _recall(report: CheckReport) -> str:
    if report.hnsw_recall is None:
        return " (there is no index: search is exact)"
    return f" (recall {report.hnsw_recall:.2f})"
