"""The steps of an ingest as one value, so that their order is written once.

`plain_steps` calls the functions as they are; `tasks.steps` wraps the same ones for Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from registry.check_release import check_release
from registry.collections import absorb_source
from registry.releases import activate_run
from registry.vectors import ensure_index
from schemas.check import Problem
from schemas.plan import ChangePlan
from schemas.release import Activation
from schemas.source import Listing
from tasks.gate import check_gate, prepare_canaries
from tasks.planning import list_source, plan_run
from tasks.preparing import Prepared, Window, prepare_window
from tasks.storing import EmbedResult, WriteResult, embed_window, retire_documents, write_window
from tasks.workspace import Workspace

log = logging.getLogger(__name__)


class Pending(Protocol):
    """A result that is being made."""

    def result(self) -> Prepared:
        """Wait for it; raises what making it raised."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """What an ingest does, one function a step; `prepare_window` runs beside the others."""

    list_source: Callable[[Workspace], Listing]
    plan_run: Callable[..., ChangePlan]
    prepare_window: Callable[[Workspace, Window], Pending]
    embed_window: Callable[..., EmbedResult]
    write_window: Callable[[Workspace, Prepared], WriteResult]
    retire_documents: Callable[[Workspace, ChangePlan, Mapping[str, str]], None]
    index_vectors: Callable[[Workspace], bool]
    check_gate: Callable[[Workspace], None]
    activate: Callable[[Workspace], Activation]
    check_release: Callable[[Workspace, int], list[Problem]]


def index_vectors(workspace: Workspace) -> bool:
    """Build the vector index where the collection has grown enough; True where there is one."""
    target = workspace.require_target()
    return ensure_index(workspace.db, target.space_id, target.collection_id)


def activate(workspace: Workspace) -> Activation:
    """Show what was staged, in one transaction that asks the canary queries before it ends.

    Raises:
        GateFailed: too many canaries do not find their document; it stays staged.
    """
    target = workspace.require_target()
    activation = activate_run(
        workspace.db,
        target.collection_id,
        target.space_id,
        target.run_id,
        inspect=prepare_canaries(workspace),
    )
    if activation.release:
        log.info("release %d activated", activation.release.number)
    for source in workspace.nested:  # their documents are retired now; a crash here repeats this
        assert source.id is not None
        absorb_source(workspace.db, source.id, by=target.source_id)
    return activation


def check_activated(workspace: Workspace, number: int) -> list[Problem]:
    """Look at what the new release touched; a problem here is a bug or a damaged disk."""
    target = workspace.require_target()
    problems = check_release(workspace.db, target.collection_id, number, target.space_id, workspace.blobs)
    for problem in problems:
        log.error("release %d is not sound: %s: %s", number, problem.invariant, problem.detail)
    return problems


@contextmanager
def plain_steps() -> Iterator[Steps]:
    """The steps as plain functions; one thread prepares ahead."""
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as ahead:
        yield Steps(
            list_source=list_source,
            plan_run=plan_run,
            prepare_window=lambda workspace, window: ahead.submit(prepare_window, workspace, window),
            embed_window=embed_window,
            write_window=write_window,
            retire_documents=retire_documents,
            index_vectors=index_vectors,
            check_gate=check_gate,
            activate=activate,
            check_release=check_activated,
        )
