"""Listing folders and fsspec URLs."""

from __future__ import annotations

import os

import fsspec
import pytest

from schemas.errors import FetchFailed, SourceNotFound
from schemas.source import Scope, Source
from tasks.sources.base import find_nested, locate, open_lister
from tasks.sources.patterns import compile_patterns


@pytest.fixture
def folder(tmp_path):
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.md", ".git/config", "node_modules/x.js", "~$lock.docx"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def _list(folder, prefix="", include=(), exclude=(".*", "~$*", "node_modules")):
    source = Source("s", str(folder), include, exclude)
    return open_lister(source).list(Scope(source, prefix))


def test_a_folder_is_listed_without_what_is_excluded(folder):
    assert sorted(_list(folder).items) == ["a.txt", "sub/b.txt", "sub/deep/c.md"]
    assert sorted(_list(folder, include=("*.md",)).items) == ["sub/deep/c.md"]
    assert sorted(_list(folder, exclude=("sub/**", ".git", "node_modules", "~$*")).items) == ["a.txt"]
    assert sorted(_list(folder, prefix="sub").items) == ["sub/b.txt", "sub/deep/c.md"]
    assert sorted(_list(folder, prefix="sub/b.txt").items) == ["sub/b.txt"]


def test_the_stat_is_that_of_the_file(folder):
    stat, found = _list(folder).items["a.txt"], (folder / "a.txt").stat()
    assert (stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode) == (
        found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "name", "uri", "matches"),
    [
        ("*.md", "a.md", "x/a.md", True),
        ("*.md", "a.txt", "a.txt", False),
        ("docs/*.md", "a.md", "docs/a.md", True),
        ("docs/*.md", "a.md", "docs/x/a.md", False),
        ("docs/**/a.md", "a.md", "docs/a.md", True),
        ("docs/**/a.md", "a.md", "docs/x/y/a.md", True),
        ("a?.txt", "ab.txt", "ab.txt", True),
        ("a[1].txt", "a[1].txt", "a[1].txt", True),
        ("보고서/**", "실적.pdf", "보고서/실적.pdf", True),
    ],
)
def test_patterns(pattern, name, uri, matches):
    assert compile_patterns((pattern,))(name, uri) is matches


def test_a_name_that_is_no_utf8_is_a_problem_that_can_be_read(folder):
    os.mkdir(os.fsencode(folder) + b"/odd")
    with open(os.fsencode(folder) + b"/odd/\xff\xfe.txt", "wb") as file:
        file.write(b"x")
    listing = _list(folder)
    assert [problem.uri for problem in listing.problems] == [r"odd/\udcff\udcfe.txt"]
    assert "rename" in listing.problems[0].message


def test_odd_names_are_listed_as_they_are(folder):
    names = ["new\nline.txt", "per%20cent.txt", "quote'\".txt", "🙂.txt", "x" * 250 + ".txt"]
    for name in names:
        (folder / name).write_text("x")
    assert set(names) <= set(_list(folder).items)


def test_a_root_that_vanished_is_an_error_not_an_empty_listing(tmp_path):
    with pytest.raises(SourceNotFound, match="cannot be read"):
        _list(tmp_path / "gone")


def test_a_fifo_in_place_of_a_file_does_not_block(folder):
    os.unlink(folder / "a.txt")
    os.mkfifo(folder / "a.txt")
    item = open_lister(Source("s", str(folder))).open("a.txt", "a.txt")
    with pytest.raises(FetchFailed, match="no longer a regular file"), item:
        pass


def test_a_path_names_a_source_or_a_part_of_one(folder):
    known = [Source("s", str(folder), id=1), Source("deep", str(folder / "sub/deep"), id=2)]
    place = lambda path: locate(str(path), known, include=(), exclude=())  # noqa: E731
    assert place(folder) == Scope(known[0])
    assert place(folder / "sub") == Scope(known[0], "sub")
    assert place(folder / "sub/deep/c.md") == Scope(known[1], "c.md")
    new = locate(str(folder / "sub/b.txt"), [], include=(), exclude=())
    assert (new.source.name, new.source.root_url, new.prefix) == ("sub", str(folder / "sub"), "b.txt")


def test_a_relative_path_with_dots_and_links_names_the_same_source(folder, monkeypatch):
    known = [Source("s", str(folder), id=1)]
    (folder.parent / "link").symlink_to(folder)
    monkeypatch.chdir(folder / "sub")
    for path in ("..", "../", str(folder) + "/", str(folder.parent / "link"), f"file://{folder}"):
        assert locate(path, known, include=(), exclude=()) == Scope(known[0])


def test_sources_inside_a_wider_scope_are_found():
    wide, narrow, beside = (
        Source(n, u, id=i) for i, (n, u) in enumerate([("w", "/d"), ("n", "/d/x"), ("b", "/dx")])
    )
    assert find_nested(Scope(wide), [wide, narrow, beside]) == [narrow]
    assert find_nested(Scope(wide, "y"), [wide, narrow, beside]) == []


@pytest.fixture
def bucket():
    fs = fsspec.filesystem("memory")
    for name in ("bucket/a.txt", "bucket/sub/b.txt", "bucket/.hidden/c.txt"):
        fs.pipe(f"/{name}", name.encode())
    yield fs
    fs.rm("/bucket", recursive=True)


def test_an_fsspec_url_is_listed_and_opened(bucket):
    source = Source("bucket", "memory://bucket", exclude=(".*",))
    lister = open_lister(source)
    listing = lister.list(Scope(source))
    assert sorted(listing.items) == ["a.txt", "sub/b.txt"]
    assert sorted(lister.list(Scope(source, "sub")).items) == ["sub/b.txt"]
    with lister.open("a.txt", "a.txt") as (stream, stat):
        assert stream.read() == b"bucket/a.txt"
    assert stat == listing.items["a.txt"]
    bucket.pipe("/bucket/a.txt", b"other bytes!")
    assert lister.has_changed("a.txt", stat)


def test_an_empty_or_unknown_url_is_an_error(bucket):
    with pytest.raises(SourceNotFound, match="nothing at"):
        locate("memory://no-such-bucket", [], include=(), exclude=())
    with pytest.raises(SourceNotFound, match="cannot be opened"):
        locate("nonsense://x", [], include=(), exclude=())


def test_a_part_of_a_remote_source(bucket):
    known = [Source("bucket", "memory://bucket", id=1)]
    assert locate("memory://bucket/sub", known, include=(), exclude=()) == Scope(known[0], "sub")
