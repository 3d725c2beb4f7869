"""What every code point is to a signature: part of a word, a separator, nothing at all."""

from __future__ import annotations

import unicodedata
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

    table = np.zeros(_SIZE, np.uint32)
    rows: list[list[int]] = []
    blocks = ((kernels.HANGUL, _HANGUL_BLOCKS), (kernels.UNSEGMENTED, _UNSEGMENTED_BLOCKS))
    scripts = {code: kind for kind, spans in blocks for span in spans for code in span}
    for span in _ASSIGNED:
        for code in span:
            kind = _classify(code, scripts)
            if kind == kernels.SEPARATOR:
                continue
            folded = [ord(letter) for letter in chr(code).casefold()]
            lower = folded[0]
            if len(folded) > 1:
                lower = kernels.EXPANDS | len(rows)
                rows.append([*folded, 0, 0][:3])
            table[code] = kind << kernels.CLASS_SHIFT | lower
    return table, np.array(rows, np.uint32)


def _classify(code: int, scripts: dict[int, int]) -> int:
    from tasks.dedup import kernels

    letter = chr(code)
    category = unicodedata.category(letter)
    if category[0] == "L":
        return scripts.get(code, kernels.LETTER)
    if category[0] == "N":
        return kernels.DIGIT
    if category == "Cf" or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return kernels.IGNORED  # soft hyphens, joiners, selectors of a glyph
    if category[0] == "M":
        return kernels.MARK
    if letter in _COMMAS:
        return kernels.COMMA
    return kernels.JOINT if letter in _JOINTS else kernels.SEPARATOR
