"""Commands about events: reindex, events, watch."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import output
from flows.commands.shared import Collection, Json, Kind, app, report_errors, require_utf8, session_for
from flows.configuration import load_settings
from schemas.errors import ConfigurationError


class StateName(StrEnum):
    """What has become of an event."""

    pending = "pending"
    applied = "applied"
    failed = "failed"


@app.command()
def reindex(
    ctx: typer.Context,
    uris: Annotated[
        list[str] | None,
        typer.Argument(metavar="[URI]...", help="Documents or folders, by their path below the source."),
    ] = None,
    collection: Collection = "default",
    source: Annotated[
        str | None, typer.Option("--source", help="Name of their source, where there are several.")
    ] = None,
    pending: Annotated[bool, typer.Option("--pending", help="Apply the events that wait.")] = False,
    as_json: Json = False,
) -> None:
    """Look at named documents now, or at what events have named; nothing else is listed."""
    from flows.commands.running import run_reindex
    from flows.output_events import print_reindex, reindex_json

    with report_errors(as_json):
        require_utf8(*(uris or ()), collection, source or "")
        if bool(uris) == pending or (pending and source is not None):
            raise ConfigurationError(
                "Name documents, or say --pending.", advice="--source belongs to named documents."
            )
        report = run_reindex(
            ctx.obj, collection, None if pending else list(uris or ()), source=source, quiet=as_json
        )
    output.print_json(reindex_json(report)) if as_json else print_reindex(report)
    outcomes = set(report.outcomes.values())
    if report.errors or "conflict" in outcomes or any(run.problems for run in report.runs):
        raise typer.Exit(1)
    if "unknown" in outcomes and not pending:  # a wrong name is a wrong call
        raise typer.Exit(ConfigurationError.exit_code)


@app.command()
def events(
    ctx: typer.Context,
    collection: Collection = "default",
    state: Annotated[StateName | None, typer.Option("--state", help="Only those.")] = None,
    most: Annotated[int, typer.Option("-n", min=1, max=100_000, help="Show at most this many.")] = 100,
    retry: Annotated[bool, typer.Option("--retry", help="Make what has failed pending again.")] = False,
    as_json: Json = False,
) -> None:
    """What has been said of a collection's documents, newest first, and what came of it."""
    from flows.inspecting import waiting_events
    from flows.output_events import events_json, print_events, print_waiting
    from registry.collections import get_collection
    from registry.events import list_events, retry_events

    with session_for(ctx, as_json, collection) as session:
        found = get_collection(session.db, collection)
        retried = retry_events(session.db, found.id) if retry else 0
        rows = list_events(session.db, found.id, state=state.value if state else None, most=most)
        waiting = waiting_events(session.db, found.id)
    if as_json:
        output.print_json(events_json(collection, rows, retried=retried, waiting=waiting))
        return
    print_events(rows)
    if waiting and waiting["trouble"]:
        print()
        print_waiting(waiting)
    if retry:
        print(f"\nFailed events that are pending again: {retried}.")
        if retried and not os.environ.get("PREFECT_API_URL"):
            print("Apply them with `revector reindex --pending`.")


@app.command()
def watch(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="A folder.")],
    collection: Collection = "default",
    debounce: Annotated[
        float | None,
        typer.Option(
            "--debounce",
            min=0.05,
            max=3600,
            metavar="SECONDS",
            help="How long nothing must change before it is looked at [default: webhook.debounce_s].",
        ),
    ] = None,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look at all files again and again: for network mounts.")
    ] = False,
    kind: Kind = None,
) -> None:
    """Keep a collection up to date with a folder while it changes. Ctrl-C ends it."""
    from flows.commands.watching import run_watch

    with report_errors(False):
        require_utf8(str(path), collection)
        settings = load_settings(ctx.obj)
        debounce_s = settings.webhook.debounce_s if debounce is None else debounce
        complete = run_watch(
            settings,
            str(path),
            collection,
            debounce_s=debounce_s,
            poll=poll,
            kind=kind.value if kind else None,
        )
    if not complete:
        raise typer.Exit(1)
