"""Batches by token budget: as many texts as fit, of nearly equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EmbeddingFailed

T = TypeVar("T")


@dataclass(slots=True)
class TokenBudget:
    """Padded tokens of a batch; shrinks when the device runs out of memory, and stays so."""

    tokens: int


def plan_batches(lengths: Sequence[int], budget: TokenBudget) -> Iterator[NDArray[np.int64]]:
    """Indices of texts, longest first, in batches of at most the budget's padded tokens.

    A text longer than the budget is a batch of its own. The budget is read anew for each
    batch, so lowering it takes effect at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    first = 0
    while first < len(order):
        width = max(1, int(lengths[order[first]]))
        size = max(1, budget.tokens // width)
        yield order[first : first + size]
        first += size


def run_batches(
    lengths: Sequence[int],
    budget: TokenBudget,
    embed: Callable[[NDArray[np.int64]], T],
    is_out_of_memory: Callable[[BaseException], bool],
) -> Iterator[tuple[NDArray[np.int64], T]]:
    """Embed in planned batches; a batch that does not fit in memory is tried in halves.

    Raises:
        EmbeddingFailed: a single text does not fit in memory.
    """
    for batch in plan_batches(lengths, budget):
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


def _does_not_fit(tokens: int) -> EmbeddingFailed:
    return EmbeddingFailed(
        f"One text of {tokens} tokens does not fit into the device's memory.",
        advice="Lower the chunk limit, free memory, or run on another device (device='cpu').",
        tokens=tokens,
    )
