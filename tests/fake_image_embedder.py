"""An image model for tests: the colours of a small picture; near for images that look alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from schemas.embedding import EmbeddingSpace
from tasks.embedding.base import Progress, Vectors
from tasks.images.opening import open_image

SIDE = 6


class FakeImageEmbedder:
    """The picture at 6 x 6 pixels, less its mean, as a unit vector of 108 values and zeros.

    Attributes:
        embedded: how many images were embedded so far.
    """

    modality = "image"

    def __init__(self, *, name: str = "fake-image", revision: str = "1", dim: int = 3 * SIDE * SIDE) -> None:
        self.name = name
        self.revision = revision
        self.dim = dim
        self.embedded = 0

    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return EmbeddingSpace("image", "fake", self.name, self.revision, self.dim)

    def embed(self, images: Sequence[Path], *, progress: Progress | None = None) -> Vectors:
        vectors = np.zeros((len(images), self.dim), np.float32)
        for row, path in enumerate(images):
            vectors[row] = self._embed_one(path)
        self.embedded += len(images)
        if progress is not None and len(images):
            progress(len(images))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        seed = hashlib.blake2b(text.encode(), digest_size=8).digest()
        vector = np.random.default_rng(int.from_bytes(seed)).standard_normal(self.dim)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def trusts(self, text: str) -> bool:
        return True

    def _embed_one(self, path: Path) -> Vectors:
        small = np.asarray(open_image(path).resize((SIDE, SIDE)), np.float64).reshape(-1)
        small = small - small.mean() + 1e-3 * np.arange(len(small))
        small = np.pad(small, (0, self.dim - len(small)))
        return np.asarray(small / np.linalg.norm(small), np.float32)
