"""What is known of the quality of a set of prototypes: a report of JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.prototype import LeaveOneOut, LeftOut, Members, Prototype, Thresholds
from tasks.prototypes.classify import Bank
from tasks.prototypes.outliers import find_outliers

FORMAT: Final = 1
"""Of the report: raised when a reader of the earlier one would be wrong."""
LISTED: Final = 50
"""Entries of a list; its count is of all."""
CLOSE: Final = 0.95
"""Prototypes of this cosine are of classes that look the same, or are one class under two names."""

Floats = NDArray[np.float64]
Json = dict[str, Any]


def assess(
    members: Members,
    prototypes: Sequence[Prototype],
    measured: LeaveOneOut,
    thresholds: Thresholds,
    left_out: Sequence[LeftOut] = (),
) -> Json:
    """The report of a set. Numbers have four decimals, None is for what could not be measured.

    Shares are of the measured images, each taken as if it were new; `false_accept_rate` is of images
    with their own class left out (see `choose_thresholds`), `wrong_accept_rate` of those accepted as
    a class that is not theirs. `auroc` is the chance that a known image scores higher than an unknown
    one. Every list has the count of all and the first `LISTED` entries, the worst first.

    Args:
        members: the images, for their uris.
        prototypes: sorted by name.
        measured: of these images and prototypes.
        thresholds: that are in use.
        left_out: classes without a prototype.
    """
    is_right = measured.is_measured & (measured.predicted == measured.owners)
    accepted = measured.known.accept(thresholds)
    return {
        "format": FORMAT,
        "statistics": statistics(prototypes),
        "images": len(measured.images),
        "measured": int(measured.is_measured.sum()),
        "thresholds": asdict(thresholds),
        "accuracy": _share(is_right, measured.is_measured),
        "coverage": _share(accepted, measured.is_measured),
        "accepted_accuracy": _share(is_right, accepted),
        "wrong_accept_rate": _share(accepted & ~is_right, measured.is_measured),
        "false_accept_rate": _share(measured.unknown.accept(thresholds), measured.nearest >= 0),
        "auroc": {
            "s1": auroc(measured.known.s1, measured.unknown.s1),
            "margin": auroc(measured.known.margin, measured.unknown.margin),
        },
        "classes": _limited(_of_classes(prototypes, measured, is_right, accepted)),
        "confusions": _limited(_confusions(prototypes, measured)),
        "outliers": _limited(find_outliers(members, prototypes, measured, thresholds)),
        "close_classes": {"limit": CLOSE, **_limited(_close(prototypes))},
        "left_out": _limited([asdict(one) for one in left_out]),
    }


def statistics(prototypes: Sequence[Prototype]) -> Json:
    """How many classes, of which dimension, made of how many images each."""
    images = sum(one.images for one in prototypes)
    return {
        "total_classes": len(prototypes),
        "embedding_dim": int(prototypes[0].vectors.shape[1]) if prototypes else 0,
        "avg_samples_per_class": round(images / len(prototypes), 2) if prototypes else 0.0,
    }


def auroc(positive: Floats, negative: Floats) -> float | None:
    """The share of pairs in which the positive score is higher, a tie counts half; NaN counts nowhere.

    Source: Mann and Whitney, On a test of whether one of two random variables is larger, 1947.

    >>> auroc(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
    0.875
    """
    positive, negative = positive[~np.isnan(positive)], np.sort(negative[~np.isnan(negative)])
    if not len(positive) or not len(negative):
        return None
    under = np.searchsorted(negative, positive, side="left")
    not_over = np.searchsorted(negative, positive, side="right")
    return round(float((under + not_over).mean() / (2 * len(negative))), 4)


def _share(chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    count = int(among.sum())
    return round(int((chosen & among).sum()) / count, 4) if count else None


def _limited(entries: list[Json]) -> Json:
    return {"count": len(entries), "entries": entries[:LISTED]}


def _of_classes(
    prototypes: Sequence[Prototype],
    measured: LeaveOneOut,
    is_right: NDArray[np.bool_],
    accepted: NDArray[np.bool_],
) -> list[Json]:
    """One entry a class, the least accurate first; `number` is its place by name, from 1."""

    def count(chosen: NDArray[np.bool_]) -> list[int]:
        counts: list[int] = np.bincount(measured.owners[chosen], minlength=len(prototypes)).tolist()
        return counts

    columns = (count(measured.is_measured), count(is_right), count(accepted))
    entries = [
        {
            "number": number,
            "name": one.name,
            "images": one.images,
            "measured": of,
            "accuracy": round(right / of, 4) if of else None,
            "coverage": round(taken / of, 4) if of else None,
        }
        for number, (one, of, right, taken) in enumerate(zip(prototypes, *columns, strict=True), 1)
    ]
    # a class that was not measured is neither good nor bad: last
    return sorted(entries, key=lambda e: (e["accuracy"] is None, e["accuracy"], e["coverage"], e["name"]))


def _confusions(prototypes: Sequence[Prototype], measured: LeaveOneOut) -> list[Json]:
    """Pairs of classes; `share` is of the measured images of the true class."""
    wrong = measured.is_measured & (measured.predicted != measured.owners)
    pairs = Counter(zip(measured.owners[wrong].tolist(), measured.predicted[wrong].tolist(), strict=True))
    of = np.bincount(measured.owners[measured.is_measured], minlength=len(prototypes)).tolist()
    entries = [
        {
            "true": prototypes[true].name,
            "predicted": prototypes[predicted].name,
            "count": count,
            "share": round(count / of[true], 4),
        }
        for (true, predicted), count in pairs.items()
    ]
    return sorted(entries, key=lambda e: (-e["count"], -e["share"], e["true"], e["predicted"]))


def _close(prototypes: Sequence[Prototype]) -> list[Json]:
    """Pairs of classes of which a vector of one is as near as `CLOSE` to one of the other."""
    if not prototypes:
        return []
    bank = Bank(prototypes)
    owners = np.repeat(np.arange(len(prototypes)), np.diff(bank.starts))
    nearest: dict[tuple[int, int], float] = {}
    for part, found in bank.blocks(bank.vectors, np.arange(len(bank.vectors))):
        rows, columns = np.nonzero(found >= CLOSE)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            pair = (int(owners[part][row]), column)
            if pair[0] < pair[1]:
                nearest[pair] = max(nearest.get(pair, -1.0), float(found[row, column]))
    entries = [
        {"one": prototypes[one].name, "other": prototypes[other].name, "similarity": round(score, 4)}
        for (one, other), score in nearest.items()
    ]
    return sorted(entries, key=lambda e: (-e["similarity"], e["one"], e["other"]))
