"""What a failed run says, to somebody who was woken by it."""

from __future__ import annotations

from uuid import UUID

from flows.announcing import BUG
from flows.reporting.markdown import run_link
from schemas.errors import ConfigurationError, GateFailed, RegistryUnsound, RevectorError, RunStopped


def failure_message(error: Exception) -> str:
    """Class, message, advice: what the list of runs shows."""
    if isinstance(error, RevectorError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error} {BUG}"


def failure_markdown(error: Exception, *, flow: str, collection: str, flow_run_id: UUID | None) -> str:
    """What failed, whether search is touched, what to do next."""
    known = isinstance(error, RevectorError)
    where = f"collection `{collection}`" if collection else "all collections"
    lines = [
        f"# {'stopped' if isinstance(error, RunStopped) else 'failed'}: {flow} of {where}",
        "",
        f"**{type(error).__name__}**: {error.message if isinstance(error, RevectorError) else error}",
        "",
        f"**What to do:** {(error.advice if isinstance(error, RevectorError) else '') or BUG}",
        "",
        f"**What search shows:** {_shown(error)}",
    ]
    if known and getattr(error, "retryable", False):
        lines += ["", "It was tried several times. The next run starts where this one ended."]
    if flow_run_id:
        lines += ["", f"Log and tasks: {run_link(flow_run_id, 'this run')}."]
    return "\n".join(lines)


def _shown(error: Exception) -> str:
    if isinstance(error, GateFailed):
        return "the release before, as it was. What this run made is staged: `revector diff RUN` shows it."
    if isinstance(error, RegistryUnsound):
        return "see the message: a release may be shown whose check found problems."
    if isinstance(error, RunStopped | ConfigurationError):
        return "the release before, as it was."
    return (
        "a whole release: the one before, or the new one where this failed after showing it "
        "(`revector status`). Never a part."
    )
