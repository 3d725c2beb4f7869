"""What the history tells: differences between two states of a collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from schemas.duplicate import Rule

DiffStatus = Literal["added", "changed", "removed", "elected"]
"""`elected`: the version is the same, but what it is a near-duplicate of is not."""


class DocumentDiff(NamedTuple):
    """One document in two states.

    Attributes:
        old_version, new_version: None where the state does not show the document.
        chunks_added: places of chunks that only the new state has; `chunks_removed` the old one.
        chunks_kept: places of chunks that both have.
        old_winner, new_winner: uri of the document that it is a near-duplicate of; None where the
            state does not show the document, or it stands for itself.
        was_suppressed, suppressed: whether the old and the new state keep it out of search.
        rule: what it lost by in the new state; `similarity` to the winner.
    """

    status: DiffStatus
    source: str
    uri: str
    old_version: int | None
    new_version: int | None
    chunks_added: int
    chunks_removed: int
    chunks_kept: int
    old_winner: str | None = None
    new_winner: str | None = None
    was_suppressed: bool = False
    suppressed: bool = False
    rule: Rule | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """What leads from one state to another.

    Attributes:
        old, new: the states: numbers of releases, or the id of a staged run.
        documents: those that differ, sorted by source and uri.
        models: what each state's vectors are of, where that differs.
    """

    old: str
    new: str
    documents: tuple[DocumentDiff, ...]
    models: tuple[str, str] | None = None

    def count(self, status: DiffStatus) -> int:
        """How many documents have that status."""
        return sum(1 for document in self.documents if document.status == status)
