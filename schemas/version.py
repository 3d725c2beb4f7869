"""Document versions on their way into the registry."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from schemas.chunk import Chunk
from schemas.document import Metadata, PartProblem
from schemas.duplicate import Signature
from schemas.source import Stat

Action = Literal["added", "changed", "moved", "deleted", "restat"]


class StoredVersion(NamedTuple):
    """What tells whether a stored version can serve again."""

    id: int
    content_sha256: bytes
    parser: str
    fingerprint: bytes
    digest: bytes
    chunks: int


@dataclass(frozen=True, slots=True)
class VersionDraft:
    """A version to be stored."""

    content_sha256: bytes
    parser: str
    fingerprint: bytes
    text_sha256: bytes
    metadata_sha256: bytes
    mime: str
    metadata: Metadata
    chunks: tuple[Chunk, ...]
    signature: Signature
    published: bool
    digest: bytes
    problems: tuple[PartProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """One document's change in a run: a draft to store, or a stored version to show.

    `stat` is None where the listing cannot be trusted to notice the next edit.
    `base_version_id` is the active version that the plan saw, None where there was none.
    """

    uri: str
    action: Action
    stat: Stat | None
    content_sha256: bytes
    base_version_id: int | None
    version_id: int | None = None
    draft: VersionDraft | None = None


def metadata_sha256(metadata: Metadata) -> bytes:
    """32 bytes over all fields, the same on every machine."""
    text = json.dumps(asdict(metadata), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).digest()
