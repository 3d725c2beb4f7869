"""Generated documents and vectors, the same on every machine, and a model that costs nothing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.chunk import Chunk
from tasks.embedding.base import Progress, Vectors

DIM = 384
LATENT = 32
"""Intrinsic dimension of the vectors. Those of a text model lie near a surface of a few dozen
dimensions; independent noise in all 384 would be the worst case of every index."""

_WORDS = 20_000
_FILES_A_FOLDER = 100
_LATIN = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bra cle dri flo gru sto".split()
_HANGUL = "가고구기나다대도라로리마무미바보부비사상서소수시아안어연오원유이인일자"
_PARTICLES = "은는이가을를에의로와"


@cache
def _vocabulary() -> tuple[tuple[list[str], list[str]], list[float]]:
    """English-like and Korean-like words, and the cumulated weights of both by rank (Zipf's law)."""
    rng = random.Random(7)
    latin = ["".join(rng.choices(_LATIN, k=1 + (rank > 100) + (rank > 3_000))) for rank in range(_WORDS)]
    korean = [
        "".join(rng.choices(_HANGUL, k=1 + (rank > 30) + (rank > 1_000))) + rng.choice(_PARTICLES)
        for rank in range(_WORDS)
    ]
    return (latin, korean), list(accumulate(1 / (rank + 2) for rank in range(_WORDS)))


def make_words(count: int, seed: int) -> list[str]:
    """Words as often as a language uses them, so that few grams are in most texts and most in few."""
    languages, weights = _vocabulary()
    rng = random.Random(seed)
    return rng.choices(languages[seed % 2], cum_weights=weights, k=count)


def make_text(characters: int, seed: int) -> str:
    """Sentences, four a paragraph, about that long; even seeds English-like, odd ones Korean-like."""
    words = make_words(characters // (4 if seed % 2 else 5) + 1, seed)
    sentences = [" ".join(words[start : start + 12]) + "." for start in range(0, len(words), 12)]
    paragraphs = [" ".join(sentences[start : start + 4]) for start in range(0, len(sentences), 4)]
    return f"Document {seed}.\n\n" + "\n\n".join(paragraphs)[:characters]


def make_chunks(count: int, characters: int = 600) -> list[Chunk]:
    """Chunks with different texts; the token count is a guess that nothing here reads."""
    texts = (make_text(characters, number) for number in range(count))
    return [Chunk(text, "text", 150, 0, len(text), None, "") for text in texts]


def make_vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    """(count, DIM) float32, unit length, near a LATENT-dimensional surface."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((count, LATENT)).astype(np.float32)
    noise = rng.standard_normal((count, DIM)).astype(np.float32) * np.float32(0.1 * LATENT**0.5)
    return normalise(latent @ _basis() + noise)


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
        latent = np.frombuffer(digests, dtype=np.uint8).reshape(-1, LATENT) - np.float32(127.5)
        if progress and texts:
            progress(len(texts))
        return normalise(np.matmul(latent, _basis(), dtype=np.float32))

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query."""
        return np.asarray(self.embed([text])[0])


@cache
def _basis() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((LATENT, DIM)).astype(np.float32)


def normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at unit length."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / norms, dtype=np.float32)
