"""A collection whose model is asked by HTTP: ingested, searched, and none the worse for a server's faults."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from flows.configuration import load_settings
from flows.diagnosis import diagnose
from flows.searching import search_text
from flows.session import load_real_embedder
from registry.collections import find_collection
from schemas.errors import EmbeddingFailed, EndpointUnavailable
from tasks.embedding import endpoint_client
from tests.embedding_server import Answer, EmbeddingServer


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint_client, "FIRST_PAUSE_S", 0.0)
    with EmbeddingServer().running() as made:
        yield made


def _use(world, server, **changes):
    settings = world.session.settings.model_copy(update={"endpoints": {"kure": server.settings(**changes)}})
    world.session = replace(world.session, settings=settings, load_embedder=load_real_embedder)
    world.configure(model="endpoint:kure")


def test_documents_are_embedded_and_found_by_an_endpoint(world, server):
    _use(world, server)
    world.write("storks.txt", "Storks nest on chimneys.")
    world.write("휴가.txt", "연차 휴가는 열다섯 날이 주어진다.")
    assert world.ingest().chunks.embedded == 2
    hits = search_text(world.session, "where do storks nest", "default", k=1)
    assert [hit.uri for hit in hits] == ["storks.txt"]
    assert world.ingest().chunks.embedded == 0


def test_a_search_is_not_kept_by_an_endpoint_that_asks_for_patience(world, server, monkeypatch):
    def sleep(seconds, _):
        raise AssertionError(f"somebody waits {seconds} s for a search")

    _use(world, server)
    world.write("storks.txt", "Storks nest on chimneys.")
    world.ingest()
    monkeypatch.setattr(endpoint_client, "Waiting", partial(endpoint_client.Waiting, sleep=sleep))
    server.misbehave = lambda texts, rows: Answer(429, Retry_After="90")
    for mode in ("hybrid", "vector"):
        with pytest.raises(EndpointUnavailable, match="asks to wait 90 s") as found:
            search_text(world.session, "storks", "default", mode=mode)
        assert "--mode keyword" in found.value.advice
    hits = search_text(world.session, "storks", "default", mode="keyword")
    assert [hit.uri for hit in hits] == ["storks.txt"]


@pytest.mark.parametrize(
    "answer",
    [Answer(200, b"<html>"), Answer(200, {"data": []}), Answer(401), Answer(500)],
    ids=["html", "short", "key", "down"],
)
def test_a_fault_of_the_server_activates_nothing_and_the_next_run_goes_on(world, server, answer):
    _use(world, server, concurrency=1)
    world.write("storks.txt", "Storks nest on chimneys.")
    server.misbehave = lambda texts, rows: answer
    with pytest.raises(Exception, match="The endpoint 'kure'"):
        world.ingest()
    assert find_collection(world.session.db, "default").current_release == 0
    server.misbehave = lambda texts, rows: None
    assert world.ingest().chunks.embedded == 1


def test_what_was_embedded_before_the_server_died_is_not_embedded_again(world, server, monkeypatch):
    monkeypatch.setattr("tasks.vectors.STORE_CHUNKS", 2)
    _use(world, server, concurrency=1)
    for number in range(6):
        world.write(f"{number}.txt", f"Sentence {number} about {'storks herons owls'.split()[number % 3]}.")
    server.misbehave = lambda texts, rows: Answer(500) if sum(server.sizes) >= 4 else None
    with pytest.raises(EmbeddingFailed, match="asked 6 times"):
        world.ingest()
    server.misbehave = lambda texts, rows: None
    assert world.ingest().chunks.embedded == 2
    assert sum(server.sizes) == 6


def test_doctor_says_whether_an_endpoint_answers_as_configured(world, server, tmp_path):
    (tmp_path / "key").write_text("sk-1")

    def checks(**changes):
        _use(world, server, **changes)
        return {check.name: check for check in diagnose(world.session.settings)}

    found = checks()
    assert found["endpoint 'kure'"].ok
    assert "64 dimensions" in found["endpoint 'kure'"].detail
    assert found["model of 'default' (documents)"].ok
    assert "not the 65 that are configured" in checks(dim=65)["endpoint 'kure'"].detail
    clear = checks(url="http://127.0.0.2.invalid:1/v1", key=tmp_path / "key")
    assert not clear["endpoint 'kure', key"].ok
    assert clear["endpoint 'kure', key"].optional
    assert not clear["endpoint 'kure'"].ok
    assert "endpoint 'kure', key" not in checks(key=tmp_path / "key")


def test_paths_of_an_endpoint_start_from_the_file_and_a_wrong_name_is_guessed(tmp_path):
    config = tmp_path / "revector.toml"
    section = '[endpoints.kure]\nurl = "http://x/v1"\nmodel = "m"\nrevision = "r"\ndim = 4\nmax_tokens = 64\n'
    config.write_text(section + 'key = "kure.key"\ntokenizer = "./tok"\n')
    endpoint = load_settings(config, environ={}).endpoints["kure"]
    assert (endpoint.key, endpoint.tokenizer) == (tmp_path / "kure.key", str(tmp_path / "tok"))
    config.write_text(section + "batchh = 3\n")
    with pytest.raises(Exception, match="Did you mean batch"):
        load_settings(config, environ={})
