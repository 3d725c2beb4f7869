"""Embed what a run would show, after saying how much it is."""

from __future__ import annotations

from flows.estimating import estimate_missing
from flows.progress import Progress
from flows.stopwatch import Stopwatch
from schemas.report import RunReport
from tasks.batch import Steps
from tasks.storing import find_missing
from tasks.workspace import Workspace


def embed_missing(
    workspace: Workspace, steps: Steps, report: RunReport, clock: Stopwatch, progress: Progress
) -> None:
    """Embed what would be shown and has no vector: nothing of a document that lost its election."""
    chunks = report.chunks
    chunks.total, batches = find_missing(workspace)
    report.estimate, tokens = estimate_missing(workspace, batches)
    total, done = report.estimate.texts, 0
    if total:  # shown while the model is loaded
        progress("embed", 0, total)

    def count(embedded: int) -> None:
        nonlocal done
        done = min(done + embedded, total)  # a batch that is tried again counts its chunks again
        progress("embed", done, total)

    for number, ids in enumerate(batches, start=1):
        result = steps.embed_batch(workspace, number, ids, timer=clock.timer, progress=count)
        for stage, seconds in result.seconds.items():
            clock.add(stage, seconds)
        chunks.embedded += result.embedded
        report.tokens += tokens[number - 1]
    chunks.reused = max(0, chunks.total - chunks.embedded)
    if chunks.embedded:
        with clock("index"):
            steps.index_vectors(workspace)
