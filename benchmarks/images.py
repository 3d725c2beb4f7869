"""Our image path from files, against the model alone and against the loop that everybody writes.

Icons are PNG of 72 to 512 pixels, photos are JPEG of 1 to 12 megapixels, both generated. The model
is `small-clip`; where it is missing, an EfficientNet-Lite0 of the same size with random weights.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Row, alternate, median_ratio, per_second
from schemas.errors import ModelNotAvailable
from tasks.embedding.base import Vectors
from tasks.embedding.decoding import decode
from tasks.embedding.image import OpenClipEmbedder, load_image_embedder
from tasks.embedding.image_card import SMALL_IMAGE_MODEL, resolve_image_model
from tasks.embedding.image_model import ImageModel, load_model

ROOT = Path(__file__).resolve().parents[1]
_PLAIN_BATCH = 32


def run(quick: bool) -> list[Row]:
    """Images per second of each way, from the same files in turns, and the peak of memory."""
    with TemporaryDirectory(prefix="revector-bench-") as name:
        folder = Path(name)
        model = find_model(folder / "model")
        icons = write_icons(folder / "icons", 96 if quick else 320)
        photos = write_photos(folder / "photos", 12 if quick else 48)
        card = resolve_image_model(model)
        embedder, plain = load_image_embedder(card), load_model(card, "cpu")
        rounds = 2 if quick else 5
        return [
            *_compare("icons", icons, embedder, plain, rounds=rounds),
            *_compare("photos", photos, embedder, plain, rounds=rounds),
            _memory(model, folder / "photos", len(photos)),
        ]


def _compare(
    kind: str, files: list[Path], embedder: OpenClipEmbedder, plain: ImageModel, *, rounds: int
) -> list[Row]:
    pixels = decode(files, embedder._card)
    stacked = _stack(embedder, pixels)
    vectors: dict[str, Vectors] = {}
    sides = {
        "ours": lambda: vectors.update(ours=embedder.embed(files)),
        "model": lambda: _model_alone(embedder, stacked),
        "workers": lambda: _workers_alone(embedder, pixels),
        "plain": lambda: vectors.update(plain=_plain_loop(plain, files, _PLAIN_BATCH)),
        "single": lambda: _plain_loop(plain, files, 1),
    }
    seconds = alternate(sides, rounds=rounds)
    cosine = float((vectors["ours"] * vectors["plain"]).sum(axis=1).min())
    meanings = {
        "model": f"from files / the same {embedder.dtype} model on pixels that are ready, batch "
        f"{_PLAIN_BATCH}; the aim is 0.9",
        "workers": "from files / our own batches and workers on pixels that are ready: what decoding costs",
        "plain": f"from files / preprocess(Image.open) and encode_image, float32, batch {_PLAIN_BATCH}; "
        f"least cosine {cosine:.5f}",
        "single": "the same loop, one image at a time",
    }
    return [
        Row(
            name=f"embed {len(files)} {kind}, against {other}",
            ours=per_second(len(files), seconds["ours"], "images"),
            baseline=per_second(len(files), seconds[other], "images"),
            ratio=median_ratio(seconds[other], seconds["ours"]),
            meaning=meaning,
        )
        for other, meaning in meanings.items()
    ]


def _stack(embedder: OpenClipEmbedder, pixels: NDArray[np.uint8]) -> list[Any]:
    import torch

    ready = embedder._normalise(torch.from_numpy(pixels)).to(embedder._weights.dtype)
    return list(ready.contiguous(memory_format=torch.channels_last).split(_PLAIN_BATCH))


def _model_alone(embedder: OpenClipEmbedder, stacked: list[Any]) -> None:
    import torch

    with torch.inference_mode():
        for batch in stacked:
            embedder._model.encode_image(batch.to(embedder.device)).float().cpu()


def _workers_alone(embedder: OpenClipEmbedder, pixels: NDArray[np.uint8]) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // embedder._workers))
    try:
        batches = [pixels[i : i + embedder.batch] for i in range(0, len(pixels), embedder.batch)]
        with ThreadPoolExecutor(embedder._workers) as pool:
            list(pool.map(embedder._compute, batches))
    finally:
        torch.set_num_threads(before)


def _plain_loop(model: ImageModel, files: list[Path], batch: int) -> Vectors:
    import torch
    from PIL import Image

    parts = []
    with torch.inference_mode():
        for start in range(0, len(files), batch):
            images = [model.preprocess(Image.open(path)) for path in files[start : start + batch]]
            parts.append(torch.nn.functional.normalize(model.network.encode_image(torch.stack(images))))
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def _memory(model: str, photos: Path, count: int) -> Row:
    few, many = (_measure(model, photos, times) for times in (1, 4))
    return Row(
        name=f"memory, {4 * count} photos",
        ours=f"{many:.0f} MB",
        baseline=f"{few:.0f} MB",
        ratio=many / few,
        meaning=f"peak / peak with {count} photos, the model and its libraries included; 1 is flat",
    )


def _measure(model: str, photos: Path, times: int) -> float:
    code = "from benchmarks.images import embed_once; embed_once()"
    done = subprocess.run(
        [sys.executable, "-c", code, model, str(photos), str(times)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(json.loads(done.stdout))


def embed_once() -> None:
    """Embed the folder of the command line so many times in one call; prints the peak in MB."""
    from benchmarks.memory import peak_mb

    model, folder, times = sys.argv[1:]
    files = sorted(Path(folder).iterdir()) * int(times)
    load_image_embedder(resolve_image_model(model)).embed(files)
    print(json.dumps(peak_mb()))


def find_model(folder: Path) -> str:
    """Name of the model to measure with: small-clip, else one of its size, written to the folder."""
    try:
        resolve_image_model(SMALL_IMAGE_MODEL)
    except ModelNotAvailable:
        _write_model(folder)
        return f"local-dir:{folder}"
    return SMALL_IMAGE_MODEL


def _write_model(folder: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    vision = {"image_size": 160, "timm_model_name": "tf_efficientnet_lite0", "timm_pool": ""}
    text = {"context_length": 32, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3}
    config = {
        "model_cfg": {"embed_dim": 512, "vision_cfg": {**vision, "timm_proj": "linear"}, "text_cfg": text},
        "preprocess_cfg": {"resize_mode": "longest", "fill_color": 255},
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")


def write_icons(folder: Path, count: int) -> list[Path]:
    """PNG of 72 to 512 pixels: flat shapes on white."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    files = []
    for number in range(count):
        side = int(rng.choice([72, 128, 160, 256, 512]))
        files.append(folder / f"{number:04}.png")
        make_picture(rng, side, side, noise=0).save(files[-1])
    return files


def write_photos(folder: Path, count: int) -> list[Path]:
    """JPEG of 1 to 12 megapixels: shapes and noise over smooth colours."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    files = []
    for number in range(count):
        width, height = [(1200, 900), (2000, 1500), (1500, 2250), (4000, 3000)][number % 4]
        files.append(folder / f"{number:04}.jpg")
        make_picture(rng, width, height, noise=12).save(files[-1], quality=88)
    return files


def make_picture(rng: np.random.Generator, width: int, height: int, *, noise: int) -> Any:
    """An RGB image of discs; with noise also over a smooth background."""
    from PIL import Image, ImageDraw

    ground = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8) if noise else np.full((1, 1, 3), 255, np.uint8)
    image = Image.fromarray(ground).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        size = int(rng.integers(4, max(width, height) // 3))
        draw.ellipse((x, y, x + size, y + size), fill=tuple(int(one) for one in rng.integers(0, 256, 3)))
    if not noise:
        return image
    grain = rng.integers(-noise, noise + 1, (height, width, 1), dtype=np.int16)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
