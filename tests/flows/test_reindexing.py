"""Named documents are looked at alone, and the source decides what has become of them."""

from __future__ import annotations

import hashlib
import zipfile
from uuid import uuid4

import pytest

from flows.reindexing import apply_events, reindex_documents
from registry.collections import get_collection, list_sources
from registry.events import accept_delivery, find_delivery, list_events
from registry.runs import latest_runs
from schemas.errors import CollectionNotFound, EventRefused, MassDeletion, SourceNotFound, SourceUnavailable
from schemas.event import Delivery, NamedChange
from tasks.batch import plain_steps
from tests.pictures import file


def say(world, *changes, collection="default"):
    """A delivery of (action, uri); returns its id."""
    db = world.session.db
    found = get_collection(db, collection)
    source = list_sources(db, found.id)[0]
    id_ = str(uuid4())
    body = hashlib.sha256(repr(changes).encode()).digest()
    named = tuple(NamedChange(source.id, uri, action) for action, uri in changes)
    accept_delivery(db, found.id, Delivery("cms", id_, body, named))
    return id_


def apply(world, collection="default"):
    with plain_steps() as steps:
        return apply_events(world.session, steps, collection)


def reindex(world, *uris, **options):
    with plain_steps() as steps:
        return reindex_documents(world.session, steps, "default", uris, **options)


def outcomes(report):
    return {uri: outcome for (_, uri), outcome in report.outcomes.items()}


@pytest.fixture
def indexed(world):
    for name in ("a", "b", "c"):
        world.write(f"{name}.txt", f"A text about the letter {name}, and nothing else.")
    world.write("hr/kim.txt", "The record of Kim.")
    world.write("hr/lee.txt", "The record of Lee.")
    world.ingest()
    return world


def test_only_what_is_named_is_looked_at(indexed):
    indexed.write("a.txt", "Another text about apricots.")
    indexed.write("b.txt", "Another text about blueberries.")
    before = indexed.embedder.embedded
    id_ = say(indexed, ("changed", "a.txt"))
    report = apply(indexed)
    assert outcomes(report) == {"a.txt": "changed"}
    assert (report.events, report.runs[0].release, report.runs[0].parsed) == (1, 2, 1)
    assert indexed.embedder.embedded == before + 1
    assert [hit.uri for hit in indexed.keyword("apricots")] == ["a.txt"]
    assert indexed.keyword("blueberries") == []
    status = find_delivery(indexed.session.db, "cms", id_)
    assert (status.state, str(status.runs[0])) == ("applied", report.runs[0].run_id)
    run = latest_runs(indexed.session.db, get_collection(indexed.session.db, "default").id)[0]
    assert (run["flow"], run["trigger"], run["state"]) == ("reindex", "event", "succeeded")
    assert indexed.ingest().documents.changed == 1  # the rest is found by the next ingest


def test_the_source_decides_not_the_order_of_the_events(indexed):
    (indexed.folder / "b.txt").unlink()
    indexed.write("new.txt", "A new text about quinces.")
    say(indexed, ("deleted", "new.txt"), ("changed", "b.txt"), ("deleted", "a.txt"), ("changed", "c.txt"))
    report = apply(indexed)
    assert outcomes(report) == {
        "new.txt": "added", "b.txt": "deleted", "a.txt": "unchanged", "c.txt": "unchanged"
    }  # fmt: skip
    assert indexed.plan().is_empty


def test_the_same_event_again_changes_nothing(indexed):
    indexed.write("a.txt", "Another text about apricots.")
    say(indexed, ("changed", "a.txt"))
    apply(indexed)
    say(indexed, ("changed", "a.txt"))
    report = apply(indexed)
    assert (outcomes(report), report.runs[0].state) == ({"a.txt": "unchanged"}, "unchanged")
    assert len(indexed.releases()) == 2
    assert apply(indexed).runs == []


def test_a_folder_is_walked_and_a_vanished_one_retired(indexed):
    indexed.write("hr/park.txt", "The record of Park.")
    say(indexed, ("prefix", "hr"))
    report = apply(indexed)
    assert (outcomes(report), report.runs[0].documents.added) == ({"hr": "changed"}, 1)
    for name in ("kim", "lee", "park"):
        (indexed.folder / f"hr/{name}.txt").unlink()
    (indexed.folder / "hr").rmdir()
    say(indexed, ("deleted", "hr"))
    assert apply(indexed).runs[0].documents.deleted == 3


def test_the_whole_source_can_be_named(indexed):
    indexed.write("a.txt", "Another text about apricots.")
    say(indexed, ("prefix", ""))
    assert outcomes(apply(indexed)) == {"": "changed"}
    say(indexed, ("prefix", ""))
    assert outcomes(apply(indexed)) == {"": "unchanged"}


def test_what_nobody_knows_is_said_clearly(indexed):
    indexed.write(".hidden.txt", "Hidden.")
    indexed.write("empty.txt", "")
    say(indexed, ("deleted", "ghost.txt"), ("changed", ".hidden.txt"), ("changed", "empty.txt"))
    assert outcomes(apply(indexed)) == {
        "ghost.txt": "unknown",
        ".hidden.txt": "ignored",
        "empty.txt": "rejected",
    }


def test_a_rename_costs_nothing(indexed):
    (indexed.folder / "a.txt").rename(indexed.folder / "z.txt")
    before = indexed.embedder.embedded
    say(indexed, ("deleted", "a.txt"), ("changed", "z.txt"))
    report = apply(indexed)
    assert outcomes(report) == {"a.txt": "moved", "z.txt": "moved"}
    assert indexed.embedder.embedded == before


def test_a_document_inside_an_archive_is_looked_at_with_its_archive(indexed):
    path = indexed.folder / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.txt", "The letter of Xaver.")
        archive.writestr("y.txt", "The letter of Yves.")
    say(indexed, ("changed", "old.zip"))
    assert apply(indexed).runs[0].documents.added == 2
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("y.txt", "The letter of Yvonne.")
    say(indexed, ("changed", "old.zip/y.txt"))
    report = apply(indexed)
    assert (report.runs[0].documents.changed, report.runs[0].documents.deleted) == (1, 1)
    assert indexed.plan().is_empty


def test_deletions_that_are_meant_pass_the_guard_and_others_do_not(indexed):
    names = [f"many/{number}.txt" for number in range(20)]
    for number, name in enumerate(names):
        indexed.write(name, f"Text number {number} of many, about things.")
    indexed.write("many/kept.md", "Something that is kept.")
    indexed.ingest()
    for name in names:
        (indexed.folder / name).unlink()
    indexed.write("a.txt", "Another text about apricots.")
    held = say(indexed, *(("changed", name) for name in names))
    passed = say(indexed, ("changed", "a.txt"))
    report = apply(indexed)  # what the guard holds does not hold up the rest
    assert "would retire 20 documents" in report.errors["docs"]
    assert outcomes(report) == {"a.txt": "changed"}
    assert find_delivery(indexed.session.db, "cms", held).state == "failed"
    assert find_delivery(indexed.session.db, "cms", passed).state == "applied"
    say(indexed, ("deleted", names[0]), ("changed", names[0]))  # it may be there again: not meant
    say(indexed, *(("deleted", name) for name in names[1:]))
    assert apply(indexed).runs[0].documents.deleted == 20


def test_when_all_is_held_by_the_guard_the_run_says_so(indexed):
    for number in range(20):
        indexed.write(f"many/{number}.txt", f"Text number {number} of many, about things.")
    indexed.write("many/kept.md", "Something that is kept.")
    indexed.ingest()
    for number in range(20):
        (indexed.folder / f"many/{number}.txt").unlink()
    say(indexed, ("prefix", "many"))
    with pytest.raises(MassDeletion):
        apply(indexed)


@pytest.mark.parametrize("action", ["changed", "deleted", "prefix"])
def test_a_source_that_lists_nothing_is_not_believed_and_the_event_waits(indexed, action):
    for path in sorted(indexed.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    id_ = say(indexed, (action, "" if action == "prefix" else "a.txt"))
    with pytest.raises(SourceUnavailable, match="lists nothing"):
        apply(indexed)
    assert indexed.keyword("letter") != []
    assert find_delivery(indexed.session.db, "cms", id_).state == "pending"


def test_a_folder_that_has_lost_all_it_held_is_not_believed_in_small_bites(indexed):
    for number in range(30):
        indexed.write(f"disk/{number}.txt", f"Text number {number} on another disk.")
    for number in range(200):
        indexed.write(f"rest/{number}.txt", f"Text number {number} of the rest.")
    indexed.ingest()
    for number in range(30):
        (indexed.folder / f"disk/{number}.txt").unlink()
    say(indexed, *(("changed", f"disk/{number}.txt") for number in range(5)))
    with pytest.raises(SourceUnavailable, match="disk is empty, and held 30 documents"):
        apply(indexed)
    assert len(indexed.keyword("disk", k=50)) == 30


def test_a_root_that_is_a_link_now_is_not_followed(indexed, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("Something else altogether.")
    indexed.folder.rename(tmp_path / "before")
    indexed.folder.symlink_to(other)
    say(indexed, ("changed", "a.txt"))
    with pytest.raises(SourceNotFound, match="is a link now"):
        apply(indexed)
    indexed.folder.unlink()
    (tmp_path / "before").rename(indexed.folder)


def test_while_the_source_is_away_the_events_wait(indexed, tmp_path):
    indexed.folder.rename(tmp_path / "away")
    id_ = say(indexed, ("deleted", "a.txt"))
    with pytest.raises(SourceNotFound):
        apply(indexed)
    status = find_delivery(indexed.session.db, "cms", id_)
    assert (status.state, status.events[0]["attempts"]) == ("pending", 1)
    assert "There is no file or folder" in status.events[0]["error"]
    assert apply(indexed).runs == []  # not before it is due
    (tmp_path / "away").rename(indexed.folder)
    (indexed.folder / "a.txt").unlink()
    with indexed.session.db.connection() as connection:
        connection.execute("UPDATE event SET due_at = now()")
    assert outcomes(apply(indexed)) == {"a.txt": "deleted"}


def test_a_run_that_fails_keeps_the_events_for_another(indexed, monkeypatch):
    indexed.write("a.txt", "Another text about apricots.")
    id_ = say(indexed, ("changed", "a.txt"))

    def broken(texts, **options):
        raise RuntimeError("the model broke")

    with monkeypatch.context() as patch:
        patch.setattr(indexed.embedder, "embed", broken)
        with pytest.raises(Exception, match="broke"):
            apply(indexed)
    assert find_delivery(indexed.session.db, "cms", id_).state in ("pending", "failed")
    assert indexed.keyword("apricots") == []


def test_what_another_run_changed_meanwhile_is_looked_at_again(indexed, monkeypatch):
    indexed.write("a.txt", "A second text, about apricots.")
    say(indexed, ("changed", "a.txt"))
    import flows.pipeline

    plain = flows.pipeline.embed_missing

    def overtake(*args, **options):
        plain(*args, **options)
        monkeypatch.undo()
        indexed.write("a.txt", "A third text, about bananas.")
        indexed.ingest()

    monkeypatch.setattr(flows.pipeline, "embed_missing", overtake)
    report = apply(indexed)
    assert (report.events, report.retried) == (0, 1)
    assert [event["state"] for event in list_events(indexed.session.db, 1)] == ["pending"]
    with indexed.session.db.connection() as connection:
        connection.execute("UPDATE event SET due_at = now()")
    assert outcomes(apply(indexed)) == {"a.txt": "unchanged"}
    assert [hit.uri for hit in indexed.keyword("bananas")] == ["a.txt"]


def test_a_person_names_documents(indexed):
    indexed.write("a.txt", "Another text about apricots.")
    (indexed.folder / "b.txt").unlink()
    report = reindex(indexed, "a.txt", "b.txt", "ghost.txt")
    assert outcomes(report) == {"a.txt": "changed", "b.txt": "deleted", "ghost.txt": "unknown"}
    assert report.runs[0].state == "succeeded"


def test_a_name_that_leads_out_of_the_source_is_refused(indexed):
    for uri in ("../secret.txt", "/etc/passwd", "hr/../../x"):
        with pytest.raises(EventRefused):
            reindex(indexed, uri)
    with pytest.raises(CollectionNotFound):
        apply(indexed, collection="nobody")


def test_a_sidecar_is_looked_at_with_its_image(world):
    world.configure(kind="images", model="small-clip")
    for name in ("cat", "hat"):
        for number in range(3):
            world.write(f"{name}/{number}.png", file(name, number))
    world.ingest()
    before = world.image_embedder.embedded
    world.write("cat/1.txt", "a sleeping cat")
    say(world, ("changed", "cat/1.txt"))
    assert outcomes(apply(world)) == {"cat/1.txt": "changed"}
    assert [hit.uri for hit in world.keyword("sleeping")] == ["cat/1.png"]
    (world.folder / "cat/1.txt").unlink()
    say(world, ("deleted", "cat/1.txt"))
    assert outcomes(apply(world)) == {"cat/1.txt": "changed"}
    assert world.keyword("sleeping") == []
    assert world.image_embedder.embedded == before
    (world.folder / "cat/2.png").unlink()
    say(world, ("deleted", "cat/2.png"))
    assert outcomes(apply(world)) == {"cat/2.png": "deleted"}
    assert world.plan().is_empty


def test_events_of_a_source_that_a_wider_one_has_taken_over_are_of_the_wider_one(world):
    world.write("inner/a.txt", "A text about apples.")
    world.write("a.txt", "A text about armadillos.")
    world.ingest(world.folder / "inner")
    world.write("inner/a.txt", "A text about apricots.")
    world.write("inner/b/c.txt", "A text about cherries.")
    say(world, ("changed", "a.txt"), ("prefix", "b"), ("deleted", "ghost.txt"))
    world.ingest()  # takes the inner source over, and finds the changes
    world.write("inner/a.txt", "A text about almonds.")
    report = apply(world)
    assert outcomes(report) == {"a.txt": "changed", "b": "unchanged", "ghost.txt": "unknown"}
    assert [hit.uri for hit in world.keyword("almonds")] == ["inner/a.txt"]
    say(world, ("changed", "inner/a.txt"))
    assert world.plan().is_empty
