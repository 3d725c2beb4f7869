"""Remove every trace of one document of a collection, and count what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql

from registry.activation import Elect, apply_staged
from registry.blobs import BlobStore
from registry.collections import get_space
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.prototype_retention import drop_sets, sets_with_document
from registry.purge import erase_versions, list_spaces
from registry.queries import load
from registry.scrubbing import count_mentions, scrub
from registry.staging import drop_staged, require_running
from registry.sweeping import contents_in_use
from registry.vectors import vector_table
from schemas.release import Collection, Release
from schemas.retention import Dropped

_SQL = load("forget")

SOME_URIS = 10_000
_OF_THE_URI = ("drop_hold", "drop_rejection", "drop_events", "drop_containers_of", "drop_document")


class Place(NamedTuple):
    """Where a uri was found; `document_id` is None where it was never indexed."""

    source_id: int
    source: str
    root_url: str
    document_id: int | None


@dataclass(frozen=True, slots=True)
class Traces:
    """What could mention a document.

    Attributes:
        place, uri: the document.
        versions: ids.
        contents: sha256 of all bytes it had.
        chunks: id -> hash of the chunks that no other document has.
        signatures: id -> bands of the signatures of texts that no other document has.
        shared_chunks: how many it has in common ...
        shared_documents: ... with so many others.
        same_bytes: source and uri of other documents that have, or had, bytes of it.
        near_copies: of documents that are, or were, near-duplicates of it.
    """

    place: Place
    uri: str
    versions: tuple[int, ...]
    contents: tuple[bytes, ...]
    chunks: dict[int, bytes]
    signatures: dict[int, tuple[int, ...]]
    shared_chunks: int
    shared_documents: int
    same_bytes: tuple[tuple[str, str], ...]
    near_copies: tuple[tuple[str, str], ...] = ()


def find_document(db: Database, collection_id: int, uri: str) -> list[Place]:
    """Documents, rejections and events with that uri, by source."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "uri": uri}
    with db.connection() as connection:
        return [Place(*row) for row in connection.execute(_SQL["find_document"], values)]


def some_uris(db: Database, collection_id: int) -> list[str]:
    """Uris of the collection, at most `SOME_URIS`, for a guess at what was meant."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "most": SOME_URIS}
    with db.connection() as connection:
        return [uri for (uri,) in connection.execute(_SQL["some_uris"], values)]


def find_traces(db: Database, collection_id: int, place: Place, uri: str) -> Traces:
    """What the registry has of a document now."""
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _find_traces(connection, {"tenant": db.tenant_id, "collection": collection_id}, place, uri)


def _find_traces(connection: Connection, values: dict[str, Any], place: Place, uri: str) -> Traces:
    values = {**values, "document": place.document_id, "source": place.source_id, "uri": uri}
    values["versions"] = [id_ for (id_,) in connection.execute(_SQL["versions"], values)]
    shared = connection.execute(_SQL["shared_chunks"], values).fetchone()
    assert shared is not None
    return Traces(
        place,
        uri,
        tuple(values["versions"]),
        tuple(bytes(sha256) for (sha256,) in connection.execute(_SQL["contents"], values)),
        {id_: bytes(hash_) for id_, hash_ in connection.execute(_SQL["own_chunks"], values)},
        {id_: tuple(bands) for id_, bands in connection.execute(_SQL["own_signatures"], values)},
        shared[0],
        shared[1],
        tuple(connection.execute(_SQL["same_bytes"], values).fetchall()),
        tuple(connection.execute(_SQL["near_copies"], values).fetchall()),
    )


def forget_document(
    db: Database, collection: Collection, run_id: UUID, place: Place, uri: str, *, elect: Elect
) -> tuple[Traces, Dropped, Release | None]:
    """Remove a document from the database, in one transaction; blobs come after.

    Where the current release shows it, a release without it comes first: another one of its
    duplicates is elected.

    Raises:
        VectorsMissing: a duplicate that comes into view was never shown; its chunks are in the facts.
        RunLost: the run was taken for dead meanwhile.
    """
    values: dict[str, Any] = {
        "tenant": db.tenant_id,
        "collection": collection.id,
        "run": run_id,
        "source": place.source_id,
        "document": place.document_id,
        "uri": uri,
    }
    space_id = collection.active_space_id
    fingerprint = get_space(db, space_id).fingerprint if space_id is not None else b""
    with db.transaction() as connection:
        lock_collection(connection, collection.id)
        require_running(connection, values)
        traces = _find_traces(connection, values, place, uri)
        values["versions"] = list(traces.versions)
        if place.document_id is not None:  # a prototype is a mean of what it was made of
            drop_sets(connection, values, sets_with_document(connection, values, place.document_id))
        connection.execute(_SQL["forget_elections"], values)
        connection.execute(_SQL["unstage"], values)
        release = None
        if connection.execute(_SQL["stage_retirement"], values).rowcount:
            assert space_id is not None
            applied = apply_staged(
                connection, values, space_id, fingerprint, kind="purge", note="forget", elect=elect
            )
            release = applied.release
            drop_staged(connection, values)
        dropped = erase_versions(connection, values, traces.versions, traces.contents)
        for statement in _OF_THE_URI:
            connection.execute(_SQL[statement], values)
        scrub(connection, values, uri)
    return traces, dropped, release


def retire_duplicates(
    connection: Connection, tenant_id: int, collection_id: int, run_id: UUID, place: Place
) -> list[str]:
    """Instead of an election: what the document stood for is shown no more either; returns the uris.

    Their files are as they were, so the next ingest adds them again, from what is stored of them.
    """
    values = {
        "tenant": tenant_id, "collection": collection_id, "run": run_id, "document": place.document_id,
    }  # fmt: skip
    return sorted(uri for (uri,) in connection.execute(_SQL["retire_duplicates"], values))


def count_traces(db: Database, collection_id: int, blobs: BlobStore, traces: Traces) -> dict[str, int]:
    """A recount, from the database and the disk, of all that could still mention the document."""
    values: dict[str, Any] = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "source": traces.place.source_id,
        "document": traces.place.document_id,
        "uri": traces.uri,
        "versions": list(traces.versions),
        "contents": list(traces.contents),
        "chunks": list(traces.chunks),
        "hashes": list(traces.chunks.values()),
        "signatures": list(traces.signatures),
        "bands": sorted({band for bands in traces.signatures.values() for band in bands}),
    }
    spaces = list_spaces(db, collection_id)
    with db.connection() as connection:
        counts: dict[str, int] = dict(connection.execute(_SQL["traces"], values).fetchall())
        counts["vectors"] = 0
        for space in spaces:
            query = sql.SQL(load("purge")["foreseen_vectors"]).format(
                vectors=vector_table(space.id), collection=sql.Literal(collection_id)
            )
            row = connection.execute(query, values).fetchone()
            counts["vectors"] += row[0] if row else 0
        counts |= count_mentions(connection, values, traces.uri)
    unused = set(traces.contents) - contents_in_use(db, traces.contents, traces.versions)
    counts["blobs"] = sum(1 for digest in unused if blobs.has_any(digest))
    return counts


def find_holders(db: Database, source_id: int, uri: str) -> list[str]:
    """Uris of mails, shown or not, of which the document is an attachment: their raw bytes hold it."""
    parts = uri.split("/")
    ancestors = ["/".join(parts[:n]) for n in range(1, len(parts))]
    values = {"tenant": db.tenant_id, "source": source_id, "ancestors": ancestors}
    with db.connection() as connection:
        return [holder for (holder,) in connection.execute(_SQL["holders"], values)]
