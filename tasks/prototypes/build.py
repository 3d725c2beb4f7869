"""The prototype of a class: a function of the set of its vectors, whatever their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.exact_sum import Sum, Vectors, add, mean_vector, require_countable
from schemas.prototype import Prototype
from schemas.settings import PrototypeSettings

BUILD_VERSION: Final = 1
"""Raised whenever the same images may give another prototype, or other thresholds."""

TOO_FEW: Final = "too few images"
NO_DIRECTION: Final = "its images have no direction in common"

TRIM_ROUNDS: Final = 2
"""The first mean still has the outliers in it; the second ranks the images by one that has not."""
CLUSTER_ROUNDS: Final = 20
"""Clusters of some hundred images settle within ten; where these do not, the last ones count."""

_SAME = 1 - 1e-6
"""Images this similar to a start are the same one for clustering."""
_TRIMMED = -1
_ROWS = 4096

Labels = NDArray[np.int64]
Similarities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Composition:
    """What the vectors of a class are made of.

    Attributes:
        vectors: (k, D) float32 of unit length.
        sums: (k, D) int64, exact sums of the images behind each of them.
        labels: (N,) int64: to which of them each image contributes, in the order given; -1: to none,
            it was trimmed.
    """

    vectors: Vectors
    sums: Sum
    labels: Labels


def build_prototype(
    name: str, vectors: Vectors, settings: PrototypeSettings, *, total: Sum | None = None
) -> Prototype | None:
    """The prototype of a class; None where its images have no direction in common.

    Args:
        name: of the class.
        vectors: (N, D) float32 of unit length, at least one; their order makes no difference.
        settings: `k` and `trim`.
        total: (D,) their exact sum, where it is known.

    Raises:
        ConfigurationError: more images than an exact sum can hold.
        EmbeddingFailed: a vector is not finite or not of unit length.
    """
    require_countable(name, len(vectors))
    if total is None:
        total = add(np.zeros(vectors.shape[1], np.int64), vectors)
    if is_mean(settings):
        return prototype_of_sum(name, len(vectors), total)
    composition = compose(vectors, settings, total=total)
    return None if composition is None else Prototype(name, len(vectors), total, composition.vectors)


def prototype_of_sum(name: str, images: int, total: Sum) -> Prototype | None:
    """The prototype that is the mean of so many images; None where they have no direction in common."""
    mean = mean_vector(total)
    return None if mean is None else Prototype(name, images, total, mean[None])


def compose(vectors: Vectors, settings: PrototypeSettings, *, total: Sum | None = None) -> Composition | None:
    """Which images make up which vector of the prototype; None where they have no direction in common.

    Images under the share `trim` that are least similar to the mean are left out of it; the others form
    `k` clusters, or as many as there are pairs of images for.
    """
    order = _canonical_order(vectors)
    rows = vectors[order]
    if total is None:
        total = add(np.zeros(rows.shape[1], np.int64), rows)
    mean = mean_vector(total)
    if mean is None:
        return None
    kept = _trim(rows, mean, settings.trim)
    clusters = max(1, min(settings.k, len(kept) // 2))
    labels = np.full(len(rows), _TRIMMED, np.int64)
    labels[kept] = _cluster(rows[kept], mean, clusters)
    return _compose(vectors, labels[np.argsort(order)])


def similarities(rows: Vectors, vectors: Vectors) -> Similarities:
    """(N, k) cosine similarities, the same bits on every machine and in any order of the rows.

    BLAS sums in an order of its own, which depends on the processor and on how many rows there are.
    """
    result = np.empty((len(rows), len(vectors)))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS].astype(np.float64)
        for column, vector in enumerate(vectors.astype(np.float64)):
            result[start : start + _ROWS, column] = (part * vector).sum(axis=1)
    return result


def is_mean(settings: PrototypeSettings) -> bool:
    """Whether a prototype is the mean of all images: then their sum is all that it needs."""
    return settings.k == 1 and settings.trim == 0


def _canonical_order(vectors: Vectors) -> Labels:
    """By their bytes: ties are then the same image, whatever the order they came in."""
    rows = np.ascontiguousarray(vectors, np.float32)
    order: Labels = np.argsort(rows.view(np.dtype((np.void, rows.shape[1] * 4))).ravel(), kind="stable")
    return order


def _trim(rows: Vectors, mean: Vectors, share: float) -> Labels:
    """Indexes of the images that are kept, ascending."""
    everything = np.arange(len(rows))
    dropped = int(share * len(rows))
    kept = everything
    for _ in range(TRIM_ROUNDS if dropped else 0):
        ranked = np.argsort(-similarities(rows, mean[None])[:, 0], kind="stable")
        kept = np.sort(ranked[: len(rows) - dropped])
        following = mean_vector(_sum(rows[kept]))
        if following is None:
            return everything
        mean = following
    return kept


def _cluster(rows: Vectors, mean: Vectors, clusters: int) -> Labels:
    """Spherical k-means; the first start is nearest to the mean, each other farthest from those before.

    Source: Dhillon and Modha, Concept decompositions for large sparse text data using clustering, 2001.
    """
    if clusters == 1:
        return np.zeros(len(rows), np.int64)
    centres = _farthest_starts(rows, mean, clusters)
    labels: Labels = np.argmax(similarities(rows, centres), axis=1)
    for _ in range(CLUSTER_ROUNDS):
        moved = [mean_vector(_sum(rows[labels == index])) for index in range(len(centres))]
        # a cluster that lost its images, or whose images cancel each other out, stays where it was
        centres = np.stack([c if new is None else new for c, new in zip(centres, moved, strict=True)])
        following = np.argmax(similarities(rows, centres), axis=1)
        if np.array_equal(following, labels):
            break
        labels = following
    return labels


def _farthest_starts(rows: Vectors, mean: Vectors, clusters: int) -> Vectors:
    chosen = [int(np.argmax(similarities(rows, mean[None])[:, 0]))]
    nearest = similarities(rows, rows[chosen])[:, 0]
    while len(chosen) < clusters and nearest.min() < _SAME:
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, similarities(rows, rows[chosen[-1:]])[:, 0])
    return rows[chosen]


def _compose(vectors: Vectors, labels: Labels) -> Composition | None:
    """Vectors and sums of the clusters, the largest first; one without a direction has none."""
    found = []
    for label in np.unique(labels[labels != _TRIMMED]).tolist():
        total = _sum(vectors[labels == label])
        mean = mean_vector(total)
        if mean is not None:
            found.append((-int((labels == label).sum()), mean.tobytes(), label, mean, total))
    if not found:
        return None
    found.sort(key=lambda cluster: cluster[:2])
    numbered = np.full(len(labels), _TRIMMED, np.int64)
    for number, (_, _, label, _, _) in enumerate(found):
        numbered[labels == label] = number
    return Composition(np.stack([c[3] for c in found]), np.stack([c[4] for c in found]), numbered)


def _sum(rows: Vectors) -> Sum:
    return add(np.zeros(rows.shape[1], np.int64), rows)
