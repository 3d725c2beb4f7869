"""A space's first vectors of a fixed set are kept, and a model that gives others is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from registry.collections import ensure_space
from registry.probes import Probe, find_probe, keep_probe
from schemas.embedding import EmbeddingSpace
from schemas.errors import DatabaseError, EmbeddingFailed, SpaceMismatch
from tasks.embedding.probing import verify

SPACE = EmbeddingSpace("text", "test", "m", "r", 4)
VECTORS = np.eye(4, dtype=np.float32)[:3]
PROBES, OTHERS = b"p" * 32, b"o" * 32


class Probed:
    """A model with known vectors of its probes, in its own path and by its library."""

    def __init__(self, vectors, *, library=None, probes=PROBES):
        self.vectors, self.library, self.probes = vectors, library, probes
        self.name, self.settled = "m", 0

    def reference(self):
        assert self.library is not None, "encoded by the library"
        return self.library

    def settle(self, expected):
        self.settled += 1
        return float((self.vectors * expected).sum(axis=1).min())


@pytest.fixture
def space_id(db):
    return ensure_space(db, SPACE)


def _stored(db):
    with db.connection() as connection:
        rows = connection.execute("SELECT space_id, probes FROM space_probe ORDER BY space_id, made_at")
        return [(space_id, bytes(probes)) for space_id, probes in rows]


def test_a_space_has_no_probe_before_its_first_use(db, space_id):
    assert find_probe(db, space_id, PROBES) is None


def test_the_first_vectors_of_a_set_stay_and_those_of_another_set_lie_beside_them(db, space_id):
    for probes, vectors in ((PROBES, VECTORS), (PROBES, -VECTORS), (OTHERS, -VECTORS)):
        kept = keep_probe(db, space_id, Probe(probes, vectors))
        assert kept.probes == probes
    assert np.array_equal(find_probe(db, space_id, PROBES).vectors, VECTORS)
    assert np.array_equal(find_probe(db, space_id, OTHERS).vectors, -VECTORS)
    assert find_probe(db, space_id, OTHERS).vectors.dtype == np.float32


def test_where_a_set_was_not_embedded_the_vectors_of_another_one_say_so(db, space_id):
    keep_probe(db, space_id, Probe(OTHERS, VECTORS))
    half = ensure_space(db, replace(SPACE, dtype="halfvec"))
    assert find_probe(db, space_id, PROBES).probes == OTHERS
    assert find_probe(db, half, PROBES).probes == OTHERS
    assert _stored(db) == [(space_id, OTHERS)], "no copy of what nobody compares with"


def test_the_same_vectors_stored_another_way_have_the_same_probe(db, space_id):
    keep_probe(db, space_id, Probe(PROBES, VECTORS))
    half = ensure_space(db, replace(SPACE, dtype="halfvec", m=32))
    assert np.array_equal(find_probe(db, half, PROBES).vectors, VECTORS)
    assert _stored(db) == [(space_id, PROBES), (half, PROBES)], "a copy, for the first space may go"


def test_a_set_that_another_storage_of_the_same_vectors_has_is_compared_with(db, space_id):
    keep_probe(db, space_id, Probe(OTHERS, -VECTORS))
    keep_probe(db, ensure_space(db, replace(SPACE, dtype="halfvec")), Probe(PROBES, VECTORS))
    with pytest.raises(SpaceMismatch):
        verify(db, space_id, Probed(-VECTORS))
    verify(db, space_id, Probed(VECTORS))


@pytest.mark.parametrize("other", [{"revision": "s"}, {"document_prompt": "d"}, {"model": "n"}])
def test_other_vectors_have_no_part_in_it(db, space_id, other):
    keep_probe(db, space_id, Probe(PROBES, VECTORS))
    assert find_probe(db, ensure_space(db, replace(SPACE, **other)), PROBES) is None


def test_the_first_use_keeps_what_the_library_gives(db, space_id):
    ours = VECTORS + np.float32(0.001)
    verify(db, space_id, Probed(ours, library=VECTORS))
    assert np.array_equal(find_probe(db, space_id, PROBES).vectors, VECTORS)


def test_the_first_use_settles_once_and_again_only_by_what_another_process_kept_meanwhile(db, space_id):
    model = Probed(VECTORS, library=VECTORS)
    verify(db, space_id, model)
    assert model.settled == 1

    class Slow(Probed):
        def reference(self):
            keep_probe(db, other, Probe(PROBES, VECTORS))
            return super().reference()

    other = ensure_space(db, replace(SPACE, revision="s"))
    drifted = np.roll(VECTORS, 1, axis=1)
    with pytest.raises(SpaceMismatch):
        verify(db, other, Slow(drifted, library=drifted))


def test_later_loads_ask_the_library_nothing_and_are_asked_once(db, space_id):
    keep_probe(db, space_id, Probe(PROBES, VECTORS))
    model = Probed(VECTORS)
    for _ in range(3):
        verify(db, space_id, model)
    assert model.settled == 1


def test_other_vectors_than_those_kept_are_refused_each_time(db, space_id):
    keep_probe(db, space_id, Probe(PROBES, VECTORS))
    model = Probed(np.roll(VECTORS, 1, axis=1), library=np.roll(VECTORS, 1, axis=1))
    for _ in range(2):
        with pytest.raises(SpaceMismatch, match="files or libraries have changed"):
            verify(db, space_id, model)
    assert np.array_equal(find_probe(db, space_id, PROBES).vectors, VECTORS)


def test_a_path_that_is_not_the_librarys_leaves_no_probe(db, space_id):
    with pytest.raises(EmbeddingFailed, match="other vectors than its library"):
        verify(db, space_id, Probed(np.roll(VECTORS, 1, axis=1), library=VECTORS))
    assert find_probe(db, space_id, PROBES) is None


def test_after_a_version_with_other_probes_the_library_is_asked_once_and_drift_noticed_again(
    db, space_id, caplog
):
    keep_probe(db, space_id, Probe(OTHERS, -VECTORS))
    verify(db, space_id, Probed(VECTORS, library=VECTORS))
    verify(db, space_id, Probed(VECTORS))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "of another version of revector" in caplog.text
    drifted = np.roll(VECTORS, 1, axis=1)
    with pytest.raises(SpaceMismatch):
        verify(db, space_id, Probed(drifted, library=drifted))
    verify(db, space_id, Probed(-VECTORS, probes=OTHERS))
    assert _stored(db) == [(space_id, OTHERS), (space_id, PROBES)]


def test_a_version_with_other_probes_keeps_none_of_a_path_that_is_not_the_librarys(db, space_id):
    keep_probe(db, space_id, Probe(OTHERS, VECTORS))
    with pytest.raises(EmbeddingFailed, match="other vectors than its library"):
        verify(db, space_id, Probed(-VECTORS, library=VECTORS))
    assert _stored(db) == [(space_id, OTHERS)]


def test_a_model_without_probes_passes(db, space_id):
    class Plain:
        pass

    verify(db, space_id, Plain())
    assert find_probe(db, space_id, PROBES) is None


@pytest.mark.parametrize("stored", [b"", b"x", VECTORS.tobytes()[:-4], np.ones((2, 3), np.float32).tobytes()])
def test_a_damaged_probe_is_said_to_be_damaged(db, space_id, stored):
    half = ensure_space(db, replace(SPACE, dtype="halfvec"))
    with db.connection() as connection:
        connection.execute(
            "INSERT INTO space_probe (space_id, probes, vectors) VALUES (%s, %s, %s)",
            (space_id, PROBES, stored),
        )
    for asked in (space_id, half):
        with pytest.raises(DatabaseError, match=f"probe of space {space_id} is damaged") as info:
            verify(db, asked, Probed(VECTORS))
        assert f"WHERE space_id = {space_id};" in info.value.advice


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_library_that_gives_no_usable_vectors_is_said_to_have_damaged_weights(db, space_id, value):
    library = VECTORS.copy()
    library[1] = value
    says = "model m gives vectors that are not finite or are zero: its weights are damaged"
    with pytest.raises(EmbeddingFailed, match=says) as info:
        verify(db, space_id, Probed(VECTORS, library=library))
    assert "Download" in info.value.advice
    assert find_probe(db, space_id, PROBES) is None


def test_vectors_of_another_length_than_the_spaces_leave_no_probe(db, space_id):
    with pytest.raises(EmbeddingFailed, match="model m gives vectors of 3 dimensions, not 4"):
        verify(db, space_id, Probed(np.eye(3, dtype=np.float32), library=np.eye(3, dtype=np.float32)))
    assert find_probe(db, space_id, PROBES) is None
