"""The command line. Results go to standard output, logs and errors to standard error."""

from __future__ import annotations

import io
import sys

import typer
from typer.exceptions import TyperException

from flows import output
from flows.commands import (
    checking,
    duplicates,
    eventing,
    everyday,
    exporting,
    failing,
    operating,
    past,
    prototyping,
    purging,
    reembedding,
)
from flows.commands.shared import app
from schemas.errors import ConfigurationError, RevectorError

__all__ = [
    "app", "checking", "duplicates", "eventing", "everyday", "exporting", "failing", "main", "operating",
    "past", "prototyping", "purging", "reembedding", "run",
]  # fmt: skip

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main() -> None:
    """Entry point of the `revector` script."""
    for stream in (sys.stdout, sys.stderr):  # Korean, whatever the locale says
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of a call; with --json, a wrong call and an interruption answer in JSON too."""
    as_json = "--json" in arguments
    try:
        code = int(app(arguments or ["--help"], standalone_mode=False, prog_name="revector") or 0)
    except TyperException as exc:
        says = getattr(exc, "format_message", exc.__str__)()
        error = ConfigurationError(
            f"{says.rstrip('.')}.", advice="`revector COMMAND --help` shows how it is called."
        )
        if as_json:
            output.print_json(output.error_json(error))
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # Typer makes this code of a KeyboardInterrupt in a command
        ended = RevectorError("Interrupted.", advice="What was stored stays: run the same command again.")
        if as_json:
            output.print_json(output.error_json(ended))
        print(ended, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
