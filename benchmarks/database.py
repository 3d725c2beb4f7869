"""A fresh embedded PostgreSQL in a temporary folder, with its default (durable) settings."""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg

from registry.connection import Database
from registry.embedded import start_embedded
from registry.opening import open_registry

STATEMENT_TIMEOUT = "180s"
"""A statement with a wrong plan fails its benchmark instead of holding up the others."""

_numbers = itertools.count()


@cache
def server_folder() -> Path:
    """The temporary folder of this process; gone, with the server in it, when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="revector-bench-"))
    # registered before the server's own stop, hence called after it
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def server_url() -> str:
    """The server, started at first use: fsync and synchronous_commit on, as for users."""
    return start_embedded(server_folder() / "server")


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """An empty folder while the block runs."""
    folder = server_folder() / f"work-{next(_numbers)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database while the block runs."""
    name = f"bench_{next(_numbers)}"
    _run_on_server(f"CREATE DATABASE {name}")
    _run_on_server(f"ALTER DATABASE {name} SET statement_timeout = '{STATEMENT_TIMEOUT}'")
    try:
        yield server_url().replace("/postgres?", f"/{name}?")
    finally:
        _run_on_server(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def fresh_registry() -> Iterator[Database]:
    """The registry of one tenant in a fresh database, under the application's role."""
    with fresh_folder() as home, fresh_database() as url, open_registry(home, url=url, tenant="bench") as db:
        yield db


@contextmanager
def connect_owner(url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection, for baselines and for emptying tables between rounds."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=revector,public") as connection:
        yield connection


def _run_on_server(statement: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement)
