"""Facts about what a run staged, for the quality gate."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import sql

from registry.activation import count_places, list_missing
from registry.collections import get_space
from registry.connection import Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.gate import FEW_CHARACTERS, StagedFacts

_SQL = load("gate")

UNIT_TOLERANCE = 0.02
"""Of the squared length; bfloat16 weights give unit vectors within 0.004."""


def staged_facts(
    db: Database, collection_id: int, space_id: int, run_id: UUID, *, few: int = FEW_CHARACTERS
) -> StagedFacts:
    """What the run staged, in numbers; reads only. A document with less than `few` characters is empty."""
    is_unit = get_space(db, space_id).normalised
    values: dict[str, Any] = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "run": run_id,
        "few": few,
        "low": 1 - UNIT_TOLERANCE if is_unit else 1e-12,
        "high": 1 + UNIT_TOLERANCE if is_unit else float("inf"),
    }
    bad_vectors = sql.SQL(_SQL["bad_vectors"]).format(vectors=vector_table(space_id))
    with db.connection() as connection:
        documents = connection.execute(_SQL["staged_documents"], values).fetchone()
        bad = connection.execute(bad_vectors, values).fetchone()
        missing = len(list_missing(connection, values, space_id))
    assert documents is not None
    assert bad is not None
    return StagedFacts(*(int(number) for number in (*documents, missing, bad[0])))


def staged_chunks(db: Database, collection_id: int, space_id: int, run_id: UUID) -> tuple[int, list[int]]:
    """What the run would show that its documents did not show before.

    Returns:
        The number of places of chunks, and the ids of the chunks that have no vector in the space.
    """
    values = {"tenant": db.tenant_id, "collection": collection_id, "run": run_id}
    with db.connection() as connection:
        return count_places(connection, values), list_missing(connection, values, space_id)
