"""Prefect as the one who runs the flow `reindex`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed

from schemas.errors import PrefectUnavailable

DEPLOYMENT = "reindex/reindex"


@dataclass(frozen=True, slots=True)
class Seen:
    """State of a flow run, and since when."""

    state: str
    since: datetime


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
        return Seen(found.state.type.value, found.state.timestamp)

    def declare_crashed(self, flow_run_id: UUID, why: str) -> None:
        """Force the state Crashed, unless it has ended already."""
        with _client() as client:
            try:
                found = client.read_flow_run(flow_run_id)
            except ObjectNotFound:
                return
            if found.state is None or not found.state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=f"revector: {why}"), force=True)


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
