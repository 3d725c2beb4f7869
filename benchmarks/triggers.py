"""From an event to a searchable document, and what looking at one document of many costs."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.corpus import StubEmbedder, write_files
from benchmarks.database import fresh_database, fresh_folder
from benchmarks.measuring import Row, alternate, median_ratio, milliseconds
from flows.pipeline import ingest_location
from flows.reindexing import reindex_documents
from flows.session import Session, open_session
from registry.collections import get_collection
from registry.search import search_collection
from schemas.settings import Settings
from tasks.batch import plain_steps
from tests.service import Service, open_service

COLLECTION = "default"
THREADS = 8


def run(quick: bool) -> list[Row]:
    """Milliseconds of a reindex by collection size; seconds from POST to searchable; messages a second."""
    sizes = (500, 2_000) if quick else (1_000, 20_000)
    return [*_flatness(*sizes, rounds=3 if quick else 9), *_service(events=3 if quick else 8, quick=quick)]


def _flatness(small: int, large: int, *, rounds: int) -> list[Row]:
    """One named document in a small and in a large collection; the large one listed whole for comparison."""
    with ExitStack() as stack:
        few, _, first = _indexed(stack, small)
        many, folder, path = _indexed(stack, large)
        edits = iter(range(1_000_000))

        def reindex(session: Session, path: Path) -> None:
            path.write_text(f"Edited for the {next(edits)}. time, and in a few words.", encoding="utf-8")
            with plain_steps() as steps:
                report = reindex_documents(session, steps, COLLECTION, [path.name])
            assert report.runs[0].documents.changed == 1, report

        def ingest() -> None:
            path.write_text(f"Edited for the {next(edits)}. time, and in a few words.", encoding="utf-8")
            with plain_steps() as steps:
                report = ingest_location(many, steps, str(folder), COLLECTION)
            assert report.documents.changed == 1, report

        seconds = alternate(
            {"small": lambda: reindex(few, first), "large": lambda: reindex(many, path), "whole": ingest},
            rounds=rounds,
        )
    return [
        Row(
            name=f"one document of {large:,} named",
            ours=milliseconds(seconds["large"]),
            baseline=milliseconds(seconds["small"]),
            ratio=median_ratio(seconds["large"], seconds["small"]),
            meaning=f"a whole reindex of it / the same among {small:,}; 1 is flat",
        ),
        Row(
            name=f"one document of {large:,}, named or found",
            ours=milliseconds(seconds["large"]),
            baseline=milliseconds(seconds["whole"]),
            ratio=median_ratio(seconds["large"], seconds["whole"]),
            meaning="a reindex that is told which / an ingest that looks at all; lower is better",
        ),
    ]


def _indexed(stack: ExitStack, count: int) -> tuple[Session, Path, Path]:
    """A registry that knows a folder of so many files; the folder, and one file in it."""
    folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
    url = stack.enter_context(fresh_database())
    write_files(folder, count - 1, characters=500)
    path = folder / "edited.txt"
    path.write_text("It was not edited yet.", encoding="utf-8")
    settings = Settings(home=home, database_url=url)  # type: ignore[arg-type]
    session = stack.enter_context(open_session(settings, load_embedder=lambda *_: StubEmbedder()))
    with plain_steps() as steps:
        report = ingest_location(session, steps, str(folder), COLLECTION)
    assert report.documents.added == count, report.documents
    return session, folder, path


def _service(*, events: int, quick: bool) -> list[Row]:
    """The whole service as `revector up` starts it, with the real model; the debounce is half a second."""
    with open_service(fake_models=False) as service:
        (service.docs / "first.txt").write_text("A first text.", encoding="utf-8")
        _command(service, "ingest", str(service.docs))
        service.start()
        waits = [_until_searchable(service, number) for number in range(events)]
        plain = [_by_command(service, number) for number in range(events)]
        accepted = _flood(service, 200 if quick else 2_000)
        assert service.stop() == 0
    return [
        Row(
            name="from POST to searchable",
            ours=f"{median(waits):.1f} s",
            baseline=f"{median(plain):.1f} s",
            ratio=median(waits) / median(plain),
            meaning=f"one new document, from the message on (debounce .5 s, worker, process, model, "
            f"release; {min(waits):.1f} to {max(waits):.1f} s) / the command `revector reindex` for it; "
            "lower is better",
        ),
        Row(
            name="messages accepted",
            ours=f"{accepted:,.0f}/s",
            baseline="-",
            ratio=None,
            meaning=f"signed, stored durably, answered 202; {THREADS} senders, and the runs they lead to, "
            "on the same machine",
        ),
    ]


def _until_searchable(service: Service, number: int) -> float:
    uri, question = f"event-{number}.txt", f"text about event {number}"
    (service.docs / uri).write_text(f"A {question}.", encoding="utf-8")
    with service.session() as session:
        collection = get_collection(session.db, COLLECTION)

        def is_found() -> bool:
            hits = search_collection(session.db, collection, k=100, text=question)
            return any(hit.uri == uri for hit in hits)

        assert not is_found()
        started = time.perf_counter()
        assert service.post(f"/v1/events/{COLLECTION}", {"changed": [uri]}).status_code == 202
        service.wait(is_found, every_s=0.02)
        return time.perf_counter() - started


def _by_command(service: Service, number: int) -> float:
    (service.docs / f"command-{number}.txt").write_text(f"A text by command {number}.", encoding="utf-8")
    started = time.perf_counter()
    _command(service, "reindex", f"command-{number}.txt")
    return time.perf_counter() - started


def _command(service: Service, *arguments: str) -> None:
    command = [sys.executable, "-m", "flows.cli", *arguments]
    subprocess.run(command, cwd=service.folder, env=service.environment, check=True, capture_output=True)


def _flood(service: Service, count: int) -> float:
    """Messages a second; all about one document, so that the runs they lead to are short."""
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(
            threads.map(
                lambda _: service.post(f"/v1/events/{COLLECTION}", {"changed": ["first.txt"]}), range(count)
            )
        )
    elapsed = time.perf_counter() - started
    assert all(answer.status_code == 202 for answer in answers)
    return count / elapsed
