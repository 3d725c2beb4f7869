"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import output as out
from flows.commands.shared import Collection, Json, app, session_for


@app.command()
def export(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A folder to be made.")],
    release: Annotated[
        str | None, typer.Option("--release", metavar="REF", help="Number, tag or time [default: current].")
    ] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Write a release as Parquet files: documents, chunks, vectors."""
    from registry.collections import get_collection
    from registry.history import find_release
    from tasks.exporting import export_release

    with session_for(ctx, as_json, str(output), collection, release or "") as session:
        found = get_collection(session.db, collection)
        number = None if release is None else find_release(session.db, found, release).number
        facts = export_release(session.db, found, output, release=number)
    if as_json:
        out.print_json({**facts, "output": str(output)})
        return
    counts = facts["counts"]
    print(
        f"Release {facts['number']} of collection {collection} is in {output}: "
        f"{counts['documents']} documents, {counts['chunks']} chunks in {counts['places']} places"
    )
