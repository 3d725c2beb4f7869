"""The Prefect flow `ingest`: the entrypoint of deployments is `flows.ingest:ingest`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from flows.configuration import load_settings
from flows.pipeline import Progress, ingest_location
from flows.progress import LABELS
from flows.reporting import artifact_key, prototypes_markdown, report_markdown
from flows.session import open_session
from schemas.errors import PrefectUnavailable, RegistryUnsound
from schemas.release import Kind
from schemas.report import RunReport
from tasks.steps import prefect_steps

PROGRESS_EVERY_S = 1.0
PROGRESS_KEYS = {"documents": "ingest-progress", "embed": "ingest-embedding"}


def _run_ingest(
    path: str,
    collection: str,
    *,
    allow_deletions: bool,
    reapply: bool,
    only: list[str] | None,
    kind: Kind | None,
    config: str | None,
) -> RunReport:
    """An ingest as the current flow run: progress, report and picture become artifacts."""
    for package in ("registry", "tasks", "flows"):  # what they log belongs to the run in the UI
        logging.getLogger(package).setLevel(logging.INFO)
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    with open_session(load_settings(Path(config) if config else None)) as session:
        report = ingest_location(
            session,
            prefect_steps(),
            path,
            collection,
            allow_deletions=allow_deletions,
            reapply=reapply,
            only=None if only is None else frozenset(only),
            kind=kind,
            trigger="schedule" if run and run.auto_scheduled else "manual",
            prefect_flow_run_id=UUID(str(run.id)) if run else None,
            progress=_progress_artifact(collection, time.monotonic),
        )
        prototypes = prototypes_markdown(session, collection) if report.prototypes else ""
    create_markdown_artifact(
        report_markdown(report),
        key=artifact_key("ingest", collection),
        description=f"{report.state}, release {report.release}",
    )
    if prototypes:
        create_markdown_artifact(
            prototypes,
            key=artifact_key("prototypes", collection),
            description=f"class prototypes, version {report.prototypes and report.prototypes.version}",
        )
    if report.problems:  # seen as a failed run, whatever has come of it
        found = "; ".join(f"{problem.invariant}: {problem.detail}" for problem in report.problems)
        raise RegistryUnsound(
            f"Release {report.release} is shown, but its check found problems: {found}.",
            advice="Run `revector check --repair`, or go back with `revector rollback --last`.",
        )
    return report


@flow(
    name="ingest",
    flow_run_name="ingest {collection} from {path}",
    description="Bring a collection up to date with a folder; only what changed is embedded.",
    persist_result=False,
)
def ingest(
    path: str,
    collection: str = "default",
    allow_deletions: bool = False,
    reapply: bool = False,
    only: list[str] | None = None,
    config: str | None = None,
) -> RunReport:
    """Bring a collection up to date with a folder, a file or an fsspec URL.

    Args:
        path: what to ingest.
        collection: where to; created at its first ingest.
        allow_deletions: retire documents even if they are suspiciously many.
        reapply: bring back what a rollback took out of view.
        only: just these documents, by their path below the source; even if they were rejected before.
        config: a configuration file instead of `revector.toml`.
    """
    return _run_ingest(
        path,
        collection,
        allow_deletions=allow_deletions,
        reapply=reapply,
        only=only,
        kind=None,
        config=config,
    )


@flow(
    name="images",
    flow_run_name="images {collection} from {path}",
    description="Bring an image collection and its class prototypes up to date with class folders.",
    persist_result=False,
)
def images(
    path: str,
    collection: str,
    allow_deletions: bool = False,
    reapply: bool = False,
    only: list[str] | None = None,
    config: str | None = None,
) -> RunReport:
    """Bring an image collection up to date with a folder; a folder in it is a class.

    Args:
        path: what to ingest.
        collection: where to; created at its first ingest.
        allow_deletions: retire images even if they are suspiciously many.
        reapply: bring back what a rollback took out of view.
        only: just these images, by their path below the source; even if they were rejected before.
        config: a configuration file instead of `revector.toml`.
    """
    return _run_ingest(
        path,
        collection,
        allow_deletions=allow_deletions,
        reapply=reapply,
        only=only,
        kind="images",
        config=config,
    )


def require_server() -> None:
    """Fail at once where the Prefect server named by PREFECT_API_URL does not answer.

    Raises:
        PrefectUnavailable: it does not.
    """
    with get_client(sync_client=True) as client:
        if (problem := client.api_healthcheck()) is not None:
            raise PrefectUnavailable(
                f"The Prefect server at {client.api_url} does not answer ({type(problem).__name__}).",
                advice="Start it with `prefect server start`, or unset PREFECT_API_URL for a plain run.",
            )


def _progress_artifact(collection: str, timer: Callable[[], float]) -> Progress:
    """A progress function that keeps an artifact a stage up to date, each at most once a second."""
    artifacts: dict[str, UUID] = {}
    shown: dict[str, float] = {}

    def update(stage: str, done: int, total: int) -> None:
        if total == 0:
            return
        percent = 100.0 * done / total
        if stage not in artifacts:
            created = create_progress_artifact(
                percent,
                key=artifact_key(PROGRESS_KEYS.get(stage, f"ingest-{stage}"), collection),
                description=f"{LABELS.get(stage, stage)}: collection {collection}",
            )
            assert isinstance(created, UUID)  # a coroutine only where the caller is async
            artifacts[stage] = created
        elif timer() - shown[stage] >= PROGRESS_EVERY_S or done == total:
            update_progress_artifact(artifacts[stage], percent)
        else:
            return
        shown[stage] = timer()

    return update
