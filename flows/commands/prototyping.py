"""The commands classify, and prototypes with what belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows import output as out
from flows import output_images as images_out
from flows.commands.shared import Collection, Json, app, session_for

prototypes = typer.Typer(
    name="prototypes",
    help="Class prototypes of an image collection: build, show, history, export, rollback.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(prototypes)

Version = Annotated[int | None, typer.Option("--version", min=1, help="Of the prototypes [default: in use].")]


@prototypes.command()
def build(
    ctx: typer.Context,
    collection: Collection = "default",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="From all images, whatever is stored.")] = False,
    as_json: Json = False,
) -> None:
    """Build prototypes of the current release; every ingest of images does so itself."""
    from flows.prototyping import build as build_now

    with session_for(ctx, as_json, collection) as session:
        report = build_now(session, collection, rebuild=rebuild)
    out.print_json(images_out.prototypes_json(report)) if as_json else print(
        images_out.prototypes_line(report)
    )


@prototypes.command()
def show(
    ctx: typer.Context,
    collection: Collection = "default",
    version: Version = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Write the picture as PNG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How good the prototypes are: accuracy, confusions, likely mislabelled images, thresholds."""
    from flows.prototyping import show as show_now
    from flows.prototyping import write_figure
    from tasks.prototypes.quality_markdown import quality_markdown

    with session_for(ctx, as_json, collection, str(figure or "")) as session:
        found = show_now(session, collection, version)
        if figure is not None:
            write_figure(session, collection, figure, version)
    if as_json:
        out.print_json(found)
        return
    print(f"Prototypes of {collection}: version {found['version']}, of release {found['release']}\n")
    if not found["is_current"]:
        print(f"Release {found['current_release']} has come since: `revector prototypes build`.\n")
    print(quality_markdown(found["report"]))


@prototypes.command()
def history(ctx: typer.Context, collection: Collection = "default", as_json: Json = False) -> None:
    """All versions of the prototypes, newest first."""
    from flows.prototyping import history as list_now

    with session_for(ctx, as_json, collection) as session:
        rows = list_now(session, collection)
    if as_json:
        out.print_json({"collection": collection, "prototypes": rows})
        return
    columns = [
        "version",
        "release",
        "classes",
        "images",
        "accuracy",
        "tau1",
        "tau2",
        "created_at",
        "digest",
        "note",
    ]
    shown = [{**row, "digest": row["digest"][:16]} for row in rows]
    out.print_table(shown, columns, empty="No prototypes yet: ingest class folders with --kind images.")


@prototypes.command()
def export(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A folder; made if need be.")],
    collection: Collection = "default",
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Write prototypes.npz and prototypes.meta.json for the serving side."""
    from flows.prototyping import export as export_now

    with session_for(ctx, as_json, collection, str(output)) as session:
        facts = export_now(session, collection, output, version)
    if as_json:
        out.print_json(facts)
        return
    print(
        f"{facts['classes']} prototypes of collection {collection}, version {facts['version']} "
        f"(release {facts['release']}), are in {output}"
    )


@prototypes.command()
def rollback(
    ctx: typer.Context,
    collection: Collection = "default",
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", min=1, help="[default: the one before].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Use an earlier version of the prototypes again; images stay as they are."""
    from flows.prototyping import roll_back

    with session_for(ctx, as_json, collection) as session:
        stored = roll_back(session, collection, to)
    facts: dict[str, Any] = {
        "collection": collection,
        "version": stored.version,
        "digest": stored.digest.hex(),
        "note": stored.note,
    }
    if as_json:
        out.print_json(facts)
    else:
        print(f"Version {stored.version} is in use: {stored.note}, digest {facts['digest'][:16]}")


@app.command()
def classify(
    ctx: typer.Context,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    collection: Collection = "default",
    top_k: Annotated[int, typer.Option("--top-k", min=1, max=1000, help="Classes to name.")] = 3,
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Compare images with the class prototypes: a class, or unknown."""
    from flows.classifying import classify_images

    with session_for(ctx, as_json, collection, *map(str, images)) as session:
        results = classify_images(session, images, collection, top_k=top_k, version=version)
    if as_json:
        out.print_json({"results": results})
    else:
        images_out.print_verdicts(results)
    if any("error" in result for result in results):
        raise typer.Exit(1)
