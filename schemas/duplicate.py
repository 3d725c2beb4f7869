"""Near-duplicates: what they are found by, and who is elected among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Policy = Literal["off", "flag", "suppress"]
Rule = Literal["published", "authority", "date", "length", "first_seen", "uri"]

DEFAULT_RULES: tuple[Rule, ...] = ("published", "authority", "date", "length", "uri")
"""Without `first_seen`: it would make the winner depend on the order in which files arrived."""

REASONS: dict[Rule, str] = {
    "published": "published: this is a draft, the winner is not",
    "authority": "authority: the winner's source ranks higher",
    "date": "date: the winner is more recent, or no dated copy",
    "length": "length: the winner is longer, or has more pixels",
    "first_seen": "first_seen: the winner was indexed first",
    "uri": "uri: the winner's name comes first",
}
"""Why a document lost, as it is listed."""

THRESHOLD = 0.8
"""Least share of shingles that near-duplicates have in common."""
MIN_DIFFERENCE = 0.03
"""Share of the words that each of two texts must have for itself to be kept apart."""

PERMUTATIONS = 128
BANDS = 16
SIGNATURE_VERSION = 1
"""Raised whenever the same text may get another signature."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What near-duplicates of a text, or of an image, are found and judged by.

    A function of the text alone. The sketches are bottom-k sketches: the k smallest of the
    distinct 32-bit hashes, sorted, little endian; complete where they hold fewer than k.

    Attributes:
        kind: signatures of two kinds are never compared.
        minhash: of a text 128 x uint32 (little endian), as datasketch's affine32; of an image the
            256 bits of its perceptual hash. Empty where there is nothing to compare.
        shingles: sketch of the shingles, for the similarity.
        words: sketch of the words, for what one text says and the other does not.
        numbers: the same of words that hold a digit.
        characters: length of the text.
        bands: 16 signed 64-bit hashes; two signatures are compared if they share one. Empty with `minhash`.
    """

    kind: Literal["text", "image"]
    minhash: bytes
    shingles: bytes
    words: bytes
    numbers: bytes
    characters: int
    bands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the election knows of an active document.

    Attributes:
        document_id: its row; smaller is first seen.
        uri, source: its name.
        text: sha256 of its cleaned text.
        published: False for a draft.
        authority: rank of its source, higher is better.
        authored_at: its own date.
        is_snapshot: the date is that of a folder or of the file's name: of what was kept, not of what
            was written. A copy in `backup-2019-03-01` does not stand for the file that is in use.
        characters: length of its text.
    """

    document_id: int
    uri: str
    source: str
    text: bytes
    published: bool
    authority: int
    authored_at: datetime | None
    characters: int
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an election decided about a document that lost.

    Attributes:
        winner_id: document that stands for it; directly similar to it, and no duplicate itself.
        rule: the first that told the two apart.
        similarity: 1.0 for equal texts, else the share of shingles that both have.
        suppressed: whether it is kept out of search.
    """

    winner_id: int
    rule: Rule
    similarity: float
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A document that lost an election, as it is listed."""

    uri: str
    source: str
    similarity: float
    reason: str
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """A winner and the documents it stands for, most similar first."""

    winner: str
    source: str
    members: tuple[Member, ...]
