"""Reported changes as events: what a run has to look at, no more and never less."""

from __future__ import annotations

import shutil
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.event import NamedChange
from schemas.settings import DEFAULT_EXCLUDE
from schemas.source import Scope, Source
from tasks.sources.filesystem import LocalFolder
from tasks.sources.noticing import ADDED, DELETED, MANY, MODIFIED, Watched, merge_changes, name_changes


@pytest.fixture
def root(tmp_path):
    folder = (tmp_path / "docs").resolve()
    folder.mkdir()
    return folder


@pytest.fixture
def stays(root):
    """Another document, so that the folder is not empty."""
    write(root, "stays.txt")


def watched_of(root, *, include=(), exclude=DEFAULT_EXCLUDE, folder=None, inside=(), **options):
    source = Source("docs", str(root), include, exclude, id=1)
    sources = (source, *(Source(f"n{n}", str(path), (), exclude, id=n) for n, path in enumerate(inside, 2)))
    return Watched(folder or root, sources, options.pop("home", root.parent / "home"), **options)


def named(watched, *changes, folders=()):
    found = name_changes(set(changes), watched, find_folders=lambda source, uris: uris & set(folders))
    return [(change.source_id, change.uri, change.action) for change in found]


def write(root, name):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    return str(path)


def test_files_are_named_by_what_is_there_now(root):
    there, gone = write(root, "sub/a.txt"), str(root / "b.txt")
    assert named(watched_of(root), (ADDED, there), (MODIFIED, there), (DELETED, gone)) == [
        (1, "b.txt", "deleted"), (1, "sub/a.txt", "changed")
    ]  # fmt: skip
    # reported as deleted, and back again: as an editor saves by renaming
    assert named(watched_of(root), (DELETED, there)) == [(1, "sub/a.txt", "changed")]
    assert named(watched_of(root), (ADDED, gone)) == [(1, "b.txt", "deleted")]


def test_a_rename_is_a_gone_and_a_changed_document(root):
    new = write(root, "new.txt")
    assert named(watched_of(root), (DELETED, str(root / "old.txt")), (ADDED, new)) == [
        (1, "new.txt", "changed"), (1, "old.txt", "deleted")
    ]  # fmt: skip


def test_a_folder_that_came_is_named_as_a_whole(root):
    inner = write(root, "new/deep/a.txt")
    changes = [(ADDED, str(root / "new")), (ADDED, str(root / "new/deep")), (ADDED, inner)]
    assert named(watched_of(root), *changes) == [(1, "new", "prefix")]


def test_the_time_of_a_folder_is_no_change(root):
    inner = write(root, "sub/a.txt")
    assert named(watched_of(root), (MODIFIED, str(root / "sub")), (MODIFIED, inner)) == [
        (1, "sub/a.txt", "changed")
    ]


def test_a_folder_that_is_gone_is_no_meant_deletion(root, stays):
    gone = str(root / "sub")
    assert named(watched_of(root), (DELETED, gone), (DELETED, f"{gone}/a.txt")) == [(1, "sub", "prefix")]
    assert named(watched_of(root), (DELETED, gone), folders=["sub"]) == [(1, "sub", "prefix")]
    assert named(watched_of(root), (DELETED, gone)) == [(1, "sub", "deleted")]


def test_on_a_mount_that_may_vanish_nothing_is_a_meant_deletion(root):
    watched = watched_of(root, may_vanish=True)
    assert named(watched, (DELETED, str(root / "a.txt"))) == [(1, "a.txt", "changed")]


def test_in_a_folder_that_is_empty_now_nothing_is_a_meant_deletion(root):
    assert named(watched_of(root), (DELETED, str(root / "a.txt"))) == [(1, "a.txt", "changed")]
    shutil.rmtree(root)
    assert named(watched_of(root), (DELETED, str(root / "a.txt"))) == [(1, "a.txt", "changed")]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden", ".git/config", "sub/.a.txt.swp", "a.txt~", "4913", "#a.txt#", ".#a.txt", "~$a.docx",
        "x.tmp", "a.txt___jb_tmp___", ".~lock.a.odt#", "~WRD0001.tmp", "film.mp4.crdownload", "a.part",
        "node_modules/x/y.js",
    ],
)  # fmt: skip
def test_temporary_and_excluded_files_make_no_event(root, name):
    watched = watched_of(root)
    assert named(watched, (DELETED, str(root / name))) == []
    assert named(watched, (ADDED, write(root, name))) == []


def test_what_the_patterns_do_not_take_makes_no_event_but_folders_do(root):
    watched = watched_of(root, include=("*.pdf",))
    paths = [write(root, name) for name in ("a.txt", "b.pdf", "new/c.pdf")]
    changes = [*((ADDED, path) for path in paths), (ADDED, str(root / "new")), (DELETED, str(root / "old"))]
    assert named(watched, *changes, folders=["old"]) == [
        (1, "b.pdf", "changed"), (1, "new", "prefix"), (1, "old", "prefix")
    ]  # fmt: skip


def test_names_are_the_indexs_whatever_the_disk_spells(root):
    spelled = write(root, normalize("NFD", "사진/고양이.txt"))
    assert named(watched_of(root), (MODIFIED, spelled)) == [(1, "사진/고양이.txt", "changed")]


def test_a_part_of_a_source_is_named_below_the_sources_root(root):
    inner = write(root, "sub/a.txt")
    watched = watched_of(root, folder=root / "sub")
    assert named(watched, (MODIFIED, inner)) == [(1, "sub/a.txt", "changed")]
    assert watched.everything() == NamedChange(1, "sub", "prefix")


def test_a_document_of_a_source_inside_is_that_sources(root):
    inner = write(root, "node_modules/mine/x.txt")
    watched = watched_of(root, inside=[root / "node_modules/mine"])
    assert named(watched, (MODIFIED, inner)) == [(2, "x.txt", "changed")]
    shutil.rmtree(root / "node_modules")
    assert named(watched, (DELETED, str(root / "node_modules/mine"))) == [(2, "", "prefix")]


def test_our_own_data_makes_no_event(root):
    home = root / "data"
    blob = write(root, "data/blobs/x")
    assert named(watched_of(root, home=home), (ADDED, blob), (ADDED, str(home))) == []
    upload = write(root, "data/inbox/docs/a.txt")
    assert named(watched_of(root, home=home), (ADDED, upload)) == []
    inbox = watched_of(home / "inbox/docs", home=home)
    assert named(inbox, (ADDED, upload)) == [(1, "a.txt", "changed")]


def test_a_name_that_no_listing_takes_makes_no_event(root):
    assert named(watched_of(root), (ADDED, str(root / "/".join(["x" * 200] * 4)))) == []


def test_very_many_changes_are_one_look_at_everything(root):
    changes = [(ADDED, str(root / f"{n}.txt")) for n in range(MANY)]
    assert named(watched_of(root), *changes) == [(1, "", "prefix")]


def test_the_folder_itself_is_not_a_change_of_what_is_in_it(root):
    assert named(watched_of(root), (DELETED, str(root)), (MODIFIED, str(root))) == []


def test_merged_bursts_keep_the_wider_look():
    a, b = NamedChange(1, "a", "changed"), NamedChange(1, "b", "deleted")
    folder, other = NamedChange(1, "a", "prefix"), NamedChange(2, "a", "deleted")
    assert merge_changes((a, b), (NamedChange(1, "a", "deleted"),)) == (NamedChange(1, "a", "deleted"), b)
    assert merge_changes((folder,), (a, other)) == (folder, other)
    assert merge_changes((a,), (folder,)) == (folder,)


NAMES = ["a.txt", "b.txt", "sub", "sub/a.txt", "sub/deep", "sub/deep/a.txt", ".x", "sub/.x"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_a_look_at_what_is_named_finds_every_difference(root, before, after):
    """Of two states of a folder, a listing of the named uris shows all that came, went or changed."""
    source = Source("docs", str(root), (), DEFAULT_EXCLUDE, id=1)
    lister = LocalFolder(source)
    states = []
    for state in (before, after):
        shutil.rmtree(root)
        root.mkdir()
        for name in sorted(state):
            if name.endswith((".txt", ".x")):
                write(root, name)
            else:
                (root / name).mkdir(parents=True, exist_ok=True)
        states.append((lister.list(Scope(source)).items, set(root.rglob("*"))))
    (old, paths), (new, now) = states
    changes = {(DELETED, str(p)) for p in paths - now} | {(ADDED, str(p)) for p in now - paths}
    changes |= {(MODIFIED, str(p)) for p in now & paths}
    scope = Scope(source, names=frozenset(uri for _, uri, _ in named(watched_of(root), *changes)))
    differing = {uri for uri in old.keys() | new.keys() if old.get(uri) != new.get(uri)}
    assert all(scope.covers(uri) for uri in differing)
    assert not any(scope.covers(uri) for uri in (".x", "sub/.x") if "sub" not in scope.names)
