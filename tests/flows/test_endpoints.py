"""A collection whose model is asked by HTTP: ingested, searched, and none the worse for a server's faults."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from flows.configuration import load_settings
from flows.diagnosis import diagnose
from flows.reembedding import reembed_collection
from flows.searching import search_text
from flows.session import load_real_embedder
from registry.collections import find_collection
from schemas.errors import EmbeddingFailed, EndpointUnavailable, SpaceMismatch
from tasks.embedding import endpoint_client
from tests.embedding_server import Answer, EmbeddingServer
from tests.fake_embedder import FakeEmbedder
from tests.model_changes import count_stored, require_untouched

PROBES = 8


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint_client, "FIRST_PAUSE_S", 0.0)
    with EmbeddingServer().running() as made:
        yield made


def _describe(world, server, **changes):
    settings = world.session.settings.model_copy(update={"endpoints": {"kure": server.settings(**changes)}})
    world.session = replace(world.session, settings=settings)


def _use(world, server, **changes):
    _describe(world, server, **changes)
    world.session = replace(world.session, load_embedder=load_real_embedder)
    world.configure(model="endpoint:kure")


def _count_probes(world):
    with world.session.db.connection() as connection:
        return connection.execute("SELECT count(*) FROM space_probe").fetchone()[0]


def _mixed(order):
    """Answers with a vector for each text and the right `index`, but those of other texts."""

    def misbehave(texts, rows):
        vectors = [row["embedding"] for row in rows]
        places = order(len(rows))
        return [row | {"embedding": vectors[place]} for row, place in zip(rows, places, strict=True)]

    return misbehave


MIXED = {
    "shuffled": _mixed(lambda count: np.random.default_rng(1).permutation(count)),
    "reversed": _mixed(lambda count: range(count)[::-1]),
    "two exchanged": _mixed(lambda count: [1, 0, *range(2, count)][:count] if count > 1 else [0]),
}


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


@pytest.mark.parametrize("mixed", MIXED.values(), ids=MIXED)
def test_an_endpoint_that_answers_in_another_order_is_refused_before_anything_is_stored(world, server, mixed):
    _use(world, server)
    world.write("storks.txt", "Storks nest on chimneys.")
    server.misbehave = mixed
    with pytest.raises(EmbeddingFailed, match=r"'kure'.* alone than together .*not in the order") as found:
        world.ingest()
    assert "batch = 1 in [endpoints.kure]" in found.value.advice
    assert _count_probes(world) == 0
    assert sum(server.sizes) == 2 * PROBES, "no document was asked for"
    assert find_collection(world.session.db, "default").current_release == 0
    _describe(world, server, batch=1)
    assert world.ingest().chunks.embedded == 1, "no order can be wrong of one text"


def test_a_collection_is_not_switched_to_an_endpoint_that_answers_in_another_order(birds, server):
    def load(card, settings):
        return (load_real_embedder if card.name == "served" else birds.models.load)(card, settings)

    birds.session = replace(birds.session, load_embedder=load)
    _describe(birds, server)
    birds.configure(next={"model": "endpoint:kure"})
    server.misbehave = MIXED["shuffled"]
    with pytest.raises(EmbeddingFailed, match="not in the order"):
        reembed_collection(birds.session, "default")
    assert count_stored(birds) == 0
    require_untouched(birds)
    server.misbehave = lambda texts, rows: None
    assert reembed_collection(birds.session, "default").embedded == 12


def test_another_model_behind_the_address_is_noticed_before_it_writes_or_searches(world, server):
    _use(world, server)
    world.write("storks.txt", "Storks nest on chimneys.")
    world.ingest()
    good, server.model = server.model, FakeEmbedder(revision="2", dim=server.dim)
    world.write("herons.txt", "Herons wait in shallow water.")
    for work in (world.ingest, lambda: search_text(world.session, "storks", "default")):
        with pytest.raises(SpaceMismatch, match=r"'kure'.*another model is behind the address") as found:
            work()
        assert "a `revision` of its own" in found.value.advice
    assert find_collection(world.session.db, "default").current_release == 1
    server.model = good
    assert world.ingest().chunks.embedded == 1


def test_a_probe_costs_nine_requests_of_a_new_space_and_one_of_each_process_later(world, server):
    _use(world, server)
    world.write("storks.txt", "Storks nest on chimneys.")
    world.ingest()
    assert server.sizes == [1] * PROBES + [PROBES, 1]
    search_text(world.session, "storks", "default")
    assert server.sizes[PROBES + 2 :] == [PROBES, 1]


@pytest.mark.parametrize("is_probe", [True, False], ids=["probe", "document"])
@pytest.mark.parametrize(
    "answer",
    [Answer(200, b"<html>"), Answer(200, {"data": []}), Answer(401), Answer(500)],
    ids=["html", "short", "key", "down"],
)
def test_a_fault_of_the_server_activates_nothing_and_the_next_run_goes_on(world, server, answer, is_probe):
    text = "Herons wait in shallow water."
    _use(world, server, concurrency=1)
    world.write("herons.txt", text)
    server.misbehave = lambda texts, rows: answer if is_probe or text in texts else None
    with pytest.raises(Exception, match="The endpoint 'kure'"):
        world.ingest()
    assert _count_probes(world) == (0 if is_probe else 1)
    assert find_collection(world.session.db, "default").current_release == 0
    server.misbehave = lambda texts, rows: None
    assert world.ingest().chunks.embedded == 1


def test_what_was_embedded_before_the_server_died_is_not_embedded_again(world, server, monkeypatch):
    monkeypatch.setattr("tasks.vectors.STORE_CHUNKS", 2)
    _use(world, server, concurrency=1)
    for number in range(6):
        world.write(f"{number}.txt", f"Sentence {number} about {'storks herons owls'.split()[number % 3]}.")
    probed = 2 * PROBES
    server.misbehave = lambda texts, rows: Answer(500) if sum(server.sizes) >= probed + 4 else None
    with pytest.raises(EmbeddingFailed, match="asked 6 times"):
        world.ingest()
    server.misbehave = lambda texts, rows: None
    assert world.ingest().chunks.embedded == 2
    assert sum(server.sizes) == probed + 4 + PROBES + 2


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
