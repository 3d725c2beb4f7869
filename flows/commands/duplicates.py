"""The command duplicates."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, session_for

SHOWN_MEMBERS = 15


@app.command()
def duplicates(
    ctx: typer.Context,
    release: Annotated[
        str | None, typer.Option("--release", metavar="REF", help="Number, tag or time [default: current].")
    ] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Near-duplicates of a release: which document stands for which others, and why."""
    from flows.inspecting import list_duplicates

    with session_for(ctx, as_json, collection, release or "") as session:
        data = list_duplicates(session, collection, release)
    if as_json:
        output.print_json(data)
    else:
        _print_duplicates(data)


def _print_duplicates(data: dict[str, Any]) -> None:
    if data["release"] is None:
        print(f"Collection {data['collection']} has no release yet.")
        return
    clusters = data["clusters"]
    members = [member for cluster in clusters for member in cluster["members"]]
    where = f"release {data['release']} of collection {data['collection']}"
    if not members:
        print(f"No near-duplicates in {where}.")
        return
    hidden = sum(member["suppressed"] for member in members)
    print(
        f"{_count(len(members), 'near-duplicate')} of {_count(len(clusters), 'document')} in {where}: "
        f"{hidden} hidden from search, {len(members) - hidden} flagged"
    )
    sources = {item["source"] for item in (*clusters, *members)}
    for cluster in clusters:
        print(_name(cluster, "winner", sources))
        for member in cluster["members"][:SHOWN_MEMBERS]:
            state = "hidden" if member["suppressed"] else "flagged"
            name = _name(member, "uri", sources)
            print(f"  {state:7} {member['similarity']:.2f}  {name}  - {member['reason']}")
        if (more := len(cluster["members"]) - SHOWN_MEMBERS) > 0:
            print(f"  ... and {more} more: --json lists all")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _name(item: dict[str, Any], key: str, sources: set[str]) -> str:
    """The uri, with its source where there are several."""
    return f"{item[key]}  ({item['source']})" if len(sources) > 1 else str(item[key])
