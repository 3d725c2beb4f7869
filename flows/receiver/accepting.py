"""From a message to stored events: which collection, which sources, how many, and not twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import uuid4

from flows.receiver.answers import Accepted, status_path
from flows.receiver.authentication import Caller
from flows.receiver.core import Receiver
from flows.receiver.messages import Message, Said
from flows.receiver.refusals import RequestRefused
from registry.collections import ensure_collection, find_collection, list_sources
from registry.events import accept_delivery, count_pending
from registry.receiving import find_unknown
from schemas.errors import CollectionNotFound, EventRefused
from schemas.event import Delivery, NamedChange
from schemas.release import Collection
from schemas.source import Source
from tasks.sources.routing import require_uri, route, route_url

logger = logging.getLogger(__name__)

SHOWN_UNKNOWN = 100
FULL_S = 60
"""Seconds after which a sender may try again where too many events wait."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What a message names in the sources of a collection, and how many entries name nothing there."""

    changes: tuple[NamedChange, ...]
    ignored: int


def require_collection(receiver: Receiver, name: str, *, create: bool = False) -> Collection | None:
    """The collection; None where it is only configured, and not created.

    Raises:
        CollectionNotFound: nobody knows it; the message does not say which there are.
    """
    is_configured = name in receiver.settings.collections
    found = find_collection(receiver.db, name) if name.isprintable() or is_configured else None
    if found is None and not is_configured:
        raise CollectionNotFound(
            "There is no such collection.", advice="Ingest into it first, or name it in revector.toml."
        )
    if found is None and create:
        kind = receiver.settings.collection(name).kind or "documents"
        return ensure_collection(receiver.db, name, kind=kind)
    return found


def accept_message(
    receiver: Receiver, caller: Caller, name: str, message: Message, *, sha256: bytes
) -> Accepted:
    """Store what a message says.

    Args:
        receiver: where.
        caller: who sent it.
        name: of the collection.
        message: what it says.
        sha256: of all that gives it its meaning.

    Raises:
        CollectionNotFound, EventConflict, EventRefused: see the classes.
        RequestRefused: 409 before the first ingest, 503 where too many events wait.
    """
    collection = require_collection(receiver, name)
    id = caller.id or message.id or str(uuid4())
    if message.is_test:
        return Accepted.nothing(id, name)
    if len(message.said) > (most := receiver.webhook.max_documents):
        raise EventRefused(
            f"The message names {len(message.said):,} documents; {most:,} are allowed.",
            advice="Send several messages, or name their folder in prefixes.",
        )
    sources = list_sources(receiver.db, collection.id) if collection else []
    if collection is None or not sources:
        raise RequestRefused(
            409,
            "NoSource",
            f"Collection {name!r} has no source yet.",
            advice="Ingest its folder or bucket first: revector ingest PLACE --collection NAME.",
        )
    routed = route_all(sources, message, inbox=str(receiver.inbox.root))
    delivery = Delivery(caller.sender.name, id, sha256, routed.changes)
    return store(receiver, collection, delivery, ignored=routed.ignored)


def route_all(sources: list[Source], message: Message, *, inbox: str = "") -> Routed:
    """Each thing that is named, in its source; what is said twice counts once.

    Raises:
        EventRefused: a uri is none, or it is not said which source is meant.
    """
    found = [_route(sources, said, inbox) for said in message.said]
    changes = tuple(dict.fromkeys(change for change in found if change is not None))
    return Routed(changes, message.skipped + found.count(None))


def _route(sources: list[Source], said: Said, inbox: str) -> NamedChange | None:
    if said.is_url:
        place = route_url(sources, said.name)
    else:
        uri = require_uri(said.name, folder=said.action == "prefix")
        place = route(sources, uri, source=said.source, inbox=inbox)
    if place is None:
        return None
    source, uri = place
    assert source.id is not None
    return NamedChange(source.id, uri, said.action)


def store(
    receiver: Receiver,
    collection: Collection,
    delivery: Delivery,
    *,
    ignored: int = 0,
    effect: Callable[[], object] | None = None,
) -> Accepted:
    """Make a delivery durable, once, and its effect before it."""
    require_room(receiver, collection)
    is_new = accept_delivery(receiver.db, collection.id, delivery, effect=effect)
    receiver.meters.deliveries.labels("accepted" if is_new else "duplicate").inc()
    if is_new:
        receiver.meters.ignored.labels(collection.name).inc(ignored)
        receiver.note_accepted()
    logger.info(
        "delivery",
        extra={
            "sender": delivery.sender,
            "delivery": delivery.id,
            "collection": collection.name,
            "events": len(delivery.changes),
            "duplicate": not is_new,
        },
    )
    return Accepted(
        id=delivery.id,
        collection=collection.name,
        accepted=len(delivery.changes) if is_new else 0,
        ignored=ignored,
        duplicate=not is_new,
        unknown=_unknown(receiver, delivery.changes) if is_new else [],
        status=status_path(collection.name, delivery.id),
    )


def require_room(receiver: Receiver, collection: Collection) -> None:
    """Raise RequestRefused, 503, where too many events wait already."""
    if count_pending(receiver.db, collection.id) >= receiver.webhook.max_pending:
        raise RequestRefused(
            503,
            "TooManyPending",
            "Too many events of this collection wait.",
            advice="Send it again later; the operator should see why nothing is applied.",
            retry_s=FULL_S,
        )


def _unknown(receiver: Receiver, changes: Iterable[NamedChange]) -> list[str]:
    """Deleted uris that the index does not have: their sender may call them by another name."""
    deleted: dict[int, list[str]] = {}
    for change in changes:
        if change.action == "deleted":
            deleted.setdefault(change.source_id, []).append(change.uri)
    found: list[str] = []
    for source_id, uris in deleted.items():
        found += find_unknown(receiver.db, source_id, uris, most=SHOWN_UNKNOWN - len(found))
    return found
