"""When an index is built, with what, and how well it finds.

It is built after a load has brought a partition to `INDEX_FROM_ROWS`; what comes later is inserted into it.
Deleted vectors leave holes in its graph: purge builds it anew when they are too many. After each build its
recall is measured. One under `MIN_RECALL` is kept and logged: another one by the same parameters would find
no more, and other parameters are another space, which `revector reembed` changes to.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from numpy import float32
from numpy.typing import NDArray
from psycopg import sql

from registry.check_vectors import MIN_RECALL, SAMPLES, Hits, measure_recall
from registry.collections import get_collection_by_id, get_space
from registry.connection import Database
from registry.index_sizing import BuildResources, choose_resources
from registry.queries import load
from registry.search import stored_hits
from registry.vectors import partition_name, vector_table

_SQL = load("vector_index")

INDEX_FROM_ROWS = 5_000
"""Below this many rows an exact scan answers in milliseconds and an index only costs."""
WORN_SHARE = 0.2
"""Of what the index holds or held, deleted since it was built."""
BROKEN_LOCK_MS = 1_000
"""What searches may have to wait for a broken index to go."""
_ALL = 2**62

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexReport:
    """An index that was built.

    Attributes:
        name: of the partition.
        rows: it was built of.
        seconds: that took.
        recall: share of the exact nearest neighbours that it finds; None where nothing could be asked.
    """

    name: str
    rows: int
    seconds: float
    recall: float | None


@dataclass(frozen=True, slots=True)
class IndexState:
    """What is known of an index that serves.

    Attributes:
        built_at, rows, seconds, recall: of its build; None where it is older than this record.
        deleted: vectors that it has lost since.
    """

    built_at: datetime | None
    rows: int | None
    seconds: float | None
    recall: float | None
    deleted: int


def ensure_index(db: Database, space_id: int, collection_id: int) -> IndexReport | None:
    """Build the index of a partition that has grown enough and has none; None where nothing was built."""
    values = _values(db, space_id, collection_id)
    is_there, is_littered = _find_indexes(db, values)
    if is_littered:
        drop_broken(db, space_id, collection_id)
    if is_there or count_rows(db, space_id, collection_id, most=INDEX_FROM_ROWS) < INDEX_FROM_ROWS:
        return None
    resources = resources_for(db, space_id, collection_id)
    # a transaction of its own: one that had read the parent would hold up new collections
    with db.connection() as connection:
        row = connection.execute(_SQL["create_vector_index"], {**values, **resources._asdict()}).fetchone()
    if row is None or row[0] is None:  # another run was faster, or none takes vectors of that length
        return None
    return note_build(db, space_id, collection_id, seconds=row[0])


def resources_for(db: Database, space_id: int, collection_id: int) -> BuildResources:
    """What a build of the partition's index may use."""
    rows, space = count_rows(db, space_id, collection_id), get_space(db, space_id)
    with db.connection() as connection:
        return choose_resources(connection, db.url, rows, space)


def drop_broken(db: Database, space_id: int, collection_id: int) -> list[str]:
    """Drop what an interrupted build or copy left in the way; returns the names."""
    values = {**_values(db, space_id, collection_id), "lock_ms": BROKEN_LOCK_MS}
    with db.connection() as connection:
        row = connection.execute(_SQL["drop_broken_indexes"], values).fetchone()
    names = list(row[0]) if row else []
    if names:
        log.warning("left by an interrupted build, dropped: %s", ", ".join(names))
    return names


def note_build(db: Database, space_id: int, collection_id: int, *, seconds: float) -> IndexReport:
    """Measure an index that was just built, and write down what is known of it."""
    rows = count_rows(db, space_id, collection_id)
    recall = measure_index(db, space_id, collection_id)
    values = {**_values(db, space_id, collection_id), "rows": rows, "seconds": seconds, "recall": recall}
    with db.connection() as connection:
        connection.execute(_SQL["note_build"], values)
    report = IndexReport(values["partition"], rows, seconds, recall)
    log.info("index of %s: %d rows, %.1f s, recall %s", report.name, rows, seconds, recall)
    if recall is not None and recall < MIN_RECALL:
        log.warning(
            "the index of %s finds %.0f %% of the nearest: higher vectors.m or ef_construction find more, or "
            "another vectors.dtype; name it under `next` and run `revector reembed`, which converts",
            report.name, 100 * recall,
        )  # fmt: skip
    return report


def measure_index(db: Database, space_id: int, collection_id: int) -> float | None:
    """Share of the exact nearest neighbours of stored vectors that the index finds, shown or not."""
    space = get_space(db, space_id)
    values = {**_values(db, space_id, collection_id), "most": SAMPLES}
    with db.transaction() as connection:
        collection = get_collection_by_id(connection, db.tenant_id, collection_id)
        query = _compose(load("check")["sample_stored_vectors"], space_id, collection_id)
        samples = [text for (text,) in connection.execute(query, values)]
        connection.execute(_SQL["index_only"])

        def search(vector: NDArray[float32], most: int, exact: bool) -> Hits:
            return stored_hits(
                connection, db.tenant_id, collection, space_id, space, vector, most, exact=exact
            )

        return measure_recall(samples, search)


def index_state(db: Database, space_id: int, collection_id: int) -> IndexState | None:
    """What is known of the index; None where there is none that serves, and search reads all vectors."""
    values = _values(db, space_id, collection_id)
    if not _find_indexes(db, values)[0]:
        return None
    with db.connection() as connection:
        row = connection.execute(_SQL["index_state"], values).fetchone()
    return IndexState(*row) if row else IndexState(None, None, None, None, 0)


def is_worn(db: Database, space_id: int, collection_id: int) -> bool:
    """Whether an index has lost so many of its vectors that searches find less and read more."""
    state = index_state(db, space_id, collection_id)
    if state is None or not state.deleted:
        return False
    rows = count_rows(db, space_id, collection_id)
    return state.deleted > WORN_SHARE * (rows + state.deleted)


def count_rows(db: Database, space_id: int, collection_id: int, *, most: int = _ALL) -> int:
    """Vectors in a partition, shown or not; so many at most."""
    query = _compose(_SQL["count_vectors"], space_id, collection_id)
    with db.connection() as connection:
        row = connection.execute(query, {**_values(db, space_id, collection_id), "most": most}).fetchone()
    return int(row[0]) if row else 0


def _find_indexes(db: Database, values: dict[str, Any]) -> tuple[bool, bool]:
    """Whether there is one that serves, and whether something was left behind."""
    with db.connection() as connection:
        row = connection.execute(_SQL["find_indexes"], values).fetchone()
    assert row is not None
    return bool(row[0]), bool(row[1])


def _compose(statement: LiteralString, space_id: int, collection_id: int) -> sql.Composed:
    return sql.SQL(statement).format(vectors=vector_table(space_id), collection=sql.Literal(collection_id))


def _values(db: Database, space_id: int, collection_id: int) -> dict[str, Any]:
    return {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "space": space_id,
        "partition": partition_name(space_id, collection_id),
    }
