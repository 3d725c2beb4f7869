"""Files inside archives and mails are documents like any other."""

from __future__ import annotations

import io
import unicodedata
import zipfile

import pytest

from flows.forgetting import forget
from flows.rollback import rollback_collection
from registry.containers import known_containers
from tests.archives import mail, tarred, zipped

OTTER = "The otter sleeps on its back and holds hands with its mate."
HERON = "A heron stands in the shallow water and waits for frogs."
STORK = "Storks return in March and mend the nests of last year."


@pytest.fixture
def opened(world, monkeypatch):
    """Names of files that were unpacked, in order."""
    from tasks.sources.members import MemberLister

    seen: list[str] = []
    unpack = MemberLister._unpack_anew

    def count(self, uri, path):
        seen.append(uri)
        return unpack(self, uri, path)

    monkeypatch.setattr(MemberLister, "_unpack_anew", count)
    return seen


def shown(world, text: str) -> set[str]:
    return {uri for hit in world.keyword(text) for uri in hit.documents}


def test_an_archive_is_a_folder(world):
    world.write("pack.zip", zipped({"a/otter.txt": OTTER, "보고서.txt": HERON}))
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (2, 0)
    assert shown(world, "otter") == {"pack.zip/a/otter.txt"}
    assert shown(world, "heron") == {"pack.zip/보고서.txt"}
    assert world.problems() == []


def test_a_mail_is_a_document_and_so_are_its_attachments(world):
    world.write("inbox/parcel.eml", mail("The parcel left on Monday.", {"otter.txt": OTTER}))
    assert world.ingest().documents.added == 2
    assert shown(world, "parcel Monday") == {"inbox/parcel.eml"}
    assert shown(world, "mate") == {"inbox/parcel.eml/otter.txt"}


def test_an_archive_in_a_mail_in_an_archive_is_opened(world):
    inner = mail("Papers enclosed.", {"papers.tgz": tarred({"deep/otter.txt": OTTER})})
    world.write("outer.zip", zipped({"post/note.eml": inner}))
    world.ingest()
    assert shown(world, "otter") == {"outer.zip/post/note.eml/papers.tgz/deep/otter.txt"}
    assert shown(world, "papers enclosed") == {"outer.zip/post/note.eml"}


def test_what_has_not_changed_is_not_opened_again(world, opened):
    world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.write("parcel.eml", mail("Nothing is attached.", {}))
    world.ingest()
    assert sorted(set(opened)) == ["pack.zip", "parcel.eml"]
    opened.clear()
    assert world.ingest().state == "unchanged"
    assert world.plan().is_empty
    assert opened == []


def test_only_members_that_changed_are_embedded_again(world):
    world.write("pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON}))
    world.ingest()
    world.write(
        "pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON + " It is patient.", "stork.txt": STORK})
    )
    plan = world.plan()
    assert (plan.added, plan.changed, plan.deleted, plan.unchanged) == (
        ("pack.zip/stork.txt",), ("pack.zip/heron.txt",), (), 1
    )  # fmt: skip
    report = world.ingest()
    assert (report.documents.added, report.documents.changed, report.chunks.embedded) == (1, 1, 2)


def test_an_archive_that_is_packed_anew_changes_nothing(world):
    files = {"otter.txt": OTTER, "heron.txt": HERON}
    world.write("pack.zip", zipped(files))
    world.ingest()
    world.write("pack.zip", zipped(dict(reversed(files.items())), method=zipfile.ZIP_STORED))
    assert world.plan().is_empty


def test_a_renamed_archive_moves_its_documents(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.ingest()
    path.rename(world.folder / "renamed.zip")
    report = world.ingest()
    assert (report.documents.moved, report.chunks.embedded) == (1, 0)
    assert shown(world, "otter") == {"renamed.zip/otter.txt"}


def test_an_unpacked_archive_moves_its_documents(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.ingest()
    path.unlink()
    world.write("pack/otter.txt", OTTER)
    assert (world.ingest().documents.moved, shown(world, "otter")) == (1, {"pack/otter.txt"})


def test_a_deleted_archive_retires_its_documents_and_is_forgotten(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.write("other.txt", HERON)
    world.ingest()
    path.unlink()
    assert world.ingest().documents.deleted == 1
    assert shown(world, "otter") == set()
    assert known_containers(world.session.db, 1) == {}


def test_an_archive_that_is_half_written_retires_nothing(world):
    data = zipped({"otter.txt": OTTER, "heron.txt": HERON})
    world.write("pack.zip", data)
    world.ingest()
    world.write("pack.zip", data[: len(data) // 2])
    report = world.ingest()
    assert (report.documents.deleted, report.release) == (0, None)
    rejection = world.rejections()["pack.zip"]
    assert (rejection.stage, rejection.error) == ("unpack", "ParseFailed")
    assert shown(world, "otter") == {"pack.zip/otter.txt"}
    assert world.ingest().state == "unchanged"
    assert set(world.rejections()) == {"pack.zip"}
    world.write("pack.zip", data)
    assert world.ingest().documents.rejected == 0
    assert world.rejections() == {}


def test_members_that_cannot_be_taken_are_rejected_one_by_one(world):
    world.write(
        "pack.zip",
        zipped(
            {
                "otter.txt": OTTER,
                "../evil.txt": "evil",
                "empty.txt": "",
                "x.bin": b"\x7fELF" + bytes(range(32)) * 9,
            }
        ),
    )
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 3)
    found = {uri: rejection.error for uri, rejection in world.rejections().items()}
    assert found == {
        "pack.zip/(member 2)": "ContainerRefused",
        "pack.zip/empty.txt": "EmptyDocument",
        "pack.zip/x.bin": "UnsupportedFormat",
    }
    assert not (world.folder.parent / "evil.txt").exists()


def test_a_bomb_costs_only_itself(world):
    world.write("bomb.zip", zipped({"zeros.txt": bytes(70 << 20)}))
    world.write("otter.txt", OTTER)
    report = world.ingest()
    assert (report.documents.added, world.rejections()["bomb.zip"].error) == (1, "ContainerRefused")
    assert not list((world.session.settings.home / "unpacked").iterdir())


def test_a_raised_limit_opens_what_was_refused(world):
    world.write("pack.zip", zipped({f"{n}.txt": f"{OTTER} Number {n}." for n in range(3)}))
    limits = world.session.settings.limits
    world.limit(unpack_members=2)
    assert world.ingest().documents.rejected == 1
    world.limit(unpack_members=limits.unpack_members)
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (3, 0)


def test_patterns_hold_inside_archives(world):
    world.configure(include=("*.txt", "*.zip"), exclude=("drafts", ".*"))
    world.write(
        "pack.zip",
        zipped(
            {"a.txt": OTTER, "b.md": "# b", "drafts/c.txt": HERON, "x/drafts/d.txt": STORK, ".e.txt": "e"}
        ),
    )
    assert world.plan().added == ("pack.zip/a.txt",)


def test_an_archive_under_another_name_is_an_archive(world):
    world.write("report.dat", zipped({"otter.txt": OTTER}))
    world.write("looks-like.zip", OTTER)
    assert world.plan().added == ("looks-like.zip", "report.dat/otter.txt")


def test_a_single_archive_can_be_ingested(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.write("other.txt", HERON)
    assert world.ingest(path).documents.added == 1
    assert shown(world, "otter") == {"pack.zip/otter.txt"}
    path.write_bytes(zipped({"stork.txt": STORK}))
    report = world.ingest(path, allow_deletions=True)
    assert (report.documents.added, report.documents.deleted) == (1, 1)


def test_korean_archive_names_from_a_mac_are_composed(world):
    world.write(unicodedata.normalize("NFD", "자료/보고서.zip"), zipped({"otter.txt": OTTER}))
    world.ingest()
    assert shown(world, "otter") == {"자료/보고서.zip/otter.txt"}
    assert world.ingest().state == "unchanged"


def test_planning_writes_nothing(world):
    world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.write("first.txt", HERON)
    world.ingest(world.folder / "first.txt")
    assert world.plan().added == ("pack.zip/otter.txt",)
    assert known_containers(world.session.db, 1) == {}


def test_an_archive_that_changes_after_planning_is_read_as_planned_and_anew_in_the_next_run(
    world, monkeypatch
):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON}))
    from tasks import preparing

    fetch_all = preparing._fetch_all

    def replace_first(*arguments):
        path.write_bytes(zipped({"otter.txt": OTTER + " Now it swims.", "stork.txt": STORK}))
        return fetch_all(*arguments)

    monkeypatch.setattr(preparing, "_fetch_all", replace_first)
    assert world.ingest().documents.added == 2
    assert shown(world, "heron") == {"pack.zip/heron.txt"}
    monkeypatch.undo()
    report = world.ingest()
    assert (report.documents.added, report.documents.changed, report.documents.deleted) == (1, 1, 1)
    assert shown(world, "swims") == {"pack.zip/otter.txt"}


def test_a_member_that_is_gone_when_it_is_fetched_is_tried_again(world, monkeypatch):
    """Its archive was dropped from the few that are kept unpacked, and is another one by now."""
    path = world.write("pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON}))
    from tasks.sources.members import MemberLister

    monkeypatch.setattr(MemberLister, "_find", lambda self, path: None)
    from tasks import preparing

    fetch_all = preparing._fetch_all

    def replace_first(*arguments):
        path.write_bytes(zipped({"otter.txt": OTTER}))
        return fetch_all(*arguments)

    monkeypatch.setattr(preparing, "_fetch_all", replace_first)
    assert world.ingest().documents.added == 1
    rejection = world.rejections()["pack.zip/heron.txt"]
    assert (rejection.error, rejection.retryable) == ("FetchFailed", True)
    monkeypatch.undo()
    assert world.ingest().documents.rejected == 0


def test_forgetting_an_attachment_leaves_no_name_and_says_where_it_lay(world):
    world.write("parcel.eml", mail("The parcel left.", {"secret-plan.txt": OTTER}))
    world.ingest()
    found = forget(world.session, "parcel.eml/secret-plan.txt", "default")
    assert found["proof"]["containers"] == 0
    assert any("still holds parcel.eml" in warning for warning in found["warnings"])
    assert shown(world, "otter") == set()
    assert known_containers(world.session.db, 1) == {}


def test_rollback_brings_back_what_an_archive_held(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER, "heron.txt": HERON}))
    world.ingest()
    path.write_bytes(zipped({"heron.txt": HERON}))
    world.ingest()
    assert shown(world, "otter") == set()
    rollback_collection(world.session, "default", "1")
    assert shown(world, "otter") == {"pack.zip/otter.txt"}
    assert world.problems() == []


def test_members_of_many_archives_are_read_with_few_unpacked_at_a_time(world):
    for number in range(20):
        files = {f"{letter}.txt": f"{OTTER} Archive {number}, file {letter}." for letter in "abc"}
        world.write(f"{number:02}.zip", zipped(files))
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (60, 0)


def test_an_archive_of_many_files_is_unpacked_once_a_run(world, opened):
    out = io.BytesIO(zipped({f"{n}.txt": f"{OTTER} File {n}." for n in range(300)}))
    world.write("many.zip", out.getvalue())
    assert world.ingest().documents.added == 300
    assert opened == ["many.zip"]
