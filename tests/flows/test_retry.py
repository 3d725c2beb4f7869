"""What failed is shown, is not tried each night, and is tried again on request."""

from __future__ import annotations

import json

import pytest

from flows.rollback import rollback_collection
from registry.collections import get_collection
from registry.runs import sources_to_retry
from tests.archives import zipped

OTTER = "The otter sleeps on its back and holds hands with its mate."
HERON = "A heron stands in the shallow water and waits for frogs."


@pytest.fixture
def hanging(world, monkeypatch):
    """A parser that hangs or crashes where the text asks for it, within a short limit."""
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:hang_on_request")
    world.limit(parse_timeout_s=1.0, parse_workers=2)
    return world


def due(world, *uris):
    found = get_collection(world.session.db, "default")
    return sources_to_retry(world.session.db, found.id, list(uris) or None)


def retry(world, *uris):
    return [world.ingest(root, only=names) for root, names in due(world, *uris).items()]


def test_a_document_that_crashes_its_parser_is_tried_three_times_and_then_left_alone(hanging):
    hanging.write("bad.txt", "please crash")
    attempts = []
    for _ in range(5):
        hanging.ingest()
        attempts.append(hanging.rejections()["bad.txt"].attempts)
    assert attempts == [1, 2, 3, 3, 3]
    hanging.limit(parse_attempts=4)
    hanging.ingest()
    assert hanging.rejections()["bad.txt"].attempts == 4


def test_one_that_changes_is_tried_at_once(hanging):
    hanging.write("bad.txt", "please crash")
    for _ in range(4):
        hanging.ingest()
    hanging.write("bad.txt", OTTER)
    assert hanging.ingest().documents.added == 1
    assert hanging.rejections() == {}


def test_retry_tries_what_is_left_alone_and_nothing_else(hanging, monkeypatch):
    hanging.write("bad.txt", "please crash, said the otter")
    hanging.write("worse.txt", "please crash, said the heron")
    for _ in range(4):
        hanging.ingest()
    hanging.write("new.txt", OTTER)
    monkeypatch.setattr("tasks.workspace.PARSE", "tasks.parsing.jobs:do_job")
    (report,) = retry(hanging, "bad.txt")
    assert (report.documents.added, report.documents.deleted) == (1, 0)
    assert set(hanging.rejections()) == {"worse.txt"}
    assert hanging.plan().added == ("new.txt",)
    (report,) = retry(hanging)
    assert hanging.rejections() == {}
    assert hanging.plan().added == ("new.txt",)


def test_retry_keeps_the_earlier_version_where_it_fails_again(hanging):
    hanging.write("doc.txt", OTTER)
    hanging.ingest()
    hanging.write("doc.txt", "please crash")
    hanging.ingest()
    (report,) = retry(hanging, "doc.txt")
    assert (report.documents.rejected, report.release) == (1, None)
    assert hanging.rejections()["doc.txt"].attempts == 2
    assert hanging.keyword("otter")
    assert hanging.problems() == []


def test_retry_opens_an_archive_again(world, monkeypatch):
    from schemas.errors import ParseCrashed
    from tasks.sources.members import MemberLister

    def refuse(self, uri, path):
        raise ParseCrashed("It died.", advice="Look why.")

    world.write("pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON}))
    world.write("other.txt", "Another text about newts.")
    with monkeypatch.context() as patch:
        patch.setattr(MemberLister, "_unpack_anew", refuse)
        world.ingest()
    assert set(world.rejections()) == {"pack.zip"}
    (report,) = retry(world, "pack.zip")
    assert (report.documents.added, report.documents.rejected) == (2, 0)


def test_a_hanging_parser_is_ended_at_its_limit_and_the_rest_is_indexed(hanging):
    hanging.write("bad.txt", "please hang")
    for number in range(20):
        hanging.write(f"{number}.txt", f"{OTTER} It is otter number {number}.")
    report = hanging.ingest()
    assert (report.documents.added, report.documents.rejected) == (20, 1)
    assert hanging.rejections()["bad.txt"].error == "ParseTimeout"


@pytest.fixture
def told(world, monkeypatch):
    """A world in which the second rung of Markdown finds what it is told."""
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:read_as_told")
    orders = world.session.settings.home / "orders"

    def tell(text: str | None) -> None:
        orders.unlink(missing_ok=True)
        if text is not None:
            orders.write_text(text)

    return tell


def test_what_a_limit_cut_short_and_is_read_better_later_is_another_version(world, told):
    """The bytes and the pipeline are the same, the texts are not."""
    told("A short beginning about otters.")
    world.write("doc.md", "# Otters\n\nAll about otters.")
    assert world.ingest().documents.added == 1
    told("A short beginning about otters.\nThe whole story of the lynx.")
    (report,) = retry_documents(world, "doc.md")
    assert (report.documents.changed, report.release) == (1, 2)
    assert world.keyword("lynx")
    told("A short beginning about otters.")
    world.write("doc.md", "# Herons\n\nAll about herons.")
    world.ingest()
    world.write("doc.md", "# Otters\n\nAll about otters.")
    assert world.ingest().problems == []
    assert world.problems() == []


def test_a_limit_in_two_places_costs_only_the_document(world, told):
    told("x" * 2000)
    world.limit(max_characters=1000)
    world.write("doc.md", "# Otters")
    world.write("other.txt", HERON)
    report = world.ingest()
    assert (report.documents.added, world.rejections()["doc.md"].error) == (1, "TextTooLong")


def retry_documents(world, *uris):
    return [world.ingest(only=frozenset(uris))]


def test_retry_leaves_what_a_rollback_took_out_of_view(world, told):
    told("A short beginning about otters.")
    world.write("doc.md", "# Otters")
    world.write("bad.pdf", b"%PDF-1.7 nothing else")
    world.ingest()
    told(None)
    world.write("doc.md", "# Lynxes\n\nThe whole story of the lynx.")
    world.ingest()
    rollback_collection(world.session, "default", "1")
    assert world.keyword("lynx") == []
    retry_documents(world, "doc.md", "bad.pdf")
    assert world.keyword("lynx") == []


def test_names_that_do_not_stand_rejected_are_told(run, docs):
    (docs / "bad.pdf").write_bytes(b"%PDF-1.7 nothing else")
    run("ingest", str(docs))
    code, _, err = run("retry", "nothing.txt")
    assert (code, "does not stand rejected" in err) == (2, True)
    assert run("retry")[0] == 2
    assert run("retry", "--all", "bad.pdf")[0] == 2
    code, out, _ = run("retry", "--all", "--json")
    assert (code, [r["documents"]["rejected"] for r in json.loads(out)["runs"]]) == (0, [2])
    code, out, _ = run("failures", "--error", "EmptyDocument")
    assert ("empty.txt" in out, "bad.pdf" in out) == (True, False)
