"""Embed chunks again that lost their vector, or whose vector is not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from registry.connection import Database
from registry.repair import chunk_texts, replace_vectors
from tasks.embedding.base import TextEmbedder
from tasks.storing import STORE_CHUNKS

log = logging.getLogger(__name__)


def embed_again(
    db: Database,
    collection_id: int,
    space_id: int,
    ids: Sequence[int],
    *,
    load_embedder: Callable[[], TextEmbedder],
) -> int:
    """New vectors for these chunks, stored after every few; returns how many.

    Args:
        db: the registry.
        collection_id: whose chunks.
        space_id: the space of the collection, which the model must be of.
        ids: the chunks; those that are gone are passed over.
        load_embedder: called once, and only if there is a chunk.
    """
    if not ids:
        return 0
    embedder, done = load_embedder(), 0
    for start in range(0, len(ids), STORE_CHUNKS):
        batch = chunk_texts(db, collection_id, ids[start : start + STORE_CHUNKS])
        if batch:
            vectors = embedder.embed([text for _, text in batch])
            done += replace_vectors(db, collection_id, space_id, [id_ for id_, _ in batch], vectors)
            log.info("%d of %d chunks embedded again", done, len(ids))
    return done
