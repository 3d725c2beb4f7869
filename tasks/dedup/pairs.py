"""Pairs of texts that share a band, and those of them that are duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from registry.candidates import AllTexts
from schemas.duplicate import Signature

BATCH_TEXTS = 1_000
MAX_BAND_TEXTS = 1_000
"""A band that more of the texts have is boilerplate: without a limit a run would be quadratic."""

BLOCK_SIGNATURES = 2_048
"""Of two blocks at a time the signatures are in memory: some 4 KB each."""

MAX_PENDING = 4_000_000

Ids = NDArray[np.int64]
Judge = Callable[[Sequence[Signature], Ids, Ids], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Of signatures and pairs of their indexes: similarity, and whether each pair are duplicates."""


class PendingPairs:
    """Pairs of numbers below 2^31, collected from many bands; each is given back once."""

    def __init__(self) -> None:
        self._keys: list[Ids] = []
        self._distinct = 0
        self.size = 0

    def add_product(self, left: Ids, right: Ids) -> None:
        """Each of the one with each of the other."""
        if len(left) and len(right):
            self._add(np.repeat(left, len(right)), np.tile(right, len(left)))

    def add_groups(self, groups: Iterable[Ids]) -> None:
        """Each with each other of its group."""
        by_size: defaultdict[int, list[Ids]] = defaultdict(list)
        for group in groups:
            by_size[len(group)].append(group)
        for size, alike in by_size.items():
            first, second = np.triu_indices(size, 1)
            step = max(1, MAX_PENDING // max(1, len(first)))
            for start in range(0, len(alike), step):
                members = np.stack(alike[start : start + step])
                self._add(members[:, first].ravel(), members[:, second].ravel())

    def take(self) -> Ids:
        """(P,) sorted: the smaller number << 32 | the larger."""
        keys = _distinct(np.concatenate(self._keys)) if self._keys else np.zeros(0, np.int64)
        self._keys, self._distinct, self.size = [], 0, 0
        return keys

    def _add(self, left: Ids, right: Ids) -> None:
        self._keys.append(np.minimum(left, right) << 32 | np.maximum(left, right))
        self.size += len(left)
        # not before there are twice as many: sorting all of them with each band would be quadratic
        if self.size > max(MAX_PENDING, 2 * self._distinct) and len(self._keys) > 1:
            self._keys = [_distinct(np.concatenate(self._keys))]
            self.size = self._distinct = len(self._keys[0])


def _distinct(keys: Ids) -> Ids:
    """Sorted, each once. `numpy.unique` hashes, and these keys all alike: 58 s for 7.5 million, here 2."""
    keys = np.sort(keys)
    return keys[np.r_[True, np.diff(keys) != 0]] if len(keys) else keys


def verify_pairs(
    keys: Ids, load: Callable[[Sequence[int]], list[Signature]], judge: Judge
) -> list[tuple[Ids, Ids, NDArray[np.float32]]]:
    """The pairs that are duplicates, in parts, with their similarity.

    Args:
        keys: (P,) one number << 32 | another.
        load: signatures of numbers; asked for those of two blocks at a time.
        judge: compares them.
    """
    left, right = keys >> 32, keys & 0xFFFFFFFF
    used, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    first, second = ends[: len(keys)] // BLOCK_SIGNATURES, ends[len(keys) :] // BLOCK_SIGNATURES
    blocks = first * (len(used) + 1) + second
    order = np.argsort(blocks, kind="stable")
    parts = []
    for part in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1):
        if len(part):
            needed, places = np.unique(np.concatenate([left[part], right[part]]), return_inverse=True)
            similarity, alike = judge(
                load(needed.tolist()), places[: len(part)].copy(), places[len(part) :].copy()
            )
            parts.append((left[part][alike], right[part][alike], similarity[alike]))
    return parts


def group_all(found: AllTexts) -> Iterator[tuple[Ids, list[Ids]]]:
    """All texts that share a band with another, in bundles that have no band in common.

    Yields:
        The texts of a bundle by index, and its groups, which share a band, by place in the bundle.
    """
    bands = np.array(found.bands, np.int64)
    owners = np.array(found.owners, np.int64)
    order = np.lexsort((owners, bands))
    bands, owners = bands[order], owners[order]
    once = np.ones(len(bands), bool)
    once[1:] = (np.diff(bands) != 0) | (np.diff(owners) != 0)
    bands, owners = bands[once], owners[once]
    starts = np.flatnonzero(np.r_[True, np.diff(bands) != 0]) if len(bands) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(bands)])
    kept = (sizes > 1) & (sizes <= MAX_BAND_TEXTS)
    groups: list[Ids] = [
        owners[start : start + size] for start, size in zip(starts[kept], sizes[kept], strict=True)
    ]
    roots = _join(groups, len(found.texts))
    components: defaultdict[int, list[Ids]] = defaultdict(list)
    for group in sorted(groups, key=len, reverse=True):
        components[roots[group[0]]].append(group)
    places = np.zeros(len(found.texts), np.int64)
    bundle: list[Ids] = []
    for component in components.values():
        bundle += component
        if sum(map(len, bundle)) >= BATCH_TEXTS:
            yield _number(bundle, places)
            bundle = []
    if bundle:
        yield _number(bundle, places)


def _number(groups: list[Ids], places: Ids) -> tuple[Ids, list[Ids]]:
    """The members, each group together as far as can be, and the groups by place among them."""
    everyone = np.concatenate(groups)
    members = everyone[np.sort(np.unique(everyone, return_index=True)[1])]
    places[members] = np.arange(len(members))
    return members, [places[group] for group in groups]


def _join(groups: Sequence[Ids], count: int) -> list[int]:
    """Of each text a representative, the same of all that groups connect."""
    parents = list(range(count))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    for group in groups:
        first, *others = group.tolist()
        top = root(first)
        for other in others:
            parents[root(other)] = top
    return [root(item) for item in range(count)]
