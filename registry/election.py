"""What an election reads and writes: the registry's side of `tasks.dedup`."""

from __future__ import annotations

from typing import Any

from registry.connection import Connection
from registry.queries import load

_SQL = load("election")


def begin_election(connection: Connection, values: dict[str, Any]) -> None:
    """Take back what an earlier election of the run has written into its staged rows."""
    connection.execute(_SQL["drop_elected"], values)
    connection.execute(_SQL["clear_elected"], values)
