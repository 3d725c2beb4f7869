"""Whether a model still gives the vectors of its space: asked before it writes, or searches, the first time.

A model's name and revision say what its files were. Libraries, a device's arithmetic, files that are
changed in place and what is behind an address are in no name: a fixed set of texts or images, embedded once
in float32 and kept in the registry, shows them.
"""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from registry.collections import get_space
from registry.connection import Database
from registry.probes import Probe, find_probe, keep_probe
from schemas.errors import EmbeddingFailed, SpaceMismatch
from tasks.embedding.base import MIN_COSINE, Embedder, ProbedEmbedder, Vectors

log = logging.getLogger(__name__)

_verified: WeakKeyDictionary[object, set[tuple[str, int]]] = WeakKeyDictionary()


@runtime_checkable
class ServedEmbedder(Protocol):
    """A model whose files and library are elsewhere: it says itself what other vectors of its probes mean."""

    def explain_first(self, cosine: float) -> EmbeddingFailed:
        """The error where `settle` does not give what `reference` gave."""

    def explain_later(self, cosine: float) -> SpaceMismatch:
        """The error where it does not give what is kept of its space."""


def verify(db: Database, space_id: int, embedder: Embedder) -> None:
    """Find that a model gives the vectors of a space; asked once of a loaded model.

    The first time a space is used its probe is made and kept, and once more where a version of revector
    probes with other texts or images than those before it. A model that cannot be probed passes.

    Raises:
        SpaceMismatch: it gives other vectors; nothing was written.
        EmbeddingFailed: when the probe is made: our path does not give the library's vectors, or these are
            not finite, or of another length than the space's; or an endpoint's answer cannot be used.
            Nothing was written.
        DatabaseError: the probe that is stored is damaged.
    """
    done = _verified.setdefault(embedder, set())
    if (key := (db.url, space_id)) in done:
        return
    if isinstance(embedder, ProbedEmbedder):
        if found := _find(db, space_id, embedder.probes):
            _compare(embedder, found)
        else:
            _make(db, space_id, embedder, name=embedder.name)
    done.add(key)


def _find(db: Database, space_id: int, probes: bytes) -> Probe | None:
    found = find_probe(db, space_id, probes)
    if found is None or found.probes == probes:
        return found
    log.warning(
        "space %d was probed with the texts or images of another version of revector: this once its model is "
        "compared with the library alone, from now on with what it gives today",
        space_id,
    )
    return None


def _make(db: Database, space_id: int, embedder: ProbedEmbedder, *, name: str) -> None:
    reference = embedder.reference()
    _check_reference(reference, name, dim=get_space(db, space_id).dim)
    if (cosine := embedder.settle(reference)) < MIN_COSINE:
        raise _differs_at_first(embedder, cosine)
    kept = keep_probe(db, space_id, Probe(embedder.probes, reference))
    if not np.array_equal(kept.vectors, reference):  # another process was first
        _compare(embedder, kept)


def _check_reference(vectors: Vectors, name: str, *, dim: int) -> None:
    """Find vectors that could be kept: others would stand against every later load."""
    if vectors.shape[1] != dim:
        raise EmbeddingFailed(
            f"The model {name} gives vectors of {vectors.shape[1]} dimensions, not {dim} as its files say.",
            advice="Download the model again, or use another one.",
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise EmbeddingFailed(
            f"The model {name} gives vectors that are not finite or are zero: its weights are damaged.",
            advice="Download the model again, or use another one.",
        )


def _differs_at_first(embedder: ProbedEmbedder, cosine: float) -> EmbeddingFailed:
    if isinstance(embedder, ServedEmbedder):
        return embedder.explain_first(cosine)
    return EmbeddingFailed(
        f"The model gives other vectors than its library (cosine {cosine:.4f}).",
        advice="This kind of model is not supported; use another one.",
    )


def _compare(embedder: ProbedEmbedder, expected: Probe) -> None:
    if (cosine := embedder.settle(expected.vectors)) < MIN_COSINE:
        raise _differs_later(embedder, cosine)


def _differs_later(embedder: ProbedEmbedder, cosine: float) -> SpaceMismatch:
    if isinstance(embedder, ServedEmbedder):
        return embedder.explain_later(cosine)
    return SpaceMismatch(
        "The model gives other vectors than those of the collection: its files or libraries have "
        f"changed (cosine {cosine:.4f}, at least {MIN_COSINE} is needed). Nothing was written.",
        advice="Put the model's files and the library versions back (constraints.txt). To stay with the "
        "new ones, copy the model's folder under another name, name it as `next`, and run "
        "`revector reembed`.",
        cosine=cosine,
    )
