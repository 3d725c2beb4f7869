"""What flows leave for people to read: logs, tables, charts, names. No server needed."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from flows.ending import describe_end
from flows.ingest import sum_up
from flows.logs import configure_logs, log_context
from flows.purging import purge_collection
from flows.reporting.failure import failure_markdown, failure_message
from flows.reporting.ingest import estimate_line, rejections_table
from flows.reporting.maintenance import check_markdown
from flows.reporting.markdown import artifact_key, report_markdown
from flows.reporting.runs import runs_chart, runs_table
from registry.collections import get_collection
from registry.runs import latest_runs
from schemas.check import VECTORS, CheckReport, Problem
from schemas.errors import DatabaseUnavailable, GateFailed
from schemas.estimate import Estimate
from schemas.release import Rejection
from schemas.report import ChunkCounts, DocumentCounts, RunReport

STARTED = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def root_logger():
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    before = {name: logging.getLogger(name).level for name in (None, "flows", "tasks")}
    handlers = root.handlers[:]
    for name in ("flows", "tasks"):  # a flow lets them say more, for all of its process
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield root
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_json_logs_are_one_object_a_line_with_time_run_and_collection(root_logger):
    stream = io.StringIO()
    configure_logs(verbose=True, as_json=True, stream=stream)
    with log_context(collection="인사", run="17", tenant=None):
        logging.getLogger("tasks.storing").info("%d chunks\nembedded", 3)
    logging.getLogger("tasks.storing").warning("alone")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert datetime.fromisoformat(first.pop("time")).tzinfo is not None
    assert first == {
        "level": "INFO", "logger": "tasks.storing", "message": "3 chunks\nembedded",
        "collection": "인사", "run": "17",
    }  # fmt: skip
    assert second.keys() == {"time", "level", "logger", "message"}


def test_text_logs_say_when_and_for_what(root_logger):
    stream = io.StringIO()
    configure_logs(stream=stream)
    with log_context(collection="hr"):
        logging.getLogger("flows").warning("slow")
        logging.getLogger("flows").info("not shown")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(" WARNING flows: slow [collection=hr]")
    assert datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S")


def test_an_error_is_logged_with_its_traceback_in_one_json_line(root_logger):
    stream = io.StringIO()
    configure_logs(as_json=True, stream=stream)
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("flows").exception("a bug")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["exc_info"]


def _run(number, **facts):
    started = STARTED - timedelta(days=number)
    return {
        "run_id": number, "flow": "ingest", "trigger": "schedule", "scope": "/data", "started_at": started,
        "finished_at": started + timedelta(seconds=number), "state": "succeeded",
        "stats": {"release": number, "seconds": {"total": 1.25},
                  "documents": {"added": 2, "changed": 1, "rejected": 4}},
        "error": None, **facts,
    }  # fmt: skip


def test_the_table_of_runs_has_any_kind_of_run_newest_first():
    runs = [
        _run(0, finished_at=None, state="running", stats={}),
        _run(1),
        _run(2, state="crashed", stats=None, error="gone"),
        _run(3, flow="purge", stats={"versions": {"dropped": 3}, "documents": 2}),
    ]
    table = runs_table(runs)
    assert [row["started (UTC)"] for row in table] == [
        "2026-11-21 03:00", "2026-11-20 03:00", "2026-11-19 03:00", "2026-11-18 03:00"]  # fmt: skip
    assert (table[1]["documents changed"], table[1]["rejected"], table[1]["seconds"]) == (3, 4, 1.2)
    assert (table[2]["state"], table[2]["error"], table[2]["seconds"]) == ("crashed", "gone", 2.0)
    assert json.loads(json.dumps(table)) == table


def test_the_chart_shows_ended_runs_and_is_part_of_the_page():
    pytest.importorskip("matplotlib")
    runs = [_run(0, finished_at=None, stats={}), _run(1), _run(2, state="failed")]
    assert runs_chart(runs).startswith(
        "![documents and seconds of the last 2 runs](data:image/png;base64,iVBORw0KGgo"
    )
    assert runs_chart(runs[:2]) == ""


def test_keys_of_artifacts_of_two_tenants_differ():
    keys = {
        artifact_key("ingest", name, tenant=tenant)
        for tenant in ("default", "acme", "인사")
        for name in ("hr", "인사")
    }
    assert len(keys) == 6
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in keys)


def test_a_failure_says_whether_search_is_touched_and_what_to_do():
    held = GateFailed("Too many are empty.", advice="Look at them.")
    assert failure_message(held) == "GateFailed: Too many are empty. Look at them."
    page = failure_markdown(held, flow="ingest", collection="hr", flow_run_id=None)
    assert "**What to do:** Look at them." in page
    assert "the release before, as it was" in page
    away = failure_markdown(DatabaseUnavailable("Away."), flow="purge", collection="", flow_run_id=None)
    assert away.startswith("# failed: purge of all collections")
    assert "It was tried several times." in away
    assert "Never a part." in away


def test_rejections_that_need_a_person_are_told_from_those_tried_again():
    rejections = [
        Rejection("b.pdf", "parse", "ParseFailed", "Save it again.", False),
        Rejection("a.txt", "fetch", "FetchFailed", "Busy.", True, attempts=3),
    ]
    assert [(row["document"], row["tries"], row["tried again"]) for row in rejections_table(rejections)] == [
        ("a.txt", 3, "by itself"), ("b.pdf", 1, "when the file changes")]  # fmt: skip


def test_a_report_names_what_is_not_zero():
    report = RunReport("r", "hr", "docs", "succeeded", 3, "ab", DocumentCounts(changed=2, rejected=1))
    text = report_markdown(report, before="Before it: release 2.")
    assert "| changed | 2 |" in text
    assert "| added |" not in text
    assert text.index("Release **3**") < text.index("Before it: release 2.") < text.index("| changed")


def test_a_page_compares_how_long_embedding_was_to_take_with_how_long_it_took():
    report = RunReport("r", "hr", estimate=Estimate(1_198, 208_113, 171.0))
    report.seconds |= {"model": 5.0, "embed": 205.0}
    assert estimate_line(report, "documents") == (
        "**Embedding:** 1,198 chunks to embed, 208,113 tokens, about 3 min by the last runs. It took 4 min."
    )
    report.estimate = Estimate(seconds=0.0)
    assert estimate_line(report, "documents") == ""


def test_a_check_lists_what_is_broken_first():
    report = CheckReport("hr", problems=[Problem(VECTORS, "3 | 4")], checked={"chunks": 9})
    text = check_markdown(report)
    assert text.startswith("# 1 problems: check of collection `hr`")
    assert text.index("3 \\| 4") < text.index("| chunks | 9 |")


def test_reports_of_several_sources_add_up():
    one = RunReport(
        "1", "hr", "a", "succeeded", 4, "aa", DocumentCounts(added=2), ChunkCounts(5, 1, 4), parsed=2,
        estimate=Estimate(4, 90, 2.0), tokens=90,
    )  # fmt: skip
    two = RunReport("2", "hr", "b", "unchanged", documents=DocumentCounts(unchanged=3))
    total = sum_up([one, two])
    assert (total.state, total.release, total.digest, total.source) == ("succeeded", 4, "aa", "a, b")
    assert (total.documents.added, total.documents.unchanged, total.chunks.embedded, total.parsed) == (
        2,
        3,
        4,
        2,
    )
    assert (total.estimate, total.tokens) == (Estimate(4, 90, 2.0), 90)
    assert (one.documents.unchanged, sum_up([two]).state) == (0, "unchanged")


def test_somebody_who_ends_the_process_is_no_error():
    assert describe_end(KeyboardInterrupt()) == "cancelled (KeyboardInterrupt)"
    assert describe_end(ValueError("no")) == "ValueError: no"


def test_a_purge_is_recorded_with_what_started_it(world):
    from uuid import uuid4

    world.write("a.txt", "A text about pelicans.")
    world.ingest()
    purge_collection(world.session, "default", trigger="schedule", prefect_flow_run_id=uuid4())
    collection = get_collection(world.session.db, "default")
    (run, _) = latest_runs(world.session.db, collection.id)
    assert (run["flow"], run["trigger"], run["state"]) == ("purge", "schedule", "unchanged")


def test_a_report_links_to_the_flow_run_of_the_release_before(world):
    from uuid import UUID

    import flows.reporting.ingest as reporting

    world.write("a.txt", "A text about pelicans.")
    made_by = UUID(int=7)
    world.ingest(prefect_flow_run_id=made_by)
    world.write("a.txt", "A text about storks.")
    report = world.ingest()
    collection = get_collection(world.session.db, "default")
    line = reporting.previous_line(world.session, collection.id, report)
    assert line.startswith("Before it: release 1 of ")
    assert line.endswith(f", made by [this run](/runs/flow-run/{made_by}).")
    world.ingest()
    unchanged = world.ingest()
    assert reporting.previous_line(world.session, collection.id, unchanged).startswith(
        "Shown is still: release 2"
    )


@pytest.fixture
def away(monkeypatch):
    """A registry that cannot be opened the first two times; returns the delays that were waited."""
    from contextlib import contextmanager

    import flows.flow_run

    answers = [DatabaseUnavailable("away"), DatabaseUnavailable("away")]

    @contextmanager
    def open_session(_):
        if answers:
            raise answers.pop()
        yield "session"

    monkeypatch.setattr(flows.flow_run, "RETRY_DELAYS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(flows.flow_run, "open_session", open_session)
    monkeypatch.setattr(flows.flow_run, "settings_of", lambda _: None)
    return answers


def test_a_flow_waits_for_the_database_and_repeats_work_that_lost_it(away):
    from flows.flow_run import with_session

    calls = []

    def work(session):
        calls.append(session)
        if len(calls) == 1:
            raise DatabaseUnavailable("lost in the midst")
        return "done"

    assert with_session(None, work) == "done"
    assert calls == ["session", "session"]


def test_a_rollback_waits_for_the_database_and_is_not_repeated(away):
    from flows.flow_run import with_session

    calls = []

    def work(session):
        calls.append(session)
        raise DatabaseUnavailable("lost in the midst")

    with pytest.raises(DatabaseUnavailable):
        with_session(None, work, again=False)
    assert (calls, away) == (["session"], [])
