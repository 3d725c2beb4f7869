"""Keyword grams: what the keyword side of search matches on.

Hangul, kana and Han runs give character bigrams, so Korean finds its words inside compounds
and before particles without a dictionary. Other scripts give words, with plural endings
removed and identifiers split into their parts.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache

GRAMS_VERSION = 1
_KEPT_CHARACTERS = 16

_CJK = r"\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_]+(?:_+[^\W_]+)*")
_BETWEEN_RUNS = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}
_CJK_INSIDE = re.compile(f"[{_CJK}]")
_STRETCH = re.compile(rf"([{_CJK}]+)|[^{_CJK}]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


_FUNCTION_WORDS = frozenset(
    "a about after again all also am an and any are as at be been before being but by can could did do "
    "does doing done for from get had has have having he her here him his how i if in into is it its just "
    "many may me might more most much must my no not of off on one only or other our out over per please "
    "she should so some such than that the their them then there these they this those to too under up us "
    "use was we were what when where which who whom whose why will with would you your".split()
)


def text_grams(text: str) -> set[str]:
    """The grams of a text, unordered.

    >>> sorted(text_grams("연차휴가 policies"))
    ['policy', '연차', '차휴', '휴가']
    >>> sorted(text_grams("parse_config"))
    ['config', 'parse', 'parse_config']
    """
    grams: set[str] = set()
    for run in _runs(unicodedata.normalize("NFKC", text)):
        if _CJK_INSIDE.match(run):  # then all of it is
            grams.update(_bigrams(run))
        else:
            grams.update(_kept_grams(run) if len(run) <= _KEPT_CHARACTERS else _run_grams(run))
    return grams


def query_grams(text: str) -> set[str]:
    """The grams of a query: without English function words, unless it has nothing else.

    >>> sorted(query_grams("What should I do if I lose a receipt?"))
    ['lose', 'receipt']
    >>> sorted(query_grams("to be or not to be"))
    ['be', 'not', 'or', 'to']
    """
    grams = text_grams(text)
    return grams - _FUNCTION_WORDS or grams


def gram_hashes(grams: Iterable[str], collection_id: int) -> list[int]:
    """Signed 32-bit hashes, sorted; salted, so that one index serves all collections apart."""
    salt = zlib.crc32(collection_id.to_bytes(8, "big"))
    return sorted({zlib.crc32(gram.encode(), salt) - (1 << 31) for gram in grams})


def _runs(text: str) -> set[str]:
    if text.isascii():  # the same, three times as fast
        return {run.strip("_") for run in text.translate(_BETWEEN_RUNS).split()} - {""}
    return set(_RUN.findall(text))


def _bigrams(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


def _run_grams(run: str) -> Iterator[str]:
    for stretch in _STRETCH.finditer(run):  # several where a word goes on in another script: "GPU를"
        if stretch[1]:
            yield from _bigrams(stretch[1])
        elif stretch[0].strip("_"):
            yield from _word_grams(stretch[0])


@lru_cache(maxsize=1 << 15)
def _kept_grams(run: str) -> tuple[str, ...]:
    """The same, for the short runs that texts are full of."""
    return tuple(_run_grams(run))


def _word_grams(word: str) -> Iterable[str]:
    yield _singular(word.casefold())
    parts = _PART.findall(word)
    if len(parts) > 1:
        yield from (_singular(part.casefold()) for part in parts if len(part) > 1)


def _singular(word: str) -> str:
    """The S-stemmer. Source: Harman, "How effective is suffixing?", JASIS 42(1), 1991."""
    if len(word) > 3:
        if word.endswith("ies") and not word.endswith(("eies", "aies")):
            return word[:-3] + "y"
        if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
            return word[:-1]
        if word.endswith("s") and not word.endswith(("us", "ss")):
            return word[:-1]
    return word
