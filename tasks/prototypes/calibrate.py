"""When an image is near enough to a class: thresholds measured on the images of the classes themselves.

Each image is compared with the classes as if it were not in its own (leave-one-out): what a new image
of a known class looks like. Compared with the other classes alone, it is what an image of an unknown
class looks like. The first shall be accepted, the second not.

What this cannot see: images that were taken in one series are nearer to each other than new ones will
be, and an unknown class in practice may be stranger, or nearer, than the classes are to each other.
An image in the wrong class counts as unknown there although its true class is known, and a class under
two names twice: both make the thresholds stricter than need be until they are put right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.exact_sum import UNIT, Vectors
from schemas.prototype import LeaveOneOut, Members, Prototype, Scores, Thresholds
from schemas.settings import PrototypeSettings
from tasks.prototypes.build import compose, is_mean, similarities
from tasks.prototypes.classify import DECIMALS, Bank

GRID: Final = 10_000
"""Thresholds have four decimals."""
CANDIDATES: Final = 1024
"""Of each threshold: all there are, or that many quantiles, which costs at most .1 % of the accepted."""
LOW_QUANTILE: Final = 0.05
"""Of one class alone, with nothing to compare it to: one image of twenty is refused."""
NOTHING: Final = Thresholds(1.0, 2.0)
"""No image reaches both."""

_SLACK = 1e-6
"""A threshold lies this far below the score it lets through: float32 may differ by as much."""
_SHORTEST = 1e-3
_ROWS = 1024

Floats = NDArray[np.float64]


def leave_one_out(
    members: Members, prototypes: Sequence[Prototype], settings: PrototypeSettings
) -> LeaveOneOut:
    """Compare each image with all classes, its own without it.

    Takes some 64 MB beside the vectors, however many there are; with `k` or `trim` a class more.

    With `k` above 1 the cluster of the image is made without it, the other clusters stay. An image that
    was trimmed is in no prototype, so nothing is taken away. A class of one image is nothing without it:
    such images are not measured, but count as images of an unknown class.

    Args:
        members: the images the prototypes were built from; others of their classes without one are skipped.
        prototypes: sorted by name.
        settings: those they were built by.
    """
    if not prototypes:
        nobody, nothing = np.zeros(0, np.int64), np.zeros(0)
        return LeaveOneOut(nobody, nobody, nothing, nobody, nothing, nothing)
    bank = Bank(prototypes)
    owners = _owners(members, bank.classes)
    images = np.flatnonzero(owners >= 0)
    owners = owners[images]
    ordered = sorted(prototypes, key=lambda one: one.name)
    if is_mean(settings):
        own = _without_itself(members.vectors, images, np.stack([one.sum for one in ordered]), owners)
    else:
        own = np.full(len(images), np.nan)
        for index, prototype in enumerate(ordered):
            places = np.flatnonzero(owners == index)
            own[places] = _own(members.vectors[images[places]], prototype, settings)
    nearest, other, second = _others(bank, members.vectors, images, owners)
    return LeaveOneOut(images, owners, np.round(own, DECIMALS), nearest, other, second)


def choose_thresholds(measured: LeaveOneOut, settings: PrototypeSettings) -> Thresholds:
    """The thresholds that accept the most rightly classified images and few enough unknown ones.

    The false-accept rate is the share of images that reach both thresholds with their own class left
    out altogether: each is then an image of an unknown class, and accepting it is wrong whatever the
    answer. It is kept at or under `settings.false_accept_rate`. (An image of a known class that is
    accepted as another one is not counted here; `quality.assess` reports those.)

    Of equally good pairs the one with fewer false accepts, then the higher tau1, then the higher tau2.
    Each is then put into the middle of the gap below it, up to the next image of an unknown class: the
    lowest of a few known images is not the lowest of all. Thresholds have four decimals.
    `settings.tau1` and `tau2` replace either; the other is chosen to go with it.

    Where no pair accepts anything rightly at that rate (or no class has a second image): the least
    threshold that keeps the rate alone, tau1 if both are free; `NOTHING` if none does. With one class
    nothing is unknown: tau1 refuses `LOW_QUANTILE` of its images, tau2 is 0.
    """
    if settings.tau1 is not None and settings.tau2 is not None:
        return Thresholds(settings.tau1, settings.tau2)
    known, unknown = measured.known, _where(measured.unknown, measured.nearest >= 0)
    if not len(unknown.s1):
        return _of_one_class(known.s1[measured.is_measured], settings)
    right = _where(known, measured.is_measured & (measured.predicted == measured.owners))
    tau1s = _candidates(right.s1, settings.tau1, -1.0)
    tau2s = _candidates(right.margin, settings.tau2, 0.0)
    accepted, false = _count(right, tau1s, tau2s), _count(unknown, tau1s, tau2s)
    accepted[false / len(unknown.s1) > settings.false_accept_rate] = 0
    if not accepted.any():
        return _refusing(unknown, settings)
    best = np.flatnonzero(accepted == accepted.max())
    first, second = np.unravel_index(best, accepted.shape)
    chosen = np.lexsort((-second, -first, false.ravel()[best]))[0]
    strict = Thresholds(float(tau1s[first[chosen]]), float(tau2s[second[chosen]]))
    return _loosen(strict, unknown, settings)


def _loosen(strict: Thresholds, unknown: Scores, settings: PrototypeSettings) -> Thresholds:
    """The middle of the gaps below: no unknown image more is let through."""
    tau1, tau2 = strict.tau1, strict.tau2
    below = unknown.s1[unknown.s1 < tau1]
    if settings.tau1 is None and len(below):
        tau1 = _middle(float(below.max()), tau1)
    if settings.tau2 is None:
        below = unknown.margin[(unknown.s1 >= tau1) & (unknown.margin < tau2)]
        tau2 = _middle(float(below.max()) if len(below) else 0.0, tau2)
    return Thresholds(tau1, tau2)


def _middle(low: float, high: float) -> float:
    """A number of four decimals above `low`, and not above `high`."""
    return min(high, max(math.floor((low + high) / 2 * GRID) / GRID, _above(low)))


def _owners(members: Members, classes: tuple[str, ...]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(classes)}
    table = np.array([numbers.get(name, -1) for name in members.classes], np.int64)
    return table[members.owners] if len(table) else np.zeros(0, np.int64)


def _own(rows: Vectors, prototype: Prototype, settings: PrototypeSettings) -> Floats:
    """(n,) similarity of each image to its class without it; NaN where nothing is left."""
    composition = compose(rows, settings, total=prototype.sum)
    assert composition is not None  # it has a prototype, made of the same images
    found = similarities(rows, composition.vectors)
    places = np.flatnonzero(composition.labels >= 0)
    labels = composition.labels[places]
    found[places, labels] = _without_itself(rows, places, composition.sums, labels)
    # fmax: a cluster that is nothing without the image leaves the other clusters
    own: Floats = np.fmax.reduce(found, axis=1)
    return own


def _without_itself(
    vectors: Vectors, images: NDArray[np.int64], sums: NDArray[np.int64], labels: NDArray[np.int64]
) -> Floats:
    """(n,) similarity of each image to the sum it is part of, without it; NaN where that has no direction."""
    result = np.full(len(images), np.nan)
    for start in range(0, len(images), _ROWS):
        part = slice(start, start + _ROWS)
        rows = vectors[images[part]].astype(np.float64)
        rest = sums[labels[part]] / UNIT - rows
        length = np.sqrt((rest * rest).sum(axis=1))
        has_rest = length >= _SHORTEST
        products = (rest * rows).sum(axis=1)
        result[part][has_rest] = products[has_rest] / length[has_rest]
    return result


def _others(
    bank: Bank, vectors: Vectors, images: NDArray[np.int64], owners: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats, Floats]:
    count, classes = len(images), len(bank.classes)
    nearest = np.full(count, -1, np.int64)
    other, second = np.full(count, np.nan), np.full(count, np.nan)
    if classes == 1:
        return nearest, other, second
    for part, found in bank.blocks(vectors, images):
        rows = np.arange(len(found))
        found[rows, owners[part]] = -np.inf
        nearest[part] = found.argmax(axis=1)
        other[part] = found[rows, nearest[part]]
        found[rows, nearest[part]] = -np.inf
        if classes > 2:
            second[part] = found.max(axis=1)
    return nearest, other, second


def _where(scores: Scores, chosen: NDArray[np.bool_]) -> Scores:
    return Scores(scores.s1[chosen], scores.margin[chosen])


def _below(scores: Floats, least: float) -> Floats:
    return np.maximum(np.floor((scores - _SLACK) * GRID) / GRID, least)


def _above(score: float) -> float:
    return math.floor((score + _SLACK) * GRID + 1) / GRID


def _candidates(scores: Floats, fixed: float | None, least: float) -> Floats:
    """Ascending. A threshold between two scores accepts no more than the higher one: scores are enough."""
    if fixed is not None:
        return np.array([fixed])
    different = np.unique(_below(scores, least))
    if len(different) <= CANDIDATES:
        return different
    return np.unique(np.quantile(different, np.linspace(0, 1, CANDIDATES), method="lower"))


def _count(scores: Scores, tau1s: Floats, tau2s: Floats) -> NDArray[np.int64]:
    """(T1, T2): how many reach each pair of thresholds."""
    counts = np.zeros((len(tau1s) + 1, len(tau2s) + 1), np.int64)
    passed1 = np.searchsorted(tau1s, scores.s1, side="right")
    passed2 = np.searchsorted(tau2s, scores.margin, side="right")
    np.add.at(counts, (passed1, passed2), 1)
    reached: NDArray[np.int64] = counts[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
    return reached[1:, 1:].copy()


def _refusing(unknown: Scores, settings: PrototypeSettings) -> Thresholds:
    """Where nothing can be accepted rightly: the least threshold that refuses enough."""
    allowed = math.floor(settings.false_accept_rate * len(unknown.s1) + _SLACK)
    if settings.tau1 is not None:
        margins = np.sort(np.nan_to_num(unknown.margin[unknown.s1 >= settings.tau1], nan=np.inf))[::-1]
        tau2 = 0.0
        if len(margins) > allowed:
            tau2 = _above(margins[allowed]) if np.isfinite(margins[allowed]) else NOTHING.tau2
        return Thresholds(settings.tau1, min(tau2, NOTHING.tau2))
    reach = 0.0 if settings.tau2 is None else settings.tau2
    scores = np.sort(unknown.s1[~(unknown.margin < reach)])[::-1]
    tau1 = _above(scores[allowed]) if len(scores) > allowed else -1.0
    if tau1 > NOTHING.tau1:
        return Thresholds(NOTHING.tau1, NOTHING.tau2 if settings.tau2 is None else settings.tau2)
    return Thresholds(tau1, reach)


def _of_one_class(scores: Floats, settings: PrototypeSettings) -> Thresholds:
    tau2 = 0.0 if settings.tau2 is None else settings.tau2
    if settings.tau1 is not None:
        return Thresholds(settings.tau1, tau2)
    if not len(scores):
        return Thresholds(NOTHING.tau1, tau2)
    low = np.quantile(scores, [LOW_QUANTILE], method="lower")
    return Thresholds(float(_below(low, -1.0)[0]), tau2)
