"""An endpoint is asked with patience, and nothing that it says is believed unseen."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import unicodedata
from functools import partial
from itertools import product

import numpy as np
import pytest

from schemas.errors import (
    ConfigurationError,
    EmbeddingFailed,
    EndpointUnavailable,
    ModelNotAvailable,
)
from tasks.chunking.tokens import TokenCounter
from tasks.embedding import endpoint_card
from tasks.embedding.base import ProbedEmbedder
from tasks.embedding.endpoint import EndpointEmbedder
from tasks.embedding.endpoint_answer import read_complaint, read_patience
from tasks.embedding.endpoint_client import Waiting
from tasks.embedding.resolve import resolve_card
from tests.embedding_server import Answer, Drip, EmbeddingServer

TEXTS = [f"text number {i}" for i in range(40)]


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def sleep(self, seconds, _):
        self.slept.append(seconds)
        self.now += seconds

    @property
    def waiting(self):
        return Waiting(self.sleep, lambda: self.now, lambda: 1_000_000.0, lambda: 1.0)


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with EmbeddingServer().running() as made:
        yield made


def _card(server, **changes):
    return resolve_card("documents", "endpoint:kure", endpoints={"kure": server.settings(**changes)})


def _embedder(server, clock=None, *, is_hurried=False, **changes):
    card = _card(server, **changes)
    card = card.hurried() if is_hurried else card
    return EndpointEmbedder(card, waiting=clock and clock.waiting)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_model_in_order_and_of_unit_length(server, encoding):
    told = []
    embedder = _embedder(server, batch=7, encoding=encoding)
    vectors = embedder.embed(TEXTS, progress=told.append)
    np.testing.assert_allclose(vectors, server.model.embed(TEXTS), atol=1e-6)
    assert vectors.dtype == np.float32
    assert (sum(told), max(server.sizes)) == (40, 7)
    assert {question["model"] for question in server.requests} == {"served"}
    np.testing.assert_allclose(embedder.embed_query("a b"), server.model.embed_query("a b"), atol=1e-6)
    assert embedder.embed([]).shape == (0, 64)


def test_batches_that_are_answered_in_another_order_keep_theirs(server):
    turn = threading.Barrier(2, timeout=10)
    last = threading.Event()

    def first_waits(texts):
        turn.wait()  # two requests are in flight at the same time
        if TEXTS[0] in texts:
            assert last.wait(10)
        else:
            last.set()

    server.before = first_waits
    vectors = _embedder(server, batch=20, concurrency=2).embed(TEXTS)
    np.testing.assert_allclose(vectors, server.model.embed(TEXTS), atol=1e-6)


def test_rows_in_another_order_are_put_in_theirs(server):
    server.misbehave = lambda texts, rows: rows[::-1]
    np.testing.assert_allclose(_embedder(server).embed(TEXTS), server.model.embed(TEXTS), atol=1e-6)


def _with(value):
    def misbehave(texts, rows):
        rows[0]["embedding"] = value(rows[0]["embedding"])
        return rows

    return misbehave


BAD = {
    "fewer": lambda texts, rows: rows[:-1],
    "more": lambda texts, rows: [*rows, {**rows[0], "index": len(rows)}],
    "twice": lambda texts, rows: [rows[0], *rows[:-1]],
    "without index": lambda texts, rows: [{"embedding": row["embedding"]} for row in rows],
    "another dimension": _with(lambda vector: vector[:-1]),
    "nan": _with(lambda vector: [float("nan"), *vector[1:]]),
    "infinite": _with(lambda vector: [float("inf"), *vector[1:]]),
    "null": _with(lambda vector: [None, *vector[1:]]),
    "zero": _with(lambda vector: [0.0] * len(vector)),
    "no base64": _with(lambda vector: "%%%"),
    "html": lambda texts, rows: Answer(200, b"<html>Welcome</html>"),
    "cut short": lambda texts, rows: Answer(200, b'{"data": [{"index": 0, "embedd'),
    "huge": lambda texts, rows: Answer(200, b" " * 4_000_000),
    "bomb": lambda texts, rows: Answer(200, gzip.compress(b" " * 4_000_000), Content_Encoding="gzip"),
    "no gzip": lambda texts, rows: Answer(200, b"{}", Content_Encoding="gzip"),
    "redirect": lambda texts, rows: Answer(302, b"", Location="http://127.0.0.1:9/"),
    "no quota": lambda texts, rows: Answer(429, {"error": {"code": "insufficient_quota", "message": "pay"}}),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_answer_that_is_wrong_is_refused_at_once_and_the_endpoint_named(server, kind, tmp_path):
    (tmp_path / "key").write_text("sk-secret-1\n")
    server.misbehave = BAD[kind]
    with pytest.raises(EmbeddingFailed, match="The endpoint 'kure'") as found:
        _embedder(server, key=tmp_path / "key", concurrency=1).embed(TEXTS)
    assert not isinstance(found.value, EndpointUnavailable)
    assert "sk-secret" not in str(found.value)
    assert len(server.requests) == 1


def _fail_first(times, answer):
    left = [times]

    def misbehave(texts, rows):
        left[0] -= 1
        if left[0] < 0:
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    return misbehave


@pytest.mark.parametrize(
    "answer",
    [Answer(500), Answer(503, b"<html>busy"), Answer(429), ConnectionAbortedError()],
    ids=["500", "503", "429", "aborted"],
)
def test_a_server_in_trouble_is_asked_again_after_longer_and_longer_pauses(server, answer):
    clock = Clock()
    server.misbehave = _fail_first(3, answer)
    vectors = _embedder(server, clock, concurrency=1).embed(TEXTS)
    np.testing.assert_allclose(vectors, server.model.embed(TEXTS), atol=1e-6)
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_server_that_names_a_time_is_asked_then(server):
    clock = Clock()
    server.misbehave = _fail_first(1, Answer(429, Retry_After="17"))
    _embedder(server, clock, concurrency=1).embed(TEXTS)
    assert clock.slept == [17.0]
    server.misbehave = _fail_first(1, Answer(429, Retry_After="86400"))
    with pytest.raises(EndpointUnavailable):
        _embedder(server, clock, concurrency=1).embed(TEXTS)
    assert clock.slept == [17.0]


def test_a_query_of_a_run_waits_as_long_as_the_server_asks_for(server):
    clock = Clock()
    server.misbehave = _fail_first(1, Answer(429, Retry_After="90"))
    assert _embedder(server, clock).embed_query("a canary").shape == (64,)
    assert clock.slept == [90.0]


def test_a_search_waits_only_for_what_comes_within_its_time(server):
    clock = Clock()
    server.misbehave = _fail_first(1, Answer(429, Retry_After="4"))
    assert _embedder(server, clock, is_hurried=True).embed_query("somebody waits").shape == (64,)
    assert clock.slept == [4.0]
    for answer in (Answer(429, Retry_After="90"), Answer(503, Retry_After="10")):
        server.misbehave = _fail_first(1, answer)
        says = (
            rf"answers {answer.status}, and asks to wait {answer.headers['Retry-After']} s; it was asked once"
        )
        with pytest.raises(EndpointUnavailable, match=says) as found:
            _embedder(server, clock, is_hurried=True).embed_query("somebody waits")
        assert "--mode keyword" in found.value.advice
    assert clock.slept == [4.0]


def test_a_probe_waits_as_long_as_a_run_and_for_a_search_as_long_as_a_query(server):
    clock = Clock()
    expected = _embedder(server).reference()
    for is_hurried, ask in product((False, True), ("reference", "settle")):
        embedder = _embedder(server, clock, is_hurried=is_hurried)
        work = embedder.reference if ask == "reference" else partial(embedder.settle, expected)
        server.misbehave = _fail_first(1, Answer(429, Retry_After="90"))
        if is_hurried:
            with pytest.raises(EndpointUnavailable, match="asks to wait 90 s; it was asked once"):
                work()
        else:
            work()
    assert clock.slept == [90.0, 90.0]
    server.misbehave = lambda texts, rows: Answer(500)
    with pytest.raises(EndpointUnavailable, match="asked 6 times"):
        _embedder(server, clock).reference()


@pytest.mark.parametrize(("batch", "sizes"), [(64, [8]), (8, [8]), (3, [2, 2, 2, 2]), (1, [1] * 8)])
def test_a_probe_is_asked_for_alone_and_then_together_as_far_as_a_batch_goes(server, batch, sizes):
    embedder = _embedder(server, batch=batch, document_prompt="passage: ")
    assert isinstance(embedder, ProbedEmbedder)
    expected = embedder.reference()
    assert server.sizes == [1] * 8
    assert embedder.settle(expected) == pytest.approx(1)
    assert server.sizes[8:] == sizes
    texts = [text for question in server.requests for text in question["input"]]
    assert texts[:8] == texts[8:]
    assert all(text.startswith("passage: ") for text in texts)
    np.testing.assert_allclose(expected, server.model.embed(texts[:8]), atol=1e-6)


def test_no_two_probes_could_be_taken_for_each_other_and_together_they_cost_few_tokens(server):
    expected = _embedder(server).reference()
    assert np.triu(expected @ expected.T, 1).max() < 0.9
    counter = TokenCounter.for_model(_card(server).path)
    texts = [question["input"][0] for question in server.requests]
    assert sum(counter.count(texts)) + len(texts) * counter.special_tokens < 150


def test_a_search_waits_for_no_turn_that_comes_too_late(server):
    clock = Clock()
    server.misbehave = _fail_first(1, Answer(500))
    embedder = _embedder(server, clock, is_hurried=True, requests_per_minute=3)
    with pytest.raises(EndpointUnavailable, match="answers 500; it was asked once"):
        embedder.embed_query("somebody waits")
    assert clock.slept == []


def test_a_search_does_not_ask_a_silent_server_twice(server, monkeypatch):
    monkeypatch.setattr(endpoint_card, "QUERY_PATIENCE_S", 0.2)
    silence = threading.Event()
    server.before = lambda texts: silence.wait(30)
    try:
        with pytest.raises(EndpointUnavailable, match=r"ReadTimeout.*asked once"):
            _embedder(server, is_hurried=True, timeout_s=0.3).embed_query("somebody waits")
    finally:
        silence.set()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", 0), ("3", 3), ("-3", 0), ("nan", 0), ("inf", 0), ("soon", 0),
     ("Mon, 12 Jan 1970 13:46:50 GMT", 10), ("Mon, 12 Jan 1970 13:00:00 GMT", 0)],
)  # fmt: skip
def test_patience_is_a_number_or_a_date(value, seconds):
    assert read_patience(value, 1_000_000.0) == seconds


def test_an_endpoint_that_stays_down_is_given_up_and_may_be_tried_again(server):
    clock = Clock()
    server.misbehave = lambda texts, rows: Answer(500)
    embedder = _embedder(server, clock, concurrency=1)
    with pytest.raises(EndpointUnavailable, match="asked 6 times") as found:
        embedder.embed(TEXTS)
    assert found.value.retryable
    with pytest.raises(EndpointUnavailable, match="asked 2 times"):
        embedder.embed_query("somebody waits")
    server.misbehave = lambda texts, rows: None
    assert len(embedder.embed(TEXTS)) == 40


def test_a_server_that_does_not_answer_in_time_is_given_up(server):
    silence = threading.Event()
    server.before = lambda texts: silence.wait(30)
    try:
        with pytest.raises(EndpointUnavailable, match="ReadTimeout"):
            _embedder(server, Clock(), timeout_s=0.05).embed_query("hello")
    finally:
        silence.set()


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_server_that_sends_single_bytes_is_waited_for_no_longer(server, where):
    server.misbehave = lambda texts, rows: Drip(where)
    embedder = _embedder(server, Clock(), timeout_s=0.4)
    with pytest.raises(EndpointUnavailable, match=r"ReadTimeout.*asked 2 times"):
        embedder.embed_query("hello")
    server.misbehave = lambda texts, rows: None
    assert embedder.embed_query("hello").shape == (64,), "it is connected to again"


def test_an_error_ends_the_requests_that_are_in_flight(server):
    server.before = lambda texts: TEXTS[0] in texts or server.dripping.wait(10)
    server.misbehave = lambda texts, rows: Drip("header") if TEXTS[0] in texts else Answer(401)
    embedder = _embedder(server, Clock(), timeout_s=60, batch=20, concurrency=2)
    with pytest.raises(ModelNotAvailable):
        embedder.embed(TEXTS)
    left = [thread for thread in threading.enumerate() if thread.name.startswith("endpoint")]
    for thread in left:
        thread.join(1)
    assert not any(thread.is_alive() for thread in left), "the process could not exit"
    server.misbehave = lambda texts, rows: None
    assert len(embedder.embed(TEXTS)) == 40


def test_who_is_given_up_while_it_asks_for_patience_is_said_to_be_asked_as_often_as_it_was(
    server, monkeypatch
):
    monkeypatch.setattr(EndpointEmbedder, "_longest", 0.3)
    patient = Waiting(sleep=lambda seconds, stop: stop.wait(10))
    server.misbehave = lambda texts, rows: Answer(503, Retry_After="60")
    card = resolve_card("documents", "endpoint:kure", endpoints={"kure": server.settings(concurrency=1)})
    with pytest.raises(EndpointUnavailable, match=r"no vectors for .* asked once"):
        EndpointEmbedder(card, waiting=patient).embed(TEXTS[:5])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_that_is_refused_is_halved_and_the_size_kept(server, status):
    server.misbehave = lambda texts, rows: Answer(status, {"error": "too many"}) if len(texts) > 5 else None
    embedder = _embedder(server, concurrency=1, batch=40)
    np.testing.assert_allclose(embedder.embed(TEXTS), server.model.embed(TEXTS), atol=1e-6)
    asked = len(server.requests)
    embedder.embed(TEXTS)
    assert len(server.requests) - asked == 8, "none of five is refused again"


def test_a_text_that_is_too_long_is_cut_where_the_model_stops_reading(server):
    long = "word " * 900
    server.misbehave = lambda texts, rows: Answer(400) if len(texts[0].split()) > 254 else None
    vector = _embedder(server).embed([long])
    np.testing.assert_allclose(vector[0], server.model.embed_query("word " * 254), atol=1e-6)
    server.misbehave = lambda texts, rows: Answer(400, {"message": "no"})
    with pytest.raises(EmbeddingFailed, match=r"answers 400 \(no\)"):
        _embedder(server).embed(["short"])


def test_a_message_of_the_server_never_repeats_a_text(server):
    server.misbehave = lambda texts, rows: Answer(409 + 9, {"error": {"message": f"bad input {texts[0]}"}})
    with pytest.raises(EmbeddingFailed) as found:
        _embedder(server).embed(["a very private sentence"])
    assert "private" not in str(found.value)


PRIVATE = "passage: 환자 김철수는 1972년에 태어났다.\nHe is a very private person."


@pytest.mark.parametrize(
    "quoted",
    [
        "김철수는 1972년에 태어났다",
        "is a very PRIVATE person",
        json.dumps(PRIVATE[9:]),
        repr(PRIVATE[12:40]),
        unicodedata.normalize("NFD", PRIVATE[9:30]),
    ],
)
def test_no_part_of_a_text_is_repeated_wherever_it_begins(quoted):
    for error in ({"message": f"bad: {quoted}", "code": "too_long"}, f"bad: {quoted}"):
        said, code = read_complaint(json.dumps({"error": error}).encode(), texts=[PRIVATE])
        assert (said, code) == ("", "too_long" if isinstance(error, dict) else "")
    body = json.dumps({"error": {"message": "512 tokens at most.", "code": quoted}}).encode()
    assert read_complaint(body, texts=[PRIVATE]) == ("512 tokens at most", "")


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_fails_at_once_and_is_shown_nowhere(server, status, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    (tmp_path / "key").write_text("sk-secret-1\n")
    server.misbehave = lambda texts, rows: Answer(status, {"error": {"message": "wrong key sk-secret-1"}})
    embedder = _embedder(server, key=tmp_path / "key", concurrency=1)
    with pytest.raises(ModelNotAvailable, match="refuses the key") as found:
        embedder.embed(TEXTS)
    assert server.keys == ["Bearer sk-secret-1"]
    shown = f"{found.value!r} {found.value} {found.value.facts} {embedder.__dict__} {caplog.text}"
    assert "sk-secret" not in shown


@pytest.mark.parametrize("held", [None, b"", b"two words", "열쇠".encode(), b"\xff"])
def test_a_file_without_a_key_is_an_error_of_the_configuration(server, held, tmp_path):
    if held is not None:
        (tmp_path / "key").write_bytes(held)
    with pytest.raises(ConfigurationError, match="key"):
        _embedder(server, key=tmp_path / "key")
    assert server.requests == []


def test_requests_keep_to_the_limit_per_minute(server):
    clock = Clock()
    _embedder(server, clock, batch=10, concurrency=1, requests_per_minute=30).embed(TEXTS)
    assert clock.slept == [2.0, 2.0, 2.0]


def test_the_space_is_of_what_the_operator_vouches_for_and_not_of_the_address(server, tmp_path):
    card = resolve_card("documents", "endpoint:a", endpoints={"a": server.settings(document_prompt="p: ")})
    moved = server.settings(document_prompt="p: ", url="https://elsewhere/v1", key=tmp_path / "k", batch=1)
    other = resolve_card("documents", "endpoint:b", endpoints={"b": moved})
    assert card.space() == other.space()
    space = card.space()
    assert (space.provider, space.model, space.revision, space.dim) == ("openai", "served", "r1", 64)
    assert card.max_tokens == 256 - 2 - 2, "special tokens and the prompt are no text"
    changed = resolve_card("documents", "endpoint:c", endpoints={"c": server.settings(revision="r2")})
    assert changed.space().fingerprint != space.fingerprint


def test_an_unknown_endpoint_names_those_there_are(server):
    with pytest.raises(ConfigurationError, match="Configured are: kure"):
        resolve_card("documents", "endpoint:x", endpoints={"kure": server.settings()})
    with pytest.raises(ConfigurationError, match="holds images"):
        resolve_card("images", "endpoint:kure", endpoints={"kure": server.settings()})


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://user:pass@x/v1", "http://x/v1?key=1", "x", "http://"])
def test_an_address_that_hides_a_secret_or_is_none_is_refused(server, url):
    with pytest.raises(ValueError, match="url"):
        server.settings(url=url)
