"""Numbered SQL migrations, applied once, in order, under a lock, frozen by checksum."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

import psycopg
from psycopg import sql

from registry.connection import APP_ROLE, SCHEMA, Connection, set_search_path
from schemas.errors import MigrationError

MIN_SERVER = 150000
MIN_VECTOR = (0, 8)
_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
_EDITIONS = {
    8: "e173f9300556c4c4b9f6972cf3403a9107fed7e927b89972e1bb9acf6dc85292",
    9: "d85e08112ce93ad65be041d58ccd3741b72933dda7d91e6510a654f45d9d603d",
    10: "e9ad9c79f32d082a14c03c35d460a094691d12c100682cb6a82311231bede045",
}
"""Other texts of migrations that were out for some hours; all of them together leave the same schema."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `registry/migrations`."""

    number: int
    name: str
    body: LiteralString

    @property
    def checksum(self) -> str:
        """sha256 of the file's text, hex."""
        return hashlib.sha256(self.body.encode()).hexdigest()


def load_migrations() -> list[Migration]:
    """The shipped migrations, by number."""
    found = []
    for entry in files("registry").joinpath("migrations").iterdir():
        if match := _FILE.match(entry.name):
            body: LiteralString = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], body))
    return sorted(found, key=lambda migration: migration.number)


def migrate(connection: Connection, migrations: list[Migration] | None = None) -> list[int]:
    """Bring the schema up to date; returns the numbers applied now.

    Args:
        connection: an admin connection in autocommit mode.
        migrations: the shipped ones unless a test says otherwise.

    Raises:
        MigrationError: the server is too old, the schema is newer than this program, or
            an applied migration's file was changed.
    """
    migrations = load_migrations() if migrations is None else migrations
    if _pending(connection, migrations):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('revector:migrate', 0))")
            pending = _pending(connection, migrations)
            if pending:
                _prepare(connection)
            for migration in pending:
                _apply(connection, migration)
        return [migration.number for migration in pending]
    return []


def has_app_role(connection: Connection) -> bool:
    """Whether this user may take the role `revector_app`."""
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    row = connection.execute(
        "SELECT bool_or(pg_has_role(current_user, oid, %s)) FROM pg_roles WHERE rolname = %s",
        [right, APP_ROLE],
    ).fetchone()
    return bool(row and row[0])


def _pending(connection: Connection, migrations: list[Migration]) -> list[Migration]:
    applied = _applied(connection)
    shipped = {migration.number: migration for migration in migrations}
    if unknown := set(applied) - set(shipped):
        raise MigrationError(
            f"The database has migration {max(unknown):04d}, which this version does not know.",
            advice="Install the version of revector that wrote it, or a newer one.",
        )
    for number, checksum in applied.items():
        if checksum not in (shipped[number].checksum, _EDITIONS.get(number)):
            raise MigrationError(
                f"Migration {number:04d} was changed after it was applied.",
                advice="Restore the file; put changes into a new migration.",
            )
    return [migration for migration in migrations if migration.number not in applied]


def _applied(connection: Connection) -> dict[int, str]:
    row = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.schema_migration"]).fetchone()
    if row is None or row[0] is None:
        return {}
    rows = connection.execute("SELECT number, checksum FROM schema_migration ORDER BY number").fetchall()
    return dict(rows)


def _prepare(connection: Connection) -> None:
    version = connection.info.server_version
    if version < MIN_SERVER:
        raise MigrationError(
            f"PostgreSQL {version // 10000} is too old.", advice="Use PostgreSQL 15 or newer."
        )
    row = connection.execute(
        "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
    ).fetchone()
    if row is None or tuple(int(part) for part in row[0].split(".")[:2]) < MIN_VECTOR:
        raise MigrationError(
            "The server has no pgvector 0.8 or newer.",
            advice="Install the pgvector extension on the server (Debian: postgresql-NN-pgvector).",
        )
    try:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        set_search_path(connection)
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.errors.InsufficientPrivilege as exc:
        raise MigrationError(
            f"The database user may not set up the schema ({exc}).",
            advice="Let it create schemas in this database, and have an administrator run "
            "`CREATE EXTENSION vector` there once.",
        ) from exc
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migration (number int PRIMARY KEY, name text NOT NULL, "
        "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )


def _apply(connection: Connection, migration: Migration) -> None:
    try:
        connection.execute(migration.body)
    except psycopg.Error as exc:
        raise MigrationError(
            f"Migration {migration.number:04d} failed: {exc}; nothing of it was applied.",
            advice="Give the database user the rights it lacks, or report it.",
        ) from exc
    connection.execute(
        "INSERT INTO schema_migration (number, name, checksum) VALUES (%s, %s, %s)",
        [migration.number, migration.name, migration.checksum],
    )
