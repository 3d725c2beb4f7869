"""What HWP and HWPX share: paragraphs with tables in them, cells by address, previews."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas.document import Element, ElementKind, PartProblem
from tasks.parsing.tables import table_elements

MAX_SPAN = 100
MAX_LABEL_CHARS = 200
"""Only a short text of a merged cell stands in every row of it."""

MAX_HEADING_CHARS = 200
"""Some authors number whole paragraphs by outline levels; those are text."""

_HEADING_NAME = re.compile(r"(?:개요|제목|outline|heading)\s*(\d{1,2})$", re.I)
_PREVIEW_ROW = re.compile(r"<[^<>]*>(?:<[^<>]*>)+")


@dataclass(frozen=True, slots=True)
class Style:
    """What a paragraph is."""

    kind: ElementKind = "text"
    level: int = 0


TEXT = Style()
PREVIEW_ONLY = PartProblem(
    "body",
    "ParseFailed",
    "Only the preview (the beginning of the text) was read. "
    "Save the file in Hangul as an ordinary document, not for distribution.",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's place in its table, what it spans, and what is in it."""

    row: int
    column: int
    down: int
    across: int
    blocks: tuple[Element, ...]


def style_named(name: str) -> Style:
    """The style that a name tells ("개요 2" is a heading of level 2), text for all others."""
    match = _HEADING_NAME.match(name.strip())
    return Style("heading", max(int(match[1]), 1)) if match else TEXT


def flow(items: Iterable[str | tuple[Element, ...]], style: Style) -> Iterator[Element]:
    """Elements of a paragraph: its text, cut where blocks stand in it."""
    text: list[str] = []
    for item in items:
        if isinstance(item, str):
            text.append(item)
        else:
            yield from _element("".join(text), style)
            yield from item
            text.clear()
    yield from _element("".join(text), style)


def _element(text: str, style: Style) -> Iterator[Element]:
    text = text.strip()
    if not text:
        return
    if style.kind == "heading" and len(text) <= MAX_HEADING_CHARS:
        yield Element(" ".join(text.split()), "heading", level=style.level)
    elif style.kind == "list_item":
        yield Element("- " + text, "list_item")
    else:
        yield Element(text)


def table_blocks(cells: Sequence[Cell]) -> tuple[Element, ...]:
    """A table, then the tables inside its cells; a table of one cell is a frame around its blocks.

    A cell's text stands in each row that the cell spans, and in its first column only: a label at
    the side names every row, a heading across would be repeated for nothing.
    """
    if len(cells) == 1:
        return cells[0].blocks
    nested = (block for cell in cells for block in cell.blocks if block.kind == "table")
    return (*table_elements(_grid(cells)), *nested)


def _grid(cells: Sequence[Cell]) -> list[list[str]]:
    """Rows of texts; in the order of the cells where their places cannot be true."""
    height = max((cell.row for cell in cells), default=-1) + 1
    width = max((cell.column for cell in cells), default=-1) + 1
    if height * width > 10 * len(cells) + 1000:
        return [[_text(cell)] for cell in cells]
    rows = [[""] * width for _ in range(height)]
    for cell in cells:
        text = _text(cell)
        down = min(max(cell.down, 1), MAX_SPAN) if len(text) <= MAX_LABEL_CHARS else 1
        for row in rows[cell.row : cell.row + down]:
            row[cell.column] = row[cell.column] or text
    return rows


def _text(cell: Cell) -> str:
    return " ".join(block.text for block in cell.blocks if block.kind != "table")


def preview_elements(text: str) -> tuple[Element, ...]:
    """Elements of a preview text, in which a table's row is a line of ``<cell><cell>``."""
    elements: list[Element] = []
    rows: list[list[str]] = []
    for line in [*text.replace("\0", "").splitlines(), ""]:
        if _PREVIEW_ROW.fullmatch(line.strip()):
            rows.append(line.strip()[1:-1].split("><"))
            continue
        elements += table_elements(rows)
        rows.clear()
        if line.strip():
            elements.append(Element(line.strip()))
    return tuple(elements)
