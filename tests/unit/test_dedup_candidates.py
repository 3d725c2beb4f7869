"""Which texts are compared: all that share a band that is not common, each pair once."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.candidates import AllTexts
from schemas.settings import DuplicateSettings
from tasks.dedup import pairs
from tasks.dedup.elect import election_fingerprint
from tasks.dedup.pairs import PendingPairs, group_all, verify_pairs
from tests.elections import judge_sets, sign, similarity_of

sets_of_bands = st.lists(st.frozensets(st.integers(-5, 9), min_size=0, max_size=5), max_size=14, unique=True)


def _all(texts):
    found = AllTexts()
    for index, text in enumerate(texts):
        found.texts.append(bytes([index]))
        found.ids.append(100 + index)
        found.bands.extend(text)
        found.owners.extend([index] * len(text))
    return found


def _pairs(keys):
    return {(int(key) >> 32, int(key) & 0xFFFFFFFF) for key in keys}


@pytest.mark.parametrize(("most", "batch"), [(1_000, 1_000), (3, 2), (2, 1)])
@given(texts=sets_of_bands)
def test_all_that_share_a_band_that_is_not_common_are_compared_once(texts, most, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "MAX_BAND_TEXTS", most)
        patch.setattr(pairs, "BATCH_TEXTS", batch)
        patch.setattr(pairs, "MAX_PENDING", 3)
        found, seen = [], []
        for members, groups in group_all(_all(texts)):
            seen += members.tolist()
            pending = PendingPairs()
            pending.add_groups(groups)
            found += [tuple(sorted((int(members[a]), int(members[b])))) for a, b in _pairs(pending.take())]
    common = {band for band in range(-5, 10) if sum(band in text for text in texts) > most}
    expected = [pair for pair in combinations(range(len(texts)), 2)
                if (texts[pair[0]] & texts[pair[1]]) - common]  # fmt: skip
    assert sorted(found) == expected
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("block", [1, 3, 2_048])
@given(texts=st.lists(st.frozensets(st.integers(1, 6), min_size=1), max_size=9), data=st.data())
def test_pairs_are_judged_alike_in_blocks_of_any_size(block, texts, data):
    every = list(combinations(range(len(texts)), 2))
    chosen = data.draw(st.sets(st.sampled_from(every))) if every else set()
    keys = np.array(sorted(a << 32 | b for a, b in chosen), np.int64)
    loaded = []

    def load(numbers):
        loaded.append(len(numbers))
        return [sign(texts[number]) for number in numbers]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "BLOCK_SIGNATURES", block)
        parts = verify_pairs(keys, load, judge_sets(DuplicateSettings()))
    found = {(a, b): s for part in parts for a, b, s in zip(*(side.tolist() for side in part), strict=True)}
    alike = {pair: similarity_of(texts[pair[0]], texts[pair[1]]) for pair in chosen}
    assert found == {pair: s for pair, s in alike.items() if s >= 0.5}
    assert max(loaded, default=0) <= 2 * block


def test_groups_and_products_give_each_pair_once():
    pending = PendingPairs()
    pending.add_product(np.array([5, 7]), np.array([1, 9]))
    pending.add_groups([np.array([1, 5]), np.array([9, 5, 7]), np.array([3])])
    pending.add_product(np.array([5]), np.array([], np.int64))
    assert _pairs(pending.take()) == {(1, 5), (5, 9), (1, 7), (7, 9), (5, 7)}
    assert len(pending.take()) == 0


def test_the_fingerprint_knows_all_that_decides():
    plain = election_fingerprint(DuplicateSettings())
    assert len(plain) == 32
    changes = [
        {"policy": "flag"}, {"policy": "off"}, {"threshold": 0.81}, {"min_difference": 0.06},
        {"rules": ("uri",)}, {"authority": {"a": 1}}, {"drafts": ("x",)},
    ]  # fmt: skip
    prints = {election_fingerprint(DuplicateSettings(**change)) for change in changes}
    assert len(prints | {plain}) == 1 + len(changes)
    assert election_fingerprint(DuplicateSettings(drafts=("a", "b"))) == election_fingerprint(
        DuplicateSettings(drafts=("b", "a"))
    )
    assert election_fingerprint(DuplicateSettings(policy="off", threshold=0.9)) == election_fingerprint(
        DuplicateSettings(policy="off")
    )
