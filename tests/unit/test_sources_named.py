"""Listing named uris: exactly what a listing of the whole source says of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unicodedata import normalize
from unittest.mock import patch

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import SourceNotFound
from schemas.source import Scope, Source, is_under
from tasks.parsing.limits import UnpackLimits
from tasks.sources.base import open_lister
from tasks.sources.filesystem import LocalFolder
from tasks.sources.members import MemberLister
from tasks.sources.named import ancestors, name_tree
from tasks.sources.sidecars import PAIR, SidecarLister

HAN = "한글"
NFD = normalize("NFD", HAN)
CLOSED = "closed"
PARTS = ["a", "b.txt", "c.zip", ".h", HAN, CLOSED, "K"]
SPELLINGS = [*PARTS, NFD, "\u212a"]  # the Kelvin sign, K in NFC
EXCLUDE = [(), (".*",), (".*", "a"), ("a/**",), ("b.txt",), ("*.zip", HAN)]
INCLUDE = [(), ("*.txt",), ("a/**", "*.zip")]

paths = st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3).map("/".join)
uris = st.lists(st.sampled_from(PARTS), min_size=0, max_size=4).map("/".join)
places = st.sampled_from(["a", "b.txt", HAN, "a/a", "../out", "../out/a", "../out/b.txt", "..", ".", "none"])
trees = st.lists(st.tuples(paths, st.one_of(st.none(), places)), max_size=14)
SETTINGS = settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def build(root, tree):
    """Files, and links where a target is given; what does not fit what is there already is left out."""
    for path, target in tree:
        place = root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if target is None:
                place.write_text(path)
            else:
                place.symlink_to(root / target)
        except OSError:
            continue


def scandir_but_closed(path, scandir=os.scandir):
    if Path(path).name == CLOSED:
        raise PermissionError(13, "Permission denied")
    return scandir(path)


@pytest.fixture(scope="module")
def ground():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@pytest.fixture
def fresh(ground):
    """A function that gives an empty root, and a folder beside it that is not the source's."""

    def make():
        for name in ("root", "out"):
            shutil.rmtree(ground / name, ignore_errors=True)
            (ground / name).mkdir()
        for name in ("a/x.txt", "b.txt", f"{NFD}/c.zip"):
            (ground / "out" / name).parent.mkdir(exist_ok=True)
            (ground / "out" / name).write_text(name)
        return ground / "root"

    return make


@SETTINGS
@given(
    trees, st.frozensets(uris, max_size=4), st.sampled_from(EXCLUDE), st.sampled_from(INCLUDE), st.booleans()
)
def test_named_uris_are_listed_as_in_the_whole_source(fresh, tree, names, exclude, include, follow):
    root = fresh()
    build(root, tree)
    source = Source("s", str(root), include, exclude)
    lister = LocalFolder(source, follow_links=follow)
    scope = Scope(source, names=names)
    with patch("os.scandir", scandir_but_closed):
        whole, named = lister.list(Scope(source)), lister.list(scope)
        resolved = Scope(source, names=lister.resolve_names(names))
    above = {folder for name in names for folder in ancestors(name)}
    expected = {uri: stat for uri, stat in whole.items.items() if scope.covers(uri) or uri in above}
    assert named.items == expected
    assert named.paths == {uri: path for uri, path in whole.paths.items() if uri in expected}
    assert set(named.problems) <= set(whole.problems)
    assert {p for p in whole.problems if scope.covers(p.uri)} <= set(named.problems)
    blocked, all_blocked = ({p.blocked for p in listing.problems} for listing in (named, whole))
    for uri in {*names, *(f"{name}/x" for name in names)}:
        assert is_under(uri, blocked) == is_under(uri, all_blocked)
    assert all(resolved.covers(uri) for uri in {*names, *named.items})


STEMS = ["a", "b", "a.jpg", HAN, NFD]
SUFFIXES = [".jpg", ".PNG", ".txt", ".json", ".JPG.txt", ".jpg.json", ".md", ".caption", ".jpg.jpg", ""]
image_names = st.builds(
    lambda folder, stem, suffix: folder + stem + suffix,
    st.sampled_from(["", "x/", f"{NFD}/"]), st.sampled_from(STEMS), st.sampled_from(SUFFIXES),
)  # fmt: skip


def images_of(root):
    source = Source("s", str(root))
    members = MemberLister(LocalFolder(source), root.parent / "scratch", pool=None, limits=UnpackLimits())
    return source, SidecarLister(members)


@SETTINGS
@given(
    st.lists(image_names, max_size=12),
    st.lists(image_names, max_size=2),
    st.frozensets(image_names.map(lambda name: normalize("NFC", name)), max_size=3),
)
def test_pairs_that_are_named_are_those_of_the_whole_source(fresh, files, dangling, names):
    root = fresh()
    build(root, [*((name, None) for name in files), *((name, "none") for name in dangling)])
    source, lister = images_of(root)
    scope = Scope(source, names=names)
    resolved = Scope(source, names=lister.resolve_names(names))
    whole, named = lister.list(Scope(source)), lister.list(scope)
    assert named == lister.list(resolved)
    assert named.items == {uri: stat for uri, stat in whole.items.items() if resolved.covers(uri)}
    assert named.paths == {uri: path for uri, path in whole.paths.items() if uri in named.items}
    assert {p for p in whole.problems if resolved.covers(p.uri)} <= set(named.problems) <= set(whole.problems)
    assert all(resolved.covers(name) for name in names)
    assert lister.resolve_names(resolved.names) == resolved.names


@pytest.fixture
def folder(tmp_path):
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.md", ".git/config", "p.zip"):
        path = tmp_path / "s" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return (tmp_path / "s").resolve()


def list_names(folder, *names, exclude=(".*",), **options):
    source = Source("s", str(folder), (), exclude)
    return LocalFolder(source, **options).list(Scope(source, names=frozenset(names)))


def test_only_what_is_named_is_looked_at(folder):
    looked = []

    def scandir(path, scandir=os.scandir):
        looked.append(str(path))
        return scandir(path)

    with patch("os.scandir", scandir):
        assert list_names(folder, "a.txt", "gone.txt").items.keys() == {"a.txt"}
        assert looked == [str(folder)]
        assert list_names(folder, "sub/b.txt").items.keys() == {"sub/b.txt"}
        assert looked[1:] == [str(folder), str(folder / "sub")]


def test_a_folder_is_walked_and_the_empty_name_is_everything(folder):
    assert list_names(folder, "sub").items.keys() == {"sub/b.txt", "sub/deep/c.md"}
    assert list_names(folder, "").items.keys() == {"a.txt", "sub/b.txt", "sub/deep/c.md", "p.zip"}
    assert list_names(folder).items == {}


def test_no_name_leads_out_of_the_source(folder):
    (folder.parent / "secret.txt").write_text("secret")
    for name in (
        "../secret.txt",
        "sub/../../secret.txt",
        str(folder.parent / "secret.txt"),
        "..",
        "/",
        "./a.txt",
    ):
        found = list_names(folder, name)
        assert (found.items, found.problems) == ({}, ())


def test_a_link_out_of_the_source_is_a_problem_that_blocks_its_name(folder):
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    found = list_names(folder, "link.txt")
    assert found.items == {}
    assert [problem.blocked for problem in found.problems] == ["link.txt"]
    assert list_names(folder, "link.txt", follow_links=True).items.keys() == {"link.txt"}


def test_a_named_fifo_is_a_problem(folder):
    os.mkfifo(folder / "pipe")
    (problem,) = list_names(folder, "pipe").problems
    assert (problem.uri, problem.message) == ("pipe", "not a regular file")


def test_a_name_inside_a_file_is_that_file(folder):
    assert list_names(folder, "p.zip/inner/x.pdf").items.keys() == {"p.zip"}
    source = Source("s", str(folder))
    lister = LocalFolder(source)
    names = {"p.zip/inner/x.pdf", "sub/b.txt", "gone.zip/x", "sub"}
    assert lister.resolve_names(names) == {"p.zip", "sub/b.txt", "gone.zip/x", "sub"}


def test_a_name_that_is_no_utf8_is_named_as_its_problem_spells_it(folder):
    with open(os.fsencode(folder) + b"/\xff.txt", "wb") as file:
        file.write(b"x")
    (problem,) = list_names(folder, r"\udcff.txt").problems
    assert problem in list_names(folder, "").problems


def test_the_root_must_be_there_whatever_is_named(folder):
    for names in (("a.txt",), ("p.zip/x",), ()):
        with pytest.raises(SourceNotFound, match="cannot be read"):
            list_names(folder / "gone", *names)


def test_an_empty_root_is_told_from_one_with_files(folder, tmp_path):
    mount = tmp_path / "mount"
    mount.mkdir()
    lister = LocalFolder(Source("s", str(mount), (), (".*",)))
    assert lister.is_empty_root()
    (mount / ".keep").touch()
    assert lister.is_empty_root()
    (mount / "sub").mkdir()
    assert not lister.is_empty_root()
    with pytest.raises(SourceNotFound):
        LocalFolder(Source("s", str(tmp_path / "gone"))).is_empty_root()


def test_of_the_data_directory_only_the_inbox_may_be_a_source(tmp_path):
    home = (tmp_path / "data").resolve()
    for name in ("inbox/docs/a.txt", "blobs/x", "inboxes/y"):
        (home / name).parent.mkdir(parents=True)
        (home / name).touch()
    listed = lambda root, *names: list_names(root, *names, home=home).items.keys()  # noqa: E731
    assert listed(home / "inbox", "") == {"docs/a.txt"}
    assert listed(home / "inbox/docs", "a.txt") == {"a.txt"}
    for place in (home, home / "blobs", home / "inboxes"):
        for name in ("", "x", "x/y"):
            with pytest.raises(SourceNotFound, match="data directory"):
                listed(place, name)


def test_a_source_around_the_data_directory_has_nothing_of_it(tmp_path):
    root = tmp_path.resolve()
    home = root / "data"
    (home / "inbox").mkdir(parents=True)
    (home / "inbox/a.txt").touch()
    for names in ([""], ["data"], ["data/inbox"], ["data/inbox/a.txt"]):
        assert list_names(root, *names, home=home).items == {}
    source = Source("s", str(root))
    with pytest.raises(SourceNotFound, match="data directory"):
        LocalFolder(source, home=home).list(Scope(source, "data/inbox"))


def test_a_named_sidecar_brings_its_images_and_an_image_its_sidecar(tmp_path):
    root = (tmp_path / "s").resolve()
    build(root, [(name, None) for name in ("x/a.jpg", "x/a.png", "x/a.txt", "x/b.jpg", "x/a.md", "y/a.jpg")])
    source, lister = images_of(root)
    for name in ("x/a.txt", "x/a.jpg"):
        scope = Scope(source, names=lister.resolve_names({name}))
        assert scope.names == {"x/a.txt", "x/a.jpg", "x/a.png"}
        found = lister.list(scope)
        assert found.paths == {f"x/a{s}": f"x/a{s}{PAIR}x/a.txt" for s in (".jpg", ".png")}
    (root / "x/a.txt").unlink()
    scope = Scope(source, names=lister.resolve_names({"x/a.txt"}))
    assert scope.covers("x/a.txt")
    assert lister.list(scope).items.keys() == {"x/a.jpg", "x/a.png"}


def test_a_store_tells_the_names_in_a_folder(tmp_path):
    files = fsspec.filesystem("memory")
    files.pipe({"/gallery/x/a.jpg": b"image", "/gallery/x/a.json": b"{}", "/gallery/x/y/b.jpg": b"b"})
    source = Source("gallery", "memory://gallery")
    members = MemberLister(open_lister(source), tmp_path, pool=None, limits=UnpackLimits())
    assert members.names_in("x") == {"x/a.jpg", "x/a.json", "x/y"}
    assert not members.is_empty_root()
    assert members.resolve_names({"x/a.json"}) == {"x/a.json"}
    assert SidecarLister(members).resolve_names({"x/a.json"}) == {"x/a.jpg", "x/a.json"}
    files.rm("/gallery", recursive=True)


def test_names_below_a_named_folder_add_nothing():
    assert name_tree({"a", "a/b", "c/d", "c/d/e", "c/f"}) == {"a": None, "c": {"d": None, "f": None}}
    assert name_tree({"a/b", "a"}) == name_tree({"a"})
    assert name_tree({"", "a"}) is None
