"""The command line. Results go to standard output, logs and errors to standard error."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows import output
from flows.configuration import load_settings
from flows.logs import configure_logs
from flows.session import Session, open_session
from schemas.errors import ConfigurationError, RevectorError
from schemas.settings import Settings

BUG = "This is a bug: please report it."

app = typer.Typer(
    name="revector",
    help="Git for a vector index: plan, ingest, search, history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(StrEnum):
    """How to search."""

    hybrid = "hybrid"
    vector = "vector"
    keyword = "keyword"


Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Collection = Annotated[str, typer.Option("--collection", "-c", help="Name of the collection.")]
Location = Annotated[str, typer.Argument(help="A folder, a file, or an fsspec URL such as s3://bucket/docs.")]


@app.callback()
def _main(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file [default: revector.toml]")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each window.")] = False,
) -> None:
    configure_logs(verbose=verbose)
    ctx.obj = config


@contextmanager
def _report_errors(as_json: bool) -> Iterator[None]:
    """A failure as one clear message and an exit code."""
    try:
        yield
    except RevectorError as exc:
        if as_json:
            output.print_json(output.error_json(exc))
        print(f"error: {exc}", file=sys.stderr)
        raise typer.Exit(exc.exit_code) from exc
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except Exception as exc:  # a bug: programs get their one document all the same
        if not as_json:
            raise
        output.print_json(output.error_json(RevectorError(f"{type(exc).__name__}: {exc}", advice=BUG)))
        logging.getLogger(__name__).exception("a bug")
        raise typer.Exit(1) from exc


def _require_utf8(*arguments: str) -> None:
    """Refuse arguments that no database column can hold."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as exc:
            raise ConfigurationError(
                f"The argument {argument.encode('utf-8', 'backslashreplace').decode()} is not valid UTF-8.",
                advice="Rename the folder, or write the name in UTF-8.",
            ) from exc


@contextmanager
def _session(ctx: typer.Context, as_json: bool, *arguments: str) -> Iterator[Session]:
    with _report_errors(as_json):
        _require_utf8(*arguments)
        with open_session(load_settings(ctx.obj)) as session:
            yield session


@app.command()
def plan(
    ctx: typer.Context, path: Location, collection: Collection = "default", as_json: Json = False
) -> None:
    """Show what an ingest would change. Changes nothing."""
    from flows.pipeline import plan_location
    from tasks.batch import plain_steps

    with _session(ctx, as_json, path, collection) as session, plain_steps() as steps:
        result = plan_location(session, steps, path, collection)
    if as_json:
        output.print_json(output.plan_json(collection, result))
    else:
        output.print_plan(collection, result)


@app.command()
def ingest(
    ctx: typer.Context,
    path: Location,
    collection: Collection = "default",
    allow_deletions: Annotated[
        bool, typer.Option("--allow-deletions", help="Retire documents even if they are suspiciously many.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a collection up to date with a folder; only what changed is embedded."""
    with _report_errors(as_json):
        settings = load_settings(ctx.obj)
        _require_utf8(path, collection)
        if os.environ.get("PREFECT_API_URL"):
            from flows.ingest import ingest as ingest_flow
            from flows.ingest import require_server

            require_server()
            report = ingest_flow(
                path,
                collection=collection,
                allow_deletions=allow_deletions,
                config=str(ctx.obj) if ctx.obj else None,
            )
        else:
            report = _ingest_plain(settings, path, collection, allow_deletions, quiet=as_json)
    if as_json:
        output.print_json(report.as_json())
    else:
        output.print_report(report)


def _ingest_plain(
    settings: Settings, path: str, collection: str, allow_deletions: bool, *, quiet: bool
) -> Any:
    from flows.pipeline import ingest_location
    from flows.progress import show_progress
    from tasks.batch import plain_steps

    with open_session(settings) as session, plain_steps() as steps, show_progress(quiet=quiet) as progress:
        return ingest_location(
            session, steps, path, collection, allow_deletions=allow_deletions, progress=progress
        )


@app.command()
def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Number of hits.")] = 5,
    collection: Collection = "default",
    mode: Annotated[Mode, typer.Option("--mode", help="Vectors, keywords, or both.")] = Mode.hybrid,
    as_json: Json = False,
) -> None:
    """Find chunks by meaning and by words in the current release."""
    from flows.searching import search_text

    with _session(ctx, as_json, text, collection) as session:
        hits = search_text(session, text, collection, k=k, mode=mode.value)
    if as_json:
        output.print_json(output.hits_json(hits))
    else:
        output.print_hits(text, hits)


@app.command()
def status(ctx: typer.Context, collection: Collection = "default", as_json: Json = False) -> None:
    """The current release of a collection, its sources and its last run."""
    from flows.inspecting import collection_status

    with _session(ctx, as_json, collection) as session:
        data = collection_status(session, collection)
    if as_json:
        output.print_json(data)
        return
    output.print_table(
        [data], ["collection", "release", "documents", "chunks", "rejected", "model"], empty=""
    )
    print()
    output.print_table(data["sources"], ["name", "root"], empty="No sources.")
    if run := data["last_run"]:
        print(f"\nLast run {run['run_id']}: {run['state']}" + (f" ({run['error']})" if run["error"] else ""))


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

    with _session(ctx, as_json, collection) as session:
        releases = list_releases(session.db, get_collection(session.db, collection).id, most=most)
    data = output.releases_json(releases)
    if as_json:
        output.print_json(data)
    else:
        for row in data["releases"]:
            row["digest"], row["activated_at"] = row["digest"][:16], row["activated_at"][:19]
        columns = ["number", "kind", "activated_at", "documents", "chunks", "digest", "run_id"]
        output.print_table(data["releases"], columns, empty="No releases yet.")


@app.command()
def failures(ctx: typer.Context, collection: Collection = "default", as_json: Json = False) -> None:
    """Documents that are not indexed, and why."""
    from registry.collections import get_collection
    from registry.runs import list_rejections

    with _session(ctx, as_json, collection) as session:
        rejections = list_rejections(session.db, get_collection(session.db, collection).id)
    if as_json:
        output.print_json(output.failures_json(rejections))
    for rejection in () if as_json else rejections:
        print(f"{rejection.uri}\n  {rejection.stage} {rejection.error}: {rejection.message}")
    if not as_json and not rejections:
        print("No failures.")


@app.command()
def collections(ctx: typer.Context, as_json: Json = False) -> None:
    """All collections of this tenant."""
    from registry.collections import list_collections

    with _session(ctx, as_json) as session:
        rows = list_collections(session.db)
    if as_json:
        output.print_json({"collections": [{k: v for k, v in row.items() if k != "id"} for row in rows]})
    else:
        columns = ["name", "kind", "release", "documents", "chunks", "rejected", "model", "activated_at"]
        output.print_table(rows, columns, empty="No collections yet: run `revector ingest PATH`.")


@app.command()
def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check database, model, tools and GPU: what works, and what to install."""
    from flows.diagnosis import diagnose

    with _report_errors(as_json):
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


def main() -> None:
    """Entry point of the `revector` script."""
    for stream in (sys.stdout, sys.stderr):  # Korean, whatever the locale says
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
