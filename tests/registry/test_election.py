"""The election on real tables: whatever happens, the same as a look at everything at once."""

from __future__ import annotations

import random

import pytest

import tasks.dedup.elect
from schemas.settings import DuplicateSettings
from tasks.dedup import pairs
from tests.elections import UNSIGNED, Library, Paper, judge_sets

SUPPRESS = DuplicateSettings()
OTHERS = (
    DuplicateSettings(policy="off"),
    DuplicateSettings(policy="flag"),
    DuplicateSettings(threshold=0.9),
    DuplicateSettings(rules=("first_seen", "length", "uri"), authority={"two": 3}),
    DuplicateSettings(rules=("authority", "date"), authority={"two": 3}, drafts=("a*",)),
)


@pytest.fixture(autouse=True)
def sets(monkeypatch):
    monkeypatch.setattr(tasks.dedup.elect, "judge_by", judge_sets)


@pytest.fixture
def library(db):
    made = Library(db)
    yield made
    assert made.problems() == []


def _paper(*numbers, **facts):
    return Paper(frozenset(numbers), **facts)


def _random_paper(rng, numbers):
    text = frozenset(rng.sample(range(numbers), rng.randint(2, 4)))
    if rng.random() < 0.1:
        text |= {UNSIGNED}
    return Paper(text, rng.random() < 0.9, rng.choice([None, 1, 2]))


def _random_changes(rng, library, numbers):
    """Comes, goes, is edited, comes back as it was, gets another date, stays."""
    changes = {}
    for _ in range(rng.randint(1, 4)):
        name = (rng.choice(["one", "two"]), f"{rng.choice('abcdefghij')}{rng.randint(0, 2)}.txt")
        paper = library.shelf.papers.get(name)
        kind = rng.random()
        if paper is not None and kind < 0.3:
            changes[name] = None
        elif paper is not None and kind < 0.4:
            changes[name] = Paper(paper.text, paper.published, rng.choice([None, 1, 2, 3]))
        elif paper is not None and kind < 0.45:
            changes[name] = paper
        elif kind < 0.6 and library.past[name]:
            changes[name] = rng.choice(list(library.past[name]))
        elif kind < 0.75 and library.shelf.papers:
            changes[name] = rng.choice(list(library.shelf.papers.values()))
        else:
            changes[name] = _random_paper(rng, numbers)
    return changes


@pytest.mark.parametrize(
    ("seed", "most", "numbers", "batch"),
    [(1, 1_000, 12, 1_000), (2, 3, 14, 1_000), (3, 2, 30, 2), (4, 4, 9, 1)],
)
def test_any_history_leads_to_what_all_documents_at_once_would(
    library, monkeypatch, seed, most, numbers, batch
):
    monkeypatch.setattr(pairs, "MAX_BAND_TEXTS", most)
    monkeypatch.setattr("tasks.dedup.candidates.BATCH_TEXTS", batch)
    monkeypatch.setattr("tasks.dedup.candidates.BATCH_BANDS", 3 * batch)
    monkeypatch.setattr(pairs, "BLOCK_SIGNATURES", 2 * batch)
    rng = random.Random(seed)
    reelected = losers = 0
    for _ in range(120):
        done = library.apply(
            _random_changes(rng, library, numbers), SUPPRESS, elected_before=rng.random() < 0.5
        )
        assert library.shown() == library.shelf.expected(SUPPRESS, most)
        reelected += done.reelected
        losers += sum(1 for winner, *_ in library.shown().values() if winner)
    assert reelected > 20
    assert losers > 100
