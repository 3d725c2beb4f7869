"""Planning a run in which nothing changed, against a bare walk of the same tree."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from benchmarks.corpus import StubEmbedder, write_files
from benchmarks.database import fresh_database, fresh_folder
from benchmarks.measuring import Row, alternate, median_ratio, milliseconds
from flows.pipeline import ingest_location
from flows.session import Session, open_session, open_workspace
from schemas.report import RunReport
from schemas.settings import Settings
from tasks.batch import plain_steps
from tasks.planning import list_source, plan_run

COLLECTION = "bench"


def run(quick: bool) -> list[Row]:
    """Milliseconds of planning, of a whole run without changes, and of the walk."""
    count = 2_000 if quick else 10_000
    with ExitStack() as stack:
        folder, home = stack.enter_context(fresh_folder()), stack.enter_context(fresh_folder())
        url = stack.enter_context(fresh_database())
        write_files(folder, count, characters=500)
        settings = Settings(home=home, database_url=url)  # type: ignore[arg-type]
        session = stack.enter_context(open_session(settings, load_embedder=lambda *_: StubEmbedder()))
        report = _ingest(session, folder)
        assert report.documents.added == count, report.documents
        return _compare(session, folder, count, rounds=5 if quick else 15)


def _compare(session: Session, folder: Path, count: int, *, rounds: int) -> list[Row]:
    with ExitStack() as stack:
        workspace = stack.enter_context(open_workspace(session, str(folder), COLLECTION))

        def plan() -> None:
            plan = plan_run(workspace, list_source(workspace)).plan
            assert plan.is_empty and plan.unchanged == count, plan

        def rerun() -> None:
            report = _ingest(session, folder)
            assert report.state == "unchanged" and report.documents.unchanged == count, report

        def walk() -> None:
            assert _walk(str(folder))[0] == count

        seconds = alternate({"plan": plan, "walk": walk, "rerun": rerun}, rounds=rounds)
    return [
        Row(
            name=f"plan, {count:,} known files",
            ours=milliseconds(seconds["plan"]),
            baseline=milliseconds(seconds["walk"]),
            ratio=median_ratio(seconds["plan"], seconds["walk"]),
            meaning="list and compare with the registry / bare scandir + stat; promised: under 3",
        ),
        Row(
            name=f"run, {count:,} unchanged files",
            ours=milliseconds(seconds["rerun"]),
            baseline=milliseconds(seconds["walk"]),
            ratio=median_ratio(seconds["rerun"], seconds["walk"]),
            meaning="a whole `ingest` that finds nothing to do / the same walk; lower is better",
        ),
    ]


def _ingest(session: Session, folder: Path) -> RunReport:
    with plain_steps() as steps:
        return ingest_location(session, steps, str(folder), COLLECTION)


def _walk(path: str) -> tuple[int, int]:
    """Number and bytes of the files below a folder."""
    count = size = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                inner_count, inner_size = _walk(entry.path)
                count += inner_count
                size += inner_size
            else:
                count += 1
                size += entry.stat().st_size
    return count, size
