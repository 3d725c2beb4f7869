"""How well class prototypes and texts find images of a vendor that nothing was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_DRAWS = 20


@dataclass(frozen=True, slots=True)
class PrototypeScores:
    """Means over the draws.

    Attributes:
        top1: share of queries whose nearest prototype is that of their class.
        unknown_by_similarity: AUROC of telling queries of a class from queries of none by the similarity
            of the nearest prototype.
        unknown_by_margin: the same by its distance to the second.
    """

    top1: float
    unknown_by_similarity: float
    unknown_by_margin: float


def score_prototypes(
    groups: Sequence[Vectors], queries: Vectors, *, classes: int, draws: int = _DRAWS, seed: int = 0
) -> PrototypeScores:
    """Prototypes are means of one unit vector a group; as many classes again are asked for without one.

    Args:
        groups: vectors (C, D) of each vendor, row by row of the same classes.
        queries: (C, D) of another vendor.
        classes: prototypes in a draw. Up to as many other classes are the unknown ones.
        draws: random choices of classes.
        seed: of the choices.
    """
    rng = np.random.default_rng(seed)
    prototypes = normalize(np.sum([normalize(group) for group in groups], axis=0))
    queries = normalize(queries)
    scores = []
    for _ in range(draws):
        order = rng.permutation(len(queries))
        known, unknown = order[:classes], order[classes : 2 * classes]
        similarity = queries[known] @ prototypes[known].T
        hits = similarity.argmax(axis=1) == np.arange(classes)
        best = np.sort(np.concatenate([similarity, queries[unknown] @ prototypes[known].T]))[:, ::-1]
        is_known = np.arange(len(best)) < classes
        margin = best[:, 0] - best[:, 1]
        scores.append((hits.mean(), measure_auroc(best[:, 0], is_known), measure_auroc(margin, is_known)))
    return PrototypeScores(*(float(value) for value in np.mean(scores, axis=0)))


def score_shots(vectors: Vectors, *, shots: int, draws: int = _DRAWS, seed: int = 0) -> float:
    """Top-1 of the other images, with the mean of some drawn images a class as its prototype.

    Args:
        vectors: (C, N, D) of N images in each of C classes.
        shots: drawn images a class.
        draws: random choices.
        seed: of the choices.
    """
    rng = np.random.default_rng(seed)
    unit = normalize(vectors.reshape(-1, vectors.shape[-1])).reshape(vectors.shape)
    hits = []
    for _ in range(draws):
        order = rng.permuted(np.tile(np.arange(unit.shape[1]), (len(unit), 1)), axis=1)
        mixed = np.take_along_axis(unit, order[:, :, None], axis=1)
        prototypes = normalize(mixed[:, :shots].mean(axis=1))
        nearest = (mixed[:, shots:] @ prototypes.T).argmax(axis=2)
        hits.append((nearest == np.arange(len(unit))[:, None]).mean())
    return float(np.mean(hits))


def score_texts(texts: Vectors, images: Vectors, *, ranks: Sequence[int] = (1, 5)) -> list[float]:
    """Share of texts whose image is among the nearest so many, for rows that belong together."""
    similarity = normalize(texts) @ normalize(images).T
    better = (similarity > np.diagonal(similarity)[:, None]).sum(axis=1)
    return [float((better < rank).mean()) for rank in ranks]


def measure_auroc(scores: NDArray[np.floating], is_positive: NDArray[np.bool_]) -> float:
    """Chance that a positive scores above a negative, ties as half.

    >>> measure_auroc(np.array([0.9, 0.8, 0.1]), np.array([True, False, False]))
    1.0
    """
    positive, negative = np.sort(scores[is_positive]), scores[~is_positive]
    above = len(positive) - np.searchsorted(positive, negative, side="right")
    equal = len(positive) - np.searchsorted(positive, negative, side="left") - above
    return float((above + equal / 2).sum() / (len(positive) * len(negative)))


def normalize(vectors: Vectors) -> Vectors:
    """Rows of unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
