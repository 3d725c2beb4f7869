"""What a run would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from schemas.source import Stat

Held = Literal["", "changed", "gone", "absent"]


class Known(NamedTuple):
    """What the registry knows of a document: active now, rejected before (ids are 0), or held.

    A document is held where a rollback took out of view what the source has: `changed` (an
    earlier version is shown), `gone` (it is shown, but the source has lost it) or `absent`
    (it is not shown). `stat`, `content_sha256`, `parser` and `fingerprint` then say what the
    source had.
    """

    document_id: int
    version_id: int
    stat: Stat | None
    content_sha256: bytes | None
    parser: str
    fingerprint: bytes
    rejected: bool = False
    held: Held = ""


class Retirement(NamedTuple):
    """An active version to be shown no more.

    `replaced_by` is the uri that takes over (a move); if that one is rejected, this one stays.
    """

    document_id: int
    version_id: int
    replaced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a run is to look at instead of a whole source.

    Attributes:
        uris: of files and folders.
        gone: those of them whose absence is meant: the guard against mass deletion does not count it.
    """

    uris: frozenset[str]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """Uris by what happens to them, each list sorted.

    Attributes:
        added, changed: to be fetched and parsed.
        moved: (old uri, new uri) with equal bytes; the new one is made from stored parts.
        deleted: known, inside the scope, no longer listed.
        unchanged: number of listed documents that need no work.
        held: differs from what is shown, but a rollback showed it so: left alone.
        rejected: listed, rejected before with the same content and pipeline: not tried.
        restat: unchanged bytes under a new stat, to be remembered.
        bases: of each changed document the active version.
        forgotten: rejected before, inside the scope, no longer listed.
        settled: ids of held documents, not shown and no longer listed, or shown by a wider source:
            nothing is held any more.
        retired: what `deleted` and `moved` end, with the versions that were active.
        reelect: the settings for duplicates have changed: all documents are compared anew.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    deleted: tuple[str, ...] = ()
    unchanged: int = 0
    held: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    restat: dict[str, Stat] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    forgotten: tuple[str, ...] = ()
    settled: tuple[int, ...] = ()
    retired: tuple[Retirement, ...] = ()
    reelect: bool = False

    @property
    def work(self) -> tuple[str, ...]:
        """Uris to process, sorted: added, changed and the new names of moved ones."""
        return tuple(sorted((*self.added, *self.changed, *(new for _, new in self.moved))))

    @property
    def is_empty(self) -> bool:
        """Whether the run has nothing to stage."""
        return not (self.added or self.changed or self.retired or self.reelect)
