"""Generated documents and vectors, the same on every machine, and a model that costs nothing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.chunk import Chunk
from tasks.embedding.base import Progress, Vectors
from tests.texts import english_sentence, korean_sentence

DIM = 384
LATENT = 64
"""Intrinsic dimension of the vectors. Those of a text model lie near a surface of a few dozen
dimensions; independent noise in all 384 would be the worst case of every index."""

_SENTENCES = 20_000
_FILES_A_FOLDER = 100


@cache
def _sentences() -> list[str]:
    rng = random.Random(7)
    return [korean_sentence(rng) if n % 2 else english_sentence(rng) for n in range(_SENTENCES)]


def make_text(characters: int, seed: int) -> str:
    """Paragraphs of Korean and English sentences, about that long; another seed, other sentences."""
    rng = random.Random(seed)
    paragraphs: list[str] = []
    size = 0
    while size < characters:
        paragraphs.append(" ".join(rng.choices(_sentences(), k=8)))
        size += len(paragraphs[-1]) + 2
    return f"Document {seed}.\n\n" + "\n\n".join(paragraphs)[:characters]


def make_chunks(count: int, characters: int = 600) -> list[Chunk]:
    """Chunks with different texts; the token count is a guess that nothing here reads."""
    texts = (make_text(characters, number) for number in range(count))
    return [Chunk(text, "text", 150, 0, len(text), None, "") for text in texts]


def make_vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    """(count, DIM) float32, unit length, near a LATENT-dimensional surface."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((count, LATENT)).astype(np.float32)
    return _normalise(latent @ _basis() + 0.1 * rng.standard_normal((count, DIM)).astype(np.float32))


def write_files(folder: Path, count: int, characters: int) -> None:
    """Write text files, 100 a folder."""
    for number in range(count):
        path = folder / f"folder-{number // _FILES_A_FOLDER:03}" / f"document-{number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make_text(characters, number), encoding="utf-8")


class StubEmbedder:
    """Vectors from a hash of the text: what is left is the pipeline's own cost."""

    name = "stub"
    revision = "1"
    dim = DIM

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents, (N, DIM) float32, unit length."""
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=LATENT).digest() for text in texts)
        latent = np.frombuffer(digests, dtype=np.uint8).reshape(-1, LATENT).astype(np.float32) - 127.5
        if progress and texts:
            progress(len(texts))
        return _normalise(latent @ _basis())

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query."""
        return self.embed([text])[0]


@cache
def _basis() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((LATENT, DIM)).astype(np.float32) / np.float32(8)


def _normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
