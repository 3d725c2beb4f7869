"""Named SQL statements from `registry/sql/*.sql`.

A statement begins with ``-- name: some_name`` and ends where the next one begins.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load(topic: str) -> dict[str, LiteralString]:
    """The statements of ``sql/<topic>.sql`` by name.

    Raises:
        ValueError: a name stands twice in the file.
    """
    text = files("registry").joinpath("sql", f"{topic}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a statement name stands twice in sql/{topic}.sql")
    # the files ship with the package: they are as trusted as a literal
    return {name: cast(LiteralString, body.strip()) for name, body in zip(names, bodies, strict=True)}
