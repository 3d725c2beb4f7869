import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.exact_sum import add
from schemas.prototype import LeftOut
from schemas.settings import PrototypeSettings
from tasks.prototypes.build import build_prototype, compose
from tests.prototypes import as_members, build_prototypes, make_members, unit

CHOICES = st.builds(PrototypeSettings, k=st.integers(1, 5), trim=st.sampled_from([0.0, 0.1, 0.3, 0.49]))


def scattered(count, seed, dim=6):
    # few different values, so that equal images and ties are common
    values = np.random.default_rng(seed).integers(-1, 2, (count, dim)).astype(float)
    values[:, 0] += 1.5
    return unit(values)


@given(st.integers(1, 40), st.integers(0, 1000), CHOICES)
@settings(deadline=None)
def test_a_prototype_depends_on_the_set_of_its_images_alone(count, seed, chosen):
    vectors = scattered(count, seed)
    shuffled = vectors[np.random.default_rng(seed + 1).permutation(count)]
    one, other = (build_prototype("고양이", rows, chosen) for rows in (vectors, shuffled))
    assert one.hash(b"space") == other.hash(b"space")
    assert one.vectors.tobytes() == other.vectors.tobytes()


@given(st.integers(1, 40), st.integers(0, 1000), CHOICES)
@settings(deadline=None)
def test_the_sum_of_a_prototype_is_that_of_all_images(count, seed, chosen):
    vectors = scattered(count, seed)
    made = build_prototype("고양이", vectors, chosen)
    assert made.images == count
    assert made.sum.tolist() == add(np.zeros(6, np.int64), vectors).tolist()
    assert made.vectors.dtype == np.float32
    assert np.linalg.norm(made.vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert 1 <= len(made.vectors) <= max(1, min(chosen.k, count // 2))


def test_a_sum_that_is_known_gives_the_same_prototype():
    vectors = scattered(9, seed=3)
    total = add(np.zeros(6, np.int64), vectors)
    for chosen in (PrototypeSettings(), PrototypeSettings(k=2, trim=0.2)):
        assert (
            build_prototype("개", vectors, chosen, total=total).hash(b"")
            == build_prototype("개", vectors, chosen).hash(b"")
        )  # fmt: skip


def test_the_mean_is_the_normalised_mean():
    vectors = unit(np.random.default_rng(0).normal(size=(50, 8)) + 1)
    exact = vectors.astype(np.float64).sum(axis=0)
    made = build_prototype("개", vectors, PrototypeSettings())
    assert made.vectors == pytest.approx((exact / np.linalg.norm(exact))[None], abs=1e-7)


def test_images_unlike_the_others_are_trimmed():
    good, bad = unit([[1, 0.1 * i, 0] for i in range(8)]), unit([[-1, 0, 1], [0, -1, -2]])
    vectors = np.concatenate([good[:4], bad, good[4:]])
    made = build_prototype("개", vectors, PrototypeSettings(trim=0.2))
    assert made.images == 10
    assert made.vectors.tobytes() == build_prototype("개", good, PrototypeSettings()).vectors.tobytes()
    assert compose(vectors, PrototypeSettings(trim=0.2)).labels.tolist() == [0] * 4 + [-1] * 2 + [0] * 4


def test_the_outliers_do_not_decide_which_images_are_outliers():
    # four images at 80 degrees pull the mean so far that the one at -40 is the farthest from it
    angles = np.radians([0, 0, 0, 0, 0, -40, 80, 80, 80, 80])
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert compose(vectors, PrototypeSettings(trim=0.4)).labels.tolist() == [0] * 6 + [-1] * 4


@pytest.mark.parametrize("seed", range(5))
def test_each_image_belongs_to_the_nearest_vector_of_its_class(seed):
    vectors = unit(np.random.default_rng(seed).normal(size=(60, 4)) + 0.5)
    composition = compose(vectors, PrototypeSettings(k=4))
    nearest = np.argmax(vectors.astype(float) @ composition.vectors.T.astype(float), axis=1)
    assert composition.labels.tolist() == nearest.tolist()


def test_images_that_differ_by_next_to_nothing_make_one_vector():
    rows = np.tile([3.0, 4.0, 5.0], (12, 1)) * (1 + 5e-4 * np.random.default_rng(0).normal(size=(12, 3)))
    vectors = unit(rows)
    assert len(np.unique(vectors, axis=0)) > 1
    assert len(build_prototype("개", vectors, PrototypeSettings(k=3)).vectors) == 1


def test_each_kind_of_image_in_a_class_gets_a_vector():
    rng = np.random.default_rng(1)
    centres = np.eye(3)[[0] * 12 + [1] * 8 + [2] * 6]
    vectors = unit(centres + 0.05 * rng.normal(size=(26, 3)))
    composition = compose(vectors, PrototypeSettings(k=3))
    assert composition.labels.tolist() == [0] * 12 + [1] * 8 + [2] * 6  # the largest first
    assert composition.vectors == pytest.approx(np.eye(3), abs=0.1)
    assert composition.sums.sum(axis=0).tolist() == add(np.zeros(3, np.int64), vectors).tolist()


def test_equal_images_make_one_vector_however_many_are_asked_for():
    made = build_prototype("개", np.repeat(unit([[3, 4]]), 20, axis=0), PrototypeSettings(k=5))
    assert made.vectors == pytest.approx(np.array([[0.6, 0.8]]))


def test_a_small_class_gets_a_vector_for_each_pair_of_images():
    vectors = unit(np.random.default_rng(2).normal(size=(5, 8)) + 1)
    assert len(build_prototype("개", vectors, PrototypeSettings(k=8)).vectors) <= 2
    single = build_prototype("개", vectors[:1], PrototypeSettings(k=8, trim=0.4))
    assert single.vectors == pytest.approx(vectors[:1])


@pytest.mark.parametrize("chosen", [PrototypeSettings(), PrototypeSettings(k=2, trim=0.3)])
def test_a_class_without_a_direction_has_no_prototype(chosen):
    opposite = unit([[1, 0], [-1, 0], [0, 1], [0, -1]])
    assert build_prototype("개", opposite, chosen) is None


def test_classes_without_a_prototype_are_named_with_the_reason():
    vectors = unit([[1, 0], [1, 0.1], [0, 1], [0, -1], [1, 1]])
    members = as_members(["고양이", "반대", "혼자"], [0, 0, 1, 1, 2], vectors)
    made, left_out = build_prototypes(members, PrototypeSettings())
    assert [one.name for one in made] == ["고양이"]
    assert left_out == (
        LeftOut("반대", 2, "its images have no direction in common"),
        LeftOut("혼자", 1, "too few images"),
    )


def test_prototypes_are_sorted_by_name_and_made_of_their_own_images():
    members = make_members([3, 5, 4])
    made, left_out = build_prototypes(members, PrototypeSettings())
    assert [(one.name, one.images) for one in made] == list(zip(members.classes, [3, 5, 4], strict=True))
    assert left_out == ()
    assert made[1].hash(b"") == build_prototype(
        members.classes[1], members.vectors[3:8], PrototypeSettings()
    ).hash(b"")
