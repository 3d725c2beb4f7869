"""Units of a Markdown table: its rows, under a header that every chunk repeats."""

from __future__ import annotations

from tasks.chunking.runs import Run, Units
from tasks.chunking.sentences import HEADING, SENTENCE, Piece

_RULE_CHARACTERS = frozenset("|-: \t")


def split_table(text: str, run: Run) -> Units:
    """Rows of the run's table; headings before it and its header rows are the header."""
    table = run.blocks[-1]
    rows = _split_rows(text, table.start, table.end)
    if len(rows) < 3 or not _is_rule(text[slice(*rows[1][:2])]):
        return Units([(block.start, block.end, HEADING) for block in run.blocks[:-1]] + rows)
    start = run.blocks[0].start
    return Units(rows[2:], header=text[start : rows[1][1]], header_start=start)


def _is_rule(row: str) -> bool:
    return "-" in row and _RULE_CHARACTERS.issuperset(row)


def _split_rows(text: str, start: int, end: int) -> list[Piece]:
    rows: list[Piece] = []
    position = start
    for line in text[start:end].splitlines(keepends=True):
        bare = line.strip()
        if bare:
            begin = position + len(line) - len(line.lstrip())
            rows.append((begin, begin + len(bare), SENTENCE))
        position += len(line)
    return rows
