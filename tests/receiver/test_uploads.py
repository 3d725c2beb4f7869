"""Documents that are uploaded: all of one, with its event, or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import unicodedata
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.receiver.core import MAX_UPLOADS
from flows.receiver.inbox import INCOMING, Inbox, quote_name
from registry.collections import ensure_collection, find_collection, get_collection, list_sources
from registry.connection import Database, connect_admin
from schemas.errors import DatabaseUnavailable
from schemas.settings import Settings
from tasks.sources.scratch import LOCK
from tests.receiver.conftest import OTHER_SECRET, Caller


def _error(done):
    assert set(done.json()["error"]) == {"class", "message", "advice"}
    return done.json()["error"]["class"]


def _arrived(receiver) -> dict[str, bytes]:
    """Uri in the inbox of `default` -> bytes."""
    return {name.removeprefix("default/default/"): found for name, found in receiver.files().items()}


def test_an_upload_is_a_file_and_an_event(receiver):
    done = receiver.upload("hr/김.pdf", b"bytes", id="m1")
    assert done.status_code == 202, done.text
    assert done.json()["status"] == "/v1/events/default/m1"
    assert _arrived(receiver) == {"hr/김.pdf": b"bytes"}
    assert receiver.rows() == [("inbox", "hr/김.pdf", "changed")]
    assert receiver.woken == [1]


def test_the_inbox_is_a_source_with_the_patterns_of_the_collection(configure, db):
    receiver = configure(collections={"images": {"kind": "images", "include": ["*.png"], "exclude": ["x"]}})
    assert receiver.upload("a.png", b"x", "images").status_code == 202
    collection = get_collection(db, "images")
    assert collection.kind == "images"
    (source,) = list_sources(db, collection.id)
    assert (source.name, source.include, source.exclude) == ("inbox", ("*.png",), ("x",))
    assert os.path.exists(f"{source.root_url}/a.png")


def test_a_new_upload_replaces_the_document(receiver):
    receiver.upload("a.txt", b"old")
    receiver.upload("a.txt", b"new")
    assert _arrived(receiver) == {"a.txt": b"new"}
    assert len(receiver.rows()) == 2


def test_an_upload_that_comes_again_late_replaces_nothing(receiver):
    receiver.upload("a.txt", b"old", id="m1")
    receiver.upload("a.txt", b"new", id="m2")
    again = receiver.upload("a.txt", b"old", id="m1")
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert _arrived(receiver) == {"a.txt": b"new"}
    assert len(receiver.rows()) == 2


def test_an_id_stands_for_one_upload(receiver):
    receiver.upload("a.txt", b"old", id="m1")
    for path, body in (("a.txt", b"new"), ("b.txt", b"old")):
        done = receiver.upload(path, body, id="m1")
        assert (done.status_code, _error(done)) == (409, "EventConflict")
    assert _arrived(receiver) == {"a.txt": b"old"}
    assert len(receiver.rows()) == 1


def test_of_two_receivers_with_one_id_and_two_bodies_the_refused_one_replaces_nothing(
    receiver, configure, monkeypatch
):
    """Both look at once: the first has placed its document and not yet stored its event."""
    other, answers = configure(), []
    inner = receiver.client.app.state.receiver.inbox
    place, began = inner.place, threading.Event()

    def slowly(*args):
        place(*args)
        began.set()
        assert _waits_for_a_lock(receiver.db)

    def second() -> None:
        assert began.wait(30)
        answers.append(other.upload("a.txt", b"second", id="m1"))

    monkeypatch.setattr(inner, "place", slowly)
    thread = threading.Thread(target=second)
    thread.start()
    first = receiver.upload("a.txt", b"first", id="m1")
    thread.join(60)
    assert (first.status_code, answers[0].status_code) == (202, 409)
    assert _arrived(receiver) == {"a.txt": b"first"}
    assert receiver.deliveries() == 1


def _waits_for_a_lock(db: Database) -> bool:
    """Wait until somebody does."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with connect_admin(db.url) as admin:  # others do not see what a session waits for
        for _ in range(3000):
            if admin.execute(query).fetchone()[0]:
                return True
            admin.execute("SELECT pg_sleep(0.01)")
    return False


def test_the_name_of_a_document_is_nfc(receiver):
    receiver.upload(unicodedata.normalize("NFD", "김.pdf"), b"x")
    assert list(_arrived(receiver)) == ["김.pdf"]
    assert receiver.rows() == [("inbox", "김.pdf", "changed")]


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a\x00b", "a\nb", "C:\\x", "x" * 601,
        "x" * 256, "한" * 86, ".hidden", ".incoming/x", "a/.git/config", "a.tmp", "~$a.docx",
    ],
)  # fmt: skip
def test_a_path_the_index_would_not_take_is_refused(receiver, path):
    done = receiver.upload(path, b"x")
    assert (done.status_code, _error(done)) == (422, "EventRefused")
    receiver.assert_untouched()


def test_percent_signs_in_a_path_mean_themselves(receiver):
    assert receiver.upload("%2e%2e/%2Fx.txt", b"x").status_code == 202
    assert list(_arrived(receiver)) == ["%2e%2e/%2Fx.txt"]


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_document_takes_no_folders_place_and_no_folder_a_documents(receiver, first, second):
    receiver.upload(first, b"x")
    done = receiver.upload(second, b"y")
    assert (done.status_code, _error(done)) == (409, "PathConflict")
    assert _arrived(receiver) == {first: b"x"}
    assert len(receiver.rows()) == 1


def test_a_link_in_the_inbox_does_not_lead_out(receiver, tmp_path):
    receiver.upload("a.txt", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    folder = receiver.client.app.state.receiver.inbox.folder("default")
    (folder / "link").symlink_to(outside)
    assert receiver.upload("link/b.txt", b"x").status_code == 409
    assert receiver.delete("link/kept.txt").status_code == 409
    assert [path.name for path in outside.iterdir()] == ["kept.txt"]
    assert len(receiver.rows()) == 1


def test_without_a_valid_signature_nothing_of_a_document_stays(receiver):
    assert receiver.upload("a.txt", b"x", secret=OTHER_SECRET).status_code == 401
    assert receiver.upload("a.txt", b"x", secret="nobody has this secret here").status_code == 401
    receiver.assert_untouched()


def test_a_document_for_an_unknown_collection_is_refused(receiver):
    done = receiver.upload("a.txt", b"x", "no-such-collection")
    assert (done.status_code, _error(done)) == (404, "CollectionNotFound")
    receiver.assert_untouched()
    assert find_collection(receiver.db, "no-such-collection") is None


def test_a_configured_collection_begins_with_its_first_upload(configure, db):
    receiver = configure(collections={"new": {}})
    assert receiver.upload("a.txt", b"x", "new").status_code == 202
    assert find_collection(db, "new") is not None


def test_a_form_is_refused_and_the_advice_says_what_to_do(receiver):
    done = receiver.upload("a.txt", b"--x", extra={"content-type": "multipart/form-data; boundary=x"})
    assert (done.status_code, _error(done)) == (415, "MediaTypeRefused")
    assert "--data-binary" in done.json()["error"]["advice"]
    receiver.assert_untouched()


@pytest.mark.parametrize("encoding", ["gzip", "identity, br", "GZIP"])
def test_what_is_compressed_is_not_taken_for_the_document(receiver, encoding):
    for done in (
        receiver.upload("a.txt", b"\x1f\x8b", extra={"content-encoding": encoding}),
        receiver.post({"changed": ["a"]}, extra={"content-encoding": encoding}),
    ):
        assert (done.status_code, _error(done)) == (415, "MediaTypeRefused")
    receiver.assert_untouched()
    assert receiver.upload("a.txt", b"x", extra={"content-encoding": "Identity"}).status_code == 202


def _pieces(size: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def test_a_document_over_the_limit_is_refused_before_it_is_read(configure, db):
    receiver = configure(collections={"default": {}}, max_upload_mb=1)
    assert receiver.upload("a.txt", b"x" * (1 << 20)).status_code == 202
    done = receiver.upload("b.txt", b"x" * ((1 << 20) + 1))
    assert (done.status_code, _error(done)) == (413, "BodyTooLarge")
    assert list(_arrived(receiver)) == ["a.txt"]
    assert len(receiver.rows()) == 1


def test_a_document_that_does_not_say_how_large_it_is_is_measured_while_it_comes(configure):
    receiver = configure(collections={"default": {}}, max_upload_mb=1)
    target = "/v1/documents/default?path=a.txt"
    headers = receiver.headers(b"", target=f"POST {target}")
    done = receiver.client.post(target, content=_pieces(1 << 18, 1000), headers=headers)
    assert (done.status_code, _error(done)) == (413, "BodyTooLarge")
    receiver.assert_untouched()


def test_a_sender_that_breaks_off_leaves_nothing(receiver):
    """The app sees a disconnect; nobody is left to answer."""
    target = "/v1/documents/default"
    signed = receiver.headers(b"whole document", target=f"POST {target}?path=a.txt")
    messages = [
        {"type": "http.request", "body": b"whole doc", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": target, "raw_path": target.encode(),
        "query_string": b"path=a.txt", "root_path": "", "scheme": "http", "http_version": "1.1",
        "headers": [(k.encode(), v.encode()) for k, v in signed.items()],
        "client": ("10.0.0.1", 5), "server": ("x", 80), "state": {}, "extensions": {},
    }  # fmt: skip
    anyio.run(receiver.client.app, scope, receive, send)
    assert sent[0]["status"] == 400
    receiver.assert_untouched()


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [
        (errno.ENOSPC, 507, "InboxFull"),
        (errno.EDQUOT, 507, "InboxFull"),
        (errno.EACCES, 500, "InboxNotWritable"),
        (errno.EROFS, 500, "InboxNotWritable"),
        (errno.EIO, 500, "InboxNotWritable"),
    ],
)
@pytest.mark.parametrize(
    "function", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.mkdir", "pathlib.Path.open"]
)
def test_a_disk_that_fails_leaves_nothing_half_written(
    receiver, monkeypatch, function, number, status, name, tmp_path
):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number), "/secret/place")

    monkeypatch.setattr(function, fail)
    done = receiver.upload("hr/a.txt", b"x")
    monkeypatch.undo()
    assert (done.status_code, _error(done)) == (status, name)
    assert "/secret/place" not in done.text
    receiver.assert_untouched()
    assert receiver.upload("hr/a.txt", b"x").status_code == 202


def test_a_failed_replacement_leaves_the_earlier_document(receiver, monkeypatch):
    receiver.upload("a.txt", b"old")

    def fail(*_args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.fsync", fail)
    assert receiver.upload("a.txt", b"new").status_code == 507
    assert _arrived(receiver) == {"a.txt": b"old"}
    assert len(receiver.rows()) == 1


def test_while_the_database_is_away_no_document_is_taken(receiver, monkeypatch):
    def fail(*_args, **_options):
        raise DatabaseUnavailable("The database is not available: secret-host.")

    monkeypatch.setattr("flows.receiver.accepting.accept_delivery", fail)
    done = receiver.upload("a.txt", b"x")
    assert (done.status_code, _error(done), done.headers["Retry-After"]) == (503, "DatabaseUnavailable", "5")
    assert "secret-host" not in done.text
    receiver.assert_untouched()


def test_more_uploads_at_once_than_the_disk_is_lent_for_are_sent_away(receiver):
    inner = receiver.client.app.state.receiver
    for _ in range(MAX_UPLOADS):
        assert inner.uploads.take(None)
    done = receiver.upload("a.txt", b"x")
    assert (done.status_code, _error(done), done.headers["Retry-After"]) == (503, "Busy", "2")
    receiver.assert_untouched()
    inner.uploads.free(None)
    assert receiver.upload("a.txt", b"x").status_code == 202
    assert receiver.upload("b.txt", b"x").status_code == 202, "the place is free again"


def test_what_a_killed_receiver_left_is_swept_at_the_start(receiver, configure):
    folder = receiver.settings.home / "inbox" / INCOMING / "of-a-process-that-is-gone"
    folder.mkdir(parents=True)
    (folder / LOCK).touch()
    (folder / "half").write_bytes(b"half")
    receiver.upload("a.txt", b"x")
    configure()
    assert _arrived(receiver) == {"a.txt": b"x"}


def test_a_receiver_that_starts_leaves_the_uploads_of_a_living_one_alone(receiver, configure):
    inbox = receiver.client.app.state.receiver.inbox
    incoming = inbox.open()
    incoming.write(b"first half, ")
    configure()
    configure().upload("b.txt", b"x")
    incoming.write(b"second half")
    incoming.finish()
    inbox.place(incoming, "default", "a.txt")
    assert _arrived(receiver) == {"a.txt": b"first half, second half", "b.txt": b"x"}


def test_an_upload_does_not_need_the_folder_of_the_one_before(receiver):
    receiver.upload("a.txt", b"x")
    shutil.rmtree(receiver.settings.home / "inbox" / INCOMING)
    assert receiver.upload("b.txt", b"y").status_code == 202
    assert _arrived(receiver) == {"a.txt": b"x", "b.txt": b"y"}


# --- removing ---------------------------------------------------------------------------------


def test_a_document_is_removed_and_its_event_recorded(receiver):
    receiver.upload("hr/kim/a.txt", b"x")
    receiver.upload("hr/b.txt", b"x")
    done = receiver.delete("hr/kim/a.txt")
    assert done.status_code == 202
    assert _arrived(receiver) == {"hr/b.txt": b"x"}
    assert receiver.rows()[-1] == ("inbox", "hr/kim/a.txt", "deleted")
    assert receiver.upload("hr/kim", b"x").status_code == 202, "folders that are empty go too"


def test_removing_what_is_not_there_says_so(receiver):
    receiver.upload("b.txt", b"x")
    done = receiver.delete("a.txt")
    assert (done.status_code, done.json()["unknown"]) == (202, ["a.txt"])
    assert receiver.rows()[-1] == ("inbox", "a.txt", "deleted"), "the index may have it all the same"


def test_a_request_that_names_no_document_is_told_how(receiver):
    for done in (receiver.upload("", b"x"), receiver.delete("")):
        assert (done.status_code, "path=" in done.json()["error"]["advice"]) == (422, True)


@pytest.mark.parametrize("name", ["default", "configured"])
def test_removing_where_nothing_was_uploaded_creates_nothing(configure, db, name):
    """A source whose folder is not there would fail each `ingest` without a path."""
    receiver = configure(collections={"configured": {}})
    known = ensure_collection(db, "default")
    done = receiver.delete("a.txt", name, id="m1")
    assert (done.status_code, done.json()) == (
        202,
        {
            "id": "m1", "collection": name, "accepted": 0, "ignored": 0, "duplicate": False,
            "unknown": ["a.txt"], "status": None,
        },
    )  # fmt: skip
    receiver.assert_untouched()
    assert list_sources(db, known.id) == []
    assert find_collection(db, "configured") is None


def test_the_folder_is_durable_before_its_source_is_registered(receiver, monkeypatch):
    def fail(*_args):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("flows.receiver.inbox._sync_folder", fail)
    assert receiver.upload("a.txt", b"x").status_code == 507
    collection = get_collection(receiver.db, "default")
    assert [source.name for source in list_sources(receiver.db, collection.id)] == ["docs"]


def test_a_removal_that_comes_again_late_removes_nothing(receiver):
    receiver.upload("a.txt", b"old")
    assert receiver.delete("a.txt", id="m1").status_code == 202
    receiver.upload("a.txt", b"new")
    assert receiver.delete("a.txt", id="m1").status_code == 200
    assert _arrived(receiver) == {"a.txt": b"new"}
    assert len(receiver.rows()) == 3


@pytest.mark.parametrize("path", ["", "../x", "/etc/passwd", "hr/", ".incoming/x"])
def test_only_documents_are_removed(receiver, path):
    receiver.upload("hr/a.txt", b"x")
    assert receiver.delete(path).status_code == 422
    assert _arrived(receiver) == {"hr/a.txt": b"x"}


def test_documents_of_other_sources_are_not_removed_and_that_is_said(world, clock, secrets):
    """It was not uploaded: DELETE would say that it is done, and the next ingest would find it."""
    world.write("a.txt", "Storks nest on chimneys.")
    world.ingest()
    webhook = {"senders": {"hr": {"secrets": secrets["hr"]}}}
    settings = Settings.model_validate({"home": world.session.settings.home, "webhook": webhook})
    receiver = Caller(world.session.db, settings, clock)
    receiver.start()
    for _ in range(2):  # before there is an inbox, and with one
        done = receiver.delete("a.txt")
        assert (done.status_code, _error(done)) == (422, "EventRefused")
        assert world.folder.name in done.json()["error"]["message"]
        receiver.upload("b.txt", b"x")
    assert [uri for _, uri, action in receiver.rows() if action == "deleted"] == []


def test_a_folder_is_not_removed(receiver):
    receiver.upload("hr/a.txt", b"x")
    assert receiver.delete("hr").status_code == 409
    assert _arrived(receiver) == {"hr/a.txt": b"x"}
    assert len(receiver.rows()) == 1


def test_without_a_valid_signature_nothing_is_removed(receiver):
    receiver.upload("a.txt", b"x")
    assert receiver.delete("a.txt", secret=OTHER_SECRET).status_code == 401
    assert receiver.client.delete("/v1/documents/default?path=a.txt").status_code == 401
    assert _arrived(receiver) == {"a.txt": b"x"}


# --- the folder -------------------------------------------------------------------------------


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_never_share_a_folder(first, second):
    quoted = quote_name(first), quote_name(second)
    assert (quoted[0].casefold() == quoted[1].casefold()) == (first == second)


@given(st.text(min_size=1))
def test_a_name_is_one_ordinary_folder(name):
    quoted = quote_name(name)
    assert quoted.isascii()
    assert 0 < len(quoted) <= 255
    assert not {"/", "\\", ".", "\0"} & set(quoted)


def test_tenants_have_folders_of_their_own(tmp_path):
    folders = [
        Inbox(tmp_path, tenant).folder(name) for tenant, name in (("a", "b"), ("b", "a"), ("a/b", "x"))
    ]
    assert len(set(folders)) == 3
    assert {folder.parent.parent for folder in folders} == {tmp_path.resolve()}
