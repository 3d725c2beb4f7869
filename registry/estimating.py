"""What the past says about work to come: how much text bytes make, and how fast it was embedded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from registry.connection import Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.embedding import EmbeddingSpace
from schemas.estimate import FormatSizes, Speed

_SQL = load("estimating")

SAMPLED_DOCUMENTS = 1000
"""About so many are looked at, however large the collection is."""
SAMPLED_OF_FORMAT = 50
"""Of each format, the newest of those: what one more costs is known well enough."""
LAST_RUNS = 5
"""That embedded something. More would remember a machine or a device that is gone."""


def format_sizes(db: Database, collection_id: int) -> list[FormatSizes]:
    """What the documents that are shown have made of their bytes, by format; empty before the first one."""
    values = {**_values(db, collection_id), "documents": SAMPLED_DOCUMENTS, "most": SAMPLED_OF_FORMAT}
    with db.connection() as connection:
        rows = connection.execute(_SQL["format_sizes"], values).fetchall()
    return [FormatSizes(format_, *map(int, numbers)) for format_, *numbers in rows]


def embedding_speed(db: Database, collection_id: int | None, space: EmbeddingSpace) -> Speed | None:
    """How fast the last runs embedded with a space's model, however its vectors were stored; None of none.

    Args:
        db: the registry.
        collection_id: whose runs count before those of others; None is a collection that is not there yet.
        space: of the model's vectors; the registry need not have it.
    """
    model = {name: getattr(space, name) for name in ("modality", "provider", "model", "revision", "dim")}
    values = {**model, "tenant": db.tenant_id, "collection": collection_id or 0, "most": LAST_RUNS}
    with db.connection() as connection:
        row = connection.execute(_SQL["embedding_speed"], values).fetchone()
    if row is None or row[0] is None:
        return None
    texts, seconds, tokens, token_seconds, load_s = row
    return Speed(
        texts_per_s=float(texts) / seconds,
        tokens_per_s=float(tokens) / token_seconds if tokens else None,
        load_s=float(load_s),
    )


def count_tokens(db: Database, collection_id: int, ids: Sequence[int]) -> int:
    """Tokens of those chunks, as the model counted that cut them."""
    with db.connection() as connection:
        values = {**_values(db, collection_id), "ids": list(ids)}
        row = connection.execute(_SQL["count_tokens"], values).fetchone()
    assert row is not None
    return int(row[0])


def shown_tokens(db: Database, collection_id: int) -> tuple[int, int]:
    """How many chunks the current release shows, and their tokens."""
    with db.connection() as connection:
        row = connection.execute(_SQL["shown_tokens"], _values(db, collection_id)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def unembedded_tokens(db: Database, collection_id: int, space_id: int) -> tuple[int, int]:
    """How many chunks that are shown have no vector in a space that the collection uses, and their tokens."""
    query = sql.SQL(_SQL["unembedded_tokens"]).format(
        vectors=vector_table(space_id), collection=sql.Literal(collection_id)
    )
    with db.connection() as connection:
        row = connection.execute(query, _values(db, collection_id)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _values(db: Database, collection_id: int) -> dict[str, Any]:
    return {"tenant": db.tenant_id, "collection": collection_id}
