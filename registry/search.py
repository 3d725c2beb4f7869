"""Search one release, the current or an earlier one: vectors, keywords, or both fused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.connection import Connection, Database
from registry.history import require_whole
from registry.queries import load
from registry.vectors import vector_table
from schemas.errors import SpaceMismatch
from schemas.grams import gram_hashes, query_grams
from schemas.release import Collection
from schemas.search import Hit

_SQL = load("search")

CANDIDATES = 50
RRF_K = 60
"""Source: Cormack, Clarke & Buettcher, "Reciprocal rank fusion", SIGIR 2009."""
EF_SEARCH = 100
MAX_EF_SEARCH = 1000
EXACT_UP_TO_CHUNKS = 2_000
"""A release that shows no more is read as a whole: no slower than the index, and exact. The index
holds what no release shows any more as well, and looks at 20,000 of its rows before it gives up."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """The release that is searched, as the snapshot knows it."""

    connection: Connection
    tenant_id: int
    collection: Collection
    number: int
    space_id: int
    documents: int
    chunks: int
    is_current: bool

    def values(self, **more: Any) -> dict[str, Any]:
        return {
            "tenant": self.tenant_id,
            "collection": self.collection.id,
            "release": self.number,
            "documents": self.documents,
            "chunks": self.chunks,
            **more,
        }


class _Place(NamedTuple):
    """A chunk in a document; `shown_id` is the document's, None where it is kept out of search."""

    text: str
    uri: str
    source: str
    version: int
    page: int | None
    heading: str
    title: str | None
    shown_id: int | None


def search_collection(
    db: Database,
    collection: Collection,
    *,
    k: int,
    release: int | None = None,
    text: str | None = None,
    vector: NDArray[np.float32] | None = None,
    space_id: int | None = None,
    dtype: str = "vector",
    vector_weight: float = 1.0,
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
        dtype: column type of that space.
        vector_weight: weight of the vector side beside 1 for keywords.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        SpaceMismatch: the release's vectors are of another space than the query's.
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
            dtype=dtype,
            vector_weight=vector_weight,
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
    dtype: str = "vector",
    vector_weight: float = 1.0,
) -> list[Hit]:
    """As `search_collection`, inside the caller's transaction.

    It sees what that has written, a release that is not committed yet as well.
    """
    if release is not None:
        require_whole(connection, tenant_id, collection, release)
    scope = _find_scope(connection, tenant_id, collection, release)
    if scope is None:
        return []
    most = max(CANDIDATES, 2 * k)
    sides = []
    if text is not None:
        sides.append((1.0, _keyword_hits(scope, text, most)))
    if vector is not None:
        _require_space(scope, collection.active_space_id if space_id is None else space_id)
        sides.append((vector_weight, _vector_hits(scope, vector, dtype, most)))
    ranked = (fuse(sides) if len(sides) > 1 else sides[0][1])[:k]
    return _describe(scope, ranked)


def space_of_release(db: Database, collection: Collection, release: int | None) -> int | None:
    """The space of a release's vectors; None where there is no such release. None is the current one."""
    with db.connection() as connection:
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
    connection: Connection, tenant_id: int, collection: Collection, release: int | None
) -> _Scope | None:
    values = {"tenant": tenant_id, "collection": collection.id, "release": release}
    row = connection.execute(_SQL["searched_release"], values).fetchone()
    return _Scope(connection, tenant_id, collection, *row) if row else None


def _require_space(scope: _Scope, space_id: int | None) -> None:
    """Vectors of two models cannot be compared, even where they have the same length."""
    if space_id not in (None, scope.space_id):
        raise SpaceMismatch(
            f"Release {scope.number} of collection {scope.collection.name!r} holds vectors of another "
            "model than the query's.",
            advice="Search again with the release's model, or by keywords: --mode keyword.",
        )


def _keyword_hits(scope: _Scope, text: str, most: int) -> list[tuple[int, float]]:
    grams = gram_hashes(query_grams(text), scope.collection.id)
    if not grams:
        return []
    statement = _SQL["keyword_hits" if scope.is_current else "keyword_hits_as_of"]
    return scope.connection.execute(statement, scope.values(grams=grams, most=most)).fetchall()


def vector_hits(
    connection: Connection,
    tenant_id: int,
    collection: Collection,
    vector: NDArray[np.float32],
    dtype: str,
    most: int,
) -> list[tuple[int, float]]:
    """(chunk id, cosine) of the nearest chunks that the current release shows; call in a transaction."""
    scope = _find_scope(connection, tenant_id, collection, None)
    return _vector_hits(scope, vector, dtype, most) if scope else []


def _vector_hits(
    scope: _Scope, vector: NDArray[np.float32], dtype: str, most: int
) -> list[tuple[int, float]]:
    suffix = "" if scope.is_current else "_as_of"
    values = scope.values(query=format_vector(vector), most=most)
    if scope.chunks > EXACT_UP_TO_CHUNKS:
        scope.connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
        effort = min(max(EF_SEARCH, most), MAX_EF_SEARCH)
        scope.connection.execute(sql.SQL("SET LOCAL hnsw.ef_search = {}").format(sql.Literal(effort)))
        hits = _run_vector_statement(scope, f"vector_hits{suffix}", dtype, values)
        if len(hits) == min(most, scope.chunks):
            return hits
        # the index gave up before it met enough rows of this release
    return _run_vector_statement(scope, f"exact_hits{suffix}", dtype, values)


def _run_vector_statement(
    scope: _Scope, name: str, dtype: str, values: dict[str, Any]
) -> list[tuple[int, float]]:
    query = sql.SQL(_SQL[name]).format(
        vectors=vector_table(scope.space_id),
        dtype=sql.Identifier(dtype),
        collection=sql.Literal(scope.collection.id),  # lets the planner prune partitions
    )
    return scope.connection.execute(query, values).fetchall()


def format_vector(vector: Iterable[float]) -> str:
    """Pgvector's text form.

    >>> format_vector([1.0, 0.5])
    '[1.0,0.5]'
    """
    return "[" + ",".join(str(float(value)) for value in vector) + "]"


def _describe(scope: _Scope, ranked: Sequence[tuple[int, float]]) -> list[Hit]:
    values = scope.values(ids=[chunk for chunk, _ in ranked])
    places: dict[int, list[_Place]] = {}
    for chunk, *place in scope.connection.execute(_SQL["describe_chunks"], values):
        places.setdefault(chunk, []).append(_Place(*place))
    duplicates = _duplicates(scope, {place.shown_id for found in places.values() for place in found})
    return [
        _hit(score, places[chunk], duplicates, scope.number) for chunk, score in ranked if chunk in places
    ]


def _duplicates(scope: _Scope, documents: set[int | None]) -> dict[int, list[str]]:
    """Of each document that stands for others, the uris of these."""
    found: dict[int, list[str]] = {}
    if winners := sorted(id_ for id_ in documents if id_ is not None):
        for winner, uri in scope.connection.execute(_SQL["duplicates_of"], scope.values(winners=winners)):
            found.setdefault(winner, []).append(uri)
    return found


def _hit(score: float, places: list[_Place], duplicates: dict[int, list[str]], release: int) -> Hit:
    first = places[0]
    shown = dict.fromkeys(place.shown_id for place in places if place.shown_id is not None)
    return Hit(
        score=float(score),
        uri=first.uri,
        source=first.source,
        version=first.version,
        release=release,
        text=first.text,
        page=first.page,
        heading=first.heading,
        title=first.title,
        documents=tuple(dict.fromkeys(place.uri for place in places)),
        duplicates=tuple(dict.fromkeys(uri for id_ in shown for uri in duplicates.get(id_, ()))),
    )
