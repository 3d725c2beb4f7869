"""Units of code: lines, best cut where a definition starts, then at blank lines."""

from __future__ import annotations

import re

from tasks.chunking.runs import Run, Units
from tasks.chunking.sentences import HEADING, PARAGRAPH, SECTION, SENTENCE, Piece

_DEFINITION = re.compile(
    r"\s*(?:@|(?:export |public |private |protected |static |async |default |pub |abstract |final )*"
    r"(?:def|class|function|func|fn|interface|struct|enum|impl|trait|module|namespace)\b)"
)


def split_code(text: str, run: Run) -> Units:
    """Lines of the run's blocks; the white space that indents a line belongs to it."""
    units = Units([])
    for block in run.blocks:
        if block.kind == "heading":
            units.pieces.append((block.start, block.end, HEADING))
        else:
            units.pieces.extend(_split_lines(text, block.start, block.end))
    return units


def _split_lines(text: str, start: int, end: int) -> list[Piece]:
    pieces: list[Piece] = []
    blank = False
    position = start
    for line in text[start:end].splitlines(keepends=True):
        bare = line.rstrip()
        if bare:
            if blank and pieces:
                rank = SECTION if _DEFINITION.match(bare) else PARAGRAPH
                pieces[-1] = (*pieces[-1][:2], rank)
            pieces.append((position, position + len(bare), SENTENCE))
        blank = not bare
        position += len(line)
    if pieces:
        pieces[-1] = (*pieces[-1][:2], PARAGRAPH)
    return pieces
