"""The Prefect flow `reindex`: the entrypoint of its deployment is `flows.reindex:reindex`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from prefect import flow

from flows.announcing import announce_release
from flows.flow_body import run_work
from flows.flow_parameters import CollectionName, Config, form_field
from flows.flow_run import ThisRun, name_run, note_outcome, rename_run, settings_of, with_session
from flows.ingest import require_sound
from flows.reindexing import ReindexReport, apply_events, reindex_documents
from flows.reporting.artifacts import progress_artifact
from flows.reporting.reindex import leave_reindex_reports
from flows.session import Session
from registry.collections import get_collection
from registry.events import count_pending
from schemas.errors import ConfigurationError, RevectorError
from tasks.steps import prefect_steps

Uris = Annotated[
    list[str] | None,
    form_field(
        title="Only these",
        description="Documents or folders, by their path below the source. Left out: what events have named.",
        examples=[["contracts/2026/lease.pdf", "채용"]],
    ),
]
SourceName = Annotated[
    str | None,
    form_field(title="Source", description="Its name; needed for paths where the collection has several."),
]
Tenant = Annotated[
    str | None,
    form_field(
        title="Tenant",
        description="Refused if the worker serves another one. Left out: the one that the worker serves.",
    ),
]


def _describe(parameters: Mapping[str, Any]) -> str:
    uris = parameters.get("uris")
    what = "events" if uris is None else _count(len(uris), "path")
    return f"reindex {parameters.get('collection')}: {what}"


@flow(
    name="reindex",
    flow_run_name=name_run(_describe, says_why=lambda parameters: parameters.get("uris") is not None),
    description="Look at the documents that events, or a person, have named; nothing else is listed.",
    persist_result=False,
)
def reindex(
    collection: CollectionName,
    uris: Uris = None,
    source: SourceName = None,
    config: Config = None,
    tenant: Tenant = None,
) -> ReindexReport:
    """Bring named documents up to date.

    Args:
        collection: its name.
        uris: paths of files or folders below the source; None is what events have named.
        source: name of the source of these paths.
        config: a configuration file instead of `revector.toml`.
        tenant: whom it is for; None is whom the settings name.
    """

    def work(run: ThisRun) -> ReindexReport:
        _require_tenant(tenant, config)
        return with_session(
            config,
            lambda session: _reindex(session, run, collection, uris, source),
            # events that failed wait for their own next try: now nothing is due, and the run would be green
            again=uris is not None,
        )

    return run_work("reindex", collection, config, work)


def _require_tenant(tenant: str | None, config: str | None) -> None:
    """Refuse work for somebody else.

    Raises:
        ConfigurationError: the settings here name another tenant.
    """
    if tenant is not None and tenant != (serves := settings_of(config).tenant):
        raise ConfigurationError(
            f"This run is for the tenant {tenant!r}, but the worker that took it serves {serves!r}.",
            advice="Give each tenant a Prefect server, or pools, of its own.",
        )


def _reindex(
    session: Session, run: ThisRun, collection: str, uris: list[str] | None, source: str | None
) -> ReindexReport:
    tenant = session.settings.tenant
    progress = progress_artifact(collection, time.monotonic, tenant=tenant)
    if uris is None:
        pending = count_pending(session.db, get_collection(session.db, collection).id)
        rename_run(f"reindex {collection}: {_count(pending, 'event')}")
        report = apply_events(
            session, prefect_steps(), collection, prefect_flow_run_id=run.id, progress=progress
        )
    else:
        report = reindex_documents(
            session,
            prefect_steps(),
            collection,
            uris,
            source=source,
            trigger=run.trigger,
            prefect_flow_run_id=run.id,
            progress=progress,
        )
    leave_reindex_reports(session, report)
    releases = [str(one.release) for one in report.runs if one.release]
    note_outcome(f"release {', '.join(releases)}" if releases else "unchanged")
    for one in report.runs:
        announce_release(one, tenant=tenant)
    for one in report.runs:
        require_sound(one)
    _require_all(report)
    return report


def _require_all(report: ReindexReport) -> None:
    """Let a run fail that could not look at one of its sources.

    Raises:
        RevectorError: with what was wrong with each.
    """
    if report.errors:
        listed = "; ".join(f"{name}: {why}" for name, why in report.errors.items())
        again = f" {_count(report.retried, 'event')} stay for another try." if report.retried else ""
        raise RevectorError(
            f"{_count(len(report.errors), 'source')} could not be looked at: {listed}.{again}",
            advice="Remove the cause. Events that have failed come back with `revector events --retry`.",
        )


def _count(number: int, what: str) -> str:
    """A number with its noun.

    >>> _count(1, "event"), _count(12, "event")
    ('1 event', '12 events')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"
