"""What all commands share: the application, its options, sessions, errors."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows import output
from flows.configuration import load_settings
from flows.logs import configure_logs
from flows.session import Session, open_session
from schemas.errors import ConfigurationError, RevectorError
from schemas.report import RunReport

BUG = "This is a bug: please report it."


class KindName(StrEnum):
    """What a collection holds."""

    documents = "documents"
    images = "images"


app = typer.Typer(
    name="revector",
    help="Git for a vector index: plan, ingest, search, history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Collection = Annotated[str, typer.Option("--collection", "-c", help="Name of the collection.")]
Kind = Annotated[
    KindName | None,
    typer.Option("--kind", help="What a new collection is to hold [default: as configured, or documents]."),
]
Location = Annotated[str, typer.Argument(help="A folder, a file, or an fsspec URL such as s3://bucket/docs.")]


@app.callback()
def _start(
    ctx: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file; revector.toml if left out.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each window.")] = False,
) -> None:
    configure_logs(verbose=verbose, as_json=_log_format(config) == "json")
    ctx.obj = config


def _log_format(config: Path | None) -> str:
    try:
        return load_settings(config).log
    except ConfigurationError:  # the command will say so
        return "text"


@contextmanager
def report_errors(as_json: bool) -> Iterator[None]:
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


def require_utf8(*arguments: str) -> None:
    """Refuse arguments that no database column can hold."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as exc:
            raise ConfigurationError(
                f"The argument {argument.encode('utf-8', 'backslashreplace').decode()} is not valid UTF-8.",
                advice="Rename the folder, or write the name in UTF-8.",
            ) from exc
        if "\0" in argument:
            raise ConfigurationError(
                f"The argument {argument!r} holds a NUL character.", advice="Leave it out."
            )


@contextmanager
def session_for(ctx: typer.Context, as_json: bool, *arguments: str) -> Iterator[Session]:
    """An open session; errors end the command with a message and an exit code."""
    with report_errors(as_json):
        require_utf8(*arguments)
        with open_session(load_settings(ctx.obj)) as session:
            yield session


def show_report(report: RunReport, as_json: bool) -> None:
    """A run's report; a release that is not sound makes the command fail."""
    output.print_json(report.as_json()) if as_json else output.print_report(report)
    if report.problems:
        raise typer.Exit(1)
