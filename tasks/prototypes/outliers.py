"""Images that may be in the wrong class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.prototype import LeaveOneOut, Members, Prototype, Thresholds

FAR: Final = 3.5
"""Deviations from the median of the class, in robust units.

Source: Iglewicz and Hoaglin, How to detect and handle outliers, 1993.
"""
ENOUGH: Final = 5
"""Measured images of a class; the median of fewer says little."""

_TO_SIGMA = 0.6745
_NARROWEST = 0.01
"""Of deviations: in a class of near copies everything else would be far."""


def find_outliers(
    members: Members, prototypes: Sequence[Prototype], measured: LeaveOneOut, thresholds: Thresholds
) -> list[dict[str, Any]]:
    """Images unlike their class, or nearer to another one; the most suspicious first.

    An image is `far` if its similarity to its class is more than `FAR` robust deviations under the
    median of the class, and `nearer to another class` if that one leads by tau2. Both make a wrong label
    likely; far alone is often a bad picture, nearer alone often classes that are hard to tell apart.
    """
    is_far = _far(measured, len(prototypes))
    lead = measured.other - measured.own
    is_nearer = (measured.predicted != measured.owners) & measured.is_measured & (lead >= thresholds.tau2)
    entries = [
        {
            "uri": members.uris[measured.images[i]],
            "class": prototypes[measured.owners[i]].name,
            "similarity": round(float(measured.own[i]), 4),
            "nearest": prototypes[measured.nearest[i]].name if measured.nearest[i] >= 0 else None,
            "nearest_similarity": round(float(measured.other[i]), 4) if measured.nearest[i] >= 0 else None,
            "reason": _reason(bool(is_far[i]), bool(is_nearer[i])),
        }
        for i in np.flatnonzero(is_far | is_nearer).tolist()
    ]
    return sorted(entries, key=_suspicion)


def _far(measured: LeaveOneOut, classes: int) -> NDArray[np.bool_]:
    """(N,): far under the median of its class."""
    result = np.zeros(len(measured.own), bool)
    for index in range(classes):
        places = np.flatnonzero((measured.owners == index) & measured.is_measured)
        if len(places) >= ENOUGH:
            below = np.median(measured.own[places]) - measured.own[places]
            spread = max(float(np.median(np.abs(below))), _NARROWEST)
            result[places] = _TO_SIGMA * below / spread > FAR
    return result


def _reason(is_far: bool, is_nearer: bool) -> str:
    if is_far and is_nearer:
        return "far from its class, nearer to another"
    return "far from its class" if is_far else "nearer to another class"


def _suspicion(entry: dict[str, Any]) -> tuple[bool, float, str]:
    nearest = entry["nearest_similarity"]
    lead = entry["similarity"] - (nearest if nearest is not None else 0.0)
    return "," not in entry["reason"], lead, entry["uri"]
