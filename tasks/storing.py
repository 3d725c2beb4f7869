"""Give the chunks of a window their vectors, and stage the window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from registry.runs import record_rejections
from registry.staging import stage_retirements, stage_window
from registry.vectors import chunks_without_vectors, hashes_with_vectors, store_embedded
from schemas.chunk import Chunk
from schemas.plan import ChangePlan
from tasks.preparing import Prepared
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

STORE_CHUNKS = 128
"""Vectors are stored after this many: what a kill costs at most."""


class EmbedResult(NamedTuple):
    """Chunks of a window by what they cost; `total` counts occurrences. Seconds by stage."""

    total: int
    embedded: int
    seconds: dict[str, float]


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


def write_window(workspace: Workspace, prepared: Prepared) -> None:
    """Stage the window's documents and record its rejections."""
    target = workspace.require_target()
    if prepared.documents or prepared.parsed:
        stage_window(workspace.db, workspace.stage_target(), prepared.documents, prepared.parsed)
    record_rejections(
        workspace.db, target.collection_id, target.source_id, target.run_id, prepared.rejections
    )


def retire_documents(workspace: Workspace, plan: ChangePlan, outcome: Mapping[str, str]) -> None:
    """Stage that deleted documents, and the old names of moved ones, are retired.

    Args:
        workspace: the run's surroundings.
        plan: what was planned.
        outcome: uri -> what became of it; a document whose new name was rejected stays.
    """
    retired = [
        item
        for item in plan.retired
        if item.replaced_by is None or outcome.get(item.replaced_by, "rejected") != "rejected"
    ]
    stage_retirements(workspace.db, workspace.stage_target(), retired)


def _batches(chunks: Sequence[Chunk]) -> Iterator[Sequence[Chunk]]:
    for start in range(0, len(chunks), STORE_CHUNKS):
        yield chunks[start : start + STORE_CHUNKS]
