"""Work pools of Prefect: where the runs of deployments wait for a worker."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from flows.service.worker import name_prefix

LIMITS: dict[str, int | None] = {"cpu": None, "gpu": 1}
"""Pool -> how many runs at a time; further ones wait. One that is there keeps the limit it was given."""

PAGE = 200


def ensure_pools() -> None:
    """Make the pools that are not there."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name, limit in LIMITS.items():
            try:
                client.create_work_pool(
                    WorkPoolCreate(
                        name=name, type="process", base_job_template=template, concurrency_limit=limit
                    )
                )
            except ObjectAlreadyExists:
                continue


def forget_workers() -> list[str]:
    """Take workers of this machine that are gone out of the UI: each start of one has a name of its own."""
    forgotten = []
    with get_client(sync_client=True) as client:
        for pool in LIMITS:
            for worker in client.read_workers_for_work_pool(pool, limit=PAGE):
                if worker.status == WorkerStatus.OFFLINE and worker.name.startswith(name_prefix(pool)):
                    client.request(
                        "DELETE",
                        "/work_pools/{work_pool_name}/workers/{name}",
                        path_params={"work_pool_name": pool, "name": worker.name},
                    )
                    forgotten.append(worker.name)
    return forgotten
