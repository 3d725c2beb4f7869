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
"""Sizes by measurement, 2026-11: at most 3.5 KB a document.

Recall and precision at .8 of Korean texts of 100 to 800 words: .95, .96 with 256 shingles, .97,
.98 with 512, .98, .99 with 768. Of the guard's kinds (see `tasks.dedup.similarity`) half the words
change the hard ones: .66 of the redrafts for .47; twice the words change nothing. With 32 numbers
.14 of the contracts are called duplicates, with 64 or 128 .01.
"""
CHARACTER_SHARE: Final = 0.3
"""From this share of its letters on (Hangul, kana, Han, Thai ...) a text is compared by character."""

SEED: Final = 1
Codes = NDArray[np.uint32]

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
    from tasks.dedup.sketches import finish_sketches, take_hashes

    factors, offsets = _load_permutations()
    minima = np.full(PERMUTATIONS, 0xFFFFFFFF, np.uint32)
    kept = tuple(np.empty(2 * k, np.uint32) for k in (SKETCH_SHINGLES, SKETCH_WORDS, SKETCH_NUMBERS))
    states = np.array([[0, _NO_LIMIT]] * len(kept), np.int64)
    for hashes in _cut(text):
        take_hashes(hashes, factors, offsets, minima, kept, states)
    if not states[0, 0]:
        return Signature("text", b"", b"", b"", b"", len(text), ())
    finish_sketches(kept, states)
    shingles, words, numbers = (
        sketch[:fill].tobytes() for sketch, fill in zip(kept, states[:, 0].tolist(), strict=True)
    )
    bands = np.empty(BANDS, np.uint64)
    hash_bands(minima.reshape(BANDS, -1), make_band_salt(_TEXT_BANDS), bands)
    numbered = tuple(bands.view(np.int64).tolist())
    return Signature("text", minima.tobytes(), shingles, words, numbers, len(text), numbered)


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
    closed = text + _END
    is_short = len(closed) <= _PIECE
    pieces: Iterable[Codes] = list(_read_codes(closed)) if is_short else _read_codes(closed)
    by_character = _is_by_character(pieces, table)
    hashes = np.zeros(kernels.HASHES, np.uint64)
    flags = np.zeros(kernels.FLAGS, np.int64)
    size = min(_PIECE, len(closed))
    shingles, words, numbers = (np.empty(n * size, np.uint32) for n in (3, 1, 1))
    for codes in pieces if is_short else _read_codes(closed):
        found = kernels.cut_shingles(codes, table, expansions, by_character, hashes, flags, shingles)
        said, counted = kernels.cut_words(codes, table, expansions, hashes, flags, words, numbers)
        yield shingles[:found], words[:said], numbers[:counted]
    if 0 < flags[0] < SHINGLE_WORDS:
        short = np.array([kernels.hash_short(hashes, flags, by_character)], np.uint32)
        yield short, words[:0], numbers[:0]


def _is_by_character(pieces: Iterable[Codes], table: NDArray[np.uint32]) -> bool:
    from tasks.dedup.kernels import count_letters

    letters = unsegmented = 0
    for codes in pieces:
        more, without_spaces = count_letters(codes, table)
        letters += more
        unsegmented += without_spaces
    return letters > 0 and unsegmented >= CHARACTER_SHARE * letters


def _read_codes(text: str) -> Iterator[Codes]:
    """The code points, in pieces."""
    for start in range(0, len(text), _PIECE):
        yield np.frombuffer(text[start : start + _PIECE].encode("utf-32-le", "surrogatepass"), "<u4")


@lru_cache(maxsize=1)
def _load_permutations() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """As datasketch draws them; numpy keeps the stream of `RandomState` as it is for good."""
    generator = np.random.RandomState(SEED)
    factors = generator.randint(0, 1 << 31, PERMUTATIONS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, generator.randint(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)
