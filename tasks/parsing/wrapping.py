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
from tasks.parsing.hangul import Break, is_hangul, spaces_at, spaces_where_cut

MIN_COLUMN, MAX_COLUMN = 40, 130
MAX_LINES = 2000
"""A paragraph of more lines is data."""

MIN_BREAKS = 4
"""Fewer breaks that fit a column are an accident."""

MIN_SHARE = 0.7
"""Of the breaks in prose that must fit, else the lines are their author's."""

_CANDIDATES = 12
_FULL_SHARE = 0.9
_MIN_EXACT = 6
"""Breaks from which on lines of one length are no accident."""

_SENTENCE_ENDS = (".", "!", "?", ":")
_SENTENCE_END = re.compile(r"[가-힣)] ?[.?!](?: |$)")
_INNER_END = re.compile(r"[가-힣][.?!] ")
_SAMPLE_LINES = 20_000
_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\uffe0-\uffe6]"
)
_MARKER = re.compile(
    r"[ \t]*(?:[-*+\u2022\u2023\u25aa\u25cb\u25cf\u25e6\u25a0\u25a1\u203b\u00b7\u318d\u3147]"
    r"|\(?\d{1,3}[.)]|\(?(?:[a-zA-Z]|([가-하]))[.)]|[\u2460-\u2473])[ \t]+\S"
)
_LETTERS = dict(pairwise(("", *"가나다라마바사아자차카타파하")))
_LETTERS = {after: before for before, after in _LETTERS.items()}
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
    prose = {i: p for i, p in enumerate(paragraphs) if _is_prose(p)}
    column = _column(list(prose.values()))
    wrapped = {i for i, p in prose.items() if column and _fits(p, column)}
    if full := _full_width([p.lines for p in prose.values()]):
        wrapped |= {i for i, p in prose.items() if _is_full(p.lines, full)}
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
    starts = _item_starts(lines)
    if len(starts) < 2 or starts[0] != 0 or not _is_list(lines, starts):
        yield _Paragraph(tuple(lines), len(starts) == 1 == len(lines) and lines[0].lstrip()[0] in "-*•")
        return
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _Paragraph(tuple(lines[start:end]), marker=True)


def _item_starts(lines: Sequence[str]) -> list[int]:
    """Which lines begin with a marker; the ``다.`` that ends a sentence is none without a ``나.``."""
    found, letters = [], {""}
    for i, line in enumerate(lines):
        if not (marker := _MARKER.match(line)):
            continue
        if (letter := marker[1] or "") in _LETTERS and _LETTERS[letter] not in letters:
            continue
        letters.add(letter)
        found.append(i)
    return found


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
    if any(_item_starts(lines)):
        return False
    if len({len(line) - len(line.lstrip()) for line in lines[1:]}) > 1:
        return False
    text = " ".join(lines)
    stamped = sum(bool(_STAMPED.match(line)) for line in lines)
    korean = sum(map(is_hangul, text)) > 0.2 * len(text)
    if korean and not _SENTENCE_END.search(text):
        return False
    own = sum(line.rstrip().endswith(_SENTENCE_ENDS) for line in lines[:-1])
    if own > 2 and own * 2 > len(lines):
        return False
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


def _full_width(paragraphs: Sequence[Sequence[str]]) -> int:
    """Columns of Korean lines that are all about as long and end inside sentences, else 0.

    Such breaks are no author's, though they fit no column: a layout of proportional letters
    has set them, or a writer's eye.
    """
    ends = [
        (line.rstrip(), after)
        for lines in paragraphs
        if _is_hangul_prose(lines)
        for line, after in pairwise(lines)
    ]
    if len(ends) < MIN_BREAKS:
        return 0
    full = max(display_width(line) for line, _ in ends)
    sentences = sum(line.endswith(_SENTENCE_ENDS) for line, _ in ends)
    inside = sum(bool(_INNER_END.search(line)) for line, _ in ends)
    even = sum(display_width(line) >= _FULL_SHARE * full for line, _ in ends)
    if full < MIN_COLUMN or full > MAX_COLUMN or even < 0.9 * len(ends) or sentences > 0.3 * len(ends):
        return 0
    return full if inside and inside >= 0.2 * len(ends) else 0


def _is_full(lines: Sequence[str], full: int) -> bool:
    return _is_hangul_prose(lines) and all(
        _FULL_SHARE * full <= display_width(line.rstrip()) <= full for line in lines[:-1]
    )


def _is_hangul_prose(lines: Sequence[str]) -> bool:
    text = "".join(lines)
    return len(lines) > 1 and sum(map(is_hangul, text)) > 0.5 * len(text)


def _with_spaces(wrapped: Sequence[_Paragraph], whole: Sequence[_Paragraph], column: int) -> list[str]:
    """The paragraphs with a space at each line's end that needs one."""
    if not wrapped:
        return []
    text = [line for p in whole for line in p.lines]
    known = {word.lower() for p in whole for line in p.lines for word in _WORD.findall(line)}
    spaces = iter(line_spaces([p.lines for p in wrapped], text, column))
    return ["".join(_joined(p.lines, spaces, known)) for p in wrapped]


def line_spaces(paragraphs: Sequence[Sequence[str]], text: Sequence[str], column: int = 0) -> list[bool]:
    """For each line end inside the paragraphs whether a space belongs there.

    Args:
        paragraphs: the lines of each.
        text: all lines of the document.
        column: where it was wrapped, 0 where that is not known.
    """
    pairs = [pair for lines in paragraphs for pair in pairwise(lines)]
    korean = [(a, b) for a, b in pairs if is_hangul(a.rstrip()[-1:]) or is_hangul(b.lstrip()[:1])]
    if len(korean) < MIN_BREAKS:
        found = iter([True] * len(korean))
    else:
        found = iter(_korean_spaces(korean, text, column))
    touched = set(korean)
    return [next(found) if p in touched else spaces_at([Break(*p, 0)], ())[0] for p in pairs]


def _korean_spaces(pairs: Sequence[tuple[str, str]], text: Sequence[str], column: int) -> list[bool]:
    """The same for breaks beside Hangul."""
    for measure, syllable in ((display_width, 2), (len, 1)):
        widths = [measure(line.rstrip()) for line, _ in pairs]
        full = max(widths)
        if len(pairs) >= _MIN_EXACT and min(widths) >= full - syllable:
            rooms = [(full - width) // syllable for width in widths]
            cuts = [Break(a, b, room) for (a, b), room in zip(pairs, rooms, strict=True)]
            return spaces_where_cut(cuts, text, exact=True)
    column = column or max(display_width(line.rstrip()) for line, _ in pairs)
    breaks = [Break(a, b, max(0, column - display_width(a.rstrip())) / 2) for a, b in pairs]
    return spaces_where_cut(breaks, text, exact=False)


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
