"""A bad file becomes a rejection with advice; the run goes on and nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import HomeNotWritable
from tasks.sources.filesystem import LocalFolder
from tests.world import World

GOOD = "A good document about otters."


@pytest.fixture
def rejected(world):
    """Writes a file beside a good one, ingests, and gives the rejection."""

    def reject(name: str, content: bytes):
        world.write("good.txt", GOOD)
        world.write(name, content)
        report = world.ingest()
        assert (report.state, report.documents.added, report.documents.rejected) == ("succeeded", 1, 1)
        assert world.keyword("otters")[0].uri == "good.txt"
        again = world.ingest()
        assert (again.state, again.parsed, again.documents.rejected) == ("unchanged", 0, 1)
        return world.rejections()[name]

    return reject


def test_an_empty_file_is_rejected(rejected):
    assert rejected("empty.txt", b"").error == "EmptyDocument"


def test_a_file_of_blanks_is_rejected(rejected):
    assert rejected("blank.txt", b" \n\t\n ").error == "EmptyDocument"


def test_a_broken_pdf_is_rejected(rejected):
    rejection = rejected("broken.pdf", b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer <<")
    assert (rejection.stage, rejection.error) == ("parse", "ParseFailed")


def test_a_damaged_image_under_a_documents_name_is_rejected_as_an_image(rejected):
    rejection = rejected("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(200))
    assert rejection.error == "ParseFailed"
    assert "image" in rejection.message


def test_nul_bytes_and_invalid_utf8_do_not_stop_a_text(world):
    world.write("nul.txt", b"Before the nul\x00 byte and after it, a badger.")
    world.write("bad.txt", b"Some text \xff\xfe\x80 with bytes of no encoding, a marmot.")
    report = world.ingest()
    assert report.documents.added == 2
    assert "\x00" not in world.keyword("badger")[0].text
    assert world.keyword("marmot")[0].uri == "bad.txt"


def test_a_file_over_the_limit_is_rejected_without_being_read(database_url, tmp_path):
    with World.open(tmp_path, database_url, limits={"max_file_mb": 1}) as world:
        world.write("good.txt", GOOD)
        with (world.folder / "huge.txt").open("wb") as huge:
            huge.truncate(200 << 20)
        report = world.ingest()
        assert (report.documents.added, report.documents.rejected) == (1, 1)
        rejection = world.rejections()["huge.txt"]
        assert rejection.error == "FileTooLarge"
        assert "200 MB" in rejection.message
        assert "max_file_mb" in rejection.message
        assert world.ingest().state == "unchanged"


def test_raising_the_limit_tries_again(database_url, tmp_path):
    with World.open(tmp_path, database_url, limits={"max_file_mb": 1}) as world:
        world.write("big.txt", b"word " * 300_000)
        assert world.ingest().documents.rejected == 1
    with World.open(tmp_path, database_url, limits={"max_file_mb": 2}) as world:
        assert world.ingest().documents.added == 1
        assert world.rejections() == {}


def test_a_file_that_vanishes_after_listing_is_rejected_and_then_forgotten(world, monkeypatch):
    world.write("good.txt", GOOD)
    world.write("ghost.txt", "Soon gone.")
    plain_list = LocalFolder.list

    def list_then_delete(self, scope):
        listing = plain_list(self, scope)
        (world.folder / "ghost.txt").unlink(missing_ok=True)
        return listing

    monkeypatch.setattr(LocalFolder, "list", list_then_delete)
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 1)
    assert "vanished" in world.rejections()["ghost.txt"].message
    monkeypatch.undo()
    assert world.ingest().documents.rejected == 0


def test_an_unreadable_file_is_rejected_and_tried_again(world, monkeypatch):
    world.write("good.txt", GOOD)
    secret = world.write("secret.txt", "Nobody may read this.")
    plain_open = os.open

    def refuse(path, flags, *args, **kwargs):
        if Path(path) == secret:
            raise PermissionError(13, "Permission denied")
        return plain_open(path, flags, *args, **kwargs)

    # root reads every file, whatever its mode: the refusal has to be simulated
    monkeypatch.setattr(os, "open", refuse)
    assert world.ingest().documents.rejected == 1
    rejection = world.rejections()["secret.txt"]
    assert (rejection.stage, rejection.error, rejection.retryable) == ("fetch", "FetchFailed", True)
    assert "right to read" in rejection.message
    monkeypatch.undo()
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 0)


def test_a_changed_file_that_breaks_keeps_its_last_good_version(world):
    world.write("a.pdf.txt", GOOD)
    world.write("b.txt", "The first state of b.")
    world.ingest()
    world.write("b.txt", b"\x89PNG\r\n\x1a\n" + bytes(100))
    report = world.ingest()
    assert (report.release, report.documents.rejected) == (None, 1)
    assert world.keyword("state")[0].uri == "b.txt"
    world.write("b.txt", "The second state of b.")
    assert world.ingest().documents.rejected == 0
    assert world.keyword("state")[0].text == "The second state of b."


def test_a_parser_that_hangs_is_killed_and_the_run_goes_on(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:hang_on_request")
    with World.open(tmp_path, database_url, limits={"parse_timeout_s": 3, "parse_memory_mb": 256}) as world:
        world.write("good.txt", GOOD)
        world.write("hang.txt", "please hang")
        world.write("crash.txt", "please crash")
        world.write("eat.txt", "please eat memory")
        report = world.ingest()
        assert (report.documents.added, report.documents.rejected) == (1, 3)
        errors = {uri: rejection.error for uri, rejection in world.rejections().items()}
        assert errors == {
            "hang.txt": "ParseTimeout", "crash.txt": "ParseCrashed", "eat.txt": "ParseCrashed"
        }  # fmt: skip
        assert world.keyword("otters")[0].uri == "good.txt"
        assert world.problems() == []


def test_a_renamed_file_whose_new_name_is_rejected_keeps_its_old_version(database_url, tmp_path):
    with World.open(tmp_path, database_url) as world:
        for number in range(12):
            world.write(f"d{number}.txt", f"Stork number {number}. " + "x " * 2000)
        world.ingest()
        for number in range(12):
            (world.folder / f"d{number}.txt").rename(world.folder / f"e{number}.txt")
    with World.open(tmp_path, database_url, limits={"max_characters": 1000}) as world:
        report = world.ingest()
        assert (report.documents.moved, report.documents.deleted, report.documents.rejected) == (0, 0, 12)
        assert len(world.keyword("stork", k=50)) == 12
        assert world.problems() == []


def test_a_full_disk_stops_the_run_instead_of_rejecting_every_document(world, monkeypatch):
    world.write("a.txt", GOOD)
    world.ingest()
    world.write("b.txt", "Another document.")

    def refuse(self, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(HomeNotWritable, match=r"No space left.*run again"):
            world.ingest()
    assert world.rejections() == {}
    assert world.ingest().documents.added == 1


def test_a_text_over_the_limit_is_rejected_and_tried_again_under_a_higher_one(database_url, tmp_path):
    with World.open(tmp_path, database_url, limits={"max_characters": 1000}) as world:
        world.write("long.txt", "word " * 400)
        assert world.ingest().documents.rejected == 1
        assert "max_characters = 1,000" in world.rejections()["long.txt"].message
        assert world.ingest().parsed == 0
    with World.open(tmp_path, database_url) as world:
        assert world.ingest().documents.added == 1
