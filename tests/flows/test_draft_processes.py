"""Where a machine has the cores, documents are drafted in processes of their own: with the same result."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from tasks import preparing, workspace
from tasks.parsing.worker import PoolClosed
from tests.bad_parsers import clean_badly

ROOT = Path(__file__).parents[2]
OTTER = "The otter sleeps on its back and holds hands with its mate."


@pytest.fixture
def started(monkeypatch):
    """Functions of the pools that were started."""
    names: list[str] = []
    plain = workspace.ParserPool

    def note(*arguments, parse, **options):
        names.append(parse)
        return plain(*arguments, parse=parse, **options)

    monkeypatch.setattr(workspace, "ParserPool", note)
    monkeypatch.setattr(preparing, "MANY", 2)
    return names


def test_the_digest_and_the_rejections_are_the_same(world, started):
    shutil.copytree(ROOT / "samples" / "documents", world.folder / "samples")
    world.write("long.txt", "word " * 4000)
    world.write("empty.txt", "\u200b \u2060 \u200b")
    world.limit(max_characters=15_000, draft_workers=0)
    alone = world.ingest(collection="alone")
    assert started == [workspace.PARSE]
    world.limit(max_characters=15_000, draft_workers=2)
    beside = world.ingest(collection="beside")
    assert started[1:] == [workspace.PARSE, workspace.DRAFT]
    assert beside.digest == alone.digest
    assert beside.chunks.total == alone.chunks.total > 20
    assert {"long.txt", "empty.txt"} <= set(world.rejections("beside"))
    facts = [
        {uri: (found.error, found.message, found.stage) for uri, found in world.rejections(name).items()}
        for name in ("alone", "beside")
    ]
    assert facts[0] == facts[1]
    assert world.problems("beside") == []


def test_a_draft_that_crashes_costs_its_document_only(world, started, monkeypatch):
    monkeypatch.setattr(workspace, "DRAFT", "tests.bad_parsers:draft_badly")
    world.limit(draft_workers=2)
    for number in range(6):
        world.write(f"{number}.txt", f"{OTTER} {number}" if number != 3 else "please crash")
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (5, 1)
    assert world.rejections()["3.txt"].error == "ParseCrashed"
    assert world.problems() == []
    monkeypatch.undo()
    world.write("3.txt", "please crash no more")
    assert world.ingest().documents.added == 1
    assert world.rejections() == {}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bug_costs_its_document_only_and_says_where_it_is(world, started, monkeypatch, workers):
    monkeypatch.setattr(workspace, "DRAFT", "tests.bad_parsers:draft_badly")  # patches what the process has
    monkeypatch.setattr("tasks.drafting.clean", clean_badly)
    world.limit(draft_workers=workers)
    for number in range(4):
        world.write(f"{number}.txt", f"{OTTER} {number}" if number != 3 else "please meet a bug")
    assert world.ingest().documents.added == 3
    assert (workspace.DRAFT in started) == bool(workers)
    (rejection,) = world.rejections().values()
    assert (rejection.uri, rejection.error) == ("3.txt", "ParseFailed")
    assert "3.txt met a bug (ZeroDivisionError: " in rejection.message
    assert "drafting.py:" in rejection.message
    assert " > bad_parsers.py:" in rejection.message


def test_what_is_wrong_with_the_machine_ends_the_run(world, started, monkeypatch):
    monkeypatch.setattr(workspace, "DRAFT", "tests.bad_parsers:draft_badly")
    world.limit(draft_workers=2)
    world.write("1.txt", OTTER)
    world.write("2.txt", "please fail")
    with pytest.raises(ConfigurationError, match="library is missing"):
        world.ingest()
    assert world.rejections() == {}


def test_the_end_of_a_run_is_no_bug_of_its_documents(world, started, monkeypatch, caplog):
    def closed(_):
        raise PoolClosed("the run is over")

    monkeypatch.setattr(workspace.Workspace, "draft_pool", property(closed))
    world.write("1.txt", OTTER)
    world.write("2.txt", f"{OTTER} Twice.")
    with pytest.raises(PoolClosed):
        world.ingest()
    assert "document failed" not in caplog.text
    assert world.rejections() == {}


def test_a_few_documents_start_no_process(world, started, monkeypatch):
    monkeypatch.setattr(preparing, "MANY", 3)
    world.limit(draft_workers=2)
    world.write("1.txt", OTTER)
    world.write("2.txt", f"{OTTER} Twice.")
    assert world.ingest().documents.added == 2
    assert started == [workspace.PARSE]


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 0), (3, 0), (4, 2), (6, 3), (64, 4)])
def test_how_many_there_are(world, monkeypatch, cores, workers):
    made = []
    monkeypatch.setattr(workspace, "usable_cores", lambda: cores)
    monkeypatch.setattr(workspace.Workspace, "_open_pool", lambda *given: made.append(given[2]))
    from flows.session import open_workspace

    with open_workspace(world.session, str(world.folder), "default") as opened:
        _ = opened.draft_pool
    assert made == ([workers] if workers else [])
