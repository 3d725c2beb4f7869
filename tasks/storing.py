"""Stage a window, and give the chunks that a run would show their vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from registry.blobs import BlobStore
from registry.collections import get_space
from registry.connection import Database
from registry.gate import staged_chunks
from registry.runs import record_rejections
from registry.staging import stage_retirements, stage_window
from registry.vectors import chunk_images, chunk_texts, reuse_vectors, store_vectors
from schemas.plan import ChangePlan
from tasks.embedding.base import Embedder, Vectors
from tasks.preparing import Prepared
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

STORE_CHUNKS = 128
"""Vectors are stored after this many: what a kill costs at most."""
BATCH_CHUNKS = 4096
"""Chunks of one task run: what is tried again after a failure, less what was stored."""


class EmbedResult(NamedTuple):
    """Vectors that were stored, and seconds by stage: model, embed, write."""

    embedded: int
    seconds: dict[str, float]


def write_window(workspace: Workspace, prepared: Prepared) -> tuple[str, ...]:
    """Stage the window's documents, without vectors, and record its rejections.

    Returns:
        Uris whose stored version was purged meanwhile: not staged.
    """
    target = workspace.require_target()
    conflicts: tuple[str, ...] = ()
    if prepared.documents or prepared.parsed:
        conflicts = stage_window(workspace.db, workspace.stage_target(), prepared.documents, prepared.parsed)
    record_rejections(
        workspace.db, target.collection_id, target.source_id, target.run_id, prepared.rejections
    )
    return conflicts


def retire_documents(workspace: Workspace, plan: ChangePlan, outcome: Mapping[str, str]) -> None:
    """Stage that deleted documents, and the old names of moved ones, are retired.

    Args:
        workspace: the run's surroundings.
        plan: what was planned.
        outcome: uri -> what became of it; a document whose new name is not staged stays.
    """
    retired = [
        item
        for item in plan.retired
        if item.replaced_by is None
        or outcome.get(item.replaced_by, "rejected") not in ("rejected", "conflict")
    ]
    stage_retirements(workspace.db, workspace.stage_target(), retired)


def find_missing(workspace: Workspace) -> tuple[int, list[Sequence[int]]]:
    """Places of chunks that the run would show, and those without a vector, each once, in batches."""
    target = workspace.require_target()
    places, missing = staged_chunks(workspace.db, target.collection_id, target.space_id, target.run_id)
    return places, list(_batches(missing, BATCH_CHUNKS))


def embed_batch(
    workspace: Workspace,
    ids: Sequence[int],
    *,
    timer: Callable[[], float] = perf_counter,
    progress: Callable[[int], None] | None = None,
) -> EmbedResult:
    """Embed stored chunks; the model is loaded at the first one.

    Args:
        workspace: the run's surroundings.
        ids: the chunks.
        timer: seconds, monotonic.
        progress: told how many chunks were embedded, after each store.
    """
    target = workspace.require_target()
    return embed_chunks(
        workspace.db,
        target.collection_id,
        target.space_id,
        ids,
        load_embedder=lambda: workspace.embedder,
        blobs=workspace.blobs,
        timer=timer,
        progress=progress,
    )


def embed_chunks(
    db: Database,
    collection_id: int,
    space_id: int,
    ids: Sequence[int],
    *,
    load_embedder: Callable[[], Embedder],
    blobs: BlobStore,
    timer: Callable[[], float] = perf_counter,
    progress: Callable[[int], None] | None = None,
    replace: bool = False,
) -> EmbedResult:
    """Vectors for stored chunks, stored after every few; those that are gone are passed over.

    Args:
        db: the registry.
        collection_id: whose chunks.
        space_id: the space that the model is of.
        ids: the chunks.
        load_embedder: called once, and only if there is a chunk to embed.
        blobs: raw bytes, which images are embedded from.
        timer: seconds, monotonic.
        progress: told how many chunks were embedded, after each store.
        replace: also those that have a vector.
    """
    seconds = {"model": 0.0, "embed": 0.0, "write": 0.0}
    if not ids:
        return EmbedResult(0, seconds)
    is_image = get_space(db, space_id).modality == "image"
    make: Callable[[Any, Sequence[int]], tuple[list[int], Vectors]]
    make = partial(_embed_images if is_image else _embed_texts, db, collection_id, blobs)
    embedder, stored = None, 0
    for part in _batches(ids, STORE_CHUNKS):
        if is_image and not replace:
            part = _without_reused(db, collection_id, space_id, part, progress)
            if not part:
                continue
        started = timer()
        if embedder is None:
            embedder = load_embedder()
            seconds["model"] = timer() - started
            started = timer()
        found, vectors = make(embedder, part)
        embedded = timer()
        stored += store_vectors(db, collection_id, space_id, found, vectors, replace=replace)
        seconds["embed"] += embedded - started
        seconds["write"] += timer() - embedded
        if progress:
            progress(len(found))
    log.info("%d of %d chunks embedded", stored, len(ids))
    return EmbedResult(stored, seconds)


def _without_reused(
    db: Database,
    collection_id: int,
    space_id: int,
    ids: Sequence[int],
    progress: Callable[[int], None] | None,
) -> Sequence[int]:
    """The image chunks that no vector of the same image can serve."""
    reused = set(reuse_vectors(db, collection_id, space_id, ids))
    if reused and progress:
        progress(len(reused))
    return [id_ for id_ in ids if id_ not in reused]


def _embed_texts(
    db: Database, collection_id: int, _: BlobStore, embedder: Any, ids: Sequence[int]
) -> tuple[list[int], Vectors]:
    """Chunks that are still there, and the vectors of their texts."""
    texts = chunk_texts(db, collection_id, ids)
    return [id_ for id_, _ in texts], embedder.embed([text for _, text in texts])


def _embed_images(
    db: Database, collection_id: int, blobs: BlobStore, embedder: Any, ids: Sequence[int]
) -> tuple[list[int], Vectors]:
    """Chunks that are still there, and the vectors of their images; equal images are embedded once."""
    images = chunk_images(db, collection_id, ids)
    raw = {content: sha256 for _, content, sha256 in images}
    place = {content: number for number, content in enumerate(raw)}
    vectors = embedder.embed([blobs.path(sha256) for sha256 in raw.values()])
    return [id_ for id_, *_ in images], vectors[[place[content] for _, content, _ in images]]


def _batches(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
