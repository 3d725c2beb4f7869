"""The command that changes a collection to another embedding model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, report_errors, require_utf8, session_for
from flows.configuration import load_settings
from flows.session import open_session

if TYPE_CHECKING:
    from schemas.estimate import ReembedPlan
    from schemas.reembed import ReembedReport


@app.command()
def reembed(
    ctx: typer.Context,
    collection: Collection = "default",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how much would be embedded, and how long it takes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change a collection to the model named as `next`; searches read the old vectors until the switch."""
    from flows.output_reembed import print_reembed

    if dry_run:
        _look(ctx, collection, as_json)
        return
    with report_errors(as_json):
        require_utf8(collection)
        report = run_reembed(ctx.obj, collection, quiet=as_json)
    output.print_json(report.as_json()) if as_json else print_reembed(report)


def _look(ctx: typer.Context, collection: str, as_json: bool) -> None:
    from flows.estimating import foresee_reembed
    from flows.output_estimate import print_reembed_plan
    from registry.collections import get_collection

    with session_for(ctx, as_json, collection) as session:
        plan: ReembedPlan = foresee_reembed(session, collection)
        kind = get_collection(session.db, collection).kind
    output.print_json(plan.as_json()) if as_json else print_reembed_plan(plan, kind)


def run_reembed(config: Path | None, collection: str, *, quiet: bool = False) -> ReembedReport:
    """The run's report: as a Prefect flow where the environment names a server, else as plain functions."""
    from schemas.reembed import ReembedReport

    settings = load_settings(config)
    if os.environ.get("PREFECT_API_URL"):
        from flows.ingest import require_server
        from flows.reembed import reembed as reembed_flow

        require_server()
        done = reembed_flow(collection, config=str(config) if config else None)
        assert isinstance(done, ReembedReport), "not a dry run"
        return done
    from flows.estimating import foresee_reembed
    from flows.progress import show_progress
    from flows.reembedding import reembed_collection

    with open_session(settings) as session, show_progress(quiet=quiet, first="embed") as progress:
        foresee_reembed(session, collection)  # says how much there is to embed
        return reembed_collection(session, collection, progress=progress)
