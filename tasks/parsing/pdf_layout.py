"""From lines on pages to paragraphs and headings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from schemas.document import Element, ElementKind
from tasks.parsing.hangul import Break, spaces_at
from tasks.parsing.pdf_lines import SOFT_HYPHEN, Line, Page
from tasks.parsing.pdf_margins import body_lines, body_size

Outline = dict[int, list[tuple[str, int]]]
"""Page number to (title, level) in order; 1 is the outermost level."""

LevelOf = Callable[[float], int]
"""From a heading's size, relative to the body's, to its level; 0 for text."""

HEADING_RATIO = 1.12
"""A heading's type is larger than the body's by at least this."""

MAX_HEADING_CHARS = 150
MAX_HEADING_SHARE = 0.2
MIN_ROWS = 3
_MAX_LEVELS = 6
_GAP_RATIO = 1.2
_COLUMN_PT = 40.0
_SUPPORT_PT = 25.0
_SLACK_EM = 1.0
_MARKER = re.compile(
    r"\s*(?:[-*•·▪▫○●■□◦◆◇▶▷※–—\uf0b7\uf0a7]|\(?\d{1,3}[.)](?!\d)|\(?[가-하A-Za-z][.)]|[①-⑳]|"
    r"제\s?\d+\s?[조항장절]|\d+(?:\.\d+)+\.?)\s"
)

_Paragraph = list[Line]


def elements_of(pages: Sequence[Page], outline: Outline, *, level_of: LevelOf | None = None) -> list[Element]:
    """Paragraphs and headings in the order of the content.

    `level_of` gives a heading's level where ranks of size would not do.

    Lines of a paragraph stay lines. Their ends follow the contract that cleaning joins
    by: a space at the end is a space, a soft hyphen a divided word, and between Hangul
    nothing is nothing.
    """
    lines = body_lines(pages)
    if not lines:
        return []
    edges = _RightEdges(lines)
    paragraphs = list(_paragraphs(lines, edges))
    texts = _texts(paragraphs, edges, [line.text for line in lines])
    levels = _heading_levels(paragraphs, texts, outline, level_of)
    elements: list[Element] = []
    for row, run in groupby(range(len(texts)), key=_row_runs(paragraphs, levels).__getitem__):
        if row:
            indexes = list(run)
            rows = "\n".join(texts[i] for i in indexes)
            elements.append(Element(rows, page=paragraphs[indexes[0]][0].page))
        else:
            elements += [_element(texts[i], paragraphs[i][0].page, levels[i]) for i in run]
    return elements


def _element(text: str, page: int, level: int) -> Element:
    kind: ElementKind = "heading" if level else "text"
    return Element(text, kind, level=level, page=page, wrapped=True)


# --- lines to paragraphs --------------------------------------------------------------


class _RightEdges:
    """Where lines that begin in the same part of the page end at most."""

    def __init__(self, lines: Sequence[Line]) -> None:
        ends: dict[int, list[float]] = defaultdict(list)
        self._flush: Counter[tuple[int, int]] = Counter()
        self._lines = Counter(line.page for line in lines)
        for line in lines:
            for shift in (-1, 0, 1):
                ends[_column(line) + shift].append(line.right)
            self._flush[line.page, round(line.right)] += 1
        self._edges = {key: _supported_maximum(found) for key, found in ends.items()}

    def room_em(self, line: Line) -> float:
        """Free space at the line's end; 0 where a quarter of the page's lines end with it."""
        edge = self._edges[_column(line)]
        flush = sum(self._flush[line.page, round(line.right) + d] for d in (-1, 0, 1))
        is_short = line.right - line.left < 0.5 * (edge - line.left)  # the same last words, not a margin
        if flush >= 4 and flush > 0.25 * self._lines[line.page] and not is_short:
            return 0.0
        return max(0.0, (edge - line.right) / _em(line))


def _column(line: Line) -> int:
    return int(line.left / _COLUMN_PT)


def _supported_maximum(ends: list[float]) -> float:
    """The largest end that is not alone: one table that sticks out is no margin."""
    ends = sorted(ends, reverse=True)
    needed = max(1 if len(ends) < 10 else 2, len(ends) // 100)
    for i, end in enumerate(ends[: len(ends) - needed + 1]):
        if end - ends[i + needed - 1] <= _SUPPORT_PT:
            return end
    return ends[0]


def _paragraphs(lines: Sequence[Line], edges: _RightEdges) -> Iterator[_Paragraph]:
    pitch = _line_pitch(lines)
    current: _Paragraph = []
    for line in lines:
        indented = len(current) > 1 and line.left > current[-1].left + 0.8 * _em(line)
        if current and (indented or not _continues(current[-1], line, edges, pitch)):
            yield current
            current = []
        current.append(line)
    yield current


def _continues(before: Line, line: Line, edges: _RightEdges, pitch: dict[int, float]) -> bool:
    """Whether the line goes on with the paragraph: nothing shows that the author ended it."""
    if before.page != line.page or not _same_size(before, line):
        return False
    if before.text.endswith(SOFT_HYPHEN):
        return True
    step = before.bottom - line.bottom
    usual = pitch.get(_size_key(line), 1.2 * _em(line))
    if step <= 0.3 * _em(line) or step > _GAP_RATIO * usual or _MARKER.match(line.text):
        return False
    if _is_sparse(before) or _is_sparse(line):
        return False
    return edges.room_em(before) < _first_word_em(line) + _SLACK_EM


def _is_sparse(line: Line) -> bool:
    """Whether the line is mostly gaps, as a row of a table is."""
    width = (line.right - line.left) / _em(line)
    return width > 8 and _weight(line.text) / 2 < 0.55 * width


def _line_pitch(lines: Sequence[Line]) -> dict[int, float]:
    """The usual distance of lines by type size: the smallest that is common."""
    steps: dict[int, Counter[float]] = defaultdict(Counter)
    for before, line in pairwise(lines):
        step = before.bottom - line.bottom
        alike = before.page == line.page and _size_key(before) == _size_key(line)
        if alike and 0.7 * _em(line) < step < 3 * _em(line):
            steps[_size_key(line)][round(step)] += 1
    return {
        size: min(step for step, n in found.items() if n >= 0.2 * max(found.values()))
        for size, found in steps.items()
    }


def _first_word_em(line: Line) -> float:
    words = line.text.split(maxsplit=1)
    weight = _weight(line.text)
    width = (line.right - line.left) / _em(line)
    return width * _weight(words[0]) / weight if words and weight else 0.0


def _weight(text: str) -> int:
    return sum(2 if char > "\u1100" else 1 for char in text.strip())


def _em(line: Line) -> float:
    return max(line.size, 1.0)


def _same_size(one: Line, other: Line) -> bool:
    """Whether their type is of one size, be it only that of the Latin letters in Korean lines."""
    same_latin = one.latin > 0 and abs(one.latin - other.latin) < 0.08 * one.latin
    return same_latin or abs(one.size - other.size) < 0.08 * _em(one)


def _size_key(line: Line) -> int:
    return max(2, round(line.size * 2))


def _row_runs(paragraphs: Sequence[_Paragraph], levels: Sequence[int]) -> list[int]:
    """A number for each run of lines that stand like rows of a table, else 0.

    Rows are at least three single lines, one under the other at even distances. They stay
    lines of one element.
    """
    runs, start, number = [0] * len(paragraphs), 0, 0
    for i in range(1, len(paragraphs) + 1):
        if i < len(paragraphs) and _is_next_row(paragraphs, levels, i, start):
            continue
        if i - start >= MIN_ROWS:
            number += 1
            runs[start:i] = [number] * (i - start)
        start = i
    return runs


def _is_next_row(paragraphs: Sequence[_Paragraph], levels: Sequence[int], i: int, start: int) -> bool:
    pair = paragraphs[i - 1], paragraphs[i]
    if levels[i - 1] or levels[i] or any(len(p) > 1 or _MARKER.match(p[0].text) for p in pair):
        return False
    before, line = pair[0][0], pair[1][0]
    step = before.bottom - line.bottom
    if before.page != line.page or not _same_size(before, line) or step <= 0:
        return False
    first = paragraphs[start][0].bottom - paragraphs[start + 1][0].bottom
    return step < 3 * _em(line) and abs(before.left - line.left) < 1 and abs(step - first) < 1.5


# --- line ends -----------------------------------------------------------------------


def _texts(paragraphs: Sequence[_Paragraph], edges: _RightEdges, training: Sequence[str]) -> list[str]:
    """Each paragraph's text, every line end marked by the contract of `elements_of`."""
    breaks = [
        Break(before.text, line.text, edges.room_em(before))
        for paragraph in paragraphs
        for before, line in pairwise(paragraph)
    ]
    spaces = iter(spaces_at(breaks, training))
    return [_text(paragraph, spaces) for paragraph in paragraphs]


def _text(paragraph: _Paragraph, spaces: Iterator[bool]) -> str:
    ends = []
    for line in paragraph[:-1]:
        space = next(spaces) and not line.text.endswith(SOFT_HYPHEN)
        ends.append(line.text.strip() + (" \n" if space else "\n"))
    return "".join(ends) + paragraph[-1].text.strip()


# --- headings ------------------------------------------------------------------------


def _heading_levels(
    paragraphs: Sequence[_Paragraph], texts: Sequence[str], outline: Outline, level_of: LevelOf | None
) -> list[int]:
    """Level by paragraph, 0 for text; the outline decides where the file has one."""
    levels = _levels_by_outline(paragraphs, texts, outline)
    if any(levels):
        return levels
    body = body_size(line for p in paragraphs for line in p)
    latin = _latin_size(line for p in paragraphs for line in p)
    sizes = [
        _size_key(p[0]) if _is_heading(p, text, body if _has_wide(text) else max(body, latin)) else 0
        for p, text in zip(paragraphs, texts, strict=True)
    ]
    if level_of:
        found = zip(sizes, paragraphs, strict=True)
        return [level_of(p[0].size / body) if size else 0 for size, p in found]
    ranks = {size: rank for rank, size in enumerate(sorted({*sizes} - {0}, reverse=True), 1)}
    levels = [min(ranks.get(size, 0), _MAX_LEVELS) for size in sizes]
    chars = sum(len(text) for text, level in zip(texts, levels, strict=True) if level)
    return levels if chars <= MAX_HEADING_SHARE * sum(map(len, texts)) else [0] * len(texts)


def _latin_size(lines: Iterable[Line]) -> float:
    """Type size of most Latin letters and digits inside lines of Hangul; 0 without any."""
    return body_size(replace(line, size=line.latin) for line in lines if line.latin and _has_wide(line.text))


def _has_wide(text: str) -> bool:
    return any(char > "\u1100" and char.isalnum() for char in text)


def _is_heading(paragraph: _Paragraph, text: str, body: float) -> bool:
    return (
        paragraph[0].size >= HEADING_RATIO * body
        and len(text) <= MAX_HEADING_CHARS
        and any(char.isalpha() for char in text)
    )


def _levels_by_outline(paragraphs: Sequence[_Paragraph], texts: Sequence[str], outline: Outline) -> list[int]:
    left = {page: _by_letters(titles) for page, titles in outline.items()}
    levels = []
    for paragraph, text in zip(paragraphs, texts, strict=True):
        found = left.get(paragraph[0].page, {}).get(_squeeze(text))
        levels.append(found.pop(0) if found else 0)
    return levels


def _by_letters(titles: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """Levels in order by a title's letters: those of two titles may be the same."""
    levels: dict[str, list[int]] = defaultdict(list)
    for title, level in titles:
        if key := _squeeze(title):
            levels[key].append(level)
    return levels


def _squeeze(text: str) -> str:
    """Letters only: an outline drops or adds numbers, spaces and signs."""
    return "".join(char for char in text.casefold() if char.isalpha())
