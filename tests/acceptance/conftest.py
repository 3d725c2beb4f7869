"""The command line on the shipped samples, with the embedded database and the real model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "documents"


class Cli:
    """Runs `revector` as a user would."""

    def __init__(self, home: Path, **environment: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("REVECTOR_", "PREFECT_"))}
        self.environment = {**clean, "REVECTOR_HOME": str(home), **environment}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=ROOT,
            timeout=300,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """The one JSON document on standard output of a command that succeeds."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def samples(open_folder):
    """A copy of the sample documents."""
    folder = open_folder / "documents"
    shutil.copytree(SAMPLES, folder)
    return folder


@pytest.fixture(scope="session")
def cli(open_folder):
    return Cli(open_folder / "home")


@pytest.fixture(scope="session")
def first_run(cli, samples):
    """The report of the first ingest of the samples."""
    return cli.json("ingest", str(samples))
