import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.prototypes.classify
from schemas.errors import ConfigurationError, EmbeddingFailed
from schemas.prototype import UNKNOWN, Prototype, Thresholds
from schemas.settings import PrototypeSettings
from tasks.prototypes.classify import classify
from tests.prototypes import build_prototypes, make_members, unit

ALL = Thresholds(-1.0, 0.0)


def prototype(name, *rows):
    vectors = unit(rows)
    return Prototype(name, len(rows), np.zeros(vectors.shape[1], np.int64), vectors)


def plain(vector, prototypes):
    return sorted((-max(float(vector @ row) for row in p.vectors), p.name) for p in prototypes)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=6), st.integers(0, 1000), st.integers(1, 3))
@settings(deadline=None)
def test_a_class_is_as_near_as_its_nearest_vector(sizes, seed, k):
    members = make_members(sizes, seed=seed, scatter=2.0)
    prototypes, _ = build_prototypes(members, PrototypeSettings(k=k, min_images=1))
    for vector, found in zip(members.vectors, classify(members.vectors, prototypes[::-1], ALL), strict=True):
        expected = plain(vector, prototypes)
        assert [name for name, _ in found.top_k] == [name for _, name in expected[:3]]
        assert [score for _, score in found.top_k] == pytest.approx([-s for s, _ in expected[:3]], abs=2e-6)
        margin = expected[1][0] - expected[0][0] if len(expected) > 1 else -expected[0][0]
        assert found.verdict == (expected[0][1] if margin >= 0 else UNKNOWN)
        assert (found.s1, found.margin) == pytest.approx((-expected[0][0], margin), abs=3e-6)


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [
        (Thresholds(0.8, 0.2), "고양이"),
        (Thresholds(0.81, 0.2), UNKNOWN),
        (Thresholds(0.8, 0.21), UNKNOWN),
    ],
)
def test_an_image_under_either_threshold_is_unknown(thresholds, verdict):
    prototypes = [prototype("개", [1, 0]), prototype("고양이", [0, 1])]
    found = classify(unit([[3, 4]]), prototypes, thresholds)[0]
    assert (found.verdict, found.is_unknown) == (verdict, verdict == UNKNOWN)
    assert found.top_k == (("고양이", 0.8), ("개", 0.6))
    assert (found.s1, found.margin) == (0.8, 0.2)


def test_of_equally_near_classes_the_first_by_name_is_the_nearest():
    rows = np.random.default_rng(0).normal(size=(1, 33))
    names = [f"분류{number}" for number in range(9)]
    found = classify(unit(rows + 0.1), [prototype(name, *rows) for name in names[::-1]], ALL, top_k=9)[0]
    assert [name for name, _ in found.top_k] == names
    assert found.margin == 0


def test_with_one_class_the_margin_is_the_similarity():
    found = classify(unit([[3, 4]]), [prototype("개", [1, 0])], Thresholds(0.5, 0.6))[0]
    assert (found.s1, found.margin, found.verdict) == (0.6, 0.6, "개")


def test_blocks_of_images_and_classes_change_nothing(monkeypatch):
    members = make_members([7, 5, 6, 4, 8], scatter=2.0)
    for k in (1, 3):
        prototypes, _ = build_prototypes(members, PrototypeSettings(k=k))
        whole = classify(members.vectors, prototypes, ALL)
        with monkeypatch.context() as patch:
            patch.setattr(tasks.prototypes.classify, "_BLOCK_BYTES", 300)
            assert classify(members.vectors, prototypes, ALL) == whole


def test_no_images_have_no_verdicts():
    assert classify(np.zeros((0, 2), np.float32), [prototype("개", [1, 0])], ALL) == []


@pytest.mark.parametrize(
    ("vectors", "prototypes", "error"),
    [
        ([[np.nan, 1]], [prototype("개", [1, 0])], EmbeddingFailed),
        ([[1, np.inf]], [prototype("개", [1, 0])], EmbeddingFailed),
        ([[1, 0, 0]], [prototype("개", [1, 0])], ConfigurationError),
        ([1, 0], [prototype("개", [1, 0])], ConfigurationError),
        ([[1, 0]], [], ConfigurationError),
    ],
)
def test_what_cannot_be_compared_is_refused(vectors, prototypes, error):
    with pytest.raises(error):
        classify(np.array(vectors, np.float32), prototypes, ALL)
