"""Give the chunks of a window their vectors, and stage the window."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from registry.runs import record_rejections
from registry.staging import VectorsMissing, stage_retirements, stage_window
from registry.vectors import chunks_without_vectors, hashes_with_vectors, store_embedded
from schemas.chunk import Chunk
from schemas.plan import ChangePlan
from tasks.preparing import Prepared
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

STAGE_ATTEMPTS = 5
STORE_CHUNKS = 128
"""Vectors are stored after this many: what a kill costs at most."""


class EmbedResult(NamedTuple):
    """Chunks of a window by what they cost; `total` counts occurrences. Seconds by stage."""

    total: int
    embedded: int
    seconds: dict[str, float]


class WriteResult(NamedTuple):
    """What writing a window met: uris whose stored version was purged, chunks embedded once more."""

    conflicts: tuple[str, ...] = ()
    embedded: int = 0


def embed_window(
    workspace: Workspace,
    prepared: Prepared,
    *,
    timer: Callable[[], float],
    progress: Callable[[int], None] | None = None,
) -> EmbedResult:
    """Embed the chunks that have no vector yet and store them, some at a time.

    Args:
        workspace: the run's surroundings; its model is loaded only if something is missing.
        prepared: the window.
        timer: seconds, monotonic.
        progress: told how many chunks were embedded, after each store.
    """
    missing, total = find_missing(workspace, prepared)
    seconds = {"model": 0.0, "embed": 0.0, "write": 0.0}
    if missing:
        started = timer()
        embedder = workspace.embedder
        seconds["model"] = timer() - started
    for batch in _batches(missing):
        started = timer()
        vectors = embedder.embed([chunk.text for chunk in batch])
        embedded = timer()
        target = workspace.require_target()
        store_embedded(workspace.db, target.collection_id, target.space_id, batch, vectors)
        seconds["embed"] += embedded - started
        seconds["write"] += timer() - embedded
        if progress:
            progress(len(batch))
    log.info("window %d: %d of %d chunks embedded", prepared.number, len(missing), total)
    return EmbedResult(total, len(missing), seconds)


def find_missing(workspace: Workspace, prepared: Prepared) -> tuple[list[Chunk], int]:
    """The window's chunks without a vector, each once, and the number of all its chunks."""
    target = workspace.require_target()
    drafted = [c for document in prepared.documents if document.draft for c in document.draft.chunks]
    chunks = {chunk.hash: chunk for chunk in drafted}
    have = (
        hashes_with_vectors(workspace.db, target.collection_id, target.space_id, list(chunks))
        if chunks
        else set()
    )
    missing = {hash_: chunk for hash_, chunk in chunks.items() if hash_ not in have}
    for chunk in chunks_without_vectors(workspace.db, target.space_id, prepared.adopted_versions):
        missing[chunk.hash] = chunk
    return list(missing.values()), len(drafted) + prepared.adopted_chunks


def write_window(workspace: Workspace, prepared: Prepared) -> WriteResult:
    """Stage the window's documents and record its rejections.

    Chunks that a purge took since they were looked up are embedded again.
    """
    target = workspace.require_target()
    written = WriteResult()
    if prepared.documents or prepared.parsed:
        written = _stage(workspace, prepared)
    record_rejections(
        workspace.db, target.collection_id, target.source_id, target.run_id, prepared.rejections
    )
    return written


def _stage(workspace: Workspace, prepared: Prepared) -> WriteResult:
    target, embedded = workspace.stage_target(), 0
    for _ in range(STAGE_ATTEMPTS):
        try:
            conflicts = stage_window(workspace.db, target, prepared.documents, prepared.parsed)
        except VectorsMissing:
            log.info("window %d: a purge took chunks of it, embedding them again", prepared.number)
            embedded += embed_window(workspace, prepared, timer=time.perf_counter).embedded
        else:
            return WriteResult(conflicts, embedded)
    # staged, its chunks cannot be purged any more; what still has no vector stops at the gate
    conflicts = stage_window(workspace.db, target, prepared.documents, prepared.parsed, require_vectors=False)
    return WriteResult(conflicts, embedded)


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


def _batches(chunks: Sequence[Chunk]) -> Iterator[Sequence[Chunk]]:
    for start in range(0, len(chunks), STORE_CHUNKS):
        yield chunks[start : start + STORE_CHUNKS]
