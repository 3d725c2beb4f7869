"""What the pipeline needs of a text model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
