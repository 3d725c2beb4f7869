"""Who stands for whom: a function of the documents and of who resembles whom, in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.duplicate import Rule, Standing, Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of texts that resemble each other; each pair once, in any direction.

    Attributes:
        texts: what the indexes mean.
        left: (E,) int64.
        right: (E,) int64.
        similarity: (E,) float32.
    """

    texts: Sequence[bytes]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    similarity: NDArray[np.float32]

    @classmethod
    def none(cls) -> Edges:
        """No text resembles another."""
        return cls((), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def choose_winners(
    standings: Sequence[Standing], edges: Edges, rules: Sequence[Rule], *, suppress: bool
) -> dict[int, Verdict]:
    """The documents that lost, by id; the others stand for themselves.

    From the best document down: one wins unless it resembles a better one that has won. So nobody
    is hidden by a document that it does not resemble itself. A loser belongs to the best winner
    that it resembles. Documents of equal text resemble each other, and the same others.

    Args:
        standings: documents; each id once.
        edges: which of their texts resemble each other; texts without a document do not count.
        rules: what is better, the first first.
        suppress: whether losers are kept out of search.

    Source: greedy maximal independent set in a fixed order, which is unique.
    """
    ranked = sorted(standings, key=_rank(rules))
    best: dict[bytes, Standing] = {}
    for standing in ranked:
        best.setdefault(standing.text, standing)
    claims = _claim({text: place for place, text in enumerate(best)}, edges)
    heads = list(best.values())
    verdicts: dict[int, Verdict] = {}
    for standing in ranked:
        place, similarity = claims.get(standing.text, (None, 1.0))
        winner = best[standing.text] if place is None else heads[place]
        if winner is not standing:
            rule = decisive_rule(winner, standing, rules)
            verdicts[standing.document_id] = Verdict(winner.document_id, rule, round(similarity, 4), suppress)
    return verdicts


def decisive_rule(winner: Standing, loser: Standing, rules: Sequence[Rule]) -> Rule:
    """The first rule that tells the two apart; `uri`, the last resort, if none does."""
    return next((rule for rule in rules if _KEYS[rule](winner) != _KEYS[rule](loser)), "uri")


def _claim(places: dict[bytes, int], edges: Edges) -> dict[bytes, tuple[int, float]]:
    """Of each text that lost: the place of the text that claimed it, and how alike the two are."""
    if not len(edges.left):
        return {}
    used, ends = np.unique(np.concatenate([edges.left, edges.right]), return_inverse=True)
    place_of = np.array([places.get(edges.texts[index], -1) for index in used.tolist()], np.int64)
    left, right = place_of[ends[: len(edges.left)]], place_of[ends[len(edges.left) :]]
    kept = (left >= 0) & (right >= 0)
    left, right, alike = left[kept], right[kept], edges.similarity[kept]
    sources, targets = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.argsort(sources, kind="stable")
    targets, alike = targets[order], np.concatenate([alike, alike])[order]
    starts = np.searchsorted(sources[order], np.arange(len(places) + 1))
    claimed_by = np.full(len(places), -1, np.int64)
    similarity = np.zeros(len(places), np.float32)
    for place in np.flatnonzero(np.diff(starts)).tolist():
        if claimed_by[place] >= 0:
            continue
        span = slice(starts[place], starts[place + 1])
        fresh = claimed_by[targets[span]] < 0
        claimed_by[targets[span][fresh]] = place
        similarity[targets[span][fresh]] = alike[span][fresh]
    by, like = claimed_by.tolist(), similarity.tolist()
    return {text: (by[place], like[place]) for text, place in places.items() if by[place] >= 0}


def _rank(rules: Sequence[Rule]) -> Callable[[Standing], tuple[Any, ...]]:
    keys = [_KEYS[rule] for rule in rules]

    def rank(standing: Standing) -> tuple[Any, ...]:
        names = (standing.uri, standing.source, standing.document_id)
        return (*(key(standing) for key in keys), *names)

    return rank


def _age(standing: Standing) -> tuple[int, int]:
    """Documents with a date of their own, then those without any, then those dated by their path."""
    date = standing.authored_at
    if date is None:
        return 1, 0
    return 2 if standing.is_snapshot else 0, -((date - _EPOCH) // _MICROSECOND)


_KEYS: dict[Rule, Callable[[Standing], Any]] = {
    "published": lambda standing: not standing.published,
    "authority": lambda standing: -standing.authority,
    "date": _age,
    "length": lambda standing: -standing.characters,
    "first_seen": lambda standing: standing.document_id,
    "uri": lambda standing: standing.uri,
}
"""Of each rule: the smaller, the better."""
