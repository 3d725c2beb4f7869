"""The Prefect flows `ingest` and `images`: entrypoints `flows.ingest:ingest` and `flows.ingest:images`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from prefect import flow
from prefect.client.orchestration import get_client

from flows.announcing import announce_release
from flows.estimating import sum_estimates
from flows.flow_body import run_work
from flows.flow_parameters import AllowDeletions, CollectionName, Config, Location, Only, Reapply
from flows.flow_run import ThisRun, name_run, with_session
from flows.pipeline import ingest_location
from flows.reporting.artifacts import progress_artifact
from flows.reporting.ingest import leave_reports
from flows.session import Session
from registry.collections import get_collection, list_sources
from schemas.errors import ConfigurationError, PrefectUnavailable, RegistryUnsound, RevectorError
from schemas.release import Kind
from schemas.report import ChunkCounts, DocumentCounts, RunReport
from tasks.steps import prefect_steps

log = logging.getLogger(__name__)

C = TypeVar("C", DocumentCounts, ChunkCounts)


def _describe(flow_name: str) -> Callable[[Mapping[str, Any]], str]:
    def describe(parameters: Mapping[str, Any]) -> str:
        return f"{flow_name} {parameters.get('collection')} from {parameters.get('path') or 'its sources'}"

    return describe


@flow(
    name="ingest",
    flow_run_name=name_run(_describe("ingest")),
    description="Bring a collection up to date with a folder; only what changed is embedded.",
    persist_result=False,
)
def ingest(
    path: Location = None,
    collection: CollectionName = "default",
    allow_deletions: AllowDeletions = False,
    reapply: Reapply = False,
    only: Only = None,
    config: Config = None,
) -> RunReport:
    """Bring a collection up to date with a folder, a file or an fsspec URL.

    Args:
        path: what to ingest; None is all sources of the collection.
        collection: where to; created at its first ingest.
        allow_deletions: retire documents even if they are suspiciously many.
        reapply: bring back what a rollback took out of view.
        only: just these documents, by their path below the source; even if they were rejected before.
        config: a configuration file instead of `revector.toml`.
    """
    options = {"allow_deletions": allow_deletions, "reapply": reapply, "only": only}
    return run_work(
        "ingest", collection, config, lambda run: _ingest(run, path, collection, config, None, options)
    )


@flow(
    name="images",
    flow_run_name=name_run(_describe("images")),
    description="Bring an image collection and its class prototypes up to date with class folders.",
    persist_result=False,
)
def images(
    path: Location = None,
    collection: CollectionName = "images",
    allow_deletions: AllowDeletions = False,
    reapply: Reapply = False,
    only: Only = None,
    config: Config = None,
) -> RunReport:
    """Bring an image collection up to date with a folder; a folder in it is a class.

    Args:
        path: what to ingest; None is all sources of the collection.
        collection: where to; created at its first ingest.
        allow_deletions: retire images even if they are suspiciously many.
        reapply: bring back what a rollback took out of view.
        only: just these images, by their path below the source; even if they were rejected before.
        config: a configuration file instead of `revector.toml`.
    """
    options = {"allow_deletions": allow_deletions, "reapply": reapply, "only": only}
    return run_work(
        "images", collection, config, lambda run: _ingest(run, path, collection, config, "images", options)
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


def _ingest(
    run: ThisRun,
    path: str | None,
    collection: str,
    config: str | None,
    kind: Kind | None,
    options: Mapping[str, Any],
) -> RunReport:
    def one(location: str) -> RunReport:
        return with_session(
            config, lambda session: _ingest_one(session, run, location, collection, kind, options)
        )

    if path is not None:
        return one(path)
    return sum_up(_each(with_session(config, lambda session: _roots(session, collection)), one))


def _roots(session: Session, collection: str) -> list[str]:
    """Where the sources of a collection are.

    Raises:
        CollectionNotFound: there is no such collection.
        ConfigurationError: it has no source yet.
    """
    found = list_sources(session.db, get_collection(session.db, collection).id)
    if not found:
        raise ConfigurationError(
            f"Collection {collection!r} has no source yet.", advice="Give the path of its first ingest."
        )
    return [source.root_url for source in found]


def _each(roots: Sequence[str], ingest_one: Callable[[str], RunReport]) -> list[RunReport]:
    """A report for each source; one that fails does not keep the others from their night's run.

    Raises:
        RevectorError: the first that failed, after all were tried.
    """
    reports, errors = [], []
    for root in roots:
        try:
            reports.append(ingest_one(root))
        except RevectorError as exc:
            log.error("%s: %s: %s", root, type(exc).__name__, exc)
            errors.append((root, exc))
    if not errors:
        return reports
    root, first = errors[0]
    raise type(first)(
        f"{len(errors)} of {len(roots)} sources failed: {', '.join(name for name, _ in errors)}. "
        f"Of {root}: {first.message}",
        advice=first.advice,
        **first.facts,
    ) from first


def sum_up(reports: Sequence[RunReport]) -> RunReport:
    """One report of runs that were made one after the other; its release and `run_id` are the last ones."""
    last = reports[-1]
    released = [report for report in reports if report.release is not None]
    return RunReport(
        last.run_id,
        last.collection,
        ", ".join(report.source for report in reports),
        state="succeeded" if released else last.state,
        release=released[-1].release if released else None,
        digest=released[-1].digest if released else None,
        documents=_add(DocumentCounts, [report.documents for report in reports]),
        chunks=_add(ChunkCounts, [report.chunks for report in reports]),
        parsed=sum(report.parsed for report in reports),
        conflicts=sum(report.conflicts for report in reports),
        held=sum(report.held for report in reports),
        hidden=sum(report.hidden for report in reports),
        restored=sum(report.restored for report in reports),
        seconds={name: sum(report.seconds[name] for report in reports) for name in last.seconds},
        rejections=[rejection for report in reports for rejection in report.rejections],
        problems=[problem for report in reports for problem in report.problems],
        prototypes=last.prototypes,
        estimate=sum_estimates([report.estimate for report in reports if report.estimate]),
        tokens=sum(report.tokens for report in reports),
    )


def _add(kind: type[C], counts: Sequence[C]) -> C:
    """Counts of a kind, field by field."""
    return kind(**{one.name: sum(getattr(each, one.name) for each in counts) for one in fields(kind)})


def _ingest_one(
    session: Session,
    run: ThisRun,
    location: str,
    collection: str,
    kind: Kind | None,
    options: Mapping[str, Any],
) -> RunReport:
    """An ingest as the current flow run: progress, report and pictures become artifacts."""
    tenant, only = session.settings.tenant, options["only"]
    report = ingest_location(
        session,
        prefect_steps(),
        location,
        collection,
        allow_deletions=options["allow_deletions"],
        reapply=options["reapply"],
        only=None if only is None else frozenset(only),
        kind=kind,
        trigger=run.trigger,
        prefect_flow_run_id=run.id,
        progress=progress_artifact(collection, time.monotonic, tenant=tenant),
    )
    leave_reports(session, report, flow="ingest" if kind is None else "images")
    announce_release(report, tenant=tenant)
    require_sound(report)
    return report


def require_sound(report: RunReport) -> None:
    """Let a run fail whose release is shown but not sound.

    Raises:
        RegistryUnsound: its check found problems.
    """
    if report.problems:
        found = "; ".join(f"{problem.invariant}: {problem.detail}" for problem in report.problems)
        raise RegistryUnsound(
            f"Release {report.release} of {report.collection!r} is shown, but its check found: {found}.",
            advice="Run `revector check --repair`, or go back with `revector rollback --last`.",
        )
