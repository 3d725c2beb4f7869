"""A history of releases: going back, comparing, searching the past, checking, dropping what is old."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from benchmarks.beside import measure_beside
from benchmarks.corpus import make_words
from benchmarks.database import fresh_folder
from benchmarks.library import NAME, Library, open_library
from benchmarks.measuring import Row, alternate, median_ratio, milliseconds
from flows.checking import check
from flows.comparing import compare
from flows.rollback import LAST, rollback_collection
from flows.session import LoadEmbedder, load_real_embedder
from registry.search import search_collection
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tasks.exporting import export_release

K = 10
DOCUMENTS = 7_000
"""About 100,000 chunks."""
CHANGED_SHARE = 0.01


def run(quick: bool) -> list[Row]:
    """All on one collection, in the order of a life: fill, change, go back, look, work beside searches."""
    with open_library(600 if quick else DOCUMENTS) as library:
        started = time.perf_counter()
        library.ingest()
        chunks = library.count_chunks()
        _say(f"{chunks:,} chunks in {time.perf_counter() - started:.0f} s")
        rows = [
            *_measure_rollbacks(library, chunks, rounds=5 if quick else 20),
            *_compare_searches(library, rounds=3, queries=10),
            *_look_at_all(library, chunks),
        ]
        _say("looking done")
        return [*rows, *measure_beside(library, quick=quick)]


def _measure_rollbacks(library: Library, chunks: int, *, rounds: int) -> list[Row]:
    """Once after a run with a model that costs nothing, once after one with the default model."""
    files = library.files()
    share = max(2, round(len(files) * CHANGED_SHARE))
    rows = []
    started = time.perf_counter()
    model = load_real_embedder(resolve_model(DEFAULT_TEXT_MODEL), library.session.settings)
    model.embed(["warm up"])
    loaded_s = time.perf_counter() - started
    loaders: dict[str, tuple[LoadEmbedder | None, str]] = {
        "stub model": (None, "a model that hashes its texts"),
        "default model": (
            lambda *_: model,
            f"loaded beforehand, in {loaded_s:.1f} s; promised: over 50, and under 1 s",
        ),
    }
    for number, (name, (loader, meaning)) in enumerate(loaders.items(), start=1):
        library.rewrite(files[number * share : (number + 1) * share], seed=number)
        report = library.ingest(load_embedder=loader)
        assert report.documents.changed == share and not report.problems, report
        run_s = report.seconds["total"]
        back = [_roll_back(library) for _ in range(2 * rounds)]  # there, back again, and so on
        seconds = [item["total"] for item in back]
        check_ms = statistics.median(item["check"] for item in back) * 1000
        rows.append(
            Row(
                name=f"rollback, {report.chunks.embedded:,} of {chunks:,} chunks changed, {name}",
                ours=f"{statistics.median(seconds) * 1000:,.0f} ms",
                baseline=f"{run_s:,.2f} s",
                ratio=run_s / statistics.median(seconds),
                meaning=f"the run / the rollback, higher is better; {meaning}; "
                f"first {seconds[0] * 1000:,.0f} ms, longest {max(seconds) * 1000:,.0f} ms "
                f"of {len(seconds)} there and back; {check_ms:,.0f} ms are the check of the new release",
            )
        )
        _say(f"{name}: run {report.seconds}, rollback {back[0]}")
    return rows


def _roll_back(library: Library) -> dict[str, float]:
    """Seconds by stage; `total` is the whole call by the clock."""
    started = time.perf_counter()
    report = rollback_collection(library.session, NAME, LAST)
    total = time.perf_counter() - started
    assert report.state == "succeeded" and not report.problems, report
    return {**report.seconds, "total": total}


def _compare_searches(library: Library, *, rounds: int, queries: int) -> list[Row]:
    """The past against the present, and the difference between two releases."""
    db, collection = library.session.db, library.collection
    vectors = library.sample_vectors(queries)
    questions = [" ".join(make_words(6, seed=10**6 + number)) for number in range(queries)]

    def search(mode: str, release: int | None) -> Callable[[], object]:
        if mode == "vector":
            return lambda: [
                search_collection(db, collection, k=K, vector=vector, release=release) for vector in vectors
            ]
        return lambda: [
            search_collection(db, collection, k=K, text=text, release=release) for text in questions
        ]

    rows = []
    for mode in ("vector", "keyword"):
        sides = {"past": search(mode, 1), "now": search(mode, None)}
        total = alternate(sides, rounds=rounds)
        seconds = {name: [value / queries for value in values] for name, values in total.items()}
        rows.append(
            Row(
                name=f"search {mode}, in release 1 of {collection.current_release}",
                ours=milliseconds(seconds["past"]),
                baseline=milliseconds(seconds["now"]),
                ratio=median_ratio(seconds["past"], seconds["now"]),
                meaning="as of an earlier release / in the current one; lower is better",
            )
        )
    difference = compare(library.session, NAME, "1", "2")
    seconds_of = alternate({"diff": lambda: compare(library.session, NAME, "1", "2")}, rounds=rounds)["diff"]
    rows.append(
        Row(
            name="diff of two releases",
            ours=milliseconds(seconds_of),
            baseline="-",
            ratio=None,
            meaning=f"{len(difference.documents)} documents differ; no plain query does the same",
        )
    )
    return rows


def _look_at_all(library: Library, chunks: int) -> list[Row]:
    session = library.session
    rows = []
    for name, quick in (("quick", True), ("full", False)):
        started = time.perf_counter()
        report = check(session, NAME, quick=quick)
        assert not report.problems, report.problems
        recall = "" if quick else f"; recall of the index against an exact scan: {report.hnsw_recall}"
        rows.append(_once(f"check, {name}, {chunks:,} chunks", started, f"once, so no ratio{recall}"))
    with fresh_folder() as folder:
        started = time.perf_counter()
        export_release(session.db, library.collection, folder / "export")
        row = _once(f"export, {chunks:,} chunks", started, "")
        size = sum(path.stat().st_size for path in (folder / "export").iterdir()) / 1e6
        rows.append({**row, "meaning": f"once, so no ratio; {size:,.0f} MB of Parquet"})
    return rows


def _once(name: str, started: float, meaning: str) -> Row:
    seconds = time.perf_counter() - started
    return Row(name=name, ours=f"{seconds:,.2f} s", baseline="-", ratio=None, meaning=meaning)


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
