"""A bucket through the whole pipeline: what changed is told by ETags, nothing else is read."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from schemas.errors import MassDeletion
from tests.sources.store import Fault


@pytest.fixture
def birds(store):
    for name in ("heron", "stork", "crane"):
        store.put(f"docs/{name}.txt", f"A text about the {name}, which lives at the lake.")
    return store


def test_an_unchanged_bucket_is_listed_and_nothing_in_it_is_looked_at(birds, world, ingest):
    assert ingest().documents.added == 3
    assert sorted(birds.reads()) == ["docs/crane.txt", "docs/heron.txt", "docs/stork.txt"]
    birds.requests.clear()
    again = ingest()
    assert (again.state, again.documents.unchanged) == ("unchanged", 3)
    assert [request for request in birds.requests if request.key] == []


def test_an_overwritten_object_is_changed_and_a_deleted_one_is_deleted(birds, world, ingest):
    ingest()
    birds.requests.clear()
    birds.put("docs/heron.txt", "A text about the pelican.")
    birds.delete("docs/stork.txt")
    report = ingest()
    assert (report.documents.changed, report.documents.deleted, report.documents.unchanged) == (1, 1, 1)
    assert set(birds.reads()) == {"docs/heron.txt"}
    assert {hit.uri for hit in world.keyword("text")} == {"heron.txt", "crane.txt"}


def test_the_same_content_uploaded_again_is_not_embedded_again(birds, world, ingest):
    text = b"A text about the kingfisher. " * 220_000
    birds.put_parts("docs/crane.txt", [b"A text about the crane."])
    ingest()
    embedded = world.embedder.embedded
    etag = birds.put_parts("docs/heron.txt", [b"A text about the heron, which lives at the lake."])
    assert etag.strip('"').endswith("-1")
    report = ingest()
    assert (report.documents.unchanged, report.chunks.embedded, world.embedder.embedded) == (3, 0, embedded)
    birds.requests.clear()
    ingest()
    assert birds.reads() == []  # the new ETag is remembered
    assert len(text) > 5 << 20
    etag = birds.put_parts("docs/heron.txt", [text[: 5 << 20], text[5 << 20 :]])
    assert etag.strip('"').endswith("-2")
    assert ingest().documents.changed == 1


def test_korean_keys_in_either_form_are_followed(store, world, ingest):
    composed, decomposed = "보고서/가나다.txt", normalize("NFD", "문서/라마바.txt")
    store.put(f"docs/{composed}", "두루미는 호수에 산다.")
    store.put(f"docs/{decomposed}", "왜가리는 강에 산다.")
    assert ingest().documents.added == 2
    store.put(f"docs/{decomposed}", "왜가리는 바다에 산다.")
    report = ingest()
    assert (report.documents.changed, report.documents.unchanged) == (1, 1)
    store.delete(f"docs/{decomposed}")
    assert ingest().documents.deleted == 1
    assert [hit.uri for hit in world.keyword("두루미")] == [composed]


def test_a_part_of_a_bucket_and_a_single_object(birds, world, ingest):
    birds.put("docs/sub/owl.txt", "A text about the owl.")
    ingest()
    birds.put("docs/sub/owl.txt", "A text about the eagle owl.")
    birds.put("docs/heron.txt", "A text about the pelican.")
    assert ingest("s3://bucket/docs/sub").documents.changed == 1
    assert ingest("s3://bucket/docs/heron.txt").documents.changed == 1
    birds.delete("docs/heron.txt")
    report = ingest("s3://bucket/docs/heron.txt", allow_deletions=True)
    assert report.documents.deleted == 1


def test_an_empty_object_is_rejected_and_an_odd_key_held(birds, world, ingest):
    birds.put("docs/empty.txt", b"")
    birds.put("docs//odd.txt", "A text.")
    ingest()
    assert {uri: past.error for uri, past in world.rejections().items()} == {
        "empty.txt": "EmptyDocument", "/odd.txt": "NotListed"
    }  # fmt: skip


def test_an_emptied_bucket_stops_the_run(birds, world, ingest):
    ingest()
    for name in ("heron", "stork", "crane"):
        birds.delete(f"docs/{name}.txt")
    with pytest.raises(MassDeletion):
        ingest()
    assert len(world.keyword("text")) == 3


def test_an_object_that_cannot_be_read_is_rejected_and_tried_again(birds, world, ingest):
    birds.fail(lambda request: request.is_read and "heron" in request.key, Fault(500, "InternalError"))
    first = ingest()
    assert (first.documents.added, world.rejections()["heron.txt"].error) == (2, "FetchFailed")
    birds.heal()
    assert ingest().documents.added == 1


def test_a_broken_read_leaves_what_is_shown(birds, world, ingest):
    ingest()
    birds.put("docs/heron.txt", "A text about the pelican.")
    birds.fail(lambda request: request.is_read, Fault(cut=3))
    ingest()
    assert "heron" in world.keyword("heron")[0].text
    birds.heal()
    assert ingest().documents.changed == 1
