"""A document as runs: stretches of prose, single tables, single definitions of code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.chunk import ChunkKind
from schemas.document import Block
from tasks.chunking.sentences import Piece


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring blocks that are cut together; no chunk reaches over a run's end.

    Attributes:
        kind: kind of the chunks that come from it.
        blocks: in reading order; headings right before a table or code go with it.
    """

    kind: ChunkKind
    blocks: tuple[Block, ...]


@dataclass(slots=True)
class Units:
    """What a run is made of, in order.

    Attributes:
        pieces: (start, end, rank of the boundary after it).
        header: text that each chunk of the run repeats in front: a table's header rows.
        header_start: where that text stands in the document.
    """

    pieces: list[Piece]
    header: str = ""
    header_start: int = 0


def split_runs(blocks: Sequence[Block]) -> list[Run]:
    """Blocks with text, grouped; a run of prose never ends with headings it could pass on."""
    runs: list[Run] = []
    open_blocks: list[Block] = []
    for block in blocks:
        if not block.text.strip():
            continue
        if block.kind not in ("table", "code"):
            open_blocks.append(block)
            continue
        prose, headings = _split_trailing_headings(open_blocks)
        open_blocks = []
        if prose:
            runs.append(Run("text", tuple(prose)))
        if _continues_code(runs, headings, block, joinable=not prose):
            runs[-1] = Run("code", (*runs[-1].blocks, block))
        else:
            runs.append(Run("table" if block.kind == "table" else "code", (*headings, block)))
    if open_blocks:
        runs.append(Run("text", tuple(open_blocks)))
    return runs


def _continues_code(runs: list[Run], headings: list[Block], block: Block, *, joinable: bool) -> bool:
    """Lines of a module that belong to no definition, in a row: imports, constants.

    Definitions stay alone, so that adding one changes one chunk.
    """
    if not (joinable and runs and runs[-1].kind == "code" and block.kind == "code"):
        return False
    return not (headings or block.symbol or runs[-1].blocks[-1].symbol)


def _split_trailing_headings(blocks: list[Block]) -> tuple[list[Block], list[Block]]:
    end = len(blocks)
    while end and blocks[end - 1].kind == "heading":
        end -= 1
    return blocks[:end], blocks[end:]
