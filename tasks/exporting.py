"""A release as Parquet files, for readers without revector."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from registry.connection import Database
from registry.export import ReleaseReader, Row, open_release
from schemas.errors import DatabaseError, OutputNotWritable
from schemas.release import Collection

FORMAT = 1
"""Of the folder: raised when a reader of the earlier one would be wrong."""

DOCUMENTS = pa.schema(
    [
        ("source", pa.string()), ("uri", pa.string()), ("version", pa.int32()), ("title", pa.string()),
        ("author", pa.string()), ("authored_at", pa.timestamp("us", tz="UTC")), ("language", pa.string()),
        ("tags", pa.list_(pa.string())), ("mime", pa.string()), ("metadata", pa.string()),
        ("content_sha256", pa.string()), ("fingerprint", pa.string()), ("digest", pa.string()),
        ("chunks", pa.int32()), ("duplicate_of", pa.string()), ("duplicate_of_source", pa.string()),
        ("similarity", pa.float32()), ("suppressed", pa.bool_()),
    ]
)  # fmt: skip
CHUNKS = pa.schema(
    [
        ("uri", pa.string()), ("source", pa.string()), ("version", pa.int32()), ("ordinal", pa.int32()),
        ("chunk_hash", pa.string()), ("char_start", pa.int32()), ("char_end", pa.int32()),
        ("page", pa.int32()), ("heading", pa.string()), ("kind", pa.string()), ("tokens", pa.int32()),
        ("text", pa.string()),
    ]
)  # fmt: skip


def vectors_schema(dim: int) -> pa.Schema:
    """Chunk hash and vector."""
    return pa.schema([("chunk_hash", pa.string()), ("vector", pa.list_(pa.float32(), dim))])


def export_release(
    db: Database, collection: Collection, output: Path, *, release: int | None = None
) -> dict[str, Any]:
    """Write what a release shows as Parquet files; returns what stands in `release.json`.

    The folder appears when all is in it. Memory does not grow with the release.

    Args:
        db: the registry.
        collection: of the release.
        output: a folder that does not exist yet or is empty.
        release: a number; None is the current one.

    Raises:
        OutputNotWritable: the folder holds something, or cannot be written.
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        DatabaseError: the database does not hold all that the release should show.
    """
    with _named_errors(output):
        target = _free_target(output)
        with open_release(db, collection, release) as reader, _appearing(target) as folder:
            counts = {
                "documents": _write_rows(folder / "documents.parquet", DOCUMENTS, reader.documents()),
                "places": _write_rows(folder / "chunks.parquet", CHUNKS, reader.chunks()),
                "chunks": _write_vectors(folder / "vectors.parquet", reader),
            }
            _require_all(reader, counts)
            facts = _facts(collection, reader, counts)
            (folder / "release.json").write_text(
                json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
            )
    return facts


def _write_rows(path: Path, schema: pa.Schema, batches: Iterator[list[Row]]) -> int:
    def write(writer: pq.ParquetWriter) -> int:
        count = 0
        for rows in batches:
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
        return count

    return _write(path, schema, write, compression="zstd")


def _write_vectors(path: Path, reader: ReleaseReader) -> int:
    schema = vectors_schema(reader.space.dim)

    def write(writer: pq.ParquetWriter) -> int:
        count = 0
        for hashes, vectors in reader.vectors():
            writer.write_table(_vector_table(schema, hashes, vectors))
            count += len(hashes)
        return count

    # vectors hardly repeat: looking for it costs time and saves nothing
    return _write(path, schema, write, compression="none", use_dictionary=False)


def _vector_table(schema: pa.Schema, hashes: NDArray[np.bytes_], vectors: NDArray[np.float32]) -> pa.Table:
    names = pa.array(np.ascontiguousarray(hashes)).cast(pa.string())
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.Table.from_arrays([names, values], schema=schema)


def _write(path: Path, schema: pa.Schema, write: Callable[[pq.ParquetWriter], int], **options: Any) -> int:
    with path.open("wb") as file:
        with pq.ParquetWriter(file, schema, **options) as writer:
            count = write(writer)
        file.flush()
        os.fsync(file.fileno())
    return count


def _require_all(reader: ReleaseReader, counts: dict[str, int]) -> None:
    wanted = {"documents": reader.release.documents, "chunks": reader.release.chunks}
    for name, number in wanted.items():
        if counts[name] != number:
            raise DatabaseError(
                f"Release {reader.release.number} should show {number} {name}, but {counts[name]} are there.",
                advice="The registry is damaged: restore a backup, or ingest into a new collection.",
            )


def _facts(collection: Collection, reader: ReleaseReader, counts: dict[str, int]) -> dict[str, Any]:
    release = reader.release
    return {
        "format": FORMAT,
        "collection": collection.name,
        "number": release.number,
        "digest": release.digest.hex(),
        "kind": release.kind,
        "activated_at": release.activated_at.isoformat(),
        "note": release.note,
        "counts": counts,
        "space": asdict(reader.space),
    }


def _free_target(output: Path) -> Path:
    target = output.resolve()
    if target.is_dir() and not os.path.ismount(target) and not any(target.iterdir()):
        return target
    if os.path.lexists(target):
        raise OutputNotWritable(
            f"{output} exists and is not an empty folder of its own.",
            advice="Name a folder that does not exist yet.",
        )
    return target


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target that takes its name at the end; gone after an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    folder.mkdir()
    try:
        yield folder
        folder.rename(target)  # takes the place of an empty folder, not of one with files in it
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _named_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputNotWritable(
            f"{output} cannot be written ({exc.strerror or exc}).",
            advice="Name another folder, or make room. Nothing was left there.",
        ) from exc
