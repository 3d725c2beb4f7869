"""What every run ends with: is the release it made sound? The cost follows what it changed."""

from __future__ import annotations

from psycopg import sql

from registry.blobs import BlobStore
from registry.connection import Database
from registry.queries import load
from registry.vectors import vector_table
from schemas.check import ACTIVE_BLOBS, ELECTION, REFS, VECTORS, Problem

_SQL = load("check_release")


def check_release(
    db: Database, collection_id: int, number: int, space_id: int, blobs: BlobStore
) -> list[Problem]:
    """Problems of the chunks and versions that a release showed first or took away.

    `check_collection` looks at all of a collection; this one at what one release touched.

    Args:
        db: the registry.
        collection_id: whose release.
        number: the current release. Where another has followed meanwhile, nothing is found.
        space_id: its embedding space.
        blobs: the tenant's raw bytes.
    """
    values = {"tenant": db.tenant_id, "collection": collection_id, "number": number}
    problems = []
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        query = sql.SQL(_SQL["touched_chunks"]).format(vectors=vector_table(space_id))
        row = connection.execute(query, values).fetchone()
        contents = connection.execute(_SQL["shown_contents"], values).fetchall()
        elections = connection.execute(_SQL["touched_elections"], values).fetchone()
    wrong_refs, without_vector = row or (0, 0)
    if wrong_refs:
        problems.append(Problem(REFS, f"{wrong_refs} chunks that release {number} touched differ"))
    if without_vector:
        problems.append(Problem(VECTORS, f"{without_vector} chunks that release {number} shows have none"))
    if elections and elections[0]:
        problems.append(
            Problem(ELECTION, f"{elections[0]} duplicates that release {number} touched have no such one")
        )
    if lost := sum(1 for (sha256,) in contents if not blobs.path(bytes(sha256)).is_file()):
        problems.append(Problem(ACTIVE_BLOBS, f"{lost} blobs of release {number} are missing"))
    return problems
