"""Plain text: paragraphs, lists, and lines that were wrapped at a column."""

from __future__ import annotations

import re

from schemas.document import ParsedDocument, PartProblem
from tasks.parsing.encodings import Decoded, bom_encoding, decode, decode_counted, encoding_of
from tasks.parsing.wrapping import unwrap

__all__ = ["bom_encoding", "decode", "encoding_of", "parse", "problems_of", "split_blank_lines"]

MAX_INVALID = 3
"""More bytes than this without a character in the encoding are told."""

_BLANK_LINES = re.compile(r"\n[ \t\f\u3000]*(?:\n[ \t\f\u3000]*)+")


def parse(data: bytes) -> ParsedDocument:
    """One element per paragraph or list item; paragraphs are apart by blank lines.

    Where the lines were clearly wrapped at a column the elements are `Element.wrapped`.
    """
    decoded = decode_counted(data)
    elements = unwrap(split_blank_lines(decoded.text))
    return ParsedDocument("text", "text/plain", elements, problems=problems_of(decoded))


def problems_of(decoded: Decoded) -> tuple[PartProblem, ...]:
    """That characters are lost, where more than a few are."""
    if decoded.invalid <= MAX_INVALID:
        return ()
    message = (
        f"{decoded.invalid} characters could not be read as {decoded.encoding}. "
        "Save the file as UTF-8 with the application that wrote it."
    )
    return (PartProblem("characters", "UnicodeDecodeError", message),)


def split_blank_lines(text: str) -> list[str]:
    """The parts between blank lines, indentation kept, none of them empty."""
    # One pass without look-ahead: runs of blank lines must not cost quadratic time.
    ends = [(m.start(), m.end()) for m in _BLANK_LINES.finditer(text)]
    starts = [0, *(text.rfind("\n", start, end) + 1 for start, end in ends)]
    stops = [*(start for start, _ in ends), len(text)]
    parts = (text[a:b].strip("\n") for a, b in zip(starts, stops, strict=True))
    return [part for part in parts if part.strip()]
