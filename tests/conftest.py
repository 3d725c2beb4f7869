"""One embedded server a session, one clone of a migrated template database a test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from registry.connection import Database, connect_admin
from registry.embedded import start_embedded, stop_embedded
from registry.migrate import migrate
from registry.opening import open_registry
from tests.world import World

TEMPLATE = "revector_template"

# how long the state machine walks: hundreds of steps in `make test`, thousands in `make nightly`
_MACHINE = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
_IS_NIGHTLY = os.environ.get("TESTS_NIGHTLY") == "1"
settings.register_profile(
    "machine",
    max_examples=100 if _IS_NIGHTLY else 8,
    stateful_step_count=50 if _IS_NIGHTLY else 40,
    derandomize=not _IS_NIGHTLY,
    **_MACHINE,
)
# the same inputs in each run of `make test`, other ones in each night
settings.register_profile("plain", deadline=None, derandomize=not _IS_NIGHTLY, print_blob=True)
settings.load_profile("plain")
_numbers = itertools.count()


def _named(url: str, database: str) -> str:
    return url.replace("/postgres?", f"/{database}?")


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that the server's own user may enter; pytest closes its own ones to others."""
    folder = Path(tempfile.mkdtemp(prefix="revector-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url(open_folder: Path) -> Iterator[str]:
    """A server without fsync (nobody pulls the plug here) that holds a migrated template."""
    home = open_folder / "shared"
    url = start_embedded(home)
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    with connect_admin(_named(url, TEMPLATE)) as admin:
        migrate(admin)
    yield url
    stop_embedded(home)


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Callable[[], AbstractContextManager[str]]:
    """Makes fresh databases with the schema in them."""

    @contextmanager
    def make() -> Iterator[str]:
        name = f"test_{next(_numbers)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield _named(server_url, name)
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return make


@pytest.fixture
def database_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A fresh database with the schema in it."""
    with new_database() as url:
        yield url


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """The registry of the tenant `default`."""
    with open_registry(tmp_path / "home", url=database_url, tenant="default") as database:
        yield database


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A source folder, a registry and a fake model; soundness is checked at the end."""
    with World.open(tmp_path, database_url) as made:
        yield made
        assert made.problems() == []
