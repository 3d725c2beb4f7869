"""Keyword grams: what the keyword side of search matches on.

Hangul, kana and Han runs give character bigrams, so Korean finds its words inside compounds
and before particles without a dictionary. Other scripts give words, with plural endings
removed and identifiers split into their parts.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable

GRAMS_VERSION = 1

_RUN = re.compile(
    r"(?P<cjk>[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]+)"
    r"|(?P<word>[^\W_]+(?:_+[^\W_]+)*)"
)
_CJK_INSIDE = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")
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
        if _CJK_INSIDE.match(run):
            grams.update(run[i : i + 2] for i in range(max(len(run) - 1, 1)))
        else:
            grams.update(_word_grams(run))
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


def _runs(text: str) -> Iterable[str]:
    for match in _RUN.finditer(text):
        run = match.group()
        if match.lastgroup == "cjk" or run.isascii():
            yield run
        else:  # a word that holds both, such as "GPU를": split where the script changes
            yield from (part for part in _split_scripts(run) if part.strip("_"))


def _split_scripts(run: str) -> list[str]:
    parts, start = [], 0
    for i in range(1, len(run)):
        if bool(_CJK_INSIDE.match(run[i])) != bool(_CJK_INSIDE.match(run[i - 1])):
            parts.append(run[start:i])
            start = i
    return [*parts, run[start:]]


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
