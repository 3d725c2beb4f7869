"""One model on several devices gives what it gives on one; real processes, and two real models once each."""

from __future__ import annotations

import re
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.shapes import TextShape, build_text_model
from flows.configuration import load_settings
from flows.diagnosis import diagnose
from schemas.errors import ConfigurationError, EmbeddingFailed, ModelNotAvailable
from schemas.settings import Settings
from tasks.embedding import several
from tasks.embedding.base import ProbedEmbedder, SharedEmbedder, StreamingEmbedder
from tasks.embedding.card import resolve_model
from tasks.embedding.image_card import resolve_image_model
from tasks.embedding.processes import DevicePool
from tasks.embedding.resolve import load_embedder
from tasks.embedding.several import FEW, SeveralImageEmbedder, SeveralTextEmbedder
from tests import device_models as models
from tests.pictures import file
from tests.tiny_clip import build_tiny_clip

TEXTS = [f"Lease {number} ends. " * (1 + number * 7 % 5) for number in range(FEW + 60)]
TINY = TextShape(layers=2, width=32, inner=64, heads=2, vocabulary=30_522, tokens=64)


def make(*loads, kind=SeveralTextEmbedder):
    return kind(models.DeviceFake("first"), DevicePool(loads))


@pytest.fixture(scope="module")
def shared():
    made = make(models.load("one", room=500), models.load("two"))
    yield made
    made._pool.close()


def embedded(embedder):
    return embedder._pool.ask_all(attrgetter("embedded"))


# --- texts ----------------------------------------------------------------------------------


def test_it_is_what_the_pipeline_wants_of_texts_and_of_images():
    texts, images = make(models.load("one")), make(models.load("one"), kind=SeveralImageEmbedder)
    assert isinstance(texts, StreamingEmbedder)
    assert not isinstance(images, StreamingEmbedder)
    assert isinstance(texts, ProbedEmbedder)
    assert isinstance(images, ProbedEmbedder)
    assert (texts.name, texts.revision, texts.dim) == ("all-MiniLM-L6-v2", "1", 384)


def test_a_window_is_embedded_by_all_and_each_text_once(shared):
    before = embedded(shared)
    blocks = list(shared.stream(shared.prepare(TEXTS), most=10))
    assert max(len(rows) for rows, _ in blocks) == 10
    rows = np.concatenate([rows for rows, _ in blocks])
    assert sorted(rows.tolist()) == list(range(len(TEXTS)))
    vectors = np.concatenate([vectors for _, vectors in blocks])
    assert np.array_equal(vectors[np.argsort(rows)], models.DeviceFake("one").embed(TEXTS))
    shares = np.subtract(embedded(shared), before)
    assert shares.min() >= 10
    assert shares.sum() == len(TEXTS)


def test_texts_of_a_block_are_of_nearly_equal_length(shared):
    lengths = shared.prepare(TEXTS).lengths
    spans = [np.ptp(lengths[rows]) for rows, _ in shared.stream(shared.prepare(TEXTS), most=40)]
    assert np.mean(spans) < np.ptp(lengths) / 3


def test_a_window_that_is_one_block_for_one_device_is_cut_for_several(shared):
    sizes = [len(rows) for rows, _ in shared.stream(shared.prepare(TEXTS), most=4096)]
    assert len(sizes) == 8
    assert max(sizes) == -(-len(TEXTS) // 8)


def test_vectors_come_in_the_order_of_the_texts_and_are_counted(shared, monkeypatch):
    monkeypatch.setattr(several, "_WINDOW", FEW + 5)
    told = []
    vectors = shared.embed(TEXTS, progress=told.append)
    assert np.array_equal(vectors, models.DeviceFake("one").embed(TEXTS))
    assert sum(told) == len(TEXTS)
    assert shared.embed([]).shape == (0, 384)


def test_lack_of_memory_halves_the_batches_of_that_device_only(shared):
    list(shared.stream(shared.prepare(TEXTS), most=40))
    one, two = shared._pool.ask_all(attrgetter("budget"))
    assert one.tokens <= 500
    assert two.tokens == 4096


def test_a_query_and_few_texts_start_no_process():
    embedder = make(models.load_gone("one"))
    assert embedder.settle(embedder.reference()) == 1
    assert embedder.embed_query("storks").shape == (384,)
    assert embedder.embed(TEXTS[:FEW]).shape == (FEW, 384)
    assert not embedder._pool.is_started


def test_what_is_announced_decides_and_not_the_window():
    embedder = make(models.load("one"))
    assert isinstance(embedder, SharedEmbedder)
    embedder.start(FEW)
    assert not embedder._pool.is_started
    embedder.start(FEW + 1)
    embedder.embed(TEXTS[:3])
    assert embedded(embedder) == [3]
    embedder.end()
    assert not embedder._pool.is_started


# --- the probe ------------------------------------------------------------------------------


def test_each_process_settles_by_the_vectors_of_the_space_before_its_first_block():
    embedder = make(models.load("one"), models.load("two"))
    stored = models.PROBE * np.float32(0.9999)
    embedder.settle(stored)
    embedder.embed(TEXTS)
    embedder.embed(TEXTS)
    for settled in embedder._pool.ask_all(attrgetter("settled")):
        assert np.array_equal(settled, [stored])


def test_those_of_another_space_are_asked_for_again():
    embedder = make(models.load("one"))
    embedder.embed(TEXTS)
    assert np.array_equal(embedder._pool.ask_all(attrgetter("settled"))[0], [models.PROBE])
    embedder.settle(models.PROBE * 2)
    embedder.embed(TEXTS)
    assert len(embedder._pool.ask_all(attrgetter("settled"))[0]) == 2


def test_a_device_with_other_vectors_stops_the_run_before_anything_is_embedded():
    embedder = make(models.load("one"), models.load("two", cosine=0.99))
    with pytest.raises(EmbeddingFailed, match=re.escape("on two than those expected (cosine 0.9900")):
        next(embedder.stream(embedder.prepare(TEXTS), most=10))
    assert not embedder._pool.is_started


def test_a_library_that_gives_other_vectors_stops_it_without_a_process():
    embedder = make(models.load_gone("one"))
    embedder._first.cosine = 0.5
    with pytest.raises(EmbeddingFailed, match=r"cosine 0\.5000"):
        embedder.embed(TEXTS)


# --- images ---------------------------------------------------------------------------------


def test_images_are_embedded_by_all_in_their_order():
    embedder = make(models.load("one"), models.load("two"), kind=SeveralImageEmbedder)
    assert embedder.block_chunks == 2 * 128
    files = [Path(f"{number}.png") for number in range(FEW + 50)]
    told = []
    vectors = embedder.embed(files, progress=told.append)
    assert np.array_equal(vectors, models.DeviceFake("one").embed(files))
    assert sum(told) == len(files)
    assert min(embedded(embedder)) > 0


def test_few_images_and_a_search_for_them_start_no_process():
    embedder = make(models.load_gone("one"), kind=SeveralImageEmbedder)
    assert embedder.embed([Path("a.png")] * FEW).shape == (FEW, 384)
    assert embedder.embed_query("a car").shape == (384,)
    assert embedder.trusts("a car")


# --- real models ----------------------------------------------------------------------------


@pytest.mark.model
def test_a_text_model_on_two_devices_gives_the_vectors_of_one(tmp_path):
    from tasks.cores import usable_cores

    card = resolve_model(str(build_text_model(tmp_path / "tiny", TINY)))
    one = load_embedder(card, device="cpu", precision="float32")
    embedder = load_embedder(card, device="cpu,cpu", precision="float32")
    assert np.allclose(embedder.embed(TEXTS), one.embed(TEXTS), atol=1e-5)
    assert embedder._pool.ask_all(_count_threads) == [max(1, usable_cores() // 2)] * 2

    embedder._pool.close()
    embedder._pool._loads = embedder._pool._loads[:1]
    weights = bytearray((card.path / "model.safetensors").read_bytes())
    weights[-4] ^= 1
    (card.path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelNotAvailable, match="changed while it was loaded"):
        embedder.embed(TEXTS)
    assert not embedder._pool.is_started


def _count_threads(_):
    import torch

    return torch.get_num_threads()


@pytest.mark.model
def test_an_image_model_on_two_devices_gives_the_vectors_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(several, "FEW", 3)
    card = resolve_image_model(str(build_tiny_clip(tmp_path / "tiny")))
    files = [tmp_path / f"{number}.png" for number in range(20)]
    for number, path in enumerate(files):
        path.write_bytes(file("car", number))
    one = load_embedder(card, device="cpu", precision="float32")
    embedder = load_embedder(card, device="cpu,cpu", precision="float32")
    assert np.allclose(embedder.embed(files), one.embed(files), atol=1e-5)
    assert embedder._pool.is_started


# --- what may be named ----------------------------------------------------------------------


@pytest.fixture
def two_gpus(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_device_that_is_not_there_stops_it_before_a_model_is_loaded(two_gpus, monkeypatch):
    monkeypatch.setattr(several, "load_embedder", lambda *_, **__: pytest.fail("a model was loaded"))
    card = resolve_model("all-MiniLM-L6-v2")
    with pytest.raises(ConfigurationError, match="'cuda:9' is not in this machine: PyTorch sees 2"):
        load_embedder(card, device="cuda:0,cuda:9")


def test_the_star_is_all_cuda_devices(two_gpus, monkeypatch):
    import torch

    from tasks.embedding.device import choose_devices

    assert choose_devices("cuda:*") == ["cuda:0", "cuda:1"]
    assert choose_devices("cuda, cpu,cpu") == ["cuda:0", "cpu", "cpu"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigurationError, match="PyTorch sees 0 CUDA devices"):
        choose_devices("cuda:*")


def test_the_star_of_one_gpu_is_the_model_itself(two_gpus, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(several, "load_embedder", lambda card, device, precision: (device, precision))
    card = resolve_model("all-MiniLM-L6-v2")
    assert load_embedder(card, device="cuda:*", precision="float32") == ("cuda:0", "float32")


@pytest.mark.parametrize(
    "device", ["cuda:0,cuda:1", "cuda:0, cuda:1", "cpu,cpu", "cuda:*", "cuda:3", "cuda,cpu"]
)
def test_lists_of_devices_are_settings(device, tmp_path):
    assert load_settings(environ={"REVECTOR_DEVICE": device}, cwd=tmp_path).device == device


@pytest.mark.parametrize("device", ["cuda:0,cuda:0", "cuda,cuda:0", "cuda:1,cpu,cuda:1", "mps,mps"])
def test_a_gpu_that_is_named_twice_is_refused(device, tmp_path):
    with pytest.raises(ConfigurationError, match="names a device twice; only cpu may be"):
        load_settings(environ={"REVECTOR_DEVICE": device}, cwd=tmp_path)


@pytest.mark.parametrize("device", ["auto,cpu", "cuda:*,cpu", "cpu,", "cuda:-1,cpu"])
def test_what_is_no_list_of_devices_is_refused(device, tmp_path):
    with pytest.raises(ConfigurationError, match="device"):
        load_settings(environ={"REVECTOR_DEVICE": device}, cwd=tmp_path)


def test_the_doctor_says_which_device_is_not_there(two_gpus, monkeypatch):
    for name in ("_check_database", "_check_models"):
        monkeypatch.setattr(f"flows.diagnosis.{name}", lambda *_: [])
    monkeypatch.setattr("flows.diagnosis._kinds", lambda _: {})

    def ask(device):
        return [(c.ok, c.detail) for c in diagnose(Settings(device=device)) if c.name == "device"]

    assert ask("auto") == []
    assert ask("cuda:*") == [(True, "cuda:0, cuda:1")]
    ((ok, detail),) = ask("cuda:0,cuda:7")
    assert not ok
    assert "'cuda:7'" in detail
