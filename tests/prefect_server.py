"""Prefect's servers for tests, on copies of a database that is migrated once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from tests.waiting import PATIENCE_S


def make_template(folder: Path) -> Path:
    """Prefect's database with its schema and nothing in it, which takes Prefect a quarter of a minute."""
    database = folder / "template.db"
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env={**os.environ, "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}"},
        capture_output=True, check=True,
    )  # fmt: skip
    return database


@contextmanager
def serve_prefect(template: Path, folder: Path) -> Iterator[None]:
    """Prefect's own harness, whose server finds a migrated database in its folder."""
    from prefect.testing import utilities

    shutil.copy(template, folder / "prefect-test.db")
    with (
        patch.object(utilities, "mkdtemp", return_value=str(folder)),
        utilities.prefect_test_harness(server_startup_timeout=int(PATIENCE_S)),
    ):
        yield
