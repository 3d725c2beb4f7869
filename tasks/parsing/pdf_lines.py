"""The lines of a PDF page with their place and type size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from tasks.parsing.pdf_chars import baseline, box, size
from tasks.parsing.pdf_spaces import false_spaces

if TYPE_CHECKING:
    import pypdfium2

_LINE_END = re.compile("\r\n|\n|\ufffe")
_HYPHENATED = "\ufffe"
"""PDFium's sign for a hyphen at a line end; it comes without the line end."""

SOFT_HYPHEN = "\u00ad"

_DEPTH = 0.2
"""Of a line below its baseline, in em."""

_SMALL = 0.8
_RAISED_EM = 0.15
_TOUCHING_EM = 0.5
_MARK = re.compile(r"(?:\d{1,3}|[a-z]|[*†‡§]{1,3})\)?")
_SAMPLED = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line as PDFium gives it; places in points, y upward.

    A space at its end or start is one that the file itself has there; a soft hyphen at its
    end stands for a hyphen there. Where its bottom can be told, it is a fifth of an em under the
    baseline, whatever its letters.

    Attributes:
        size: type size in points, that of the Hangul where it has some.
        latin: type size of its other letters and digits, 0 where it has none or it is not known:
            Korean layouts often set them in another size.
    """

    text: str
    page: int
    left: float
    right: float
    bottom: float
    top: float
    size: float
    latin: float = 0.0


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in the order of the content; `number` from 1."""

    number: int
    height: float
    lines: tuple[Line, ...]


def read_page(textpage: pypdfium2.PdfTextPage, number: int, height: float) -> Page:
    """The page's lines that have text.

    Only a few characters of a line are measured: that is what keeps this at 1 to 2 ms a page.
    """
    text = textpage.get_text_range()
    false = false_spaces(textpage, text)
    lines, start = [], 0
    for match in _LINE_END.finditer(text + "\n"):
        raw = text[start : match.start()]
        if raw.strip():
            shown = "".join(char for i, char in enumerate(raw, start) if i not in false)
            hyphen = SOFT_HYPHEN if match[0] == _HYPHENATED else ""
            line = _measure(textpage, raw, number, start)
            lines.append(replace(line, text=shown.replace("\r", " ") + hyphen))
        start = match.end()
    return Page(number, height, tuple(_with_marks(lines)))


def _measure(textpage: pypdfium2.PdfTextPage, raw: str, number: int, start: int) -> Line:
    first = start + len(raw) - len(raw.lstrip())
    last = start + len(raw.rstrip()) - 1
    left, bottom, right1, top = box(textpage, first)
    left2, bottom2, right, top2 = box(textpage, last)
    bottom, top = min(bottom, bottom2), max(top, top2)
    type_size, latin = _sizes(textpage, raw, start)
    type_size = type_size or size(textpage, last) or top - bottom
    stands = [y for y in (baseline(textpage, first), baseline(textpage, last)) if y is not None]
    if stands and max(stands) - min(stands) < 0.5 * type_size:
        bottom = min(stands) - _DEPTH * type_size
        top = bottom + type_size
    return Line(raw, number, min(left, left2), max(right, right1), bottom, top, type_size, latin)


def _sizes(textpage: pypdfium2.PdfTextPage, raw: str, start: int) -> tuple[float, float]:
    """`Line.size` and `Line.latin` by a few letters of each kind; signs may have any size."""
    letters = [i for i, char in enumerate(raw) if char.isalnum()]
    wide = [i for i in letters if raw[i] > "\u1100"]
    other = [i for i in letters if raw[i] <= "\u1100"]
    of_wide, of_other = (
        [found for i in _sample(part) if (found := size(textpage, start + i))] for part in (wide, other)
    )
    latin = _usual(of_other)
    return _usual(of_wide) or latin, latin


def _usual(sizes: list[float]) -> float:
    """Code among the words is smaller: it must not make its line so."""
    return max(median(sizes), sizes[-1]) if sizes else 0.0


def _sample(places: list[int]) -> list[int]:
    """The first, one between and the last."""
    return places if len(places) <= _SAMPLED else [places[0], places[len(places) // 2], places[-1]]


# --- footnote marks ---------------------------------------------------------------------


def _with_marks(lines: Iterable[Line]) -> list[Line]:
    """The lines, with raised marks, which PDFium takes for lines, and what follows them put back."""
    result: list[Line] = []
    after_mark = False
    for line in lines:
        is_mark = bool(result) and _is_mark(line, result[-1])
        if is_mark or (after_mark and _goes_on(result[-1], line)):
            before = result[-1]
            result[-1] = replace(before, text=before.text + line.text, right=line.right)
        else:
            result.append(line)
        after_mark = is_mark
    return result


def _is_mark(line: Line, before: Line) -> bool:
    raised = line.bottom - before.bottom
    return (
        line.size < _SMALL * before.size
        and _RAISED_EM * before.size < raised < before.size
        and _touches(before, line)
        and bool(_MARK.fullmatch(line.text.strip()))
    )


def _goes_on(before: Line, line: Line) -> bool:
    return abs(line.bottom - before.bottom) < _RAISED_EM * before.size and _touches(before, line)


def _touches(before: Line, line: Line) -> bool:
    return abs(line.left - before.right) < _TOUCHING_EM * before.size
