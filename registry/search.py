"""Search one release, the current or an earlier one: vectors, keywords, or both fused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.connection import Connection, Database
from registry.filtering import Scope, narrow
from registry.history import require_whole
from registry.hits import describe
from registry.queries import load
from registry.vectors import vector_table
from schemas.embedding import EmbeddingSpace
from schemas.errors import SpaceSwitched
from schemas.filters import Condition
from schemas.grams import gram_hashes, query_grams
from schemas.release import Collection
from schemas.search import Hit

_SQL = load("search")

CANDIDATES = 50
RRF_K = 60
"""Source: Cormack, Clarke & Buettcher, "Reciprocal rank fusion", SIGIR 2009."""
EF_SEARCH = 100
MAX_EF_SEARCH = 1000
BIT_CANDIDATES = 8
"""Of an index of signs: so many times the wanted hits are ranked again by their vectors."""
EXACT_UP_TO_CHUNKS = 2_000
"""A release that shows no more is read as a whole: no slower than the index, and exact. The index
holds what no release shows any more as well, and looks at 20,000 of its rows before it gives up."""
SCAN_COST = 3
"""A row that the index brings up and a filter looks at costs about as much as three rows read as a whole."""


def search_collection(
    db: Database,
    collection: Collection,
    *,
    k: int,
    release: int | None = None,
    text: str | None = None,
    vector: NDArray[np.float32] | None = None,
    space_id: int | None = None,
    vector_weight: float = 1.0,
    where: Sequence[Condition] = (),
) -> list[Hit]:
    """The k best chunks of a release, best first; one consistent snapshot.

    Args:
        db: the registry.
        collection: where to look; one that was never activated has no hits.
        k: number of hits, at least 1.
        release: a number; None is the current one.
        text: the query for the keyword side; None leaves that side out.
        vector: (D,) float32 unit query vector; None leaves that side out.
        space_id: the space of the query vector; None is the collection's active one, if it has one.
        vector_weight: weight of the vector side beside 1 for keywords.
        where: conditions that all must hold for a document; no other one is searched or named. A
            chunk's score is the one it has without them.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        SpaceSwitched: the release's vectors are of another space than the query's.
    """
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return search_open(
            connection,
            db.tenant_id,
            collection,
            k=k,
            release=release,
            text=text,
            vector=vector,
            space_id=space_id,
            vector_weight=vector_weight,
            where=where,
        )


def search_open(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    *,
    k: int,
    release: int | None = None,
    text: str | None = None,
    vector: NDArray[np.float32] | None = None,
    space_id: int | None = None,
    vector_weight: float = 1.0,
    where: Sequence[Condition] = (),
) -> list[Hit]:
    """As `search_collection`, inside the caller's transaction.

    It sees what that has written, a release that is not committed yet as well.
    """
    if release is not None:
        require_whole(connection, tenant_id, collection, release, vectors=vector is not None)
    scope = _find_scope(connection, tenant_id, collection, release)
    scope = narrow(scope, where) if scope else None
    if scope is None or scope.documents == 0:
        return []
    most = max(CANDIDATES, 2 * k)
    sides = []
    if text is not None:
        sides.append((1.0, _keyword_hits(scope, text, most)))
    if vector is not None:
        _require_space(scope, collection.active_space_id if space_id is None else space_id)
        sides.append((vector_weight, _vector_hits(scope, vector, most)))
        if release is not None and not sides[-1][1]:  # a purge may have dropped the vectors meanwhile
            require_whole(connection, tenant_id, collection, release)
    ranked = (fuse(sides) if len(sides) > 1 else sides[0][1])[:k]
    return describe(scope, ranked)


def space_of_release(db: Database, collection: Collection, release: int | None) -> int | None:
    """The space of a release's vectors, None before the first release; `release` None is the current one.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
    """
    with db.connection() as connection:
        if release is not None:
            require_whole(connection, db.tenant_id, collection, release)
        scope = _find_scope(connection, db.tenant_id, collection, release)
    return scope.space_id if scope else None


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


def _find_scope(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    release: int | None,
    space_id: int | None = None,
) -> Scope | None:
    """The release, with its own space or another one; None where it is not there."""
    values = {"tenant": tenant_id, "collection": collection.id, "release": release, "space": space_id}
    row = connection.execute(_SQL["searched_release"], values).fetchone()
    return Scope(connection, tenant_id, collection, *row) if row else None


def _require_space(scope: Scope, space_id: int | None) -> None:
    """Vectors of two models cannot be compared, even where they have the same length."""
    if space_id not in (None, scope.space_id):
        raise SpaceSwitched(
            f"Release {scope.number} of collection {scope.collection.name!r} holds vectors of another "
            "model than the query's.",
            advice="Search again with the release's model, or by keywords: --mode keyword.",
        )


def _keyword_hits(scope: Scope, text: str, most: int) -> list[tuple[int, float]]:
    grams = gram_hashes(query_grams(text), scope.collection.id)
    if not grams:
        return []
    scored = scope.compose(_SQL["keyword_hits" if scope.is_current else "keyword_hits_as_of"])
    if not scope.is_filtered:
        return scope.run(scored, scope.values(grams=grams, most=most))
    filtered = scope.compose(_SQL["filtered_keyword_hits"], scored=scored)
    return scope.run(filtered, scope.values(grams=grams, most=scope.total_chunks, wanted=most))


def vector_hits(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    vector: NDArray[np.float32],
    most: int,
    *,
    space_id: int | None = None,
    exact: bool = False,
) -> list[tuple[int, float]]:
    """(chunk id, cosine) of the nearest chunks that the current release shows; call in a transaction.

    Args:
        connection: in a transaction.
        tenant_id: whose collection.
        collection: where to look.
        vector: (D,) float32 unit vector.
        most: how many.
        space_id: another space than the active one: what a search would find there.
        exact: read all vectors, whatever index there is.
    """
    scope = _find_scope(connection, tenant_id, collection, None, space_id)
    if scope is None:
        return []
    if exact:
        return _exact_hits(scope, "exact_hits", vector, most)
    return _vector_hits(scope, vector, most)


def stored_hits(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    space_id: int,
    space: EmbeddingSpace,
    vector: NDArray[np.float32],
    most: int,
    *,
    exact: bool = False,
) -> list[tuple[int, float]]:
    """As `vector_hits`, of all vectors in a space, shown or not; the index is used if it can be."""
    scope = Scope(connection, tenant_id, collection, 0, space_id, 0, 0, True, space.dtype, space.dim)
    if exact:
        return _exact_hits(scope, "exact_stored_hits", vector, most)
    return _index_hits(scope, "stored_hits", vector, most)


def _vector_hits(scope: Scope, vector: NDArray[np.float32], most: int) -> list[tuple[int, float]]:
    if scope.chunks > _exact_up_to(scope, most):
        hits = _index_hits(scope, _variant(scope, "vector_hits"), vector, most)
        if len(hits) == min(most, scope.chunks):
            return hits
        # the index gave up before it met enough rows of this release, or of the documents that match
    exact = "exact_hits_as_of" if scope.is_filtered else _variant(scope, "exact_hits")
    return _exact_hits(scope, exact, vector, most)


def _variant(scope: Scope, name: str) -> str:
    """Name of the statement for the scope."""
    if scope.is_filtered:
        return f"filtered_{name}"
    return name if scope.is_current else f"{name}_as_of"


def _exact_up_to(scope: Scope, most: int) -> float:
    """Number of chunks up to which all of them are read."""
    if not scope.is_filtered:
        return EXACT_UP_TO_CHUNKS
    # of N chunks m match: the index meets `most` of them among its first most * N / m rows
    return max(EXACT_UP_TO_CHUNKS, math.sqrt(SCAN_COST * most * scope.total_chunks))


def _index_hits(scope: Scope, name: str, vector: NDArray[np.float32], most: int) -> list[tuple[int, float]]:
    """By the order that the index serves; what signs bring up is ranked again by the vectors."""
    by_signs = scope.dtype == "bit"
    candidates = most * (BIT_CANDIDATES if by_signs else 1)
    effort = min(max(EF_SEARCH, candidates), MAX_EF_SEARCH)
    scope.connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
    scope.connection.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(effort)))
    distance = _compose(scope, "hamming_distance" if by_signs else "cosine_distance")
    value = sql.SQL("v.embedding") if by_signs else sql.SQL("1 - ({}) AS score").format(distance)
    query = _compose(scope, name, distance=distance, value=value)
    if by_signs:
        query = _compose(scope, "rank_again", candidates=query)
    values = scope.values(query=format_vector(vector), most=most, candidates=candidates)
    return scope.run(query, values)


def _exact_hits(scope: Scope, name: str, vector: NDArray[np.float32], most: int) -> list[tuple[int, float]]:
    return scope.run(_compose(scope, name), scope.values(query=format_vector(vector), most=most))


def _compose(scope: Scope, name: str, **parts: sql.Composable) -> sql.Composed:
    return scope.compose(
        _SQL[name],
        vectors=vector_table(scope.space_id),
        column=sql.SQL("vector" if scope.dtype == "vector" else "halfvec"),
        dim=sql.Literal(scope.dim),
        collection=sql.Literal(scope.collection.id),  # lets the planner prune partitions
        **parts,
    )


def format_vector(vector: Iterable[float]) -> str:
    """Pgvector's text form.

    >>> format_vector([1.0, 0.5])
    '[1.0,0.5]'
    """
    return "[" + ",".join(str(float(value)) for value in vector) + "]"
