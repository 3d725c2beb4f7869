"""The same steps as Prefect tasks: names, tags and retries, no logic. The one Prefect file here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.utilities.annotations import quote

from schemas.errors import RevectorError
from tasks import publishing
from tasks.batch import Steps
from tasks.gate import check_gate
from tasks.planning import list_source, plan_run
from tasks.preparing import prepare_window
from tasks.storing import retire_documents, write_window
from tasks.vectors import EmbedResult, embed_batch
from tasks.windows import Window
from tasks.workspace import Workspace

RETRY_DELAYS_S = [1.0, 5.0, 20.0]


def is_retryable(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Our errors say themselves whether another try can help."""
    try:
        state.result()
    except RevectorError as exc:
        return exc.retryable
    except Exception:  # a bug: trying again hides it
        return False
    return False


def _as_task(function: Callable[..., Any], name: str) -> Task[..., Any]:
    wrapped: Task[..., Any] = task(
        name=name,
        tags=["revector"],
        retries=len(RETRY_DELAYS_S),
        retry_delay_seconds=RETRY_DELAYS_S,
        retry_condition_fn=is_retryable,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(function)
    return wrapped


LIST = _as_task(list_source, "list source")
PLAN = _as_task(plan_run, "plan changes")
PREPARE = _as_task(prepare_window, "parse window")
WRITE = _as_task(write_window, "write window")
RETIRE = _as_task(retire_documents, "retire documents")
ELECT = _as_task(publishing.hold_election, "elect among duplicates")
EMBED = _as_task(embed_batch, "embed batch")
INDEX = _as_task(publishing.index_vectors, "index vectors")
GATE = _as_task(check_gate, "check gate")
ACTIVATE = _as_task(publishing.activate, "activate release")
CHECK = _as_task(publishing.check_activated, "check release")
PROTOTYPES = _as_task(publishing.build_prototypes, "build prototypes")


def _call(wrapped: Task[..., Any], *args: Any, **options: Any) -> Any:
    # quoted: Prefect would walk through every item of a listing looking for futures
    return wrapped(*[quote(arg) for arg in args], **options)


def _named(wrapped: Task[..., Any], number: int) -> Task[..., Any]:
    return wrapped.with_options(task_run_name=f"{wrapped.name} {number}")


def _prepare(workspace: Workspace, window: Window) -> Any:
    return _named(PREPARE, window.number).submit(quote(workspace), quote(window))


def _embed(workspace: Workspace, number: int, ids: Sequence[int], **options: Any) -> EmbedResult:
    result: EmbedResult = _call(_named(EMBED, number), workspace, ids, **options)
    return result


def prefect_steps() -> Steps:
    """The steps, each call a task run of the current flow run."""
    return Steps(
        list_source=lambda workspace: _call(LIST, workspace),
        plan_run=lambda workspace, listing, **options: _call(PLAN, workspace, listing, **options),
        prepare_window=_prepare,
        write_window=lambda workspace, prepared: _call(_named(WRITE, prepared.number), workspace, prepared),
        retire_documents=lambda *args: _call(RETIRE, *args),
        hold_election=lambda workspace: _call(ELECT, workspace),
        embed_batch=_embed,
        index_vectors=lambda workspace: _call(INDEX, workspace),
        check_gate=lambda workspace: _call(GATE, workspace),
        activate=lambda workspace: _call(ACTIVATE, workspace),
        check_release=lambda workspace, number: _call(CHECK, workspace, number),
        build_prototypes=lambda workspace: _call(PROTOTYPES, workspace),
    )
