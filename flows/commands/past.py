"""Commands on the history: history."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, session_for


@app.command()
def history(
    ctx: typer.Context,
    collection: Collection = "default",
    most: Annotated[int, typer.Option("-n", min=1, help="Show at most this many.")] = 1000,
    as_json: Json = False,
) -> None:
    """The releases of a collection, newest first."""
    from registry.collections import get_collection
    from registry.releases import list_releases

    with session_for(ctx, as_json, collection) as session:
        releases = list_releases(session.db, get_collection(session.db, collection).id, most=most)
    data = output.releases_json(releases)
    if as_json:
        output.print_json(data)
    else:
        for row in data["releases"]:
            row["digest"], row["activated_at"] = row["digest"][:16], row["activated_at"][:19]
        columns = ["number", "kind", "activated_at", "documents", "chunks", "digest", "run_id"]
        output.print_table(data["releases"], columns, empty="No releases yet.")
