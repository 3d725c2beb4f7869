"""What the registry knows of documents: the past that a plan is compared with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from registry.connection import Database
from registry.queries import load
from schemas.plan import Known
from schemas.source import Stat
from schemas.version import StoredVersion

_SQL = load("documents")


def documents_named(db: Database, source_id: int, names: Collection[str]) -> list[int]:
    """Ids of a source's documents that are named, or lie under a folder that is."""
    values = {
        "tenant": db.tenant_id,
        "source": source_id,
        "names": list(names),
        "lows": [f"{name}/" for name in names],
        "highs": [f"{name}0" for name in names],  # the character after the slash
    }
    with db.connection() as connection:
        return [id_ for (id_,) in connection.execute(_SQL["documents_named"], values)]


def count_active(db: Database, source_id: int) -> int:
    """How many documents of a source are shown."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["count_active"], {"tenant": db.tenant_id, "source": source_id}
        ).fetchone()
    assert row is not None
    return int(row[0])


def known_documents(
    db: Database, source_id: int, *, reapply: bool = False, documents: Sequence[int] | None = None
) -> dict[str, Known]:
    """Uri -> active document of a source.

    Args:
        db: the registry.
        source_id: of the source.
        reapply: let held documents look like any other whose file has changed or gone.
        documents: only these ids.
    """
    values = {"tenant": db.tenant_id, "source": source_id, "documents": documents}
    with db.connection() as connection:
        rows = connection.execute(_SQL["known_documents"], values, binary=True).fetchall()
        # a query of its own: nearly always there are none, and a join would cost each row
        holds = connection.execute(_SQL["holds_of_source"], values, binary=True).fetchall()
    # tuple.__new__ spares a call a document: this loop is a fifth of what planning takes
    make = tuple.__new__
    known = {
        uri: make(
            Known,
            (
                document, version,
                None if size is None else make(Stat, (size, mtime_ns, ctime_ns, inode, etag)),
                sha256, parser, fingerprint, False, "",
            ),
        )
        for uri, document, version, size, mtime_ns, ctime_ns, inode, etag, sha256, parser, fingerprint in rows
    }  # fmt: skip
    for uri, parser, fingerprint in holds:
        if uri in known:
            known[uri] = _held(known[uri], parser, fingerprint, reapply=reapply)
    return known


def _held(active: Known, parser: str | None, fingerprint: bytes | None, *, reapply: bool) -> Known:
    """What the source had; whatever it lists equals nothing where it had lost the document."""
    if reapply or parser is None or fingerprint is None:
        return active._replace(stat=None, content_sha256=None, held="" if reapply else "gone")
    return active._replace(parser=parser, fingerprint=fingerprint, held="changed")


def held_documents(
    db: Database, source_id: int, *, reapply: bool = False, documents: Sequence[int] | None = None
) -> dict[str, Known]:
    """Uri -> document that a rollback took out of view; with `reapply`, no file equals it."""
    values = {"tenant": db.tenant_id, "source": source_id, "documents": documents}
    with db.connection() as connection:
        rows = connection.execute(_SQL["held_documents"], values, binary=True).fetchall()
    held = {
        uri: Known(document, 0, _stat(stat), sha256, parser, fingerprint, rejected=True, held="absent")
        for uri, document, *stat, sha256, parser, fingerprint in rows
    }
    if reapply:
        return {uri: known._replace(stat=None, content_sha256=None) for uri, known in held.items()}
    return held


def drop_holds(db: Database, document_ids: Sequence[int]) -> None:
    """Nothing of these documents is held any more."""
    if document_ids:
        with db.connection() as connection:
            connection.execute(_SQL["drop_holds"], {"tenant": db.tenant_id, "documents": list(document_ids)})


def known_rejections(db: Database, source_id: int, *, attempts: int) -> dict[str, Known]:
    """Uri -> rejection that will not go away by itself; those worth another try have no stat.

    Args:
        db: the registry.
        source_id: of the source.
        attempts: how often the same content may hang or crash a parser before it is left alone.
    """
    values = {"tenant": db.tenant_id, "source": source_id, "attempts": attempts}
    with db.connection() as connection:
        rows = connection.execute(_SQL["known_rejections"], values, binary=True)
        return {uri: _known_rejection(*rest) for uri, *rest in rows}


def _known_rejection(try_again: bool, *rest: Any) -> Known:
    """Without a stat and a hash, nothing equals it: it is tried again."""
    *stat, content_sha256, parser, fingerprint = rest
    if try_again:
        return Known(0, 0, None, None, parser, fingerprint, rejected=True)
    return Known(0, 0, _stat(stat), content_sha256, parser, fingerprint, rejected=True)


def restat(db: Database, source_id: int, stats: dict[str, Stat | None]) -> None:
    """Remember new stats of documents and rejections whose bytes are the same."""
    if not stats:
        return
    rows = [stat or (None,) * len(Stat._fields) for stat in stats.values()]
    columns = dict(zip(Stat._fields, map(list, zip(*rows, strict=True)), strict=True))
    values = {"tenant": db.tenant_id, "source": source_id, "uris": list(stats), **columns}
    with db.transaction() as connection:
        connection.execute(_SQL["restat_documents"], values)
        connection.execute(_SQL["restat_rejections"], values)


def stored_versions(db: Database, source_id: int, uris: Sequence[str]) -> dict[str, list[StoredVersion]]:
    """Uri -> versions of that document, oldest first."""
    found: dict[str, list[StoredVersion]] = {}
    with db.connection() as connection:
        rows = connection.execute(
            _SQL["stored_versions"],
            {"tenant": db.tenant_id, "source": source_id, "uris": list(uris)},
            binary=True,
        )
        for uri, *rest in rows:
            found.setdefault(uri, []).append(StoredVersion(*rest))
    return found


def find_parsed(
    db: Database, collection_id: int, keys: Sequence[tuple[bytes, str, str]]
) -> dict[tuple[bytes, str], bytes]:
    """(content sha256, parser) -> stored parser result, for (sha256, parser, version) keys."""
    if not keys:
        return {}
    hashes, parsers, versions = (list(part) for part in zip(*keys, strict=True))
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "hashes": hashes,
        "parsers": parsers,
        "versions": versions,
    }
    with db.connection() as connection:
        rows = connection.execute(_SQL["find_parsed"], values, binary=True).fetchall()
    return {(sha256, parser): document for sha256, parser, document in rows}


def _stat(row: Sequence[Any]) -> Stat | None:
    return None if row[0] is None else Stat._make(row)
