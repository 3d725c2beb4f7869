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
    cells = [row for row in map(_cells, rows) if any(row)]
    if not cells:
        return ""
    width = max(map(_width, cells))
    lines = [_line((row + [""] * width)[:width]) for row in cells]
    lines.insert(1, _line(["---"] * width))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(row: Sequence[str]) -> list[str]:
    """The row's cells on one line each; most rows are right already, which is seen at once for all cells."""
    line = "\0".join(("", *row, ""))
    is_tidy = "|" not in line and "\0 " not in line and " \0" not in line and " ".join(line.split()) == line
    return list(row) if is_tidy else [_cell(cell) for cell in row]


def _width(row: Sequence[str]) -> int:
    """Number of cells up to the last one with text."""
    width = len(row)
    while width and not row[width - 1]:
        width -= 1
    return width


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
