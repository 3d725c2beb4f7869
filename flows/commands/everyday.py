"""Everyday commands: plan, ingest, search, status, collections, doctor."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import output
from flows.commands.running import run_ingest
from flows.commands.shared import (
    Collection,
    Json,
    Kind,
    Location,
    app,
    report_errors,
    require_utf8,
    session_for,
    show_report,
)
from flows.configuration import load_settings
from schemas.errors import ConfigurationError

Reapply = Annotated[bool, typer.Option("--reapply", help="Bring back what a rollback took out of view.")]


class Mode(StrEnum):
    """How to search."""

    hybrid = "hybrid"
    vector = "vector"
    keyword = "keyword"


@app.command()
def plan(
    ctx: typer.Context,
    path: Location,
    collection: Collection = "default",
    reapply: Reapply = False,
    kind: Kind = None,
    as_json: Json = False,
) -> None:
    """Show what an ingest would change. Changes nothing."""
    from flows.estimating import foresee_location
    from flows.output_estimate import print_estimate
    from tasks.batch import plain_steps

    with session_for(ctx, as_json, path, collection) as session, plain_steps() as steps:
        found = foresee_location(
            session, steps, path, collection, reapply=reapply, kind=kind.value if kind else None
        )
    if as_json:
        estimate = found.estimate and found.estimate.as_json()
        output.print_json({**output.plan_json(collection, found.plan), "estimate": estimate})
    else:
        output.print_plan(collection, found.plan)
        print_estimate(found.estimate, found.kind)


@app.command()
def ingest(
    ctx: typer.Context,
    path: Location,
    collection: Collection = "default",
    allow_deletions: Annotated[
        bool, typer.Option("--allow-deletions", help="Retire documents even if they are suspiciously many.")
    ] = False,
    reapply: Reapply = False,
    kind: Kind = None,
    as_json: Json = False,
) -> None:
    """Bring a collection up to date with a folder; only what changed is embedded."""
    with report_errors(as_json):
        require_utf8(path, collection)
        report = run_ingest(
            ctx.obj,
            path,
            collection,
            allow_deletions=allow_deletions,
            reapply=reapply,
            kind=kind.value if kind else None,
            quiet=as_json,
        )
    show_report(report, as_json)


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="What to look for; leave it out with --image."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Number of hits.")] = 5,
    collection: Collection = "default",
    mode: Annotated[Mode, typer.Option("--mode", help="Vectors, keywords, or both.")] = Mode.hybrid,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="REF", help="An earlier release: number, tag or time.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only documents like author=Kim, 'date>=2026-01', tag=hr|law, 'path=hr/**'; repeatable.",
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Find images like this one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find chunks by meaning and by words in the current release, or in an earlier one."""
    from flows.searching import search_image, search_text
    from schemas.filters import parse_conditions

    text = " ".join(words or ())
    with report_errors(as_json):
        require_utf8(*(where or ()))
        conditions = parse_conditions(where or ())
    with session_for(ctx, as_json, text, collection, as_of or "", str(image or "")) as session:
        if image is None:
            hits = search_text(session, text, collection, k=k, mode=mode.value, as_of=as_of, where=conditions)
        elif text.strip():
            raise ConfigurationError("Both a text and --image are given.", advice="Leave one out.")
        elif mode is Mode.keyword:
            raise ConfigurationError("An image has no words.", advice="Leave out --mode keyword.")
        else:
            hits = search_image(session, image, collection, k=k, as_of=as_of, where=conditions)
    if as_json:
        output.print_json(output.hits_json(hits, conditions))
    else:
        output.print_hits(text or str(image), hits)


@app.command()
def status(ctx: typer.Context, collection: Collection = "default", as_json: Json = False) -> None:
    """The current release of a collection, its sources and its last run."""
    from flows.inspecting import collection_status
    from flows.output_events import print_waiting

    with session_for(ctx, as_json, collection) as session:
        data = collection_status(session, collection)
    if as_json:
        output.print_json(data)
        return
    output.print_table(
        [data], ["collection", "release", "documents", "chunks", "rejected", "held", "model"], empty=""
    )
    if any((found := data["duplicates"]).values()):
        hidden, flagged = found["suppressed"], found["flagged"]
        print(f"\nNear-duplicates: {hidden} hidden, {flagged} flagged (revector duplicates)")
    if (planned := data["next"]) and not planned["is_active"]:
        problem = f" It cannot: {planned['problem']}" if planned["problem"] else ""
        print(f"\nNext model: `revector reembed` would change this to {planned['model']}.{problem}")
    if (index := data["index"]) and index["recall"] is not None:
        print(f"\nVector index: {index['rows']} vectors, recall {index['recall']:.3f}")
    print()
    output.print_table(data["sources"], ["name", "root"], empty="No sources.")
    if waiting := data["waiting"]:
        print()
        print_waiting(waiting)
    if failed := data["failed_events"]:
        print(f"\nEvents that have failed: {failed} (revector events --state failed)")
    for run_id in data["staged_runs"]:
        print(f"\nHeld back by its gate: run {run_id} (revector diff, revector activate)")
    if run := data["last_run"]:
        print(f"\nLast run {run['run_id']}: {run['state']}" + (f" ({run['error']})" if run["error"] else ""))


@app.command()
def collections(ctx: typer.Context, as_json: Json = False) -> None:
    """All collections of this tenant."""
    from registry.collections import list_collections

    with session_for(ctx, as_json) as session:
        rows = list_collections(session.db)
    if as_json:
        output.print_json({"collections": [{k: v for k, v in row.items() if k != "id"} for row in rows]})
    else:
        columns = ["name", "kind", "release", "documents", "chunks", "rejected", "model", "activated_at"]
        output.print_table(rows, columns, empty="No collections yet: run `revector ingest PATH`.")


@app.command()
def formats(as_json: Json = False) -> None:
    """What can be read: formats, and what is found in each."""
    from flows.formats import formats_json, formats_markdown

    if as_json:
        output.print_json({"formats": formats_json()})
    else:
        print(formats_markdown())


@app.command()
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check database, model, tools and GPU: what works, and what to install."""
    from flows.diagnosis import diagnose

    with report_errors(as_json):
        checks = diagnose(load_settings(ctx.obj))
    ok = all(check.ok or check.optional for check in checks)
    if as_json:
        output.print_json({"ok": ok, "checks": [check.as_json() for check in checks]})
    else:
        for check in checks:
            mark = "ok  " if check.ok else ("-   " if check.optional else "FAIL")
            print(f"{mark} {check.name}: {check.detail}" + (f" {check.advice}" if not check.ok else ""))
    if not ok:
        raise typer.Exit(1)
