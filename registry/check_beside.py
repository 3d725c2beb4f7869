"""Can the spaces that do not serve be gone back to, or on with?"""

from __future__ import annotations

from typing import Any

from psycopg import sql

from registry.check_vectors import count_wrong
from registry.collections import read_space
from registry.connection import Connection
from registry.purge import spaces_of
from registry.queries import load
from registry.vectors import vector_table
from schemas.check import BESIDE, CheckReport, Problem

_SQL = load("check")


def check_beside(
    connection: Connection, values: dict[str, Any], active_id: int | None, report: CheckReport
) -> None:
    """The vectors of all spaces but the active one, each read once, and what a rollback needs of them.

    What a reembed is still filling was never shown: only what is there is looked at.
    """
    spaces = spaces_of(connection, values)
    report.checked["spaces"] = len(spaces)
    others = [space.id for space in spaces if space.id != active_id]
    if others:
        report.checked["vectors_beside"] = sum(_check(connection, values, id_, report) for id_ in others)


def _check(connection: Connection, values: dict[str, Any], space_id: int, report: CheckReport) -> int:
    """The number of the space's vectors."""
    space = read_space(connection, space_id)
    wrong, vectors = count_wrong(connection, values, space_id, space.normalised)
    query = sql.SQL(_SQL["missing_beside"]).format(vectors=vector_table(space_id))
    row = connection.execute(query, {**values, "space": space_id}).fetchone()
    assert row is not None
    release, missing = row
    name = f"{space.model} ({space.dtype}, space {space_id})"
    if wrong:
        detail = f"{name}: {wrong} of {vectors} vectors are not finite and of unit length"
        report.problems.append(Problem(BESIDE, detail))
    if missing:
        detail = f"{name}: {missing} chunks of release {release} have none"
        report.problems.append(Problem(BESIDE, detail))
    return vectors
