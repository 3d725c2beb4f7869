"""What the pipeline needs of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

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
