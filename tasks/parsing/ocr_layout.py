"""From the words that tesseract finds to lines, columns and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import median

from schemas.document import Element
from tasks.parsing.pdf_layout import elements_of
from tasks.parsing.pdf_lines import Line, Page

MIN_WORD_CONFIDENCE = 15.0
MIN_LINE_CONFIDENCE = 45.0
MIN_SHORT_LINE_CONFIDENCE = 70.0
"""Of a line of one or two letters: specks read as letters."""

_GHOST_OVERLAP = 0.6
_SAME_SIZE = (0.7, 1.3)
_HEADINGS = ((1.6, 1), (1.3, 2))
_MIN_COLUMN_LINES = 8
_MIN_FILL = 0.7
_MIN_COLUMN_WIDTH = 0.3
_MIN_WORDS = 3
_GUTTER = 0.012
_MAX_CROSSING = 0.2
_LOOK_AHEAD = 200
_RULE = re.compile(r"[|ㅣ_—–=~¦!\[\]{}]+|[-—–]{2,}")
_STUCK_RULE = re.compile(r"^[|_]+(?=\d)|^\|+(?=\w)|(?<=\w)\|+$")
# A sentence's end and the Latin word behind it, read in one: "없다" and ".8654116".
_STUCK = re.compile("(?:.?[\uac00-\ud7a3] (?=[.?!])|[\uac00-\ud7a3][.?!] (?=\\w))([.?!]?)(\\w{2,}.*)")
_HANGUL = re.compile("[\uac00-\ud7a3]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word in pixels, y downward; `line` is the same for words of one line."""

    text: str
    confidence: float
    left: int
    top: int
    right: int
    bottom: int
    line: tuple[int, int, int]


def words_of(answer: str) -> list[Word]:
    """The words of tesseract's TSV, followed by its plain text, which alone has the spaces.

    In the TSV a Korean word is in pieces. Rows that are none or broken are left out.
    """
    pieces, end = [], 0
    for row in answer.splitlines(keepends=True):
        fields = row.rstrip("\n").split("\t")
        if len(fields) == 12:
            end += len(row)
            if fields[0] == "5" and fields[11].strip():
                pieces.append(_piece(fields))
    return _joined(pieces, answer[end:])


def _piece(fields: list[str]) -> Word:
    _, _, block, par, line, _, left, top, width, height = map(int, fields[:10])
    box = (left, top, left + width, top + height)
    text = _STUCK_RULE.sub("", fields[11].strip())
    return Word(text, float(fields[10]), *box, (block, par, line))


def _joined(pieces: Sequence[Word], text: str) -> list[Word]:
    """The pieces, those put together between which the text has no space."""
    words: list[Word] = []
    at = 0
    for piece in pieces:
        found = text.find(piece.text, at, at + len(piece.text) + _LOOK_AHEAD)
        together = found >= 0 and found == at > 0 and words[-1].line == piece.line
        at = found + len(piece.text) if found >= 0 else at
        if together and (stuck := _STUCK.fullmatch(words[-1].text[-2:] + " " + piece.text)):
            words[-1] = replace(words[-1], text=words[-1].text + stuck[1])
            words.append(replace(piece, text=stuck[2]))
            continue
        words[-1:] = [_both(words[-1], piece)] if together else [*words[-1:], piece]
    return words


def _both(word: Word, piece: Word) -> Word:
    length = len(word.text) + len(piece.text)
    return Word(
        word.text + piece.text,
        (word.confidence * len(word.text) + piece.confidence * len(piece.text)) / length,
        min(word.left, piece.left),
        min(word.top, piece.top),
        max(word.right, piece.right),
        max(word.bottom, piece.bottom),
        word.line,
    )


def confidence(words: Iterable[Word]) -> float:
    """Mean over the letters and digits, 0 to 100; 0 without any."""
    weighted = [(sum(map(str.isalnum, word.text)), word.confidence) for word in words]
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else 0.0


def hangul_share(words: Iterable[Word]) -> float:
    """Share of Hangul among the letters of the words."""
    text = "".join(word.text for word in words)
    letters = sum(map(str.isalpha, text))
    return len(_HANGUL.findall(text)) / letters if letters else 0.0


def elements_of_words(words: Sequence[Word], number: int, *, height: int, dpi: int) -> tuple[Element, ...]:
    """Paragraphs and headings of one page in reading order, columns one after the other.

    Args:
        words: line by line.
        number: the page's.
        height: of the image, in pixels.
        dpi: of the image.
    """
    rows = _without_ghosts([row for row in map(_without_noise, _rows(words)) if row])
    columns = _in_columns(rows)
    sizes = _sizes(columns)
    lines = [_line(row, number, size, height, dpi) for row, size in zip(columns, sizes, strict=True)]
    page = Page(number, height * 72 / dpi, tuple(lines))
    return tuple(map(_without_false_heading, elements_of([page], {}, level_of=_level)))


def _without_false_heading(element: Element) -> Element:
    """Sizes are measured from letters: a sentence that seems large is still a sentence."""
    is_sentence = element.kind == "heading" and element.text.rstrip().endswith((".", ",", ";"))
    return replace(element, kind="text", level=0) if is_sentence else element


_Row = list[Word]


def _rows(words: Sequence[Word]) -> Iterator[_Row]:
    for _, row in groupby(words, key=lambda word: word.line):
        yield list(row)


def _without_noise(row: _Row) -> _Row:
    """The line without ruled lines and specks read as signs; none where hardly anything is sure."""
    row = [word for word in row if word.confidence >= MIN_WORD_CONFIDENCE and not _RULE.fullmatch(word.text)]
    letters = sum(map(str.isalnum, "".join(word.text for word in row)))
    enough = MIN_SHORT_LINE_CONFIDENCE if letters < 3 else MIN_LINE_CONFIDENCE
    return row if letters and confidence(row) >= enough else []


def _without_ghosts(rows: list[_Row]) -> list[_Row]:
    """Without a line that lies in another: large type is read once by its upper half as well."""
    kept: list[_Row] = []
    for row in rows:
        if kept and _lie_together(kept[-1], row):
            kept[-1] = max(kept[-1], row, key=confidence)
        else:
            kept.append(row)
    return kept


def _lie_together(one: _Row, other: _Row) -> bool:
    (top, bottom), (top2, bottom2) = _extent(one), _extent(other)
    high = min(bottom, bottom2) - max(top, top2)
    wide = min(one[-1].right, other[-1].right) - max(one[0].left, other[0].left)
    narrower = min(one[-1].right - one[0].left, other[-1].right - other[0].left)
    return high > _GHOST_OVERLAP * min(bottom - top, bottom2 - top2) and wide > 0.5 * narrower


def _extent(row: _Row) -> tuple[float, float]:
    """Top and bottom as most words of the line have them: single boxes are far too high."""
    return median(word.top for word in row), median(word.bottom for word in row)


def _line(row: _Row, number: int, size: float, height: int, dpi: int) -> Line:
    pt = 72 / dpi
    left, right = min(word.left for word in row), max(word.right for word in row)
    top, bottom = _extent(row)
    text = " ".join(word.text for word in row)
    return Line(text, number, left * pt, right * pt, (height - bottom) * pt, (height - top) * pt, size * pt)


def _sizes(rows: Sequence[_Row]) -> list[float]:
    """Type size by line in pixels: the body's where it is near, for boxes vary with the letters."""
    heights = [bottom - top for top, bottom in map(_extent, rows)]
    body = median(heights) if heights else 0.0
    low, high = _SAME_SIZE
    return [body if low * body <= size <= high * body else size for size in heights]


def _level(ratio: float) -> int:
    """Level by size relative to the body's: pages are read alone, so ranks would not agree."""
    return next((level for least, level in _HEADINGS if ratio >= least), 0)


# --- columns ---------------------------------------------------------------------------


def _in_columns(rows: list[_Row]) -> list[_Row]:
    """The lines, of a page in two columns first those of the left one.

    Lines across both columns stay where they are and divide what is above from what is below.
    """
    middle = _gutter(rows)
    if middle is None:
        return rows
    result: list[_Row] = []
    right: list[_Row] = []
    for row in rows:
        if any(word.left < middle < word.right for word in row) or _is_across(row, middle):
            result, right = [*result, *right, row], []
            continue
        result += [[word for word in row if word.right <= middle]]
        right += [[word for word in row if word.left >= middle]]
    return [row for row in (*result, *right) if row]


def _is_across(row: _Row, middle: float) -> bool:
    """Whether the words around the gutter are no further apart than those of a line."""
    before = [word.right for word in row if word.right <= middle]
    after = [word.left for word in row if word.left >= middle]
    if not before or not after:
        return False
    return min(after) - max(before) < 0.5 * max(word.bottom - word.top for word in row)


def _gutter(rows: Sequence[_Row]) -> float | None:
    """Where the white space between two columns of running text lies, None without one.

    Columns of a table have white space too, but their cells do not fill it from both sides.
    """
    if len(rows) < _MIN_COLUMN_LINES:
        return None
    left = min(word.left for row in rows for word in row)
    right = max(word.right for row in rows for word in row)
    step = max((right - left) * _GUTTER, 1.0)
    places = [left + step * i for i in range(int(0.3 / _GUTTER), int(0.7 / _GUTTER) + 1)]
    crossing = {x: sum(any(w.left < x + step and w.right > x for w in row) for row in rows) for x in places}
    best = min(crossing.values())
    free = [x for x in places if crossing[x] == best]
    middle = median(free) + step / 2
    if best > _MAX_CROSSING * len(rows):
        return None
    sides = (
        [[word for word in row if word.right <= middle] for row in rows],
        [[word for word in row if word.left >= middle] for row in rows],
    )
    return middle if all(_is_text([part for part in side if part], right - left) for side in sides) else None


def _is_text(parts: Sequence[_Row], page_width: float) -> bool:
    """Whether most lines of a column are words that fill its width, and it is no narrow one."""
    if len(parts) < _MIN_COLUMN_LINES:
        return False
    width = median(part[-1].right for part in parts) - median(part[0].left for part in parts)
    filled = median(sum(word.right - word.left for word in part) for part in parts)
    words = median(map(len, parts))
    return width >= _MIN_COLUMN_WIDTH * page_width and filled >= _MIN_FILL * width and words >= _MIN_WORDS
