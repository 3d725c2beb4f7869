"""After an outage, a schedule's missed runs are done once: only the newest of them runs.

Two workers may do this at the same time. Only a run that has a newer one of its kind is ever cancelled, so
the newest always runs, whoever looks and whenever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled

TAG = "revector"
"""Of all our deployments."""

PAGE = 200
_DUE = [StateType.SCHEDULED]
_IN_PLACE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED]
"""A newer run in one of these states does, or did, what the older one is for."""


def catch_up(*, now: datetime | None = None) -> int:
    """Cancel what was missed more than once, of all our deployments; returns how many runs.

    For the time before a worker starts. Raises what the Prefect client raises.
    """
    with get_client(sync_client=True) as client:
        ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
        deployments = client.read_deployments(deployment_filter=ours, limit=PAGE)
        return sum(len(cancel_missed(client, one.id, now or datetime.now(UTC))) for one in deployments)


def cancel_missed(client: SyncPrefectClient, deployment_id: UUID, now: datetime) -> list[UUID]:
    """Cancel the runs a deployment's schedules made that are due and have a newer one; returns their ids.

    Runs with other parameters do something else, and those that somebody asked for are never touched.
    """
    due = _read(client, deployment_id, _DUE, before=now)
    if not due:
        return []
    newest = _newest(_read(client, deployment_id, _IN_PLACE, before=now, after=_starts(due[-1])))
    cancelled = []
    for run in due:
        if (later := newest[_purpose(run)]).id != run.id:
            client.set_flow_run_state(run.id, Cancelled(message=_says(later)))
            cancelled.append(run.id)
    return cancelled


def find_newer(client: SyncPrefectClient, run: FlowRun, now: datetime) -> str | None:
    """Why a scheduled run need not do its work: a newer one of its kind is due; None where there is none."""
    if not run.auto_scheduled or run.deployment_id is None:
        return None
    in_place = _read(client, run.deployment_id, _IN_PLACE, before=now, after=_starts(run))
    newest = _newest(in_place).get(_purpose(run), run)
    return _says(newest) if _order(newest) > _order(run) else None


def _says(newer: FlowRun) -> str:
    at = _starts(newer).astimezone(UTC)
    return f"superseded: the run that was due at {at:%Y-%m-%d %H:%M} UTC does the same"


def _newest(runs: Iterable[FlowRun]) -> dict[str, FlowRun]:
    """The newest run for each purpose."""
    return {_purpose(run): run for run in sorted(runs, key=_order)}


def _purpose(run: FlowRun) -> str:
    return json.dumps(run.parameters, sort_keys=True, default=str)


def _order(run: FlowRun) -> tuple[datetime, str]:
    return _starts(run), str(run.id)


def _starts(run: FlowRun) -> datetime:
    assert run.expected_start_time is not None  # of a scheduled run
    return run.expected_start_time


def _read(
    client: SyncPrefectClient,
    deployment_id: UUID,
    states: list[StateType],
    *,
    before: datetime,
    after: datetime | None = None,
) -> list[FlowRun]:
    """Runs that schedules made and that were to start in that time, newest first."""
    chosen = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate(
            {"before_": before, "after_": after}
        ),
    )
    found: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_run_filter=chosen,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < PAGE:
            return [run for run in found if run.auto_scheduled]
