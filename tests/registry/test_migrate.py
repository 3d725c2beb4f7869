"""Migrations: applied once, in order, frozen by checksum."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from registry.connection import connect_admin
from registry.migrate import Migration, load_migrations, migrate
from schemas.errors import MigrationError


@pytest.fixture
def empty_url(server_url):
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrations_test")
    yield server_url.replace("/postgres?", "/migrations_test?")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE migrations_test WITH (FORCE)")


def test_migrations_are_applied_once(empty_url):
    with connect_admin(empty_url) as admin:
        assert migrate(admin) == [m.number for m in load_migrations()]
        assert migrate(admin) == []


def test_processes_that_start_together_migrate_once(empty_url):
    def start(_):
        with connect_admin(empty_url) as admin:
            return migrate(admin)

    with ThreadPoolExecutor(4) as threads:
        applied = [number for numbers in threads.map(start, range(4)) for number in numbers]
    assert applied == [m.number for m in load_migrations()]


def test_a_changed_migration_is_refused(empty_url):
    with connect_admin(empty_url) as admin:
        migrate(admin)
        changed = [replace(m, body=m.body + "\n-- edited") for m in load_migrations()]
        with pytest.raises(MigrationError, match="0001 was changed"):
            migrate(admin, changed)


def test_a_schema_from_the_future_is_refused(empty_url):
    with connect_admin(empty_url) as admin:
        migrate(admin, [*load_migrations(), Migration(9999, "future", "SELECT 1")])
        with pytest.raises(MigrationError, match="9999"):
            migrate(admin)


def test_a_failing_migration_leaves_nothing_behind(empty_url):
    broken = Migration(2, "broken", "CREATE TABLE half_made (id int); SELECT 1 / 0;")
    with connect_admin(empty_url) as admin:
        with pytest.raises(MigrationError, match="0002 failed"):
            migrate(admin, [load_migrations()[0], broken])
        assert admin.execute("SELECT to_regclass('revector.half_made')").fetchone() == (None,)
        assert migrate(admin) == [m.number for m in load_migrations()]
