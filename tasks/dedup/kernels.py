"""The loops over code points and hashes, compiled by numba; without the GIL.

Importing this module imports numba, so it is imported where it is used. All arithmetic is modulo
2^32 or 2^64; every constant is typed, for numba makes a float of uint64 with int64, and 64 bits of
uint32 with uint32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np

# What a code point is. Defined here and not beside the table of code points: numba freezes constants
# into what it keeps on disk, and looks at this file alone to see whether that is still good.
SEPARATOR: Final = 0
COMMA: Final = 1
JOINT: Final = 2
"""Ends a word; between two digits it is a part of the number. All up to here end a word."""
IGNORED: Final = 3
MARK: Final = 4
DIGIT: Final = 5
LETTER: Final = 6
HANGUL: Final = 7
"""From here on: letters of scripts that are compared by character."""
UNSEGMENTED: Final = 8

CLASS_SHIFT: Final = 24
EXPANDS: Final = 1 << 23
LOWER_BITS: Final = EXPANDS - 1

WIDTH = 5
FLAGS = 8
HASHES = 8

_U32 = np.uint64(32)
_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_MIX_SHIFT = np.uint64(33)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_WORD = np.uint64(0xD6E8FEB86659FD93)
_WORD_SHIFT = np.uint64(29)
_WORD_START = np.uint64(0x2545F4914F6CDD1D)
_PAIR_START = np.uint64(0xA0761D6478BD642F)
_JOINT_SIGN = np.uint64(0x2D)
_SALT_WORDS = np.uint64(0x8CB92BA72F3D8DD7)
_SALT_CHARACTERS = np.uint64(0xE7037ED1A0B428DB)
_CLASS_SHIFT = np.uint32(CLASS_SHIFT)
_EXPANDS = np.uint32(EXPANDS)
_LOWER_BITS = np.uint32(LOWER_BITS)
_NO_RUN, _WORD_RUN, _PAIR_RUN = 0, 1, 2
_AFTER_OTHER, _AFTER_DIGIT, _AFTER_DATE_UNIT = 0, 1, 2
_KO_YEAR, _KO_MONTH, _HAN_YEAR, _HAN_MONTH = (ord(unit) for unit in "년월年月")


def compile_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept on disk where a folder for it can be written."""
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep it in: compiled anew by each process
        compiled = numba.njit(nogil=True)(function)
    return compiled


@compile_kernel
def mix64(value):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finalizer: a bijection in which each bit depends on all."""
    value = (value ^ (value >> _MIX_SHIFT)) * _MIX_1
    value = (value ^ (value >> _MIX_SHIFT)) * _MIX_2
    return value ^ (value >> _MIX_SHIFT)


@compile_kernel
def _as_32_bits(value):  # type: ignore[no-untyped-def]
    return np.uint32(mix64(value) >> _U32)


@compile_kernel
def _extend_word(word, code):  # type: ignore[no-untyped-def]
    word = (word ^ code) * _WORD
    return word ^ (word >> _WORD_SHIFT)


@compile_kernel
def _hash_pair(first, second):  # type: ignore[no-untyped-def]
    return _as_32_bits(_extend_word(_extend_word(_PAIR_START, first), second))


@compile_kernel
def count_letters(codes, table):  # type: ignore[no-untyped-def]
    """How many letters there are, and how many of scripts that are compared by character."""
    letters = 0
    unsegmented = 0
    for code in codes:
        kind = table[code] >> _CLASS_SHIFT
        letters += kind >= LETTER
        unsegmented += kind >= HANGUL
    return letters, unsegmented


@compile_kernel
def cut_shingles(codes, table, expansions, by_character, hashes, flags, shingles):  # type: ignore[no-untyped-def]
    """Hash the shingles of the next piece of a text.

    Args:
        codes: (N,) uint32 code points; the last piece ends with two separators.
        table: of `load_letters`.
        expansions: of `load_letters`.
        by_character: whether tokens are characters, else words.
        hashes: (HASHES,) uint64, carried from piece to piece; zeros for the first.
        flags: (FLAGS,) int64, likewise.
        shingles: (3 N,) uint32, written to.

    Returns:
        How many shingles were written.
    """
    t0, t1, t2, t3, t4, word = hashes[0], hashes[1], hashes[2], hashes[3], hashes[4], hashes[5]
    tokens, is_open = flags[0], flags[1]
    salt = _SALT_CHARACTERS if by_character else _SALT_WORDS
    count = 0
    for raw in codes:
        entry = table[raw]
        kind = entry >> _CLASS_SHIFT
        if kind == IGNORED:
            continue
        if kind <= JOINT or (kind == MARK and not is_open):
            if is_open and not by_character:
                t0, t1, t2, t3, t4 = t1, t2, t3, t4, word
                tokens += 1
                if tokens >= WIDTH:
                    shingles[count] = _hash_tokens(t0, t1, t2, t3, t4, salt)
                    count += 1
            is_open = 0
            continue
        if not is_open:
            is_open = 1
            word = _WORD_START
        lower = entry & _LOWER_BITS
        for part in range(_count_parts(entry, expansions)):
            code = np.uint64(expansions[lower, part] if entry & _EXPANDS else lower)
            if by_character:
                t0, t1, t2, t3, t4 = t1, t2, t3, t4, code
                tokens += 1
                if tokens >= WIDTH:
                    shingles[count] = _hash_tokens(t0, t1, t2, t3, t4, salt)
                    count += 1
            else:
                word = _extend_word(word, code)
    hashes[0], hashes[1], hashes[2], hashes[3], hashes[4], hashes[5] = t0, t1, t2, t3, t4, word
    flags[0], flags[1] = tokens, is_open
    return count


@compile_kernel
def cut_words(codes, table, expansions, hashes, flags, words, numbers):  # type: ignore[no-untyped-def]
    """Hash the words of the next piece of a text, and apart from them those that hold a digit.

    A word ends where letters and digits end, but a sign between two digits belongs to the number
    (2024-05-01, 010-1234-5678, 1.5); a comma there is dropped (1,234). A date is one number in
    Korean, too, with or without spaces. A stretch of a script without spaces gives its pairs of
    characters.

    Args:
        codes: as in `cut_shingles`.
        table: likewise.
        expansions: likewise.
        hashes: likewise; the two use places of their own.
        flags: likewise.
        words: (N,) uint32, written to.
        numbers: (N,) uint32, written to.

    Returns:
        How many words and how many numbers were written.
    """
    word, previous = hashes[6], hashes[7]
    run, length, pending, has_digit, end = flags[2], flags[3], flags[4], flags[5], flags[6]
    word_count = 0
    number_count = 0
    for raw in codes:
        entry = table[raw]
        kind = entry >> _CLASS_SHIFT
        if kind == IGNORED:
            continue
        if kind == MARK:  # belongs to what it stands on
            kind = LETTER if run == _WORD_RUN else UNSEGMENTED
            kind = SEPARATOR if run == _NO_RUN or pending else kind
        is_separator = kind <= JOINT
        lower = entry & _LOWER_BITS
        if run == _WORD_RUN:
            if end == _AFTER_DIGIT and not pending:
                is_han_date = lower in (_HAN_YEAR, _HAN_MONTH)
                if COMMA <= kind <= JOINT or is_han_date:
                    pending = COMMA if kind == COMMA else JOINT
                    continue
            elif end == _AFTER_DATE_UNIT and kind == SEPARATOR and not pending:
                pending = COMMA
                continue
            if is_separator or kind == UNSEGMENTED or (pending and kind != DIGIT):
                words[word_count] = _as_32_bits(word)
                word_count += 1
                if has_digit:
                    numbers[number_count] = _as_32_bits(word)
                    number_count += 1
                run = _NO_RUN
        elif run == _PAIR_RUN and kind != UNSEGMENTED:
            if length == 1:
                words[word_count] = _hash_pair(previous, np.uint64(0))
                word_count += 1
            run = _NO_RUN
        if is_separator:
            pending = 0
            continue
        if kind == UNSEGMENTED:
            if run == _PAIR_RUN:
                words[word_count] = _hash_pair(previous, np.uint64(lower))
                word_count += 1
            length = length + 1 if run == _PAIR_RUN else 1
            run = _PAIR_RUN
            previous = np.uint64(lower)
            pending = 0
            continue
        if run == _NO_RUN:
            run = _WORD_RUN
            word = _WORD_START
            has_digit = 0
            end = _AFTER_OTHER
        elif pending == JOINT:
            word = _extend_word(word, _JOINT_SIGN)
        pending = 0
        if kind == DIGIT:
            end = _AFTER_DIGIT
            has_digit = 1
        else:
            is_date_unit = end == _AFTER_DIGIT and lower in (_KO_YEAR, _KO_MONTH)
            end = _AFTER_DATE_UNIT if is_date_unit else _AFTER_OTHER
        for part in range(_count_parts(entry, expansions)):
            word = _extend_word(word, np.uint64(expansions[lower, part] if entry & _EXPANDS else lower))
    hashes[6], hashes[7] = word, previous
    flags[2], flags[3], flags[4], flags[5], flags[6] = run, length, pending, has_digit, end
    return word_count, number_count


@compile_kernel
def _count_parts(entry, expansions):  # type: ignore[no-untyped-def]
    if not entry & _EXPANDS:
        return 1
    return 2 if expansions[entry & _LOWER_BITS, 2] == 0 else 3


@compile_kernel
def _hash_tokens(t0, t1, t2, t3, t4, salt):  # type: ignore[no-untyped-def]
    value = (((t0 * _STEP + t1) * _STEP + t2) * _STEP + t3) * _STEP + t4
    return _as_32_bits(value ^ salt)


@compile_kernel
def hash_short(hashes, flags, by_character):  # type: ignore[no-untyped-def]
    """The one shingle of a text with fewer tokens than a shingle has."""
    salt = (_SALT_CHARACTERS if by_character else _SALT_WORDS) + np.uint64(flags[0])
    return _hash_tokens(hashes[0], hashes[1], hashes[2], hashes[3], hashes[4], salt)


@compile_kernel
def hash_bands(rows, salt, bands):  # type: ignore[no-untyped-def]
    """One 64-bit hash for each band.

    Args:
        rows: (bands, rows) unsigned.
        salt: uint64: what signatures must have in common.
        bands: (bands,) uint64, written to.
    """
    for band in range(bands.size):
        value = mix64(salt + np.uint64(band))
        for i in range(rows.shape[1]):
            value = mix64(value ^ np.uint64(rows[band, i]))
        bands[band] = value
