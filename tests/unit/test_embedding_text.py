import random
import socket

import numpy as np
import pytest

from schemas.errors import ConfigurationError, EmbeddingFailed, ModelNotAvailable
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tests.chunking_corpus import make_english, make_korean, make_words

pytestmark = pytest.mark.model

CARD = resolve_model(DEFAULT_TEXT_MODEL)


@pytest.fixture(scope="module")
def plain():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(CARD.path), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def exact():
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(CARD, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def automatic():
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(CARD, device="cpu")


def mixed_texts() -> list[str]:
    rng = random.Random(11)
    words = make_words(rng)
    texts = ["", "환불", "a", "  padded  ", "가" * 300, "word " * 900]
    for count in (1, 2, 3, 5, 8, 20):
        texts += [" ".join(make_korean(rng, words) for _ in range(count)) for _ in range(4)]
        texts += [" ".join(make_english(rng) for _ in range(count)) for _ in range(4)]
    rng.shuffle(texts)
    return texts


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray((ours * theirs).sum(axis=1))


def test_vectors_equal_the_librarys_for_all_lengths_and_languages(plain, exact, automatic):
    texts = mixed_texts()
    expected = plain.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    for embedder, least in ((exact, 0.999999), (automatic, 0.999)):
        vectors = embedder.embed(texts)
        assert vectors.shape == (len(texts), 384)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
        assert cosines(vectors, expected).min() >= least


def test_result_does_not_depend_on_the_company_a_text_is_in(exact):
    texts = mixed_texts()
    alone = exact.embed([texts[5]])
    assert cosines(exact.embed(texts)[5:6], alone).min() > 0.99999


def test_no_texts_give_an_empty_array(exact):
    assert exact.embed([]).shape == (0, 384)


def test_query_is_a_single_vector_near_its_answer(exact):
    query = exact.embed_query("How do I get my money back?")
    assert query.shape == (384,)
    near, far = exact.embed(["Refunds are paid within seven days.", "The cat sat on the mat."]) @ query
    assert near > far


def test_progress_counts_every_text_once(exact):
    seen: list[int] = []
    texts = ["", "환불", "the lease ends in June"] * 100
    exact.embed(texts, progress=seen.append)
    assert sum(seen) == len(texts)
    assert len(seen) > 1


def test_prompts_are_put_before_documents_and_queries(plain):
    from dataclasses import replace

    from tasks.embedding.text import load_text_embedder

    card = replace(CARD, document_prompt="passage: ", query_prompt="query: ")
    embedder = load_text_embedder(card, device="cpu", precision="float32")
    expected = plain.encode(["passage: 환불", "query: 환불"], normalize_embeddings=True)
    assert cosines(embedder.embed(["환불"]), expected[:1]).min() > 0.99999
    assert embedder.embed_query("환불") @ expected[1] > 0.99999


def test_lack_of_memory_halves_the_batches_and_gives_the_same_vectors(exact, monkeypatch):
    import torch

    from tasks.embedding.batching import TokenBudget

    texts = mixed_texts()
    expected = exact.embed(texts)
    forward = exact._forward

    def crowded(window, rows):
        if len(rows) * window.lengths[rows].max() > 600:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(window, rows)

    monkeypatch.setattr(exact, "_forward", crowded)
    monkeypatch.setattr(exact, "budget", TokenBudget(4096))
    assert cosines(exact.embed(texts), expected).min() > 0.99999
    assert exact.budget.tokens <= 600


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_unusable_vectors_are_refused_with_their_number(exact, monkeypatch, value):
    forward = exact._forward

    def broken(window, rows):
        vectors = forward(window, rows).clone()
        vectors[0] = value
        return vectors

    monkeypatch.setattr(exact, "_forward", broken)
    with pytest.raises(EmbeddingFailed, match="1 of 3 vectors") as caught:
        exact.embed(["a b", "c d", "e f"])
    assert caught.value.facts["count"] == 1


def test_loading_needs_no_network(monkeypatch):
    from tasks.embedding.text import load_text_embedder

    def refuse(*args, **kwargs):
        raise AssertionError("the loader opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load_text_embedder(CARD, device="cpu").dim == 384


def test_bfloat16_that_loses_precision_falls_back_to_float32(monkeypatch):
    from tasks.embedding import text

    probes = iter([0.9, 1.0])
    monkeypatch.setattr(text, "lowest_cosine", lambda *_: next(probes))
    embedder = text.load_text_embedder(CARD, device="cpu", precision="bfloat16")
    embedder.embed_query("환불")
    assert embedder.dtype == "float32"


def test_model_that_our_path_does_not_serve_embeds_nothing(monkeypatch):
    from tasks.embedding import text

    embedder = text.load_text_embedder(CARD, device="cpu")
    monkeypatch.setattr(text, "lowest_cosine", lambda *_: 0.9)
    for _ in range(2):
        with pytest.raises(EmbeddingFailed, match="other vectors than its library"):
            embedder.embed(["환불"])


def test_stored_probes_take_the_place_of_the_librarys_own_encode(exact, monkeypatch):
    from tasks.embedding import text

    expected = exact.reference()
    embedder = text.load_text_embedder(CARD, device="cpu", precision="bfloat16")
    monkeypatch.setattr(embedder, "reference", lambda: pytest.fail("encoded by the library"))
    assert 0.999 <= embedder.settle(expected) < 1
    assert embedder.dtype == "bfloat16"
    assert cosines(embedder.embed(["환불 규정"]), exact.embed(["환불 규정"])).min() > 0.999


def test_probes_of_other_weights_are_not_matched_in_any_number_format(exact):
    from tasks.embedding.text import load_text_embedder

    other = np.roll(exact.reference(), 1, axis=1)
    embedder = load_text_embedder(CARD, device="cpu", precision="bfloat16")
    assert embedder.settle(other) < 0.9
    assert embedder.dtype == "float32", "the last that was tried"


def test_blocks_hold_each_text_once_and_no_more_than_asked_for(exact):
    texts = mixed_texts()
    expected = exact.embed(texts)
    vectors = np.zeros_like(expected)
    places: list[int] = []
    for rows, block in exact.stream(exact.prepare(texts), most=8):
        assert len(rows) == len(block) <= 8
        vectors[rows] = block
        places += rows.tolist()
    assert sorted(places) == list(range(len(texts)))
    assert cosines(vectors, expected).min() > 0.99999


def test_compiled_path_is_the_same_call_on_a_wrapped_forward(exact, monkeypatch):
    import torch

    from tasks.embedding.text import load_text_embedder

    seen: list[bool] = []

    def wrap(forward, *, dynamic):
        def call(*args, **options):
            seen.append(dynamic)
            return forward(*args, **options)

        return call

    monkeypatch.setattr(torch, "compile", wrap)
    embedder = load_text_embedder(CARD, device="cpu", precision="float32", compile=True)
    assert cosines(embedder.embed(["환불"]), exact.embed(["환불"])).min() > 0.99999
    assert seen and all(seen)


def test_damaged_weights_are_reported(tmp_path):
    import shutil

    from tasks.embedding.text import load_text_embedder

    folder = shutil.copytree(CARD.path, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelNotAvailable, match=r"cannot be loaded: .*[^.]\. Download it again"):
        load_text_embedder(resolve_model(str(folder)), device="cpu")


@pytest.mark.parametrize("device", ["cuda:99", "no-such-device"])
def test_missing_device_is_a_configuration_error(device):
    from tasks.embedding.text import load_text_embedder

    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_text_embedder(CARD, device=device)


def test_a_device_that_pytorch_has_no_code_for_is_refused_in_one_sentence(monkeypatch):
    import torch

    from tasks.embedding.device import choose_device

    def refuse(*_, **__):
        raise NotImplementedError("Could not run 'aten::empty' with arguments from the 'MPS' backend. " * 20)

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(ConfigurationError) as found:
        choose_device("mps")
    assert found.value.message == (
        "The device 'mps' cannot be used: PyTorch does not support it on this machine."
    )


def test_cores_are_those_the_container_may_use(tmp_path):
    from tasks.cores import usable_cores

    quota = tmp_path / "cpu.max"
    quota.write_text("100000 100000\n")
    assert usable_cores(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_cores(quota) >= 1
    assert usable_cores(tmp_path / "missing") >= 1
