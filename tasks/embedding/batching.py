"""Batches by token budget: as many texts as fit, of nearly equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EmbeddingFailed

T = TypeVar("T")
Rows = NDArray[np.int64]


@dataclass(slots=True)
class TokenBudget:
    """Padded tokens of a batch; shrinks when the device runs out of memory, and stays so."""

    tokens: int


def plan_batches(
    lengths: Sequence[int] | Rows, budget: TokenBudget, *, most: int | None = None
) -> Iterator[Rows]:
    """Indices of texts, longest first, in batches of at most the budget's padded tokens.

    A text longer than the budget is a batch of its own. The budget is read anew for each
    batch, so lowering it takes effect at once.

    Args:
        lengths: tokens of each text.
        budget: padded tokens of a batch.
        most: texts of a batch.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        width = max(1, int(lengths[order[first]]))
        size = max(1, min(budget.tokens // width, most or len(order)))
        yield order[first : first + size]
        first += size


def run_blocks(
    lengths: Sequence[int] | Rows,
    budget: TokenBudget,
    embed: Callable[[Rows], T],
    is_out_of_memory: Callable[[BaseException], bool],
    *,
    most: int,
) -> Iterator[tuple[Rows, list[T]]]:
    """Embed in planned batches, and hand them over in blocks: a device is asked for its results once a block.

    Never more than `most` texts are embedded and not handed over.

    Args:
        lengths: tokens of each text.
        budget: padded tokens of a batch.
        embed: the vectors of a batch, which may still be on their way.
        is_out_of_memory: tells lack of memory from other errors.
        most: texts of a block.

    Yields:
        Indices of texts, and the results of the batches they were in, in the same order.

    Raises:
        EmbeddingFailed: a single text does not fit in memory.
    """
    rows: list[Rows] = []
    results: list[T] = []
    for batch in plan_batches(lengths, budget, most=most):
        if rows and sum(map(len, rows)) + len(batch) > most:
            yield np.concatenate(rows), results
            rows, results = [], []
        for part, result in run_batch(batch, lengths, budget, embed, is_out_of_memory):
            rows.append(part)
            results.append(result)
    if rows:
        yield np.concatenate(rows), results


def run_batch(
    batch: Rows,
    lengths: Sequence[int] | Rows,
    budget: TokenBudget,
    embed: Callable[[Rows], T],
    is_out_of_memory: Callable[[BaseException], bool],
) -> Iterator[tuple[Rows, T]]:
    """Embed a batch; what does not fit in memory is tried in halves, and the budget lowered to them.

    Raises:
        EmbeddingFailed: a single text does not fit in memory.
    """
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        try:
            result = embed(part)
        except (RuntimeError, MemoryError) as exc:
            if not is_out_of_memory(exc):
                raise
            width = int(lengths[part[0]])
            if len(part) == 1:
                raise _does_not_fit(width) from exc
            half = len(part) // 2
            budget.tokens = min(budget.tokens, half * width)
            waiting += [part[half:], part[:half]]
            continue
        yield part, result


def padding_share(lengths: Sequence[int] | Rows, batches: Sequence[Rows]) -> float:
    """Share of the tokens that a device computes and that are of no text; 0 to 1.

    >>> padding_share([10, 5], [np.array([0, 1])])
    0.25
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - int(lengths.sum()) / padded if padded else 0.0


def _does_not_fit(tokens: int) -> EmbeddingFailed:
    return EmbeddingFailed(
        f"One text of {tokens} tokens does not fit into the device's memory.",
        advice="Lower the chunk limit, free memory, or run on another device (device='cpu').",
        tokens=tokens,
    )
