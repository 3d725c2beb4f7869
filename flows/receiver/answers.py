"""What the receiver answers, as the OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, Field

from schemas.event import Action, DeliveryStatus, EventState


class ErrorFacts(BaseModel):
    """What went wrong."""

    kind: str = Field(alias="class", description="Class of the error, for programs.")
    message: str = Field(description="What is wrong.")
    advice: str = Field(description="What to do next.")


class ErrorAnswer(BaseModel):
    """Every error has this form."""

    error: ErrorFacts


class Accepted(BaseModel):
    """A message that is stored durably, or was before."""

    id: str = Field(description="Of the message: its sender's, or made from its content.")
    collection: str
    accepted: int = Field(description="Events that were stored.")
    ignored: int = Field(description="Entries that name nothing in the collection's sources.")
    duplicate: bool = Field(description="Whether it was stored before; then nothing was done now.")
    unknown: list[str] = Field(description="Deleted uris that the index does not have; at most 100.")
    status: str | None = Field(description="Where to ask what came of it; null where nothing was stored.")

    @classmethod
    def nothing(cls, id: str, collection: str, *, unknown: Sequence[str] = ()) -> Accepted:
        """The answer where nothing was to be stored."""
        return cls(
            id=id,
            collection=collection,
            accepted=0,
            ignored=0,
            duplicate=False,
            unknown=list(unknown),
            status=None,
        )


class EventAnswer(BaseModel):
    """One event of a delivery."""

    source: str
    uri: str
    action: Action
    state: EventState
    outcome: str | None = Field(description="What came of it; null while it is pending.")
    error: str | None
    attempts: int
    run_id: UUID | None


class DeliveryAnswer(BaseModel):
    """What has become of a delivery."""

    id: str
    collection: str
    received_at: datetime
    state: EventState
    events: list[EventAnswer] = Field(description="At most 1,000.")
    runs: list[UUID]

    @classmethod
    def of(cls, status: DeliveryStatus) -> DeliveryAnswer:
        """The answer for a status."""
        events = [EventAnswer.model_validate(event) for event in status.events]
        return cls(
            id=status.id,
            collection=status.collection,
            received_at=status.received_at,
            state=status.state,
            events=events,
            runs=[UUID(run) for run in status.runs],
        )


class RunAnswer(BaseModel):
    """A run of the pipeline."""

    run_id: UUID
    collection: str
    flow: str
    trigger: str
    scope: str
    prefect_flow_run_id: UUID | None
    started_at: datetime
    finished_at: datetime | None
    state: str
    stats: dict[str, Any]
    error: str | None


class RunsAnswer(BaseModel):
    """The run with an id, or all runs of a Prefect flow run, oldest first."""

    runs: list[RunAnswer]


class HealthAnswer(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(BaseModel):
    """Whether requests can be served, and what stands against it."""

    ready: bool
    problems: list[str]


def status_path(collection: str, id: str) -> str:
    """Where the status of a delivery is; the path is what `GET` signs."""
    return f"/v1/events/{_quoted(collection)}/{_quoted(id)}"


def _quoted(part: str) -> str:
    return quote(part.encode("utf-8", "surrogatepass"), safe="")
