"""Who wins: the same as by a plain look at all pairs, in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.duplicate import DEFAULT_RULES, Standing
from tasks.dedup.winner import Edges, choose_winners, decisive_rule
from tests.elections import better, date_of, rank_plainly

RULES = ("published", "authority", "date", "length", "first_seen", "uri")
TEXTS = [bytes([number]) for number in range(8)]


def _standing(id_, text, **facts):
    return Standing(
        **{
            "document_id": id_,
            "uri": f"{id_:03}.txt",
            "source": "docs",
            "text": text,
            "published": True,
            "authority": 0,
            "authored_at": None,
            "characters": 10,
            **facts,
        }
    )


def _edges(pairs, texts=TEXTS):
    left, right, alike = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Edges(
        texts,
        np.array([texts.index(text) for text in left], np.int64),
        np.array([texts.index(text) for text in right], np.int64),
        np.array(alike, np.float32),
    )


def _elect(standings, pairs, rules=RULES, suppress=True):
    return choose_winners(standings, _edges(pairs), rules, suppress=suppress)


def _plainly(standings, pairs, rules):
    """Winner, rule and similarity of each loser."""
    alike = {frozenset((a, b)): s for a, b, s in pairs}
    winners, lost = [], {}
    for standing in rank_plainly(standings, rules):
        over = [
            (winner, 1.0 if winner.text == standing.text else alike[frozenset((winner.text, standing.text))])
            for winner in winners
            if winner.text == standing.text or frozenset((winner.text, standing.text)) in alike
        ]
        if over:
            winner, similarity = over[0]
            rule = next((rule for rule in rules if better(winner, standing, rule)), "uri")
            lost[standing.document_id] = (winner.document_id, rule, pytest.approx(similarity, abs=1e-4))
        else:
            winners.append(standing)
    return lost


@st.composite
def elections(draw):
    count = draw(st.integers(0, 12))
    standings = [
        _standing(
            id_,
            draw(st.sampled_from(TEXTS)),
            uri=draw(st.sampled_from(["a", "b", "가"])) + str(id_ // 3),
            source=draw(st.sampled_from(["s", "t"])) + str(id_),
            published=draw(st.booleans()),
            authority=draw(st.integers(-1, 1)),
            authored_at=date_of(draw(st.sampled_from([None, -800_000 // 2, 0, 1]))),
            characters=draw(st.sampled_from([0, 10])),
        )
        for id_ in range(count)
    ]
    chosen = draw(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda p: p[0] < p[1])))
    pairs = [(TEXTS[a], TEXTS[b], (80 + 2 * a + b) / 104) for a, b in sorted(chosen)]
    rules = draw(st.permutations(RULES).flatmap(lambda r: st.integers(0, 6).map(lambda n: tuple(r[:n]))))
    return standings, pairs, rules, draw(st.randoms(use_true_random=False))


@given(elections())
def test_winners_are_those_of_a_plain_look_in_any_order(election):
    standings, pairs, rules, random = election
    expected = _plainly(standings, pairs, rules)
    for _ in range(3):
        found = _elect(standings, pairs, rules)
        assert {id_: (v.winner_id, v.rule, v.similarity) for id_, v in found.items()} == expected
        random.shuffle(standings)
        random.shuffle(pairs)
        pairs = [(b, a, s) if random.random() < 0.5 else (a, b, s) for a, b, s in pairs]


@given(elections(), st.sets(st.integers(0, 7)))
def test_groups_that_do_not_touch_can_be_elected_apart(election, half):
    standings, pairs, rules, _ = election
    side = {TEXTS[number] for number in half}
    pairs = [pair for pair in pairs if (pair[0] in side) == (pair[1] in side)]
    one = _elect([s for s in standings if s.text in side], [p for p in pairs if p[0] in side], rules)
    # edges of texts without a document do not count
    other = _elect([s for s in standings if s.text not in side], pairs, rules)
    assert one | other == _elect(standings, pairs, rules)


def test_the_ends_of_a_chain_both_stay():
    a, b, c = (_standing(id_, TEXTS[id_]) for id_ in range(3))
    found = _elect([c, b, a], [(TEXTS[0], TEXTS[1], 0.9), (TEXTS[1], TEXTS[2], 0.95)])
    assert {id_: verdict.winner_id for id_, verdict in found.items()} == {1: 0}
    assert found[1].similarity == 0.9


def test_a_loser_belongs_to_the_best_winner_it_resembles_not_to_the_most_similar():
    standings = [_standing(id_, TEXTS[id_]) for id_ in range(3)]
    found = _elect(standings, [(TEXTS[0], TEXTS[2], 0.81), (TEXTS[1], TEXTS[2], 0.99)])
    assert (found[2].winner_id, found[2].similarity) == (0, 0.81)
    assert 1 not in found


def test_a_star_keeps_its_middle_where_that_is_the_best_and_its_points_where_it_is_the_worst():
    points = [(TEXTS[0], TEXTS[number], 0.9) for number in range(1, 5)]
    middle = [_standing(id_, TEXTS[id_], authority=-id_) for id_ in range(5)]
    assert {v.winner_id for v in _elect(middle, points).values()} == {0}
    worst = [_standing(id_, TEXTS[id_], authority=id_) for id_ in range(5)]
    assert {id_: v.winner_id for id_, v in _elect(worst, points).items()} == {0: 4}


def test_equal_texts_are_duplicates_without_being_compared():
    found = _elect([_standing(2, b"same"), _standing(1, b"same")], [], suppress=False)
    assert found[2].similarity == 1.0
    assert (found[2].winner_id, found[2].rule, found[2].suppressed) == (1, "first_seen", False)


@pytest.mark.parametrize(
    ("rule", "winner", "loser"),
    [
        ("published", {"published": True}, {"published": False}),
        ("authority", {"authority": 2}, {"authority": -1}),
        ("date", {"authored_at": date_of(5)}, {"authored_at": date_of(4)}),
        ("date", {"authored_at": date_of(-700_000)}, {"authored_at": None}),
        ("length", {"characters": 11}, {"characters": 10}),
        ("uri", {"uri": "Z"}, {"uri": "a"}),
    ],
)
def test_each_rule_prefers_what_it_says_and_is_named(rule, winner, loser):
    one, two = _standing(1, b"same", **{"uri": "x", **loser}), _standing(2, b"same", **{"uri": "x", **winner})
    for standings in ([one, two], [two, one]):
        found = _elect(standings, [], DEFAULT_RULES)
        assert {id_: (v.winner_id, v.rule) for id_, v in found.items()} == {1: (2, rule)}


def test_what_no_rule_tells_apart_is_decided_by_name():
    one, two = _standing(1, b"same", uri="x", source="b"), _standing(2, b"same", uri="x", source="a")
    assert decisive_rule(two, one, ("date",)) == "uri"
    assert _elect([one, two], [], ("date",))[1].winner_id == 2


def test_no_documents_need_no_election():
    assert _elect([], []) == {}
