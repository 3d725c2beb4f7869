"""A process that searches all the time, so that what others do to its latency can be seen."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import make_words
from benchmarks.library import NAME, Library
from registry.collections import get_collection
from registry.opening import open_registry
from registry.search import search_collection

ROOT = Path(__file__).resolve().parents[1]
K = 10
VECTOR_SEARCHES = 10
"""So many vector searches come between two keyword searches, which take much longer."""
_QUESTIONS = 200

Window = tuple[float, float]
"""Start and end by `time.perf_counter`, which all processes of a machine share."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the searches that overlapped a window, in seconds."""

    searches: int
    p50: float
    p95: float
    p99: float
    most: float

    def __str__(self) -> str:
        values = " / ".join(f"{value * 1000:.1f}" for value in (self.p50, self.p95, self.p99, self.most))
        return f"{values} ms of {self.searches:,}"


class Searcher:
    """The searching process, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._samples: dict[str, list[tuple[float, float]]] = {}

    def stop(self) -> None:
        """End the process and take what it measured."""
        out, _ = self._process.communicate("", timeout=60)
        self._samples = json.loads(out)

    def latency(self, mode: str, windows: Sequence[Window]) -> Latency:
        """Of the searches of a mode that overlapped one of the windows; after `stop`."""
        seconds = [
            taken
            for started, taken in self._samples[mode]
            if any(started < end and started + taken > start for start, end in windows)
        ]
        p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
        return Latency(len(seconds), float(p50), float(p95), float(p99), max(seconds))


@contextmanager
def searching(library: Library, vectors: NDArray[np.float32]) -> Iterator[Searcher]:
    """A process that searches while the block runs; its latencies can be read afterwards."""
    probes = library.session.settings.home / "probes.npy"
    np.save(probes, vectors)
    home = str(library.session.settings.home)
    process = subprocess.Popen(
        [sys.executable, "-c", "from benchmarks.searcher import search_on; search_on()", home, library.url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the searcher did not start"
        searcher = Searcher(process)
        yield searcher
        searcher.stop()
    finally:
        process.kill()
        process.wait()


@contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Processes that only burn CPU time, as a control: work beside the searches, but no database."""
    with ExitStack() as stack:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def search_on() -> None:
    """Search until stdin ends, then print [start, seconds] of each search by mode, as JSON."""
    home, url = sys.argv[1:]
    probes = np.load(Path(home) / "probes.npy")
    questions = [" ".join(make_words(6, seed=10**6 + number)) for number in range(_QUESTIONS)]
    samples: dict[str, list[tuple[float, float]]] = {"vector": [], "keyword": []}
    ended = threading.Event()
    with open_registry(Path(home), url=url, tenant="default") as db:
        collection = get_collection(db, NAME)

        def search(mode: str, number: int) -> None:
            started = time.perf_counter()
            if mode == "vector":
                search_collection(db, collection, k=K, vector=probes[number % len(probes)])
            else:
                search_collection(db, collection, k=K, text=questions[number % len(questions)])
            samples[mode].append((started, time.perf_counter() - started))

        for number in range(20):
            search("vector", number)
            search("keyword", number)
        print("ready", flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        for number in count():
            if ended.is_set():
                break
            search("vector" if number % (VECTOR_SEARCHES + 1) else "keyword", number)
    print(json.dumps(samples))
