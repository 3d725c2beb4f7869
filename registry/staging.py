"""Store a window of prepared documents: invisible until activation, complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from registry import vectors as vector_store
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from schemas.source import Stat
from schemas.version import StagedDocument, VersionDraft

_SQL = load("documents")


@dataclass(frozen=True, slots=True)
class StageTarget:
    """Where a run stages its changes."""

    collection_id: int
    source_id: int
    space_id: int
    run_id: UUID
    authority: int = 0


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A parser's result to keep."""

    content_sha256: bytes
    parser: str
    parser_version: str
    document: bytes


@dataclass(frozen=True, slots=True)
class StageBatch:
    """What one window brings.

    Attributes:
        documents: changes to stage.
        grams: chunk hash -> keyword grams of every chunk of a draft.
        vector_hashes: (N) chunk hashes, and
        vectors: (N, D) float32, their vectors.
        parsed: parser results.
    """

    documents: Sequence[StagedDocument]
    grams: Mapping[bytes, Sequence[int]]
    vector_hashes: Sequence[bytes]
    vectors: NDArray[np.float32]
    parsed: Sequence[ParsedRow] = ()


def stage_window(db: Database, target: StageTarget, batch: StageBatch) -> int:
    """Write one window in one transaction; returns how many vectors were new.

    The collection is locked for the writing only: models ran before, readers never wait.
    """
    with db.transaction() as connection:
        lock_collection(connection, target.collection_id)
        _store_parsed(connection, db.tenant_id, target, batch.parsed)
        documents = _document_ids(connection, db.tenant_id, target, [d.uri for d in batch.documents])
        drafts = [doc.draft for doc in batch.documents if doc.draft]
        ids = _store_chunks(connection, db.tenant_id, target, drafts, batch)
        written = _store_vectors(connection, db.tenant_id, target, ids, batch)
        versions = {
            doc.uri: _store_version(connection, db.tenant_id, target, documents[doc.uri], doc.draft)
            for doc in batch.documents
            if doc.draft
        }
        _link_chunks(connection, db.tenant_id, target, batch.documents, versions, ids)
        _stage(connection, db.tenant_id, target, batch.documents, documents, versions)
    return written


def stage_deletions(db: Database, target: StageTarget, uris: Sequence[str]) -> None:
    """Stage that documents are retired."""
    if uris:
        with db.transaction() as connection:
            connection.execute(
                _SQL["stage_deletions"], {**_scope(db.tenant_id, target), "uris": list(uris)}
            )


def _scope(tenant_id: int, target: StageTarget) -> dict[str, Any]:
    return {
        "tenant": tenant_id,
        "collection": target.collection_id,
        "source": target.source_id,
        "run": target.run_id,
        "authority": target.authority,
    }


def _document_ids(
    connection: Connection, tenant_id: int, target: StageTarget, uris: list[str]
) -> dict[str, int]:
    values = {**_scope(tenant_id, target), "uris": uris}
    connection.execute(_SQL["create_documents"], values)
    return dict(connection.execute(_SQL["document_ids"], values).fetchall())


def _store_parsed(
    connection: Connection, tenant_id: int, target: StageTarget, rows: Sequence[ParsedRow]
) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(
                _SQL["store_parsed"],
                [
                    {
                        **_scope(tenant_id, target),
                        "content_sha256": row.content_sha256,
                        "parser": row.parser,
                        "parser_version": row.parser_version,
                        "document": row.document,
                    }
                    for row in rows
                ],
            )


def _store_chunks(
    connection: Connection,
    tenant_id: int,
    target: StageTarget,
    drafts: Sequence[VersionDraft],
    batch: StageBatch,
) -> dict[bytes, int]:
    chunks = {chunk.hash: chunk for draft in drafts for chunk in draft.chunks}
    if chunks:
        vector_store.write_chunks(
            connection, tenant_id, target.collection_id, chunks.values(), dict(batch.grams)
        )
    wanted = list({*chunks, *batch.vector_hashes})
    return vector_store.chunk_ids(connection, tenant_id, target.collection_id, wanted)


def _store_vectors(
    connection: Connection, tenant_id: int, target: StageTarget, ids: dict[bytes, int], batch: StageBatch
) -> int:
    if not batch.vector_hashes:
        return 0
    numbers = np.fromiter((ids[hash_] for hash_ in batch.vector_hashes), dtype=np.int64)
    return vector_store.write_vectors(
        connection, tenant_id, target.collection_id, target.space_id, numbers, batch.vectors
    )


def _store_version(
    connection: Connection, tenant_id: int, target: StageTarget, document_id: int, draft: VersionDraft
) -> int:
    meta = draft.metadata
    row = connection.execute(
        _SQL["create_version"],
        {
            **_scope(tenant_id, target),
            "document": document_id,
            "content_sha256": draft.content_sha256,
            "parser": draft.parser,
            "fingerprint": draft.fingerprint,
            "text_sha256": draft.text_sha256,
            "metadata_sha256": draft.metadata_sha256,
            "mime": draft.mime,
            "title": meta.title,
            "author": meta.author,
            "authored_at": meta.authored_at,
            "language": meta.language,
            "tags": list(meta.tags),
            "metadata": Jsonb(meta.extra),
            "chunks": len(draft.chunks),
            "digest": draft.digest,
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def _link_chunks(
    connection: Connection,
    tenant_id: int,
    target: StageTarget,
    documents: Sequence[StagedDocument],
    versions: Mapping[str, int],
    ids: Mapping[bytes, int],
) -> None:
    rows = [
        (versions[doc.uri], ordinal, ids[c.hash], c.start, c.end, c.page, c.heading)
        for doc in documents
        if doc.draft
        for ordinal, c in enumerate(doc.draft.chunks)
    ]
    if rows:
        names = ("version", "ordinal", "chunk", "char_start", "char_end", "page", "heading")
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        connection.execute(_SQL["link_chunks"], {**_scope(tenant_id, target), **columns})


def _stage(
    connection: Connection,
    tenant_id: int,
    target: StageTarget,
    documents: Sequence[StagedDocument],
    ids: Mapping[str, int],
    versions: Mapping[str, int],
) -> None:
    unknown = dict.fromkeys(Stat._fields)
    with connection.cursor() as cursor:
        cursor.executemany(
            _SQL["stage"],
            [
                {
                    **_scope(tenant_id, target),
                    "document": ids[doc.uri],
                    "action": doc.action,
                    "version": versions.get(doc.uri, doc.version_id),
                    "base": doc.base_version_id,
                    "content_sha256": doc.content_sha256,
                    **(doc.stat._asdict() if doc.stat else unknown),
                }
                for doc in documents
            ],
        )
