"""Flow runs whose process died with its worker: Prefect would call them running for ever."""

from __future__ import annotations

from datetime import timedelta

from prefect.automations import AutomationCore
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "revector: runs without a heartbeat have crashed"
HEARTBEAT_S = 30
WITHIN_S = 90


def ensure_crash_automation() -> None:
    """Have the server mark runs as crashed that show no sign of life; workers must set `HEARTBEAT_S`.

    Such a run would hold its place in the work pool, and the next ones would wait.
    """
    with get_client(sync_client=True) as client:
        if client.read_automations_by_name(NAME):
            return
        client.create_automation(
            AutomationCore(
                name=NAME,
                description="Of a process that was killed together with its worker nobody else would tell.",
                trigger=EventTrigger(
                    after={"prefect.flow-run.heartbeat"},
                    expect={
                        "prefect.flow-run.heartbeat",
                        "prefect.flow-run.Completed",
                        "prefect.flow-run.Failed",
                        "prefect.flow-run.Cancelled",
                        "prefect.flow-run.Crashed",
                    },
                    match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
                    for_each={"prefect.resource.id"},
                    posture=Posture.Proactive,
                    threshold=1,
                    within=timedelta(seconds=WITHIN_S),
                ),
                actions=[
                    ChangeFlowRunState(
                        name="Crashed",
                        state=StateType.CRASHED,
                        message="revector: no sign of life for 90 seconds",
                        force=True,
                    )
                ],
            )
        )
