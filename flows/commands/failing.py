"""What could not be read: failures, retry."""

from __future__ import annotations

from typing import Annotated
from unicodedata import normalize

import typer

from flows import output
from flows.commands.running import run_ingest
from flows.commands.shared import Collection, Json, app, report_errors, require_utf8, session_for
from flows.printable import printable
from schemas.errors import ConfigurationError, DocumentNotFound


@app.command()
def failures(
    ctx: typer.Context,
    collection: Collection = "default",
    error: Annotated[
        str | None, typer.Option("--error", metavar="CLASS", help="Only of this class, such as ParseTimeout.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Documents that are not indexed, or only in part, and why."""
    from registry.collections import get_collection
    from registry.runs import list_rejections

    with session_for(ctx, as_json, collection) as session:
        found = list_rejections(session.db, get_collection(session.db, collection).id)
    rejections = [rejection for rejection in found if error in (None, rejection.error)]
    if as_json:
        output.print_json(output.failures_json(rejections))
        return
    for rejection in rejections:
        tries = f" ({rejection.attempts} times)" if rejection.attempts > 1 else ""
        print(
            f"{printable(rejection.name)}\n  {rejection.stage} {rejection.error}{tries}: {rejection.message}"
        )
    if not rejections and found:
        classes = ", ".join(sorted({rejection.error for rejection in found}))
        print(f"No failures of class {error}. There are: {classes}.")
    elif not rejections:
        print("No failures.")


@app.command()
def retry(
    ctx: typer.Context,
    uris: Annotated[
        list[str] | None, typer.Argument(metavar="[URI]...", help="Documents, as `failures` names them.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever stands rejected.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Try rejected documents again, however often they have failed; nothing else is changed."""
    from registry.collections import get_collection
    from registry.runs import sources_to_retry

    named = [normalize("NFC", uri) for uri in uris or ()]
    with session_for(ctx, as_json, collection, *named) as session:
        if bool(named) == everything:
            raise ConfigurationError("Name documents, or say --all.", advice="See `revector failures`.")
        due = sources_to_retry(
            session.db, get_collection(session.db, collection).id, None if everything else named
        )
        unknown = sorted(set(named).difference(*due.values()))
        if unknown:
            raise DocumentNotFound(
                f"{printable(unknown[0])} does not stand rejected.",
                advice="See `revector failures`; a document that is indexed is tried again when it changes.",
            )
    reports = []
    with report_errors(as_json):
        for root, names in due.items():
            require_utf8(root)
            reports.append(run_ingest(ctx.obj, root, collection, only=names, quiet=as_json))
    if as_json:
        output.print_json({"runs": [report.as_json() for report in reports]})
    for report in () if as_json else reports:
        output.print_report(report)
    if not reports and not as_json:
        print("Nothing stands rejected.")
    if any(report.problems for report in reports):
        raise typer.Exit(1)
