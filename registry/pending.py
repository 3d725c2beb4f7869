"""Which of some chunks still lack a vector."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from registry.connection import Database
from registry.queries import load
from registry.vectors import vector_table

_SQL = load("chunks")


def list_pending(db: Database, collection_id: int, space_id: int, ids: Sequence[int]) -> list[int]:
    """Those of the chunks that have no vector in the space, in order: a step tried again pays for these."""
    query = sql.SQL(_SQL["ids_with_vectors"]).format(vectors=vector_table(space_id))
    values = {"tenant": db.tenant_id, "collection": collection_id, "ids": list(ids)}
    with db.connection() as connection:
        done = {id_ for (id_,) in connection.execute(query, values)}
    return [id_ for id_ in ids if id_ not in done]
