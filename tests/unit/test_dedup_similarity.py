from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dedup.signature import SKETCH_SHINGLES, hash_shingles, text_signature, text_signatures
from tasks.dedup.similarity import SignatureTable, compare
from tests.forms import COPIES, FORMS
from tests.texts import english_text, korean_text

GUARD_OFF = 2.0
WORDS = st.lists(st.sampled_from("a b c d e f 1 2 가 나 다 라 마 東 京".split()), max_size=40).map(" ".join)


def judge(one, other, **options):
    table = SignatureTable(text_signatures([one, other]))
    result = compare(table, np.array([0]), np.array([1]), **options)
    return float(result.similarity[0]), bool(result.is_duplicate[0])


def exact(one, other):
    a, b = (set(hash_shingles(text).tolist()) for text in (one, other))
    return len(a & b) / len(a | b) if a | b else 0.0


@given(st.lists(WORDS, min_size=2, max_size=6), st.sampled_from([0.0, 0.3, 0.8, 1.0]))
@settings(deadline=None)
def test_left_and_right_may_be_exchanged(texts, threshold):
    table = SignatureTable(text_signatures(texts))
    left, right = (side.ravel() for side in np.indices((len(texts), len(texts))))
    one = compare(table, left, right, threshold=threshold)
    other = compare(table, right, left, threshold=threshold)
    assert one.similarity.tobytes() == other.similarity.tobytes()
    assert one.is_duplicate.tobytes() == other.is_duplicate.tobytes()


@given(WORDS, WORDS)
@settings(deadline=None)
def test_similarity_of_short_texts_is_exact(one, other):
    similarity, is_duplicate = judge(one, other, threshold=0.0, min_difference=GUARD_OFF)
    assert similarity == pytest.approx(exact(one, other), abs=5.1e-5)
    assert is_duplicate == bool(hash_shingles(one).size and hash_shingles(other).size)


@pytest.mark.parametrize("make", [english_text, lambda count, seed: korean_text(50 * count, seed)])
def test_similarity_of_long_texts_is_near_the_exact_one(make):
    base = make(400, seed=1)
    for share in (0.5, 0.7, 0.9, 1.0):
        other = base[: int(len(base) * share)] + make(20, seed=2)
        assert hash_shingles(other).size > SKETCH_SHINGLES
        similarity, _ = judge(base, other, threshold=0.4, min_difference=GUARD_OFF)
        assert similarity == pytest.approx(exact(base, other), abs=0.06)


def test_a_short_text_is_compared_with_a_long_one():
    errors = []
    for seed in range(10):
        base, part = (english_text(sentences, seed=seed) for sentences in (400, 100))
        similarity, _ = judge(part, base, threshold=0.0, min_difference=GUARD_OFF)
        errors.append(similarity - exact(part, base))
    assert np.mean(errors) == pytest.approx(0, abs=0.02)


def test_equal_texts_are_duplicates_with_any_guard():
    for text in (english_text(30), korean_text(900), "하나", english_text(900)):
        assert judge(text, text, min_difference=0.0, threshold=1.0) == (1.0, True)


def test_texts_that_differ_much_keep_the_estimate():
    similarity, is_duplicate = judge(english_text(50, seed=1), english_text(50, seed=2))
    assert similarity < 0.1
    assert not is_duplicate


def test_what_is_shown_at_the_threshold_is_not_under_it():
    one = " ".join(f"w{n}" for n in range(13))
    other = " ".join(f"w{n}" for n in range(12))
    assert exact(one, other) == pytest.approx(8 / 9)
    assert judge(one, other, threshold=0.8889, min_difference=GUARD_OFF) == (pytest.approx(0.8889), True)
    assert judge(one, other, threshold=0.889, min_difference=GUARD_OFF)[1] is False


def test_nothing_to_compare_is_no_duplicate_not_even_of_itself():
    assert judge("!!!", "!!!", threshold=0.0) == (0.0, False)
    assert judge("!!!", "word", threshold=0.0) == (0.0, False)


def test_equal_minhash_with_other_shingles_is_judged_by_the_shingles():
    one = text_signature(english_text(40, seed=1))
    other = replace(text_signature(english_text(40, seed=2)), minhash=one.minhash)
    result = compare(SignatureTable([one, other]), np.array([0]), np.array([1]))
    assert result.similarity[0] < 0.1
    assert not result.is_duplicate[0]


def test_no_signatures_and_no_pairs():
    none = np.array([], np.int64)
    assert len(SignatureTable([])) == 0
    assert compare(SignatureTable([]), none, none).similarity.tolist() == []
    assert compare(SignatureTable(text_signatures(["a"])), none, none).is_duplicate.tolist() == []


@pytest.mark.parametrize("pair", [(0, 2), (-1, 0)])
def test_numbers_outside_of_the_table_are_refused(pair):
    table = SignatureTable(text_signatures(["a", "b"]))
    with pytest.raises(IndexError, match="from 0 to 1"):
        compare(table, np.array(pair[:1]), np.array(pair[1:]))
    with pytest.raises(ValueError, match="equally long"):
        compare(table, np.array([0, 1]), np.array([0]))


# --- the guard: documents of one form stay apart, copies do not ---------------------------


@pytest.mark.parametrize("pair", FORMS.values(), ids=FORMS)
def test_two_documents_of_one_form_are_kept_apart(pair):
    threshold = 0.6  # the forms are short; longer ones are more alike
    assert judge(*pair, threshold=threshold, min_difference=GUARD_OFF)[1]
    assert not judge(*pair, threshold=threshold)[1]


@pytest.mark.parametrize("pair", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_although_it_was_touched(pair):
    similarity, is_duplicate = judge(*pair)
    assert similarity >= 0.8
    assert is_duplicate


def test_what_one_of_them_adds_does_not_keep_them_apart():
    base = english_text(60, seed=1)
    assert judge(base, f"{base} {english_text(8, seed=2)}") == (pytest.approx(0.88, abs=0.05), True)


def test_above_one_the_guard_is_off_and_at_zero_it_is_strict():
    pair = FORMS["Korean contracts"]
    assert judge(*pair, threshold=0.6, min_difference=1.01)[1]
    assert not judge(*COPIES["Korean edited"], min_difference=0.001)[1]


def test_forms_that_differ_in_a_name_alone_need_a_smaller_difference():
    """As docs/CONFIGURATION.md says."""
    articles = korean_text(900, seed=5)
    one, other = (
        f"본인 {name}은 다음을 서약합니다. {articles} 서약자 {name} (서명)" for name in ("김민수", "이서연")
    )
    assert judge(one, other)[1]
    assert not judge(one, other, min_difference=0.01)[1]


def test_one_number_of_its_own_keeps_a_document_apart():
    """Certificates of one day differ in their number; the words are all the same."""
    body = f"Certificate of calibration. {english_text(12, seed=3)} Certificate"
    one, other = f"{body} FI-2026-0411 of today.", f"{body} FI-2026-0412 of today."
    assert judge(one, other, min_difference=GUARD_OFF)[1]
    assert not judge(one, other)[1]
    assert judge(one, f"{body} of today.")[1]
