"""Where prose may be cut: sections, paragraphs, sentences, and finer where it must be."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

# Rank of a boundary: a cut takes the lowest rank its window offers.
# HEADING, the boundary after a heading, is none: the heading goes with what follows it.
SECTION, PARAGRAPH, SENTENCE, CLAUSE, WORD, CHARACTER, HEADING = range(7)

# Possessive and anchored at the start of a run of stops: dot leaders stay linear.
_CLOSERS = r"[\"'”’»)\]』」》〉】]*+"
_ENDS = re.compile(
    r"\n\s*+"
    rf"|(?<![.!?…])[.!?…]++{_CLOSERS}[ \t]++(?=\S)"
    rf"|[。！？｡]++{_CLOSERS}\s*+"
    # PDF text loses the space after a Korean sentence end.
    r"|(?<=[다요죠까음함])[.!?]++(?=[가-힣])"
)
_DOT_LEADER = 4
_LAST_WORD = re.compile(r"[A-Za-z0-9.]+$")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Z]|(?:[A-Za-z]\.)+[a-z]")
_ABBREVIATIONS = frozenset(
    {
        *("dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "gen", "gov", "sen", "rep"),
        *("vs", "etc", "inc", "ltd", "co", "corp", "dept", "est", "al", "cf", "approx"),
    }
)
_BEFORE_NUMBER = frozenset(
    ("no", "nos", "fig", "figs", "vol", "p", "pp", "art", "sec", "ch", "eq", "eqs", "ref", "tab")
)

_CLAUSE_ENDS = re.compile(rf"[,;:，；：、·|]{_CLOSERS}[ \t]++|[，；、]|(?<=\s)[-–—]\s")
_SPACES = re.compile(r"\s+")
_MIN_SLICE, _MAX_SLICE = 4, 24

Piece = tuple[int, int, int]


def split_sentences(text: str, start: int, end: int) -> list[Piece]:
    """Sentences and lines of ``text[start:end]`` as (start, end, rank of its end).

    Pieces carry no white space at their ends and leave out nothing else. The last one
    gets rank PARAGRAPH.
    """
    pieces: list[Piece] = []
    begin = start
    for match in _ENDS.finditer(text, start, end):
        gap = match.group()
        if gap[0] == "\n":
            rank = PARAGRAPH if gap.count("\n") > 1 else SENTENCE
        elif _ends_no_sentence(text, begin, match):
            continue
        else:
            rank = SENTENCE
        _append(pieces, text, begin, match.end(), rank)
        begin = match.end()
    _append(pieces, text, begin, end, PARAGRAPH)
    if pieces:
        pieces[-1] = (*pieces[-1][:2], PARAGRAPH)
    return pieces


def split_clauses(text: str, piece: Piece) -> list[Piece]:
    """A long sentence at commas, colons, dashes and table cells."""
    return _split_at(_CLAUSE_ENDS, text, piece, CLAUSE)


def split_words(text: str, piece: Piece) -> list[Piece]:
    """A long clause at white space."""
    return _split_at(_SPACES, text, piece, WORD)


def split_characters(text: str, piece: Piece) -> list[Piece]:
    """A long word after characters chosen by their neighbours, so that cuts stay put.

    Slices have 4 to 24 characters; where the characters repeat, every 24th.
    """
    start, end, last_rank = piece
    codes = np.frombuffer(text[start:end].encode("utf-32-le", "surrogatepass"), dtype="<u4")
    mixed = codes.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed[1:] ^= np.roll(mixed, 1)[1:] >> np.uint64(7)
    chosen = np.flatnonzero((mixed >> np.uint64(40)) % np.uint64(8) == 0) + 1
    slices: list[Piece] = []
    begin = 0
    for cut in (*chosen.tolist(), len(codes)):
        while cut - begin > _MAX_SLICE:
            slices.append((start + begin, start + begin + _MAX_SLICE, CHARACTER))
            begin += _MAX_SLICE
        if cut - begin >= _MIN_SLICE or cut == len(codes):
            slices.append((start + begin, start + cut, CHARACTER))
            begin = cut
    slices = [item for item in slices if item[0] < item[1]]
    slices[-1] = (*slices[-1][:2], last_rank)
    return slices


def _split_at(pattern: re.Pattern[str], text: str, piece: Piece, rank: int) -> list[Piece]:
    start, end, last_rank = piece
    pieces: list[Piece] = []
    begin = start
    for cut in _ends_of(pattern, text, start, end):
        _append(pieces, text, begin, cut, rank)
        begin = cut
    _append(pieces, text, begin, end, rank)
    pieces[-1] = (*pieces[-1][:2], last_rank)
    return pieces


def _ends_of(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[int]:
    return (match.end() for match in pattern.finditer(text, start, end))


def _append(pieces: list[Piece], text: str, start: int, end: int, rank: int) -> None:
    part = text[start:end]
    bare = part.lstrip()
    if bare:
        begin = start + len(part) - len(bare)
        pieces.append((begin, begin + len(bare.rstrip()), rank))
    elif pieces:
        pieces[-1] = (*pieces[-1][:2], min(rank, pieces[-1][2]))


def _ends_no_sentence(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether the stop belongs to an abbreviation, a number, a quotation or a dot leader."""
    follower = text[match.end()] if match.end() < len(text) else ""
    if follower.islower():
        return True
    stop = match.start()
    if match.group().startswith("." * _DOT_LEADER):
        return True
    if text[stop] != "." or match.group()[1:2] not in (" ", "\t"):
        return False
    word_match = _LAST_WORD.search(text, max(begin, stop - 16), stop)
    if word_match is None:
        return False
    word = word_match.group()
    if word.isdigit():
        return word_match.start() == begin and len(word) <= 3
    lowered = word.lower()
    if lowered in _BEFORE_NUMBER:
        return follower.isdigit()
    return lowered in _ABBREVIATIONS or _INITIALS.fullmatch(word) is not None
