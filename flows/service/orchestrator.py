"""Prefect as the one who runs the flow `reindex`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed

from flows.catching_up import TAG
from schemas.errors import PrefectUnavailable

DEPLOYMENT = "reindex/reindex"
WORKER = "prefect.worker.name"
"""The label by which a worker says that a run is its own; it does so within a second of taking it."""
PAGE = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """State of a flow run, since when, and what is said of it."""

    state: str
    since: datetime
    why: str = ""


class PrefectOrchestrator:
    """Talks to the server that PREFECT_API_URL names; calls raise PrefectUnavailable where none is."""

    def __init__(self, deployment: str = DEPLOYMENT) -> None:
        self._deployment = deployment

    def ask(self, collection: str, key: str, *, tenant: str) -> UUID | None:
        """The flow run for that key, made if it is not there; None while the deployment is paused."""
        with _client() as client:
            try:
                deployment = client.read_deployment_by_name(self._deployment)
            except ObjectNotFound as exc:
                raise PrefectUnavailable(
                    f"Prefect has no deployment {self._deployment!r}.",
                    advice="Run `prefect deploy --all` in the folder of prefect.yaml.",
                ) from exc
            if deployment.paused:
                return None
            asked = client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"collection": collection, "tenant": tenant},
                idempotency_key=key,
                name=f"reindex {collection}: events",
            )
        return UUID(str(asked.id))

    def look(self, flow_run_id: UUID) -> Seen | None:
        """What has become of it."""
        with _client() as client:
            try:
                found = client.read_flow_run(flow_run_id)
            except ObjectNotFound:
                return None
        if found.state is None:
            return Seen("SCHEDULED", found.created or datetime.now(UTC))
        return Seen(found.state.type.value, found.state.timestamp, found.state.message or "")

    def declare_crashed(self, flow_run_id: UUID, why: str) -> None:
        """Force the state Crashed, unless it has ended already."""
        with _client() as client:
            try:
                found = client.read_flow_run(flow_run_id)
            except ObjectNotFound:
                return
            if found.state is None or not found.state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=f"revector: {why}"), force=True)

    def crash_stuck(self, older_than: timedelta, *, now: datetime | None = None) -> list[UUID]:
        """Declare runs crashed that a worker has taken and never started, because it died in between.

        Such a run is Pending and holds its place in the work pool for ever: Prefect looks for signs of life
        only of runs that have given one. Of all our deployments, not only of `reindex`.

        Args:
            older_than: since they were taken and due; a worker takes runs some seconds before they are due.
            now: the current time, unless a test says otherwise.
        """
        now, stuck = now or datetime.now(UTC), []
        with _client() as client:
            alive: dict[str, set[str]] = {}
            for run in _pending(client):
                pool = run.work_pool_name
                if pool is None or _taken(run) + older_than > now:
                    continue
                if pool not in alive:
                    alive[pool] = _workers_alive(client, pool)
                if run.labels.get(WORKER) not in alive[pool]:
                    why = "revector: the worker that had taken it is gone"
                    client.set_flow_run_state(run.id, Crashed(message=why), force=True)
                    stuck.append(run.id)
        return stuck


def _pending(client: SyncPrefectClient) -> list[FlowRun]:
    pending = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING]))
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=pending),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
        limit=PAGE,
    )


def _taken(run: FlowRun) -> datetime:
    """When it was taken, or due if that is later."""
    assert run.state is not None
    return max(run.state.timestamp, run.expected_start_time or run.state.timestamp)


def _workers_alive(client: SyncPrefectClient, pool: str) -> set[str]:
    """Names; a worker is alive for three of its heartbeats (90 s) after the last one."""
    found = client.read_workers_for_work_pool(pool, limit=PAGE)
    return {worker.name for worker in found if worker.status == WorkerStatus.ONLINE}


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectHTTPStatusError, OSError) as exc:
        raise PrefectUnavailable(
            f"The Prefect server does not answer ({type(exc).__name__}).",
            advice="Start it with `revector up` or `prefect server start`, or correct PREFECT_API_URL.",
        ) from exc
