"""Which of two readings of a page to take where Korean and Latin letters stand side by side.

Korean alone reads Korean best, and Latin words as digits and signs ("and" as 800), at times
with confidence; with English beside it Latin words are right and Korean ones suffer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tasks.parsing.ocr_layout import Word, confidence

_SURE_LATIN = 60.0
_UNSURE_SIGNS = 70.0
_UNSURE_KOREAN = 40.0
"""Korean alone reads true Latin words at 0 to 35, and hard Korean ones at 45 and more."""

_BAND = 32
"""Pixels: words are looked up by their height, for a page has thousands of them."""

_LETTER = re.compile("[A-Za-z\u00c0-\u024f]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_SIGN = re.compile("[.,%:/-]")

_Words = list[Word]


def has_unsure(words: Iterable[Word]) -> bool:
    """Whether some word of a Korean reading may be a Latin one."""
    return any(_is_unsure([word]) for word in words)


def _is_unsure(words: Sequence[Word]) -> bool:
    """Signs and digits that Korean is not sure of are mostly Latin letters."""
    return confidence(words) < (_UNSURE_KOREAN if _has(_HANGUL, words) else _UNSURE_SIGNS)


def with_latin(korean: Sequence[Word], other: Sequence[Word]) -> list[Word]:
    """The words of a Korean reading, with those of another where they lie on it and are better."""
    chosen: dict[int, _Words] = {}
    for places, words in _groups(korean, other):
        if _is_better(words, [korean[i] for i in places]):
            first = min(places)
            moved = [replace(word, line=korean[first].line) for word in words]
            chosen.update({i: [] for i in places})
            chosen[first] = sorted(moved, key=lambda word: word.left)
    return [word for i, own in enumerate(korean) for word in chosen.get(i, [own])]


def _groups(korean: Sequence[Word], other: Sequence[Word]) -> Iterable[tuple[set[int], _Words]]:
    """Places of words of the one reading with the words of the other that lie on them.

    A reading divides a line otherwise than the other does: one word may lie on several.
    """
    groups: list[tuple[set[int], _Words]] = []
    of: dict[int, tuple[set[int], _Words]] = {}
    bands: dict[int, list[int]] = defaultdict(list)
    for i, own in enumerate(korean):
        bands[(own.top + own.bottom) // 2 // _BAND].append(i)
    for word in other:
        near = (i for band in range(word.top // _BAND, word.bottom // _BAND + 1) for i in bands.get(band, ()))
        under = {i for i in near if _lie_together(word, korean[i])}
        if not under:
            continue
        group: tuple[set[int], _Words] = (under, [word])
        for old in {id(of[i]): of[i] for i in under if i in of}.values():
            group = (group[0] | old[0], old[1] + group[1])
            groups = [found for found in groups if found is not old]
        groups.append(group)
        of.update(dict.fromkeys(group[0], group))
    return groups


def _lie_together(word: Word, other: Word) -> bool:
    middle = (other.top + other.bottom) / 2
    overlap = min(word.right, other.right) - max(word.left, other.left)
    narrower = min(word.right - word.left, other.right - other.left)
    return word.top <= middle <= word.bottom and overlap > 0.5 * narrower


def _is_better(words: Sequence[Word], korean: Sequence[Word]) -> bool:
    """Whether the words are Latin ones, or numbers, that Korean alone has misread."""
    sure, before = confidence(words), confidence(korean)
    if _has(_HANGUL, words) or sure < _SURE_LATIN or _is_sure_sign(korean):
        return False
    if _has(_HANGUL, korean):
        return before < _UNSURE_KOREAN and _letters(words) > 1
    if _letters(words) > 1 or (_letters(words) and before < _UNSURE_SIGNS):
        return sure > before
    same = bool(_digits(words)) and _digits(words) == _digits(korean)
    return same and _is_better_number(words, korean)


def _is_sure_sign(korean: Sequence[Word]) -> bool:
    """Whether it is no letter, as a multiplication sign that English takes for an x."""
    is_sign = not any(map(str.isalnum, _text(korean)))
    return is_sign and min(word.confidence for word in korean) >= _UNSURE_SIGNS


def _is_better_number(words: Sequence[Word], korean: Sequence[Word]) -> bool:
    """Of two readings with the same digits one has lost a sign (1.8% and 18%), or is unsure."""
    more = len(_SIGN.findall(_text(words))) - len(_SIGN.findall(_text(korean)))
    sure, before = confidence(words), confidence(korean)
    return more > 0 or (sure > before and (more == 0 or before < 50))


def _has(pattern: re.Pattern[str], words: Sequence[Word]) -> bool:
    return bool(pattern.search(_text(words)))


def _letters(words: Sequence[Word]) -> int:
    return len(_LETTER.findall(_text(words)))


def _digits(words: Sequence[Word]) -> str:
    return "".join(filter(str.isdigit, _text(words)))


def _text(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words)
