"""Whatever becomes of an archive or a mail, nothing that was in it is retired unseen, and runs settle."""

from __future__ import annotations

import io
import random
import tarfile
import unicodedata
import warnings
import zipfile
from pathlib import Path

import pytest

from flows.forgetting import forget
from schemas.errors import FetchFailed
from tasks.sources.filesystem import LocalFolder
from tests.archives import STAMP, mail, tarred, zipped

OTTER = "The otter sleeps on its back and holds hands with its mate."
HERON = "A heron stands in the shallow water and waits for frogs."
STORK = "Storks return in March and mend the nests of last year."
FIXTURES = Path(__file__).parents[1] / "formats" / "fixtures"


def hangul(length: int, seed: int = 1) -> str:
    rng = random.Random(seed)
    return "".join(chr(rng.randrange(0xAC00, 0xD7A3)) for _ in range(length))


def settles(world) -> bool:
    """Whether two more runs find nothing to do."""
    return world.ingest().state == world.ingest().state == "unchanged" and world.plan().is_empty


@pytest.mark.parametrize("how", ["at a boundary", "in a header", "with a damaged header"])
def test_a_tar_that_is_cut_retires_nothing(world, how):
    data = tarred({f"{number}.txt": f"{OTTER} Number {number}." for number in range(6)}, "w")
    path = world.write("pack.tar", data)
    world.ingest()
    cut = 3 * 1024
    damaged = {
        "at a boundary": data[:cut],
        "in a header": data[: cut + 100],
        "with a damaged header": data[:cut] + b"garbage!" * 64 + data[cut + 512 :],
    }
    path.write_bytes(damaged[how])
    assert world.plan().deleted == ()
    world.ingest()
    assert "cut off after 3 files" in world.rejections()["pack.tar"].message


def test_a_compressed_tar_is_read_to_its_checksum(world):
    data = bytearray(tarred({f"{number}.txt": f"{OTTER} Number {number}." for number in range(6)}, "w:gz"))
    data[-6] ^= 1  # the checksum
    world.write("pack.tgz", bytes(data))
    world.ingest()
    assert world.rejections()["pack.tgz"].error == "ParseFailed"


def test_a_compressed_tar_that_is_none_is_damaged_and_no_file_of_another_name(world):
    path = world.write("pack.tar.gz", tarred({"otter.txt": OTTER}))
    world.ingest()
    import gzip

    path.write_bytes(gzip.compress(b"no tar at all " * 100, mtime=0))
    assert world.plan().deleted == ()
    world.ingest()
    assert set(world.rejections()) == {"pack.tar.gz"}


def test_an_archive_that_cannot_be_read_or_is_empty_for_now_retires_nothing(world, monkeypatch):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.ingest()
    path.write_bytes(b"")
    assert world.plan().deleted == ()
    path.write_bytes(zipped({"otter.txt": OTTER, "stork.txt": STORK}))
    read = LocalFolder.open

    def refuse(self, uri, path):
        if uri == "pack.zip":
            raise FetchFailed("pack.zip may not be read.", advice="Give the right.")
        return read(self, uri, path)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "open", refuse)
        report = world.ingest()
        assert (report.documents.deleted, world.rejections()["pack.zip"].error) == (0, "FetchFailed")
    assert world.ingest().documents.added == 1
    assert settles(world)


def test_an_archive_that_was_emptied_retires_what_was_in_it(world):
    path = world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.write("other.txt", HERON)
    world.ingest()
    path.write_bytes(zipped({}))
    assert world.ingest().documents.deleted == 1
    assert settles(world)


def test_the_attachments_of_a_mail_that_a_limit_stopped_stay(world):
    world.limit(max_characters=1000)
    world.write("big.eml", mail("word " * 1000, {"otter.txt": OTTER}))
    world.ingest()
    assert world.rejections()["big.eml"].error == "TextTooLong"
    world.limit(unpack_mb=500)
    assert world.plan().deleted == ()


@pytest.mark.parametrize("attachments", [{}, {"otter.txt": OTTER}])
def test_a_mail_at_the_limit_of_depth_is_a_document_and_runs_settle(world, attachments):
    world.limit(unpack_depth=1)
    world.write("pack.zip", zipped({"note.eml": mail("A heron in a mail.", attachments)}))
    assert world.ingest().documents.added == 1
    refused = {"pack.zip/note.eml/attachments"} if attachments else set()
    assert set(world.rejections()) == refused
    assert settles(world)
    world.limit(unpack_depth=2)
    assert world.ingest().documents.added == len(attachments)


def test_a_damaged_mail_in_an_archive_has_one_place(world):
    data = (FIXTURES / "rtf.msg").read_bytes()
    world.write("pack.zip", zipped({"note.msg": data[: len(data) // 2], "otter.txt": OTTER}))
    world.ingest()
    assert world.keyword("otter")
    assert settles(world)


def test_of_two_files_with_one_name_the_loss_is_told(world):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(zipfile.ZipInfo("a.txt", STAMP), OTTER)
        archive.writestr(zipfile.ZipInfo("a.txt", STAMP), HERON)
    world.write("pack.zip", out.getvalue())
    names = [unicodedata.normalize(form, "보고서.txt") for form in ("NFC", "NFD")]
    world.write("forms.zip", zipped(dict(zip(names, (OTTER, STORK), strict=True))))
    world.ingest()
    assert set(world.rejections()) == {"pack.zip/a.txt (earlier)", "forms.zip/보고서.txt (earlier)"}
    assert world.keyword("heron")
    assert settles(world)


def test_attachments_of_one_name_are_all_there(world):
    from email import message_from_bytes, policy

    message = message_from_bytes(mail("Three files.", {}), policy=policy.default)
    for name, text in (("x.txt", OTTER), ("x.txt", HERON), ("2-x.txt", STORK)):
        message.add_attachment(text.encode(), maintype="text", subtype="plain", filename=name)
    world.write("m.eml", bytes(message))
    assert world.ingest().documents.added == 4
    for word in ("otter", "heron", "storks"):
        assert world.keyword(word)


def test_names_that_no_index_could_hold_are_refused_one_by_one(world):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("otter.txt")
        info.size = len(OTTER)
        archive.addfile(info, io.BytesIO(OTTER.encode()))
        link = tarfile.TarInfo(hangul(3000))
        link.type, link.linkname = tarfile.SYMTYPE, "x"
        archive.addfile(link)
    world.write("pack.tar", out.getvalue())
    deep = "/".join(hangul(80, seed) for seed in range(7))
    world.write(f"{deep}/pack.zip", zipped({"/".join(hangul(75, s) for s in range(5)) + "/a.txt": HERON}))
    report = world.ingest()
    assert (report.documents.added, report.documents.rejected) == (1, 2)
    assert settles(world)


def test_a_container_that_crashes_its_process_is_opened_in_three_runs_only(world, monkeypatch):
    from schemas.errors import ParseCrashed
    from tasks.sources.members import MemberLister

    opened = []

    def crash(self, uri, path):
        opened.append(uri)
        raise ParseCrashed("It died.", advice="Look why.")

    world.write("pack.zip", zipped({"otter.txt": OTTER}))
    with monkeypatch.context() as patch:
        patch.setattr(MemberLister, "_unpack_anew", crash)
        for _ in range(5):
            world.ingest()
    assert len(opened) == 3
    assert world.ingest().documents.added == 0
    world.limit(parse_timeout_s=70)
    assert world.ingest().documents.added == 1


def test_a_full_disk_is_no_fault_of_the_archive(world, monkeypatch):
    monkeypatch.setattr("tasks.workspace.PARSE", "tests.bad_parsers:disk_is_full")
    world.write("pack.zip", zipped({"otter.txt": OTTER}))
    world.ingest()
    assert "No space left" in world.rejections()["pack.zip"].message
    monkeypatch.setattr("tasks.workspace.PARSE", "tasks.parsing.jobs:do_job")
    assert world.ingest().documents.added == 1


def test_an_archive_larger_than_what_it_may_hold_is_not_even_copied(world):
    world.write("big.zip", zipped({"noise.bin": random.Random(1).randbytes(3 << 20)}))
    world.limit(unpack_mb=1)
    world.ingest()
    assert world.rejections()["big.zip"].error == "ContainerRefused"


def test_forgetting_an_attachment_of_a_mail_that_is_gone_names_the_mail(world):
    path = world.write("m.eml", mail("The parcel left.", {"secret.txt": OTTER}))
    world.write("other.txt", HERON)
    world.ingest()
    path.unlink()
    world.ingest()
    warnings_ = forget(world.session, "m.eml/secret.txt", "default")["warnings"]
    assert any("attached to m.eml" in warning for warning in warnings_)


def test_forgetting_a_mail_leaves_no_rejection_that_names_it(world):
    world.limit(unpack_depth=1)
    world.write("pack.zip", zipped({"secret.eml": mail("Hush.", {"otter.txt": OTTER})}))
    world.ingest()
    assert set(world.rejections()) == {"pack.zip/secret.eml/attachments"}
    forget(world.session, "pack.zip/secret.eml", "default")
    assert world.rejections() == {}
