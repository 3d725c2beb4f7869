"""A registry whose statements another thread can end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import psycopg

from registry.connection import Connection, Database

log = logging.getLogger(__name__)

CANCEL_TIMEOUT_S = 1.0


class Interruptible(Database):
    """The same registry by the same pool, for threads that are not to wait in it once their work is over.

    Args:
        db: the registry; closing it is its owner's.
    """

    def __init__(self, db: Database) -> None:
        self.url, self.tenant_id = db.url, db.tenant_id
        self._use_role, self._pool = db._use_role, db._pool
        self._in_use: set[Connection] = set()
        self._uncertain: set[Connection] = set()
        self._guard = Lock()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """As that of the registry; it can be interrupted until the pool has it back."""
        with super().connection() as connection:
            with self._guard:
                self._in_use.add(connection)
            try:
                yield connection
            finally:
                with self._guard:  # from here on it may be another thread's
                    self._in_use.remove(connection)
                    if connection in self._uncertain:  # what is on its way would cancel that one's statement
                        self._uncertain.remove(connection)
                        connection.close()

    def interrupt(self) -> None:
        """Cancel the statements that run now: who waits for one gets `DatabaseUnavailable`.

        What is between two statements goes on, so this is called until it has ended.
        """
        with self._guard:
            for connection in self._in_use:
                try:
                    connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
                except psycopg.Error as exc:  # the server is gone, or ends: so does the statement
                    log.debug("a statement may be cancelled later: %s", type(exc).__name__)
                    self._uncertain.add(connection)
