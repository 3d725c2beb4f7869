"""Events: what others say has changed in a source. A hint where to look; the source itself decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

Action = Literal["changed", "deleted", "prefix"]
"""What is said of a uri. Each makes a run look there; a document that is gone is retired whatever was said,
and one that is there is not. `deleted` only says that its absence is meant: the guard does not count it."""

EventState = Literal["pending", "applied", "failed"]

Outcome = Literal[
    "added", "changed", "moved", "deleted", "unchanged", "held", "rejected", "partial", "unknown", "ignored"
]
"""What came of a named document. `unknown`: neither the source nor the index has it; `ignored`: the source's
patterns leave it out. Of a folder it is "changed" if anything under it was, else "unchanged" or "unknown"."""


class NamedChange(NamedTuple):
    """A document or folder of a source, and what is said of it; the folder "" is the whole source."""

    source_id: int
    uri: str
    action: Action


class Claimed(NamedTuple):
    """A pending event that a run has taken; `crashes` counts the runs that have died with it."""

    id: int
    uri: str
    action: Action
    crashes: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message of a sender.

    Attributes:
        sender: who sent it, as the configuration names it.
        id: what the sender calls it; unique for a sender.
        body_sha256: of what was said: 32 bytes.
        changes: what it names.
    """

    sender: str
    id: str
    body_sha256: bytes
    changes: tuple[NamedChange, ...]


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """What has become of a delivery: `events` by state, and per uri."""

    sender: str
    id: str
    collection: str
    received_at: datetime
    state: EventState
    events: tuple[dict[str, Any], ...]
    runs: tuple[str, ...]


class PendingCollection(NamedTuple):
    """A collection with events that are due: how many, and since when the oldest waits."""

    id: int
    name: str
    events: int
    oldest: datetime
