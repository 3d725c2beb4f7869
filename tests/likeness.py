"""Which two texts are duplicates, one pair at a time: what an election is compared with."""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.dedup.signature import text_signatures
from tasks.dedup.similarity import SignatureTable, compare


@cache
def is_alike(one: str, other: str) -> bool:
    """Whether one of two documents stands for the other."""
    table = SignatureTable(text_signatures([one, other]))
    return one == other or bool(compare(table, np.array([0]), np.array([1])).is_duplicate[0])
