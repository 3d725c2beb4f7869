"""Peak memory of a cold ingest: it must not grow with the number of documents."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

from benchmarks.corpus import StubEmbedder, write_files
from benchmarks.database import fresh_database, fresh_folder
from benchmarks.measuring import Row
from flows.pipeline import ingest_location
from flows.session import open_session
from schemas.settings import Settings
from tasks.batch import plain_steps

ROOT = Path(__file__).resolve().parents[1]
CHARACTERS = 2_300
"""About 4 KB in UTF-8: half of the sentences are Korean."""


class Peak(TypedDict):
    """What one ingest took."""

    start_mb: float
    peak_mb: float
    seconds: float
    chunks: int


def run(quick: bool) -> list[Row]:
    """Peak of the ingesting process by number of files, each ingest in a process of its own."""
    counts = (100, 400) if quick else (1_000, 3_000, 10_000)
    peaks = {count: _measure(count) for count in counts}
    least = peaks[counts[0]]
    return [
        Row(
            name=f"memory, {count:,} files of 4 KB",
            ours=f"{peaks[count]['peak_mb']:.0f} MB",
            baseline=f"{least['peak_mb']:.0f} MB",
            ratio=peaks[count]["peak_mb"] / least["peak_mb"],
            meaning=f"peak / peak with {counts[0]:,} files; 1 is flat "
            f"({least['start_mb']:.0f} MB before the first file; {peaks[count]['chunks']:,} chunks "
            f"in {peaks[count]['seconds']:.0f} s)",
        )
        for count in counts[1:]
    ]


def _measure(count: int) -> Peak:
    with fresh_folder() as folder, fresh_folder() as home, fresh_database() as url:
        write_files(folder, count, CHARACTERS)
        code = "from benchmarks.memory import ingest_once; ingest_once()"
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder), str(home), url],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    peak: Peak = json.loads(done.stdout)
    return peak


def ingest_once() -> None:
    """Ingest the folder of the command line into a fresh collection; prints a `Peak` as JSON."""
    folder, home, url = sys.argv[1:]
    settings = Settings(home=Path(home), database_url=url)  # type: ignore[arg-type]
    with open_session(settings, load_embedder=lambda *_: StubEmbedder()) as session, plain_steps() as steps:
        started, start_mb = time.perf_counter(), peak_mb()
        report = ingest_location(session, steps, folder, "bench")
    seconds = time.perf_counter() - started
    print(
        json.dumps(Peak(start_mb=start_mb, peak_mb=peak_mb(), seconds=seconds, chunks=report.chunks.embedded))
    )


def peak_mb() -> float:
    """Peak resident memory of this process so far.

    Linux' ru_maxrss starts with the peak of the process that started this one (exec_mmap
    carries it over); VmHWM starts anew.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
