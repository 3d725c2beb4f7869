"""Names in a bucket: only they are asked for, however they are spelled."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from schemas.source import Scope, Source
from tasks.sources.base import open_lister

SOURCE = Source("docs", "s3://bucket/docs", id=1)
MIXED = "자료/" + normalize("NFD", "보고서") + " 사본.txt"
"""As a program leaves it that puts a composed word behind a name from a Mac."""


def listing(*names):
    return open_lister(SOURCE).list(Scope(SOURCE, names=frozenset(names)))


def test_only_what_is_named_is_asked_for(store):
    for key in ("docs/a.txt", "docs/b.txt", "docs/sub/c.txt", "docs/sub/d/e.txt", "docs/subway.txt"):
        store.put(key, "body")
    assert sorted(listing("a.txt", "sub", "none.txt").items) == ["a.txt", "sub/c.txt", "sub/d/e.txt"]
    asked = {request.query.get("prefix", [request.key])[0] for request in store.requests}
    assert {key.removeprefix("docs/").split("/")[0] for key in asked} == {"a.txt", "sub", "none.txt"}


def test_a_name_below_another_is_not_asked_for_twice(store):
    store.put("docs/sub/c.txt", "body")
    assert list(listing("sub", "sub/c.txt").items) == ["sub/c.txt"]
    assert not any("c.txt" in request.path + str(request.query) for request in store.requests)


def test_the_empty_name_is_the_whole_source(store):
    for key in ("docs/a.txt", "docs/sub/c.txt"):
        store.put(key, "body")
    assert sorted(listing("", "none").items) == ["a.txt", "sub/c.txt"]


def test_a_name_that_mixes_both_forms_is_found(store):
    store.put(f"docs/{MIXED}", "body")
    uri = normalize("NFC", MIXED)
    assert listing(uri).paths == {uri: MIXED}
    assert listing("자료").paths == {uri: MIXED}


@pytest.mark.parametrize("name", ["../secret.txt", "a/../../secret.txt", "a//b", "./a", "/a", "a/"])
def test_a_name_that_leads_out_is_a_problem_and_not_asked_for(store, name):
    store.put("secret.txt", "outside")
    store.put("docs/a.txt", "body")
    found = listing("a.txt", name)
    assert list(found.items) == ["a.txt"]
    assert [problem.uri for problem in found.problems] == [name]
    assert not any("secret" in request.path + str(request.query) for request in store.requests)


def test_of_a_file_in_an_archive_the_archive_is_looked_at(store):
    store.put("docs/mail/a.zip", "body")
    store.put("docs/v1.2/x.txt", "body")
    names = {"mail/a.zip/inner/x.pdf", "v1.2/x.txt", "b.zip/y.txt", "c.txt"}
    resolved = open_lister(SOURCE).resolve_names(names)
    assert resolved == {"mail/a.zip", "v1.2/x.txt", "b.zip/y.txt", "c.txt"}


def test_names_in_a_folder_are_told_without_what_lies_below(store):
    for key in ("docs/a.jpg", "docs/a.jpg.json", "docs/sub/deep/b.jpg", f"docs/{MIXED}"):
        store.put(key, "body")
    lister = open_lister(SOURCE)
    assert lister.names_in("") == {"a.jpg", "a.jpg.json", "sub", "자료"}
    assert lister.names_in("자료") == {normalize("NFC", MIXED)}
    assert lister.names_in("none") == lister.names_in("..") == frozenset()


def test_memory_and_other_stores_go_the_same_way():
    import fsspec

    fs = fsspec.filesystem("memory")
    source = Source("names", "memory://names", id=1)
    try:
        for name in ("a.txt", "sub/b.txt", "sub/c/d.txt", "e.txt"):
            fs.pipe(f"/names/{name}", b"body")
        lister = open_lister(source)
        assert sorted(lister.list(Scope(source, names=frozenset({"a.txt", "sub", "none"}))).items) == [
            "a.txt", "sub/b.txt", "sub/c/d.txt"
        ]  # fmt: skip
        assert lister.resolve_names({"a.txt/x"}) == {"a.txt"}
    finally:
        fs.rm("/names", recursive=True)


def test_a_store_that_walks_raises_what_fsspec_would_leave_out(tmp_path, monkeypatch):
    """`find` of most protocols leaves out folders that fail to list; `dir` is one such."""
    from fsspec.implementations.local import LocalFileSystem

    from schemas.errors import SourceUnavailable
    from tasks.sources.remote import RemoteFolder

    monkeypatch.setattr("tasks.sources.remote_errors.back_off", lambda attempt: None)
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("body")
    source = Source("walked", f"local://{tmp_path}", id=1)
    lister = RemoteFolder(source)
    assert sorted(lister.list(Scope(source)).items) == ["a.txt", "sub/b.txt"]
    listed = LocalFileSystem.ls

    def fail(self, path, *args, **kwargs):
        if str(path).rstrip("/").endswith("sub"):
            raise TimeoutError("it does not answer")
        return listed(self, path, *args, **kwargs)

    monkeypatch.setattr(LocalFileSystem, "ls", fail)
    for scope in (Scope(source), Scope(source, names=frozenset({"sub"}))):
        with pytest.raises(SourceUnavailable, match="does not answer"):
            lister.list(scope)
