"""Rows of RTF tables on one grid: a row tells the right edges of its cells, no column numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

MAX_COLUMNS = 64
"""Word has 63; a short row is filled up to the longest one."""

MAX_LABEL_CHARS = 200
"""Only a short text of a merged cell stands in every row of it."""

EDGE_TWIPS = 45
"""Edges so near are one (0.8 mm)."""


@dataclass(frozen=True, slots=True)
class Row:
    """Texts of the cells in order, how each is merged, and their right edges in twips."""

    cells: list[str]
    merges: list[frozenset[str]]
    edges: list[int]


def row_texts(rows: Sequence[Row]) -> list[list[str]]:
    """The texts by columns: a wide cell in its first one, a tall cell in each of its rows."""
    grid = max((row.edges for row in rows if len(row.edges) <= MAX_COLUMNS), key=len, default=[])
    found: list[list[str]] = []
    for row in rows:
        places = _places(row, grid)
        texts = [""] * (places[-1] + 1 if places else 0)
        above = found[-1] if found else []
        for cell, (text, place) in enumerate(zip(row.cells, places, strict=True)):
            is_tall = cell < len(row.merges) and "clvmrg" in row.merges[cell]
            if is_tall and place < len(above) and len(above[place]) <= MAX_LABEL_CHARS:
                text = text or above[place]
            texts[place] = text
        found.append(texts)
    return found


def _places(row: Row, grid: Sequence[int]) -> list[int]:
    """The column of each cell; one after the other where the edges are not those of the grid."""
    count = len(row.cells)
    if count in (0, len(grid)) or count != len(row.edges) or row.edges != sorted(row.edges):
        return list(range(count))
    ends = [_nearest(grid, edge) for edge in row.edges]
    if -1 in ends or len(set(ends)) < count:
        return list(range(count))
    return [0, *(end + 1 for end in ends[:-1])]


def _nearest(grid: Sequence[int], edge: int) -> int:
    """The place of the edge in the grid, -1 where it has none."""
    at = bisect_left(grid, edge - EDGE_TWIPS)
    return at if at < len(grid) and abs(grid[at] - edge) <= EDGE_TWIPS else -1
