"""Work pools of Prefect: where the runs of deployments wait for a worker."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

LIMITS: dict[str, int | None] = {"cpu": None, "gpu": 1}
"""Pool -> how many runs at a time; further ones wait. One that is there keeps the limit it was given."""


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


def set_paused(pools: Sequence[str], *, is_paused: bool) -> None:
    """Let workers take runs of these pools, or no more."""
    with get_client(sync_client=True) as client:
        for pool in pools:
            client.update_work_pool(pool, WorkPoolUpdate(is_paused=is_paused))


def count_at_work(pools: Sequence[str]) -> int:
    """How many runs of these pools have been taken by a worker and have not ended."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        WorkPoolFilter,
        WorkPoolFilterName,
    )
    from prefect.client.schemas.objects import StateType

    states = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=list(pools))),
            limit=100,
        )
    return len(found)
