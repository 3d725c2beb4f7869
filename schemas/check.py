"""What a check of a collection finds: broken invariants, each with what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VECTORS = "visible chunks have vectors"
REFS = "visible.refs equals the recount"
STATE = "the set hash equals the recount"
DIGEST = "the digest equals the recount"
COUNTS = "release counts equal the recount"
ONE_ACTIVE = "documents have one active version"
STAGED = "staged changes belong to live runs"
ELECTION = "duplicates have a winner that is shown"
VECTOR_CHUNKS = "vectors belong to chunks"
ACTIVE_BLOBS = "active versions have their raw blob"
BANDS = "bands belong to their signatures"
PLACES = "versions have all their chunks"
TEXTS = "chunks hold the text they are named by"
CONTENT = "versions hold what their digest says"
INTERVALS = "activations fit their releases"
HISTORY = "past releases equal the recount"
UNIT = "vectors are finite and of unit length"
BESIDE = "vectors of other models are sound and whole"
RECALL = "the vector index finds the nearest"
PROTOTYPES = "prototypes equal the recount"
BLOBS = "older versions have their raw blob"
BYTES = "raw blobs hold the bytes they are named by"

QUICK = (VECTORS, REFS, STATE, DIGEST, COUNTS, ONE_ACTIVE, ELECTION, STAGED, VECTOR_CHUNKS, ACTIVE_BLOBS)
FULL = (
    *QUICK, BANDS, PLACES, TEXTS, CONTENT, INTERVALS, HISTORY, UNIT, BESIDE, RECALL, PROTOTYPES, BLOBS, BYTES,
)  # fmt: skip

_REPAIR = "Run `revector check --repair`."
_REFETCH = (
    "Run `revector check --repair`, then ingest the source again: it fetches the files that still hold "
    "these bytes. What no file holds any more comes back from a backup of the blobs only."
)
_RESTORE = (
    "Rows were lost or changed by hand: restore the database from a backup, or ingest into a new collection."
)
_ROLL_BACK = (
    "History is never rewritten. Roll back to a sound release, or restore the database from a backup."
)
ADVICE = {
    VECTORS: _REPAIR,
    REFS: _REPAIR,
    STATE: _REPAIR,
    DIGEST: _ROLL_BACK,
    COUNTS: _ROLL_BACK,
    ONE_ACTIVE: _RESTORE,
    ELECTION: "Run `revector check --repair`, then ingest any source of the collection: it compares all "
    "documents anew.",
    STAGED: _REPAIR,
    VECTOR_CHUNKS: _REPAIR,
    ACTIVE_BLOBS: _REFETCH,
    BANDS: _REPAIR,
    PLACES: _RESTORE,
    TEXTS: _RESTORE,
    CONTENT: _RESTORE,
    INTERVALS: _RESTORE,
    HISTORY: "Do not roll back to these releases. Other releases are not touched by it.",
    UNIT: _REPAIR,
    BESIDE: "The current release does not use them. Do not go back to releases of that model, and do not "
    "search them, but by --mode keyword. To mend what is shown today, name the model as `next` and run "
    "`revector reembed`, which embeds what is missing, then `revector check --repair`, which embeds again "
    "what is wrong. What only earlier releases show stays out of reach for vectors.",
    RECALL: "Rebuild the index as the owner of the database: REINDEX INDEX CONCURRENTLY.",
    PROTOTYPES: _REPAIR,
    BLOBS: "No source need have these bytes any more: restore the blobs from a backup.",
    BYTES: _REFETCH,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken invariant of docs/DATA_MODEL.md."""

    invariant: str
    detail: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE.get(self.invariant, "")


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did about an invariant."""

    invariant: str
    detail: str


@dataclass(frozen=True, slots=True)
class Orphans:
    """What nothing refers to: no harm, `purge` removes it.

    Attributes:
        chunks: chunks of the collection that no version holds.
        signatures: signatures of texts that no version has.
        blobs: files of the tenant that no version has as its bytes.
        bytes: size of these files.
    """

    chunks: int = 0
    blobs: int = 0
    bytes: int = 0
    signatures: int = 0

    def as_json(self) -> dict[str, int]:
        """By name."""
        return {
            "chunks": self.chunks, "signatures": self.signatures, "blobs": self.blobs, "bytes": self.bytes,
        }  # fmt: skip


@dataclass(slots=True)
class CheckReport:
    """What was looked at and what was found.

    Attributes:
        collection: its name.
        release: the current one, 0 where there is none.
        quick: only what a run checks at its end.
        problems: broken invariants; empty if the collection is sound.
        checked: how many of what were looked at.
        hnsw_recall: of the vector index against an exact scan; None where there is no index.
        orphans: None after a quick check.
        lost: sha256 of blobs that versions name and that are not there.
        damaged: sha256 of blobs that hold other bytes.
        repaired: what a repair did.
        notes: what a repair could not do, and why.
    """

    collection: str
    release: int = 0
    quick: bool = False
    problems: list[Problem] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    hnsw_recall: float | None = None
    orphans: Orphans | None = None
    lost: list[bytes] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    repaired: list[Repaired] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def invariants(self) -> tuple[str, ...]:
        """What was checked."""
        return QUICK if self.quick else FULL

    def as_json(self) -> dict[str, Any]:
        """The contract of the command line."""
        return {
            "ok": not self.problems,
            "collection": self.collection,
            "release": self.release or None,
            "quick": self.quick,
            "problems": [
                {"invariant": p.invariant, "detail": p.detail, "advice": p.advice} for p in self.problems
            ],
            "checked": self.checked,
            "hnsw_recall": self.hnsw_recall,
            "orphans": self.orphans and self.orphans.as_json(),
            "repaired": [{"invariant": r.invariant, "detail": r.detail} for r in self.repaired],
            "notes": self.notes,
        }
