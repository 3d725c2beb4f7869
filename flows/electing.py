"""Elections outside an ingest: what leaves or comes back may stand for other documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from flows.session import Session
from registry.activation import Elect
from registry.blobs import BlobStore
from registry.connection import Connection
from schemas.release import Collection
from tasks.dedup.elect import elect
from tasks.publishing import until_embedded
from tasks.vectors import EmbedResult, embed_chunks

Made = TypeVar("Made")


def with_election(
    session: Session, collection: Collection, run_id: UUID, activate: Callable[[Elect], Made]
) -> tuple[Made, int]:
    """What `activate` gives, and how many chunks had to be embedded for it.

    Those of a duplicate that comes into view and was never shown are embedded first.

    Args:
        session: the open registry.
        collection: whose state changes.
        run_id: the run that does it.
        activate: makes the release, in one transaction; is handed what holds the election.

    Raises:
        ModelNotAvailable, SpaceMismatch: something has to be embedded, and the model is not there.
    """
    settings = session.settings.collection(collection.name)

    def hold(connection: Connection) -> None:
        elect(connection, session.db.tenant_id, collection.id, run_id, settings.duplicates, everything=False)

    return until_embedded(lambda: activate(hold), lambda ids: embed_stored(session, collection, ids))


def embed_stored(
    session: Session, collection: Collection, ids: list[int], *, replace: bool = False
) -> EmbedResult:
    """Vectors for stored chunks of a collection with its own model."""
    assert collection.active_space_id is not None
    card = session.serving(collection).card
    return embed_chunks(
        session.db,
        collection.id,
        collection.active_space_id,
        ids,
        load_embedder=lambda: session.load_embedder(card, session.settings),
        blobs=BlobStore(session.settings.home, session.db.tenant_id),
        timer=session.timer,
        replace=replace,
    )
