"""Fill a collection without models and files: generated chunks, stored and activated as a run does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import DIM, make_chunks, make_vectors
from registry.collections import (
    ensure_collection,
    ensure_source,
    ensure_space,
    ensure_vector_partition,
    get_collection,
)
from registry.connection import Database
from registry.locks import lock_collection
from registry.releases import activate_run
from registry.runs import hold_new_run
from registry.staging import StageTarget, stage_window
from registry.vectors import ensure_chunks, store_vectors
from schemas.chunk import Chunk
from schemas.document import Metadata
from schemas.embedding import EmbeddingSpace
from schemas.release import Collection
from schemas.source import Source, Stat
from schemas.version import StagedDocument, VersionDraft
from tasks.dedup.signature import text_signature
from tasks.vectors import STORE_CHUNKS

NAME = "bench"
_CHUNKS_A_DOCUMENT = 32


@dataclass(frozen=True, slots=True)
class Filled:
    """A collection whose release shows `vectors`, in the order of the chunks' ids."""

    collection: Collection
    space_id: int
    vectors: NDArray[np.float32]


def fill_collection(db: Database, count: int) -> Filled:
    """A collection of `count` chunks in one release, not indexed yet."""
    collection_id = ensure_collection(db, NAME).id
    source = ensure_source(db, collection_id, Source(NAME, "/bench"))
    space_id = ensure_space(db, EmbeddingSpace("text", "bench", NAME, "1", DIM))
    ensure_vector_partition(db, space_id, collection_id)
    target = StageTarget(collection_id, source.id or 0, space_id, uuid4())
    chunks, vectors = make_chunks(count), make_vectors(count)
    with hold_new_run(db, collection_id, target.run_id, flow="ingest", trigger="manual", scope="/bench"):
        for start in range(0, count, STORE_CHUNKS):
            part = slice(start, start + STORE_CHUNKS)
            stage_window(db, target, list(_documents(chunks[part], start)))
            store_chunks(db, collection_id, space_id, chunks[part], vectors[part])
        activate_run(db, collection_id, space_id, target.run_id)
    return Filled(get_collection(db, NAME), space_id, vectors)


def store_chunks(
    db: Database, collection_id: int, space_id: int, chunks: Sequence[Chunk], vectors: NDArray[np.float32]
) -> int:
    """Chunks and their vectors, as a run stores them; of no version, unless one was staged before."""
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        ids = ensure_chunks(connection, db.tenant_id, collection_id, {chunk.hash: chunk for chunk in chunks})
    return store_vectors(db, collection_id, space_id, [ids[chunk.hash] for chunk in chunks], vectors)


def _documents(chunks: Sequence[Chunk], first: int) -> Iterator[StagedDocument]:
    for start in range(0, len(chunks), _CHUNKS_A_DOCUMENT):
        uri = f"document-{first + start:06}.txt"
        name = hashlib.sha256(uri.encode()).digest()
        draft = VersionDraft(
            content_sha256=name,
            parser="text",
            fingerprint=name,
            text_sha256=name,
            metadata_sha256=name,
            mime="text/plain",
            metadata=Metadata(title=uri),
            chunks=tuple(chunks[start : start + _CHUNKS_A_DOCUMENT]),
            signature=text_signature(""),
            published=True,
            digest=name,
        )
        yield StagedDocument(uri, "added", Stat(1), name, None, draft=draft)
