"""Store a window of prepared documents: invisible until activation, complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from registry.signatures import store_signatures
from registry.vectors import ensure_chunks
from schemas.errors import RunLost
from schemas.plan import Retirement
from schemas.release import RunState
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


def stage_window(
    db: Database,
    target: StageTarget,
    documents: Sequence[StagedDocument],
    parsed: Sequence[ParsedRow] = (),
) -> tuple[str, ...]:
    """Write one window in one transaction: versions, chunks, signatures. Vectors come later.

    From now on a purge leaves them alone. What was looked up before the lock was taken may have
    been purged since: it is looked up again.

    Returns:
        Uris whose stored version is gone: not staged, the next run makes it again.

    Raises:
        RunLost: the run was taken for dead meanwhile.
    """
    with db.transaction() as connection:
        lock_collection(connection, target.collection_id)
        require_running(connection, _scope(db.tenant_id, target))
        lost = _lost_versions(connection, db.tenant_id, target, documents)
        documents = [document for document in documents if document.uri not in lost]
        _store_parsed(connection, db.tenant_id, target, parsed)
        ids = _document_ids(connection, db.tenant_id, target, [document.uri for document in documents])
        chunks = {c.hash: c for document in documents if document.draft for c in document.draft.chunks}
        chunk_ids = ensure_chunks(connection, db.tenant_id, target.collection_id, chunks)
        signatures = {d.draft.text_sha256: d.draft.signature for d in documents if d.draft}
        store_signatures(connection, db.tenant_id, target.collection_id, signatures)
        versions = {
            document.uri: _store_version(connection, db.tenant_id, target, ids[document.uri], document.draft)
            for document in documents
            if document.draft
        }
        _link_chunks(connection, db.tenant_id, target, documents, versions, chunk_ids)
        _stage(connection, db.tenant_id, target, documents, ids, versions)
    return tuple(sorted(lost))


def stage_retirements(db: Database, target: StageTarget, retired: Sequence[Retirement]) -> None:
    """Stage that versions are shown no more; one that was replaced meanwhile becomes a conflict.

    A document that was purged or forgotten meanwhile is left out.
    """
    if retired:
        values = {
            **_scope(db.tenant_id, target),
            "document": [item.document_id for item in retired],
            "version": [item.version_id for item in retired],
        }
        with db.transaction() as connection:
            lock_collection(connection, target.collection_id)
            require_running(connection, values)
            connection.execute(_SQL["stage_retirements"], values)


def _lost_versions(
    connection: Connection, tenant_id: int, target: StageTarget, documents: Sequence[StagedDocument]
) -> set[str]:
    """Uris of documents that name a version which is not there any more."""
    named = {
        document.uri: {v for v in (document.version_id, document.base_version_id) if v is not None}
        for document in documents
    }
    wanted = set().union(*named.values())
    if not wanted:
        return set()
    values = {**_scope(tenant_id, target), "versions": list(wanted)}
    there = {id_ for (id_,) in connection.execute(_SQL["existing_versions"], values)}
    return {uri for uri, ids in named.items() if ids - there}


def drop_staged(connection: Connection, values: dict[str, Any]) -> None:
    """Drop what a run staged: it was applied, or is given up."""
    connection.execute(_SQL["drop_staged"], values)


def require_running(connection: Connection, values: dict[str, Any], state: RunState = "running") -> None:
    """Refuse to go on for a run that another process has taken for dead.

    That happens when the database was restarted under it: its lock went with the connection,
    and what it had staged was dropped.

    Raises:
        RunLost: the run is not running any more.
    """
    if connection.execute(_SQL["require_running"], {**values, "state": state}).fetchone() is None:
        raise RunLost(
            "The database connection was lost and this run was taken for dead. Nothing of it is visible.",
            advice="Run it again: what it stored is reused.",
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
            "problems": Jsonb([asdict(problem) for problem in draft.problems]),
            "title": meta.title,
            "author": meta.author,
            "authored_at": meta.authored_at,
            "language": meta.language,
            "tags": list(meta.tags),
            "metadata": Jsonb(meta.extra),
            "chunks": len(draft.chunks),
            "published": draft.published,
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
