"""The last runs of a collection: a table, and a chart of what they did and how long it took."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC
from io import BytesIO
from typing import Any, Final

from flows.reporting.artifacts import leave_table
from flows.reporting.markdown import artifact_key

SHOWN_RUNS: Final = 20

_STATE_COLORS = {"succeeded": "#2e7d32", "unchanged": "#90a4ae", "running": "#1f77b4"}
_FAILED_COLOR = "#c62828"
_KINDS = ("added", "changed", "moved", "deleted")

Row = dict[str, Any]
"""Of `registry.runs.latest_runs`."""


def leave_runs(runs: Sequence[Row], collection: str, *, tenant: str) -> None:
    """The table of a collection's last runs."""
    leave_table(
        runs_table(runs),
        key=artifact_key("runs", collection, tenant=tenant),
        description=f"last runs: collection {collection}",
    )


def runs_table(runs: Sequence[Row]) -> list[dict[str, Any]]:
    """A row for each run, newest first, of columns that a person scans."""
    return [
        {
            "started (UTC)": f"{run['started_at'].astimezone(UTC):%Y-%m-%d %H:%M}",
            "flow": run["flow"],
            "why": run["trigger"],
            "state": run["state"],
            "release": (run["stats"] or {}).get("release") or "",
            "documents changed": _changed(run),
            "rejected": _documents(run).get("rejected", ""),
            "seconds": round(_seconds(run), 1),
            "error": (run["error"] or "")[:200],
        }
        for run in runs[:SHOWN_RUNS]
    ]


def runs_chart(runs: Sequence[Row]) -> str:
    """The chart as a Markdown image that holds its own bytes; "" for fewer than two ended runs."""
    ended = [run for run in reversed(runs[:SHOWN_RUNS]) if run["finished_at"]]
    if len(ended) < 2:
        return ""
    picture = base64.b64encode(draw_runs(ended)).decode()
    return f"![documents and seconds of the last {len(ended)} runs](data:image/png;base64,{picture})"


def draw_runs(runs: Sequence[Row]) -> bytes:
    """PNG: documents changed above, seconds below; a bar for each run, oldest first, failed ones in red."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # not pyplot: its state is that of the process
    figure = Figure(figsize=(9, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True)
    places = range(len(runs))
    colors = [_STATE_COLORS.get(run["state"], _FAILED_COLOR) for run in runs]
    top.bar(places, [_changed(run) for run in runs], color=colors)
    top.set_ylabel("documents changed")
    bottom.bar(places, [_seconds(run) for run in runs], color=colors)
    bottom.set_ylabel("seconds")
    labels = [f"{run['started_at'].astimezone(UTC):%m-%d\n%H:%M}" for run in runs]
    bottom.set_xticks(places, labels, fontsize=7)
    top.set_title("Last runs (UTC): green changed something, grey nothing, red failed", fontsize=9)
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _documents(run: Row) -> dict[str, int]:
    found = (run["stats"] or {}).get("documents")
    return found if isinstance(found, dict) else {}


def _changed(run: Row) -> int:
    return sum(_documents(run).get(kind, 0) for kind in _KINDS)


def _seconds(run: Row) -> float:
    """What the run measured itself, else how long it was recorded as running."""
    measured = (run["stats"] or {}).get("seconds")
    if isinstance(measured, dict):
        return float(measured.get("total", 0.0))
    if run["finished_at"] is None:
        return 0.0
    return float((run["finished_at"] - run["started_at"]).total_seconds())
