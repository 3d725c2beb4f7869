"""Connections: one pool per process, every connection bound to one tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from schemas.errors import ConfigurationError, DatabaseError, DatabaseUnavailable

Connection = psycopg.Connection[TupleRow]

SCHEMA = "revector"
APP_ROLE = "revector_app"
CONNECT_TIMEOUT_S = 10
BUG = "This is a bug: please report it."
ADVICE = "Check that the server runs and that REVECTOR_DATABASE_URL is right; then run `revector doctor`."


@contextmanager
def translate_errors() -> Iterator[None]:
    """Psycopg's errors as ours; the text of a connection string never gets into them."""
    try:
        yield
    except psycopg.errors.ProgramLimitExceeded as exc:
        raise DatabaseError(f"The database takes no value that large: {exc}.", advice=BUG) from exc
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as exc:
        first = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise DatabaseUnavailable(f"The database is not available: {first}.", advice=ADVICE) from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise DatabaseError(
            f"The database user lacks a right: {exc}.", advice="See docs/RUNBOOK.md, database roles."
        ) from exc
    except psycopg.Error as exc:
        raise DatabaseError(f"The database refused: {exc}.", advice=BUG) from exc


@contextmanager
def connect_admin(url: str) -> Iterator[Connection]:
    """A connection as the user of the URL, for migrations and tenants; autocommit is on.

    Raises:
        ConfigurationError: the URL is none.
        DatabaseUnavailable: the server does not answer or lets nobody in.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text repeats the URL, password and all
        raise ConfigurationError(
            "REVECTOR_DATABASE_URL is not a PostgreSQL URL.",
            advice="Write postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters as %XX.",
        ) from None
    with (
        translate_errors(),
        psycopg.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="revector admin"
        ) as connection,
    ):
        set_search_path(connection)
        yield connection


def set_search_path(connection: Connection) -> None:
    """Name our schema first; `public` holds the vector extension."""
    connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(SCHEMA)))


class Database:
    """A pool of connections that see one tenant's rows only.

    Args:
        url: a PostgreSQL URL.
        tenant_id: whose rows; row level security holds it in the database.
        use_role: take the role `revector_app` (needed where the URL's user is a superuser).
    """

    def __init__(self, url: str, tenant_id: int, *, use_role: bool) -> None:
        self.url = url
        self.tenant_id = tenant_id
        self._use_role = use_role
        self._pool = ConnectionPool(
            url,
            kwargs={"autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S, "application_name": "revector"},
            min_size=1,
            max_size=8,
            timeout=CONNECT_TIMEOUT_S,
            configure=self._configure,
            check=ConnectionPool.check_connection,
            open=False,
        )
        with translate_errors():
            self._pool.open(wait=True, timeout=CONNECT_TIMEOUT_S)

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        set_search_path(connection)
        connection.execute("SELECT set_config('app.tenant_id', %s, false)", [str(self.tenant_id)])
        if self._use_role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(APP_ROLE)))

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit mode, for single statements."""
        with translate_errors(), self._pool.connection() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction: commits on success, rolls back on an error."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def dedicated(self) -> Iterator[Connection]:
        """A connection outside the pool, for a session lock that outlives transactions."""
        with (
            translate_errors(),
            psycopg.connect(
                self.url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="revector run"
            ) as connection,
        ):
            self._configure(connection)
            yield connection

    def close(self) -> None:
        """Close the pool; idempotent."""
        self._pool.close()
