"""Does the registry keep its invariants? The part that is cheap, and the whole.

`check_collection` is the cheap part; `check_fully` is `revector check` and stands before a purge.
Runs end with `registry.check_release`, whose cost follows what they changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from registry.blobs import BlobStore
from registry.check_beside import check_beside
from registry.check_blobs import Contents, check_contents, count_orphan_blobs, read_contents
from registry.check_content import check_content
from registry.check_history import check_history, sum_digests
from registry.check_prototypes import check_prototypes
from registry.check_vectors import check_recall, check_vectors
from registry.connection import Connection, Database
from registry.queries import load
from registry.vectors import vector_table
from schemas import check as invariants
from schemas.check import CheckReport, Orphans, Problem
from schemas.digest import release_digest
from schemas.release import Collection

__all__ = ["Problem", "check_collection", "check_fully", "check_quickly"]

_SQL = load("check")


@dataclass(frozen=True, slots=True)
class _State:
    """A collection and its current release as they are stored."""

    hash: bytes
    number: int
    space_id: int | None
    digest: bytes | None
    documents: int | None
    chunks: int | None
    fingerprint: bytes | None
    normalised: bool | None


def check_collection(db: Database, collection_id: int, blobs: BlobStore | None = None) -> list[Problem]:
    """All problems that can be found fast, empty if the collection is sound.

    Args:
        db: the registry.
        collection_id: what to check.
        blobs: to see whether the active versions' bytes are there; None leaves that out.
    """
    return _check_quickly(db, collection_id, blobs, CheckReport("", quick=True)).problems


def check_quickly(db: Database, collection: Collection, blobs: BlobStore) -> CheckReport:
    """As `check_collection`, with what was counted on the way."""
    return _check_quickly(db, collection.id, blobs, CheckReport(collection.name, quick=True))


def check_fully(
    db: Database, collection: Collection, blobs: BlobStore, *, hash_blobs: bool = True
) -> CheckReport:
    """Everything: places of chunks, history, vectors of all spaces, index, all raw bytes.

    One snapshot for the database; the files are read after it is closed. Memory is 32 bytes
    for each different content of a version.

    Args:
        db: the registry.
        collection: what to check.
        blobs: the tenant's raw bytes.
        hash_blobs: read them all; otherwise only see whether they are there.
    """
    report = CheckReport(collection.name)
    values = {"tenant": db.tenant_id, "collection": collection.id}
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        state = _read_state(connection, values)
        _check_current(connection, values, state, report)
        check_content(connection, values, report)
        check_history(connection, values, state.number, report)
        if state.number and state.space_id is not None:
            check_vectors(connection, values, state.space_id, bool(state.normalised), report)
            check_recall(
                connection,
                db.tenant_id,
                replace(collection, active_space_id=state.space_id),
                report,
            )
        check_beside(connection, values, state.space_id, report)
        _check_bands(connection, values, report)
        orphans, report.checked["chunks"] = _row(connection, "orphan_chunks", values)
        signatures, report.checked["signatures"] = _row(connection, "orphan_signatures", values)
        contents = read_contents(connection, values)
    check_prototypes(db, collection, report)
    check_contents(db, collection.id, blobs, contents, report, hash_blobs=hash_blobs)
    report.orphans = Orphans(orphans, *count_orphan_blobs(db, blobs), signatures=signatures)
    return report


def _check_quickly(
    db: Database, collection_id: int, blobs: BlobStore | None, report: CheckReport
) -> CheckReport:
    values = {"tenant": db.tenant_id, "collection": collection_id}
    contents = Contents()
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _check_current(connection, values, _read_state(connection, values), report)
        if blobs is not None:
            contents = read_contents(connection, values, active_only=True)
    if blobs is not None:
        check_contents(db, collection_id, blobs, contents, report, hash_blobs=False)
    return report


def _read_state(connection: Connection, values: dict[str, Any]) -> _State:
    row = connection.execute(_SQL["collection_state"], values, binary=True).fetchone()
    assert row is not None
    return _State(*row)


def _check_current(
    connection: Connection, values: dict[str, Any], state: _State, report: CheckReport
) -> None:
    """What the current release shows, and what runs have staged."""
    report.release = state.number
    stale, runs = _row(connection, "stale_staged", values)
    if stale:
        _add(report, invariants.STAGED, f"{stale} rows of {runs} runs that are over")
    if state.number == 0 or state.space_id is None:
        return
    for name, invariant, what in (
        ("visible_without_vector", invariants.VECTORS, "have none"),
        ("vectors_without_chunk", invariants.VECTOR_CHUNKS, "have no chunk"),
    ):
        query = sql.SQL(_SQL[name]).format(vectors=vector_table(state.space_id))
        row = connection.execute(query, values).fetchone()
        if row and row[0]:
            _add(report, invariant, f"{row[0]} {what}")
    (wrong,) = _row(connection, "wrong_refs", values)
    if wrong:
        _add(report, invariants.REFS, f"{wrong} chunks differ")
    _check_digest(connection, values, state, report)
    _check_elections(connection, values, report)
    shown, documents, chunks = _row(connection, "counts", values)
    report.checked |= {"documents": documents, "visible": chunks}
    if shown != documents:
        _add(report, invariants.ONE_ACTIVE, f"{shown - documents} more active versions than documents")
    if (documents, chunks) != (state.documents, state.chunks):
        stored = f"{state.documents} documents and {state.chunks} chunks"
        _add(report, invariants.COUNTS, f"{stored} stored, {documents} and {chunks} counted")


def _check_elections(connection: Connection, values: dict[str, Any], report: CheckReport) -> None:
    *counts, report.checked["duplicates"] = _row(connection, "wrong_elections", values)
    whats = ("have none", "have one that is not shown", "have one that is a duplicate itself")
    for count, what in zip(counts, whats, strict=True):
        if count:
            _add(report, invariants.ELECTION, f"{count} {what}")


def _check_bands(connection: Connection, values: dict[str, Any], report: CheckReport) -> None:
    homeless, lost = _row(connection, "wrong_bands", values)
    for count, what in ((homeless, "belong to none"), (lost, "are not there")):
        if count:
            _add(report, invariants.BANDS, f"{count} {what}")


def _check_digest(connection: Connection, values: dict[str, Any], state: _State, report: CheckReport) -> None:
    recount = sum_digests(connection, values)
    if recount != state.hash:
        _add(report, invariants.STATE, "collection.digest_state differs")
    if state.digest is None or state.fingerprint is None:
        _add(report, invariants.DIGEST, f"there is no release {state.number}")
    elif release_digest(recount, state.fingerprint) != state.digest:
        _add(report, invariants.DIGEST, f"release {state.number} differs")


def _row(connection: Connection, name: str, values: dict[str, Any]) -> tuple[int, ...]:
    row = connection.execute(_SQL[name], values).fetchone()
    assert row is not None
    return tuple(row)


def _add(report: CheckReport, invariant: str, detail: str) -> None:
    report.problems.append(Problem(invariant, detail))
