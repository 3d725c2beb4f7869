"""Runs, health and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from flows.receiver.answers import HealthAnswer, ReadyAnswer, RunAnswer, RunsAnswer
from flows.receiver.authentication import authenticate
from flows.receiver.core import Receiver
from flows.receiver.describing import errors
from flows.receiver.events import TheReceiver
from flows.receiver.limits import is_private
from flows.receiver.meters import CONTENT_TYPE, Within
from flows.receiver.refusals import JsonResponse, RequestRefused
from registry.collections import find_collection, list_sources
from registry.connection import Database
from registry.receiving import find_runs
from schemas.errors import RevectorError

router = APIRouter(tags=["operations"])

READY_S = 3.0
WITHHELD = "Something is: the log, and /ready from a private address, say what."
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def _may_observe(request: Request, receiver: Receiver) -> bool:
    """Whether names of collections and hosts are for whoever asks: by default nobody from outside.

    What a proxy passes on is from outside, whatever address the proxy itself has.
    """
    allowed = receiver.webhook.metrics
    if allowed == "private":
        is_near = request.client is not None and is_private(request.client.host)
        return is_near and not any(name in request.headers for name in FORWARDED)
    return allowed == "open"


def make_probe(db: Database, is_ready: Callable[[], list[str]] | None) -> Within[list[str]]:
    """What stands against serving requests, within a time limit."""

    def look() -> list[str]:
        problems = list(is_ready()) if is_ready is not None else []
        try:
            with db.connection():  # the pool tries each connection it lends
                pass
        except RevectorError as exc:
            problems.append(f"{type(exc).__name__}: {exc.message}")
        return problems

    return Within(look, limit_s=READY_S)


@router.get(
    "/v1/runs/{id}",
    response_model=RunsAnswer,
    responses=errors(401, 404, 422, 429, 500, 503),
    summary="Ask what a run did",
)
def get_run(request: Request, receiver: TheReceiver, id: str) -> JsonResponse:
    """A run by its own id, or the runs of a Prefect flow run by that one's."""
    caller = authenticate(receiver, request, None)
    rows = [row for row in _find_runs(receiver, id) if caller.sender.may_use(row["collection"])]
    if not rows:
        raise RequestRefused(404, "NotFound", "There is no such run.", advice="Check the id.")
    answer = RunsAnswer(runs=[RunAnswer.of(row, _source_names(receiver, row["collection"])) for row in rows])
    return JsonResponse(answer.model_dump(mode="json"))


def _find_runs(receiver: Receiver, id: str) -> list[dict[str, Any]]:
    """An id that no run can have is that of none."""
    try:
        return find_runs(receiver.db, UUID(id))
    except ValueError:
        return []


def _source_names(receiver: Receiver, collection: str) -> dict[str, str]:
    """Root of each source of a collection -> its name."""
    found = find_collection(receiver.db, collection)
    return {source.root_url: source.name for source in list_sources(receiver.db, found.id)} if found else {}


@router.get(
    "/health", response_model=HealthAnswer, responses=errors(500), summary="Whether the process is alive"
)
async def get_health() -> JsonResponse:
    """Asks nobody else."""
    return JsonResponse(HealthAnswer().model_dump())


@router.get(
    "/ready",
    response_model=ReadyAnswer,
    responses={**errors(500), 503: {"model": ReadyAnswer, "description": "Not now."}},
    summary="Whether requests can be served",
)
def get_ready(request: Request, receiver: TheReceiver) -> JsonResponse:
    """Asks the database and what the receiver was started with."""
    try:
        problems = request.app.state.probe()
    except TimeoutError as exc:
        problems = [f"The database gives {exc}."]
    if problems and not _may_observe(request, receiver):
        problems = [WITHHELD]
    answer = ReadyAnswer(ready=not problems, problems=problems)
    return JsonResponse(answer.model_dump(), status_code=503 if problems else 200)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **errors(403, 500),
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."},
    },
    summary="Metrics for Prometheus",
)
def get_metrics(request: Request, receiver: TheReceiver) -> Response:
    """Counters of this process, and gauges read from the registry now. They name collections and senders."""
    if not _may_observe(request, receiver):
        raise RequestRefused(
            403,
            "NotObservable",
            "Metrics are not for everybody.",
            advice="Scrape the receiver itself, from this machine or a private network; see webhook.metrics.",
        )
    return Response(receiver.meters.exposition(), headers={"Content-Type": CONTENT_TYPE})
