"""Give stored chunks their vectors: texts are read ahead, vectors stored behind the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter
from typing import Any, NamedTuple, cast

from registry.blobs import BlobStore
from registry.collections import get_space
from registry.connection import Database
from registry.interrupting import Interruptible
from registry.pending import list_pending
from registry.vectors import chunk_images, chunk_texts, reuse_vectors, store_vectors
from tasks.embedding.base import Embedder, SharedEmbedder, StreamingEmbedder, Vectors
from tasks.embedding.probing import verify
from tasks.overlapping import Overlap
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

STORE_CHUNKS = 128
"""Vectors that are stored together; on an accelerator `block_chunks` of the embedder, where that are more.

While so many are stored, at most so many others are computed."""
UNSTORED_STORES = 2
"""Stores whose vectors are paid for again after a kill, at most: 256 vectors on a CPU."""
WINDOW_CHUNKS = 4096
"""Chunks that are read and tokenized ahead, and sorted by length together."""


class EmbedResult(NamedTuple):
    """Vectors that were stored, and seconds by stage.

    model: until the model was loaded and verified. embed: the device's time, with its waiting for texts.
    write: what the device's end had to wait for storing; that most of it happens meanwhile is not in it.
    """

    embedded: int
    seconds: dict[str, float]


class Block(NamedTuple):
    """Vectors of some chunks: (B,) ids and (B, D) float32."""

    ids: Sequence[int]
    vectors: Vectors


@dataclass(slots=True)
class Window:
    """Chunks that are embedded together.

    Attributes:
        places: of each item, the ids of the chunks that its vector is of: equal images are one item.
        items: texts, or paths of images.
        reused: chunks that got a vector without the model.
        prepared: the items as the model's `stream` takes them, if it has one.
    """

    places: list[list[int]]
    items: list[Any]
    reused: int = 0
    prepared: Any = field(default=None, repr=False)

    def block(self, rows: Sequence[int], vectors: Vectors) -> Block:
        """The vectors of some items, for each chunk that they are of."""
        own = [(id_, row) for row, item in enumerate(rows) for id_ in self.places[item]]
        return Block([id_ for id_, _ in own], vectors[[row for _, row in own]])


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
        ids: the chunks; those that have a vector by now are passed over.
        load_embedder: called once, and only if there is a chunk to embed.
        blobs: raw bytes, which images are embedded from.
        timer: seconds, monotonic.
        progress: told how many chunks were embedded, after each store.
        replace: also those that have a vector.

    Raises:
        SpaceMismatch: the model gives other vectors than those of the space; nothing was written.
        EmbeddingFailed, ModelNotAvailable, DatabaseUnavailable: see the classes; what was stored stays.
            Whatever ends it, a signal as well, waits for nobody else's lock.
    """
    seconds = {"model": 0.0, "embed": 0.0, "write": 0.0}
    if not ids:
        return EmbedResult(0, seconds)
    tell = progress or (lambda _: None)
    shared = Interruptible(db)
    reader = _Reader(shared, collection_id, space_id, blobs, replace=replace)
    windows = reader.read(ids)
    for first in windows:
        if first.items:
            break
        tell(first.reused)
    else:
        return EmbedResult(0, seconds)
    started = timer()
    embedder = load_embedder()
    verify(db, space_id, embedder)
    if isinstance(embedder, SharedEmbedder):
        embedder.start(len(ids))
    loaded = timer()
    stored = 0

    def store(block: Block) -> tuple[int, int]:
        made = store_vectors(shared, collection_id, space_id, block.ids, block.vectors, replace=replace)
        return made, len(block.ids)

    def count(done: tuple[int, int]) -> None:
        nonlocal stored
        stored += done[0]
        tell(done[1])

    def compute(window: Window) -> Iterator[Block]:
        if window.reused:
            tell(window.reused)
        return _compute(embedder, window)

    stages = Overlap(compute, store, count, timer, shared.interrupt)
    stages.run(_prepare(embedder, window) for window in chain([first], windows))
    seconds["model"] = loaded - started
    seconds["write"] = stages.waited
    seconds["embed"] = timer() - loaded - stages.waited - stages.told
    log.info("%d of %d chunks embedded", stored, len(ids))
    return EmbedResult(stored, seconds)


def _prepare(embedder: Embedder, window: Window) -> Window:
    """The window with its texts tokenized; in the thread that reads ahead."""
    if isinstance(embedder, StreamingEmbedder):
        window.prepared = embedder.prepare(window.items)
    return window


def _compute(embedder: Embedder, window: Window) -> Iterator[Block]:
    """Blocks of a window's vectors, of at most as many items as are stored together."""
    most = getattr(embedder, "block_chunks", None) or STORE_CHUNKS
    if isinstance(embedder, StreamingEmbedder):
        for places, vectors in embedder.stream(window.prepared, most=most):
            yield window.block(places.tolist(), vectors)
        return
    for rows in batches(range(len(window.items)), most):
        part = [window.items[row] for row in rows]
        yield window.block(rows, cast(Any, embedder).embed(part))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what is to be embedded of chunks."""

    db: Database
    collection_id: int
    space_id: int
    blobs: BlobStore
    replace: bool

    def read(self, ids: Sequence[int]) -> Iterator[Window]:
        """Windows of texts; of images one, so that equal ones are embedded once."""
        if get_space(self.db, self.space_id).modality == "image":
            yield self._images(ids)
            return
        for part in batches(ids, WINDOW_CHUNKS):
            texts = chunk_texts(self.db, self.collection_id, self._pending(part))
            yield Window([[id_] for id_, _ in texts], [text for _, text in texts])

    def _pending(self, ids: Sequence[int]) -> Sequence[int]:
        if self.replace:
            return ids
        return list_pending(self.db, self.collection_id, self.space_id, ids)

    def _images(self, ids: Sequence[int]) -> Window:
        places: dict[bytes, list[int]] = {}
        raw: dict[bytes, bytes] = {}
        reused = 0
        for part in batches(ids, WINDOW_CHUNKS):
            part = self._pending(part)
            if not self.replace:
                served = set(reuse_vectors(self.db, self.collection_id, self.space_id, part))
                part, reused = [id_ for id_ in part if id_ not in served], reused + len(served)
            for id_, content, sha256 in chunk_images(self.db, self.collection_id, part):
                places.setdefault(content, []).append(id_)
                raw.setdefault(content, sha256)
        return Window(list(places.values()), [self.blobs.path(sha256) for sha256 in raw.values()], reused)


def batches(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Consecutive parts of that size; the last one may be smaller."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
