"""What the numbers were measured on, in one line."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import psycopg

from benchmarks.database import server_url

_PACKAGES = ("torch", "sentence-transformers", "psycopg", "numpy")
_VECTOR = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"


def machine_line() -> str:
    """Date, cores, memory and versions."""
    with psycopg.connect(server_url()) as connection:
        postgres = connection.info.parameter_status("server_version")
        row = connection.execute(_VECTOR).fetchone()
    facts = [
        datetime.now(UTC).strftime("%Y-%m-%d"),
        f"{platform.system()} {platform.machine()}",
        f"{os.cpu_count()} cores",
        f"{_memory_gb():.0f} GB",
        f"Python {platform.python_version()}",
        *(f"{package} {_version(package)}" for package in _PACKAGES),
        f"PostgreSQL {postgres}",
        f"pgvector {row[0] if row else '?'}",
    ]
    return ", ".join(facts)


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
