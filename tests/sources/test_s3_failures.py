"""A store that fails is never read as one that lost its documents."""

from __future__ import annotations

import pytest

from schemas.errors import FetchFailed, SourceNotFound, SourceUnavailable
from schemas.source import Scope, Source
from tasks.sources import remote_errors
from tasks.sources.base import locate, open_lister
from tasks.sources.remote_errors import ATTEMPTS, is_lasting
from tests.sources.store import Fault

SOURCE = Source("docs", "s3://bucket/docs", id=1)
SLOW_DOWN = Fault()
HANG_UP = Fault(hang_up=True)
CUT = Fault(cut=200)
DENIED = Fault(403, "AccessDenied")
PASSING = [SLOW_DOWN, Fault(500, "InternalError"), Fault(503, "ServiceUnavailable"), HANG_UP, CUT]


def listing(**scope):
    return open_lister(SOURCE).list(Scope(SOURCE, **scope))


@pytest.fixture
def many(store):
    """1,200 documents: two pages."""
    names = [f"{i:04}.txt" for i in range(1200)]
    for name in names:
        store.put(f"docs/{name}", b"x")
    return set(names)


def later_page(request):
    return request.is_later_page


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_page_that_fails_once_is_asked_for_again(store, many, pauses, fault):
    store.fail(later_page, fault, times=1)
    assert listing().items.keys() == many
    # after a hang-up aiohttp itself asks once more, over a new connection
    assert pauses == ([] if fault.hang_up else [0])


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_page_that_keeps_failing_raises_and_lists_nothing(store, many, pauses, fault):
    store.fail(later_page, fault)
    with pytest.raises(SourceUnavailable, match="cannot be listed") as caught:
        listing()
    assert caught.value.retryable
    assert caught.value.advice
    assert pauses == list(range(ATTEMPTS - 1))


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_name_whose_look_up_keeps_failing_is_not_absent(store, many, fault):
    names = frozenset({"0001.txt", "0002.txt", "none.txt"})
    store.fail(
        lambda request: request.key == "docs/0002.txt" or "docs/0002.txt/" in str(request.query), fault
    )
    with pytest.raises(SourceUnavailable):
        listing(names=names)
    store.heal()
    assert sorted(listing(names=names).items) == ["0001.txt", "0002.txt"]


@pytest.mark.parametrize(
    "code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"]
)
def test_wrong_credentials_are_told_at_once(store, many, pauses, code):
    store.fail(lambda request: True, Fault(403, code))
    for scope in ({}, {"prefix": "0001.txt"}, {"names": frozenset({"0001.txt", "gone.txt"})}):
        with pytest.raises(SourceNotFound, match="cannot be listed") as caught:
            listing(**scope)
        assert "credentials" in caught.value.advice
        assert not caught.value.retryable
    with pytest.raises(SourceNotFound, match="cannot be listed"):
        locate("s3://bucket/docs", [], include=(), exclude=())
    assert pauses == []


def test_no_credentials_at_all_are_told(store, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(SourceNotFound, match="credentials"):
        listing()


def test_a_key_that_may_not_be_looked_at_is_held_and_the_others_are_listed(store, many):
    """S3 answers 403 for a missing key, too, where the right to list is missing."""
    store.fail(lambda request: request.key == "docs/gone.txt", DENIED)
    found = listing(names=frozenset({"0001.txt", "gone.txt", "none.txt"}))
    assert list(found.items) == ["0001.txt"]
    assert [problem.blocked for problem in found.problems] == ["gone.txt"]


def test_a_store_that_does_not_answer_is_unavailable(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable):
        listing()
    with pytest.raises(SourceUnavailable):
        locate("s3://bucket/docs", [], include=(), exclude=())


@pytest.mark.parametrize("fault", [SLOW_DOWN, HANG_UP, Fault(cut=5)], ids=str)
def test_a_read_that_breaks_is_told_and_can_be_tried_again(store, fault):
    store.put("docs/a.txt", b"x" * 100)
    store.fail(lambda request: request.is_read, fault)
    with (
        pytest.raises(FetchFailed, match="cannot be read") as caught,
        open_lister(SOURCE).open("a.txt", "a.txt") as (stream, _),
    ):
        stream.read()
    assert caught.value.retryable


def test_a_look_up_that_fails_is_a_change(store):
    store.put("docs/a.txt", b"x")
    lister = open_lister(SOURCE)
    stat = lister.list(Scope(SOURCE)).items["a.txt"]
    store.fail(lambda request: True, SLOW_DOWN)
    assert lister.has_changed("a.txt", stat)


def test_what_a_run_failed_to_list_stays_as_it_is(store, world, ingest):
    for name in ("a", "b"):
        store.put(f"docs/{name}.txt", f"A text about the bird {name}.")
    ingest()
    store.fail(lambda request: request.is_list, SLOW_DOWN)
    with pytest.raises(SourceUnavailable):
        ingest()
    store.fail(lambda request: True, DENIED)
    with pytest.raises(SourceNotFound):
        ingest(allow_deletions=True)
    store.heal()
    again = ingest()
    assert (again.documents.unchanged, again.documents.deleted) == (2, 0)


def test_a_pause_grows_and_has_jitter(monkeypatch):
    monkeypatch.undo()
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    for attempt in (0, 0, 1, 1):
        remote_errors.back_off(attempt)
    assert 0.5 <= min(slept[:2]) <= max(slept[:2]) <= 1.0 <= min(slept[2:]) <= max(slept[2:]) <= 2.0
    assert len(set(slept)) == 4


LASTING = [PermissionError(), FileNotFoundError(), ValueError("x"), OSError(22, "x")]
PASSING_ERRORS = [TimeoutError(), ConnectionResetError(), OSError(16, "busy"), KeyError("x")]


@pytest.mark.parametrize(
    ("error", "lasts"), [(e, True) for e in LASTING] + [(e, False) for e in PASSING_ERRORS], ids=repr
)
def test_an_error_passes_or_lasts(error, lasts):
    assert is_lasting(error) is lasts


@pytest.mark.parametrize(
    ("status", "lasts"), [(401, True), (404, True), (408, False), (429, False), (500, False)]
)
def test_a_status_passes_or_lasts(status, lasts):
    error = Exception()
    error.status = status
    assert is_lasting(error) is lasts
