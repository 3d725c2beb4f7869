"""Spaces in a PDF's Korean text that nobody sees on the page.

LibreOffice draws the spaces of a run after its letters, wherever they belong: PDFium gives
one more between the run's end and what follows ("것이다 ."), and a real one where each was
drawn. And it takes the fifth of an em that typesetting leaves between Hangul and digits
for a space ("제 2").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.parsing.pdf_chars import box, is_generated, size

if TYPE_CHECKING:
    import pypdfium2

MIN_SPACE_EM = 0.235
"""Of the larger type: spaces of common fonts have 0.25 em and more, LibreOffice's gap between scripts 0.2."""

_SLACK_EM = 0.05
_CELL_EM = 1.0
# Where fonts change: after a sentence's end the space is the font's own.
_SWITCH = re.compile(
    "(?<=[\uac00-\ud7a3]) (?=[^\uac00-\ud7a3\\s])|(?<=[0-9A-Za-z)%\u2103]) (?=[\uac00-\ud7a3])"
)


def false_spaces(textpage: pypdfium2.PdfTextPage, text: str) -> frozenset[int]:
    """Indexes in the page's text of spaces between Hangul and other signs that stand close together."""
    return frozenset(_false_spaces(textpage, text))


def _false_spaces(textpage: pypdfium2.PdfTextPage, text: str) -> Iterator[int]:
    row_end, is_row = -1, False
    for match in _SWITCH.finditer(text):
        at = match.start()
        before, after = box(textpage, at - 1), box(textpage, at + 1)
        em = max(size(textpage, at - 1), size(textpage, at + 1))
        same_line = before[1] < after[3] and after[1] < before[3]
        if not same_line or not -em < after[0] - before[2] < MIN_SPACE_EM * em:
            continue
        if not is_generated(textpage, at):
            if not _is_between(box(textpage, at)[0], before[2], after[0], em):
                yield at
            continue
        if at > row_end:
            row_end = text.find("\n", at) % (len(text) + 1)
            is_row = _has_wide_gap(textpage, text, text.rfind("\n", 0, at) + 1, row_end, em)
        if not is_row:
            yield at


def _has_wide_gap(textpage: pypdfium2.PdfTextPage, text: str, start: int, end: int, em: float) -> bool:
    """Whether the line has cells: two of them may stand as close as letters of a word."""
    spaces = (i for i in range(start + 1, end - 1) if text[i] == " ")
    return any(box(textpage, i + 1)[0] - box(textpage, i - 1)[2] > _CELL_EM * em for i in spaces)


def _is_between(x: float, left: float, right: float, em: float) -> bool:
    return left - _SLACK_EM * em <= x <= right + _SLACK_EM * em
