"""A collection with many small chunks in several releases, without files and models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from benchmarks.filling import store_chunks
from registry.collections import (
    ensure_collection,
    ensure_source,
    ensure_space,
    ensure_vector_partition,
    get_collection,
)
from registry.connection import Connection, Database
from registry.releases import activate_run
from registry.runs import hold_new_run
from registry.staging import StageTarget, stage_window
from registry.vector_index import ensure_index
from schemas.chunk import Chunk
from schemas.document import Metadata
from schemas.embedding import Dtype, EmbeddingSpace
from schemas.release import Collection
from schemas.source import Source, Stat
from schemas.version import StagedDocument, VersionDraft
from tasks.dedup.signature import text_signature

CHUNKS_A_DOCUMENT = 50


def fill_releases(
    db: Database,
    name: str,
    releases: Sequence[NDArray[np.float32]],
    *,
    indexed: bool = True,
    inspect: Callable[[Connection], None] | None = None,
    dtype: Dtype = "vector",
) -> tuple[Collection, int]:
    """One release for each array of (N, D) unit vectors, each adding its chunks; and the space's id."""
    collection_id = ensure_collection(db, name).id
    source = ensure_source(db, collection_id, Source(name, f"/{name}"))
    space_id = ensure_space(db, EmbeddingSpace("text", "fake", "plain", "1", releases[0].shape[1], dtype))
    ensure_vector_partition(db, space_id, collection_id)
    first = 0
    for vectors in releases:
        chunks = [chunk_of(name, first + row) for row in range(len(vectors))]
        _add_release(
            db, StageTarget(collection_id, source.id or 0, space_id, uuid4()), chunks, vectors, inspect
        )
        first += len(vectors)
    if indexed:
        assert ensure_index(db, space_id, collection_id)
    return get_collection(db, name), space_id


def chunk_of(name: str, number: int) -> Chunk:
    text = f"{name} chunk {number}"
    return Chunk(text, "text", 3, 0, len(text), None, "")


def _add_release(
    db: Database,
    target: StageTarget,
    chunks: list[Chunk],
    vectors: NDArray[np.float32],
    inspect: Callable[[Connection], None] | None,
) -> None:
    with hold_new_run(db, target.collection_id, target.run_id, flow="ingest", trigger="manual", scope="/"):
        parts = [
            chunks[start : start + CHUNKS_A_DOCUMENT] for start in range(0, len(chunks), CHUNKS_A_DOCUMENT)
        ]
        stage_window(db, target, [_document(part) for part in parts])
        store_chunks(db, target.collection_id, target.space_id, chunks, vectors)
        activate_run(db, target.collection_id, target.space_id, target.run_id, inspect=inspect)


def _document(chunks: list[Chunk]) -> StagedDocument:
    uri = f"{chunks[0].text}.txt"
    name = hashlib.sha256(uri.encode()).digest()
    metadata = Metadata(title=uri)
    draft = VersionDraft(
        name, "text", name, name, name, "text/plain", metadata, tuple(chunks), text_signature(""), True, name
    )
    return StagedDocument(uri, "added", Stat(1), name, None, draft=draft)
