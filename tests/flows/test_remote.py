"""A bucket is a source like a folder."""

from __future__ import annotations

import fsspec
import pytest

from flows.pipeline import ingest_location
from schemas.errors import MassDeletion, SourceNotFound, SourceUnavailable
from tasks.batch import plain_steps


@pytest.fixture
def bucket():
    fs = fsspec.filesystem("memory")
    fs.pipe("/shelf/a.txt", b"A text about pelicans in a bucket.")
    fs.pipe("/shelf/sub/b.txt", b"A text about storks in a bucket.")
    yield fs
    if fs.exists("/shelf"):
        fs.rm("/shelf", recursive=True)


@pytest.fixture
def ingest(world):
    def run(location="memory://shelf", **options):
        with plain_steps() as steps:
            return ingest_location(world.session, steps, location, "default", **options)

    return run


def test_a_bucket_is_indexed_and_only_what_changed_is_done_again(world, bucket, ingest):
    first = ingest()
    assert (first.documents.added, first.source, first.release) == (2, "shelf", 1)
    again = ingest()
    assert (again.state, again.parsed, again.documents.unchanged) == ("unchanged", 0, 2)
    bucket.pipe("/shelf/a.txt", b"A text about herons in a bucket.")
    bucket.mv("/shelf/sub/b.txt", "/shelf/c.txt")
    third = ingest()
    assert (third.documents.changed, third.documents.moved, third.chunks.embedded) == (1, 1, 1)
    assert {hit.uri for hit in world.keyword("bucket")} == {"a.txt", "c.txt"}


def test_a_part_of_a_bucket_and_an_emptied_one(world, bucket, ingest):
    ingest()
    bucket.pipe("/shelf/sub/c.txt", b"A new text in a bucket.")
    bucket.pipe("/shelf/d.txt", b"Outside of the part.")
    assert ingest("memory://shelf/sub").documents.added == 1
    for path in ("a.txt", "d.txt", "sub/b.txt", "sub/c.txt"):
        bucket.rm(f"/shelf/{path}")
    with pytest.raises((MassDeletion, SourceNotFound)):
        ingest()
    assert len(world.keyword("bucket", k=9)) == 3


def test_a_store_that_fails_to_list_retires_nothing(world, bucket, ingest, monkeypatch):
    ingest()

    def fail(*args, **kwargs):
        raise ConnectionError("the store is gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "find", fail)
        with pytest.raises(SourceUnavailable, match="the store is gone"):
            ingest()
    assert len(world.keyword("bucket")) == 2
