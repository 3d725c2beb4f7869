"""Commands about events: reindex, events."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from flows.reindexing import ReindexReport
from registry.collections import get_collection, list_sources
from registry.dispatch import note_trouble
from registry.events import accept_delivery, list_events
from registry.opening import open_registry
from schemas.errors import RevectorError
from schemas.event import Delivery, NamedChange


@pytest.fixture
def registry(run, database_url, tmp_path):
    """The registry that the commands write to."""
    with open_registry(tmp_path / "home", url=database_url, tenant="default") as db:
        yield db


@pytest.fixture
def say(registry):
    """Stores a delivery about documents of a collection's first source."""
    numbers = iter(range(1000))

    def deliver(*changes, collection="default"):
        found = get_collection(registry, collection)
        source = list_sources(registry, found.id)[0]
        changes = tuple(NamedChange(source.id, uri, action) for uri, action in changes)
        name = f"message {next(numbers)}"
        accept_delivery(registry, found.id, Delivery("cms", name, bytes(32), changes))
        return name

    return deliver


def _fails(call, *arguments, code, says):
    found, _, err = call(*arguments)
    assert found == code, err
    for text in says:
        assert text in err


def test_reindex_looks_at_named_documents_only(run_json, docs):
    run_json("ingest", str(docs))
    (docs / "a.md").write_text("# Storks\n\nStorks left for the south.\n")
    (docs / "b.txt").unlink()
    (docs / "new.txt").write_text("A crane.")
    report = run_json("reindex", "a.md", "b.txt")
    assert report["outcomes"] == [
        {"source": "docs", "uri": "a.md", "outcome": "changed"},
        {"source": "docs", "uri": "b.txt", "outcome": "deleted"},
    ]
    assert (report["collection"], report["errors"], report["retried"]) == ("default", {}, 0)
    assert (report["runs"][0]["release"], report["runs"][0]["documents"]["added"]) == (2, 0)
    again = run_json("reindex", "a.md")
    assert [row["outcome"] for row in again["outcomes"]] == ["unchanged"]


def test_an_unknown_document_is_said_clearly_and_is_a_wrong_call(run, run_json, docs):
    run_json("ingest", str(docs))
    (docs / "a.md").write_text("# Storks\n\nStorks left.\n")
    code, out, _ = run("reindex", "a.md", "typo.md")
    assert code == 2
    assert "typo.md: neither in the source nor in the index" in out
    assert "a.md: changed" in out
    code, out, _ = run("reindex", "typo.md", "--json")
    assert (code, json.loads(out)["outcomes"][0]["outcome"]) == (2, "unknown")


def test_reindex_needs_names_or_pending(run, run_json, docs):
    run_json("ingest", str(docs))
    for wrong in (
        ["reindex"],
        ["reindex", "a.md", "--pending"],
        ["reindex", "--pending", "--source", "docs"],
    ):
        _fails(run, *wrong, code=2, says=["Name documents, or say --pending"])
    _fails(run, "reindex", "a.md", "-c", "none", code=2, says=["no collection named 'none'"])
    _fails(run, "reindex", "a.md", "--source", "none", code=2, says=["none"])
    _fails(run, "reindex", "../secret.txt", code=2, says=["secret.txt"])


def test_pending_events_are_applied(run, run_json, docs, say):
    run_json("ingest", str(docs))
    (docs / "a.md").write_text("# Storks\n\nStorks left.\n")
    say(("a.md", "changed"), ("typo.md", "deleted"))
    report = run_json("reindex", "--pending")
    assert {row["uri"]: row["outcome"] for row in report["outcomes"]} == {
        "a.md": "changed", "typo.md": "unknown"
    }  # fmt: skip
    assert (report["events"], report["runs"][0]["release"]) == (2, 2)
    code, out, _ = run("reindex", "--pending")
    assert (code, out) == (0, "No events wait.\n")


def test_events_are_listed_newest_first(run, run_json, docs, say):
    run_json("ingest", str(docs))
    first = say(("a.md", "changed"))
    run_json("reindex", "--pending")
    second = say(("", "prefix"), ("b.txt", "deleted"))
    data = run_json("events")
    assert (data["collection"], data["retried"]) == ("default", 0)
    assert [(row["delivery"], row["uri"], row["state"]) for row in data["events"]] == [
        (second, "b.txt", "pending"), (second, "", "pending"), (first, "a.md", "applied")
    ]  # fmt: skip
    assert set(data["events"][0]) == {
        "received_at", "sender", "delivery", "source", "uri", "action", "state", "outcome", "error",
        "attempts", "run_id",
    }  # fmt: skip
    assert data["events"][2]["outcome"] == "unchanged"
    assert [row["uri"] for row in run_json("events", "-n", "1")["events"]] == ["b.txt"]
    assert [row["uri"] for row in run_json("events", "--state", "applied")["events"]] == ["a.md"]
    _, out, _ = run("events")
    assert "(everything)" in out
    assert run("events", "--state", "failed") == (0, "No events.\n", "")


def test_failed_events_can_be_made_pending_again(run, run_json, docs, say, registry):
    run_json("ingest", str(docs))
    say(("a.md", "changed"))
    with registry.connection() as connection:
        connection.execute("UPDATE event SET state = 'failed', error = 'The disk\nis full.', attempts = 5")
    _, out, _ = run("events", "--state", "failed")
    assert "a.md, failed: The disk\\nis full." in out
    assert "revector events --retry" in out
    assert run_json("status")["failed_events"] == 1
    assert "Events that have failed: 1" in run("status")[1]
    code, out, _ = run("events", "--retry")
    assert (code, "Failed events that are pending again: 1." in out) == (0, True)
    assert "revector reindex --pending" in out
    assert [(row["state"], row["error"]) for row in list_events(registry, 1)] == [("pending", None)]
    assert run_json("events", "--retry")["retried"] == 0


def test_a_source_that_cannot_be_looked_at_fails_the_command_and_is_said(run, docs, monkeypatch):
    report = ReindexReport("default", errors={"docs": "The folder is gone."}, retried=2)
    monkeypatch.setattr("flows.commands.running.run_reindex", lambda *_, **__: report)
    code, out, _ = run("reindex", "--pending")
    assert code == 1
    assert "Source docs was not looked at: The folder is gone." in out
    assert "2 events stay pending" in out


def test_what_another_run_was_faster_with_is_said_and_fails(run, monkeypatch):
    report = ReindexReport("default", outcomes={("docs", "a.md"): "conflict"})
    monkeypatch.setattr("flows.commands.running.run_reindex", lambda *_, **__: report)
    code, out, _ = run("reindex", "a.md")
    assert (code, "a.md: changed by another run meanwhile" in out) == (1, True)


def test_with_a_prefect_server_reindex_is_a_flow_run(run, docs, monkeypatch):
    asked = []

    def flow(collection, **options):
        asked.append((collection, options))
        return ReindexReport(collection)

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    monkeypatch.setitem(sys.modules, "flows.reindex", SimpleNamespace(reindex=flow))
    monkeypatch.setattr("flows.ingest.require_server", lambda: None)
    assert run("reindex", "--pending", "-c", "birds")[0] == 0
    assert run("reindex", "a.md", "--source", "docs")[0] == 0
    assert asked == [
        ("birds", {"uris": None, "source": None, "config": None}),
        ("default", {"uris": ["a.md"], "source": "docs", "config": None}),
    ]


def test_errors_are_answered_in_json_too(run, monkeypatch):
    def fail(*_, **__):
        raise RevectorError("It failed.", advice="Run again.")

    monkeypatch.setattr("flows.commands.running.run_reindex", fail)
    code, out, _ = run("reindex", "--pending", "--json")
    assert (code, json.loads(out)["error"]["message"]) == (1, "It failed.")


def test_what_holds_events_up_is_shown_by_events_and_status(run, run_json, docs, say, registry):
    run_json("ingest", str(docs))
    assert run_json("status")["waiting"] is None
    say(("a.md", "changed"))
    note_trouble(registry, get_collection(registry, "default").id, "Flow run x is Crashed:\nno memory")
    for command in ("events", "status"):
        _, out, _ = run(command)
        assert "1 event waits, since 2" in out
        assert "What holds them up: Flow run x is Crashed:\\nno memory" in out
        waiting = run_json(command)["waiting"]
        assert (waiting["events"], waiting["failures"]) == (1, 0)
    run_json("reindex", "--pending")
    assert run_json("status")["waiting"] is None
    say(("a.md", "changed"))
    assert run_json("status")["waiting"]["trouble"] is None, "a run has settled events since"


def test_words_of_a_question_need_no_quotes(run_json, docs):
    run_json("ingest", str(docs))
    apart = run_json("search", "when", "do", "storks", "leave", "--mode", "keyword")
    assert apart == run_json("search", "when do storks leave", "--mode", "keyword")
    assert apart["hits"]
