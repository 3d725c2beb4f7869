"""Does the registry keep its invariants? Used by tests and after every destructive step."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from registry.blobs import BlobStore
from registry.connection import Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.digest import EMPTY_STATE, release_digest, update_state

_SQL = load("check")


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken invariant of docs/DATA_MODEL.md."""

    invariant: str
    detail: str


def check_collection(db: Database, collection_id: int, blobs: BlobStore | None = None) -> list[Problem]:
    """All problems found, empty if the collection is sound."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    problems: list[Problem] = []
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(_SQL["collection_state"], values).fetchone()
        assert row is not None
        state, number, space_id, digest, documents, chunks, fingerprint = row
        if number == 0:
            return problems
        query = sql.SQL(_SQL["visible_without_vector"]).format(vectors=vector_table(space_id))
        if missing := _count(connection.execute(query, values).fetchone()):
            problems.append(Problem("visible chunks have vectors", f"{missing} have none"))
        if wrong := _count(connection.execute(_SQL["wrong_refs"], values).fetchone()):
            problems.append(Problem("visible.refs equals the recount", f"{wrong} chunks differ"))
        active = connection.execute(_SQL["active_digests"], values).fetchall()
        recount = update_state(EMPTY_STATE, [bytes(item) for (item,) in active], [])
        if recount != bytes(state) or release_digest(recount, fingerprint) != digest:
            problems.append(Problem("the digest equals the recount", f"release {number} differs"))
        counted = connection.execute(_SQL["counts"], values).fetchone()
        if counted != (documents, chunks):
            problems.append(
                Problem("release counts equal the recount", f"{(documents, chunks)} against {counted}")
            )
        contents = connection.execute(_SQL["active_contents"], values).fetchall()
    if blobs is not None:
        lost = sum(1 for (sha256,) in contents if not blobs.path(bytes(sha256)).is_file())
        if lost:
            problems.append(Problem("active versions have their raw blob", f"{lost} blobs are missing"))
    return problems


def _count(row: tuple[int, ...] | None) -> int:
    return row[0] if row else 0
