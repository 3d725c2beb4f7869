"""Whether a model still gives the vectors of its space: asked before it writes, or searches, the first time.

A model's name and revision say what its files were. Libraries, a device's arithmetic and files that are
changed in place are in no name: a fixed set of texts or images, embedded once in float32 and kept in the
registry, shows them.
"""

from __future__ import annotations

import logging
from weakref import WeakKeyDictionary

from registry.collections import get_space
from registry.connection import Database
from registry.probes import Probe, find_probe, keep_probe
from schemas.errors import EmbeddingFailed, SpaceMismatch
from tasks.embedding.base import MIN_COSINE, Embedder, ProbedEmbedder, Vectors

log = logging.getLogger(__name__)

_verified: WeakKeyDictionary[object, set[tuple[str, int]]] = WeakKeyDictionary()


def verify(db: Database, space_id: int, embedder: Embedder) -> None:
    """Find that a model gives the vectors of a space; asked once of a loaded model.

    The first time a space is used its probe is made and kept, and once more where a version of revector
    probes with other texts or images than those before it. A model that cannot be probed passes.

    Raises:
        SpaceMismatch: it gives other vectors; nothing was written.
        EmbeddingFailed: when the probe is made: our path does not give the library's vectors, or the
            library's have another length than the space's; nothing was written.
        DatabaseError: the probe that is stored is damaged.
    """
    done = _verified.setdefault(embedder, set())
    if (key := (db.url, space_id)) in done:
        return
    if isinstance(embedder, ProbedEmbedder):
        _compare(embedder, _find(db, space_id, embedder.probes) or _make(db, space_id, embedder))
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


def _make(db: Database, space_id: int, embedder: ProbedEmbedder) -> Probe:
    reference = embedder.reference()
    dim = get_space(db, space_id).dim
    if reference.shape[1] != dim:  # kept, it would stand against every later load
        raise EmbeddingFailed(
            f"The model gives vectors of {reference.shape[1]} dimensions, not {dim} as its files say.",
            advice="Download the model again, or use another one.",
        )
    _compare_with_library(embedder, reference)
    return keep_probe(db, space_id, Probe(embedder.probes, reference))


def _compare_with_library(embedder: ProbedEmbedder, reference: Vectors) -> None:
    if (cosine := embedder.settle(reference)) < MIN_COSINE:
        raise EmbeddingFailed(
            f"The model gives other vectors than its library (cosine {cosine:.4f}).",
            advice="This kind of model is not supported; use another one.",
        )


def _compare(embedder: ProbedEmbedder, expected: Probe) -> None:
    if (cosine := embedder.settle(expected.vectors)) < MIN_COSINE:
        raise SpaceMismatch(
            "The model gives other vectors than those of the collection: its files or libraries have "
            f"changed (cosine {cosine:.4f}, at least {MIN_COSINE} is needed). Nothing was written.",
            advice="Put the model's files and the library versions back (constraints.txt). To stay with the "
            "new ones, copy the model's folder under another name, name it as `next`, and run "
            "`revector reembed`.",
            cosine=cosine,
        )
