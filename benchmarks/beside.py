"""What searches feel of a rollback, an ingest and a purge at the same time, and what a purge gives back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.library import NAME, Library
from benchmarks.measuring import Row
from benchmarks.searcher import Latency, Searcher, Window, busy_loops, searching
from flows.purging import purge_collection
from flows.rollback import LAST, rollback_collection
from registry.blobs import BlobStore
from registry.space import table_sizes

PROBES = 200
INGESTED_SHARE = 0.03
RETIRED_SHARE = 0.6
_MODES = ("vector", "keyword")
_IDLE, _ONE, _TWO = "idle", "one busy loop", "two busy loops"


@dataclass
class _Scene:
    """The collection in one state: what was done in it, and when."""

    seconds: float
    windows: dict[str, list[Window]] = field(default_factory=dict)

    def watch(self, name: str, work: Callable[[], object]) -> None:
        """Do the work and remember when."""
        started = time.perf_counter()
        work()
        ended = time.perf_counter()
        self.windows.setdefault(name, []).append((started, ended))
        print(f"  {name}: {ended - started:.1f} s", file=sys.stderr, flush=True)

    def idle(self) -> None:
        """Searches alone."""
        self.watch(_IDLE, lambda: time.sleep(self.seconds))

    def controls(self) -> None:
        """Searches beside processes that want CPU time and nothing else."""
        for number, name in ((1, _ONE), (2, _TWO)):
            with busy_loops(number):
                self.watch(name, lambda: time.sleep(self.seconds))


def measure_beside(library: Library, *, quick: bool) -> list[Row]:
    """Latencies while others work, each against idle and against processes that only burn CPU time.

    What comes before a purge is measured anew: fewer chunks are shown then.
    """
    seconds = 1.5 if quick else 7.0
    files = library.files()
    done: dict[str, Any] = {}
    with searching(library, library.sample_vectors(PROBES)) as searcher:
        full = _Scene(seconds)
        full.idle()
        full.controls()
        full.watch("rollbacks", lambda: done.update(rollbacks=_roll_back(library, 2 * seconds)))
        library.rewrite(files[-round(len(files) * INGESTED_SHARE) :], seed=8)
        full.watch("an ingest", lambda: done.update(ingest=library.ingest()))
        full.idle()
        for path in files[: round(len(files) * RETIRED_SHARE)]:
            path.unlink()
        library.ingest(allow_deletions=True)
        before, retired = _bytes(library), _Scene(seconds)
        retired.idle()
        retired.controls()
        retired.watch("a purge", lambda: done.update(purge=purge_collection(library.session, NAME)))
    purged = done["purge"]
    notes = {
        _ONE: "control: no database work",
        _TWO: "control: no database work",
        "rollbacks": f"{done['rollbacks']} of them",
        "an ingest": f"of {done['ingest'].chunks.embedded:,} new chunks, stub model",
    }
    note = f"that drops {purged['chunks']:,} chunks; rebuilt: {len(purged['rebuilt'])} partition"
    rows = [
        row
        for mode in _MODES
        for row in (
            *_latency_rows(searcher, mode, full, notes),
            *_latency_rows(searcher, mode, retired, {"a purge": note}),
        )
    ]
    longest = {mode: searcher.latency(mode, retired.windows["a purge"]).most for mode in _MODES}
    return [*rows, *_space_rows(library, before, purged, longest)]


def _roll_back(library: Library, seconds: float) -> int:
    """Roll back and forth for so long; returns how often."""
    until, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        rollback_collection(library.session, NAME, LAST)
        number += 1
    return number


def _latency_rows(searcher: Searcher, mode: str, scene: _Scene, notes: dict[str, str]) -> list[Row]:
    found = {name: searcher.latency(mode, windows) for name, windows in scene.windows.items()}
    for name, windows in scene.windows.items():
        each = ", ".join(str(searcher.latency(mode, [window])) for window in windows)
        print(f"  {mode} beside {name}: {each}", file=sys.stderr, flush=True)
    idle = found[_IDLE]
    return [
        Row(
            name=f"search {mode} beside {name}",
            ours=str(found[name]),
            baseline=str(idle),
            ratio=found[name].p50 / idle.p50,
            meaning=f"{note}; p50 / p95 / p99 / longest, ratio of p50 to idle; "
            f"of p95 {found[name].p95 / idle.p95:.2f}"
            + ("" if name in (_ONE, _TWO) else _against(found, name)),
        )
        for name, note in notes.items()
    ]


def _against(found: dict[str, Latency], name: str) -> str:
    ratios = (
        f"{control} {found[name].p50 / found[control].p50:.2f} and {found[name].p95 / found[control].p95:.2f}"
        for control in (_ONE, _TWO)
    )
    return f"; p50 and p95 against {', against '.join(ratios)}"


def _bytes(library: Library) -> dict[str, int]:
    db = library.session.db
    blobs = BlobStore(library.session.settings.home, db.tenant_id)
    sizes = table_sizes(db, library.collection.id)
    chunks = sizes["chunk"]
    listed = ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in sizes.items())
    print(f"  MB of {listed}", file=sys.stderr, flush=True)
    vectors = sum(size for name, size in sizes.items() if name.startswith("vectors_"))
    return {
        "tables": sum(sizes.values()),
        "vectors": vectors,
        "chunks": chunks,
        "blobs": blobs.bytes_stored(),
    }


def _space_rows(
    library: Library, before: dict[str, int], purged: dict[str, Any], longest: dict[str, float]
) -> list[Row]:
    after, left = _bytes(library), library.count_chunks()
    share = left / (left + purged["chunks"])
    waits = " and ".join(f"{seconds * 1000:,.0f} ms ({mode})" for mode, seconds in longest.items())
    meanings = {
        "tables": f"all, with indexes; took {purged['seconds']:.1f} s; longest search meanwhile {waits}",
        "vectors": "the collection's vectors and their index",
        "chunks": "texts, grams and their index: vacuumed, so that new rows fill the gaps",
        "blobs": "raw bytes",
    }
    return [
        Row(
            name=f"purge, {name}",
            ours=f"{after[name] / 1e6:,.1f} MB",
            baseline=f"{before[name] / 1e6:,.1f} MB",
            ratio=after[name] / before[name],
            meaning=f"after / before, of the chunks {share:.2f} stay; {meaning}",
        )
        for name, meaning in meanings.items()
    ]
