"""What the receiver answers, as the OpenAPI document describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, Field

from schemas.event import Action, DeliveryStatus, EventState

_CLASS = re.compile(r"[A-Za-z]\w*(?=:)|cancelled|crashed")
ASK = "It was not applied; the operator sees why: revector events --state failed."
AGAIN = "The last try failed; it is tried again."
WAITS = "Something holds it up; the operator sees what: revector events."


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
    error: str | None = Field(description="Whether it failed; why is for the operator: `revector events`.")
    attempts: int
    run_id: UUID | None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> EventAnswer:
        """The answer for an event, without the text of its error, which may name paths and hosts."""
        shown = ASK if event["state"] == "failed" else AGAIN
        return cls.model_validate({**event, "error": shown if event["error"] else None})


class DeliveryAnswer(BaseModel):
    """What has become of a delivery."""

    id: str
    collection: str
    received_at: datetime
    state: EventState
    trouble: str | None = Field(description="Whether something is known to hold up what is pending.")
    events: list[EventAnswer] = Field(description="At most 1,000.")
    runs: list[UUID]

    @classmethod
    def of(cls, status: DeliveryStatus, *, is_held_up: bool) -> DeliveryAnswer:
        """The answer for a status; `is_held_up` is about the collection."""
        events = [EventAnswer.of(event) for event in status.events]
        return cls(
            id=status.id,
            collection=status.collection,
            received_at=status.received_at,
            state=status.state,
            trouble=WAITS if is_held_up and status.state == "pending" else None,
            events=events,
            runs=[UUID(run) for run in status.runs],
        )


class RunAnswer(BaseModel):
    """A run of the pipeline."""

    run_id: UUID
    collection: str
    flow: str
    trigger: str
    source: str | None = Field(description="Name of the source; null where the run was about none, or part.")
    prefect_flow_run_id: UUID | None
    started_at: datetime
    finished_at: datetime | None
    state: str
    stats: dict[str, Any]
    error: str | None = Field(description="Class of the error; its text is for the operator.")

    @classmethod
    def of(cls, row: Mapping[str, Any], names: Mapping[str, str]) -> RunAnswer:
        """The answer for a run. Places and texts of errors hold paths, hosts, passwords: they are not shown.

        Args:
            row: from the registry.
            names: root of a source -> its name.
        """
        kind = _CLASS.match(row["error"] or "")
        error = (kind[0] if kind else "failed") if row["error"] else None
        return cls.model_validate({**row, "source": names.get(row["scope"]), "error": error})


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
