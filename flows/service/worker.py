"""A worker that can be asked to finish what it has: `python -m flows.service.worker POOL`.

Prefect's own worker ends its runs when it ends; only a paused pool keeps it from taking more, and a pool
may be somebody else's as well. After SIGUSR1 this one takes nothing more, and ends by itself when its last
run has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from typing import Any

from prefect.client.schemas.objects import FlowRun
from prefect.logging.configuration import setup_logging
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.process import ProcessWorker

from flows.service.children import FINISH

log = logging.getLogger(__name__)


class FinishingWorker(ProcessWorker):
    """A process worker with a last run."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._at_work = 0
        self._is_finishing = False

    @classmethod
    def __dispatch_key__(cls) -> str:
        return f"finishing-{cls.type}"  # Prefect's own one stays what `prefect worker start` finds

    def finish(self, *_: object) -> None:
        """Take nothing more; end when nothing is at work."""
        self._is_finishing = True
        self._end_if_done()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """What is due, or nothing any more."""
        if not self._is_finishing:
            return await super().get_and_submit_flow_runs()
        self._end_if_done()
        return []

    async def _submit_run_and_capture_errors(self, *args: Any, **options: Any) -> Any:
        """The whole of a run, and what is told of its end."""
        self._at_work += 1
        try:
            return await super()._submit_run_and_capture_errors(*args, **options)
        finally:
            self._at_work -= 1
            if self._is_finishing:
                self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._at_work and not self._submitting_flow_run_ids:
            self._end()

    def _end(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def worker_name(pool: str) -> str:
    """A name that no other start of a worker has had: by it one knows whether the one that took a run lives.

    >>> worker_name("gpu") == worker_name("gpu")
    False
    """
    return f"{name_prefix(pool)}{secrets.token_hex(3)}"


def name_prefix(pool: str) -> str:
    """What the names of this machine's workers of a pool start with."""
    return f"{socket.gethostname()}-{pool}-"


async def work(pool: str) -> None:
    """Work for that pool until SIGTERM, or until all is finished after SIGUSR1."""
    worker = FinishingWorker(work_pool_name=pool, name=worker_name(pool))
    setup_signal_handlers_worker(os.getpid(), f"the worker {worker.name}", log.info)
    signal.signal(FINISH, worker.finish)
    with contextlib.suppress(asyncio.CancelledError):  # the end that SIGTERM asks for
        await worker.start(printer=log.info)


def main() -> None:
    """The program."""
    setup_logging()
    logging.getLogger("flows").setLevel(logging.INFO)
    asyncio.run(work(sys.argv[1]))


if __name__ == "__main__":
    main()
