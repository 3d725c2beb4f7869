"""Tenants, collections, sources and embedding spaces."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import chain, count
from typing import Any

from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from schemas.digest import EMPTY_STATE
from schemas.embedding import EmbeddingSpace
from schemas.errors import CollectionNotFound
from schemas.release import Collection, Kind
from schemas.source import Source

_SQL = load("collections")


def ensure_tenant(admin: Connection, name: str) -> int:
    """The tenant's id, created on first use."""
    row = admin.execute(_SQL["find_tenant"], {"name": name}).fetchone()
    if row is None:
        admin.execute(_SQL["create_tenant"], {"name": name})
        row = admin.execute(_SQL["find_tenant"], {"name": name}).fetchone()
    assert row is not None
    return int(row[0])


def find_collection(db: Database, name: str) -> Collection | None:
    """The collection, or None where this tenant has none of that name."""
    with db.connection() as connection:
        row = connection.execute(_SQL["find_collection"], {"tenant": db.tenant_id, "name": name}).fetchone()
    return Collection(*row) if row else None


def get_collection(db: Database, name: str) -> Collection:
    """The collection.

    Raises:
        CollectionNotFound: there is none; the advice names those there are.
    """
    found = find_collection(db, name)
    if found is None:
        names = [row["name"] for row in list_collections(db)]
        raise CollectionNotFound(
            f"There is no collection named {name!r}.",
            advice=f"There are: {', '.join(names)}." if names else "Run `revector ingest PATH` first.",
        )
    return found


def get_collection_by_id(connection: Connection, tenant_id: int, collection_id: int) -> Collection:
    """The collection as the connection's transaction sees it."""
    row = connection.execute(
        _SQL["get_collection"], {"tenant": tenant_id, "collection": collection_id}
    ).fetchone()
    assert row is not None, f"no collection {collection_id}"
    return Collection(*row)


def ensure_collection(db: Database, name: str, *, kind: Kind = "documents") -> Collection:
    """The collection, created on first use."""
    if (found := find_collection(db, name)) is not None:
        return found
    with db.connection() as connection:
        connection.execute(
            _SQL["create_collection"],
            {"tenant": db.tenant_id, "name": name, "kind": kind, "digest_state": EMPTY_STATE},
        )
    return get_collection(db, name)


def list_collections(db: Database) -> list[dict[str, Any]]:
    """All collections of the tenant with the numbers of their current release, by name."""
    with db.connection() as connection:
        rows = connection.execute(_SQL["list_collections"], {"tenant": db.tenant_id}).fetchall()
    names = (
        "id", "name", "kind", "release", "model", "revision", "dim",
        "documents", "chunks", "activated_at", "digest", "rejected",
    )  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in rows]


def list_sources(db: Database, collection_id: int) -> list[Source]:
    """Sources of a collection by name, without those that a wider one absorbed."""
    with db.connection() as connection:
        return _list_sources(connection, {"tenant": db.tenant_id, "collection": collection_id})


def _list_sources(connection: Connection, values: dict[str, int]) -> list[Source]:
    rows = connection.execute(_SQL["list_sources"], values).fetchall()
    return [Source(name, url, tuple(inc), tuple(exc), id_) for id_, name, url, inc, exc in rows]


def count_duplicates(db: Database, collection_id: int) -> tuple[int, int]:
    """How many documents of the current release are duplicates: hidden from search, and flagged only."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.connection() as connection:
        row = connection.execute(_SQL["count_duplicates"], values).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def ensure_source(db: Database, collection_id: int, source: Source, *, authority: int = 0) -> Source:
    """The registered source with that root; its name gets a number where it is taken."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        known = {s.root_url: s for s in _list_sources(connection, values)}
        if (found := known.get(source.root_url)) is not None:
            patterns = {"include": list(source.include), "exclude": list(source.exclude)}
            connection.execute(_SQL["update_source"], {**values, "source": found.id, **patterns})
            return replace(found, include=source.include, exclude=source.exclude)
        taken = {name for (name,) in connection.execute(_SQL["source_names"], values)}
        names = chain([source.name], (f"{source.name}-{number}" for number in count(2)))
        connection.execute(
            _SQL["create_source"],
            {
                **values,
                "name": next(name for name in names if name not in taken),
                "root_url": source.root_url,
                "include": list(source.include),
                "exclude": list(source.exclude),
                "authority": authority,
            },
        )
        return next(s for s in _list_sources(connection, values) if s.root_url == source.root_url)


def absorb_source(db: Database, source_id: int, *, by: int) -> None:
    """Note that a wider source has taken over a source's documents.

    Should a slower run still add one to it, it is listed again and absorbed by the next run.
    """
    with db.connection() as connection:
        connection.execute(_SQL["absorb_source"], {"tenant": db.tenant_id, "source": source_id, "by": by})


def find_space(db: Database, space: EmbeddingSpace) -> int | None:
    """The id of an equal space, None where the registry has not seen it."""
    with db.connection() as connection:
        row = connection.execute(_SQL["find_space"], {"fingerprint": space.fingerprint}).fetchone()
    return int(row[0]) if row else None


def ensure_space(db: Database, space: EmbeddingSpace) -> int:
    """The id of the space, registered on first use."""
    if (found := find_space(db, space)) is None:
        with db.connection() as connection:
            connection.execute(_SQL["create_space"], {**asdict(space), "fingerprint": space.fingerprint})
        found = find_space(db, space)
    assert found is not None
    return found


def get_space(db: Database, space_id: int) -> EmbeddingSpace:
    """The space with that id."""
    with db.connection() as connection:
        return read_space(connection, space_id)


def read_space(connection: Connection, space_id: int) -> EmbeddingSpace:
    """The same, as the connection's transaction sees it."""
    row = connection.execute(_SQL["get_space"], {"space": space_id}).fetchone()
    assert row is not None, f"no embedding space {space_id}"
    return EmbeddingSpace(*row)


def ensure_vector_partition(db: Database, space_id: int, collection_id: int) -> None:
    """Create the partition that holds a collection's vectors of a space, if it is not there; it is in use."""
    with db.transaction() as connection:
        connection.execute(_SQL["create_vector_partition"], {"space": space_id, "collection": collection_id})
        connection.execute(
            _SQL["use_space"], {"tenant": db.tenant_id, "space": space_id, "collection": collection_id}
        )
