"""The command line. Results go to standard output, logs and errors to standard error."""

from __future__ import annotations

import io
import sys

from flows.commands import checking, everyday, exporting, past, purging
from flows.commands.shared import app

__all__ = ["app", "checking", "everyday", "exporting", "main", "past", "purging"]


def main() -> None:
    """Entry point of the `revector` script."""
    for stream in (sys.stdout, sys.stderr):  # Korean, whatever the locale says
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
