"""What the pipeline needs of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EmbeddingFailed

Vectors = NDArray[np.float32]
Progress = Callable[[int], None]


class TextEmbedder(Protocol):
    """Makes comparable vectors of texts."""

    @property
    def name(self) -> str:
        """Name of the model as configured."""

    @property
    def revision(self) -> str:
        """What identifies the weights."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents, the document prompt applied.

        Args:
            texts: any number, of any length; what exceeds the model's limit is not seen.
            progress: called after each batch with the number of texts it held.

        Returns:
            (N, D) float32, unit length, in the order of the texts; (0, D) for none.

        Raises:
            EmbeddingFailed: the model could not embed a batch.
        """

    def embed_query(self, text: str) -> Vectors:
        """(D,) float32, unit length: the vector of a query, the query prompt applied."""


@runtime_checkable
class StreamingEmbedder(Protocol):
    """A text model whose texts are made ready in another thread, and whose vectors come in blocks."""

    @property
    def block_chunks(self) -> int | None:
        """Texts of a block where the device asks for more than are stored together on a CPU."""

    def prepare(self, texts: Sequence[str]) -> Any:
        """What `stream` takes; called in another thread than everything else."""

    def stream(self, prepared: Any, *, most: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Vectors of the texts in any order, in blocks; see `embed`.

        Args:
            prepared: of N texts, by `prepare`.
            most: texts of a block: at most so many are embedded and not handed over.

        Yields:
            (B,) places of texts, and their (B, D) vectors; each of the N places once.
        """


@runtime_checkable
class ProbedEmbedder(Protocol):
    """A model that can show that its vectors are still those of its space; see `tasks.embedding.probing`."""

    @property
    def probes(self) -> bytes:
        """sha256 of the fixed texts or images that are embedded."""

    def reference(self) -> Vectors:
        """(P, D) float32, unit length: their vectors, made by the library's own functions in float32."""

    def settle(self, expected: Vectors) -> float:
        """Take the fastest number format that gives those vectors.

        Returns:
            The lowest cosine to them, of the format that was taken; under 0.999 where none gives them.
        """


@runtime_checkable
class SharedEmbedder(Protocol):
    """A model that has processes of its own; whoever has many items begins and ends them."""

    def start(self, count: int) -> None:
        """Have the processes ready, if so many items are worth them.

        Raises:
            EmbeddingFailed, ModelNotAvailable, ConfigurationError: the model cannot be loaded in one of them.
        """

    def end(self) -> None:
        """End them; items that come later start others."""


class ImageEmbedder(Protocol):
    """Makes comparable vectors of images, and of texts that look for them."""

    @property
    def name(self) -> str:
        """Name of the model, without a machine's paths."""

    @property
    def revision(self) -> str:
        """What identifies the weights."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def embed(self, images: Sequence[Path], *, progress: Progress | None = None) -> Vectors:
        """Vectors of image files.

        Args:
            images: any number of files that were found to be readable images before.
            progress: called after each batch with the number of images it held.

        Returns:
            (N, D) float32, unit length, in the order of the files; (0, D) for none.

        Raises:
            EmbeddingFailed: a file cannot be decoded, or the model could not embed a batch.
        """

    def embed_query(self, text: str) -> Vectors:
        """(D,) float32, unit length: the vector of a text, comparable with those of images."""

    def trusts(self, text: str) -> bool:
        """Whether the text is in a language that the model's vocabulary has words of."""


Embedder = TextEmbedder | ImageEmbedder
"""What reads the items of a collection; `embed` is handed texts or files, as its space's modality says."""


def check_vectors(vectors: Vectors) -> Vectors:
    """The same (N, D) vectors, each found to be of unit length.

    Raises:
        EmbeddingFailed: some are not finite, or zero.
    """
    norms = np.linalg.norm(vectors, axis=1)
    bad = int(np.count_nonzero(~(np.abs(norms - 1) < 1e-2)))
    if bad:
        raise EmbeddingFailed(
            f"The model gave {bad} of {len(vectors)} vectors that are not finite or are zero.",
            advice="Run with precision='float32'; if it stays, the model's files are damaged.",
            count=bad,
        )
    return vectors


MIN_COSINE = 0.999
"""To the vectors in float32: under it, vectors would not be those of their space."""


def lowest_cosine(vectors: Vectors, expected: Vectors) -> float:
    """The lowest cosine of unit vectors to those expected, row by row; 0 where they cannot be compared.

    >>> lowest_cosine(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32))
    1.0
    """
    if vectors.shape != expected.shape:
        return 0.0
    lowest = float((vectors.astype(np.float64) * expected).sum(axis=1).min(initial=1.0))
    return lowest if np.isfinite(lowest) else 0.0
