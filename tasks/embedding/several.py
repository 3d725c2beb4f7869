"""One model on several devices: a process each, which embed the items of one run together.

A list of devices is opt-in: `auto` is the one device that was measured. The parent has the model too, on
the first of them: for queries, for the probe, to tokenize, and for few items, which need no other process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EmbeddingFailed
from tasks.embedding.base import MIN_COSINE, Embedder, Progress, Vectors
from tasks.embedding.image_card import ImageCard
from tasks.embedding.processes import DevicePool, Load, Request
from tasks.embedding.resolve import Card, load_embedder
from tasks.embedding.tokenizing import TokenWindow

if TYPE_CHECKING:
    from tasks.embedding.image import OpenClipEmbedder
    from tasks.embedding.text import SentenceTransformerEmbedder

FEW = 1_000
"""Items that one device embeds while others would still load the model (in 6 to 10 s)."""
_BLOCKS_EACH = 4
"""Blocks that a device gets of a window if all are equally fast: the last ones are done at about one time."""
_WINDOW = 4096
_BLOCK = 128


class _Several:
    """What texts and images have in common. Not safe to share between threads, but for `prepare`."""

    _first: SentenceTransformerEmbedder | OpenClipEmbedder

    def __init__(self, first: SentenceTransformerEmbedder | OpenClipEmbedder, pool: DevicePool) -> None:
        self.name = first.name
        self.revision = first.revision
        self.dim = first.dim
        self._first = first
        self._pool = pool
        self._expected: Vectors | None = None
        self._shown: Vectors | None = None

    @property
    def probes(self) -> bytes:
        """See ProbedEmbedder."""
        return self._first.probes

    def reference(self) -> Vectors:
        """See ProbedEmbedder."""
        return self._first.reference()

    def settle(self, expected: Vectors) -> float:
        """See ProbedEmbedder; each process settles by the same vectors, before its first block."""
        cosine = self._first.settle(expected)
        if cosine >= MIN_COSINE:
            self._expected = expected
        return cosine

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query; no process is started for it."""
        return self._first.embed_query(text)

    def start(self, count: int) -> None:
        """See SharedEmbedder."""
        if count > FEW:
            self._verify()

    def end(self) -> None:
        """See SharedEmbedder."""
        self._pool.close()

    def _is_little(self, count: int) -> bool:
        return count <= FEW and not self._pool.is_started

    def _ask_any(self, requests: Iterable[Request]) -> Iterator[tuple[int, Vectors]]:
        self._verify()
        return self._pool.ask_any(requests)

    def _verify(self) -> None:
        """Find that each process gives the vectors of the space, before any of them embeds a block."""
        if self._expected is None and (cosine := self.settle(self.reference())) < MIN_COSINE:
            raise _other_vectors(self.name, self._pool.devices[0], cosine)
        if self._pool.is_started and self._shown is self._expected:
            return
        cosines = self._pool.ask_all(methodcaller("settle", self._expected))
        for device, cosine in zip(self._pool.devices, cosines, strict=True):
            if cosine < MIN_COSINE:
                self._pool.close()
                raise _other_vectors(self.name, device, cosine)
        self._shown = self._expected

    def _block_size(self, count: int, most: int) -> int:
        return max(1, min(most, -(-count // (_BLOCKS_EACH * len(self._pool.devices)))))


class SeveralTextEmbedder(_Several):
    """Texts on several devices: a StreamingEmbedder and a ProbedEmbedder.

    At most `most` texts a device are embedded and not handed over. A kill costs these, and `most` twice more:
    a block in hand and one that is being stored. On accelerators that is in all at most a window of texts,
    because it is cut into several blocks for each.
    """

    _first: SentenceTransformerEmbedder

    def __init__(self, first: SentenceTransformerEmbedder, pool: DevicePool) -> None:
        super().__init__(first, pool)
        self.block_chunks = first.block_chunks

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents; see TextEmbedder."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = self.prepare(texts[start : start + _WINDOW])
            for rows, block in self.stream(window, most=self.block_chunks or _BLOCK):
                vectors[start + rows] = block
                if progress is not None:
                    progress(len(rows))
        return vectors

    def prepare(self, texts: Sequence[str]) -> TokenWindow:
        """See StreamingEmbedder."""
        return self._first.prepare(texts)

    def stream(self, prepared: TokenWindow, *, most: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """See StreamingEmbedder; the longest texts come first, each block of the next free device."""
        count = len(prepared.lengths)
        if self._is_little(count):
            yield from self._first.stream(prepared, most=most)
            return
        order = np.argsort(-prepared.lengths, kind="stable")
        size = self._block_size(count, most)
        blocks = [order[start : start + size] for start in range(0, count, size)]
        for number, vectors in self._ask_any(partial(_embed, prepared.take(rows)) for rows in blocks):
            yield blocks[number], vectors


class SeveralImageEmbedder(_Several):
    """Images on several devices: an ImageEmbedder and a ProbedEmbedder.

    `block_chunks` images are embedded together and then stored: a kill costs at most twice as many
    (`UNSTORED_STORES` of `tasks.vectors`), that is for each device what one alone costs.
    """

    _first: OpenClipEmbedder

    def __init__(self, first: OpenClipEmbedder, pool: DevicePool) -> None:
        super().__init__(first, pool)
        self.block_chunks = (first.block_chunks or _BLOCK) * len(pool.devices)

    def embed(self, images: Sequence[Path], *, progress: Progress | None = None) -> Vectors:
        """Vectors of image files; see ImageEmbedder."""
        if self._is_little(len(images)):
            return self._first.embed(images, progress=progress)
        vectors = np.zeros((len(images), self.dim), dtype=np.float32)
        size = self._block_size(len(images), self.block_chunks)
        blocks = [images[start : start + size] for start in range(0, len(images), size)]
        for number, block in self._ask_any(methodcaller("embed", paths) for paths in blocks):
            vectors[number * size : number * size + len(block)] = block
            if progress is not None:
                progress(len(block))
        return vectors

    def trusts(self, text: str) -> bool:
        """See ImageEmbedder."""
        return self._first.trusts(text)


def load_several(card: Card, *, device: str, precision: str) -> Embedder:
    """The model on each device of a list; where that is one device, the model there.

    Args:
        card: of files, not of an endpoint.
        device: as `tasks.embedding.device.choose_devices` takes it.
        precision: as `load_embedder`.

    Raises:
        ConfigurationError: a device is not in this machine.
        ModelNotAvailable, EmbeddingFailed: as `load_embedder`; also later, by the first items, when a process
            loads it.
    """
    from tasks.embedding.device import choose_devices

    devices = choose_devices(device)
    first = load_embedder(card, device=devices[0], precision=precision)
    if len(devices) == 1:
        return first
    pool = DevicePool(
        [Load(name, partial(_load_beside, card, name, precision, len(devices))) for name in devices]
    )
    several: Any = SeveralImageEmbedder if isinstance(card, ImageCard) else SeveralTextEmbedder
    made: Embedder = several(first, pool)
    return made


def _load_beside(card: Card, device: str, precision: str, processes: int) -> Embedder:
    """In a process of its own: the model, beside those of the others."""
    from tasks.embedding.device import work_beside

    work_beside(processes, device)
    return load_embedder(card, device=device, precision=precision)


def _embed(window: TokenWindow, embedder: SentenceTransformerEmbedder) -> Vectors:
    """In a process of its own: (N, D) vectors of a block, in its order."""
    vectors = np.zeros((len(window.lengths), embedder.dim), dtype=np.float32)
    for rows, block in embedder.stream(window, most=len(window.lengths)):
        vectors[rows] = block
    return vectors


def _other_vectors(model: str, device: str, cosine: float) -> EmbeddingFailed:
    return EmbeddingFailed(
        f"The model {model} gives other vectors on {device} than those expected (cosine {cosine:.4f}, at "
        f"least {MIN_COSINE} is needed).",
        advice="Leave this device out of `device`; if others give the same, use precision='float32'.",
        device=device,
        cosine=cosine,
    )
