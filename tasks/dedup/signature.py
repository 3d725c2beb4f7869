"""Signatures of texts: what near-duplicates are found and judged by.

A text is compared by its shingles, runs of five words; where many of its letters belong to Hangul
or to a script without spaces, runs of five characters, for spacing there is a matter of taste.

Source: A. Broder, On the resemblance and containment of documents, 1997 (shingles, bottom-k
sketches); permutations as datasketch 2.0 has them (scheme affine32, seed 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from schemas.duplicate import BANDS, PERMUTATIONS, SIGNATURE_VERSION, Signature
from tasks.dedup.letters import load_letters

if TYPE_CHECKING:
    from datasketch import LeanMinHash

SHINGLE_WORDS: Final = 5
SKETCH_SHINGLES: Final = 512
SKETCH_WORDS: Final = 256
SKETCH_NUMBERS: Final = 128
CHARACTER_SHARE: Final = 0.3
"""From this share of its letters on (Hangul, kana, Han, Thai ...) a text is compared by character."""

SEED: Final = 1
_PIECE = 1 << 16
_END = "  "
"""Two, for a date goes on after one."""
_NO_LIMIT = 1 << 32
_TEXT_BANDS = 1


def text_signature(text: str) -> Signature:
    """The signature of a cleaned text (NFC), in memory that does not grow with the text.

    A text without letters and digits has nothing to compare: no minhash and no bands.
    """
    from tasks.dedup.kernels import hash_bands
    from tasks.dedup.sketches import finish_smallest, keep_smallest, lower_minima

    factors, offsets = _load_permutations()
    minima = np.full(PERMUTATIONS, 0xFFFFFFFF, np.uint32)
    sizes = (SKETCH_SHINGLES, SKETCH_WORDS, SKETCH_NUMBERS)
    kept = [np.empty(2 * size, np.uint32) for size in sizes]
    states = [np.array([0, _NO_LIMIT], np.int64) for _ in sizes]
    total = 0
    for parts in _cut(text):
        shingles = parts[0]
        total += shingles.size
        lower_minima(shingles, shingles.size, factors, offsets, minima)
        for part, size, sketch, state in zip(parts, sizes, kept, states, strict=True):
            keep_smallest(part, part.size, size, sketch, state)
    if not total:
        return Signature("text", b"", b"", b"", b"", len(text), ())
    smallest, words, numbers = (
        sketch[: finish_smallest(size, sketch, state)].tobytes()
        for size, sketch, state in zip(sizes, kept, states, strict=True)
    )
    bands = np.empty(BANDS, np.uint64)
    hash_bands(minima.reshape(BANDS, -1), make_band_salt(_TEXT_BANDS), bands)
    numbered = tuple(bands.view(np.int64).tolist())
    return Signature("text", minima.tobytes(), smallest, words, numbers, len(text), numbered)


def text_signatures(texts: Iterable[str]) -> list[Signature]:
    """The signatures of several texts, in their order."""
    return [text_signature(text) for text in texts]


def hash_shingles(text: str) -> NDArray[np.uint32]:
    """The shingle hashes of a text in their order, repeated ones repeated: (N,) uint32."""
    return np.concatenate([shingles.copy() for shingles, _, _ in _cut(text)])


def as_lean_minhash(signature: Signature) -> LeanMinHash:
    """The minhash for use with datasketch; the signature must be of a text that has one."""
    from datasketch import LeanMinHash

    return LeanMinHash(seed=SEED, hashvalues=np.frombuffer(signature.minhash, "<u4"), scheme="affine32")


def make_band_salt(kind: int) -> np.uint64:
    """What sets the bands of one kind and version of signatures apart from all others."""
    return np.uint64(SIGNATURE_VERSION << 32 | kind << 16)


def _cut(text: str) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]]:
    """Hashes of shingles, words and numbers of the text, piece by piece."""
    from tasks.dedup import kernels

    table, expansions = load_letters()
    by_character = _is_by_character(text, table)
    hashes = np.zeros(kernels.HASHES, np.uint64)
    flags = np.zeros(kernels.FLAGS, np.int64)
    size = min(_PIECE, len(text) + len(_END))
    shingles, words, numbers = (np.empty(n * size, np.uint32) for n in (3, 1, 1))
    for codes in _codes(text + _END):
        found = kernels.cut_shingles(codes, table, expansions, by_character, hashes, flags, shingles)
        said, counted = kernels.cut_words(codes, table, expansions, hashes, flags, words, numbers)
        yield shingles[:found], words[:said], numbers[:counted]
    if 0 < flags[0] < SHINGLE_WORDS:
        short = np.array([kernels.hash_short(hashes, flags, by_character)], np.uint32)
        yield short, words[:0], numbers[:0]


def _is_by_character(text: str, table: NDArray[np.uint32]) -> bool:
    from tasks.dedup.kernels import count_letters

    letters = unsegmented = 0
    for codes in _codes(text):
        more, without_spaces = count_letters(codes, table)
        letters += more
        unsegmented += without_spaces
    return letters > 0 and unsegmented >= CHARACTER_SHARE * letters


def _codes(text: str) -> Iterator[NDArray[np.uint32]]:
    """The code points, in pieces."""
    for start in range(0, len(text), _PIECE):
        yield np.frombuffer(text[start : start + _PIECE].encode("utf-32-le", "surrogatepass"), "<u4")


@lru_cache(maxsize=1)
def _load_permutations() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """As datasketch draws them; numpy keeps the stream of `RandomState` as it is for good."""
    generator = np.random.RandomState(SEED)
    factors = generator.randint(0, 1 << 31, PERMUTATIONS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, generator.randint(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)
