"""Near-duplicates: what is found, how fast texts are signed, what the guard keeps apart."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashLSH

from benchmarks.measuring import Row, alternate, per_second
from benchmarks.near_duplicates import COPIES, FAMILIES, HARD, LANGUAGES, Language, Pair
from schemas.duplicate import BANDS, PERMUTATIONS, THRESHOLD, Signature
from tasks.dedup.signature import SEED, hash_shingles, text_signature, text_signatures
from tasks.dedup.similarity import SignatureTable, compare

NAMES = {"en": "English", "ko": "Korean"}
GUARD_OFF = 2.0
FASTER = 20
"""Our side signs that many times the texts of the others, or its rounds would be too short to time."""

Answer = set[tuple[int, int]]


def run(quick: bool) -> list[Row]:
    """Quality and speed beside datasketch and rensa, and the guard beside no guard."""
    rows: list[Row] = []
    for language in LANGUAGES.values():
        rows += _compare_quality(language, 1_000 if quick else 10_000)
    for language in LANGUAGES.values():
        rows += _compare_speed(language, *((20, 3) if quick else (60, 5)))
    return rows + _judge_guard(40 if quick else 200)


# --- quality: the same shingles, the same question ------------------------------------------


def _compare_quality(language: Language, pairs: int) -> list[Row]:
    """Recall and precision at the threshold, of pairs whose exact similarity is known."""
    rng = random.Random(f"quality {language.name}")
    texts = [_similar_texts(language, rng, 0.6 + 0.4 * number / pairs) for number in range(pairs)]
    shingles = [[hash_shingles(text) for text in pair] for pair in texts]
    true = {(n, n) for n, (one, other) in enumerate(shingles) if _similarity(one, other) >= THRESHOLD}
    answers = {
        "ours": _ask_ours(texts),
        "datasketch": _ask_datasketch(shingles),
        "rensa": _ask_rensa(shingles),
    }
    recall = {name: len(answer & true) / len(true) for name, answer in answers.items()}
    precision = {name: len(answer & true) / max(len(answer), 1) for name, answer in answers.items()}
    return [
        Row(
            name=f"{what} at {THRESHOLD}, {NAMES[language.name]}",
            ours=f"{values['ours']:.3f}",
            baseline=f"{values['datasketch']:.3f}",
            ratio=values["ours"] / values["datasketch"],
            meaning=f"{pairs:,} pairs of similarity .6 to 1, same shingles / answers of MinHashLSH; "
            f"rensa with its own check {values['rensa']:.3f}; higher is better",
        )
        for what, values in (("recall", recall), ("precision", precision))
    ]


def _similar_texts(language: Language, rng: random.Random, similarity: float) -> Pair:
    """A text, and another with up to three stretches of it replaced."""
    words = language.draw(rng, rng.randint(100, 800))
    other = list(words)
    kept = 2 * similarity / (1 + similarity)
    parts = rng.randint(1, 3)
    for part in range(parts):
        start, end = len(words) * part // parts, len(words) * (part + 1) // parts
        size = round((end - start) * (1 - kept))
        at = rng.randint(start, end - size)
        other[at : at + size] = language.draw(rng, size)
    return " ".join(words), " ".join(other)


def _similarity(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    a, b = set(one.tolist()), set(other.tolist())
    return len(a & b) / len(a | b)


def _ask_ours(texts: Sequence[Pair]) -> Answer:
    sides = [text_signatures(pair[side] for pair in texts) for side in (0, 1)]
    held: dict[int, list[int]] = {}
    for number, signature in enumerate(sides[1]):
        for band in signature.bands:
            held.setdefault(band, []).append(number)
    pairs = sorted({(n, m) for n, s in enumerate(sides[0]) for band in s.bands for m in held.get(band, ())})
    left, right = np.array(pairs).T
    found = compare(_table(*sides), left, right + len(texts), min_difference=GUARD_OFF).is_duplicate
    return {pair for pair, is_duplicate in zip(pairs, found, strict=True) if is_duplicate}


def _ask_datasketch(shingles: Sequence[Sequence[NDArray[np.uint32]]]) -> Answer:
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    for number, (_, other) in enumerate(shingles):
        index.insert(number, _datasketch_of(other))
    return {(n, m) for n, (one, _) in enumerate(shingles) for m in index.query(_datasketch_of(one))}


def _datasketch_of(shingles: NDArray[np.uint32]) -> MinHash:
    minhash = MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=int)
    minhash.update_batch(shingles.tolist())
    return minhash


def _ask_rensa(shingles: Sequence[Sequence[NDArray[np.uint32]]]) -> Answer:
    index = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=BANDS)
    held = [_rensa_of(other) for _, other in shingles]
    for number, minhash in enumerate(held):
        index.insert(number, minhash)
    asked = ((n, _rensa_of(one)) for n, (one, _) in enumerate(shingles))
    return {(n, m) for n, minhash in asked for m in index.query(minhash)
            if minhash.jaccard(held[m]) >= THRESHOLD}  # fmt: skip


def _rensa_of(shingles: NDArray[np.uint32]) -> RMinHash:
    minhash = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    minhash.update([str(shingle) for shingle in shingles.tolist()])
    return minhash


# --- speed: from text to signature, one core ------------------------------------------------


def _compare_speed(language: Language, count: int, rounds: int) -> list[Row]:
    """Texts of 500 words a second; ours makes sketches and bands, too."""
    rng = random.Random(f"speed {language.name}")
    texts = [" ".join(language.draw(rng, 500)) for _ in range(count)]
    many = [" ".join(language.draw(rng, 500)) for _ in range(count * FASTER)]
    cut: Callable[[str], list[str]] = _cut_characters if language.name == "ko" else _cut_words

    def update() -> None:
        for text in texts:
            minhash = MinHash(num_perm=PERMUTATIONS)
            for shingle in cut(text):
                minhash.update(shingle.encode())

    def rensa() -> None:
        for text in texts:
            minhash = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
            minhash.update(cut(text))
            minhash.digest()

    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: text_signatures(many),
        "datasketch, update": update,
        "datasketch, bulk": lambda: MinHash.bulk(
            [[shingle.encode() for shingle in cut(text)] for text in texts], num_perm=PERMUTATIONS
        ),
        "rensa": rensa,
    }
    with _one_core():
        seconds = alternate(sides, rounds=rounds)
    ours = seconds.pop("ours")
    return [
        Row(
            name=f"sign {NAMES[language.name]} texts, beside {name}",
            ours=per_second(len(many), ours, "texts"),
            baseline=per_second(len(texts), theirs, "texts"),
            ratio=float(np.median([FASTER * b / a for a, b in zip(ours, theirs, strict=True)])),
            meaning=f"500 words, shingles included, one core; ours also makes sketches and bands / {name}; "
            "higher is better" + (", promised is 8" if "update" in name else ""),
        )
        for name, theirs in seconds.items()
    ]


def _cut_words(text: str) -> list[str]:
    words = re.findall(r"\w+", text.casefold())
    return [" ".join(words[n : n + 5]) for n in range(len(words) - 4)]


def _cut_characters(text: str) -> list[str]:
    letters = "".join(re.findall(r"\w+", text.casefold()))
    return [letters[n : n + 5] for n in range(len(letters) - 4)]


@contextmanager
def _one_core() -> Iterator[None]:
    """Nobody gets more than one core, threads included."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


# --- the guard ------------------------------------------------------------------------------


def _judge_guard(count: int) -> list[Row]:
    """Shares called duplicates, of forms and of copies, with the guard and without."""
    groups = (
        ("forms called duplicates", FAMILIES, "two documents of one form; lower is better"),
        ("copies found", COPIES, "higher is better"),
        ("hard cases called duplicates", HARD, "either answer may be right"),
    )
    rows = []
    for name, kinds, reading in groups:
        shares = {f"{kind} {language.name}": _share_of_duplicates(make, language, count)
                  for kind, make in kinds.items() for language in LANGUAGES.values()}  # fmt: skip
        ours, plain = (float(np.mean([share[side] for share in shares.values()])) for side in (0, 1))
        each = ", ".join(f"{kind} {share[0]:.3f} ({share[1]:.3f})" for kind, share in shares.items())
        rows.append(
            Row(
                name=name,
                ours=f"{ours:.3f}",
                baseline=f"{plain:.3f}",
                ratio=ours / plain,
                meaning=f"{count} pairs of each kind / without the guard; {reading}: {each}",
            )
        )
    return rows


def _share_of_duplicates(
    make: Callable[[Language, int], Pair], language: Language, count: int
) -> tuple[float, float]:
    pairs = [make(language, seed) for seed in range(count)]
    table = _table(*([text_signature(pair[side]) for pair in pairs] for side in (0, 1)))
    left, right = np.arange(count), np.arange(count, 2 * count)
    guarded = compare(table, left, right).is_duplicate.mean()
    plain = compare(table, left, right, min_difference=GUARD_OFF).is_duplicate.mean()
    return float(guarded), float(plain)


def _table(left: Sequence[Signature], right: Sequence[Signature]) -> SignatureTable:
    return SignatureTable([*left, *right])
