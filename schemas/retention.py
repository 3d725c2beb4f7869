"""What retention decides over, and what it decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A stored version as retention sees it.

    Attributes:
        id: of the version.
        document_id: whose version it is.
        uri: of the document.
        source: name of the document's source.
        version: its number within the document.
        created_at: when it was stored.
        active: whether the current release shows it.
        staged: whether a run has staged it, or staged what is to take its place.
        ended_release: the last release that began without it; None if active or never shown.
        ended_at: when that release was activated.
        tags: names of the releases that show it.
    """

    id: int
    document_id: int
    uri: str
    source: str
    version: int
    created_at: datetime
    active: bool = False
    staged: bool = False
    ended_release: int | None = None
    ended_at: datetime | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionItem:
    """What becomes of a version, and why."""

    facts: VersionFacts
    keep: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """One item per version, by source, uri and version."""

    items: tuple[RetentionItem, ...]

    @property
    def kept(self) -> list[VersionFacts]:
        """The versions that stay."""
        return [item.facts for item in self.items if item.keep]

    @property
    def dropped(self) -> list[VersionFacts]:
        """The versions that go."""
        return [item.facts for item in self.items if not item.keep]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a purge or forget removed from the database."""

    versions: int = 0
    chunks: int = 0
    vectors: int = 0
    parsed: int = 0
    documents: int = 0
    signatures: int = 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(
            self.versions + other.versions,
            self.chunks + other.chunks,
            self.vectors + other.vectors,
            self.parsed + other.parsed,
            self.documents + other.documents,
            self.signatures + other.signatures,
        )
