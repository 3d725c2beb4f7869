import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from schemas.errors import ConfigurationError, EmbeddingFailed
from schemas.exact_sum import MAX_IMAGES, UNIT, add, mean_vector, quantise, require_countable

VALUES = st.floats(-1, 1, width=32)
VECTORS = st.integers(1, 12).flatmap(lambda n: arrays(np.float32, (n, 3), elements=VALUES))
ZERO = np.zeros(3, np.int64)


@given(VECTORS, st.randoms(use_true_random=False))
def test_order_and_batches_make_no_difference(vectors, random):
    order = list(range(len(vectors)))
    random.shuffle(order)
    cut = random.randint(0, len(order))
    at_once = add(ZERO, vectors)
    in_parts = add(add(ZERO, vectors[order[:cut]]), vectors[order[cut:]])
    assert at_once.tobytes() == in_parts.tobytes()


@given(VECTORS, VECTORS)
def test_what_is_added_and_taken_away_leaves_no_trace(vectors, more):
    before = add(ZERO, vectors)
    signs = np.repeat([1, -1], len(more))
    assert add(before, np.concatenate([more, more]), signs).tobytes() == before.tobytes()
    assert add(add(before, more), more, -1).tobytes() == before.tobytes()


@given(VALUES | st.floats(-(2.0**-30), 2.0**-30, width=32))
def test_a_value_is_rounded_half_to_even(value):
    assert quantise(np.array([[value]], np.float32)).tolist() == [[round(Fraction(value) * 2**40)]]


def test_halves_go_to_the_even_neighbour():
    units = np.array([[0.5, 1.5, 2.5, -0.5, -1.5]]) / UNIT
    assert quantise(units.astype(np.float32)).tolist() == [[0, 2, 2, 0, -2]]


def test_the_sum_given_is_not_changed():
    total = ZERO.copy()
    add(total, np.ones((2, 3), np.float32))
    assert total.tolist() == [0, 0, 0]


def test_more_rows_than_a_block_are_all_summed():
    vectors = np.full((10_000, 2), 0.5, np.float32)
    assert add(np.zeros(2, np.int64), vectors).tolist() == [10_000 * 2**39] * 2


def test_the_largest_class_does_not_overflow():
    require_countable("고양이", MAX_IMAGES)
    per_image = int(quantise(np.array([[1.001]], np.float32))[0, 0])
    assert per_image * MAX_IMAGES < 2**63 - 1
    mean = mean_vector(np.array([MAX_IMAGES * 2**40, -MAX_IMAGES * 2**40], np.int64))
    assert mean.tolist() == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])
    with pytest.raises(ConfigurationError, match=r"고양이.*Divide its folder"):
        require_countable("고양이", MAX_IMAGES + 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.1])
def test_values_that_no_unit_vector_has_are_refused(value):
    with pytest.raises(EmbeddingFailed, match="not a number"):
        add(ZERO, np.array([[0, 0, value]], np.float32))


@given(VECTORS)
def test_a_mean_has_unit_length_and_the_direction_of_the_sum(vectors):
    mean = mean_vector(add(ZERO, vectors))
    exact = vectors.astype(np.float64).sum(axis=0)
    if mean is None:
        assert np.linalg.norm(exact) < 1.1e-3
    else:
        assert mean.dtype == np.float32
        assert mean == pytest.approx(exact / np.linalg.norm(exact), abs=1e-6)


def test_images_that_cancel_each_other_out_have_no_mean():
    one = np.array([[0.6, 0.8, 0]], np.float32)
    assert mean_vector(add(add(ZERO, one), -one)) is None
    assert mean_vector(add(add(ZERO, one), -one * np.float32(1 - 1e-6))) is None
