import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.chunking.cut import boundary_keys, cut


def pieces_of(tokens: list[int], *, minimum: int, maximum: int) -> list[tuple[int, int]]:
    keys = boundary_keys([f"unit {i} {t}" for i, t in enumerate(tokens)], [2] * len(tokens))
    return cut(np.array(tokens, dtype=np.int64), keys, minimum=minimum, maximum=maximum)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 100), max_size=120))
def test_pieces_cover_all_units_in_order_and_fit(tokens):
    pieces = pieces_of(tokens, minimum=40, maximum=100)
    assert [i for first, end in pieces for i in range(first, end)] == list(range(len(tokens)))
    assert all(sum(tokens[first:end]) <= 100 for first, end in pieces)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=200))
def test_fine_units_leave_no_piece_below_the_minimum(tokens):
    pieces = pieces_of(tokens, minimum=40, maximum=100)
    if sum(tokens) > 100:
        assert min(sum(tokens[first:end]) for first, end in pieces) >= 33


def test_lowest_rank_in_the_window_is_taken():
    keys = boundary_keys([f"s{i}" for i in range(12)], [2, 2, 2, 2, 2, 0, 2, 1, 2, 2, 2, 2])
    assert cut(np.full(12, 10), keys, minimum=40, maximum=100) == [(0, 6), (6, 12)]


def test_repeated_units_are_cut_evenly():
    keys = boundary_keys(["네."] * 16, [2] * 16)
    sizes = [end - first for first, end in cut(np.full(16, 10), keys, minimum=40, maximum=100)]
    assert sizes == [8, 8]


def test_no_units_give_no_pieces():
    assert pieces_of([], minimum=1, maximum=2) == []
