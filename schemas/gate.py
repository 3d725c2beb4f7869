"""The quality gate: what is known of a staged release before it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FEW_CHARACTERS = 20
"""A document with less text than this counts as empty."""


@dataclass(frozen=True, slots=True)
class StagedFacts:
    """What a run staged, in numbers.

    Attributes:
        current_release: what it would replace, 0 for nothing.
        staged: documents that would change; of none there is nothing to judge.
        documents: staged versions; `empty` are those with hardly any text.
        rejected: documents the run could not index.
        changed: documents that replace a version; `chunks_before` and `chunks_after` are what
            search shows of them.
        hidden: documents that search would show no more because they are duplicates, of `shown`.
        missing_vectors, bad_vectors: chunks without a vector, and with a zero or not unit one.
    """

    current_release: int
    staged: int
    documents: int
    empty: int
    rejected: int
    changed: int
    chunks_before: int
    chunks_after: int
    hidden: int
    shown: int
    missing_vectors: int
    bad_vectors: int


class Canary(NamedTuple):
    """A query and the uri of the document that must be among its first k hits."""

    query: str
    document: str
    k: int = 5
