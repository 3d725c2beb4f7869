"""The Prefect flows `rollback`, `purge` and `check`: entrypoints `flows.maintenance:rollback` and so on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

from prefect import flow

from flows.announcing import announce_release
from flows.checking import check as check_collection
from flows.flow_body import run_work
from flows.flow_parameters import AnyCollection, CollectionName, Config, DryRun, form_field
from flows.flow_run import ThisRun, name_run, note_outcome, with_session
from flows.ingest import require_sound
from flows.purging import purge_collection
from flows.reporting.artifacts import leave_markdown
from flows.reporting.ingest import leave_reports
from flows.reporting.maintenance import check_markdown, preview_markdown, purge_markdown
from flows.reporting.markdown import artifact_key
from flows.rollback import (
    preview_document_rollback,
    preview_rollback,
    rollback_collection,
)
from flows.session import Session
from registry.collections import list_collections
from registry.rollback import DocumentTarget
from schemas.check import CheckReport
from schemas.errors import ConfigurationError, RegistryUnsound, RevectorError
from schemas.report import RunReport

log = logging.getLogger(__name__)

T = TypeVar("T")

Target = Annotated[
    str,
    form_field(
        title="Back to",
        description="A release: `last` (the one before the current one), a number, a tag, or a time such as "
        "2026-11-20T09:00. Of one document: the number of its version, or `last`.",
        examples=["last", "12", "before-migration", "2026-11-20T09:00"],
        min_length=1,
    ),
]
Document = Annotated[
    str | None,
    form_field(
        title="Only this document",
        description="Its path below the source; the rest of the collection stays as it is.",
        examples=["contracts/lease.pdf"],
    ),
]
Quick = Annotated[
    bool,
    form_field(title="Quick", description="Only counts and digests, not all texts and files."),
]
Repair = Annotated[
    bool, form_field(title="Repair", description="Rebuild what can be rebuilt; otherwise nothing is written.")
]


def _describe_rollback(parameters: Mapping[str, Any]) -> str:
    document = parameters.get("document")
    what = f"{parameters.get('collection')}{f' {document}' if document else ''}"
    look = "preview of " if parameters.get("dry_run") else ""
    return f"{look}rollback {what} to {parameters.get('to')}"


def _describe(name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda parameters: f"{name} {parameters.get('collection') or 'all collections'}"


@flow(
    name="rollback",
    flow_run_name=name_run(_describe_rollback),
    description="Show what an earlier release showed; a new release comes of it, and history stays.",
    persist_result=False,
)
def rollback(
    collection: CollectionName,
    to: Target = "last",
    document: Document = None,
    dry_run: DryRun = False,
    config: Config = None,
) -> RunReport | None:
    """Go back, the whole collection or one document; None where that was only looked at.

    Args:
        collection: its name.
        to: a release by number, tag or time, or `last`; with `document`, the number of its version.
        document: only this one, by its path below the source.
        dry_run: only report what would change.
        config: a configuration file instead of `revector.toml`.
    """

    def work(run: ThisRun) -> RunReport | None:
        return with_session(
            config,
            lambda session: _roll_back(session, run, collection, to, document, dry_run),
            again=False,  # a second "last" would undo what the first one did
        )

    return run_work("rollback", collection, config, work)


@flow(
    name="purge",
    flow_run_name=name_run(_describe("purge")),
    description="Drop old versions that retention does not keep; what search shows does not change.",
    persist_result=False,
)
def purge(
    collection: AnyCollection = None, dry_run: DryRun = False, config: Config = None
) -> list[dict[str, Any]]:
    """Drop what retention does not keep; returns a report for each collection.

    Args:
        collection: its name; None is all.
        dry_run: only report what would go.
        config: a configuration file instead of `revector.toml`.
    """

    def work(run: ThisRun) -> list[dict[str, Any]]:
        return _each(config, collection, lambda session, name: _purge(session, run, name, dry_run))

    return run_work("purge", collection or "", config, work)


@flow(
    name="check",
    flow_run_name=name_run(_describe("check")),
    description="Look whether everything is as the registry says: texts, vectors, files, history.",
    persist_result=False,
)
def check(
    collection: AnyCollection = None, quick: Quick = False, repair: Repair = False, config: Config = None
) -> list[CheckReport]:
    """Check collections; returns a report for each, fails where one is not sound.

    Args:
        collection: its name; None is all.
        quick: only the cheap part.
        repair: rebuild what can be rebuilt.
        config: a configuration file instead of `revector.toml`.
    """

    def work(_: ThisRun) -> list[CheckReport]:
        found = _each(config, collection, lambda session, name: _check(session, name, quick, repair))
        _require_sound(found)
        note_outcome("sound")
        return found

    return run_work("check", collection or "", config, work)


def _each(config: str | None, collection: str | None, work: Callable[[Session, str], T]) -> list[T]:
    """What the work gives for the collection, or for each; one that fails does not keep the others from it.

    Raises:
        RevectorError: the first that failed, after all were tried.
    """
    names: Sequence[str] = [collection] if collection else with_session(config, _names)
    done, errors = [], []
    for name in names:
        try:
            done.append(with_session(config, partial(_swap, work, name)))
        except RevectorError as exc:
            log.error("%s: %s: %s", name, type(exc).__name__, exc)
            errors.append((name, exc))
    if errors:
        _raise_first(errors, len(names))
    return done


def _swap(work: Callable[[Session, str], T], name: str, session: Session) -> T:
    return work(session, name)


def _names(session: Session) -> list[str]:
    return [row["name"] for row in list_collections(session.db)]


def _raise_first(errors: Sequence[tuple[str, RevectorError]], of: int) -> None:
    name, first = errors[0]
    if of == 1:
        raise first
    listed = ", ".join(repr(each) for each, _ in errors)
    raise type(first)(
        f"{len(errors)} of {of} collections failed: {listed}. Of {name!r}: {first.message}",
        advice=first.advice,
        **first.facts,
    ) from first


def _roll_back(
    session: Session, run: ThisRun, collection: str, to: str, document: str | None, dry_run: bool
) -> RunReport | None:
    target = to if document is None else DocumentTarget(document, _version(to))
    tenant = session.settings.tenant
    if dry_run:
        if isinstance(target, DocumentTarget):
            version = preview_document_rollback(session, collection, target)
            text = f"Document `{document}` of `{collection}` would be shown as in its version {version}."
        else:
            text = preview_markdown(preview_rollback(session, collection, target), collection)
        leave_markdown(
            text, key=artifact_key("rollback", collection, tenant=tenant), description=f"preview: to {to}"
        )
        return None
    report = rollback_collection(session, collection, target, trigger=run.trigger, prefect_flow_run_id=run.id)
    leave_reports(session, report, flow="rollback")
    announce_release(report, tenant=tenant, happening="revector.release.rolled_back")
    require_sound(report)
    return report


def _version(to: str) -> int | None:
    """The version of a document; None is the one before.

    Raises:
        ConfigurationError: it is neither.
    """
    if to == "last":
        return None
    if not to.isdecimal():
        raise ConfigurationError(
            f"{to!r} is no version of a document.", advice="Give the number of a version, or `last`."
        )
    return int(to)


def _purge(session: Session, run: ThisRun, name: str, dry_run: bool) -> dict[str, Any]:
    report = purge_collection(session, name, dry_run=dry_run, trigger=run.trigger, prefect_flow_run_id=run.id)
    leave_markdown(
        purge_markdown(report),
        key=artifact_key("purge", name, tenant=session.settings.tenant),
        description=f"{report['versions']['dropped']} versions {'would go' if dry_run else 'dropped'}",
    )
    return report


def _check(session: Session, name: str, quick: bool, repair: bool) -> CheckReport:
    report = check_collection(session, name, quick=quick, repair=repair)
    leave_markdown(
        check_markdown(report),
        key=artifact_key("check", name, tenant=session.settings.tenant),
        description=f"{len(report.problems)} problems" if report.problems else "sound",
    )
    return report


def _require_sound(reports: Sequence[CheckReport]) -> None:
    """Let a check fail that found something.

    Raises:
        RegistryUnsound: with the invariants that are broken.
    """
    broken = [report for report in reports if report.problems]
    if broken:
        first = broken[0].problems[0]
        listed = "; ".join(
            f"{report.collection!r}: {', '.join(sorted({p.invariant for p in report.problems}))}"
            for report in broken
        )
        raise RegistryUnsound(f"Not sound: {listed}.", advice=first.advice)
