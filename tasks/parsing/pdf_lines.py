"""The lines of a PDF page with their place and type size."""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pypdfium2

_LINE_END = re.compile("\r\n|\n|\ufffe")
_HYPHENATED = "\ufffe"
"""PDFium's sign for a hyphen at a line end; it comes without the line end."""

SOFT_HYPHEN = "\u00ad"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as PDFium gives it; places in points, y upward.

    A space at its end or start is one that the file itself has there; a soft hyphen at its
    end stands for a hyphen there.
    """

    text: str
    page: int
    left: float
    right: float
    bottom: float
    top: float
    size: float


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in the order of the content; `number` from 1."""

    number: int
    height: float
    lines: tuple[Line, ...]


def read_page(textpage: pypdfium2.PdfTextPage, number: int, height: float) -> Page:
    """The page's lines that have text.

    Only the first and last character of a line are measured: that is what keeps this at
    about 1 ms a page.
    """
    text = textpage.get_text_range()
    lines, start = [], 0
    for match in _LINE_END.finditer(text + "\n"):
        raw = text[start : match.start()]
        if raw.strip():
            first = start + len(raw) - len(raw.lstrip())
            last = start + len(raw.rstrip()) - 1
            hyphen = SOFT_HYPHEN if match[0] == _HYPHENATED else ""
            lines.append(_measure(textpage, raw.replace("\r", " ") + hyphen, number, first, last))
        start = match.end()
    return Page(number, height, tuple(lines))


def _measure(textpage: pypdfium2.PdfTextPage, raw: str, number: int, first: int, last: int) -> Line:
    left, bottom, right1, top = _box(textpage, first)
    left2, bottom2, right, top2 = _box(textpage, last)
    return Line(
        raw,
        number,
        min(left, left2),
        max(right, right1),
        min(bottom, bottom2),
        max(top, top2),
        _size(textpage, last) or top - bottom,  # the first may be a bullet of its own size
    )


def _box(textpage: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    from pypdfium2 import raw

    box = raw.FS_RECTF()
    char = raw.FPDFText_GetCharIndexFromTextIndex(textpage.raw, index)
    raw.FPDFText_GetLooseCharBox(textpage.raw, max(char, 0), ctypes.byref(box))
    return box.left, box.bottom, box.right, box.top


def _size(textpage: pypdfium2.PdfTextPage, index: int) -> float:
    """Type size on the page: the font's size as scaled by the text matrix."""
    from pypdfium2 import raw

    char = max(raw.FPDFText_GetCharIndexFromTextIndex(textpage.raw, index), 0)
    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(textpage.raw, char, ctypes.byref(matrix)):
        return 0.0
    size: float = raw.FPDFText_GetFontSize(textpage.raw, char)
    return size * math.hypot(matrix.c, matrix.d)
