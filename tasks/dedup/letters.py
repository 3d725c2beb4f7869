"""What every code point is to a signature: part of a word, a separator, nothing at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SIZE = 0x110000
_ASSIGNED = (range(0x33500), range(0xE0000, 0xE01F0))
_JOINTS = ".-/:\u2010\u2011\u2012\u2013\u2212\uff0e\uff0d\uff0f\uff1a"
_COMMAS = ",\uff0c\u066c"

_HANGUL_BLOCKS = (
    range(0x1100, 0x1200), range(0x3131, 0x3190), range(0xA960, 0xA980), range(0xAC00, 0xD800),
    range(0xFFA0, 0xFFDD),
)  # fmt: skip
_UNSEGMENTED_BLOCKS = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0), range(0xA9E0, 0xAA00), range(0xAA60, 0xAAE0),  # Myanmar, Tai Viet
    range(0x1780, 0x1800), range(0x1950, 0x19E0), range(0x1A20, 0x1AB0),  # Khmer, Tai
    range(0x3005, 0x3008), range(0x3021, 0x3030), range(0x3041, 0x3130), range(0x31A0, 0x3200),  # kana
    range(0x3400, 0x4DC0), range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0xFF66, 0xFF9E),  # Han
    range(0x1B000, 0x1B170), range(0x20000, 0x33500),
)  # fmt: skip


@lru_cache(maxsize=1)
def load_letters() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The table of code points, and the letters that case folding makes several of.

    Takes about 0.1 s once a process. Unicode's own tables come with Python: a letter that is
    younger than the Python in use is a separator.

    Returns:
        (1114112,) uint32: class << CLASS_SHIFT | folded code point, or EXPANDS | row of the second;
        (N, 3) uint32: folded code points, 0 where there are fewer.
    """
    from tasks.dedup import kernels

    codes = np.concatenate([np.arange(span.start, span.stop) for span in _ASSIGNED])
    letters = list(map(chr, codes.tolist()))
    kinds = _classify(codes, letters)
    said = kinds != kernels.SEPARATOR
    kinds <<= np.uint32(kernels.CLASS_SHIFT)
    table, rows = np.zeros(_SIZE, np.uint32), list[list[int]]()
    table[codes[said]] = kinds[said] | codes[said]
    for place, (letter, folded) in enumerate(zip(letters, map(str.casefold, letters), strict=True)):
        if letter != folded and said[place]:
            lower = ord(folded[0])
            if len(folded) > 1:
                lower = kernels.EXPANDS | len(rows)
                rows.append([*map(ord, folded), 0, 0][:3])
            table[codes[place]] = kinds[place] | np.uint32(lower)
    return table, np.array(rows, np.uint32)


def _classify(codes: NDArray[np.int64], letters: list[str]) -> NDArray[np.uint32]:
    """(N,) class of each code point; later lines win."""
    from tasks.dedup import kernels

    kinds = np.full(len(codes), kernels.SEPARATOR, np.uint32)
    categories = np.array(list(map(unicodedata.category, letters)), "U2")
    major = categories.astype("U1")
    kinds[np.isin(codes, [ord(joint) for joint in _JOINTS])] = kernels.JOINT
    kinds[np.isin(codes, [ord(comma) for comma in _COMMAS])] = kernels.COMMA
    kinds[major == "M"] = kernels.MARK
    # soft hyphens, joiners, selectors of a glyph
    ignored = (categories == "Cf") | _within(codes, (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0)))
    kinds[ignored] = kernels.IGNORED
    kinds[major == "N"] = kernels.DIGIT
    is_letter = major == "L"
    kinds[is_letter] = kernels.LETTER
    kinds[is_letter & _within(codes, _HANGUL_BLOCKS)] = kernels.HANGUL
    kinds[is_letter & _within(codes, _UNSEGMENTED_BLOCKS)] = kernels.UNSEGMENTED
    return kinds


def _within(codes: NDArray[np.int64], spans: Iterable[range]) -> NDArray[np.bool_]:
    """(N,) whether each code point is in one of the blocks."""
    inside = np.zeros(len(codes), np.bool_)
    for span in spans:
        inside |= (codes >= span.start) & (codes < span.stop)
    return inside
