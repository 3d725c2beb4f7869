"""Sets of prototypes that go: with retention, with the images of their release, with a forgotten one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load

_SQL = load("prototypes")


def sets_with_document(connection: Connection, values: dict[str, Any], document_id: int) -> list[int]:
    """Versions of the sets that were made of a release which showed a document."""
    rows = connection.execute(_SQL["sets_with_document"], {**values, "document": document_id})
    return [version for (version,) in rows]


def find_old_sets(
    db: Database, collection_id: int, *, keep: int, before: datetime, keep_tagged: bool
) -> list[int]:
    """Versions that retention does not keep.

    Args:
        db: the registry.
        collection_id: whose.
        keep: how many before the one in use stay in any case.
        before: only sets made earlier than this.
        keep_tagged: sets of tagged releases stay.
    """
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "keep": keep,
        "before": before,
        "keep_tagged": keep_tagged,
    }
    with db.connection() as connection:
        return [version for (version,) in connection.execute(_SQL["old_sets"], values)]


def drop_old_sets(db: Database, collection_id: int, versions: Sequence[int]) -> int:
    """`drop_sets` in a transaction of its own."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        return drop_sets(connection, values, versions)


def drop_incomplete_sets(connection: Connection, values: dict[str, Any]) -> None:
    """Drop sets, but the one in use, of releases that are not whole: their images were purged.

    Args:
        connection: in a transaction that holds the collection.
        values: tenant and collection.
    """
    connection.execute(_SQL["drop_incomplete_sets"], values)
    connection.execute(_SQL["drop_unused_prototypes"], values)


def drop_sets(connection: Connection, values: dict[str, Any], versions: Sequence[int]) -> int:
    """Drop sets and the prototypes that no other set has; returns how many sets.

    Args:
        connection: in a transaction that holds the collection.
        values: tenant and collection.
        versions: of the sets.
    """
    dropped = connection.execute(_SQL["drop_sets"], {**values, "versions": list(versions)}).rowcount
    connection.execute(_SQL["drop_unused_prototypes"], values)
    return dropped
