"""Search the current release: vectors, keywords, or both fused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.connection import Connection, Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.grams import gram_hashes, query_grams
from schemas.release import Collection
from schemas.search import Hit

_SQL = load("search")

CANDIDATES = 50
RRF_K = 60
"""Source: Cormack, Clarke & Buettcher, "Reciprocal rank fusion", SIGIR 2009."""
EF_SEARCH = 100
MAX_EF_SEARCH = 1000


def search_collection(
    db: Database,
    collection: Collection,
    *,
    k: int,
    text: str | None = None,
    vector: NDArray[np.float32] | None = None,
    dtype: str = "vector",
    vector_weight: float = 1.0,
) -> list[Hit]:
    """The k best chunks of the current release, best first; one consistent snapshot.

    Args:
        db: the registry.
        collection: where to look; one that was never activated has no hits.
        k: number of hits, at least 1.
        text: the query for the keyword side; None leaves that side out.
        vector: (D,) float32 unit query vector; None leaves that side out.
        dtype: column type of the collection's space.
        vector_weight: weight of the vector side beside 1 for keywords.
    """
    if collection.active_space_id is None:
        return []
    most = max(CANDIDATES, 2 * k)
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        sides = []
        if text is not None:
            sides.append((1.0, _keyword_hits(connection, collection, text, most)))
        if vector is not None:
            hits = vector_hits(connection, db.tenant_id, collection, vector, dtype, most)
            sides.append((vector_weight, hits))
        ranked = (fuse(sides) if len(sides) > 1 else sides[0][1])[:k]
        return _describe(connection, db.tenant_id, collection, ranked)


def fuse(sides: Sequence[tuple[float, Sequence[tuple[int, float]]]]) -> list[tuple[int, float]]:
    """Weighted reciprocal rank fusion of (weight, ranked hits); of equals the first side's wins.

    >>> fuse([(1.0, [(1, 9.0), (2, 8.0)]), (1.0, [(2, 0.9), (3, 0.8)])])[0][0]
    2
    """
    scores: dict[int, float] = {}
    for weight, side in sides:
        for rank, (chunk, _) in enumerate(side):
            scores[chunk] = scores.get(chunk, 0.0) + weight / (RRF_K + rank + 1)
    order = {chunk: position for position, chunk in enumerate(scores)}
    return sorted(scores.items(), key=lambda item: (-item[1], order[item[0]]))


def _keyword_hits(
    connection: Connection, collection: Collection, text: str, most: int
) -> list[tuple[int, float]]:
    grams = gram_hashes(query_grams(text), collection.id)
    if not grams:
        return []
    values = {"collection": collection.id, "grams": grams, "most": most}
    return connection.execute(_SQL["keyword_hits"], values).fetchall()


def vector_hits(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    vector: NDArray[np.float32],
    dtype: str,
    most: int,
) -> list[tuple[int, float]]:
    """(chunk id, cosine) of the nearest visible chunks; call inside a transaction."""
    assert collection.active_space_id is not None
    connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
    connection.execute(
        sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(min(max(EF_SEARCH, most), MAX_EF_SEARCH)))
    )
    query = sql.SQL(_SQL["vector_hits"]).format(
        vectors=vector_table(collection.active_space_id),
        dtype=sql.Identifier(dtype),
        collection=sql.Literal(collection.id),  # lets the planner prune partitions
    )
    values = {"tenant": tenant_id, "most": most, "query": format_vector(vector)}
    return connection.execute(query, values).fetchall()


def format_vector(vector: Iterable[float]) -> str:
    """Pgvector's text form.

    >>> format_vector([1.0, 0.5])
    '[1.0,0.5]'
    """
    return "[" + ",".join(str(float(value)) for value in vector) + "]"


def _describe(
    connection: Connection, tenant_id: int, collection: Collection, ranked: Sequence[tuple[int, float]]
) -> list[Hit]:
    rows = connection.execute(
        _SQL["describe_chunks"],
        {"tenant": tenant_id, "collection": collection.id, "ids": [chunk for chunk, _ in ranked]},
    ).fetchall()
    places: dict[int, list[tuple[object, ...]]] = {}
    for chunk, *place in rows:
        places.setdefault(chunk, []).append(tuple(place))
    release = connection.execute(
        "SELECT current_release FROM collection WHERE id = %s AND tenant_id = %s",
        [collection.id, tenant_id],
    ).fetchone()
    assert release is not None
    return [_hit(score, places[chunk], release[0]) for chunk, score in ranked if chunk in places]


def _hit(score: float, places: list[tuple], release: int) -> Hit:  # type: ignore[type-arg]
    text, uri, source, version, page, heading, title = places[0]
    return Hit(
        score=float(score),
        uri=uri,
        source=source,
        version=version,
        release=release,
        text=text,
        page=page,
        heading=heading,
        title=title,
        documents=tuple(dict.fromkeys(place[1] for place in places)),
    )
