"""The steps of an ingest as one value, so that their order is written once.

`plain_steps` calls the functions as they are; `tasks.steps` wraps the same ones for Prefect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from schemas.check import Problem
from schemas.plan import ChangePlan
from schemas.prototype import BuildReport
from schemas.release import Activation
from schemas.source import Listing
from tasks.gate import check_gate
from tasks.planning import Planned, list_source, plan_run
from tasks.preparing import Prepared, prepare_window
from tasks.publishing import (
    activate,
    build_prototypes,
    check_activated,
    hold_election,
    index_vectors,
)
from tasks.storing import retire_documents, write_window
from tasks.vectors import EmbedResult, embed_batch
from tasks.windows import Window
from tasks.workspace import Workspace


class Pending(Protocol):
    """A result that is being made."""

    def result(self) -> Prepared:
        """Wait for it; raises what making it raised."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """What an ingest does, one function a step; `prepare_window` runs beside the others.

    `embed_batch` is handed the workspace, the batch's number and the ids of chunks.
    """

    list_source: Callable[[Workspace], Listing]
    plan_run: Callable[..., Planned]
    prepare_window: Callable[[Workspace, Window], Pending]
    write_window: Callable[[Workspace, Prepared], tuple[str, ...]]
    retire_documents: Callable[[Workspace, ChangePlan, Mapping[str, str]], None]
    hold_election: Callable[[Workspace], None]
    embed_batch: Callable[..., EmbedResult]
    index_vectors: Callable[[Workspace], bool]
    check_gate: Callable[[Workspace], None]
    activate: Callable[[Workspace], Activation]
    check_release: Callable[[Workspace, int], list[Problem]]
    build_prototypes: Callable[[Workspace], BuildReport]


@contextmanager
def plain_steps() -> Iterator[Steps]:
    """The steps as plain functions; one thread prepares ahead."""
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as ahead:
        yield Steps(
            list_source=list_source,
            plan_run=plan_run,
            prepare_window=lambda workspace, window: ahead.submit(prepare_window, workspace, window),
            write_window=write_window,
            retire_documents=retire_documents,
            hold_election=hold_election,
            embed_batch=lambda workspace, _, ids, **options: embed_batch(workspace, ids, **options),
            index_vectors=index_vectors,
            check_gate=check_gate,
            activate=activate,
            check_release=check_activated,
            build_prototypes=build_prototypes,
        )
