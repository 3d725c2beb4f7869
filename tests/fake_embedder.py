"""A text model for tests: no framework, the same vectors everywhere, near for near texts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from schemas.embedding import EmbeddingSpace
from tasks.embedding.base import Progress, Vectors


class FakeEmbedder:
    """Sums hashed words and the character pairs in them, so shared words make texts near.

    Attributes:
        embedded: how many texts were embedded so far.
    """

    def __init__(self, *, name: str = "fake", revision: str = "1", dim: int = 64) -> None:
        self.name = name
        self.revision = revision
        self.dim = dim
        self.embedded = 0

    def space(self) -> EmbeddingSpace:
        """The space of its vectors."""
        return EmbeddingSpace("text", "fake", self.name, self.revision, self.dim)

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._embed_one(text)
        self.embedded += len(texts)
        if progress is not None and texts:
            progress(len(texts))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        return self._embed_one(text)

    def _embed_one(self, text: str) -> Vectors:
        total = np.full(self.dim, 1e-3)
        for feature, weight in _features(text):
            seed = hashlib.blake2b(f"{self.revision}{feature}".encode(), digest_size=8).digest()
            total += weight * np.random.default_rng(int.from_bytes(seed)).standard_normal(self.dim)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def _features(text: str) -> Iterator[tuple[str, float]]:
    for word in re.findall(r"\w+", text.lower()):
        yield word, 1.0
        for pair in pairwise(word):
            yield "".join(pair), 0.3
