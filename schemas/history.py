"""What the history tells: differences between two states of a collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

DiffStatus = Literal["added", "changed", "removed"]


class DocumentDiff(NamedTuple):
    """One document in two states.

    Attributes:
        old_version, new_version: None where the state does not show the document.
        chunks_added: places of chunks that only the new state has; `chunks_removed` the old one.
        chunks_kept: places of chunks that both have.
    """

    status: DiffStatus
    source: str
    uri: str
    old_version: int | None
    new_version: int | None
    chunks_added: int
    chunks_removed: int
    chunks_kept: int


@dataclass(frozen=True, slots=True)
class ReleaseDiff:
    """What leads from one state to another; documents sorted by source and uri."""

    old: str
    new: str
    documents: tuple[DocumentDiff, ...]

    def count(self, status: DiffStatus) -> int:
        """How many documents have that status."""
        return sum(1 for document in self.documents if document.status == status)
