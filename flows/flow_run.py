"""What all Prefect flows share: which run this is, why it runs, its name, another try after an outage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from flows.configuration import load_settings
from flows.session import Session, open_session
from schemas.errors import RevectorError
from schemas.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

ARROW = " → "

RETRY_DELAYS_S: tuple[float, ...] = (5.0, 30.0, 120.0)
"""Before another try at a database or source that is away: a restart, a failover, a longer maintenance."""


@dataclass(frozen=True, slots=True)
class ThisRun:
    """The flow run that this code works for; outside of one, `flow_run` is None."""

    flow_run: FlowRun | None = None

    @property
    def id(self) -> UUID | None:
        """As the registry records it."""
        return UUID(str(self.flow_run.id)) if self.flow_run else None

    @property
    def trigger(self) -> str:
        """Whether a schedule or somebody asked for it."""
        return "schedule" if self.flow_run and self.flow_run.auto_scheduled else "manual"


def this_run() -> ThisRun:
    """The flow run this is called in."""
    context = FlowRunContext.get()
    return ThisRun(context.flow_run if context else None)


def name_run(
    describe: Callable[[Mapping[str, Any]], str],
    *,
    says_why: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> Callable[[], str]:
    """A `flow_run_name` made of the run's parameters and of why it runs.

    Args:
        describe: what it does.
        says_why: whether schedule or person is the cause, by the parameters; else the description has it.
    """

    def make() -> str:
        context = FlowRunContext.get()
        parameters = (context.parameters if context else None) or {}
        why = f" ({this_run().trigger})" if says_why(parameters) else ""
        return f"{describe(parameters)}{why}"

    return make


def rename_run(name: str) -> None:
    """Give the run another name, now that more is known; that Prefect cannot be asked stops nothing."""
    context = FlowRunContext.get()
    if not context or not context.flow_run:
        return
    try:
        context.client.set_flow_run_name(context.flow_run.id, name)
    except Exception as exc:
        log.warning("The run keeps its name (%s: %s).", type(exc).__name__, exc)
    else:
        context.flow_run.name = name


def note_outcome(outcome: str) -> None:
    """Put what came of the run into its name: the list of runs shows names, and no messages."""
    if run := this_run().flow_run:
        rename_run(f"{run.name.partition(ARROW)[0]}{ARROW}{outcome}")


def forward_logs() -> None:
    """Let what the pipeline logs reach the run's page in the UI."""
    for package in ("registry", "tasks", "flows"):
        logging.getLogger(package).setLevel(logging.INFO)


def settings_of(config: str | None) -> Settings:
    """The settings of a flow's parameter `config`."""
    return load_settings(Path(config) if config else None)


def with_session(config: str | None, work: Callable[[Session], T], *, again: bool = True) -> T:
    """What the work returns, done with an open registry.

    Args:
        config: the flow's parameter.
        work: what is to be done.
        again: after an outage in its midst too; otherwise only the registry is waited for.
    """

    def attempt(work: Callable[[Session], Any]) -> Any:
        with open_session(settings_of(config)) as session:
            return work(session)

    if again:
        return cast("T", retrying(lambda: attempt(work)))
    retrying(lambda: attempt(lambda _: None))
    return cast("T", attempt(work))


def retrying(
    run: Callable[[], T],
    delays: Sequence[float] | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `run` returns; called again after each delay (seconds) while its error says that this may help.

    Each try is a run of its own in the registry and does again only what is not done yet.

    Args:
        run: to be called.
        delays: `RETRY_DELAYS_S` where None.
        sleep: waits.

    Raises:
        RevectorError: one that is not retryable, or that of the last try.
    """
    for delay in RETRY_DELAYS_S if delays is None else delays:
        try:
            return run()
        except RevectorError as exc:
            if not exc.retryable:
                raise
            log.warning("%s: %s Trying again in %g s.", type(exc).__name__, exc, delay)
        sleep(delay)
    return run()
