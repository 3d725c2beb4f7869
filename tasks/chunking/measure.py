"""Units with their token counts, none of them too long to be a chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.chunking.runs import Units
from tasks.chunking.sentences import (
    HEADING,
    Piece,
    split_characters,
    split_clauses,
    split_words,
)

# A tokenizer can make one token of any word it does not know (MiniLM's: over 100
# characters). Counting at least one token per 8 characters keeps such chunks readable;
# text in no language we know has as many.
_MAX_CHARACTERS_PER_TOKEN = 8
_Splitter = Callable[[str, Piece], list[Piece]]
_SPLITTERS: tuple[_Splitter, ...] = (split_clauses, split_words, split_characters)


class Counter(Protocol):
    """What chunking needs of a tokenizer."""

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text, special tokens not counted."""


def count_costs(texts: Sequence[str], counter: Counter) -> NDArray[np.int64]:
    """(N,) cost of each text in tokens, at least one per 8 characters."""
    tokens = np.asarray(counter.count(texts), dtype=np.int64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    return np.maximum(tokens, -(-lengths // _MAX_CHARACTERS_PER_TOKEN))


def measure(
    text: str, runs: Sequence[Units], counter: Counter, maximum: int
) -> list[tuple[list[Piece], NDArray[np.int64], int]]:
    """Per run: pieces, their costs, and the room a chunk has beside the run's header.

    A header that would take more than half of a chunk is not repeated: its rows become
    pieces. Pieces longer than the room are split at clauses, then words, then characters;
    headings are joined to the piece after them.
    """
    rooms = _make_room(text, runs, counter, maximum)
    owners = [index for index, run in enumerate(runs) for _ in run.pieces]
    pieces = [piece for run in runs for piece in run.pieces]
    costs = count_costs([text[start:end] for start, end, _ in pieces], counter)
    for splitter in _SPLITTERS:
        limits = _limit(pieces, costs, owners, rooms)
        long = np.flatnonzero(costs > limits)
        if not len(long):
            break
        pieces, costs, owners = _split(text, pieces, costs, owners, long.tolist(), splitter, counter)
    return _gather(pieces, costs, owners, rooms)


def _make_room(text: str, runs: Sequence[Units], counter: Counter, maximum: int) -> list[int]:
    headers = [run for run in runs if run.header]
    rooms = {id(run): maximum for run in runs}
    if headers:
        costs = count_costs([run.header for run in headers], counter)
        for run, cost in zip(headers, costs.tolist(), strict=True):
            if cost <= maximum // 2:
                rooms[id(run)] = maximum - cost
            else:
                end = run.header_start + len(run.header)
                run.pieces.insert(0, (run.header_start, end, HEADING))
                run.header = ""
    return [rooms[id(run)] for run in runs]


def _limit(
    pieces: list[Piece], costs: NDArray[np.int64], owners: list[int], rooms: list[int]
) -> NDArray[np.int64]:
    """What each piece may cost: headings before it need their room in the same chunk."""
    limits = np.array([rooms[owner] for owner in owners], dtype=np.int64)
    heading_cost = 0
    for index, (_, _, rank) in enumerate(pieces):
        if heading_cost:
            limits[index] -= min(heading_cost, limits[index] // 2)
        heading_cost = heading_cost + int(costs[index]) if rank == HEADING else 0
    return limits


def _split(
    text: str,
    pieces: list[Piece],
    costs: NDArray[np.int64],
    owners: list[int],
    long: Iterable[int],
    splitter: _Splitter,
    counter: Counter,
) -> tuple[list[Piece], NDArray[np.int64], list[int]]:
    parts = {index: splitter(text, pieces[index]) for index in long}
    flat = [part for group in parts.values() for part in group]
    flat_costs = iter(count_costs([text[s:e] for s, e, _ in flat], counter).tolist())
    new_pieces: list[Piece] = []
    new_costs: list[int] = []
    new_owners: list[int] = []
    for index, (piece, cost, owner) in enumerate(zip(pieces, costs.tolist(), owners, strict=True)):
        group = parts.get(index, [piece])
        new_pieces.extend(group)
        new_costs.extend([next(flat_costs) for _ in group] if index in parts else [cost])
        new_owners.extend([owner] * len(group))
    return new_pieces, np.asarray(new_costs, dtype=np.int64), new_owners


def _gather(
    pieces: list[Piece], costs: NDArray[np.int64], owners: list[int], rooms: list[int]
) -> list[tuple[list[Piece], NDArray[np.int64], int]]:
    bounds = np.searchsorted(np.asarray(owners, dtype=np.int64), np.arange(len(rooms) + 1))
    result = []
    for first, end, room in zip(bounds[:-1], bounds[1:], rooms, strict=True):
        joined, sizes = _join_headings(pieces[first:end], costs[first:end].tolist(), room)
        result.append((joined, np.asarray(sizes, dtype=np.int64), room))
    return result


def _join_headings(pieces: list[Piece], costs: list[int], room: int) -> tuple[list[Piece], list[int]]:
    joined: list[Piece] = []
    sizes: list[int] = []
    for (start, end, rank), cost in zip(pieces, costs, strict=True):
        if joined and joined[-1][2] == HEADING and sizes[-1] + cost <= room:
            joined[-1] = (joined[-1][0], end, rank)
            sizes[-1] += cost
        else:
            joined.append((start, end, rank))
            sizes.append(cost)
    return joined, sizes
