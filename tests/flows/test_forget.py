"""Forget: nothing in the database or on disk mentions the document, and the rest is as it was."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from unicodedata import normalize
from uuid import UUID

import psycopg
import pytest

from flows.forgetting import forget
from flows.pipeline import ingest_location
from flows.purging import purge_collection
from flows.staged import activate_staged
from registry.connection import connect_admin
from registry.events import accept_delivery
from registry.runs import latest_runs
from schemas.errors import DocumentNotFound, ForgetIncomplete, GateFailed, HomeNotWritable
from schemas.event import Delivery, NamedChange
from tasks.batch import plain_steps
from tests.texts import english_text
from tests.world import World

SECRET = "Kim Minsu has the number 880101-1234567."


def _forget(world, uri, **options):
    return forget(world.session, uri, options.pop("collection", "default"), **options)


def _mentions(world, *needles):
    """Tables and files in which one of the texts stands, whatever the column."""
    found = set()
    with connect_admin(world.session.db.url) as admin:
        names = admin.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'revector'::regnamespace"
        ).fetchall()
        for (name,) in names:
            for (row,) in admin.execute(f"SELECT t::text FROM {name} t"):
                found |= {(name, needle) for needle in needles if needle in row}
    for path in (world.session.settings.home / "blobs").rglob("*"):
        if path.is_file():
            content = path.read_bytes().decode(errors="replace")
            found |= {("blobs", needle) for needle in needles if needle in content}
    return found


def _bytes(path):
    return path.read_bytes() if path.is_file() else b""


def _count(world, table):
    with world.session.db.connection() as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def _remove(world, name):
    (world.folder / name).unlink()


def test_nothing_mentions_a_forgotten_document_and_the_rest_is_as_it_was(world):
    world.write("heron.txt", "A heron stands here.")
    world.ingest()
    digest = world.releases()[0].digest
    world.write("hr/kim.txt", SECRET)
    world.ingest()
    world.write("hr/kim.txt", f"{SECRET} He moved.")
    world.ingest()
    assert _mentions(world, "Minsu", "kim.txt") >= {("chunk", "Minsu"), ("document", "kim.txt")}
    _remove(world, "hr/kim.txt")
    report = _forget(world, "hr/kim.txt")
    assert _mentions(world, "Minsu", "kim.txt", b"Minsu".hex(), "880101") == set()
    assert (report["versions"], report["chunks"], report["vectors"], report["release"]) == (2, 2, 2, 4)
    assert report["blobs"] == 2
    assert set(report["proof"].values()) == {0}
    assert report["warnings"] == []
    releases = {r.number: r for r in world.releases()}
    assert (releases[4].kind, releases[4].note, releases[4].digest) == ("purge", "forget", digest)
    assert {number: r.missing for number, r in releases.items()} == {1: 0, 2: 1, 3: 1, 4: 0}
    assert world.keyword("Minsu") == []
    assert [hit.uri for hit in world.vector("heron")] == ["heron.txt"]
    assert world.ingest().state == "unchanged"


def test_a_retired_document_is_forgotten_without_a_release(world):
    world.write("a.txt", "A heron.")
    world.write("kim.txt", SECRET)
    world.ingest()
    _remove(world, "kim.txt")
    world.ingest(allow_deletions=True)
    report = _forget(world, "kim.txt")
    assert (report["release"], report["versions"]) == (None, 1)
    assert _mentions(world, "Minsu", "kim.txt") == set()


def test_other_bytes_rejections_and_what_crashed_runs_left_go_too(world, monkeypatch):
    world.write("a.txt", "A heron.")
    world.write("kim.html", f"<p>{SECRET}</p>")
    world.ingest()
    for tag in ("b", "i"):  # the same text in other bytes: no new version, but blobs and parser results
        world.write("kim.html", f"<p>{SECRET}</p><{tag}></{tag}>")
        world.ingest()
    assert _count(world, "document_version") == 2
    assert _count(world, "parsed") == 4
    world.write("kim.html", f"<p>{SECRET} His run dies.</p>")
    with monkeypatch.context() as patch:
        patch.setattr("tasks.vectors.store_vectors", _die)
        with pytest.raises(KeyboardInterrupt):
            world.ingest()
    assert ("chunk", "His run dies") in _mentions(world, "His run dies")
    world.write("kim.html", b"\x00\x01\x02 kim.html is broken \x00")
    world.ingest()
    assert set(world.rejections()) == {"kim.html"}
    _remove(world, "kim.html")
    _forget(world, "kim.html")
    assert _mentions(world, "Minsu", "kim.html", "His run dies", b"Minsu".hex()) == set()
    assert (_count(world, "parsed"), _count(world, "chunk")) == (1, 1)


def _die(*args, **options):
    raise KeyboardInterrupt


def test_a_document_that_was_only_ever_rejected_can_be_forgotten(world):
    world.write("a.txt", "A heron.")
    world.write("kim.pdf", b"%PDF-1.7 broken Minsu")
    world.ingest()
    assert ("blobs", "Minsu") in _mentions(world, "Minsu")
    blob = next(p for p in (world.session.settings.home / "blobs").rglob("*") if b"Minsu" in _bytes(p))
    blob.with_suffix(".damaged").write_bytes(b"Minsu, as a repair set it aside")
    _remove(world, "kim.pdf")
    assert _forget(world, "kim.pdf")["blobs"] == 1
    assert _mentions(world, "Minsu", "kim.pdf") == set()


def test_what_runs_wrote_about_it_is_scrubbed_and_nothing_else(world):
    world.write("a.txt", "A heron.")
    world.write("kim.txt", SECRET)
    world.ingest()
    _remove(world, "kim.txt")
    with world.session.db.connection() as connection:
        connection.execute(
            "UPDATE run SET scope = '/docs/kim.txt', error = 'Would retire: akim.txt, kim.txt, b.txt.', "
            """stats = '{"kim.txt": 1, "left": ["kim.txt", "kim.txt.bak", 3]}'"""
        )
        connection.execute("UPDATE release SET note = 'before kim.txt'")
    _forget(world, "kim.txt")
    first = latest_runs(world.session.db, 1)[-1]
    assert first["scope"] == "/docs/[forgotten]"
    assert first["error"] == "Would retire: akim.txt, [forgotten], b.txt."
    assert first["stats"]["left"] == ["[forgotten]", "kim.txt.bak", 3]
    assert world.releases()[-1].note == "before [forgotten]"


def test_chunks_of_other_documents_stay(world):
    world.write("a.txt", "A text that two documents share.")
    world.write("b.txt", "A text that two documents share.")
    world.ingest()
    _remove(world, "b.txt")
    report = _forget(world, "b.txt")
    assert (report["shared"], report["chunks"], report["blobs"]) == ({"chunks": 1, "documents": 1}, 0, 0)
    assert [hit.documents for hit in world.keyword("share")] == [("a.txt",)]
    assert [hit.uri for hit in world.vector("share")] == ["a.txt"]


def test_another_collection_keeps_its_own(world):
    world.write("a.txt", "A text in two collections.")
    world.ingest()
    world.ingest(collection="second")
    _forget(world, "a.txt")
    assert world.keyword("collections") == []
    assert [hit.uri for hit in world.keyword("collections", collection="second")] == ["a.txt"]
    assert world.problems("second") == []


def test_neither_tags_nor_staged_changes_nor_holds_keep_it(world, monkeypatch):
    world.write("a.txt", "A heron.")
    world.write("kim.txt", SECRET)
    world.ingest()
    world.write("kim.txt", f"{SECRET} Staged.")
    with monkeypatch.context() as patch:
        patch.setattr("tasks.vectors.store_vectors", lambda *args, **options: 0)
        with pytest.raises(Exception, match="have no vector"):
            world.ingest()
    with world.session.db.connection() as connection:
        connection.execute("INSERT INTO release_tag VALUES (1, 1, 'good', 1)")
        connection.execute(
            "INSERT INTO hold (tenant_id, collection_id, document_id, release) "
            "SELECT 1, 1, id, 1 FROM document WHERE uri = 'kim.txt'"
        )
    _remove(world, "kim.txt")
    assert _forget(world, "kim.txt")["versions"] == 2
    assert _mentions(world, "Minsu", "kim.txt") == set()
    assert (_count(world, "hold"), _count(world, "staged_change"), _count(world, "release_tag")) == (0, 0, 1)


def test_a_dry_run_says_what_would_go_and_changes_nothing(world):
    world.write("kim.txt", SECRET)
    world.write("a.txt", "A heron.")
    world.ingest()
    runs = _count(world, "run")
    report = _forget(world, "kim.txt", dry_run=True)
    counted = ("versions", "chunks", "vectors", "parsed", "signatures", "blobs")
    assert [report[key] for key in counted] == [1] * 6
    assert (report["proof"]["documents"], report["proof"]["blobs"], report["run_id"]) == (1, 1, None)
    assert (report["proof"]["signatures"], report["proof"]["bands of signatures"]) == (1, 16)
    assert (_count(world, "run"), len(world.keyword("Minsu")), len(world.releases())) == (runs, 1, 1)


def test_the_source_that_still_holds_it_is_named(world):
    world.write("hr/kim.txt", SECRET)
    world.write("a.txt", "A heron.")
    world.ingest()
    assert "the next ingest adds it again" in _forget(world, "hr/kim.txt")["warnings"][0]
    assert world.ingest().documents.added == 1
    with pytest.raises(DocumentNotFound, match=r"Did you mean hr/kim\.txt"):
        _forget(world, "kim.txt")


def test_a_uri_in_several_sources_needs_the_sources_name(world, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kim.txt").write_text(f"{SECRET} {folder}")
        world.ingest(tmp_path / folder)
    with pytest.raises(DocumentNotFound, match=r"in 2 sources: one, two\. .*--source"):
        _forget(world, "kim.txt")
    with pytest.raises(DocumentNotFound, match="It is in: one, two"):
        _forget(world, "kim.txt", source="three")
    _forget(world, "kim.txt", source="two")
    assert [hit.source for hit in world.keyword("Minsu")] == ["one"]


def test_what_is_left_is_said_loudly(world, monkeypatch):
    world.write("kim.txt", SECRET)
    world.write("a.txt", "A heron.")
    world.ingest()
    monkeypatch.setattr("registry.blobs.BlobStore.discard", lambda *args, **options: None)
    with pytest.raises(ForgetIncomplete, match="1 blobs are left") as error:
        _forget(world, "kim.txt")
    assert error.value.facts["proof"]["blobs"] == 1
    monkeypatch.undo()
    assert purge_collection(world.session, "default")["blobs"] == 1
    assert _mentions(world, "Minsu", "kim.txt") == set()


# --- a run that ingests it at the same moment --------------------------------------------


def _ingest_and_forget(world, step):
    """The error of the forget, None where it proved that nothing is left."""
    outcome = []

    def forget_now():
        try:
            _forget(world, "kim.txt")
            outcome.append(None)
        except ForgetIncomplete as exc:
            outcome.append(str(exc))

    def wrap(original):
        def wrapped(*args, **options):
            result = original(*args, **options)
            if step == "prepare_window":
                result.result()
            if not outcome:
                forget_now()
            return result

        return wrapped

    with plain_steps() as steps:
        steps = replace(steps, **{step: wrap(getattr(steps, step))})
        report = ingest_location(world.session, steps, str(world.folder), "default", allow_deletions=True)
    return report, outcome[0]


@pytest.mark.parametrize(
    "step", ["plan_run", "prepare_window", "write_window", "hold_election", "embed_batch", "check_gate"]
)
@pytest.mark.parametrize("action", ["change", "delete", "leave"])
def test_a_run_at_the_same_moment_adds_it_whole_or_not_at_all(world, step, action):
    world.write("a.txt", "A heron.")
    world.write("kim.txt", SECRET)
    world.ingest()
    old = time.time() - 86_400
    for path in (world.session.settings.home / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    world.write("b.txt", "A crane.")
    if action == "change":
        world.write("kim.txt", f"{SECRET} He moved.")
    if action == "delete":
        _remove(world, "kim.txt")
    report, error = _ingest_and_forget(world, step)
    assert (report.state, report.documents.added) == ("succeeded", 1)
    assert world.problems() == []
    assert world.keyword("Minsu") == []  # planned on the old state: a conflict, or nothing to do
    if error is None:
        assert _mentions(world, "Minsu") == set() or action == "change"
    world.ingest()
    assert len(world.keyword("Minsu")) == (0 if action == "delete" else 1)
    _remove(world, "b.txt")
    if action != "delete":
        _remove(world, "kim.txt")
        _forget(world, "kim.txt")
    assert _mentions(world, "Minsu", "kim.txt") == set()


def test_a_forget_that_was_killed_after_its_commit_is_completed_by_the_next(world, monkeypatch):
    world.write("heron.txt", "A heron stands here.")
    world.write("hr/kim.txt", SECRET)
    world.ingest()
    (world.folder / "hr/kim.txt").unlink()

    def die(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flows.forgetting.sweep_blobs", die)
        with pytest.raises(KeyboardInterrupt):
            forget(world.session, "hr/kim.txt", "default")
    with pytest.raises(DocumentNotFound):
        forget(world.session, "hr/kim.txt", "default")
    assert _mentions(world, SECRET) == set()


def test_the_old_name_of_a_moved_document_is_named(world):
    world.write("secret.txt", SECRET)
    world.ingest()
    (world.folder / "secret.txt").rename(world.folder / "renamed.txt")
    world.ingest()
    _remove(world, "renamed.txt")
    for options in ({"dry_run": True}, {}):
        assert _forget(world, "renamed.txt", **options)["warnings"] == [
            "The same bytes are, or were, also shown as secret.txt (docs). Forget these too if they must go."
        ]
    assert _forget(world, "secret.txt")["warnings"] == []


def test_a_path_in_another_unicode_form_is_scrubbed_too(world):
    uri = "김민수.txt"
    path = world.write(normalize("NFD", uri), SECRET)
    world.ingest(path)
    path.unlink()
    _forget(world, uri)
    scopes = [run["scope"] for run in latest_runs(world.session.db, 1)]
    assert all(uri not in normalize("NFC", scope) for scope in scopes)


def test_raw_bytes_that_cannot_be_deleted_are_left_to_purge(world, monkeypatch):
    def refuse(*_, **__):
        raise HomeNotWritable("The blob store cannot be written.", advice="")

    world.write("kim.txt", SECRET)
    world.ingest()
    _remove(world, "kim.txt")
    with monkeypatch.context() as patch:
        patch.setattr("flows.forgetting.sweep_blobs", refuse)
        with pytest.raises(ForgetIncomplete, match=r"raw bytes are not.*revector purge"):
            _forget(world, "kim.txt")
    assert _mentions(world, "Minsu") == {("blobs", "Minsu")}
    purge_collection(world.session, "default")
    assert _mentions(world, "Minsu", "kim.txt") == set()


def test_with_rewrite_no_file_of_the_database_holds_the_text(world, open_folder):
    data = open_folder / "shared/postgres"
    secret = "GRUESECRET11 is the salary of a heron."
    world.write("a.txt", "A plain document about rivers.")
    world.ingest()
    world.write("secret-name.txt", secret)
    world.ingest()
    _remove(world, "secret-name.txt")
    forget(world.session, "secret-name.txt", "default", rewrite=True)
    with psycopg.connect(world.session.db.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        folder = (
            data
            / "base"
            / str(
                connection.execute(
                    "SELECT oid FROM pg_database WHERE datname = current_database()"
                ).fetchone()[0]
            )
        )
    holding = [p.name for p in folder.iterdir() if p.is_file() and b"GRUESECRET11" in p.read_bytes()]
    assert holding == []


# --- near-duplicates -----------------------------------------------------------------------


def test_a_winner_is_forgotten_with_its_signature_and_named_by_no_election(world):
    text = english_text(20, seed=1)
    world.write("kim.txt", f"{text} {SECRET}")
    world.write("a.txt", text)
    world.write("b.txt", text)
    world.ingest()
    report = _forget(world, "kim.txt", dry_run=True)
    assert (report["proof"]["elections"], report["proof"]["signatures"]) == (2, 1)
    bands = _count(world, "signature_band")
    _remove(world, "kim.txt")
    report = _forget(world, "kim.txt")
    assert set(report["proof"].values()) == {0}
    assert (_count(world, "signature"), _count(world, "signature_band")) == (1, bands - 16)
    assert [hit.uri for hit in world.vector(text)][:1] == ["a.txt"]
    _remove(world, "b.txt")
    assert _forget(world, "b.txt")["signatures"] == 0, "a.txt has the same text"
    assert _count(world, "signature") == 1


def test_what_a_forgotten_staged_winner_stood_for_is_elected_again(database_url, tmp_path):
    (tmp_path / "canaries.toml").write_text('[[canary]]\nquery = "heron"\ndocument = "none.txt"\nk = 1\n')
    gate = {"canaries": tmp_path / "canaries.toml"}
    text = english_text(20, seed=1)
    with World.open(tmp_path, database_url, collections={"default": {"gate": gate}}) as world:
        world.write("heron.txt", "A heron stands here.")
        with pytest.raises(GateFailed):
            world.ingest()
        run = latest_runs(world.session.db, 1, most=1)[0]
        activate_staged(world.session, "default", UUID(str(run["run_id"])))
        world.write("kim.txt", f"{text} {SECRET}")
        world.write("a.txt", text)
        with pytest.raises(GateFailed):
            world.ingest()
        run = latest_runs(world.session.db, 1, most=1)[0]
        _remove(world, "kim.txt")
        assert _forget(world, "kim.txt")["release"] is None, "it was never shown"
        report = activate_staged(world.session, "default", UUID(str(run["run_id"])))
        assert (report.documents.added, report.hidden) == (1, 0)
        assert [hit.uri for hit in world.vector(text)][:1] == ["a.txt"]
        assert world.problems() == []


# --- events -------------------------------------------------------------------------------


def _accept(world, *changes, delivery="1"):
    """A delivery of the sender `cms` that names these uris of the first source."""
    db = world.session.db
    changes = tuple(NamedChange(1, uri, action) for uri, action in changes)
    accept_delivery(db, 1, Delivery("cms", delivery, bytes(32), changes))


def test_no_event_names_a_forgotten_document(world):
    world.write("a.txt", "A heron.")
    world.write("kim.txt", SECRET)
    world.ingest()
    _accept(world, ("kim.txt", "changed"), ("kim.txt/inside.pdf", "deleted"), delivery="1")
    _accept(world, ("kim.txt", "deleted"), ("a.txt", "changed"), ("kim.txtx", "changed"), delivery="2")
    _accept(world, ("a.txt", "changed"), delivery="upload /docs/kim.txt")
    _accept(world, delivery="empty")
    with world.session.db.connection() as connection:
        connection.execute("UPDATE event SET error = 'Would retire: kim.txt, b.txt.' WHERE uri = 'a.txt'")
    _remove(world, "kim.txt")
    foreseen = _forget(world, "kim.txt", dry_run=True)["proof"]
    assert [foreseen[name] for name in ("events", "errors of events", "ids of deliveries")] == [3, 2, 1]
    assert (_count(world, "event"), _count(world, "delivery")) == (6, 4)
    proof = _forget(world, "kim.txt")["proof"]
    assert set(proof.values()) == {0}
    assert {name for name, _ in _mentions(world, "kim.txt")} == {"event"}  # kim.txtx is another document
    with world.session.db.connection() as connection:
        rows = connection.execute("SELECT uri, error FROM event ORDER BY id").fetchall()
        ids = [name for (name,) in connection.execute("SELECT delivery FROM delivery ORDER BY id")]
    gone = "Would retire: [forgotten], b.txt."
    assert rows == [("a.txt", gone), ("kim.txtx", None), ("a.txt", gone)]
    # of a delivery that named it the id goes, whatever it was made of
    assert ids == ["sha256:" + hashlib.sha256(b"2").hexdigest(), "upload /docs/[forgotten] 3", "empty"]


def test_events_of_another_source_with_the_same_name_stay(world, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "kim.txt").write_text(f"{SECRET} {folder}")
        world.ingest(tmp_path / folder)
    for source in (1, 2):
        change = NamedChange(source, "kim.txt", "changed")
        accept_delivery(world.session.db, 1, Delivery("cms", str(source), bytes(32), (change,)))
    _forget(world, "kim.txt", source="two")
    with world.session.db.connection() as connection:
        assert connection.execute("SELECT source_id FROM event").fetchall() == [(1,)]


def test_a_document_that_only_events_name_can_be_forgotten(world):
    world.write("a.txt", "A heron.")
    world.ingest()
    _accept(world, ("kim.txt", "deleted"))
    assert _forget(world, "kim.txt")["versions"] == 0
    assert _mentions(world, "kim.txt") == set()
    with pytest.raises(DocumentNotFound):
        _forget(world, "kim.txt")


def test_a_forgotten_upload_stays_in_the_inbox_and_that_is_said(world):
    inbox = world.session.settings.home.resolve() / "inbox/uploads"
    inbox.mkdir(parents=True)
    (inbox / "kim.txt").write_text(SECRET)
    world.ingest(inbox)
    assert "The source still holds it" in _forget(world, "kim.txt")["warnings"][0]
    assert (inbox / "kim.txt").exists()
    assert _mentions(world, "Minsu", "kim.txt") == set()
