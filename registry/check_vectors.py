"""Are the vectors fit to be compared, and does the index find the nearest of them?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from registry.connection import Connection
from registry.queries import load
from registry.search import CANDIDATES, vector_hits
from registry.vectors import partition_name, vector_table
from schemas.check import RECALL, UNIT, CheckReport, Problem
from schemas.release import Collection

_SQL = load("check")

Hits = Sequence[tuple[int, float]]
Search = Callable[[NDArray[np.float32], int, bool], Hits]

UNIT_TOLERANCE = 1e-3
"""Vectors are normalised as float32, which is good for 1e-6. Stored as halfvec, each number is
rounded by at most 2**-11 of itself, so the length by at most 4.9e-4: twice that is allowed."""

MIN_RECALL = 0.9
"""With 100 candidates HNSW finds 95 % and more of the ten nearest; below this it is damaged, or its vectors
are hard to tell apart by its parameters."""
SAMPLES = 20
NEAREST = 10
TIE = 1e-6
"""Equal texts of two kinds have equal vectors: which of them comes tenth does not matter."""


def sound_square(normalised: bool) -> sql.SQL:
    """A condition on `square`, the squared length; NaN and infinity never fulfil it."""
    if not normalised:
        return sql.SQL("(square > 0 AND square < 'infinity')")
    low, high = (1 - UNIT_TOLERANCE) ** 2, (1 + UNIT_TOLERANCE) ** 2
    return sql.SQL(f"(square BETWEEN {low} AND {high})")


def check_vectors(
    connection: Connection, values: dict[str, Any], space_id: int, normalised: bool, report: CheckReport
) -> None:
    """All vectors of the space: finite, not zero, of unit length where the space says so."""
    wrong, report.checked["vectors"] = count_wrong(connection, values, space_id, normalised)
    if wrong:
        report.problems.append(Problem(UNIT, f"{wrong} are not"))


def count_wrong(
    connection: Connection, values: dict[str, Any], space_id: int, normalised: bool
) -> tuple[int, int]:
    """How many vectors of a collection in a space are not fit to be compared, and how many there are."""
    query = sql.SQL(_SQL["wrong_vectors"]).format(
        vectors=vector_table(space_id), is_sound=sound_square(normalised)
    )
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def check_recall(connection: Connection, tenant_id: int, collection: Collection, report: CheckReport) -> None:
    """What a search finds against an exact scan, where there is an index; in a transaction.

    The queries are vectors of visible chunks, the same ones each time as long as these stay.
    """
    assert collection.active_space_id is not None
    partition = partition_name(collection.active_space_id, collection.id)
    values = {"tenant": tenant_id, "collection": collection.id, "partition": partition, "most": SAMPLES}
    index = connection.execute(_SQL["vector_index"], values).fetchone()
    if index is None:
        return
    vectors = vector_table(collection.active_space_id)
    samples = connection.execute(sql.SQL(_SQL["sample_vectors"]).format(vectors=vectors), values).fetchall()

    def search(vector: NDArray[np.float32], most: int, exact: bool) -> Hits:
        return vector_hits(connection, tenant_id, collection, vector, most, exact=exact)

    recall = measure_recall([text for (text,) in samples], search)
    report.hnsw_recall = recall
    if recall is not None and recall < MIN_RECALL:
        detail = f"{index[0]} finds {recall:.0%} of the {NEAREST} nearest, less than {MIN_RECALL:.0%}"
        report.problems.append(Problem(RECALL, detail))


def measure_recall(samples: Sequence[str], search: Search) -> float | None:
    """The share of the nearest that an index finds, of vectors in pgvector's text form; None without any.

    Args:
        samples: the queries.
        search: (vector, how many, whether exactly) to hits.
    """
    vectors = [np.asarray(json.loads(text), dtype=np.float32) for text in samples]
    vectors = [vector for vector in vectors if vector.any()]  # nothing is near a zero vector
    found = [search(vector, CANDIDATES, False) for vector in vectors]
    recall = recall_at(found, [search(vector, NEAREST, True) for vector in vectors])
    return None if recall is None else round(recall, 4)


def recall_at(found: Sequence[Hits], exact: Sequence[Hits]) -> float | None:
    """The share of the exact hits that were found; one as near as the last exact one counts.

    >>> recall_at([[(1, 0.9), (7, 0.8)]], [[(1, 0.9), (2, 0.8)]])
    1.0
    >>> recall_at([[(1, 0.9), (7, 0.7)]], [[(1, 0.9), (2, 0.8)]])
    0.5
    """
    exact = [[hit for hit in hits if not math.isnan(hit[1])] for hits in exact]  # of zero vectors
    wanted = sum(len(hits) for hits in exact)
    if not wanted:
        return None
    good = 0
    for mine, best in zip(found, exact, strict=True):
        if best:
            good += sum(1 for _, score in mine[: len(best)] if score >= best[-1][1] - TIE)
    return good / wanted
