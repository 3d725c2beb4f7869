"""The election on real tables: whatever happens, the same as a look at everything at once."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tasks.dedup.elect
from registry.collections import get_collection
from registry.election import list_clusters
from registry.opening import open_registry
from schemas.duplicate import REASONS
from schemas.settings import DuplicateSettings
from tasks.dedup import pairs
from tasks.dedup.signature import text_signature
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


@pytest.mark.parametrize("seed", [5, 6])
def test_whatever_the_settings_become_the_election_is_that_of_the_new_ones(library, monkeypatch, seed):
    """Runs that may not compare all anew leave the rest as it is, and the next that may finds it out."""
    monkeypatch.setattr(pairs, "MAX_BAND_TEXTS", 4)
    rng = random.Random(seed)
    settings = SUPPRESS
    for _ in range(80):
        if rng.random() < 0.4:
            settings = rng.choice((SUPPRESS, *OTHERS))
        if rng.random() < 0.3:
            library.apply(_random_changes(rng, library, 12), settings, everything=False)
            assert library.problems() == []
        else:
            library.apply(_random_changes(rng, library, 12), settings, elected_before=rng.random() < 0.5)
            assert library.shown() == library.shelf.expected(settings, 4)


def test_policies_off_suppress_flag_off(library):
    off, flag = DuplicateSettings(policy="off"), DuplicateSettings(policy="flag")
    one, two = ("one", "a.txt"), ("one", "b.txt")
    library.apply({one: _paper(1, 2), two: _paper(1, 2)}, off)
    alone, lost = (None, None, None, False), (one, "uri", 1.0)
    assert library.shown() == {one: alone, two: alone}
    for settings, expected in ((SUPPRESS, (*lost, True)), (flag, (*lost, False)), (off, alone)):
        assert library.apply({}, settings).reelected == 1
        assert library.shown() == {one: alone, two: expected}
        assert library.apply({}, settings).release is None


def test_a_duplicate_of_a_document_that_leaves_comes_back_even_where_all_else_is_left_alone(library):
    one, two, far = ("one", "a.txt"), ("one", "b.txt"), ("one", "c.txt")
    library.apply({one: _paper(1, 2, 3), two: _paper(1, 2, 3, 4), far: _paper(1, 2, 3, 4)}, SUPPRESS)
    assert {name for name, (winner, *_) in library.shown().items() if winner} == {one, far}
    library.apply({two: None}, DuplicateSettings(threshold=1.0), everything=False)
    assert library.shown() == library.shelf.expected(DuplicateSettings(threshold=1.0), 1_000)
    library.apply({}, SUPPRESS)
    assert library.shown() == library.shelf.expected(SUPPRESS, 1_000)


def test_tenants_and_collections_never_meet(db, tmp_path):
    papers = {("one", "a.txt"): _paper(1, 2), ("one", "b.txt"): _paper(1, 2, 3)}
    with open_registry(tmp_path / "home", url=db.url, tenant="second") as second:
        libraries = [Library(db), Library(db, "other"), Library(second)]
        for library in libraries:
            library.apply({("one", "a.txt"): papers["one", "a.txt"]}, SUPPRESS)
        for library in libraries:
            assert library.shown() == {("one", "a.txt"): (None, None, None, False)}
        libraries[1].apply(papers, SUPPRESS)
        libraries[0].apply({("one", "a.txt"): None}, SUPPRESS)
        for library in libraries:
            assert library.shown() == library.shelf.expected(SUPPRESS, 1_000)
        assert libraries[1].shown()["one", "a.txt"][0] == ("one", "b.txt")


def _stage(library, changes, run=None, **wrong):
    run = run or library.new_run()
    with library.db.transaction() as connection:
        library.stage(connection, run, changes, **wrong)
    return run


def _elect(library, run, settings=SUPPRESS):
    with library.db.transaction() as connection:
        tasks.dedup.elect.elect(connection, library.db.tenant_id, library.collection, run, settings)


def _staged(library, run):
    with library.db.connection() as connection:
        rows = connection.execute(
            "SELECT d.uri, s.action, w.uri, s.rule, s.suppressed, s.reelected FROM staged_change s "
            "JOIN document d ON d.id = s.document_id LEFT JOIN document w ON w.id = s.winner_id "
            "WHERE s.run_id = %s ORDER BY 1",
            [run],
        ).fetchall()
        noted = connection.execute("SELECT elected_release, elected_by FROM run WHERE id = %s", [run])
        return rows, noted.fetchone()


def test_what_another_run_stages_does_not_count(library):
    library.apply({("one", "b.txt"): _paper(1, 2, 3)}, SUPPRESS)
    other = _stage(library, {("one", "a.txt"): _paper(1, 2, 3, 4), ("one", "b.txt"): None})
    _elect(library, other)
    mine = _stage(library, {("one", "c.txt"): _paper(1, 2, 3)})
    _elect(library, mine)
    assert _staged(library, mine)[0] == [("c.txt", "added", "b.txt", "uri", True, False)]
    assert _staged(library, other)[0] == [
        ("a.txt", "added", None, None, False, False), ("b.txt", "deleted", None, None, False, False),
    ]  # fmt: skip
    library.activate(mine, SUPPRESS)


def test_a_change_of_what_is_not_shown_any_more_does_not_count(library):
    """And where its document is elected otherwise, the election has to be held again without it."""
    name = ("one", "b.txt")
    library.apply({name: _paper(1, 2, 3)}, SUPPRESS)
    stale = library.version[name]
    library.apply({name: _paper(1, 2, 3, 4)}, SUPPRESS)
    run = _stage(library, {name: _paper(7, 8)}, base=stale)
    _stage(library, {("one", "a.txt"): _paper(1, 2, 3, 4, 5)}, run)
    _elect(library, run)
    rows, (release, by) = _staged(library, run)
    assert rows == [
        ("a.txt", "added", None, None, False, False), ("b.txt", "changed", None, None, False, False),
    ]  # fmt: skip
    assert release is None
    assert by == tasks.dedup.elect.election_fingerprint(SUPPRESS)
    done = library.activate(run, SUPPRESS)
    assert [overtaken.uri for overtaken in done.overtaken] == ["b.txt"]
    assert library.shown()[name] == (("one", "a.txt"), "length", 0.8, True)


def test_an_election_held_twice_gives_the_same_rows(library):
    library.apply({("one", "b.txt"): _paper(1, 2, 3), ("one", "c.txt"): _paper(1, 2, 3)}, SUPPRESS)
    run = _stage(library, {("one", "a.txt"): _paper(1, 2, 3, 4), ("one", "c.txt"): _paper(1, 2, 3)})
    _elect(library, run)
    first = _staged(library, run)
    assert first[0] == [
        ("a.txt", "added", None, None, False, False), ("b.txt", "elected", "a.txt", "length", True, True),
        ("c.txt", "restat", "a.txt", "length", True, True),
    ]  # fmt: skip
    assert first[1] == (1, tasks.dedup.elect.election_fingerprint(SUPPRESS))
    _elect(library, run)
    assert _staged(library, run) == first
    _elect(library, run, DuplicateSettings(policy="off"))
    assert _staged(library, run)[0] == [
        ("a.txt", "added", None, None, False, False), ("c.txt", "restat", None, None, False, True),
    ]  # fmt: skip


def test_clusters_of_any_release_are_listed_with_reasons(library):
    one, two, copy = ("one", "z.txt"), ("two", "b.txt"), ("two", "c.txt")
    library.apply({one: _paper(1, 2, 3), two: _paper(1, 2), copy: _paper(1, 2, 3)}, SUPPRESS)
    library.apply({copy: None, one: _paper(1, 2, 3, authored=3)}, SUPPRESS)
    library.apply({one: None}, SUPPRESS)

    def clusters(number):
        found = list_clusters(library.db, get_collection(library.db, "default"), number)
        return [(c.winner, c.source, [(m.uri, m.source, m.similarity, m.reason, m.suppressed)
                                      for m in c.members]) for c in found]  # fmt: skip

    assert clusters(1) == [
        ("c.txt", "two", [("z.txt", "one", 1.0, REASONS["uri"], True),
                          ("b.txt", "two", 0.6667, REASONS["length"], True)])
    ]  # fmt: skip
    assert clusters(2) == [("z.txt", "one", [("b.txt", "two", 0.6667, REASONS["date"], True)])]
    assert clusters(3) == []


def test_a_date_at_the_end_of_the_calendar_can_be_compared(library):
    library.apply({("one", "a.txt"): _paper(1), ("one", "b.txt"): _paper(1)}, DuplicateSettings(policy="off"))
    with library.db.connection() as connection:
        connection.execute("UPDATE document_version SET authored_at = '9999-12-31 23:00-11'")
    library.apply({}, SUPPRESS)
    assert library.shown()["one", "b.txt"] == (("one", "a.txt"), "uri", 1.0, True)


def test_real_signatures_are_compared_by_the_limits_of_the_settings(monkeypatch):
    monkeypatch.undo()
    text = " ".join(f"word{number}" for number in range(300))
    signatures = [text_signature(t) for t in (text, text + " and a footer.", text[: len(text) // 2])]
    left, right = np.array([0, 0]), np.array([1, 2])
    for threshold, expected in ((0.8, [True, False]), (1.0, [False, False])):
        judge = tasks.dedup.elect.judge_by(DuplicateSettings(threshold=threshold))
        assert judge(signatures, left, right)[1].tolist() == expected


def test_a_run_that_changes_much_compares_all_to_the_same_end(library, monkeypatch):
    monkeypatch.setattr(tasks.dedup.elect, "BATCH_TEXTS", 2)
    monkeypatch.setattr(pairs, "MAX_BAND_TEXTS", 4)
    ways = []
    compare_all = tasks.dedup.elect._Election.compare_all
    monkeypatch.setattr(
        tasks.dedup.elect._Election, "compare_all", lambda self: ways.append(1) or compare_all(self)
    )
    rng = random.Random(7)
    for _ in range(60):
        library.apply(_random_changes(rng, library, 12), SUPPRESS)
        assert library.shown() == library.shelf.expected(SUPPRESS, 4)
    assert 10 < len(ways) < 60
