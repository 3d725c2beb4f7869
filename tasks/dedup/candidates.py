"""Which documents an election concerns, and which of their texts resemble each other.

Texts that share a band of their signature are candidates; they are verified by comparing what the
signatures hold. Where a run changed little, the search starts from the changed texts and goes on
from neighbour to neighbour, so it costs what it touches. Otherwise all texts are put in order by
band at once. Both find the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from registry.candidates import TextState
from registry.election import Contestant
from schemas.duplicate import Signature
from tasks.dedup import pairs
from tasks.dedup.pairs import Ids, Judge, PendingPairs, verify_pairs
from tasks.dedup.winner import Edges

BATCH_TEXTS = 1_000
BATCH_BANDS = 4_096


class Reader(Protocol):
    """Signatures and bands, as `registry.candidates.CandidateReader` reads them."""

    def find_states(self, texts: Sequence[bytes]) -> list[TextState]: ...  # noqa: D102
    def find_signatures(  # noqa: D102
        self, texts: Sequence[bytes]
    ) -> list[tuple[bytes, int, Sequence[int]]]: ...
    def load_signatures(self, ids: Sequence[int]) -> list[Signature]: ...  # noqa: D102
    def find_members(self, bands: Sequence[int], most: int) -> dict[int, list[int]]: ...  # noqa: D102
    def find_shown_members(  # noqa: D102
        self, bands: Sequence[int], most: int, *, without: Sequence[int]
    ) -> dict[int, dict[int, bytes]]: ...
    def find_shown(self, ids: Sequence[int]) -> dict[int, bytes]: ...  # noqa: D102


class Documents(Protocol):
    """Documents, as `tasks.dedup.elect` reads them."""

    def find(self, texts: Sequence[bytes]) -> list[Contestant]: ...  # noqa: D102
    def find_dependent(self, documents: Sequence[int]) -> set[bytes]: ...  # noqa: D102


def explore(
    reader: Reader,
    documents: Documents,
    judge: Judge | None,
    changed: Iterable[bytes],
    seeds: Iterable[bytes],
) -> tuple[list[Contestant], Edges]:
    """All documents whose election a change can alter, and the edges between their texts.

    Args:
        reader: of signatures.
        documents: of documents.
        judge: compares; None where no text resembles another.
        changed: texts that documents had or will have, where the two differ.
        seeds: further texts to start from.
    """
    search = _Search(reader, judge)
    queue = list(seeds)
    changed = list(changed)
    for start in range(0, len(changed), BATCH_TEXTS):
        search.note(reader.find_states(changed[start : start + BATCH_TEXTS]))
    queue += search.seeds()
    found: list[Contestant] = []
    visited: set[bytes] = set()
    while queue:
        batch = [text for text in dict.fromkeys(queue[-BATCH_TEXTS:]) if text not in visited]
        del queue[-BATCH_TEXTS:]
        if not batch:
            continue
        visited.update(batch)
        contestants = documents.find(batch)
        found += contestants
        queue += documents.find_dependent([contestant.document_id for contestant in contestants])
        if judge is not None:
            shown = {contestant.text for contestant in contestants}
            queue += search.expand([text for text in batch if text in shown])
        queue = [text for text in dict.fromkeys(queue) if text not in visited]
    return found, search.edges()


class _Search:
    """What was found so far. Signatures have small numbers here, in the order in which they came."""

    def __init__(self, reader: Reader, judge: Judge | None) -> None:
        self._reader = reader
        self._judge = judge
        self._numbers: dict[int, int] = {}
        self._ids: list[int] = []
        self._texts: dict[int, bytes] = {}  # of signatures whose text will be shown
        self._hidden: set[int] = set()
        self._expanded: set[int] = set()
        self._changed: dict[int, TextState] = {}
        self._changed_bands: defaultdict[int, list[int]] = defaultdict(list)
        self._unsigned: list[bytes] = []
        self._parts: list[tuple[Ids, Ids, NDArray[np.float32]]] = []

    def note(self, states: Iterable[TextState]) -> None:
        """Take in texts that the run changes, before anything is looked for."""
        for state in states:
            if state.signature_id is None:
                if state.after:
                    self._unsigned.append(state.text)
                continue
            self._changed[state.signature_id] = state
            for band in set(state.bands):
                self._changed_bands[band].append(state.signature_id)
            if state.after:
                self._texts[state.signature_id] = state.text

    def seeds(self) -> list[bytes]:
        """The changed texts that stay, and all texts of bands that become common or cease to be.

        What a text that goes resembled is not looked for: it mattered to those that lost to it.
        """
        seeds = {id_ for id_, state in self._changed.items() if state.after}
        bands = list(self._changed_bands) if self._judge is not None else []
        for start in range(0, len(bands), BATCH_BANDS):
            for band, members in self._find_unchanged(bands[start : start + BATCH_BANDS]).items():
                states = [self._changed[id_] for id_ in self._changed_bands[band]]
                before = len(members) + sum(state.before for state in states)
                after = len(members) + sum(state.after for state in states)
                if (before > pairs.MAX_BAND_TEXTS) != (after > pairs.MAX_BAND_TEXTS):
                    seeds.update(members)
        return self._unsigned + [self._texts[id_] for id_ in seeds]

    def expand(self, texts: Sequence[bytes]) -> set[bytes]:
        """Compare texts with all that share a band; returns the texts that they resemble."""
        found = self._reader.find_signatures(texts)
        owners: defaultdict[int, list[int]] = defaultdict(list)
        for text, id_, bands in found:
            self._texts[id_] = text
            for band in set(bands):
                owners[band].append(id_)
        batch = {id_ for _, id_, _ in found}
        pending = PendingPairs()
        mutual: list[Ids] = []
        bands = list(owners)
        for start in range(0, len(bands), BATCH_BANDS):
            for band, unchanged in self._find_unchanged(bands[start : start + BATCH_BANDS]).items():
                members = [*unchanged, *(i for i in self._changed_bands.get(band, ()) if i in self._texts)]
                if len(members) > pairs.MAX_BAND_TEXTS:
                    continue
                # one that was expanded before has met this one then
                others = [id_ for id_ in members if id_ not in self._expanded and id_ not in batch]
                pending.add_product(self._numbers_of(owners[band]), self._numbers_of(others))
                mutual.append(self._numbers_of(owners[band]))
        pending.add_groups(mutual)
        edges = self._verify(pending.take())
        self._expanded |= batch
        self._parts += edges
        numbers = {number for left, right, _ in edges for side in (left, right) for number in side.tolist()}
        return {self._texts[self._ids[number]] for number in numbers}

    def edges(self) -> Edges:
        """All that `expand` found."""
        texts = [self._texts.get(id_, b"") for id_ in self._ids]
        if not self._parts:
            return Edges.none()
        left, right, similarity = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        return Edges(texts, left, right, similarity)

    def _find_unchanged(self, bands: Sequence[int]) -> dict[int, list[int]]:
        """Of each band that several may have: whose text is shown and not changed by the run.

        Bands that are common anyway are left out.
        """
        raw = self._reader.find_members(bands, pairs.MAX_BAND_TEXTS)
        full = [band for band, ids in raw.items() if len(ids) > pairs.MAX_BAND_TEXTS]
        counted = self._reader.find_shown_members(full, pairs.MAX_BAND_TEXTS, without=list(self._changed))
        for members in counted.values():
            self._texts.update(members)
        unseen = {id_ for band, ids in raw.items() if len(ids) <= pairs.MAX_BAND_TEXTS for id_ in ids}
        unseen -= self._texts.keys() | self._hidden | self._changed.keys()
        shown = self._reader.find_shown(list(unseen)) if unseen else {}
        self._texts.update(shown)
        self._hidden |= unseen - shown.keys()
        members_of = {band: list(counted.get(band, ())) for band in full}
        for band, ids in raw.items():
            if band not in members_of:
                members_of[band] = [i for i in ids if i in self._texts and i not in self._changed]
        return {band: ids for band, ids in members_of.items() if len(ids) <= pairs.MAX_BAND_TEXTS}

    def _verify(self, keys: Ids) -> list[tuple[Ids, Ids, NDArray[np.float32]]]:
        assert self._judge is not None
        return verify_pairs(
            keys, lambda numbers: self._reader.load_signatures([self._ids[n] for n in numbers]), self._judge
        )

    def _number(self, id_: int) -> int:
        number = self._numbers.setdefault(id_, len(self._ids))
        if number == len(self._ids):
            self._ids.append(id_)
        return number

    def _numbers_of(self, ids: Iterable[int]) -> Ids:
        return np.array([self._number(id_) for id_ in ids], np.int64)
