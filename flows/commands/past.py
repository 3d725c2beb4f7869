"""Commands on the history: history, diff, tag, rollback, activate."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, session_for, show_report
from flows.output_diff import diff_json, print_diff
from schemas.errors import ConfigurationError
from schemas.history import ReleaseDiff


@app.command()
def history(
    ctx: typer.Context,
    collection: Collection = "default",
    most: Annotated[int, typer.Option("-n", min=1, max=1_000_000, help="Show at most this many.")] = 1000,
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
        return
    for row, release in zip(data["releases"], releases, strict=True):
        row["digest"], row["activated_at"] = row["digest"][:16], release.activated_at
        lost = [f"{release.missing} documents purged"] if release.missing else []
        lost += ["vectors purged"] if release.vectors_purged else []
        notes = [*(f"tag {tag}" for tag in release.tags), release.note, *lost]
        row["note"] = "; ".join(note for note in notes if note)
    columns = ["number", "kind", "activated_at", "documents", "chunks", "digest", "run_id", "note"]
    output.print_table(data["releases"], columns, empty="No releases yet.")


@app.command()
def diff(
    ctx: typer.Context,
    old: Annotated[str, typer.Argument(help="A release (number, tag or time), or the id of a staged run.")],
    new: Annotated[str | None, typer.Argument(help="Another release; the current one if left out.")] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Documents added, changed and removed between two releases, or by a staged run."""
    from flows.comparing import compare

    with session_for(ctx, as_json, collection, old, new or "") as session:
        result = compare(session, collection, old, new)
    _print_diff(result, as_json)


@app.command()
def tag(
    ctx: typer.Context,
    reference: Annotated[str | None, typer.Argument(help="A release: its number, a tag, or a time.")] = None,
    name: Annotated[str | None, typer.Argument(help="The name to give it.")] = None,
    delete: Annotated[str | None, typer.Option("--delete", help="Take this name away.")] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Name a release; what a tagged release shows is never purged."""
    from registry.collections import get_collection
    from registry.history import delete_tag, find_release, tag_release

    with session_for(ctx, as_json, collection, reference or "", name or "", delete or "") as session:
        found = get_collection(session.db, collection)
        if delete is not None:
            number = delete_tag(session.db, found, delete)
        elif reference is None or name is None:
            raise ConfigurationError("A release and a name are needed.", advice="revector tag 3 NAME")
        else:
            release = find_release(session.db, found, reference)
            tag_release(session.db, found, release, name)
            number = release.number
    shown, gone = delete or name, delete is not None
    if as_json:
        output.print_json({"collection": collection, "release": number, "tag": shown, "deleted": gone})
    else:
        print(f"Release {number} is no longer tagged {shown}." if gone else f"Release {number} is {shown}.")


@app.command()
def rollback(
    ctx: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", help="Show again what this release (number, tag or time) showed.")
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Undo the latest release.")] = False,
    document: Annotated[
        str | None, typer.Option("--document", help="Bring back an earlier version of this document.")
    ] = None,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Which version of it.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="The source the document is in.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Go back: a new release that shows what an earlier one showed. Embeds nothing."""
    from flows.rollback import LAST, preview_document_rollback, preview_rollback, rollback_collection
    from registry.rollback import DocumentTarget

    with session_for(ctx, as_json, collection, to or "", document or "", source or "") as session:
        if sum((to is not None, last, document is not None)) != 1:
            raise ConfigurationError(
                "Say what to go back to.", advice="Give one of --to RELEASE, --last, --document URI."
            )
        if document is None and (version is not None or source is not None):
            raise ConfigurationError(
                "--version and --source belong to a document.", advice="Add --document URI."
            )
        if document is not None:
            target: str | DocumentTarget = DocumentTarget(document, version, source)
        else:
            target = LAST if to is None else to
        if not dry_run:
            report = rollback_collection(session, collection, target)
        elif isinstance(target, DocumentTarget):
            chosen = preview_document_rollback(session, collection, target)
        else:
            preview = preview_rollback(session, collection, target)
    if not dry_run:
        show_report(report, as_json)
    elif isinstance(target, DocumentTarget):
        data = {"collection": collection, "document": document, "version": chosen, "dry_run": True}
        output.print_json(data) if as_json else print(f"{document} would go to version {chosen}.")
    else:
        _print_diff(preview, as_json)


@app.command()
def activate(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(help="Id of a staged run, from `revector status`.")],
    discard: Annotated[bool, typer.Option("--discard", help="Drop what it staged instead.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Show what a run staged although its quality gate failed; or drop it."""
    from flows.staged import activate_staged, discard_staged

    with session_for(ctx, as_json, collection, run) as session:
        try:
            run_id = UUID(run)
        except ValueError as exc:
            raise ConfigurationError(
                f"{run!r} is no run id.", advice="`revector status` shows the last run."
            ) from exc
        if discard:
            discard_staged(session, collection, run_id)
        else:
            report = activate_staged(session, collection, run_id)
    if discard:
        data = {"collection": collection, "run_id": run, "discarded": True}
        output.print_json(data) if as_json else print(f"Run {run}: what it staged is dropped.")
    else:
        show_report(report, as_json)


def _print_diff(result: ReleaseDiff, as_json: bool) -> None:
    output.print_json(diff_json(result)) if as_json else print_diff(result)
