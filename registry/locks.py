"""Advisory locks. Names are hashed to 64 bits by PostgreSQL itself."""

from __future__ import annotations

from registry.connection import Connection

_XACT = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_SESSION = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_TRY_SESSION = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
_TRY_XACT = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


def lock_collection(connection: Connection, collection_id: int) -> None:
    """Be the only writer of a collection until the transaction ends.

    A statement of its own: a lock taken inside a query sees the snapshot from before it.
    """
    connection.execute(_XACT, [f"revector:collection:{collection_id}"])


def lock_vector_space(connection: Connection, space_id: int) -> None:
    """Keep away who creates or drops partitions of a space, until the transaction ends."""
    connection.execute(_XACT, [f"revector:vectors_{space_id}"])


def lock_blobs(connection: Connection, tenant_id: int) -> None:
    """Between runs that begin and blobs that are deleted: until the transaction ends, only one of them."""
    connection.execute(_XACT, [f"revector:blobs:{tenant_id}"])


def hold_run(connection: Connection, run_id: str) -> None:
    """Show that a run lives, as long as this session does (kill -9 ends it too)."""
    connection.execute(_SESSION, [_run(run_id)])


def is_run_alive(connection: Connection, run_id: str) -> bool:
    """Whether some session holds the run; call inside a transaction."""
    row = connection.execute(_TRY_XACT, [_run(run_id)]).fetchone()
    return row is None or not row[0]


def try_hold_reembed(connection: Connection, collection_id: int) -> bool:
    """Be the only one who changes a collection's model, as long as this session lives, if nobody is."""
    row = connection.execute(_TRY_SESSION, [f"revector:reembed:{collection_id}"]).fetchone()
    return bool(row and row[0])


def try_lock_dispatch(connection: Connection, collection_id: int) -> bool:
    """Be the only one who asks for flow runs of a collection until the transaction ends, if nobody is."""
    row = connection.execute(_TRY_XACT, [f"revector:dispatch:{collection_id}"]).fetchone()
    return bool(row and row[0])


def _run(run_id: str) -> str:
    return f"revector:run:{run_id}"
