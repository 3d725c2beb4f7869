import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.duplicate import BANDS, PERMUTATIONS
from tasks.dedup import signature as module
from tasks.dedup.signature import (
    SEED,
    SKETCH_NUMBERS,
    SKETCH_SHINGLES,
    SKETCH_WORDS,
    as_lean_minhash,
    hash_shingles,
    text_signature,
    text_signatures,
)
from tests.texts import english_text, korean_text

GOLDEN_ENGLISH = [101897391, 125222425, 399471400, 515708601, 2825600755]
GOLDEN_KOREAN = [368570773, 848615771, 1033877626, 1507738475, 2363389864, 2870441931, 3888086739]
GOLDEN_BANDS = (-8376727622004782399, 4698501791569095656)
GOLDEN_NUMBERS = [1212512514]
ROOT = Path(__file__).parents[2]
ANY_TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["가나", "다", "lorem", "12", "ß", "漢字", "ไทย", "é", "!", "👍🏽"]), max_size=60
    ).map(" ".join),
)


def numbers(packed):
    return np.frombuffer(packed, "<u4").tolist()


def with_datasketch(text):
    minhash = MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=int)
    for shingle in hash_shingles(text).tolist():
        minhash.update(shingle)
    return minhash


def words_of(text):
    return set(numbers(text_signature(text).words))


def numbers_of(text):
    return set(numbers(text_signature(text).numbers))


@given(ANY_TEXT)
@settings(deadline=None)
def test_minhash_is_that_of_datasketch(text):
    signature = text_signature(text)
    if not signature.minhash:
        assert hash_shingles(text).size == 0
        return
    assert numbers(signature.minhash) == with_datasketch(text).hashvalues.tolist()


@pytest.mark.parametrize("text", [english_text(500), korean_text(20_000)])
def test_lean_minhash_of_a_long_text_is_that_of_datasketch(text):
    lean = as_lean_minhash(text_signature(text))
    plain = with_datasketch(text)
    assert lean.jaccard(plain) == 1.0
    assert lean.hashvalues.dtype == plain.hashvalues.dtype


@given(ANY_TEXT)
@settings(deadline=None)
def test_sketch_holds_the_smallest_distinct_hashes(text):
    assert (
        numbers(text_signature(text).shingles) == sorted(set(hash_shingles(text).tolist()))[:SKETCH_SHINGLES]
    )


@pytest.mark.parametrize("text", [english_text(2_000), korean_text(50_000), "가나다라 " * 40_000])
def test_sketches_of_long_texts_hold_the_smallest_distinct_hashes(text):
    signature = text_signature(text)
    assert numbers(signature.shingles) == sorted(set(hash_shingles(text).tolist()))[:SKETCH_SHINGLES]
    for packed, size in ((signature.words, SKETCH_WORDS), (signature.numbers, SKETCH_NUMBERS)):
        assert numbers(packed) == sorted(set(numbers(packed)))
        assert len(packed) <= 4 * size


@pytest.mark.parametrize(
    "text", [english_text(60), korean_text(3_000), "漢字とかなの文。" * 30, "ก็ได้ครับ สวัสดี " * 20]
)
def test_a_text_cut_into_pieces_has_the_signature_of_the_whole(text, monkeypatch):
    whole = text_signature(text)
    for size in (1, 7, 64):
        monkeypatch.setattr(module, "_PIECE", size)
        assert text_signature(text) == whole


def test_signatures_are_the_same_on_every_machine():
    english = text_signature("The quick brown fox jumps over 12 lazy dogs.")
    korean = text_signature("다람쥐 헌 쳇바퀴에 타고파")
    assert numbers(english.shingles) == GOLDEN_ENGLISH
    assert numbers(korean.shingles) == GOLDEN_KOREAN
    assert english.bands[:2] == GOLDEN_BANDS
    assert numbers(english.numbers) == GOLDEN_NUMBERS


def test_importing_and_cutting_do_not_depend_on_the_process():
    script = (
        "import sys, tasks.dedup.signature as s; assert 'numba' not in sys.modules; "
        "assert 'datasketch' not in sys.modules; print(s.text_signature('one two three four five six').bands)"
    )
    told = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT,
                       env={"PYTHONHASHSEED": seed}).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert told == [str(text_signature("one two three four five six").bands)] * 2


@pytest.mark.parametrize("text", ["", " \n\t", "!?… — 。", "👍👍🏽 ❤️", "́", "\ud800"])
def test_a_text_without_letters_and_digits_has_nothing_to_compare(text):
    signature = text_signature(text)
    assert (signature.minhash, signature.bands, signature.shingles, signature.words) == (b"", (), b"", b"")
    assert signature.characters == len(text)


@pytest.mark.parametrize(("text", "count"), [
    ("word", 1), ("one two three four", 1), ("one two three four five", 1),
    ("one two three four five six", 2), ("가", 1), ("가나다라", 1), ("가나다라마", 1),
    ("가나 다라 마바", 2), ("3", 1),
])  # fmt: skip
def test_short_texts_have_one_shingle_of_all_they_have(text, count):
    assert hash_shingles(text).size == count
    assert len(text_signature(text).bands) == BANDS


def test_short_texts_are_told_apart():
    texts = ["a", "b", "a b", "b a", "a a", "a b c d", "a b c d e", "가", "가가", "가가가가", "가가가가가"]
    assert len({text_signature(text).minhash for text in texts}) == len(texts)


@pytest.mark.parametrize(("one", "other"), [
    ("The CAT, sat: on (the) mat!", "the cat sat on the mat"),
    ("Straße und MASSE von fünf Metern", "STRASSE und Masse von FÜNF Metern"),
    ("한국어 문서를 비교하는 방법입니다.", "한국어문서를 비교 하는방법입니다"),
    ("日本語の文書、比較する。", "日本語の文書比較する"),
    ("soft\u00adhyphen and ze\u200bro width signs here", "softhyphen and zero width signs here"),
])  # fmt: skip
def test_case_punctuation_and_korean_spacing_make_no_difference(one, other):
    assert text_signature(one).minhash == text_signature(other).minhash


def test_words_and_characters_are_never_compared_with_each_other():
    assert not set(hash_shingles("가나다라마").tolist()) & set(hash_shingles("a b c d e").tolist())
    hangul = "가나다라마바사"
    assert hash_shingles(f"{hangul} lorem").size == 8
    assert hash_shingles(f"{hangul} lorem ipsum dolor sit amet elit").size == 3


@pytest.mark.parametrize("text", ["สวัสดีครับผมชื่อสมชาย", "我们今天去公园散步", "これはペンです", "한글로쓴글"])
def test_scripts_without_spaces_are_compared_by_character(text):
    assert hash_shingles(text).size == len(text) - 4


def test_combining_marks_belong_to_their_word():
    assert hash_shingles("क्या हाल है आज यहाँ सब").size == 2


def test_repeated_shingles_count_once():
    assert text_signature("one two three " * 10).minhash == text_signature("one two three " * 1000).minhash
    assert len(text_signature("one two three " * 1000).shingles) == 4 * 3


def test_order_of_paragraphs_changes_only_what_spans_them():
    parts = [english_text(20, seed) for seed in range(2)]
    one, other = (set(hash_shingles(" ".join(order)).tolist()) for order in (parts, parts[::-1]))
    assert len(one - other) <= 4


@pytest.mark.parametrize(("one", "other", "count"), [
    ("010-1234-5678", "010\u20111234\u20115678", 1),
    ("2024-05-01", "2024/05/01", 1),
    ("1,234.50", "1234.50", 1),
    ("2024년 5월 1일", "2024년5월1일", 1),
    ("2024年5月1日", "2024-5-1", 1),
    ("see 3.", "See: 3", 1),
    ("1, 2, 3", "1 2 3", 3),
    ("12시간", "12시간,", 1),
    ("5월 이후", "5월", 1),
    ("A4", "a4", 1),
])  # fmt: skip
def test_a_number_is_one_however_it_is_written(one, other, count):
    assert numbers_of(one) == numbers_of(other)
    assert len(numbers_of(one)) == count


@pytest.mark.parametrize(("one", "other"), [("1.5", "15"), ("2024-05-01", "20240501"), ("12", "21")])
def test_different_numbers_are_told_apart(one, other):
    assert numbers_of(one) != numbers_of(other)


def test_words_are_split_at_spaces_and_unsegmented_scripts_into_pairs():
    assert len(words_of("보고서를 제출했다, 보고서를 2024년")) == 3
    assert words_of("東京都") == words_of("東京 京都")
    assert len(words_of("東")) == 1
    assert len(words_of("東京tower 3番")) == 4


def test_several_texts_keep_their_order():
    texts = [english_text(5, seed) for seed in range(3)]
    assert text_signatures(iter(texts)) == [text_signature(text) for text in texts]


def test_estimate_follows_the_exact_similarity():
    rng = random.Random(3)
    words = [f"w{rng.randrange(10**9)}" for _ in range(1000)]
    errors = []
    for changed in range(0, 100, 10):
        other = list(words)
        for place in rng.sample(range(1000), changed):
            other[place] = f"x{rng.randrange(10**9)}"
        one, two = (set(hash_shingles(" ".join(text)).tolist()) for text in (words, other))
        exact = len(one & two) / len(one | two)
        lean = (as_lean_minhash(text_signature(" ".join(text))) for text in (words, other))
        errors.append(next(lean).jaccard(next(lean)) - exact)
    assert np.abs(errors).max() < 0.15
    assert abs(np.mean(errors)) < 0.05


def test_loops_are_compiled_where_nothing_can_be_kept_on_disk():
    from tasks.dedup.kernels import compile_kernel

    made = {}
    exec("def add(a, b):\n    return a + b", made)  # no file, so no place beside it
    assert compile_kernel(made["add"])(2, 3) == 5


MEMORY = """
import resource, sys
import tasks.dedup.signature as s
texts = {"words": "lorem ipsum 12 ", "word": "x", "hangul": "가나다라마바사아자차카타파"}
s.text_signature("warm up"), s.load_letters()
piece = texts[sys.argv[1]]
text = piece * (50_000_000 // len(piece))
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
before = peak()
signature = s.text_signature(text)
assert len(signature.bands) == 16
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["words", "word", "hangul"])
def test_fifty_million_characters_need_little_memory(kind):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, kind], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert float(done.stdout) < 400
