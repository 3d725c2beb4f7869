"""What a GPU makes of our path: `python -m benchmarks.gpu`. Prints a Markdown block for RESULTS.md.

Weights are random where no model lies on the machine: speed does not depend on them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import make_text
from benchmarks.shapes import XLM_R_LARGE, TextShape, build_clip, build_text_model, text_flops, vit_flops
from tasks.embedding.base import Vectors, lowest_cosine
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model

# Dense 16-bit TFLOP/s as the makers state them; of others no share is given.
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125, "T4": 65, "4090": 165}
CLIPS = {"ViT-B-32": (12, 768, 49), "ViT-L-14": (24, 1024, 256)}
HEADS = ("model", "ours", "encode or library", "ratio", "of the peak", "cosine to fp32", "GPU busy")


@dataclass(slots=True)
class Measured:
    """One model on one device.

    Attributes:
        name: of the model.
        unit: texts or images.
        count: how many were embedded.
        ours, theirs: seconds.
        flops: of all of them together; 0 where no share of a peak is asked for.
        cosine: the lowest to the library in float32.
        busy: samples of the GPU's utilisation while ours ran, 0 to 100.
    """

    name: str
    unit: str
    count: int
    ours: float
    theirs: float
    flops: float
    cosine: float
    busy: list[int] = field(default_factory=list)

    def cells(self, peak: float | None) -> tuple[str, ...]:
        """The row of the table; `peak` in TFLOP/s."""
        share = f"{self.flops / self.ours / (peak * 1e12):.0%}" if peak and self.flops else "-"
        busy = f"{np.median(self.busy):.0f} % (least {min(self.busy)} %)" if self.busy else "-"
        return (
            self.name,
            f"{self.count / self.ours:,.0f} {self.unit}/s",
            f"{self.count / self.theirs:,.0f} {self.unit}/s",
            f"{self.theirs / self.ours:.2f}",
            share,
            f"{self.cosine:.4f}",
            busy,
        )


def main() -> int:
    """Measure and print; without a GPU say so."""
    import torch

    if not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rows = [*measure_texts(Path(folder), "cuda"), *measure_images(Path(folder), "cuda")]
        if torch.cuda.device_count() > 1:
            texts = [make_text(900, number) for number in range(20_000)]
            rows += [measure_several(str(Path(folder) / "large"), texts, "cuda:*", one="cuda:0")]
    print(report(rows, torch.cuda.get_device_name()))
    return 0


def report(rows: Sequence[Measured], gpu: str) -> str:
    """The Markdown block."""
    peak = next((value for name, value in PEAKS.items() if name in gpu.replace("-", " ").split()), None)
    peak = peak or next((value for name, value in PEAKS.items() if name in gpu), None)
    lines = [HEADS, ("---", *("---:",) * (len(HEADS) - 1)), *(row.cells(peak) for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {gpu}{f', {peak} TFLOP/s' if peak else ''}\n\n{table}"


def measure_texts(
    folder: Path, device: str, *, count: int = 20_000, shape: TextShape = XLM_R_LARGE
) -> Iterator[Measured]:
    """The default model, and one of a given shape."""
    texts = [make_text(900, number) for number in range(count)]
    yield measure_text_model(DEFAULT_TEXT_MODEL, DEFAULT_TEXT_MODEL, texts, device)
    built = build_text_model(folder / "large", shape)
    name = f"{shape.layers} layers of {shape.width}"
    yield measure_text_model(name, str(built), texts[: max(1, count // 4)], device)


def measure_text_model(name: str, model: str, texts: list[str], device: str) -> Measured:
    """Our path against `encode`, each in the number format it chooses."""
    from tasks.embedding.text import load_text_embedder

    card = resolve_model(model)
    embedder = load_text_embedder(card, device=device)
    plain = _plain(str(card.path), device)
    sample = texts[:256]
    cosine = lowest_cosine(embedder.embed(sample), _encode(plain, sample))
    theirs = _time(lambda: _encode(plain, texts))
    with watch_gpu(device) as busy:
        ours = _time(lambda: embedder.embed(texts))
    config: Any = embedder._model[0].config
    lengths = embedder.prepare(texts).lengths.tolist()
    flops = text_flops(config.num_hidden_layers, config.hidden_size, config.intermediate_size, lengths)
    return Measured(f"{name}, {embedder.dtype}", "texts", len(texts), ours, theirs, flops, cosine, busy)


def measure_several(model: str, texts: list[str], devices: str, *, one: str) -> Measured:
    """All devices against one of them: where others have their library, here stands one device."""
    from tasks.embedding.device import choose_devices
    from tasks.embedding.resolve import load_embedder

    card = resolve_model(model)
    alone, several = load_embedder(card, device=one), load_embedder(card, device=devices)
    exact = load_embedder(card, device=one, precision="float32")
    embed: Any = several.embed
    cosine = lowest_cosine(embed(texts[:256]), np.asarray(exact.embed(texts[:256])))
    theirs, ours = _time(lambda: alone.embed(texts)), _time(lambda: embed(texts))
    count = len(choose_devices(devices))
    name = f"{Path(model).name}, {count} devices (ratio to one device)"
    return Measured(name, "texts", len(texts), ours, theirs, 0, cosine)


def measure_images(
    folder: Path, device: str, *, count: int = 4_000, clips: dict[str, tuple[int, int, int]] = CLIPS
) -> Iterator[Measured]:
    """CLIP image towers: files decoded and embedded, against decoding and embedding one after the other."""
    from tasks.embedding.image import load_image_embedder
    from tasks.embedding.image_card import resolve_image_model
    from tasks.embedding.image_model import load_model

    files = _write_images(folder / "images", count)
    for name, (layers, width, patches) in clips.items():
        card = resolve_image_model(str(build_clip(folder / name, name)))
        embedder, plain = load_image_embedder(card, device=device), load_model(card, device)
        cosine = lowest_cosine(embedder.embed(files[:64]), _library_images(plain, files[:64]))
        theirs = _time(lambda plain=plain: _library_images(plain, files))  # type: ignore[misc]
        with watch_gpu(device) as busy:
            ours = _time(lambda embedder=embedder: embedder.embed(files))  # type: ignore[misc]
        flops = count * vit_flops(layers, width, patches)
        label = f"{name}, {embedder.dtype}"
        yield Measured(label, "images", count, ours, theirs, flops, cosine, busy)


def _library_images(model: Any, files: Sequence[Path], batch: int = 64) -> Vectors:
    from PIL import Image

    parts = []
    for start in range(0, len(files), batch):
        images = [Image.open(path).convert("RGB") for path in files[start : start + batch]]
        parts.append(model.embed_as_library(images))
    return np.concatenate(parts)


def _write_images(folder: Path, count: int) -> list[Path]:
    from tasks.embedding.image_model import make_probes

    folder.mkdir(parents=True, exist_ok=True)
    probes, files = make_probes(), []
    for number in range(count):
        path = folder / f"{number}.jpg"
        probes[number % len(probes)].save(path, quality=90)
        files.append(path)
    return files


def _plain(path: str, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(path, device=device, local_files_only=True, model_kwargs={"dtype": "float32"})


def _encode(model: Any, texts: Sequence[str]) -> Vectors:
    options = {"batch_size": 32, "normalize_embeddings": True, "show_progress_bar": False}
    return np.asarray(model.encode(list(texts), **options), dtype=np.float32)


def _time(call: Callable[[], object]) -> float:
    """Seconds of a second call: the first one warms up."""
    call()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextmanager
def watch_gpu(device: str, *, every_s: float = 0.2) -> Iterator[list[int]]:
    """Utilisation in percent, sampled while the block runs; stays empty where there is no nvidia-smi."""
    samples: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(every_s):
            try:
                samples.append(read_utilisation(device))
            except (OSError, subprocess.SubprocessError, ValueError):
                return

    thread = threading.Thread(target=sample, name="watch-gpu")
    if device.startswith("cuda"):
        thread.start()
    try:
        yield samples
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()


def read_utilisation(device: str) -> int:
    """Percent of the last moment in which the GPU was at work, as nvidia-smi says."""
    index = device.partition(":")[2] or "0"
    command = ["nvidia-smi", "-i", index, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return int(done.stdout.strip())


if __name__ == "__main__":
    sys.exit(main())
