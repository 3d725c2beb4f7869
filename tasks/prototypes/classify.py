"""Which class an image is nearest to, and whether it is near enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError, EmbeddingFailed
from schemas.exact_sum import Vectors
from schemas.prototype import UNKNOWN, Prototype, Thresholds, Verdict

DECIMALS: Final = 6
"""Of a similarity; what lies beneath is noise of the arithmetic, and equal classes shall tie."""

_BLOCK_BYTES = 12 << 20
"""Of one array of float64; up to five of them are held at a time."""

Similarities = NDArray[np.float64]


class Bank:
    """The vectors of all classes, laid out for comparing many images with them.

    The similarity of an image to a class is that to the nearest of the class's vectors.

    Attributes:
        classes: (C,) names, sorted.
        vectors: (M, D) float32 of unit length, class after class.
        starts: (C + 1,) int64: those of class i are from starts[i] to starts[i + 1].
    """

    def __init__(self, prototypes: Sequence[Prototype]) -> None:
        """Lay out prototypes, in any order.

        Raises:
            ConfigurationError: there are none.
        """
        if not prototypes:
            raise ConfigurationError(
                "There are no prototypes to compare with.",
                advice="Ingest images in one folder per class, then build the prototypes.",
            )
        ordered = sorted(prototypes, key=lambda one: one.name)
        self.classes = tuple(one.name for one in ordered)
        self.vectors = np.concatenate([one.vectors for one in ordered])
        self.starts = np.cumsum([0, *(len(one.vectors) for one in ordered)])

    def blocks(self, vectors: Vectors, images: NDArray[np.int64]) -> Iterator[tuple[slice, Similarities]]:
        """Parts of the images with their (n, C) float64 similarities, rounded to `DECIMALS`.

        Memory does not grow with the number of images. In float64, as sums of float32 differ from one
        processor to the next in digits that would count.

        Args:
            vectors: (N, D) float32 of unit length.
            images: indexes of those to compare, in the order of the parts.
        """
        rows = max(1, _BLOCK_BYTES // (8 * max(len(self.classes), self.vectors.shape[1])))
        for start in range(0, len(images), rows):
            part = slice(start, min(start + rows, len(images)))
            yield part, self._compare(vectors[images[part]].astype(np.float64))

    def _compare(self, rows: Similarities) -> Similarities:
        result = np.empty((len(rows), len(self.classes)))
        for first, last in self._class_blocks(len(rows)):
            low, high = self.starts[first], self.starts[last]
            found = rows @ self.vectors[low:high].astype(np.float64).T
            if high - low > last - first:
                found = np.maximum.reduceat(found, self.starts[first:last] - low, axis=1)
            result[:, first:last] = found
        return np.round(result, DECIMALS, out=result)

    def _class_blocks(self, rows: int) -> Iterator[tuple[int, int]]:
        """From which class to which, so that neither the vectors nor the result are large."""
        limit = max(1, _BLOCK_BYTES // (8 * max(rows, self.vectors.shape[1])))
        first = 0
        while first < len(self.classes):
            last = int(np.searchsorted(self.starts, self.starts[first] + limit, side="right")) - 1
            last = max(last, first + 1)
            yield first, last
            first = last


def classify(
    vectors: Vectors, prototypes: Sequence[Prototype], thresholds: Thresholds, *, top_k: int = 3
) -> list[Verdict]:
    """What each image is: its nearest class, or `UNKNOWN`.

    Args:
        vectors: (N, D) float32 of unit length.
        prototypes: of all classes, in any order.
        thresholds: see `Verdict.is_unknown`.
        top_k: nearest classes to name; equally near ones by name. Similarities have six decimals.

    Raises:
        ConfigurationError: there are no prototypes, or they have another dimension.
        EmbeddingFailed: a vector is not finite.
    """
    bank = Bank(prototypes)
    if vectors.ndim != 2 or vectors.shape[1] != bank.vectors.shape[1]:
        raise ConfigurationError(
            f"The images have vectors of shape {vectors.shape}, the prototypes of {bank.vectors.shape[1]}.",
            advice="Use the model the prototypes were built with.",
        )
    if not bool(np.isfinite(vectors).all()):
        raise EmbeddingFailed(
            "A vector of an image that is to be classified holds a value that is not a number.",
            advice="Try another copy of the image, or precision float32.",
        )
    verdicts: list[Verdict] = []
    for _, found in bank.blocks(vectors, np.arange(len(vectors))):
        verdicts += _judge(bank.classes, found, thresholds, max(1, top_k))
    return verdicts


def _judge(
    classes: tuple[str, ...], found: Similarities, thresholds: Thresholds, top_k: int
) -> Iterator[Verdict]:
    nearest = np.argsort(-found, axis=1, kind="stable")[:, : max(top_k, 2)]
    best = np.take_along_axis(found, nearest, axis=1)
    for indexes, scores in zip(nearest.tolist(), best.tolist(), strict=True):
        top = tuple((classes[i], score) for i, score in zip(indexes, scores, strict=True))
        s1 = scores[0]
        margin = round(s1 - scores[1], DECIMALS) if len(scores) > 1 else s1
        is_unknown = s1 < thresholds.tau1 or margin < thresholds.tau2
        yield Verdict(top[:top_k], UNKNOWN if is_unknown else classes[indexes[0]], s1, margin, is_unknown)
