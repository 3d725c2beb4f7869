"""What a store lists becomes items or problems, and never a path outside of the source."""

from __future__ import annotations

from unicodedata import is_normalized, normalize
from uuid import uuid4

import fsspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.source import Scope, Source
from tasks.sources.remote import RemoteFolder
from tasks.sources.remote_listing import RemoteListing, fault_of, uri_of

PARTS = st.sampled_from(
    ["a", "b.txt", "", ".", "..", "가", normalize("NFD", "가"), "é", "e\u0301", "a b", "\0", "x" * 300]
)
KEYS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
SAFE = st.sampled_from(["a", "b", "c.txt", "가나", normalize("NFD", "가나"), "다"])
FILES = st.sets(st.lists(SAFE, min_size=1, max_size=3).map("/".join), max_size=8)


@given(st.sets(KEYS, max_size=20), st.sampled_from(["bucket/docs", "bucket", ""]))
def test_each_key_is_an_item_a_problem_or_a_marker_and_each_uri_stays_inside(keys, root):
    listing = RemoteListing(root, None, None)
    listing.add({f"{root}/{key}": {"type": "file", "size": 3, "ETag": key} for key in keys})
    found = listing.finish()
    for uri in found.items:
        assert is_normalized("NFC", uri)
        assert fault_of(uri) == ""
        assert not {"", ".", ".."} & set(uri.split("/"))
        assert found.items[uri].etag == found.paths.get(uri, uri)
        assert uri_of(found.paths.get(uri, uri)) == uri
    assert len(found.items) + len(found.problems) == len(keys - {""})


@given(st.sets(KEYS, max_size=10))
def test_what_lies_beside_the_root_is_no_item(keys):
    listing = RemoteListing("bucket/docs", None, None)
    listing.add({f"bucket/docs2/{key}": {"type": "file", "size": 3} for key in keys})
    listing.add({"bucket/docs": {"type": "file", "size": 3}, "bucket/docs/sub": {"type": "directory"}})
    assert listing.finish() == RemoteListing("bucket/docs", None, None).finish()


@given(FILES, st.sets(st.lists(SAFE, min_size=1, max_size=3).map("/".join), max_size=4))
def test_a_listing_of_names_is_what_the_whole_listing_has_of_them(files, names):
    folders = {key[:i] for key in files for i, char in enumerate(key) if char == "/"}
    root = f"/{uuid4().hex}"
    fs = fsspec.filesystem("memory")
    fs.pipe(f"{root}/always", b"x")
    for key in files - folders:  # this store cannot have a file and a folder of one name
        fs.pipe(f"{root}/{key}", key.encode())
    try:
        source = Source("memory", f"memory:/{root}", id=1)
        lister = RemoteFolder(source)
        whole = lister.list(Scope(source))
        wanted = frozenset(normalize("NFC", name) for name in names)
        scope = Scope(source, names=wanted)
        named = lister.list(scope)
        assert named.items == {uri: stat for uri, stat in whole.items.items() if scope.covers(uri)}
        assert named.paths == {uri: path for uri, path in whole.paths.items() if scope.covers(uri)}
    finally:
        fs.rm(root, recursive=True)
