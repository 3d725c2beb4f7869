"""`revector deploy`: what the Prefect server has to know before a worker starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flows.catching_up import catch_up
from flows.ingest import require_server
from flows.service.pools import ensure_pools
from flows.service.zombies import ensure_crash_automation
from schemas.errors import PrefectUnavailable

TIMEOUT_S = 180.0


def deploy(prefect_file: Path, *, log_file: Path | None = None) -> int:
    """Make work pools, the automation against dead runs, all deployments of the file; what is there changes.

    Runs that were missed more than once are cancelled but for the newest; returns how many.

    Args:
        prefect_file: deployments; their runs work in its folder.
        log_file: where Prefect's own words go; None is standard output.

    Raises:
        PrefectUnavailable: the server does not answer, or refuses a deployment.
    """
    require_server()
    ensure_pools()
    ensure_crash_automation()
    path = prefect_file.resolve()
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)]
    output = log_file.open("ab") if log_file else None
    try:
        done = subprocess.run(
            command, cwd=path.parent, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            check=False, timeout=TIMEOUT_S,
        )  # fmt: skip
    finally:
        if output:
            output.close()
    if done.returncode:
        where = f"what {log_file} says" if log_file else "what it says above"
        raise PrefectUnavailable("`prefect deploy --all` failed.", advice=f"Correct {where}.")
    return catch_up()
