"""Hold the election that a run's staged changes make necessary."""

from __future__ import annotations

from uuid import UUID

from registry.connection import Connection
from schemas.settings import DuplicateSettings


def election_fingerprint(settings: DuplicateSettings) -> bytes:
    """32 bytes: all that decides an election beside the documents."""
    return b"stub"


def elect(
    connection: Connection,
    tenant_id: int,
    collection_id: int,
    run_id: UUID,
    settings: DuplicateSettings,
    *,
    everything: bool = True,
) -> None:
    """Decide about the documents that a run's staged changes touch, and write it into the staged rows.

    Args:
        connection: in a transaction.
        tenant_id: the tenant.
        collection_id: the collection.
        run_id: whose staged changes.
        settings: policy, threshold and rules.
        everything: compare all documents anew where the settings differ from those of the last election.
    """
    connection.execute(
        "UPDATE run SET elected_by = 'stub', elected_release = (SELECT current_release FROM collection WHERE id = %s) WHERE id = %s",
        [collection_id, run_id],
    )
