"""Image vectors by open_clip models: each core decodes and computes batches of its own."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import EmbeddingFailed
from tasks.embedding.base import MIN_COSINE, Progress, Vectors, check_vectors, lowest_cosine
from tasks.embedding.decoding import Pixels, decode, fit
from tasks.embedding.image_card import ImageCard
from tasks.embedding.image_model import (
    ImageModel,
    fold_normalisation,
    hash_probes,
    load_model,
    make_probes,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_MIN_EXACT = 0.9999
# CPU: 8 was up to 1.6 times 32 with EfficientNet-Lite0 at 224 pixels, the same with ViT-B/32 (2026-11).
_BATCHES = {"cpu": 8, "mps": 32, "cuda": 64}
_MAX_WORKERS = 32


class OpenClipEmbedder:
    """A loaded model. Not safe to share between threads.

    Attributes:
        batch: images a worker computes at once; smaller once the device ran out of memory.
        block_chunks: images whose vectors are stored together, where that are more than on a CPU.
    """

    def __init__(self, card: ImageCard, model: ImageModel, *, batch: int, reference: Vectors) -> None:
        import torch

        from tasks.embedding.device import choose_block, share_of_cores

        self.name = card.name
        self.revision = card.revision
        self.dim = card.dim
        self.batch = batch
        self._reference = reference
        self._card = card
        self._model = model.network
        self._tokenizer = model.tokenizer
        self._weights = next(model.network.visual.parameters())
        self._workers = min(share_of_cores(), _MAX_WORKERS)
        self.block_chunks = choose_block(str(self._weights.device))
        on_cpu = self._weights.device.type == "cpu"
        # A CPU computes one batch a core; another device one batch at a time.
        self._turn: Any = nullcontext() if on_cpu else threading.Lock()
        std = torch.tensor(card.std, device=self.device).view(1, 3, 1, 1)
        self._scale = 1 / (255 * std)
        self._shift = -torch.tensor(card.mean, device=self.device).view(1, 3, 1, 1) / std

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self._weights.device)

    @property
    def probes(self) -> bytes:
        """See ProbedEmbedder."""
        return hash_probes(make_probes())

    def reference(self) -> Vectors:
        """See ProbedEmbedder."""
        return self._reference

    def settle(self, expected: Vectors) -> float:
        """See ProbedEmbedder; the format was settled when the model was loaded, by `reference`."""
        return lowest_cosine(self.embed_images(make_probes()), expected)

    @property
    def dtype(self) -> str:
        """Number format of the image tower's weights; the text tower's is float32 in any case."""
        return str(self._weights.dtype).removeprefix("torch.")

    def embed(self, images: Sequence[Path], *, progress: Progress | None = None) -> Vectors:
        """Vectors of image files; see ImageEmbedder."""
        vectors = np.zeros((len(images), self.dim), dtype=np.float32)
        done = 0
        for batch in self._in_turns(images):
            vectors[done : done + len(batch)] = batch
            done += len(batch)
            if progress is not None:
                progress(len(batch))
        return check_vectors(vectors)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Vectors of RGB images in memory: (N, D) float32, unit length."""
        return check_vectors(self._compute(np.stack([fit(image, self._card) for image in images])))

    def embed_query(self, text: str) -> Vectors:
        """The vector of a text; see ImageEmbedder."""
        import torch

        with torch.inference_mode():
            tokens = self._tokenizer([text]).to(self.device)
            vector = torch.nn.functional.normalize(self._model.encode_text(tokens).float(), dim=1)
        return np.asarray(check_vectors(vector.cpu().numpy())[0])

    def count_tokens(self, text: str) -> int:
        """Tokens of a text; see ImageEmbedder."""
        if hasattr(self._tokenizer, "encode"):  # open_clip's own, which adds nothing
            return len(self._tokenizer.encode(text))
        return len(self._tokenizer.tokenizer.encode(text, add_special_tokens=False))

    def trusts(self, text: str) -> bool:
        """Whether the model has words of the text's language; why: `tasks.querying.vector_weight`."""
        characters = sum(1 for character in text if not character.isspace())
        return self.count_tokens(text) <= characters

    def _in_turns(self, images: Sequence[Path]) -> Iterator[Vectors]:
        """Vectors of consecutive batches; as many are in memory as there are workers."""
        with _one_thread_a_worker(self._workers), ThreadPoolExecutor(self._workers, "embed") as pool:
            waiting: deque[Future[Vectors]] = deque()
            start = 0
            try:
                while start < len(images) or waiting:
                    if start < len(images) and len(waiting) <= self._workers:
                        size = self._batch_size(len(images))
                        waiting.append(pool.submit(self._embed_batch, images[start : start + size]))
                        start += size
                    else:
                        yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _batch_size(self, count: int) -> int:
        """Of few images each worker gets a part."""
        return max(1, min(self.batch, -(-count // self._workers)))

    def _embed_batch(self, paths: Sequence[Path]) -> Vectors:
        pixels = decode(paths, self._card)
        with self._turn:
            return self._compute(pixels)

    def _compute(self, pixels: Pixels) -> Vectors:
        """(N, D) unit vectors; what does not fit into memory is tried in halves."""
        from tasks.embedding.device import is_out_of_memory, release_memory

        size = min(self.batch, len(pixels))
        try:
            parts = [self._forward(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            if size == 1:
                raise _does_not_fit() from exc
            self.batch = min(self.batch, size // 2)
        else:
            return np.concatenate(parts)
        release_memory(self.device)
        return self._compute(pixels)

    def _forward(self, pixels: Pixels) -> Vectors:
        import torch

        with torch.inference_mode():
            images = self._normalise(torch.from_numpy(pixels).to(self.device))
            vectors = self._model.encode_image(images.to(self._weights.dtype))
            return torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy()

    def _normalise(self, pixels: Tensor) -> Tensor:
        """(N, 3, height, width) float32 of (N, height, width, 3) uint8; in memory channels stay last."""
        return pixels.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift)


def load_image_embedder(
    card: ImageCard, *, device: str = "auto", precision: str = "auto", batch: int | None = None
) -> OpenClipEmbedder:
    """Load a model from its folder, without any network.

    Args:
        card: from resolve_image_model.
        device: ``auto`` (cuda, mps, cpu) or a torch device.
        precision: of the image tower: ``float32``, ``bfloat16`` or ``auto``: bfloat16 weights where
            the device computes in them and a probe set keeps a cosine of 0.999 to float32.
        batch: images a worker computes at once; None means what suits the device.

    Raises:
        ModelNotAvailable: the folder cannot be loaded.
        EmbeddingFailed: our path does not give the library's vectors for this model.
    """
    from tasks.embedding.device import choose_device, has_fast_bfloat16, set_threads

    set_threads()
    device = choose_device(device)
    batch = batch or _BATCHES.get(device.split(":")[0], 8)
    wants_half = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device))
    model, probes = load_model(card, device), make_probes()
    expected = model.embed_as_library(probes)
    if expected.shape[1] != card.dim:
        raise EmbeddingFailed(
            f"The model {card.name} gives vectors of {expected.shape[1]} numbers, not of {card.dim}.",
            advice="Its open_clip_config.json is wrong; use another model.",
        )
    least = 0.0
    for number, (half, folded) in enumerate([(True, True)] * wants_half + [(False, True), (False, False)]):
        if number:  # the one before changed the weights
            model = load_model(card, device)
        embedder = _prepare(card, model, half=half, folded=folded, batch=batch, reference=expected)
        least = _probe_cosine(embedder, probes, expected)
        if least >= (MIN_COSINE if half else _MIN_EXACT):
            return embedder
    raise EmbeddingFailed(
        f"The model {card.name} gives other vectors than its library (cosine {least:.4f}).",
        advice="This kind of model is not supported; use another one.",
    )


def _prepare(
    card: ImageCard, model: ImageModel, *, half: bool, folded: bool, batch: int, reference: Vectors
) -> OpenClipEmbedder:
    if folded:
        fold_normalisation(model.network.visual)
    if half:
        model.network.visual.bfloat16()
    return OpenClipEmbedder(card, model, batch=batch, reference=reference)


def _probe_cosine(embedder: OpenClipEmbedder, images: Sequence[Image.Image], expected: Vectors) -> float:
    """Lowest cosine over the probes; 0 where the model gives no usable vectors."""
    try:
        embedder.embed_query("a photo of a dog")
        vectors = embedder.embed_images(images)
    except EmbeddingFailed:
        return 0.0
    return lowest_cosine(vectors, expected)


@contextmanager
def _one_thread_a_worker(workers: int) -> Iterator[None]:
    """Workers that compute side by side, each in one thread.

    On two cores that was 1.4 (float32) to 1.8 times (bfloat16) one worker in two threads (2026-11).
    Opening images changes the filter of warnings, which belongs to the process: it is put back.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // workers))
    try:
        with warnings.catch_warnings():
            yield
    finally:
        torch.set_num_threads(before)


def _does_not_fit() -> EmbeddingFailed:
    return EmbeddingFailed(
        "One image does not fit into the device's memory.",
        advice="Free memory, use a smaller model, or run on another device (device='cpu').",
    )
