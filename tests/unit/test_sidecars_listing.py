"""Images and their sidecars as one item of a source."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from contextlib import contextmanager
from unicodedata import normalize

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.container import MEMBER_ETAG
from schemas.errors import FetchFailed
from schemas.source import Listing, ListingProblem, Scope, Source, Stat
from tasks.images.sidecars import HEADER_BYTES, split_bundle
from tasks.parsing.limits import UnpackLimits
from tasks.parsing.worker import ParserPool
from tasks.sources.base import locate, open_lister
from tasks.sources.members import MemberLister, member_path
from tasks.sources.sidecars import PAIR, SidecarLister, combine, pair_sidecars


def listing(*names, problems=()):
    return Listing({name: Stat(len(name), 1, 1, n) for n, name in enumerate(names)}, {}, tuple(problems))


def pairs(found):
    return {uri: path.partition(PAIR)[2] for uri, path in found.paths.items() if PAIR in path}


@pytest.mark.parametrize(
    "sidecar", ["a.jpg.json", "a.jpg.txt", "a.json", "a.txt", "a.caption", "a.JPG.Txt", "a.TXT"]
)
@pytest.mark.parametrize("image", ["a.jpg", "a.JPG"])
def test_a_sidecar_has_the_name_of_its_image(image, sidecar):
    found = pair_sidecars(listing(image, sidecar))
    assert list(found.items) == [image]
    assert found.paths == {image: image + PAIR + sidecar}
    assert found.problems == ()


@pytest.mark.parametrize(
    "other", ["b.txt", "A.txt", "ab.txt", "a", "a.md", "x/a.txt", "a.png.txt", "a.jpg.bak.txt", ".txt"]
)
def test_what_has_another_name_is_no_sidecar(other):
    before = listing("a.jpg", other)
    assert pair_sidecars(before) == before


@pytest.mark.parametrize("image", ["a.pdf", "a", "a.zip", "a.svg"])
def test_what_is_not_called_an_image_has_no_sidecar(image):
    before = listing(image, "a.txt", image + ".txt")
    assert pair_sidecars(before) == before


def test_the_longer_name_comes_first_and_json_before_text():
    order = ["a.jpg.json", "a.jpg.txt", "a.jpg.caption", "a.json", "a.txt", "a.caption"]
    for start in range(len(order)):
        found = pair_sidecars(listing("a.jpg", *reversed(order[start:])))
        assert pairs(found) == {"a.jpg": order[start]}
        assert sorted(problem.uri for problem in found.problems) == sorted(order[start + 1 :])
        assert list(found.items) == ["a.jpg"]


def test_a_sidecar_that_is_not_read_is_a_problem_that_blocks_nothing():
    found = pair_sidecars(listing("x/a.jpg", "x/a.jpg.txt", "x/a.json"))
    (problem,) = found.problems
    assert (problem.uri, problem.blocked) == ("x/a.json", "")
    assert "a.jpg.txt" in problem.message


def test_a_sidecar_that_fits_two_images_belongs_to_both():
    assert pairs(pair_sidecars(listing("a.jpg", "a.png", "a.txt"))) == {"a.jpg": "a.txt", "a.png": "a.txt"}
    found = pair_sidecars(listing("a.jpg", "a.png", "a.txt", "a.jpg.txt"))
    assert pairs(found) == {"a.jpg": "a.jpg.txt", "a.png": "a.txt"}
    assert found.problems == ()


def test_an_image_whose_sidecar_could_not_be_listed_stays_as_it_was():
    found = pair_sidecars(listing("a.jpg", "b.jpg", problems=[ListingProblem("a.txt", "permission denied")]))
    assert list(found.items) == ["b.jpg"]
    assert [problem.blocked for problem in found.problems] == ["a.txt", "a.jpg"]
    assert "a.txt" in found.problems[1].message


def test_the_spelling_of_the_source_is_kept():
    uri, spelled = "사진.jpg", normalize("NFD", "사진.jpg")
    text = "사진.txt"
    before = Listing({uri: Stat(1), text: Stat(2)}, {uri: spelled, text: normalize("NFD", text)})
    assert pair_sidecars(before).paths == {uri: spelled + PAIR + normalize("NFD", text)}


def test_members_of_archives_are_paired_once_they_are_listed():
    outside = pair_sidecars(listing("b.jpg", "b.txt", "p.zip"))
    items = {uri: stat for uri, stat in outside.items.items() if uri != "p.zip"}
    names = ("d/a.jpg", "d/a.json", "d/c.txt")
    items |= {f"p.zip/{name}": Stat(3, etag=MEMBER_ETAG + "00" * 32) for name in names}
    paths = outside.paths | {f"p.zip/{name}": member_path("p.zip", name) for name in names}
    found = pair_sidecars(Listing(items, paths))
    assert list(found.items) == ["b.jpg", "p.zip/d/a.jpg", "p.zip/d/c.txt"]
    assert found.paths["p.zip/d/a.jpg"] == "p.zip\0d/a.jpg\0\0p.zip\0d/a.json"
    assert not found.items["p.zip/d/a.jpg"].etag.startswith(MEMBER_ETAG)


names = st.lists(
    st.builds(
        lambda folder, stem, suffixes: folder + stem + "".join(suffixes),
        st.sampled_from(["", "x/"]), st.sampled_from(["a", "b", "한"]),
        st.lists(st.sampled_from([".jpg", ".PNG", ".txt", ".JSON", ".json", ".caption", ".md"]), max_size=3),
    ),
    unique=True, max_size=12,
)  # fmt: skip


@settings(deadline=None)
@given(names, names)
def test_nothing_that_is_listed_vanishes(listed, failed):
    before = listing(*listed, problems=[ListingProblem(uri, "failed") for uri in failed if uri not in listed])
    found = pair_sidecars(before)
    read = set(pairs(found).values())
    reported = {problem.uri for problem in found.problems}
    assert set(listed) <= found.items.keys() | read | reported
    assert not found.items.keys() & read
    assert set(before.problems) <= set(found.problems)
    assert pair_sidecars(found) == found


stats = st.builds(
    Stat, st.integers(0, 2**40), st.integers(0, 2**60), st.integers(0, 2**60), st.integers(0, 2**60),
    st.sampled_from(["", "a", MEMBER_ETAG + "00" * 32]),
)  # fmt: skip


@settings(deadline=None)
@given(stats, stats, stats, stats)
def test_two_pairs_have_one_stat_only_if_both_files_have(image, sidecar, other_image, other_sidecar):
    same = (image, sidecar) == (other_image, other_sidecar)
    assert (combine(image, sidecar) == combine(other_image, other_sidecar)) == same
    assert combine(image, sidecar) == combine(Stat(*image), Stat(*sidecar))


# --- opening --------------------------------------------------------------------------------


def lister_of(source, tmp_path, pool=None):
    folder = tmp_path / "scratch"
    return SidecarLister(MemberLister(open_lister(source), folder, pool=pool, limits=UnpackLimits()))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"image" * 1000)
    (folder / "a.txt").write_text("a cat")
    (folder / "sub/b.png").write_bytes(b"other")
    return folder


@pytest.fixture
def lister(photos, tmp_path):
    lister = lister_of(Source("s", str(photos)), tmp_path)
    yield lister
    lister.close()


def scope_of(photos, name=""):
    return locate(str(photos / name), [Source("s", str(photos), id=1)], include=(), exclude=())


def read(lister, found, uri):
    path = found.paths.get(uri, uri)
    with lister.open(uri, path) as (stream, stat):
        return stream.read(), stat


def test_a_pair_is_read_as_one_bundle_of_the_listed_size(photos, lister):
    found = lister.list(scope_of(photos))
    assert sorted(found.items) == ["a.jpg", "sub/b.png"]
    data, stat = read(lister, found, "a.jpg")
    assert stat == found.items["a.jpg"]
    assert len(data) == stat.size == HEADER_BYTES + 5 + 5000
    assert split_bundle(data) == (b"image" * 1000, ".txt", b"a cat")
    assert read(lister, found, "sub/b.png") == (b"other", found.items["sub/b.png"])


def test_a_bundle_reads_the_same_in_pieces_of_any_size(photos, lister):
    found = lister.list(scope_of(photos))
    whole, _ = read(lister, found, "a.jpg")
    for size in (1, 7, 32, 36, 37, 4096):
        with lister.open("a.jpg", found.paths["a.jpg"]) as (stream, _):
            parts = list(iter(lambda: stream.read(size), b""))  # noqa: B023
        assert b"".join(parts) == whole
        assert {len(part) for part in parts[:-1]} <= {size}
    with lister.open("a.jpg", found.paths["a.jpg"]) as (stream, _):
        assert hashlib.file_digest(stream, "sha256").digest() == hashlib.sha256(whole).digest()


def test_a_large_image_is_never_whole_in_memory():
    class Endless(io.RawIOBase):
        """50 MB that refuse to be read at once."""

        left = 50 << 20

        def read(self, size=-1):
            assert 0 < size <= 1 << 20
            take = min(size, self.left)
            self.left -= take
            return b"x" * take

    class Opener:
        @contextmanager
        def open(self, uri, path):
            yield (Endless(), Stat(50 << 20)) if path == "a.jpg" else (io.BytesIO(b"cat"), Stat(3))

    with SidecarLister(Opener()).open("a.jpg", "a.jpg" + PAIR + "a.txt") as (stream, stat):
        assert sum(len(part) for part in iter(lambda: stream.read(1 << 18), b"")) == stat.size


def test_both_files_renamed_are_the_same_bytes(photos, lister):
    before, _ = read(lister, lister.list(scope_of(photos)), "a.jpg")
    (photos / "a.jpg").rename(photos / "c.jpg")
    (photos / "a.txt").rename(photos / "c.txt")
    after, _ = read(lister, lister.list(scope_of(photos)), "c.jpg")
    assert before == after


@pytest.mark.parametrize("name", ["a.jpg", "a.txt"])
def test_an_edit_of_either_file_is_seen(photos, lister, name):
    found = lister.list(scope_of(photos))
    path = found.paths["a.jpg"]
    _, stat = read(lister, found, "a.jpg")
    assert not lister.has_changed(path, stat)
    size = (photos / name).stat().st_size
    (photos / name).write_bytes(b"z" * size)
    os.utime(photos / name, ns=(1, 1))
    assert lister.has_changed(path, stat)
    assert lister.list(scope_of(photos)).items["a.jpg"] != found.items["a.jpg"]


@pytest.mark.parametrize("name", ["a.jpg", "a.txt"])
def test_a_file_of_a_pair_that_vanishes_fails_and_is_a_change(photos, lister, name):
    found = lister.list(scope_of(photos))
    _, stat = read(lister, found, "a.jpg")
    (photos / name).unlink()
    assert lister.has_changed(found.paths["a.jpg"], stat)
    with pytest.raises(FetchFailed, match=name):
        read(lister, found, "a.jpg")


def test_an_image_whose_sidecar_is_deleted_is_another_item(photos, lister):
    before = lister.list(scope_of(photos))
    (photos / "a.txt").unlink()
    after = lister.list(scope_of(photos))
    assert after.items["a.jpg"] != before.items["a.jpg"]
    assert after.paths == {}


@pytest.mark.parametrize(("image", "sidecar"), [("a.jpg", "a.txt"), ("sub/b.png", "sub/b.PNG.json")])
def test_a_single_image_brings_its_sidecar(photos, lister, image, sidecar):
    (photos / "sub/b.PNG.json").write_text('{"caption": "a dog"}')
    whole = lister.list(scope_of(photos))
    alone = lister.list(scope_of(photos, image))
    assert alone.items == {image: whole.items[image]}
    assert alone.paths == {image: whole.paths[image]}
    assert alone.problems == ()
    assert pairs(alone)[image] == sidecar


def test_a_single_image_without_a_sidecar_and_a_single_file_are_listed_alone(photos, lister):
    assert lister.list(scope_of(photos, "sub/b.png")).items.keys() == {"sub/b.png"}
    assert lister.list(scope_of(photos, "a.txt")).items.keys() == {"a.txt"}
    assert lister.list(scope_of(photos, "sub")).items.keys() == {"sub/b.png"}


def test_a_single_image_in_a_decomposed_folder_brings_its_sidecar(photos, lister):
    folder = photos / normalize("NFD", "사진")
    folder.mkdir()
    for suffix in (".jpg", ".txt"):
        (folder / (normalize("NFD", "고양이") + suffix)).write_text(suffix)
    found = lister.list(scope_of(photos, f"{folder.name}/{normalize('NFD', '고양이')}.jpg"))
    assert list(found.items) == ["사진/고양이.jpg"]
    assert split_bundle(read(lister, found, "사진/고양이.jpg")[0]) == (b".jpg", ".txt", b".txt")


def test_pairs_of_an_object_store_are_read_alike(tmp_path):
    files = fsspec.filesystem("memory")
    files.pipe({"/shop/a.jpg": b"image", "/shop/a.jpg.json": b"{}"})
    source = Source("shop", "memory://shop")
    lister = lister_of(source, tmp_path)
    found = lister.list(Scope(source))
    data, stat = read(lister, found, "a.jpg")
    assert split_bundle(data) == (b"image", ".json", b"{}")
    assert stat == found.items["a.jpg"]
    assert not lister.has_changed(found.paths["a.jpg"], stat)
    files.pipe("/shop/a.jpg.json", b"[]")
    assert lister.has_changed(found.paths["a.jpg"], stat)
    files.rm("/shop", recursive=True)


def test_pairs_inside_an_archive_are_read_alike(photos, tmp_path):
    with zipfile.ZipFile(photos / "p.zip", "w") as archive:
        archive.writestr("d/a.jpg", b"image")
        archive.writestr("d/a.txt", b"a cat")
    with ParserPool(1) as pool:
        lister = lister_of(Source("s", str(photos)), tmp_path, pool=lambda: pool)
        inside, _ = lister.look_inside("p.zip", "p.zip")
        found = pair_sidecars(
            Listing(
                {f"p.zip/{member.name}": member.stat for member in inside.members},
                {f"p.zip/{member.name}": member_path("p.zip", member.name) for member in inside.members},
            )
        )
        assert list(found.items) == ["p.zip/d/a.jpg"]
        data, stat = read(lister, found, "p.zip/d/a.jpg")
        assert split_bundle(data) == (b"image", ".txt", b"a cat")
        assert stat == found.items["p.zip/d/a.jpg"]
        assert len(data) == stat.size
        assert not lister.has_changed(found.paths["p.zip/d/a.jpg"], stat)
        lister.close()
