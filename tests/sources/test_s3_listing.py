"""What a bucket lists: keys of all kinds, pages, markers, versions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unicodedata import normalize

import pytest

from schemas.errors import FetchFailed, SourceNotFound
from schemas.source import Scope, Source, Stat
from tasks.sources.base import locate, open_lister

SOURCE = Source("docs", "s3://bucket/docs", id=1)
NFC = "보고서/실적 요약.txt"
NFD = normalize("NFD", NFC)


def listing(source=SOURCE, **scope):
    return open_lister(source).list(Scope(source, **scope))


def read(uri, path=None):
    with open_lister(SOURCE).open(uri, path or uri) as (stream, stat):
        return stream.read(), stat


@pytest.mark.parametrize(
    "name",
    ["a b.txt", "a+b.txt", "100%.txt", "a%20b.txt", "c#.md", "q?x=1.txt", "a&b=c.txt", "quote'\".txt",
     "[1]*.txt", "🙂.txt", NFC, "~x/y@z.txt"],
)  # fmt: skip
def test_a_key_of_odd_characters_is_listed_and_read(store, name):
    store.put(f"docs/{name}", "body")
    assert list(listing().items) == [name]
    body, stat = read(name)
    assert (body, stat) == (b"body", listing().items[name])
    assert listing(names=frozenset({name})) == listing()


def test_a_decomposed_name_is_an_nfc_uri_and_is_read_by_its_own_spelling(store):
    store.put(f"docs/{NFD}", "body")
    found = listing()
    assert (list(found.items), found.paths) == ([NFC], {NFC: NFD})
    assert read(NFC, NFD)[0] == b"body"
    assert listing(prefix="보고서") == found
    assert locate(f"s3://bucket/docs/{NFD}", [SOURCE], include=(), exclude=()) == Scope(SOURCE, NFC, NFD)


def test_of_two_spellings_of_a_name_one_is_an_item_and_the_other_a_problem(store):
    store.put(f"docs/{NFC}", "composed")
    store.put(f"docs/{NFD}", "decomposed")
    found = listing()
    assert (list(found.items), found.paths) == ([NFC], {NFC: NFD})
    assert "another file has this name" in found.problems[0].message
    assert listing(names=frozenset({NFC})) == found


def test_markers_of_folders_are_no_items(store):
    for key in ("docs/", "docs/sub/", "docs/sub/a.txt", "docs/empty/"):
        store.put(key, b"body" if key.endswith("t") else b"")
    assert list(listing().items) == ["sub/a.txt"]
    assert listing(names=frozenset({"sub"})) == listing()
    assert listing(names=frozenset({"empty"})).items == {}


@pytest.mark.parametrize(
    "key", ["docs//a.txt", "docs/../a.txt", "docs/x/../../a.txt", "docs/./a.txt", "docs/x//y", "docs/odd/",
            "docs/a.txt?versionId=7", "docs/" + "x" * 700]
)  # fmt: skip
def test_a_key_that_is_no_path_is_a_problem_and_no_item(store, key):
    store.put("docs/good.txt", "good")
    store.put("a.txt", "outside")
    store.put(key, "body")
    found = listing()
    assert list(found.items) == ["good.txt"]
    assert len(found.problems) == 1


def test_what_only_begins_like_the_root_is_not_of_the_source(store):
    for key in ("docs/a.txt", "docs2/b.txt", "docs.txt", "docs"):
        store.put(key, "body")
    assert list(listing().items) == ["a.txt"]


def test_more_keys_than_a_page_are_all_listed(store):
    names = {f"{i:04}.txt" for i in range(2345)}
    for name in names:
        store.put(f"docs/{name}", b"x")
    assert listing().items.keys() == names
    assert [request.is_later_page for request in store.requests] == [False, True, True]


def test_an_object_and_what_lies_below_its_name_are_both_listed(store):
    store.put("docs/a", "file")
    store.put("docs/a/b.txt", "below")
    for scope in ({}, {"prefix": "a"}, {"names": frozenset({"a"})}, {"names": frozenset({"a", "a/b.txt"})}):
        assert list(listing(**scope).items) == ["a", "a/b.txt"]


def test_a_versioned_bucket_lists_what_is_current(store):
    store.client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    store.put("docs/a.txt", "one")
    first = listing().items["a.txt"]
    store.put("docs/a.txt", "two")
    assert listing().items["a.txt"] != first
    assert read("a.txt")[0] == b"two"
    store.client.delete_object(Bucket="bucket", Key="docs/a.txt")  # leaves a delete marker
    assert listing().items == {} == listing(names=frozenset({"a.txt"})).items


def test_a_listing_is_never_an_old_one(store):
    lister = open_lister(SOURCE)
    store.put("docs/a.txt", "one")
    before = lister.list(Scope(SOURCE)).items["a.txt"]
    store.put("docs/a.txt", "other")
    store.put("docs/b.txt", "new")
    assert lister.has_changed("a.txt", before)
    assert sorted(lister.list(Scope(SOURCE)).items) == ["a.txt", "b.txt"]
    with lister.open("a.txt", "a.txt") as (stream, stat):
        assert (stream.read(), stat.size) == (b"other", 5)


def test_patterns_are_those_of_any_source(store):
    for key in ("docs/a.md", "docs/a.txt", "docs/.git/x.md", "docs/sub/b.md"):
        store.put(key, "body")
    source = Source("docs", "s3://bucket/docs", ("*.md",), (".*",), id=1)
    assert sorted(listing(source).items) == ["a.md", "sub/b.md"]
    named = frozenset({"a.md", "a.txt", ".git/x.md", "sub"})
    assert listing(source, names=named) == listing(source)


def test_a_single_object_is_a_part_of_the_source_that_is_its_folder(store):
    store.put("docs/a.txt", "body")
    store.put("docs/b.txt", "body")
    scope = locate("s3://bucket/docs/a.txt", [], include=(), exclude=())
    assert (scope.source.root_url, scope.source.name, scope.prefix) == ("s3://bucket/docs", "docs", "a.txt")
    assert list(listing(scope.source, prefix="a.txt").items) == ["a.txt"]


@pytest.mark.parametrize(
    "url", ["s3://bucket/none", "s3://bucket/docs/none.txt", "s3://other", "s3://other/docs"]
)
def test_a_url_where_nothing_lies_is_told_with_advice(store, url):
    store.put("docs/a.txt", "body")
    with pytest.raises(SourceNotFound, match="nothing at") as caught:
        locate(url, [], include=(), exclude=())
    assert caught.value.advice
    assert not caught.value.retryable


@pytest.mark.parametrize("url", ["s3://bucket/docs/../secret", "s3://bucket//docs", "s3://bucket/./docs"])
def test_a_url_that_climbs_is_refused(store, url):
    with pytest.raises(SourceNotFound, match="empty part"):
        locate(url, [SOURCE], include=(), exclude=())


def test_a_missing_bucket_is_an_error_not_an_empty_listing(store):
    source = Source("x", "s3://gone/docs", id=1)
    for scope in ({}, {"prefix": "a"}, {"names": frozenset({"a.txt"})}):
        with pytest.raises(SourceNotFound, match="nothing at"):
            listing(source, **scope)


def test_an_emptied_prefix_of_a_bucket_is_an_empty_listing(store):
    assert listing().items == {}


def test_threads_read_beside_a_listing(store):
    names = [f"{i}.txt" for i in range(40)]
    for name in names:
        store.put(f"docs/{name}", name * 100)
    lister = open_lister(SOURCE)

    def take(name):
        with lister.open(name, name) as (stream, _):
            return stream.read()

    with ThreadPoolExecutor(8) as threads:
        bodies = threads.map(take, names)
        listed = [lister.list(Scope(SOURCE)).items.keys() for _ in range(5)]
        assert [body.decode() for body in bodies] == [name * 100 for name in names]
    assert all(keys == set(names) for keys in listed)


def test_an_object_replaced_between_look_up_and_read_is_noticed(store):
    store.put("docs/a.txt", b"old" * 10)
    with (
        pytest.raises(FetchFailed),
        open_lister(SOURCE).open("a.txt", "a.txt") as (stream, _),
    ):
        store.put("docs/a.txt", b"new" * 10)
        stream.read()


def test_an_empty_object_is_read_as_empty(store):
    store.put("docs/a.txt", b"")
    body, stat = read("a.txt")
    assert (body, stat.size) == (b"", 0)


def test_an_object_that_vanished_is_told(store):
    with pytest.raises(FetchFailed, match="vanished") as caught:
        read("a.txt")
    assert caught.value.retryable


def test_an_object_has_changed_where_its_stat_differs_or_it_is_gone(store):
    store.put("docs/a.txt", "one")
    lister = open_lister(SOURCE)
    stat = lister.list(Scope(SOURCE)).items["a.txt"]
    assert not lister.has_changed("a.txt", stat)
    assert lister.has_changed("a.txt", stat._replace(etag="x"))
    assert lister.has_changed("b.txt", Stat(1))
