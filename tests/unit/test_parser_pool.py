"""Documents that hang, crash or flood cost only themselves."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from schemas.document import ParsedDocument
from schemas.errors import (
    ConfigurationError,
    EmptyDocument,
    FetchFailed,
    ParseCrashed,
    ParseFailed,
    ParseTimeout,
)
from tasks.parsing.worker import ParseLimits, ParserPool, Request
from tests.unit.hostile_parsers import HELPER
from tests.waiting import PATIENCE_S, has_ended, until

HOSTILE = "tests.unit.hostile_parsers:parse"
LIMITS = ParseLimits(timeout_s=1.5, memory_mb=300, output_mb=2, recycle_after=50)
ROOT = Path(__file__).resolve().parents[2]


def request(action: str, path: Path = Path("/nowhere")) -> Request:
    return Request(path, action)


def ask(pool: ParserPool, requests: list[Request]) -> list[object]:
    answers = [pool.submit(request) for request in requests]
    return [answer.result() for answer in answers]


def run(pool: ParserPool, *actions: str) -> list[object]:
    """Texts of documents, errors as they are."""
    outcomes = ask(pool, [request(action) for action in actions])
    return [o.elements[0].text if isinstance(o, ParsedDocument) else o for o in outcomes]


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    with ParserPool(1, LIMITS, parse=HOSTILE) as pool:
        yield pool


def test_results_come_in_the_order_of_the_requests(tmp_path: Path) -> None:
    files = []
    for i in range(40):
        files.append(tmp_path / f"{i}.txt")
        files[-1].write_text(f"text {i}")
    with ParserPool(3) as pool:
        outcomes = ask(pool, [Request(file, file.name) for file in files])
    assert [o.elements[0].text for o in outcomes if isinstance(o, ParsedDocument)] == [
        f"text {i}" for i in range(40)
    ]


def test_an_unreadable_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    good = tmp_path / "a.md"
    good.write_text("# Title")
    with ParserPool(1) as pool:
        missing, parsed = ask(pool, [Request(tmp_path / "no", "no"), Request(good, "a.md")])
    assert isinstance(missing, FetchFailed)
    assert isinstance(parsed, ParsedDocument)
    assert parsed.elements[0].kind == "heading"


def test_no_request_starts_no_process() -> None:
    with ParserPool(4) as pool:
        assert ask(pool, []) == []
        assert not psutil.Process().children()


def test_a_hanging_parser_is_killed_and_the_rest_goes_on(pool: ParserPool) -> None:
    first, error, last = run(pool, "say:one", "hang:", "say:two")
    assert (first, last) == ("one", "two")
    assert isinstance(error, ParseTimeout)
    assert "1.5 s" in error.message


def test_a_slow_document_does_not_hold_up_the_others() -> None:
    with ParserPool(2, replace(LIMITS, timeout_s=60), parse=HOSTILE) as pool:
        slow = pool.submit(request("sleep:50"))
        assert run(pool, *["sleep:0.02"] * 20) == ["awake"] * 20
        assert not slow.done()


def test_helpers_of_a_hanging_parser_die_with_it(pool: ParserPool) -> None:
    before = set(psutil.pids())
    (error,) = run(pool, "fork:")
    assert isinstance(error, ParseTimeout)
    # nobody waits for a grandchild that was killed
    until(lambda: not _running_helpers(before), "the end of the helpers", patience_s=10)


def _running_helpers(before: set[int]) -> list[int]:
    found = []
    for pid in set(psutil.pids()) - before:
        with contextlib.suppress(psutil.NoSuchProcess):
            if not has_ended(pid) and psutil.Process(pid).cmdline() == HELPER:
                found.append(pid)
    return found


def test_a_segmentation_fault_names_its_signal(pool: ParserPool) -> None:
    error, after = run(pool, "segfault:", "say:alive")
    assert isinstance(error, ParseCrashed)
    assert "SIGSEGV" in error.message
    assert "Memory" not in error.message
    assert after == "alive"


@pytest.mark.parametrize("action", ["exit:7", "quit:7"])
def test_an_exit_tells_its_code(pool: ParserPool, action: str) -> None:
    (error,) = run(pool, action)
    assert isinstance(error, ParseCrashed)
    assert "The parser process exited with 7." in error.message
    assert "Memory" not in error.message


def test_what_drafts_is_called_so_and_names_no_setting_of_parsers() -> None:
    limits = replace(LIMITS, who="chunker")
    with ParserPool(1, limits, parse=HOSTILE) as pool:
        errors = run(pool, "hang:", "memory:", "large:3", "exit:7")
    assert all("The chunker" in error.message for error in errors), errors
    assert not any("parser" in error.message + error.advice for error in errors), errors


def test_a_parser_that_eats_memory_is_stopped_at_the_limit(pool: ParserPool) -> None:
    error, after = run(pool, "memory:", "say:alive")
    assert isinstance(error, ParseCrashed)
    assert "300 MB of memory" in error.message
    assert after == "alive"


@pytest.mark.parametrize("action", ["killed:", "abort_full:200"])
def test_memory_is_named_where_it_is_the_likely_cause(pool: ParserPool, action: str) -> None:
    (error,) = run(pool, action)
    assert isinstance(error, ParseCrashed)
    assert "Memory is the likely cause: the limit is 300 MB" in error.message


def test_what_earlier_documents_leaked_is_not_blamed_on_the_next(pool: ParserPool) -> None:
    assert run(pool, "leak:150", "leak:150", "say:fine") == ["leaked", "leaked", "fine"]


def test_too_large_a_result_is_refused(pool: ParserPool) -> None:
    error, after = run(pool, "large:5", "say:alive")
    assert isinstance(error, ParseFailed)
    assert "limit is 2 MB" in error.message
    assert after == "alive"


def test_what_parsers_print_disturbs_nothing(pool: ParserPool, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(pool, "print:", "say:next") == ["quiet", "next"]
    assert capfd.readouterr() == ("", "")


def test_an_unexpected_exception_tells_its_class_and_no_text(pool: ParserPool) -> None:
    (error,) = run(pool, "raise:")
    assert isinstance(error, ParseFailed)
    assert "RuntimeError" in str(error)
    assert "secret" not in str(error)


def test_a_rejection_keeps_its_class_advice_and_facts(pool: ParserPool) -> None:
    (error,) = run(pool, "reject:")
    assert isinstance(error, EmptyDocument)
    assert (error.message, error.advice, error.facts) == ("nothing there", "do this", {"pages": 3})


def test_a_forged_result_runs_no_code(pool: ParserPool, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (error,) = run(pool, f"forge:{trap}")
    assert isinstance(error, ParseCrashed)
    assert "sent no result" in error.message
    assert not trap.exists()


def test_a_result_of_another_type_is_a_crash(pool: ParserPool) -> None:
    assert isinstance(run(pool, "nonsense:")[0], ParseCrashed)


def test_a_process_is_reused_and_replaced_after_its_number_of_documents() -> None:
    limits = ParseLimits(timeout_s=5, recycle_after=3)
    with ParserPool(1, limits, parse=HOSTILE) as pool:
        pids = run(pool, *["process:"] * 7)
        assert run(pool, "process:") == [pids[-1]]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_a_parser_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVECTOR_DATABASE_URL", "postgresql://u:password@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    with ParserPool(1, LIMITS, parse=HOSTILE) as pool:
        (names,) = run(pool, "environment:")
    assert isinstance(names, str)
    assert "PYTHONPATH" in names
    assert "REVECTOR" not in names
    assert "AWS" not in names


def test_closing_ends_all_processes_at_once_and_leaks_no_file() -> None:
    gc.collect()
    me = psutil.Process()
    before = me.num_fds()
    pool = ParserPool(3, ParseLimits(timeout_s=10 * PATIENCE_S), parse=HOSTILE)
    failure: list[BaseException] = []

    def parse() -> None:
        try:
            run(pool, *["hang:"] * 5)
        except RuntimeError as error:
            failure.append(error)

    thread = threading.Thread(target=parse)
    thread.start()
    until(lambda: len(me.children()) == 3, "three processes")
    pool.close()
    thread.join(timeout=PATIENCE_S)
    assert not thread.is_alive()
    assert "closed" in str(failure[0])
    assert me.children() == []
    assert me.num_fds() <= before  # fewer: garbage of other tests was collected


def test_crashes_and_recycling_leak_no_file(pool: ParserPool) -> None:
    run(pool, "say:x")
    me = psutil.Process()
    before = me.num_fds()
    run(pool, *["exit:1", "say:x"] * 5)
    assert me.num_fds() == before
    assert len(me.children()) == 1


def test_a_closed_pool_takes_no_work(pool: ParserPool) -> None:
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        run(pool, "say:x")
    pool.close()


def test_several_threads_may_use_one_pool() -> None:
    results: dict[int, list[object]] = {}
    with ParserPool(2, LIMITS, parse=HOSTILE) as pool:
        threads = [
            threading.Thread(target=lambda i=i: results.update({i: run(pool, *[f"say:{i}"] * 10)}))
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {i: [str(i)] * 10 for i in range(4)}


@pytest.mark.parametrize("parse", ["no.such.module:parse", "tests.unit.hostile_parsers:nothing"])
def test_a_parser_that_cannot_be_imported_is_told_and_not_tried_again(
    parse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    start = subprocess.Popen.__init__

    def count(self: object, *args: object, **more: object) -> None:
        started.append(self)
        start(self, *args, **more)

    monkeypatch.setattr(subprocess.Popen, "__init__", count)
    with ParserPool(1, LIMITS, parse=parse) as pool:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"did not start: (?s:.*)(No module|no attribute)"):
                run(pool, *["say:x"] * 20)
    assert len(started) == 1


def test_a_child_runs_from_any_directory_whatever_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "pickle.py", "schemas.py"):
        (tmp_path / name).write_text("raise SystemExit('taken from the current directory')")
    (tmp_path / "a.txt").write_text("words")
    monkeypatch.chdir(tmp_path)
    with ParserPool(1) as pool:
        (outcome,) = ask(pool, [Request(Path("a.txt"), "a.txt")])
    assert isinstance(outcome, ParsedDocument)


PARENT = """
import sys
from pathlib import Path
from tasks.parsing.worker import *
with ParserPool(1, ParseLimits(timeout_s=60), parse=sys.argv[1]) as pool:
    pool.submit(Request(Path("x"), sys.argv[2])).result()
"""


@pytest.mark.parametrize("action", ["hang", "hold"])
def test_a_parser_ends_when_its_parent_is_killed(tmp_path: Path, action: str) -> None:
    note = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, HOSTILE, f"{action}:{note}"], cwd=ROOT)
    try:
        until(lambda: note.exists() and note.read_text() != "", "the note of the child")
        child = int(note.read_text())
        assert not has_ended(child)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    until(lambda: has_ended(child), "the end of the child", patience_s=10)
