"""Archives are unpacked within limits, and nothing in them is trusted."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from schemas.container import Unpacked
from schemas.errors import ContainerRefused, EncryptedDocument, ParseFailed
from tasks.parsing.limits import UnpackLimits
from tasks.parsing.unpack import unpack
from tests.archives import tarred, zipped

TEXT = "The otter sleeps on its back."


def run(tmp_path: Path, data: bytes, name: str = "a.zip", **limits: int) -> Unpacked:
    path = tmp_path / "container"
    path.write_bytes(data)
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    found = unpack(path, name, folder, UnpackLimits(**limits))
    for number, member in enumerate(found.members):  # what is promised lies there
        assert len((folder / str(number)).read_bytes()) == member.size
    assert {path.name for path in folder.iterdir()} == {str(n) for n in range(len(found.members))}
    return found


def names(found: Unpacked) -> list[str]:
    return [member.name for member in found.members]


def refused(found: Unpacked) -> dict[str, str]:
    return {entry.name: entry.error for entry in found.refused}


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_however_it_is_compressed(tmp_path, mode):
    found = run(tmp_path, tarred({"docs/a.txt": TEXT, "b.txt": "b"}, mode), "a.tar")
    assert names(found) == ["docs/a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("name", "data", "inner"),
    [
        ("note.txt.gz", gzip.compress(TEXT.encode(), mtime=0), "note.txt"),
        ("note.txt.bz2", bz2.compress(TEXT.encode()), "note.txt"),
        ("note.xz", lzma.compress(TEXT.encode()), "note"),
        ("oddly-named", gzip.compress(TEXT.encode(), mtime=0), "oddly-named.content"),
    ],
    ids=["gz", "bz2", "xz", "no suffix"],
)
def test_a_compressed_file_holds_one_file(tmp_path, name, data, inner):
    assert names(run(tmp_path, data, name)) == [inner]


def test_inner_archives_are_opened_and_their_files_named_by_the_whole_path(tmp_path):
    inner = zipped({"deep.txt": TEXT})
    found = run(tmp_path, zipped({"a.txt": "a", "sub/inner.zip": inner}))
    assert names(found) == ["a.txt", "sub/inner.zip/deep.txt"]


def test_archives_nested_too_deep_are_refused_alone(tmp_path):
    data = zipped({"core.txt": TEXT})
    for level in range(5):
        data = zipped({f"l{level}.zip": data, f"beside{level}.txt": "x"})
    found = run(tmp_path, data, depth=3)
    assert names(found) == ["l4.zip/l3.zip/beside2.txt", "l4.zip/beside3.txt", "beside4.txt"]
    assert refused(found) == {"l4.zip/l3.zip/l2.zip": "ContainerRefused"}


def test_an_archive_that_holds_itself_ends(tmp_path):
    # a quine cannot be built here; a chain deeper than any limit comes to the same
    data = zipped({"x.txt": "x"})
    for _ in range(40):
        data = zipped({"again.zip": data})
    found = run(tmp_path, data)
    assert names(found) == []
    assert len(found.refused) == 1


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/passwd", "a/../../evil.txt", "C:\\evil.txt", "..\\..\\evil.txt"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    found = run(tmp_path, zipped({name: "evil", "good.txt": TEXT}))
    assert names(found) == ["good.txt"]
    assert [entry.error for entry in found.refused] == ["ContainerRefused"]
    assert not (tmp_path / "evil.txt").exists()


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"kind-{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("good.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"good"))
    found = run(tmp_path, out.getvalue(), "a.tar")
    assert names(found) == ["good.txt"]
    assert set(refused(found).values()) == {"ContainerRefused"}
    assert len(found.refused) == 4


def test_a_bomb_is_refused_as_a_whole_and_early(tmp_path):
    data = zipped({f"{i}.txt": bytes(90 << 20) for i in range(2)})
    with pytest.raises(ContainerRefused, match="200 times as large"):
        run(tmp_path, data)
    with pytest.raises(ContainerRefused, match="larger than 1 MB"):
        run(tmp_path, data, total_bytes=1 << 20)


def test_a_bomb_inside_an_archive_inside_counts_for_the_whole(tmp_path):
    inner = zipped({"zeros.txt": bytes(3 << 20)})
    with pytest.raises(ContainerRefused, match="larger than 2 MB"):
        run(tmp_path, zipped({"a.zip": inner}), total_bytes=2 << 20)


def test_more_files_than_allowed_are_refused_as_a_whole(tmp_path):
    with pytest.raises(ContainerRefused, match="more than 10 files"):
        run(tmp_path, zipped({f"{i}.txt": "x" for i in range(11)}), members=10)


def test_a_member_that_is_too_large_is_refused_alone(tmp_path):
    found = run(tmp_path, zipped({"big.txt": b"x" * 2000, "small.txt": "x"}), member_bytes=1000)
    assert names(found) == ["small.txt"]
    assert refused(found) == {"big.txt": "ContainerRefused"}


def test_korean_names_of_old_windows_tools_are_read(tmp_path):
    data = zipped({"PLACEHOLDER.txt": TEXT})
    raw = "보고서.txt".encode("cp949")
    data = data.replace(b"PLACEHOLDER.txt", raw.ljust(15, b"x"))
    assert names(run(tmp_path, data)) == ["보고서.txt" + "x" * (15 - len(raw))]


def test_decomposed_names_are_composed(tmp_path):
    import unicodedata

    found = run(tmp_path, zipped({unicodedata.normalize("NFD", "보고서.txt"): TEXT}))
    assert names(found) == ["보고서.txt"]


def test_of_two_members_with_one_name_the_later_is_taken(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a.txt", "first")
        archive.writestr("b.txt", "b")
        archive.writestr("a.txt", "the second")
    found = run(tmp_path, out.getvalue())
    assert [(m.name, m.size) for m in found.members] == [("a.txt", 10), ("b.txt", 1)]


def _encrypt(data: bytes) -> bytes:
    """The archive with the flag of encryption on every member."""
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            flags = struct.unpack_from("<H", data, at + offset)[0] | 1
            data = data[: at + offset] + struct.pack("<H", flags) + data[at + offset + 2 :]
            at = data.find(magic, at + 1)
    return data


def test_an_archive_with_a_password_says_so(tmp_path):
    with pytest.raises(EncryptedDocument, match="needs a password"):
        run(tmp_path, _encrypt(zipped({"a.txt": TEXT})))


def test_a_tar_that_is_cut_off_gives_what_lies_before(tmp_path):
    import random

    noise = random.Random(7).randbytes(60_000)
    data = tarred({"a.txt": TEXT, "noise.bin": noise, "c.txt": TEXT})
    found = run(tmp_path, data[: len(data) - 20_000], "a.tgz")
    assert names(found) == ["a.txt"]
    assert {entry.error for entry in found.refused} == {"ParseFailed"}


@pytest.mark.parametrize("cut", [10, 100, 150])
def test_a_zip_that_is_cut_off_is_refused_with_a_reason(tmp_path, cut):
    with pytest.raises(ParseFailed, match="damaged or cut off"):
        run(tmp_path, zipped({"a.txt": TEXT * 9, "b.txt": TEXT})[:cut])


def test_an_archive_without_files_says_so(tmp_path):
    found = run(tmp_path, zipped({}))
    assert refused(found) == {"": "EmptyDocument"}
