"""The images behind class prototypes, with their vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.collections import get_space
from registry.connection import Connection, Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.errors import VectorsMissing
from schemas.prototype import Members

_SQL = load("prototypes")

_HEADER_BYTES = 19
"""Of PostgreSQL's binary COPY format, without an extension."""
ALL = 2**31 - 1
READ_AT_ONCE = 100_000
"""Images whose vectors are in memory together: 200 MB of 512 dimensions."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Images that came (1) or went (-1), in `members`; `signs` is (N,) int64."""

    members: Members
    signs: NDArray[np.int64]


class _Space(NamedTuple):
    id: int
    dim: int
    number_bytes: int


def _find_space(db: Database, space_id: int) -> _Space:
    space = get_space(db, space_id)
    return _Space(space_id, space.dim, 4 if space.column_type == "vector" else 2)


def count_classes(db: Database, collection_id: int, release: int) -> dict[str, int]:
    """Class -> images of it that the release shows."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "release": release}
    with db.connection() as connection:
        return dict(connection.execute(_SQL["class_counts"], values).fetchall())


def class_batches(names: Sequence[str], counts: Mapping[str, int]) -> Iterator[list[str]]:
    """Names of classes that together have about as many images as are read at once, for `read_members`."""
    batch: list[str] = []
    images = 0
    for name in names:
        if batch and images + counts[name] > READ_AT_ONCE:
            yield batch
            batch, images = [], 0
        batch.append(name)
        images += counts[name]
    if batch:
        yield batch


def read_members(
    db: Database,
    collection_id: int,
    space_id: int,
    release: int,
    *,
    classes: Sequence[str],
    per_class: int = ALL,
) -> Members:
    """Images that a release shows and that have a class; N x D x 4 bytes of memory.

    Args:
        db: the registry.
        collection_id: an image collection.
        space_id: the space of the vectors.
        release: its number.
        classes: these only.
        per_class: at most so many of a class: those with the lowest hashes, an even sample.

    Raises:
        VectorsMissing: a vector is not there.
    """
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "release": release,
        "classes": list(classes),
        "most": per_class,
    }
    space = _find_space(db, space_id)
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = connection.execute(_SQL["members"], values).fetchall()
        return _with_vectors(connection, values, space, rows)


def read_changes(db: Database, collection_id: int, space_id: int, *, old: int, release: int) -> Changes:
    """Images by which a release differs from an earlier one; 0 is the empty start.

    Raises:
        VectorsMissing: what went was purged.
    """
    values = {"tenant": db.tenant_id, "collection": collection_id, "old": old, "release": release}
    return _read_changes(db, space_id, "member_changes", values)


def count_staged(db: Database, run_id: UUID) -> dict[str, int]:
    """Class -> how many images more a run would show, of the classes that it touches."""
    with db.connection() as connection:
        rows = connection.execute(_SQL["staged_counts"], {"tenant": db.tenant_id, "run": run_id})
        return {name: int(count) for name, count in rows}


def read_staged(
    db: Database, collection_id: int, space_id: int, run_id: UUID, *, classes: Sequence[str]
) -> Changes:
    """Images of some classes that a run would show, or show no more."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "run": run_id, "classes": list(classes)}
    return _read_changes(db, space_id, "staged_members", values)


def _read_changes(db: Database, space_id: int, statement: str, values: dict[str, Any]) -> Changes:
    space = _find_space(db, space_id)
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        rows = connection.execute(_SQL[statement], values).fetchall()
        members = _with_vectors(connection, values, space, [row[:3] for row in rows])
    return Changes(members, np.array([row[3] for row in rows], np.int64))


def _with_vectors(
    connection: Connection, values: dict[str, Any], space: _Space, rows: Sequence[tuple[Any, ...]]
) -> Members:
    names = sorted({row[0] for row in rows})
    place = {name: index for index, name in enumerate(names)}
    chunks = np.array([row[2] for row in rows], np.int64)
    return Members(
        classes=tuple(names),
        owners=np.array([place[row[0]] for row in rows], np.int64),
        uris=tuple(row[1] for row in rows),
        chunks=chunks,
        vectors=_read_vectors(connection, values, space, chunks),
    )


def _read_vectors(
    connection: Connection, values: dict[str, Any], space: _Space, chunks: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(N, D) in the order of the chunks, by one COPY.

    Source: PostgreSQL documentation, COPY, "Binary Format"; pgvector `vector_send`, `halfvec_send`.
    """
    wanted, order = np.unique(chunks, return_inverse=True)
    query = sql.SQL(_SQL["read_vectors"]).format(
        vectors=vector_table(space.id),
        tenant=sql.Literal(values["tenant"]),
        collection=sql.Literal(values["collection"]),
        ids=sql.Literal(wanted.tolist()),
    )
    with connection.cursor() as cursor, cursor.copy(query) as stream:
        data = b"".join(bytes(block) for block in stream)
    row = np.dtype(
        [
            ("fields", ">i2"), ("chunk_len", ">i4"), ("chunk", ">i8"),
            ("vector_len", ">i4"), ("dim", ">i2"), ("unused", ">i2"),
            ("vector", f">f{space.number_bytes}", (space.dim,)),
        ]
    )  # fmt: skip
    found = np.frombuffer(
        data, row, count=(len(data) - _HEADER_BYTES - 2) // row.itemsize, offset=_HEADER_BYTES
    )
    by_chunk = np.argsort(found["chunk"])
    if not np.array_equal(found["chunk"][by_chunk], wanted):
        missing = np.setdiff1d(wanted, found["chunk"]).tolist()
        raise VectorsMissing(
            f"{len(missing)} images have no vector.",
            advice="Ingest again, or `revector check`.",
            chunks=missing,
        )
    vectors: NDArray[np.float32] = found["vector"][by_chunk].astype(np.float32)[order]
    return vectors
