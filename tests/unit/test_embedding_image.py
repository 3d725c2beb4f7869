import hashlib
import json
import logging
import shutil
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, EmbeddingFailed, ModelNotAvailable
from tasks.embedding.image_card import ImageCard, resolve_image_model
from tests.tiny_clip import DIM, build_tiny_clip

SIZES = [(72, 72), (200, 90), (90, 200), (64, 64), (20, 31), (640, 481), (5, 200), (200, 4)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        tower: build_tiny_clip(root / tower, tower=tower, preprocess=preprocess)
        for tower, preprocess in (
            ("convolutions", {"resize_mode": "longest", "fill_color": 255, "mean": [0.5] * 3}),
            ("transformer", {}),
        )
    }


@pytest.fixture(scope="module")
def card(folders):
    return resolve_image_model(str(folders["convolutions"]))


@pytest.fixture(scope="module")
def shared(card):
    from tasks.embedding.image import load_image_embedder

    return load_image_embedder(card, device="cpu", precision="float32")


@pytest.fixture
def embedder(shared):
    """The shared one, put back as it was."""
    weights = [value.clone() for value in shared._model.state_dict().values()]
    batch = shared.batch
    yield shared
    shared.batch = batch
    for value, before in zip(shared._model.state_dict().values(), weights, strict=True):
        value.copy_(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 files, each another picture."""
    folder = tmp_path_factory.mktemp("pictures")
    return [save_picture(folder / f"{n:02}.png", SIZES[n % len(SIZES)], seed=n) for n in range(40)]


def make_picture(size, *, seed):
    from PIL import Image

    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    pixels += rng.integers(-25, 26, pixels.shape, dtype=np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save_picture(path: Path, size, *, seed) -> Path:
    make_picture(size, seed=seed).save(path)
    return path


def library_vectors(card, paths):
    """What the library's own documentation does with files."""
    import open_clip
    import torch
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{card.path}")
    with torch.inference_mode():
        batch = torch.stack([preprocess(Image.open(path)) for path in paths])
        return torch.nn.functional.normalize(model.eval().encode_image(batch), dim=1).numpy()


def cosines(ours, theirs):
    return (ours * theirs).sum(axis=1)


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("auto", 0.999)])
@pytest.mark.parametrize("tower", ["convolutions", "transformer"])
def test_vectors_equal_the_librarys(folders, pictures, tower, precision, least):
    from tasks.embedding.image import load_image_embedder

    card = resolve_image_model(str(folders[tower]))
    vectors = load_image_embedder(card, device="cpu", precision=precision).embed(pictures)
    assert vectors.shape == (40, DIM)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert cosines(vectors, library_vectors(card, pictures)).min() >= least


def test_large_photos_decoded_small_keep_the_librarys_vectors(card, shared, tmp_path):
    photos = [tmp_path / f"{n}.jpg" for n in range(3)]
    for number, path in enumerate(photos):
        make_picture((1600 + 200 * number, 1300), seed=number).save(path, quality=90)
    assert cosines(shared.embed(photos), library_vectors(card, photos)).min() >= 0.999


def test_images_are_seen_upright_and_on_white(shared, tmp_path):
    from PIL import Image

    upright = make_picture((120, 60), seed=1)
    turned, clear = tmp_path / "turned.jpg", tmp_path / "clear.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif, quality=98)
    mask = Image.new("L", upright.size, 255)
    mask.paste(0, (0, 0, 60, 60))
    upright.convert("RGBA").save(tmp_path / "opaque.png")
    layered = upright.copy()
    layered.putalpha(mask)
    layered.save(clear)
    white = upright.copy()
    white.paste((255, 255, 255), (0, 0, 60, 60))
    white.save(tmp_path / "white.png")
    upright.save(tmp_path / "upright.png")
    paths = [turned, clear, tmp_path / "upright.png", tmp_path / "white.png"]
    vectors = shared.embed(paths)
    assert cosines(vectors[:2], vectors[2:]).min() > 0.999
    assert cosines(vectors[2:3], vectors[3:]).max() < 0.999


def test_order_is_kept_whatever_company_an_image_is_in(shared, pictures):
    vectors = shared.embed(pictures)
    order = np.random.default_rng(5).permutation(len(pictures))
    assert np.allclose(shared.embed([pictures[i] for i in order]), vectors[order], atol=1e-5)
    assert np.allclose(shared.embed(pictures[7:8]), vectors[7:8], atol=1e-5)
    assert cosines(vectors[:-1], vectors[1:]).max() < 0.9999


def test_no_images_give_an_empty_array(shared):
    assert shared.embed([]).shape == (0, DIM)


def test_progress_counts_every_image_once(shared, pictures):
    counts: list[int] = []
    shared.embed(pictures, progress=counts.append)
    assert sum(counts) == len(pictures)
    assert max(counts) <= shared.batch


def test_memory_holds_a_batch_a_worker_however_many_images_there_are(shared, pictures, monkeypatch):
    started = threading.Semaphore(0)
    submitted = []

    def count(paths):
        submitted.append(len(paths))
        started.release()
        return np.zeros((len(paths), DIM), dtype=np.float32)

    monkeypatch.setattr(shared, "_embed_batch", count)
    batches = shared._in_turns(pictures * 20)
    next(batches)
    assert len(submitted) <= shared._workers + 1
    batches.close()


def test_file_that_cannot_be_decoded_is_named_by_its_hash(shared, pictures, tmp_path):
    bad = tmp_path / "private-name.png"
    bad.write_bytes(pictures[0].read_bytes()[:500])
    with pytest.raises(EmbeddingFailed, match=hashlib.sha256(bad.read_bytes()).hexdigest()) as caught:
        shared.embed([*pictures, bad, *pictures])
    assert "private-name" not in str(caught.value)


def test_file_that_is_gone_is_reported(shared, tmp_path):
    with pytest.raises(EmbeddingFailed, match="0123abcd"):
        shared.embed([tmp_path / "0123abcd"])


@pytest.fixture
def full_above(embedder, monkeypatch):
    """Make the device run out of memory over batches of more than so many images."""
    forward = embedder._forward

    def limit(most):
        def forward_or_fail(pixels):
            if len(pixels) > most:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return forward(pixels)

        monkeypatch.setattr(embedder, "_forward", forward_or_fail)
        return embedder

    return limit


def test_batch_that_does_not_fit_is_halved_and_stays_so(shared, pictures, full_above):
    expected = shared.embed(pictures)
    embedder = full_above(3)
    embedder.batch = 16
    assert np.allclose(embedder.embed(pictures), expected, atol=1e-5)
    assert embedder.batch in (2, 3)


def test_single_image_that_does_not_fit_fails(full_above, pictures):
    with pytest.raises(EmbeddingFailed, match="does not fit"):
        full_above(0).embed(pictures)


def test_other_errors_of_the_model_are_not_taken_for_lack_of_memory(embedder, pictures, monkeypatch):
    def broken(_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(embedder, "_forward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        embedder.embed(pictures)


@pytest.mark.parametrize("value", [float("nan"), 0.0])
def test_vectors_that_are_not_finite_or_zero_fail(embedder, pictures, value):
    for weights in embedder._model.visual.parameters():
        weights.data.fill_(value)
    with pytest.raises(EmbeddingFailed, match="not finite or are zero"):
        embedder.embed(pictures[:3])


def test_process_is_left_as_it_was(shared, pictures, tmp_path):
    import torch

    threads, filters = torch.get_num_threads(), list(warnings.filters)
    shared.embed(pictures)
    (tmp_path / "bad").write_bytes(b"no image")
    with pytest.raises(EmbeddingFailed):
        shared.embed([tmp_path / "bad"] * 30)
    assert torch.get_num_threads() == threads
    assert warnings.filters == filters
    assert [t.name for t in threading.enumerate() if t.name.startswith("embed")] == []


def test_loading_sets_up_no_logging(card, monkeypatch):
    from tasks.embedding.image_model import load_model

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    load_model(card, "cpu")
    assert logging.getLogger().handlers == []


def test_query_vector_equals_the_librarys_and_is_comparable(card, shared):
    import open_clip
    import torch

    texts = ["a photo of a red car", "고양이 사진", "", "word " * 300]
    model = open_clip.create_model(f"local-dir:{card.path}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{card.path}")(texts)
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=1).numpy()
    ours = np.stack([shared.embed_query(text) for text in texts])
    assert ours.shape == (4, DIM)
    assert cosines(ours, expected).min() > 0.99999


def test_tokens_are_those_of_the_models_tokenizer(shared):
    assert shared.count_tokens("a photo of a cat") == 5
    assert shared.count_tokens("") == 0


def test_languages_that_the_tokenizer_spells_out_are_not_trusted(shared):
    assert shared.trusts("a photo of a red car")
    assert shared.trusts("")
    assert not shared.trusts("빨간 자동차 사진")


def test_half_precision_is_given_up_where_it_changes_the_vectors(card, monkeypatch):
    from tasks.embedding import image

    seen = []

    def judge(embedder, *_):
        seen.append(embedder.dtype)
        return 0.998 if embedder.dtype == "bfloat16" else 1.0

    monkeypatch.setattr(image, "_probe_cosine", judge)
    embedder = image.load_image_embedder(card, device="cpu", precision="bfloat16")
    assert seen == ["bfloat16", "float32"]
    assert embedder.dtype == "float32"


def test_folding_is_given_up_where_it_changes_the_vectors(card, pictures, monkeypatch):
    import torch

    from tasks.embedding import image

    def spoil(visual):
        with torch.no_grad():
            for weights in visual.parameters():
                weights.normal_()

    monkeypatch.setattr(image, "fold_normalisation", spoil)
    embedder = image.load_image_embedder(card, device="cpu", precision="float32")
    assert cosines(embedder.embed(pictures), library_vectors(card, pictures)).min() > 0.99999


def test_folding_leaves_no_normalisation_after_a_convolution_and_the_same_vectors(card):
    import torch

    from tasks.embedding.image_model import fold_normalisation, load_model, make_probes

    model, probes = load_model(card, "cpu"), make_probes()
    for module in model.network.visual.modules():  # what training leaves there, not ones and zeros
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    before = model.embed_as_library(probes)
    fold_normalisation(model.network.visual)
    kinds = [type(module) for module in model.network.visual.modules()]
    assert not any(issubclass(kind, torch.nn.BatchNorm2d) for kind in kinds)
    assert cosines(before, model.embed_as_library(probes)).min() > 0.99999


def test_model_that_our_path_does_not_serve_is_refused(card, monkeypatch):
    from tasks.embedding import image

    with pytest.raises(EmbeddingFailed, match="other vectors than its library"):
        image.load_image_embedder(replace(card, mean=(0.9, 0.1, 0.5)), device="cpu", precision="float32")


def test_missing_device_is_a_configuration_error(card):
    from tasks.embedding.image import load_image_embedder

    with pytest.raises(ConfigurationError, match="cannot be used"):
        load_image_embedder(card, device="cuda:99")


def _other_weights(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(8, dtype=np.float32)}, folder / "open_clip_model.safetensors")


def _damaged_bin(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"PK\x03\x04 no weights")


def _with_model(**changes):
    def change(folder: Path) -> None:
        path = folder / "open_clip_config.json"
        config = json.loads(path.read_text())
        for part, values in changes.items():
            config["model_cfg"][part] = {**config["model_cfg"][part], **values}
        path.write_text(json.dumps(config))

    return change


@pytest.mark.parametrize(
    "breakage",
    [
        _other_weights,
        _damaged_bin,
        _with_model(vision_cfg={"timm_model_name": "no_such_network"}),
        _with_model(vision_cfg={"no_such_option": 1}),
        _with_model(text_cfg={"hf_tokenizer_name": "nowhere"}),
        _with_model(text_cfg={"hf_model_name": "nowhere/nothing", "hf_tokenizer_name": "nowhere/nothing"}),
        _with_model(text_cfg={"width": "wide"}),
        _with_model(text_cfg={"heads": 7}),
    ],
)
def test_damaged_model_is_reported(card, tmp_path, breakage):
    from tasks.embedding.image import load_image_embedder

    folder = shutil.copytree(card.path, tmp_path / "model")
    breakage(folder)
    with pytest.raises(ModelNotAvailable, match=r"(?s)cannot be loaded: .*[^.]\. Download it again"):
        load_image_embedder(resolve_image_model(str(folder)), device="cpu")


def test_kind_of_a_collection_decides_on_its_model(folders):
    from tasks.embedding.card import ModelCard
    from tasks.embedding.image import OpenClipEmbedder
    from tasks.embedding.resolve import load_embedder, resolve_card

    assert isinstance(resolve_card("documents", "all-MiniLM-L6-v2"), ModelCard)
    card = resolve_card("images", str(folders["transformer"]))
    assert isinstance(card, ImageCard)
    assert isinstance(load_embedder(card, device="cpu"), OpenClipEmbedder)


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.sampled_from([(32, 32), (33, 33), (24, 40)]),
    mode=st.sampled_from(["shortest", "longest", "squash"]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    fill=st.sampled_from([0, 255]),
)
@settings(deadline=None, max_examples=150)
def test_pixels_are_those_of_the_librarys_transform(card, width, height, size, mode, interpolation, fill):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from tasks.embedding.decoding import fit

    if mode == "longest" and max(width, height) > 8 * min(width, height):
        width = height  # there the library asks for a side of no pixels, and fails
    image = make_picture((width, height), seed=width * 1000 + height)
    config = PreprocessCfg(
        size=size[0] if size[0] == size[1] else size, mean=(0.0,) * 3, std=(1.0,) * 3,
        interpolation=interpolation, resize_mode=mode, fill_color=fill,
    )  # fmt: skip
    expected = image_transform_v2(config, is_train=False)(image).numpy().transpose(1, 2, 0) * 255
    one = replace(card, image_size=size, interpolation=interpolation, resize_mode=mode, fill_color=fill)
    difference = np.abs(fit(image, one) - expected)
    if max(width, height) <= 4 * min(width, height):
        assert difference.max() < 0.01
    assert difference.mean() < 1


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_thin_image_costs_no_more_memory_than_the_model_sees(card, mode):
    from PIL import Image

    from tasks.embedding.decoding import fit

    thin = Image.new("RGB", (2, 60_000), (10, 200, 30))
    pixels = fit(thin, replace(card, image_size=(512, 512), resize_mode=mode, fill_color=0))
    assert pixels.shape == (512, 512, 3)
    assert pixels[256, 255].tolist() == [10, 200, 30]


def test_probes_are_the_same_images_everywhere(monkeypatch):
    from PIL import Image

    from tasks.embedding.image_model import hash_probes, make_probes

    monkeypatch.delattr(Image.Image, "resize")
    monkeypatch.delattr(Image.Image, "filter")
    found = hash_probes(make_probes()).hex()
    assert found == "b16d36f44bb4bf1fd80acc7a1ada4d73988f2a1af9d7409d765040de20c0f405"


@pytest.mark.parametrize("filter", ["NEAREST", "BOX", "LANCZOS", "BILINEAR"])
def test_a_pillow_that_resizes_in_another_way_is_noticed(monkeypatch, filter):
    from PIL import Image

    from tasks.embedding.base import MIN_COSINE
    from tasks.embedding.image import load_image_embedder

    card = resolve_image_model("small-clip")
    stored = load_image_embedder(card, device="cpu", precision="float32").reference()
    resize, other = Image.Image.resize, Image.Resampling[filter]
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, resample, **options: resize(self, size, other, **options)
    )
    embedder = load_image_embedder(card, device="cpu", precision="float32")
    assert embedder.settle(embedder.reference()) > MIN_COSINE
    assert embedder.settle(stored) < MIN_COSINE
