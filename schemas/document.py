"""What a parser returns and what is kept of a document."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ElementKind = Literal["heading", "text", "list_item", "table", "code"]


@dataclass(frozen=True, slots=True)
class Element:
    """One block of a document in reading order.

    Attributes:
        text: the block's text. A table is Markdown rows, the header row and its
            ``| --- |`` rule first; code keeps its lines and indentation; a list item
            carries its marker (``- ``, ``3. ``).
        kind: what the block is.
        level: of a heading, 1 is the outermost; 0 for everything else.
        page: 1-based page or slide, None where the format has none.
        symbol: of code, the qualified name of the definition (``Class.method``), else "".
        wrapped: True where line ends are the layout's, not the author's (PDF text):
            cleaning joins such lines. The parser says how: a space at a line's end is a
            space, a soft hyphen (U+00AD) divides a word, and nothing beside Hangul means
            that the word goes on.
    """

    text: str
    kind: ElementKind = "text"
    level: int = 0
    page: int | None = None
    symbol: str = ""
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts about a document, from the file itself where it has them, else from its path."""

    title: str | None = None
    author: str | None = None
    authored_at: datetime | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartProblem:
    """A part of a document that could not be read; the rest of it is indexed.

    Attributes:
        part: which (``page 3``, ``pages 3, 5-7``, ``sheet Umsatz``).
        error: class name of the error.
        message: what happened and what to do next.
    """

    part: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """The parser's result for given bytes: it does not depend on the document's path.

    Attributes:
        parser: name of the parser that made it (``pdf``, ``markdown``, ...).
        mime: media type decided from the content.
        elements: blocks in reading order; empty only where `scans` is not.
        metadata: what the file says of itself; unknown fields are None or empty.
        scans: 1-based pages without usable text, to be read by OCR.
        problems: parts that could not be read.
    """

    parser: str
    mime: str
    elements: tuple[Element, ...]
    metadata: Metadata = field(default_factory=Metadata)
    scans: tuple[int, ...] = ()
    problems: tuple[PartProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """An element after cleaning and masking, placed in the document's text."""

    text: str
    kind: ElementKind
    start: int
    end: int
    page: int | None
    heading: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class CleanDocument:
    """Cleaned and masked text. ``text[b.start:b.end] == b.text`` for each block.

    ``heading`` of a block is its heading path joined with " > ", outermost first.
    """

    text: str
    blocks: tuple[Block, ...]
