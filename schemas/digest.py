"""The digest of a release: a set hash that changes in time with what changed.

A release digest identifies the multiset of active versions. Hashing the sorted list
would cost the whole collection at each activation; LtHash gives the same guarantee by
adding and subtracting 1,024 16-bit lanes per version, whatever the order.

Source: Bellare & Micciancio, "A new paradigm for collision-free hashing", Eurocrypt 1997;
Lewi et al., "Securing update propagation with homomorphic hashing", 2019 (lthash16).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

STATE_BYTES = 2048
EMPTY_STATE = bytes(STATE_BYTES)


def version_digest(
    uri: str,
    text_sha256: bytes,
    metadata_sha256: bytes,
    fingerprint: bytes,
    chunk_hashes: Iterable[bytes],
) -> bytes:
    """32 bytes that identify a version of a document.

    The content enters by its cleaned text and metadata, not by its raw bytes: a rewrite
    that changes neither leaves both the version and the digest as they are.
    """
    h = hashlib.sha256(b"revector version 1")
    # the last part is empty: the election is not the version's
    for part in (uri.encode(), text_sha256, metadata_sha256, fingerprint, b""):
        h.update(len(part).to_bytes(8, "big"))
        h.update(part)
    for chunk in chunk_hashes:
        h.update(chunk)
    return h.digest()


def entry_digest(version: bytes, winner: str | None = None, suppressed: bool = False) -> bytes:
    """What an active version contributes to its release: itself, and whose duplicate it is.

    >>> entry_digest(b"v") == b"v" != entry_digest(b"v", "a.txt")
    True
    """
    if winner is None:
        return version
    return hashlib.sha256(b"revector duplicate 1" + bytes([suppressed]) + version + winner.encode()).digest()


def update_state(state: bytes, added: Iterable[bytes], removed: Iterable[bytes]) -> bytes:
    """The state after adding and removing version digests. Order does not matter.

    >>> one = update_state(EMPTY_STATE, [b"a", b"b"], [])
    >>> update_state(one, [], [b"a"]) == update_state(EMPTY_STATE, [b"b"], [])
    True
    """
    lanes = np.frombuffer(state, dtype="<u2").copy()
    for item in added:
        lanes += _expand(item)
    for item in removed:
        lanes -= _expand(item)
    return lanes.tobytes()


def release_digest(state: bytes, space_fingerprint: bytes) -> bytes:
    """32 bytes that identify a release: its versions and the space of its vectors."""
    return hashlib.sha256(b"revector release 1" + space_fingerprint + state).digest()


def _expand(item: bytes) -> np.ndarray:
    return np.frombuffer(hashlib.shake_256(item).digest(STATE_BYTES), dtype="<u2")
