"""A run with a parser that hangs and one that crashes, against the same run without them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.corpus import StubEmbedder, write_files
from benchmarks.database import fresh_database, fresh_folder
from benchmarks.measuring import Row
from flows.pipeline import ingest_location
from flows.session import open_session
from schemas.settings import Settings
from tasks import workspace
from tasks.batch import plain_steps

FILES = 200
LIMIT_S = 3.0
BAD = {"folder-000/hangs.txt": "please hang", "folder-001/crashes.txt": "please crash"}
PARSE = "tests.bad_parsers:hang_on_request"
"""Both runs use it: it only hangs or crashes on a text that asks for it."""


def run(quick: bool) -> list[Row]:
    """Seconds that the two files cost the run, with two parser processes and with one."""
    with _injected():
        return [_measure(workers, rounds=2 if quick else 5) for workers in (2, 1)]


def _measure(workers: int, *, rounds: int) -> Row:
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for has_bad in (False, True):
            elapsed = _ingest(workers, has_bad=has_bad)
            if number:  # the first one imports what all need
                seconds[has_bad].append(elapsed)
    delays = [bad - good for good, bad in zip(seconds[False], seconds[True], strict=True)]
    return Row(
        name=f"{FILES} files, one hangs, one crashes, {workers} parser process{'es' * (workers > 1)}",
        ours=f"{median(seconds[True]):.2f} s",
        baseline=f"{median(seconds[False]):.2f} s",
        ratio=median(delays) / LIMIT_S,
        meaning=f"a run with them / without; the ratio is the delay ({median(delays):.2f} s, at most "
        f"{max(delays):.2f} s) in time limits of {LIMIT_S:g} s; promised is under 2, the limits of both. "
        f"{FILES - len(BAD)} indexed, {len(BAD)} rejected",
    )


def _ingest(workers: int, *, has_bad: bool) -> float:
    """Seconds of a first run over the folder; the two files are there with other words, or bad ones."""
    with fresh_folder() as folder, fresh_folder() as home, fresh_database() as url:
        write_files(folder, FILES - len(BAD), characters=1_000)
        for name, text in BAD.items():
            (folder / name).write_text(text if has_bad else f"A harmless note {name}.", encoding="utf-8")
        return _time_run(folder, home, url, workers, rejected=len(BAD) if has_bad else 0)


def _time_run(folder: Path, home: Path, url: str, workers: int, *, rejected: int) -> float:
    limits = {"parse_timeout_s": LIMIT_S, "parse_workers": workers}
    settings = Settings(home=home, database_url=url, limits=limits)  # type: ignore[arg-type]
    with open_session(settings, load_embedder=lambda *_: StubEmbedder()) as session, plain_steps() as steps:
        started = time.perf_counter()
        report = ingest_location(session, steps, str(folder), "bench")
        elapsed = time.perf_counter() - started
    assert report.documents.added == FILES - rejected, report.documents
    assert report.documents.rejected == rejected, report.documents
    return elapsed


@contextmanager
def _injected() -> Iterator[None]:
    """The parser processes call `PARSE` while the block runs."""
    usual = workspace.PARSE
    workspace.PARSE = PARSE
    try:
        yield
    finally:
        workspace.PARSE = usual
