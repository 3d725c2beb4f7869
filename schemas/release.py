"""Runs and releases as the registry records them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

Kind = Literal["documents", "images"]
"""Of a collection: what its items are."""

RunState = Literal["running", "succeeded", "unchanged", "stopped", "staged", "failed", "crashed"]


@dataclass(frozen=True, slots=True)
class Collection:
    """A named corpus and the state it is in; `election` identifies the settings of its last election."""

    id: int
    name: str
    kind: Kind
    active_space_id: int | None
    current_release: int
    election: bytes = b""


@dataclass(frozen=True, slots=True)
class Release:
    """A numbered state of a collection.

    Attributes:
        note: what made it, where that is not an ingest of everything.
        missing: its documents that purge or forget has removed; above 0 it cannot be shown again.
        tags: names it was given.
        vectors_purged: the vectors of its model are gone: keywords find it, and it can be compared.
    """

    number: int
    kind: str
    run_id: str
    activated_at: datetime
    digest: bytes
    documents: int
    chunks: int
    note: str = ""
    missing: int = 0
    tags: tuple[str, ...] = ()
    vectors_purged: bool = False


class Overtaken(NamedTuple):
    """A staged change that another run was faster with.

    `is_same` where that run made the same change; otherwise it is a conflict: the document
    stays as that run made it, and the next run looks at it again.
    """

    uri: str
    action: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """What activating a run did.

    Attributes:
        release: the new one, None where nothing had to change.
        overtaken: staged changes that were not made.
        added: number of documents; `changed` and `deleted` likewise.
        chunks: how many more chunks are shown than before; negative for fewer.
        reelected: documents that are as they were, but whose election is another one.
        duplicates: added and changed documents that lost an election.
        hidden: documents that are suppressed and were not; `restored` the reverse.
        places: places of chunks that came into view.
        embedded: chunks that had to be embedded for it in the last moment.
    """

    release: Release | None
    overtaken: tuple[Overtaken, ...] = ()
    added: int = 0
    changed: int = 0
    deleted: int = 0
    chunks: int = 0
    reelected: int = 0
    duplicates: int = 0
    hidden: int = 0
    restored: int = 0
    places: int = 0
    embedded: int = 0

    @property
    def documents(self) -> int:
        """How many documents the release changed."""
        return self.added + self.changed + self.deleted + self.reelected


@dataclass(frozen=True, slots=True)
class Rejection:
    """A document that was not indexed, or a part of one that is.

    `part` names it (``pages 3, 5-7``); "" is the whole document.
    """

    uri: str
    stage: str
    error: str
    message: str
    retryable: bool
    run_id: str = ""
    attempts: int = 1
    last_seen: datetime | None = None
    part: str = ""

    @property
    def name(self) -> str:
        """The uri, with the part in parentheses."""
        return f"{self.uri} ({self.part})" if self.part else self.uri
