"""Going back: a new release equals an old one, nothing is embedded, and ingests respect it."""

from __future__ import annotations

import builtins
import io
import os
from contextlib import contextmanager
from unicodedata import normalize

import psycopg
import pytest

import flows.rollback
from flows.comparing import compare
from flows.rollback import preview_rollback, rollback_collection
from registry.blobs import BlobStore
from registry.check_release import check_release
from registry.collections import get_collection
from registry.history import find_release, tag_release
from registry.rollback import DocumentTarget, count_holds
from schemas.errors import (
    ConfigurationError,
    DatabaseError,
    DocumentNotFound,
    MassDeletion,
    ReleaseIncomplete,
    ReleaseNotFound,
    RunStopped,
)
from tests.texts import english_text


def back(world, target):
    return rollback_collection(world.session, "default", target)


def shown(world):
    return {hit.uri: hit.text for hit in world.keyword("document", k=50)}


@pytest.fixture
def three(world):
    """Releases 1 (a, b), 2 (a changed, c added) and 3 (b deleted)."""
    world.write("a.txt", "The first text of document a.")
    world.write("b.txt", "The only text of document b.")
    world.ingest()
    world.write("a.txt", "The second text of document a.")
    world.write("c.txt", "The only text of document c.")
    world.ingest()
    (world.folder / "b.txt").unlink()
    world.ingest(allow_deletions=True)
    return world


def test_a_rollback_shows_what_the_release_showed_and_embeds_nothing(three):
    paid = three.embedder.embedded
    report = back(three, "1")
    assert (report.state, report.release, report.chunks.embedded) == ("succeeded", 4, 0)
    assert (report.documents.added, report.documents.changed, report.documents.deleted) == (1, 1, 1)
    assert shown(three) == {
        "a.txt": "The first text of document a.",
        "b.txt": "The only text of document b.",
    }
    assert three.embedder.embedded == paid
    newest, *_, first = three.releases()
    assert (newest.digest, newest.kind, newest.note) == (first.digest, "rollback", "to release 1")
    assert (newest.documents, newest.chunks) == (first.documents, first.chunks)


def test_a_rollback_can_be_rolled_back(three):
    digests = {release.number: release.digest for release in three.releases()}
    back(three, "1")
    assert back(three, "last").release == 5
    assert three.releases()[0].digest == digests[3]
    assert three.plan().held == ()
    back(three, "2")
    assert three.releases()[0].digest == digests[2]


def test_a_rollback_to_what_is_shown_makes_no_release(three):
    assert back(three, "3").state == "unchanged"
    back(three, "1")
    assert (back(three, "1").state, len(three.releases())) == ("unchanged", 4)


def test_release_zero_is_the_empty_start(three):
    report = back(three, "0")
    assert (report.documents.deleted, shown(three)) == (2, {})
    assert back(three, "last").documents.added == 2


def test_an_ingest_leaves_alone_what_was_rolled_back(three):
    back(three, "1")
    before = shown(three)
    plan = three.plan()
    assert plan.held == ("a.txt", "b.txt", "c.txt")
    assert plan.is_empty
    report = three.ingest()
    assert (report.state, report.held, shown(three)) == ("unchanged", 3, before)


def test_a_file_that_changes_after_a_rollback_is_ingested(three):
    back(three, "1")
    three.write("a.txt", "The third text of document a.")
    three.write("b.txt", "The second text of document b.")
    three.write("c.txt", "The second text of document c.")
    report = three.ingest()
    assert (report.documents.changed, report.documents.added, report.held) == (2, 1, 0)
    assert set(shown(three).values()) == {
        "The third text of document a.",
        "The second text of document b.",
        "The second text of document c.",
    }


def test_a_file_that_returns_to_what_is_shown_is_held_no_more(three):
    back(three, "1")
    three.write("a.txt", "The first text of document a.")
    three.write("b.txt", "The only text of document b.")
    (three.folder / "c.txt").unlink()
    assert (three.ingest().state, three.plan().held) == ("unchanged", ())


def test_a_file_that_comes_back_as_an_older_rollback_does_not_show_it_is_ingested(world):
    for text in ("The first text of document a.", "The second text of document a."):
        path = world.write("a.txt", text)
        world.ingest()
    path.unlink()
    world.ingest(allow_deletions=True)
    back(world, "1")
    world.write("a.txt", "The second text of document a.")
    world.ingest()
    assert shown(world) == {"a.txt": "The second text of document a."}


def test_reapply_brings_back_what_was_rolled_back_and_embeds_nothing(three):
    digest, paid = three.releases()[0].digest, three.embedder.embedded
    back(three, "1")
    plan = three.plan(reapply=True)
    assert (plan.added, plan.changed, plan.deleted, plan.held) == (("c.txt",), ("a.txt",), ("b.txt",), ())
    report = three.ingest(reapply=True, allow_deletions=True)
    assert (report.digest, three.embedder.embedded) == (digest.hex(), paid)
    assert three.plan().held == ()


def test_a_move_that_is_rolled_back_stays_so(world):
    world.write("a.txt", "The text of document a.")
    world.ingest()
    (world.folder / "a.txt").rename(world.folder / "b.txt")
    world.ingest()
    back(world, "last")
    assert (world.plan().held, set(shown(world))) == (("a.txt", "b.txt"), {"a.txt"})
    assert world.ingest().state == "unchanged"


def test_a_new_pipeline_looks_at_held_documents_again(three):
    """The bad run was a wrong setting: correcting it must not leave anything held."""
    back(three, "last")
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.hold SET fingerprint = 'other' WHERE fingerprint IS NOT NULL")
    assert three.plan().held == ("b.txt",)
    back(three, "1")
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.hold SET fingerprint = 'other' WHERE fingerprint IS NOT NULL")
    plan = three.plan()
    assert (plan.changed, plan.added, plan.held) == (("a.txt",), ("c.txt",), ("b.txt",))


def test_a_document_goes_back_alone(three):
    report = back(three, DocumentTarget("a.txt"))
    assert (report.documents.changed, report.documents.added) == (1, 0)
    assert shown(three)["a.txt"] == "The first text of document a."
    assert "c.txt" in shown(three)
    back(three, DocumentTarget("a.txt"))
    assert shown(three)["a.txt"] == "The second text of document a."
    back(three, DocumentTarget("a.txt", version=1))
    assert three.releases()[0].note == "a.txt to version 1"


def test_a_deleted_document_is_brought_back_with_nothing_embedded(three):
    paid = three.embedder.embedded
    report = back(three, DocumentTarget("b.txt"))
    assert (report.documents.added, three.embedder.embedded) == (1, paid)
    assert "b.txt" in shown(three)


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("9", ReleaseNotFound, "no release '9'.*current one is 3"),
        ("nonsense", ReleaseNotFound, "no release 'nonsense'"),
        ("1999-01-01", ReleaseNotFound, "no release"),
        (DocumentTarget("x.txt"), DocumentNotFound, "never showed a document 'x.txt'"),
        (DocumentTarget("a.txt", version=7), DocumentNotFound, "no version 7. There are: 1, 2"),
        (DocumentTarget("c.txt"), DocumentNotFound, "no earlier version"),
        (DocumentTarget("a.txt", source="other"), DocumentNotFound, "of the source 'other'"),
    ],
)
def test_what_cannot_be_gone_back_to_is_named(three, target, error, says):
    with pytest.raises(error, match=says):
        back(three, target)
    assert len(three.releases()) == 3


def test_a_uri_of_two_sources_needs_a_source(world, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for text in ("first", "second"):
            (tmp_path / folder / "a.txt").write_text(f"The {text} document of {folder}.")
            world.ingest(tmp_path / folder)
    with pytest.raises(ConfigurationError, match=r"sources one, two.*--source"):
        back(world, DocumentTarget("a.txt"))
    back(world, DocumentTarget("a.txt", source="two"))
    assert {hit.text for hit in world.keyword("document")} == {
        "The second document of one.",
        "The first document of two.",
    }


def test_a_release_that_lost_parts_cannot_be_shown(three):
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.release SET missing = 2 WHERE number = 1")
    with pytest.raises(ReleaseIncomplete, match="2 documents"):
        back(three, "1")
    with pytest.raises(ReleaseIncomplete):
        compare(three.session, "default", "1")


def test_a_release_has_a_number_a_name_and_a_time(three):
    collection = get_collection(three.session.db, "default")
    first, second = three.releases()[2], three.releases()[1]
    tag_release(three.session.db, collection, second, "before the import")
    for reference in ("2", "before the import", second.activated_at.isoformat()):
        assert find_release(three.session.db, collection, reference).number == 2
    assert find_release(three.session.db, collection, "9999-01-01").number == 3
    assert three.releases()[1].tags == ("before the import",)
    tag_release(three.session.db, collection, second, "before the import")
    with pytest.raises(ConfigurationError, match="names release 2"):
        tag_release(three.session.db, collection, first, "before the import")
    for name in ("7", "", " x", "2026-11-20"):
        with pytest.raises(ConfigurationError, match="cannot be a tag"):
            tag_release(three.session.db, collection, first, name)


def test_the_difference_of_two_releases_is_by_document_and_chunk(world):
    text = english_text(120, seed=1)
    world.write("long.txt", text)
    world.write("gone.txt", "A document that goes.")
    world.ingest()
    world.write("long.txt", text + " One more sentence at the end of this document.")
    world.write("new.txt", "A document that comes.")
    (world.folder / "gone.txt").unlink()
    world.ingest(allow_deletions=True)
    diff = compare(world.session, "default", "1", "2")
    by_uri = {document.uri: document for document in diff.documents}
    assert {uri: document.status for uri, document in by_uri.items()} == {
        "gone.txt": "removed",
        "long.txt": "changed",
        "new.txt": "added",
    }
    long = by_uri["long.txt"]
    assert (long.old_version, long.new_version) == (1, 2)
    assert long.chunks_kept > long.chunks_added >= 1
    reverse = compare(world.session, "default", "2", "1")
    assert reverse.count("added") == diff.count("removed") == 1
    assert preview_rollback(world.session, "default", "1").documents == reverse.documents
    assert compare(world.session, "default", "2").documents == ()
    assert compare(world.session, "default", "0", "1").count("added") == 2


def test_a_chunk_that_two_documents_share_stays_while_one_shows_it(world):
    world.write("a.txt", "A shared document text.")
    world.ingest()
    world.write("b.txt", "A shared document text.")
    world.ingest()
    back(world, "1")
    assert set(shown(world)) == {"a.txt"}
    back(world, "2")
    assert {uri for hit in world.keyword("shared") for uri in hit.documents} == {"a.txt", "b.txt"}


def test_rolling_back_an_empty_collection_says_so(world):
    world.write("a.txt", "x" * 3)
    with pytest.raises(ConfigurationError, match="no collection"):
        back(world, "last")


def test_reapply_forgets_what_was_held_of_a_file_that_is_gone(three):
    back(three, "1")
    (three.folder / "c.txt").unlink()
    three.ingest(reapply=True, allow_deletions=True)
    three.write("c.txt", "The only text of document c.")
    assert three.ingest().documents.added == 1


def test_a_history_that_was_damaged_is_not_shown(three):
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.release SET digest = 'other' WHERE number = 1")
    with pytest.raises(DatabaseError, match=r"digest differs. Nothing was changed"):
        back(three, "1")
    assert len(three.releases()) == 3


def test_a_run_that_leaves_an_unsound_release_says_so(three):
    (blob,) = [p for p in three.session.settings.home.glob("blobs/1/*/*") if b"first text" in p.read_bytes()]
    content = blob.read_bytes()
    blob.unlink()
    assert [problem.invariant for problem in back(three, "1").problems] == [
        "active versions have their raw blob"
    ]
    blob.write_bytes(content)
    assert back(three, "last").problems == []


def test_each_part_of_a_release_is_checked(three):
    """What the check at the end of a run finds: wrong references, missing vectors."""
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.visible SET refs = refs + 1")
        connection.execute("ALTER TABLE revector.vectors_1 DISABLE TRIGGER USER")
        connection.execute("CREATE TABLE kept AS SELECT * FROM revector.vectors_1")
        connection.execute("DELETE FROM revector.vectors_1")
    blobs = BlobStore(three.session.settings.home, 1)
    problems = check_release(three.session.db, 1, 2, 1, blobs)
    assert {problem.invariant for problem in problems} == {
        "visible.refs equals the recount",
        "visible chunks have vectors",
    }
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.visible SET refs = refs - 1")
        connection.execute("INSERT INTO revector.vectors_1 SELECT * FROM kept")
    assert check_release(three.session.db, 1, 2, 1, blobs) == []


@pytest.fixture
def deny(monkeypatch):
    """Makes a file or folder unreadable for as long as the block lasts."""

    @contextmanager
    def unreadable(end: str):
        def guarded(function):
            def call(path, *rest, **more):
                if str(path).endswith(end):
                    raise PermissionError(13, "Permission denied", str(path))
                return function(path, *rest, **more)

            return call

        with monkeypatch.context() as patch:
            for module, name in ((os, "scandir"), (os, "open"), (io, "open"), (builtins, "open")):
                patch.setattr(module, name, guarded(getattr(module, name)))
            yield

    return unreadable


def test_a_folder_that_cannot_be_read_for_a_while_stays_held(world, deny):
    world.write("keep.txt", "The document that stays.")
    world.ingest()
    world.write("sub/a.txt", "The bad document.")
    world.ingest()
    back(world, "1")
    with deny("/sub"):
        assert world.ingest().state == "unchanged"
    assert (world.plan().held, world.ingest().state, set(shown(world))) == (
        ("sub/a.txt",),
        "unchanged",
        {"keep.txt"},
    )


def test_a_held_file_that_cannot_be_read_for_a_while_stays_held(three, deny):
    back(three, "1")
    before = shown(three)
    for name in ("a.txt", "c.txt"):
        os.utime(three.folder / name)
        with deny(f"docs/{name}"):
            assert [r.uri for r in three.ingest().rejections] == [name]
        assert (three.plan().held, three.ingest().state) == (("a.txt", "b.txt", "c.txt"), "unchanged")
    assert (shown(three), three.rejections()) == (before, {})


def test_a_held_file_that_could_not_be_read_and_is_gone_stands_rejected_no_more(three, deny):
    back(three, "1")
    os.utime(three.folder / "c.txt")
    with deny("docs/c.txt"):
        three.ingest()
    (three.folder / "c.txt").unlink()
    three.ingest()
    assert (three.plan().held, three.rejections()) == (("a.txt", "b.txt"), {})


def test_a_source_that_lists_nothing_does_not_undo_a_rollback(world):
    world.write("a.txt", "The text of document a.")
    world.ingest()
    back(world, "0")
    away = world.folder.rename(world.folder.with_name("away"))
    world.folder.mkdir()
    with pytest.raises(MassDeletion, match=r"The source lists nothing.*1 documents"):
        world.ingest()
    world.folder.rmdir()
    away.rename(world.folder)
    assert (world.ingest().state, world.plan().held) == ("unchanged", ("a.txt",))
    (world.folder / "a.txt").unlink()
    assert world.ingest(allow_deletions=True).held == 0


def test_a_wider_source_leaves_alone_what_was_rolled_back_in_the_one_it_absorbs(world):
    sub = world.folder / "sub"
    world.write("sub/a.txt", "The first text of document a.")
    world.ingest(sub)
    world.write("sub/a.txt", "The second text of document a.")
    world.write("sub/b.txt", "The bad text of document b.")
    world.ingest(sub)
    digest = back(world, "1").digest
    world.write("c.txt", "The text of document c.")
    for _ in range(2):
        assert world.plan().held == ("sub/a.txt", "sub/b.txt")
        world.ingest()
    assert shown(world) == {"a.txt": "The first text of document a.", "c.txt": "The text of document c."}
    back(world, "1")
    assert world.releases()[0].digest.hex() == digest
    world.ingest(reapply=True)
    assert set(shown(world)) == {"sub/a.txt", "sub/b.txt", "c.txt"}
    assert (world.ingest().state, world.plan().held, count_holds(world.session.db, 1)) == ("unchanged", (), 0)


def test_a_file_that_changes_below_an_absorbed_rollback_is_taken_over(world):
    sub = world.folder / "sub"
    for name in "ab":
        world.write(f"sub/{name}.txt", f"The first text of document {name}.")
    world.ingest(sub)
    for name in "abc":
        world.write(f"sub/{name}.txt", f"The second text of document {name}.")
    world.ingest(sub)
    back(world, "1")
    world.ingest()
    world.write("sub/a.txt", "The third text of document a.")
    (sub / "b.txt").unlink()
    world.write("sub/c.txt", "The third text of document c.")
    world.ingest(allow_deletions=True)
    assert shown(world) == {
        "sub/a.txt": "The third text of document a.",
        "sub/c.txt": "The third text of document c.",
    }
    assert (world.ingest().state, world.plan().held, count_holds(world.session.db, 1)) == ("unchanged", (), 0)


def test_a_rollback_past_an_absorption_follows_the_file(world):
    sub = world.folder / "sub"
    for name in "ab":
        world.write(f"sub/{name}.txt", f"The text of document {name}.")
    world.ingest(sub)
    world.ingest()
    back(world, "1")
    assert set(shown(world)) == {"a.txt", "b.txt"}
    (sub / "a.txt").unlink()
    world.ingest(allow_deletions=True)
    assert (set(shown(world)), world.plan().held) == ({"b.txt"}, ("sub/b.txt",))
    world.ingest(reapply=True, allow_deletions=True)
    assert (set(shown(world)), count_holds(world.session.db, 1)) == ({"sub/b.txt"}, 0)


@pytest.mark.parametrize("reference", ["0001-01-01", "0001-01-01T00:00", "1" * 5000, "99999999999"])
def test_references_beyond_all_releases_are_not_found(three, reference):
    with pytest.raises(ReleaseNotFound):
        find_release(three.session.db, get_collection(three.session.db, "default"), reference)


def test_a_date_alone_is_the_end_of_that_day_however_it_is_written(three):
    collection = get_collection(three.session.db, "default")
    today = three.releases()[0].activated_at.astimezone()
    year, week, day = today.isocalendar()
    for text in (today.strftime("%Y-%m-%d"), f"{year}-W{week:02}-{day}", f"{year}W{week:02}{day}", "0003"):
        assert find_release(three.session.db, collection, text).number == 3


@pytest.mark.parametrize("name", ["last", "9d0f9e0e-6b8e-4b52-8a43-0b9a0f7b8f3c", "0001-01-01"])
def test_a_tag_cannot_be_what_a_command_reads_otherwise(three, name):
    with pytest.raises(ConfigurationError, match="cannot be a tag"):
        tag_release(three.session.db, get_collection(three.session.db, "default"), three.releases()[0], name)


def test_a_release_that_lost_parts_cannot_be_tagged(three):
    with psycopg.connect(three.session.db.url) as connection:
        connection.execute("UPDATE revector.release SET missing = 2 WHERE number = 1")
    with pytest.raises(ReleaseIncomplete):
        tag_release(
            three.session.db, get_collection(three.session.db, "default"), three.releases()[2], "golden"
        )
    assert three.releases()[2].tags == ()


def test_a_document_is_named_in_any_unicode_form(world):
    for text in ("first", "second"):
        world.write("한글.txt", f"The {text} document.")
        world.ingest()
    back(world, DocumentTarget(normalize("NFD", "한글.txt")))
    assert shown(world) == {"한글.txt": "The first document."}


@pytest.mark.parametrize("content", [b"", b"%PDF-1.4 broken"])
def test_a_held_file_that_was_broken_for_a_while_stays_held(world, content):
    for text in ("first", "second"):
        world.write("a.txt", f"The {text} text of document a.")
        world.ingest()
    back(world, "1")
    world.write("a.txt", content)
    assert [rejection.uri for rejection in world.ingest().rejections] == ["a.txt"]
    assert (world.plan().rejected, world.plan().is_empty) == (("a.txt",), True), "tried again and again"
    world.write("a.txt", "The second text of document a.")
    assert (world.ingest().state, world.plan().held, world.rejections()) == ("unchanged", ("a.txt",), {})
    world.write("a.txt", "The third text of document a.")
    assert world.ingest().documents.changed == 1


def test_undoing_the_last_release_does_not_undo_one_that_has_just_come(three, monkeypatch):
    plain = flows.rollback.roll_back

    def late(*args, **options):
        three.write("d.txt", "A document that came just now.")
        three.ingest(allow_deletions=True)
        return plain(*args, **options)

    monkeypatch.setattr(flows.rollback, "roll_back", late)
    with pytest.raises(RunStopped, match="Release 4 has come since release 3"):
        back(three, "last")
    assert "d.txt" in shown(three)
    assert three.releases()[0].number == 4
