"""Plain text whose lines were wrapped at a column: which, and how they belong together.

A break is the wrapper's where the next word would not have fitted, or where the column
itself cuts a Korean word. Poems, addresses, logs, tables and code break elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from schemas.document import Element
from tasks.parsing.hangul import Break, is_hangul, spaces_at

MIN_COLUMN, MAX_COLUMN = 40, 130
MAX_LINES = 2000
"""A paragraph of more lines is data."""

MIN_BREAKS = 4
"""Fewer breaks that fit a column are an accident."""

MIN_SHARE = 0.7
"""Of the breaks in prose that must fit, else the lines are their author's."""

_CANDIDATES = 12
_SAMPLE_LINES = 20_000
_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\uffe0-\uffe6]"
)
_MARKER = re.compile(
    r"[ \t]*(?:[-*+\u2022\u2023\u25aa\u25cb\u25cf\u25e6\u25a0\u25a1\u203b\u00b7\u318d\u3147]"
    r"|\(?\d{1,3}[.)]|\(?[a-zA-Z가-하][.)]|[\u2460-\u2473])[ \t]+\S"
)
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S|[|│┃]\s")
_CODE = re.compile(r"[{};]\s*$|^\s*(?:#include|import|def|class|return|//|/\*)\b|=>|\\$")
_STAMPED = re.compile(r"\s*[\[(<]?\d{2,4}[-:/.]\d{2}[-:/.]\d{2}")
_QUOTED = re.compile(r"\s*>")
_HYPHENATED = re.compile(r"([^\W\d_]+)-$")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class _Paragraph:
    lines: tuple[str, ...]
    marker: bool = False


def unwrap(parts: Sequence[str]) -> tuple[Element, ...]:
    """The parts as elements: lists by their items, wrapped paragraphs with their spaces."""
    paragraphs = [p for part in parts for p in _paragraphs(part)]
    column = _column([p for p in paragraphs if _is_prose(p)])
    wrapped = {i for i, p in enumerate(paragraphs) if column and _is_prose(p) and _fits(p, column)}
    joined = iter(_with_spaces([paragraphs[i] for i in sorted(wrapped)], paragraphs, column))
    return tuple(_element(p, next(joined)) if i in wrapped else _element(p) for i, p in enumerate(paragraphs))


def _element(paragraph: _Paragraph, wrapped: str = "") -> Element:
    text = wrapped or "\n".join(paragraph.lines)
    if paragraph.marker:
        return Element(text.strip(), "list_item", wrapped=bool(wrapped))
    return Element(text, wrapped=bool(wrapped))


def _paragraphs(part: str) -> Iterator[_Paragraph]:
    """The part itself, or its items where it is a list from its first line to its last."""
    lines = part.split("\n")
    starts = [i for i, line in enumerate(lines) if _MARKER.match(line)]
    if len(starts) < 2 or starts[0] != 0 or not _is_list(lines, starts):
        yield _Paragraph(tuple(lines), len(starts) == 1 == len(lines) and lines[0].lstrip()[0] in "-*•")
        return
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _Paragraph(tuple(lines[start:end]), marker=True)


def _is_list(lines: list[str], starts: list[int]) -> bool:
    """Whether what follows each marker is indented below it."""
    items = set(starts)
    return all(i in items or line[:1] in (" ", "\t", "\u3000") for i, line in enumerate(lines))


def _is_prose(paragraph: _Paragraph) -> bool:
    lines = paragraph.lines
    if not 2 <= len(lines) <= MAX_LINES or max(map(len, lines)) > MAX_COLUMN:
        return False
    if any(_COLUMNS.search(line) or _CODE.search(line) or _QUOTED.match(line) for line in lines):
        return False
    if any(_MARKER.match(line) for line in lines[1:]):
        return False
    if len({len(line) - len(line.lstrip()) for line in lines[1:]}) > 1:
        return False
    text = " ".join(lines)
    stamped = sum(bool(_STAMPED.match(line)) for line in lines)
    korean = sum(map(is_hangul, text)) > 0.2 * len(text)
    return stamped * 2 < len(lines) and (korean or len(text) < 15 * text.count(" "))


def _column(paragraphs: Sequence[_Paragraph]) -> int:
    """The column at which the text was wrapped, 0 where it was not."""
    breaks: list[tuple[int, int]] = []
    for paragraph in paragraphs:
        breaks += _needs(paragraph)
        if len(breaks) > _SAMPLE_LINES:
            break
    widths = Counter(width for width, _ in breaks if MIN_COLUMN <= width <= MAX_COLUMN)
    top = sorted(widths, reverse=True)[:_CANDIDATES]
    best = max(top, key=lambda column: _score(breaks, column), default=0)
    fitting = _score(breaks, best)
    return best if fitting >= MIN_BREAKS and fitting >= MIN_SHARE * len(breaks) else 0


def _score(breaks: Sequence[tuple[int, int]], column: int) -> int:
    return sum(width <= column < need for width, need in breaks)


def _needs(paragraph: _Paragraph) -> list[tuple[int, int]]:
    """For each break the width of its line, and what it would be with the next word on it.

    Where the column cut a word, the line is full and any more of it would not have fitted.
    """
    found = []
    for line, after in pairwise(paragraph.lines):
        width = display_width(line.rstrip())
        found.append((width, width + 1 + _first_word(after.lstrip())))
    return found


def _first_word(text: str) -> int:
    return display_width(text.split(" ", 1)[0])


def _fits(paragraph: _Paragraph, column: int) -> bool:
    """Whether nearly all of its breaks are the wrapper's."""
    breaks = _needs(paragraph)
    slack = column + 2  # a line may end with a wide character or a mark beyond the column
    fitting = sum(width <= slack and need > column - 2 for width, need in breaks)
    return fitting == len(breaks) or (len(breaks) >= 8 and fitting >= 0.9 * len(breaks))


def _with_spaces(wrapped: Sequence[_Paragraph], whole: Sequence[_Paragraph], column: int) -> list[str]:
    """The paragraphs with a space at each line's end that needs one."""
    if not wrapped:
        return []
    breaks = [
        Break(line, after, max(0, column - display_width(line.rstrip())) / 2)
        for p in wrapped
        for line, after in pairwise(p.lines)
    ]
    known = {word.lower() for p in whole for line in p.lines for word in _WORD.findall(line)}
    spaces = iter(spaces_at(breaks, [line for p in whole for line in p.lines]))
    return ["".join(_joined(p.lines, spaces, known)) for p in wrapped]


def _joined(lines: Sequence[str], spaces: Iterator[bool], known: set[str]) -> Iterator[str]:
    for line, after in pairwise(lines):
        body, space = line.rstrip(), next(spaces)
        if hyphen := _HYPHENATED.search(body):
            yield _dehyphenated(body, hyphen[1], after.lstrip(), known)
        else:
            yield f"{body} \n" if space else f"{body}\n"
    yield lines[-1].strip() if len(lines) > 1 else lines[-1]


def _dehyphenated(body: str, last: str, after: str, known: set[str]) -> str:
    """The line up to its hyphen, which stays unless the text knows the word without it.

    Programs that wrap text break at hyphens that are there and set no new ones.
    """
    first = _WORD.match(after)
    return body[:-1] if first and (last + first[0]).lower() in known else body


def display_width(text: str) -> int:
    """Columns on a terminal: two for Hangul, kana and Chinese characters."""
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))
