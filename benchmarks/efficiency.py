"""How much of the bare embedding loop's speed a cold ingest keeps: parsing, election, storing, release.

Both sides load the model and embed the same chunks. The bare loop has them in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.database import fresh_database, fresh_folder
from benchmarks.measuring import Row
from benchmarks.texts import bench_settings, write_documents
from flows.pipeline import ingest_location
from flows.session import open_session
from schemas.report import RunReport
from tasks.batch import plain_steps
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tasks.embedding.text import load_text_embedder

NAME = "bench"
FORMATS = {"md": "Markdown", "txt": "plain text"}
"""The same texts both times: what parsing costs is the difference."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """A cold ingest: its report, its wall time in seconds, and the texts that it embedded."""

    report: RunReport
    seconds: float
    texts: list[str]


def run(quick: bool) -> list[Row]:
    """Texts a second of ingests and of bare loops, in turns."""
    load_text_embedder(resolve_model(DEFAULT_TEXT_MODEL)).embed(["warm"])  # imports are no part of either
    documents, rounds = (30, 1) if quick else (480, 3)
    return [_measure(ending, documents, rounds) for ending in FORMATS]


def _measure(ending: str, documents: int, rounds: int) -> Row:
    """The middle of some rounds."""
    rows: list[tuple[float, float, Ingested]] = []
    for _ in range(rounds):
        ingested = _ingest(documents, ending)
        rows.append((ingested.seconds, _bare(ingested.texts), ingested))
    rows.sort(key=lambda row: row[0] / row[1])
    return _row(*rows[len(rows) // 2], ending)


def _row(seconds: float, bare: float, ingested: Ingested, ending: str) -> Row:
    count, own = len(ingested.texts), ingested.report.seconds
    stages = ", ".join(f"{name} {value:.1f}" for name, value in own.items() if value >= 0.05)
    documents = ingested.report.documents.added
    return Row(
        name=f"efficiency, cold ingest of {documents} documents, {FORMATS[ending]}, {count:,} chunks",
        ours=f"{count / seconds:,.1f} texts/s",
        baseline=f"{count / bare:,.1f} texts/s",
        ratio=bare / seconds,
        meaning=f"the whole run / the bare embedding loop, both with loading the model; higher is better, "
        f"aim 0.9; stages in s: {stages} (parse: of all processes, beside the others)",
    )


def _ingest(documents: int, ending: str) -> Ingested:
    with ExitStack() as stack:
        folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
        url = stack.enter_context(fresh_database())
        write_documents(folder, documents, ending=ending)
        session = stack.enter_context(open_session(bench_settings(home, url)))
        steps = stack.enter_context(plain_steps())
        with _timed() as took:
            report = ingest_location(session, steps, str(folder), NAME)
        with session.db.connection() as connection:
            texts = [text for (text,) in connection.execute("SELECT text FROM chunk ORDER BY id")]
        assert report.chunks.embedded == len(texts), report
        return Ingested(report, took[0], texts)


def _bare(texts: list[str]) -> float:
    with _timed() as took:
        load_text_embedder(resolve_model(DEFAULT_TEXT_MODEL)).embed(texts)
    return took[0]


@contextmanager
def _timed() -> Iterator[list[float]]:
    took: list[float] = []
    started = time.perf_counter()
    yield took
    took.append(time.perf_counter() - started)
