"""Pandoc's simple tables, whose columns are marked by dashes, as tables that CommonMark readers know."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.parsing.tables import markdown_table
from tasks.parsing.wrapping import display_width

_RULE = re.compile(r" {0,3}-{2,}(?: +-{2,})+ *$")
_RULE_ANYWHERE = re.compile(r"^ {0,3}-{2,}(?: +-{2,})+ *$", re.M)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
MAX_COLUMNS = 64


def with_pipe_tables(body: str) -> str:
    """The text with each simple table written with pipes; fenced code stays as it is."""
    if not _RULE_ANYWHERE.search(body):
        return body
    lines, out, fence, at = body.split("\n"), [""], "", 0
    while at < len(lines):
        line = lines[at]
        if mark := _FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        end = 0 if fence or not _RULE.match(line) else _table_end(lines, at)
        is_below = bool(end and out[-1].strip() and not out[-2].strip())
        if table := _table([out[-1], *lines[at + 1 : end]], line) if is_below else []:
            out[-1:] = table
            at = end + (end < len(lines) and bool(_RULE.match(lines[end])))
        else:
            out.append(line)
            at += 1
    return "\n".join(out[1:])


def _table_end(lines: Sequence[str], rule: int) -> int:
    """Where the rows below the rule end, 0 where there are none."""
    end = rule + 1
    while end < len(lines) and lines[end].strip() and not _RULE.match(lines[end]):
        end += 1
    return end if end > rule + 1 else 0


def _table(rows: Sequence[str], rule: str) -> list[str]:
    """The lines of the table, none where a text crosses the columns."""
    starts = [match.start() for match in re.finditer("-+", rule)][:MAX_COLUMNS]
    cells = [_cells(row, starts) for row in rows]
    return ["", *markdown_table(cells).split("\n"), ""] if all(cells) else []


def _cells(row: str, starts: Sequence[int]) -> list[str]:
    """The row's texts by the columns of the rule, none where one crosses into the next column."""
    cells = [""] * len(starts)
    column = place = 0
    for char in row:
        while column + 1 < len(starts) and place >= starts[column + 1]:
            if not cells[column][-1:].isspace() and cells[column]:
                return []
            column += 1
        cells[column] += char
        place += display_width(char)
    return [cell.strip() for cell in cells]
