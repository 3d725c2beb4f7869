"""What a source lists: odd names, links, closed folders, patterns; nothing is lost for it."""

from __future__ import annotations

import os
import unicodedata

import pytest

from schemas.errors import FetchFailed, MassDeletion, SourceNotFound
from schemas.source import Scope, Source
from tasks.sources.filesystem import LocalFolder
from tests.world import World

GOOD = "A good document about otters."


def test_an_unreadable_folder_retires_nothing(world, monkeypatch):
    world.write("good.txt", GOOD)
    for number in range(3):
        world.write(f"locked/doc{number}.txt", f"Locked document {number}.")
    world.ingest()
    plain_scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return plain_scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = world.ingest()
    assert (report.documents.deleted, report.release) == (0, None)
    assert world.rejections()["locked"].message.startswith("Permission denied. What lies there")
    assert world.keyword("locked")
    monkeypatch.undo()
    assert world.ingest().documents.rejected == 0


def test_links_that_loop_are_reported_and_not_followed(world):
    world.write("sub/good.txt", GOOD)
    (world.folder / "sub/up").symlink_to(world.folder)
    (world.folder / "self").symlink_to(world.folder / "self")
    (world.folder / "fifo.txt").unlink(missing_ok=True)
    os.mkfifo(world.folder / "fifo.txt")
    report = world.ingest()
    assert report.documents.added == 1
    assert set(world.rejections()) == {"sub/up", "self", "fifo.txt"}


def test_a_link_to_a_file_of_the_source_is_followed(world):
    world.write("target.txt", "The target of a link.")
    (world.folder / "link.txt").symlink_to(world.folder / "target.txt")
    assert world.ingest().documents.added == 2


def test_a_link_out_of_the_source_is_followed_only_where_that_is_allowed(world, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("The secret of another folder.")
    (world.folder / "file.txt").symlink_to(outside / "secret.txt")
    (world.folder / "folder").symlink_to(outside)
    assert world.ingest().documents.added == 0
    assert set(world.rejections()) == {"file.txt", "folder"}
    assert "follow_links = true" in world.rejections()["file.txt"].message
    world.configure(follow_links=True)
    assert world.ingest().documents.added == 2
    assert world.rejections() == {}


def test_a_file_that_became_a_link_after_it_was_listed_is_not_read(world, tmp_path):
    (tmp_path / "secret.txt").write_text("The secret of another folder.")
    world.write("a.txt", "A plain file.")
    source = Source("docs", str(world.folder))
    lister = LocalFolder(source)
    assert set(lister.list(Scope(source)).items) == {"a.txt"}
    (world.folder / "a.txt").unlink()
    (world.folder / "a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(FetchFailed, match="leads out of the source"), lister.open("a.txt", "a.txt"):
        pass


def test_a_missing_path_is_an_error_that_says_what_to_do(world):
    with pytest.raises(SourceNotFound, match=r"no file or folder.*Check the path"):
        world.ingest(world.folder / "nothing-here")


def test_korean_names_are_stored_in_nfc(world):
    decomposed = "\u1112\u1161\u11ab\u1100\u1173\u11af.txt"  # 한글.txt as macOS spells it
    world.write(decomposed, "The file has a decomposed name.")
    world.ingest()
    assert [hit.uri for hit in world.keyword("decomposed")] == ["한글.txt"]
    assert world.ingest().state == "unchanged"


def test_a_source_inside_an_unreadable_folder_is_not_retired_by_the_wider_one(world, monkeypatch):
    world.write("sub/a.txt", "A locked document.")
    world.write("b.txt", "An open document.")
    world.ingest(world.folder / "sub")
    plain_scandir = os.scandir

    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return plain_scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert world.ingest(allow_deletions=True).documents.deleted == 0
    assert len(world.keyword("document", k=9)) == 2
    assert world.ingest().documents.moved == 1


def test_the_guard_counts_the_documents_of_sources_inside(world):
    for number in range(12):
        world.write(f"sub/d{number}.txt", f"Stork number {number}.")
    world.ingest(world.folder / "sub")
    (world.folder / "sub/d0.txt").unlink()
    assert world.plan().deleted == ("sub/d0.txt",)
    for number in range(1, 11):
        (world.folder / f"sub/d{number}.txt").unlink()
    with pytest.raises(MassDeletion, match=r"11 documents \(92% of 12\)"):
        world.ingest()


def test_a_path_that_is_too_long_is_rejected_and_the_rest_is_indexed(world):
    world.write("good.txt", GOOD)
    folder = world.folder
    for _ in range(4):
        folder = folder / ("d" * 200)
        folder.mkdir()
    (folder / "deep.txt").write_text("Too deep.")
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 1)
    assert "too long" in next(iter(world.rejections().values())).message


def test_two_names_that_are_one_in_nfc_are_reported_at_once(world):
    for form in ("NFC", "NFD"):
        world.write(unicodedata.normalize(form, "한글.txt"), f"The {form} file.")
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 1)
    uri = next(iter(world.rejections()))
    assert uri.startswith("한글.txt (")
    assert world.ingest().state == "unchanged"


def test_a_part_with_a_decomposed_name_can_be_ingested_alone(world):
    folder = unicodedata.normalize("NFD", "보고서")
    path = world.write(f"{folder}/{unicodedata.normalize('NFD', '실적')}.txt", "The result of the year.")
    world.write("other.txt", "Another file.")
    world.ingest()
    path.write_text("The better result of the year.")
    for part in (path, path.parent):
        assert world.plan(part).changed == ("보고서/실적.txt",)
    assert world.ingest(path).documents.changed == 1
    assert world.ingest().state == "unchanged"


def test_a_home_inside_the_source_is_not_indexed(database_url, tmp_path):
    with World.open(tmp_path, database_url) as world:
        world.write("home/visible.txt", "in the way")  # tmp_path is the source now, home lies in it
        assert world.ingest(tmp_path).state == "succeeded"
        assert world.ingest(tmp_path).state == "unchanged"
        with pytest.raises(SourceNotFound, match="inside the data directory"):
            world.ingest(tmp_path / "home" / "blobs")


def test_other_patterns_take_effect_and_retire_what_they_exclude(database_url, tmp_path):
    with World.open(tmp_path, database_url) as world:
        world.write("a.txt", "A text about storks.")
        world.write("b.log", "A log about storks.")
        assert world.ingest().documents.added == 2
    settings = {"default": {"exclude": ("*.log",)}}
    with World.open(tmp_path, database_url, collections=settings) as world:
        assert world.ingest().documents.deleted == 1
        assert [hit.uri for hit in world.keyword("storks")] == ["a.txt"]


def test_an_ingest_around_the_data_directory_leaves_uploads_as_they_are(world, tmp_path):
    inbox = world.session.settings.home.resolve() / "inbox/letters"
    inbox.mkdir(parents=True)
    (inbox / "u.txt").write_text("An upload about otters.")
    world.write("a.txt", "A heron.")
    world.ingest(inbox)
    report = world.ingest(tmp_path)
    assert (report.documents.added, report.documents.deleted) == (1, 0)
    assert [hit.source for hit in world.keyword("otters")] == ["letters"]
    assert world.ingest(inbox).state == "unchanged"
