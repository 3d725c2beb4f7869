"""Tables as Markdown, for every parser."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.document import Element


def table_elements(rows: Sequence[Sequence[str]], page: int | None = None) -> tuple[Element, ...]:
    """The table as one element, none if it has no text."""
    text = markdown_table(rows)
    return (Element(text, "table", page=page),) if text else ()


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    r"""Markdown rows, the first one as header; "" without text. Short rows are filled up.

    >>> print(markdown_table([["a", "b"], ["1|2"]]))
    | a | b |
    | --- | --- |
    | 1\|2 |  |
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(max(i + 1 for i, cell in enumerate(row) if cell) for row in cells)
    lines = [_line((row + [""] * width)[:width]) for row in cells]
    lines.insert(1, _line(["---"] * width))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
