import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.prototypes.classify
from schemas.prototype import LeaveOneOut, Thresholds
from schemas.settings import PrototypeSettings
from tasks.prototypes.build import compose
from tasks.prototypes.calibrate import CANDIDATES, NOTHING, choose_thresholds, leave_one_out
from tests.prototypes import as_members, build_prototypes, make_members, unit

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def measure(members, **chosen):
    chosen = PrototypeSettings(min_images=1, **chosen)
    prototypes, _ = build_prototypes(members, chosen)
    return prototypes, leave_one_out(members, prototypes, chosen)


def plain_own(rows, index):
    """The brute force: the class is built again without the image."""
    rest = np.delete(rows, index, axis=0).astype(np.float64).sum(axis=0)
    length = np.linalg.norm(rest)
    return math.nan if length < 1e-3 else float(rest @ rows[index] / length)


@given(SIZES, st.integers(0, 1000))
@settings(deadline=None)
def test_each_image_is_compared_as_if_its_class_were_built_without_it(sizes, seed):
    members = make_members(sizes, seed=seed, scatter=1.5)
    prototypes, measured = measure(members)
    for i, owner in enumerate(members.owners):
        rows = members.vectors[members.owners == owner]
        place = int((members.owners[:i] == owner).sum())
        others = sorted(
            (-float(members.vectors[i] @ p.vectors[0]), number)
            for number, p in enumerate(prototypes) if number != owner
        )  # fmt: skip
        assert measured.own[i] == pytest.approx(plain_own(rows, place), abs=2e-6, nan_ok=True)
        assert measured.other[i] == pytest.approx(
            -others[0][0] if others else math.nan, abs=2e-6, nan_ok=True
        )
        assert measured.second[i] == pytest.approx(
            -others[1][0] if len(others) > 1 else math.nan, abs=2e-6, nan_ok=True
        )
        assert measured.nearest[i] == (others[0][1] if others else -1)


@given(SIZES, st.integers(0, 1000), st.integers(1, 3), st.sampled_from([0.0, 0.3]))
@settings(deadline=None)
def test_what_is_said_of_an_image_follows_from_its_ranking(sizes, seed, k, trim):
    _, measured = measure(make_members(sizes, seed=seed, scatter=3.0), k=k, trim=trim)
    for i in np.flatnonzero(measured.is_measured):
        ranked = sorted((-score, number) for score, number in [
            (measured.own[i], measured.owners[i]), (measured.other[i], measured.nearest[i])
        ] if number >= 0)  # fmt: skip
        assert measured.predicted[i] == ranked[0][1]
        assert measured.known.s1[i] == -ranked[0][0]
        if len(ranked) == 1:
            assert measured.known.margin[i] == measured.known.s1[i]
        else:
            third = measured.second[i] if measured.second[i] == measured.second[i] else -2
            assert measured.known.margin[i] == pytest.approx(-ranked[0][0] - max(-ranked[1][0], third))


def test_with_clusters_only_that_of_the_image_is_made_without_it():
    members = make_members([12], scatter=2.0, seed=5)
    chosen = PrototypeSettings(k=3)
    prototypes, measured = measure(members, k=3)
    labels = compose(members.vectors, chosen).labels
    for i, label in enumerate(labels):
        scores = members.vectors[i] @ prototypes[0].vectors.T
        mates = np.flatnonzero(labels == label)
        scores[label] = plain_own(members.vectors[mates], int(np.searchsorted(mates, i)))
        assert measured.own[i] == pytest.approx(np.nanmax(scores), abs=2e-6)


def test_a_trimmed_image_is_compared_with_the_class_as_it_is():
    vectors = unit([[1, 0.1], [1, -0.1], [1, 0.2], [1, 0], [0, 1]])
    members = as_members(["개"], [0] * 5, vectors)
    prototypes, measured = measure(members, trim=0.2)
    assert measured.own[4] == pytest.approx(vectors[4] @ prototypes[0].vectors[0], abs=2e-6)
    assert measured.own[3] == pytest.approx(plain_own(vectors[:4], 3), abs=2e-6)


def test_images_of_classes_of_one_image_are_unknown_ones_only():
    members = make_members([1, 1, 1])
    _, measured = measure(members)
    assert not measured.is_measured.any()
    assert np.isnan(measured.known.s1).all()
    assert not np.isnan(measured.unknown.s1).any()


def test_images_of_classes_without_a_prototype_are_skipped():
    members = make_members([3, 1, 3])
    chosen = PrototypeSettings()
    prototypes, _ = build_prototypes(members, chosen)
    measured = leave_one_out(members, prototypes, chosen)
    assert measured.images.tolist() == [0, 1, 2, 4, 5, 6]
    assert measured.owners.tolist() == [0, 0, 0, 1, 1, 1]


def test_blocks_do_not_change_what_is_measured(monkeypatch):
    members = make_members([6, 3, 5, 4], scatter=2.0)
    for k in (1, 3):
        _, whole = measure(members, k=k)
        with monkeypatch.context() as patch:
            patch.setattr(tasks.prototypes.classify, "_BLOCK_BYTES", 300)
            _, parts = measure(members, k=k)
        for name in ("own", "nearest", "other", "second"):
            assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes()


def exhaustive(measured, rate, tau1=None, tau2=None):
    """All pairs of thresholds between -1 and 1 that make a difference, one by one."""
    known, unknown = measured.known, measured.unknown
    right = measured.is_measured & (measured.predicted == measured.owners)
    grid = [sorted({max(least, math.floor((s - 1e-6) * 10_000) / 10_000) for s in scores[right].tolist()})
            for scores, least in ((known.s1, -1.0), (known.margin, 0.0))]  # fmt: skip
    best = None
    pairs = itertools.product(
        [tau1] if tau1 is not None else grid[0], [tau2] if tau2 is not None else grid[1]
    )
    for one, two in pairs:
        taus = Thresholds(one, two)
        false = int(unknown.accept(taus).sum())
        accepted = int((known.accept(taus) & right).sum())
        key = (accepted, -false, one, two)
        if accepted and false / len(unknown.s1) <= rate and (best is None or key > best[0]):
            best = (key, taus)
    return best and best[1]


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=6),
    st.integers(0, 1000),
    st.sampled_from([0.5, 2.0, 4.0]),
    st.sampled_from([0.01, 0.05, 0.3, 0.9]),
    st.sampled_from([None, 0.3]),
    st.sampled_from([None, 0.05]),
)
@settings(deadline=None)
def test_the_thresholds_are_the_best_of_all(sizes, seed, scatter, rate, tau1, tau2):
    _, measured = measure(make_members(sizes, seed=seed, scatter=scatter))
    chosen = PrototypeSettings(false_accept_rate=rate, tau1=tau1, tau2=tau2)
    found = choose_thresholds(measured, chosen)
    if tau1 is not None and tau2 is not None:
        assert found == Thresholds(tau1, tau2)
    elif (best := exhaustive(measured, rate, tau1, tau2)) is not None:
        right = measured.is_measured & (measured.predicted == measured.owners)
        assert measured.unknown.accept(found).sum() == measured.unknown.accept(best).sum()
        assert (measured.known.accept(found) & right).sum() == (measured.known.accept(best) & right).sum()
        assert found.tau1 <= best.tau1
        assert found.tau2 <= best.tau2
    elif tau1 is None or not np.isnan(measured.unknown.margin).any():
        # nothing can be accepted rightly: no more unknown images than asked for are accepted; where tau1 is
        # fixed and one class is left without the image's own, no margin can see to that
        assert measured.unknown.accept(found).mean() <= rate
    assert tau1 in (None, found.tau1)
    assert tau2 in (None, found.tau2)


def test_of_pairs_that_accept_as_many_the_one_with_fewer_false_accepts_is_taken():
    # right are (.9, .1) and (.5, .5); both can be accepted only with three of twenty unknown images
    own = np.array([0.9, 0.5] + [np.nan] * 18)
    other = np.array([0.8, 0.0, 0.95, 0.6, 0.6] + [0.0] * 15)
    second = np.array([0.8, 0.0, 0.8, 0.4, 0.4] + [0.0] * 15)
    zeros = np.zeros(20, np.int64)
    measured = LeaveOneOut(np.arange(20), zeros, own, zeros + 1, other, second)
    found = choose_thresholds(measured, PrototypeSettings())
    assert (measured.unknown.accept(found).sum(), measured.known.accept(found).sum()) == (0, 1)
    # in the middle of the gaps: from 0 to .5 both times, as no unknown image between has such a margin
    assert found == Thresholds(0.2499, 0.3499)


def test_classes_that_are_far_apart_are_told_apart_completely():
    members = make_members([8] * 6, scatter=0.2, dim=64)
    _, measured = measure(members)
    found = choose_thresholds(measured, PrototypeSettings())
    assert measured.known.accept(found).all()
    assert not measured.unknown.accept(found).any()


def test_a_threshold_lies_midway_between_known_and_unknown_images():
    _, measured = measure(make_members([4, 4, 4], scatter=0.0))
    found = choose_thresholds(measured, PrototypeSettings())
    assert measured.known.s1.tolist() == [1.0] * 12
    assert found.tau1 == pytest.approx((1 + measured.unknown.s1.max()) / 2, abs=2e-4)
    assert found.tau2 == pytest.approx(measured.known.margin.min() / 2, abs=2e-4)


def test_two_classes_of_the_same_images_accept_nothing():
    vectors = np.tile(unit([[1, 2], [1, 2], [1, 2]]), (2, 1))
    _, measured = measure(as_members(["가", "나"], [0, 0, 0, 1, 1, 1], vectors))
    found = choose_thresholds(measured, PrototypeSettings())
    assert found == NOTHING
    assert not measured.known.accept(found).any()
    assert measured.predicted.tolist() == [0] * 6


def test_of_one_class_tau1_refuses_its_least_similar_images():
    _, measured = measure(make_members([100], scatter=2.0))
    found = choose_thresholds(measured, PrototypeSettings())
    assert found.tau2 == 0
    assert 0.94 <= measured.known.accept(found).mean() <= 0.96
    assert choose_thresholds(measured, PrototypeSettings(tau2=0.2)) == Thresholds(found.tau1, 0.2)
    assert choose_thresholds(measured, PrototypeSettings(tau1=0.2)) == Thresholds(0.2, 0.0)


def test_of_one_image_nothing_is_known():
    _, measured = measure(make_members([1]))
    assert choose_thresholds(measured, PrototypeSettings()) == Thresholds(1.0, 0.0)


def test_classes_of_one_image_are_calibrated_on_what_is_unknown():
    _, measured = measure(make_members([1] * 40, dim=8))
    found = choose_thresholds(measured, PrototypeSettings())
    assert found.tau2 == 0
    assert measured.unknown.accept(found).sum() == 2
    assert measured.unknown.accept(Thresholds(found.tau1 - 1.1e-4, 0)).sum() > 2


def test_many_scores_are_searched_by_quantiles():
    rng = np.random.default_rng(4)
    count = 20_000
    known, unknown, margin = (
        rng.normal(0.6, 0.1, count),
        rng.normal(0.3, 0.1, count),
        rng.uniform(0, 0.2, count),
    )
    one = np.zeros(count, np.int64)
    measured = LeaveOneOut(np.arange(count), one, known.clip(0, 1), one + 1, unknown, unknown - margin)
    found = choose_thresholds(measured, PrototypeSettings(tau2=0.0))
    best = np.quantile(unknown, 0.95)
    assert np.unique(known).size > CANDIDATES
    assert measured.unknown.accept(found).mean() <= 0.05
    assert found.tau1 == pytest.approx(best, abs=2e-3)
