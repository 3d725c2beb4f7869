"""How similar two signatures are, and whether one document can stand for the other.

Two documents may be similar and still both be needed: contracts or invoices of one form differ in
a few words, and those are what they are about. So similar documents are kept apart where each of
them says enough that the other does not. What only one of them adds (a footer, a cover sheet)
does not count: the other loses nothing by it.

Source: `python -m benchmarks duplicates`, 200 generated pairs of each kind in English and Korean.
Called duplicates of all pairs, with the defaults (in brackets without the guard): applications,
contracts, letters, invoices, reports, mails of one form 0 (up to 1.00); copies with a footer, edited,
reordered, extracted again 1.00, with one sentence of forty rewritten .97, short notes with one
sentence edited .88 and .95; two copies that each were stamped with a date of their own 0 (1.00).
Where either may be right: three sentences of forty rewritten .03 (.97), forms without any figure
that differ in as much .04 (1.00), two readings of one Korean scan with 1 % of other characters .30
(1.00). Not kept apart: forms of 130 words that differ in one name, mails of one word under a footer.
To hide what only its own text says is worse than to show a copy: passages that are equal are stored
and found once anyway.

Of images the perceptual hash must be near, the class the same, and the colours of 4 x 4 cells near once
what scales all of them is taken out. Measured 2026-11 on 195 images (3 photographs and 12 cuts of them, 30
generated, 150 emoji): of the pairs near by their hash, called duplicates: JPEG of quality 30 to 95, WebP,
GIF, resized x0.5 and x2, contrast within 15 %, saturation within 20 %, a small watermark .99 to 1.00;
brightness within 10 % .97, within 15 % .48; 5 % warmer .86; resized x0.3 .90 (all but emoji 1.00). Hue
turned by 20 degrees .27, by 30 .15, by 45 to 240 .04 to .08, red and blue exchanged .04, in grey .03: what is
left has hardly any colour to begin with. Without the colours these were all 1.00.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.duplicate import MIN_DIFFERENCE, PERMUTATIONS, THRESHOLD, Signature
from tasks.dedup.image import CLASS_BYTES, COLOUR_BYTES, HASH_BYTES
from tasks.dedup.signature import SKETCH_NUMBERS, SKETCH_SHINGLES, SKETCH_WORDS

MIN_WORDS: Final = 2
"""Fewer are a correction."""
NUMBER_SHARE: Final = 0.02
"""Or this share of its numbers: a certificate differs from the next one in its number alone."""
SEVERAL_NUMBERS: Final = 3
SEVERAL_SHARE: Final = 0.01
"""Of several numbers a smaller share is enough: where clauses and rows are numbered, most are the same."""
MAX_IMAGE_DISTANCE: Final = 15
"""Of 256 bits; with 16 bands, two images that near share at least one band."""
MAX_COLOUR_DISTANCE: Final = 16
"""Levels of 255 by which the hue of a cell may differ: red less green, or yellow less blue."""
MAX_LIGHT_DISTANCE: Final = 32
"""Levels by which its brightness may: 12 % on white paper."""

_IMAGE_BITS = 256
_COLOUR_GAIN = 1.15
"""Brightness, contrast and saturation scale all colours of an image: so much, and its inverse, is allowed."""
_PART = 1 << 15
_SURE_SIGMAS = 4.5
_TEXT, _IMAGE = 1, 2

Indexes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out for P pairs.

    Attributes:
        similarity: (P,) float32, four decimals, 0 to 1. Of texts the share of shingles that both
            have: exact where both have no more than the sketch holds, else an estimate. Of images
            the share of equal bits.
        is_duplicate: (P,) bool: similar enough, and not kept apart.
    """

    similarity: NDArray[np.float32]
    is_duplicate: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sketches:
    """The bottom-k sketches of N documents, one after the other.

    Attributes:
        values: uint32, those of document i from starts[i] to starts[i + 1].
        starts: (N + 1,) int64.
        covers: (N,) int64: up to here a sketch knows every hash of its set.
    """

    values: NDArray[np.uint32]
    starts: NDArray[np.int64]
    covers: NDArray[np.int64]

    @classmethod
    def join(cls, sketches: Sequence[bytes], size: int) -> Sketches:
        """Sketches of at most `size` hashes; one that has fewer is complete."""
        values = np.frombuffer(b"".join(sketches), "<u4").astype(np.uint32, copy=False)
        lengths = np.array([len(sketch) // 4 for sketch in sketches], np.int64)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        covers = np.full(len(sketches), 1 << 32, np.int64)
        full = lengths >= size
        covers[full] = values[starts[1:][full] - 1]
        return cls(values, starts, covers)

    def scale(self, left: Indexes, right: Indexes) -> NDArray[np.float64]:
        """(P,): how many members of the sets stand behind one that `count` counts."""
        return (1 << 32) / np.minimum(self.covers[left], self.covers[right])

    def count(self, left: Indexes, right: Indexes, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(P, 3): hashes in both, in the left alone, in the right alone; zeros where not chosen."""
        from tasks.dedup.sketches import overlap_pairs

        counts = np.zeros((left.size, 3), np.int64)
        overlap_pairs(self.values, self.starts, self.covers, left, right, chosen, counts)
        return counts


class SignatureTable:
    """Signatures by number, laid out for comparing many pairs.

    Attributes:
        kinds: (N,) int64: 1 text, 2 image, 0 nothing to compare.
        minima: (N, 128) uint32: minhash, or the bits of an image in the first eight.
        colours: (N, 16, 3) uint8, RGB of the cells of an image; of a text it has no meaning.
        classes: (N, 8) uint8, the mark of an image's class, zeros for none; of a text without meaning.
        shingles, words, numbers: the sketches.
    """

    def __init__(self, signatures: Sequence[Signature]) -> None:
        kinds = [(_TEXT if s.kind == "text" else _IMAGE) if s.minhash else 0 for s in signatures]
        self.kinds = np.array(kinds, np.int64)
        width = 4 * PERMUTATIONS
        joined = b"".join(signature.minhash.ljust(width, b"\0") for signature in signatures)
        self.minima = np.frombuffer(joined, "<u4").astype(np.uint32, copy=False).reshape(-1, PERMUTATIONS)
        octets = np.frombuffer(joined, np.uint8).reshape(-1, width)
        after = HASH_BYTES + COLOUR_BYTES
        self.colours = octets[:, HASH_BYTES:after].reshape(-1, COLOUR_BYTES // 3, 3)
        self.classes = octets[:, after : after + CLASS_BYTES]
        self.shingles = Sketches.join([s.shingles for s in signatures], SKETCH_SHINGLES)
        self.words = Sketches.join([s.words for s in signatures], SKETCH_WORDS)
        self.numbers = Sketches.join([s.numbers for s in signatures], SKETCH_NUMBERS)

    def __len__(self) -> int:
        return len(self.kinds)


def compare(
    table: SignatureTable,
    left: Indexes,
    right: Indexes,
    *,
    threshold: float = THRESHOLD,
    min_difference: float = MIN_DIFFERENCE,
) -> Comparison:
    """Compare pairs of signatures; which is left and which is right makes no difference.

    Signatures of different kinds, or with nothing to compare, have similarity 0. Texts whose
    minhash lies far under the threshold keep its estimate as their similarity. Takes about 100
    bytes a pair while it runs.

    Args:
        table: the signatures.
        left: (P,) numbers of signatures in the table.
        right: (P,) those they are compared with.
        threshold: least similarity of texts that are duplicates; images have fixed ones.
        min_difference: texts are kept apart if in each of them at least this share of the words
            is not in the other. Above 1 nothing is kept apart.
    """
    from tasks.dedup.sketches import count_bits, estimate_pairs

    left, right = (np.ascontiguousarray(side, np.int64) for side in (left, right))
    _check_range(left, right, len(table))
    equal = np.empty(left.size, np.int64)
    estimate_pairs(table.minima, table.kinds, left, right, equal)
    kinds = np.where(equal < 0, 0, table.kinds[left])
    similarity = np.where(kinds == _TEXT, equal / PERMUTATIONS, 0.0)
    is_image = kinds == _IMAGE
    slack = _SURE_SIGMAS * np.sqrt(threshold * (1 - threshold) / PERMUTATIONS)
    is_near = (kinds == _TEXT) & (similarity >= threshold - slack)
    shingles = table.shingles.count(left, right, is_near)
    similarity[is_near] = shingles[is_near, 0] / shingles[is_near].sum(axis=1)
    distance = np.zeros(left.size, np.int64)
    count_bits(table.minima[:, : _IMAGE_BITS // 32], is_image, left, right, distance)
    similarity[is_image] = 1 - distance[is_image] / _IMAGE_BITS
    similarity = np.floor(similarity * 10_000 + 0.5) / 10_000
    is_duplicate = is_near & (similarity >= threshold)
    if min_difference <= 1:
        is_duplicate &= ~_is_kept_apart(table, left, right, is_duplicate, shingles, min_difference)
    is_near_image = is_image & (distance <= MAX_IMAGE_DISTANCE)
    is_duplicate[is_near_image] = _is_same_picture(table, left[is_near_image], right[is_near_image])
    return Comparison(similarity.astype(np.float32), is_duplicate)


def _is_same_picture(table: SignatureTable, left: Indexes, right: Indexes) -> NDArray[np.bool_]:
    """Whether the images of each pair have the same class and near colours."""
    is_same: NDArray[np.bool_] = (table.classes[left] == table.classes[right]).all(axis=1)
    for start in range(0, left.size, _PART):
        part = slice(start, start + _PART)
        is_same[part] &= _has_near_colours(table.colours[left[part]], table.colours[right[part]])
    return is_same


def _has_near_colours(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(P,) of (P, cells, 3): the light and the hue of each cell, this up to a common factor."""
    (light, hue), (other_light, other_hue) = _split_colours(left), _split_colours(right)
    strengths = [np.sqrt((side**2).sum(axis=(1, 2))) + 1e-6 for side in (hue, other_hue)]
    # half of the factor on each side: which one is left makes no difference
    gain = np.clip(np.sqrt(strengths[0] / strengths[1]), 1 / _COLOUR_GAIN, _COLOUR_GAIN)[:, None, None]
    is_near = np.abs(hue / gain - other_hue * gain).max(axis=(1, 2)) <= MAX_COLOUR_DISTANCE
    is_near &= np.abs(light - other_light).max(axis=1) <= MAX_LIGHT_DISTANCE
    found: NDArray[np.bool_] = is_near
    return found


def _split_colours(colours: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Light (P, cells), and red less green and yellow less blue (P, cells, 2)."""
    red, green, blue = (colours[..., channel].astype(np.float64) for channel in range(3))
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return light, np.stack([red - green, (red + green) / 2 - blue], axis=-1)


def _is_kept_apart(
    table: SignatureTable,
    left: Indexes,
    right: Indexes,
    chosen: NDArray[np.bool_],
    shingles: NDArray[np.int64],
    min_difference: float,
) -> NDArray[np.bool_]:
    """Whether each text of a chosen pair says enough that the other does not.

    New words come with new shingles. Where there are fewer of these, words were only joined or
    split, as happens to Korean when it is extracted again: they count no more than the shingles.
    """
    words = table.words.count(left, right, chosen)
    numbers = table.numbers.count(left, right, chosen)
    # as many of the words that a sketch holds as there are shingles in the text
    most = shingles[:, 1:] * (table.shingles.scale(left, right) / table.words.scale(left, right))[:, None]
    difference = _novelty(words, most)
    says_other = (difference >= min_difference) & (words[:, 1:].min(axis=1) >= MIN_WORDS)
    several = numbers[:, 1:].min(axis=1) >= SEVERAL_NUMBERS
    own_numbers = _novelty(numbers, numbers[:, 1:])
    has_other_figures = own_numbers >= np.where(several, SEVERAL_SHARE, NUMBER_SHARE)
    has_other_figures &= shingles[:, 1:].max(axis=1) > 0
    kept: NDArray[np.bool_] = says_other | has_other_figures
    return kept


def _novelty(counts: NDArray[np.int64], most: NDArray[Any]) -> NDArray[np.float64]:
    """(P,): the share of a side that the other has not, at most so many, of the side where it is smaller."""
    sizes = counts[:, :1] + counts[:, 1:]
    own = np.minimum(counts[:, 1:], most).astype(np.float64)
    shares = np.divide(own, sizes, out=np.zeros_like(own), where=sizes > 0)
    smaller: NDArray[np.float64] = shares.min(axis=1)
    return smaller


def _check_range(left: Indexes, right: Indexes, size: int) -> None:
    """Compiled loops do not look where they read."""
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"pairs are two equally long lists of numbers, not {left.shape} and {right.shape}")
    for side in (left, right):
        if side.size and not 0 <= side.min() <= side.max() < size:
            raise IndexError(f"numbers of signatures go from 0 to {size - 1}")
