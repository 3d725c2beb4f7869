"""All that a release shows, in batches: documents, places of chunks, vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.collections import get_space
from registry.connection import Connection, Database
from registry.history import require_whole
from registry.queries import load
from registry.vectors import vector_table
from schemas.embedding import EmbeddingSpace
from schemas.errors import ReleaseNotFound
from schemas.release import Collection, Release

_SQL = load("export")

BATCH_ROWS = 5_000
BATCH_BYTES = 32 * 2**20
_HASH_CHARACTERS = 32
_COPY_HEADER_BYTES = 19
_COPY_TRAILER = b"\xff\xff"

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ReleaseReader:
    """Reads one release in the snapshot that `open_release` holds.

    Attributes:
        release: what is read.
        space: of its vectors.
    """

    release: Release
    space: EmbeddingSpace
    _space_id: int
    _connection: Connection
    _values: dict[str, Any]

    def documents(self) -> Iterator[list[Row]]:
        """Source, uri, version, title, author, date, language, tags, mime, metadata, 3 hashes, chunks.

        Then uri and source of the document that it is a duplicate of, similarity, suppressed.
        """
        return self._stream("exported_documents")

    def chunks(self) -> Iterator[list[Row]]:
        """Uri, source, version, ordinal, hash, start, end, page, heading, kind, tokens, text; by place.

        Without the documents that are suppressed: search does not find them either.
        """
        return self._stream("exported_chunks")

    def vectors(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.float32]]]:
        """(N,) chunk hashes as hex and (N, D) float32; each chunk once, in no order."""
        row = _vector_row(self.space.dim)
        for block in _whole_rows(self._copy_vectors(), row.itemsize):
            rows = np.frombuffer(block, dtype=row)
            assert (rows["fields"] == 2).all(), "a row of another shape"
            assert (rows["dim"] == self.space.dim).all(), "a vector of another length"
            yield rows["hash"], rows["vector"].astype(np.float32)

    def _stream(self, name: str) -> Iterator[list[Row]]:
        with self._connection.cursor(name=name) as cursor:
            cursor.execute(_SQL[name], self._values)
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield rows

    def _copy_vectors(self) -> Iterator[bytes]:
        query = _compose(_SQL["copy_vectors_out"], self._space_id, self._values["collection"])
        with self._connection.cursor() as cursor, cursor.copy(query, self._values) as stream:
            for data in stream:
                yield bytes(data)


@contextmanager
def open_release(db: Database, collection: Collection, number: int | None) -> Iterator[ReleaseReader]:
    """A reader of the release in one snapshot, whatever is activated meanwhile; None is the current one.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
    """
    values = {"tenant": db.tenant_id, "collection": collection.id, "release": number}
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL cursor_tuple_fraction = 1")  # all rows are wanted, not the first
        row = connection.execute(_SQL["exported_release"], values).fetchone()
        if row is None:
            raise ReleaseNotFound(
                f"Collection {collection.name!r} has no release to read.",
                advice="`revector history` lists those there are.",
            )
        *columns, space_id = row
        release = Release(*columns)
        # from now on they are locked: a purge that drops them comes before the check, or after the export
        connection.execute(_compose(_SQL["hold_vectors"], space_id, collection.id), values)
        require_whole(connection, db.tenant_id, collection, release.number)
        yield ReleaseReader(
            release, get_space(db, space_id), space_id, connection, {**values, "release": release.number}
        )


def _compose(statement: LiteralString, space_id: int, collection_id: int) -> sql.Composed:
    return sql.SQL(statement).format(vectors=vector_table(space_id), collection=sql.Literal(collection_id))


def _vector_row(dim: int) -> np.dtype[Any]:
    """A row of `copy_vectors_out` in PostgreSQL's binary COPY format."""
    return np.dtype(
        [
            ("fields", ">i2"),
            ("hash_len", ">i4"), ("hash", f"S{_HASH_CHARACTERS}"),
            ("vector_len", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("vector", ">f4", (dim,)),
        ]
    )  # fmt: skip


def _whole_rows(stream: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The rows of a binary COPY in blocks of about `BATCH_BYTES`, without header and trailer."""
    skip, held, pieces = _COPY_HEADER_BYTES, 0, []
    for data in stream:
        pieces.append(data[skip:])
        held += len(data) - min(skip, len(data))
        skip -= min(skip, len(data))
        if held >= max(BATCH_BYTES, size):
            joined = b"".join(pieces)
            whole = held - held % size
            yield joined[:whole]
            pieces, held = [joined[whole:]], held - whole
    joined = b"".join(pieces)
    assert joined[-2:] == _COPY_TRAILER and (len(joined) - 2) % size == 0, "the stream was cut off"
    if len(joined) > 2:
        yield joined[:-2]
