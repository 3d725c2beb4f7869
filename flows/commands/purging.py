"""Commands that delete: purge, forget."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer

from flows import output
from flows.commands.shared import Collection, Json, app, session_for

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")]
MB = 1 << 20


@app.command()
def purge(
    ctx: typer.Context, collection: Collection = "default", dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Drop old versions that retention does not keep, and give the space back."""
    from flows.purging import purge_collection

    with session_for(ctx, as_json, collection) as session:
        report = purge_collection(session, collection, dry_run=dry_run)
    if as_json:
        output.print_json(report)
    else:
        _print_purge(report)


@app.command()
def forget(
    ctx: typer.Context,
    uri: Annotated[str, typer.Argument(help="The document, as hits and plans name it.")],
    collection: Collection = "default",
    source: Annotated[
        str | None, typer.Option("--source", help="Name of its source, where several have that uri.")
    ] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite",
            help="Write the tables' files anew, so that none holds the deleted bytes; searches wait.",
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove a document with all its past, and prove that nothing is left."""
    from flows.forgetting import forget as forget_document

    with session_for(ctx, as_json, uri, collection, source or "") as session:
        report = forget_document(session, uri, collection, source=source, dry_run=dry_run, rewrite=rewrite)
    if as_json:
        output.print_json(report)
    else:
        _print_forget(report)


def _print_purge(report: dict[str, Any]) -> None:
    versions, size = report["versions"], report["bytes"]
    if report["dry_run"]:
        for item in report["items"]:
            if not item["keep"]:
                print(f"drop {item['uri']} version {item['version']}: {item['reason']}")
        kept = Counter(item["reason"] for item in report["items"] if item["keep"])
        for reason, count in kept.most_common():
            print(f"keep {count}: {reason}")
    verb = "would be dropped" if report["dry_run"] else "dropped"
    print(
        f"Collection {report['collection']}: {versions['dropped']} versions {verb}, {versions['kept']} kept"
    )
    _print_counts(verb, report)
    for space in report["spaces"]:
        print(f"  {verb}: vectors of {space['model']} ({space['dtype']}), {space['bytes'] / MB:.1f} MB")
    if report["deliveries"]:
        print(f"  {verb}: {report['deliveries']} deliveries of events")
    after = "?" if size["tables_after"] is None else f"{size['tables_after'] / MB:.1f}"
    print(
        f"  MB: tables {size['tables_before'] / MB:.1f} -> {after}, "
        f"blobs {size['blobs_before'] / MB:.1f} -> {size['blobs_after'] / MB:.1f}"
    )


def _print_forget(report: dict[str, Any]) -> None:
    print(f"{report['uri']} of collection {report['collection']}, source {report['source']}:")
    verb = "would go" if report["dry_run"] else "removed"
    _print_counts(f"{verb}: {report['versions']} versions", report, between=", ")
    if report["shared"]["chunks"]:
        print(
            f"  {report['shared']['chunks']} of its chunks stay: "
            f"they are shared with {report['shared']['documents']} documents"
        )
    if report["release"]:
        print(f"  release {report['release']} shows the collection without it")
    print("  there is now:" if report["dry_run"] else "  proof, counted again in the database and on disk:")
    for name, count in report["proof"].items():
        print(f"    {count} {name}")
    for warning in report["warnings"]:
        print(f"  warning: {warning}")


def _print_counts(verb: str, report: dict[str, Any], between: str = ": ") -> None:
    counts = (
        ("chunks", "chunks"), ("vectors", "vectors"), ("parsed", "parser results"),
        ("signatures", "signatures"), ("blobs", "blobs"),
    )  # fmt: skip
    print(f"  {verb}{between}" + ", ".join(f"{report[key]} {name}" for key, name in counts))
