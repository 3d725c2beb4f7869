"""Documents that come as bodies, and go by DELETE: the inbox and the events agree."""

from __future__ import annotations

from hashlib import sha256
from uuid import uuid4

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from flows.receiver.accepting import require_collection, store
from flows.receiver.answers import Accepted
from flows.receiver.authentication import Caller, Verifier, sent_target
from flows.receiver.bodies import stream_body
from flows.receiver.core import Receiver
from flows.receiver.inbox import Incoming
from registry.collections import ensure_source, list_sources
from registry.receiving import find_unknown
from schemas.errors import EventRefused
from schemas.event import Action, Delivery, NamedChange
from schemas.release import Collection
from schemas.source import Source
from tasks.sources.patterns import compile_patterns
from tasks.sources.routing import require_uri

SOURCE_NAME = "inbox"
MAX_NAME_BYTES = 255
"""Of one part of a path: what file systems take."""

_WRITE_BYTES = 1 << 20
"""Written and hashed at once in a thread: fewer, and handing over costs more than the work."""


async def receive(receiver: Receiver, request: Request, collection: str, path: str) -> Accepted:
    """Take a document in: durable at its place before its event is, and its event before the answer.

    Raises:
        RequestRefused: as `Verifier`, `stream_body` and `Inbox` do; nothing is left behind.
        CollectionNotFound, EventConflict, EventRefused: see the classes; nothing is left behind.
    """
    verifier = await run_in_threadpool(Verifier, receiver, request, collection, with_target=True)
    with receiver.upload_slot(verifier.stranger):
        verifier.charge()  # before the body: who never ends it is never refused for its signature
        incoming = await run_in_threadpool(receiver.inbox.open)
        try:
            await _fill(receiver, request, verifier, incoming)
            caller = await run_in_threadpool(verifier.finish)
            return await run_in_threadpool(
                _keep, receiver, caller, collection, path, incoming, sent_target(request)
            )
        finally:
            incoming.discard()


async def _fill(receiver: Receiver, request: Request, verifier: Verifier, incoming: Incoming) -> None:
    most = receiver.webhook.max_upload_mb << 20
    pending = bytearray()

    def work() -> None:
        verifier.update(bytes(pending))
        incoming.write(bytes(pending))
        pending.clear()

    async for piece in stream_body(request, most, setting="webhook.max_upload_mb"):
        pending += piece
        if len(pending) >= _WRITE_BYTES:
            await run_in_threadpool(work)
    await run_in_threadpool(work)


def _keep(
    receiver: Receiver, caller: Caller, name: str, path: str, incoming: Incoming, target: str
) -> Accepted:
    uri = _require_path(receiver, name, path)
    collection = require_collection(receiver, name, create=True)
    assert collection is not None
    meaning = _meaning(target, incoming.finish())
    receiver.inbox.make_folder(name)  # a source whose folder is not there would fail every ingest
    source = _inbox_source(receiver, collection)

    def place() -> None:
        receiver.inbox.place(incoming, name, uri)
        receiver.meters.upload_bytes.inc(incoming.size)

    return store(receiver, collection, _delivery(caller, source, uri, "changed", meaning), effect=place)


def remove(receiver: Receiver, caller: Caller, name: str, path: str, target: str) -> Accepted:
    """Remove a document from the inbox, and say so; one that is not there is `unknown` at most.

    Where nothing was uploaded yet nothing is stored: an inbox that is only named would fail every ingest.

    Raises:
        CollectionNotFound, EventConflict, EventRefused, RequestRefused: see the classes.
    """
    uri = _require_path(receiver, name, path)
    collection = require_collection(receiver, name)
    source = _find_inbox(receiver, collection) if collection else None
    if collection is not None and source is None:
        _require_ours(receiver, collection, uri)
    if collection is None or source is None:
        return Accepted.nothing(caller.id or str(uuid4()), name, unknown=[uri])
    delivery = _delivery(caller, source, uri, "deleted", _meaning(target, b""))

    def effect() -> None:
        if not receiver.inbox.remove(name, uri):
            _require_ours(receiver, collection, uri)

    return store(receiver, collection, delivery, effect=effect)


def _require_ours(receiver: Receiver, collection: Collection, uri: str) -> None:
    """Raise EventRefused where a document of that name was not uploaded: it would come back."""
    inbox = receiver.inbox.folder(collection.name).as_posix()
    known = [
        source
        for source in list_sources(receiver.db, collection.id)
        if source.id is not None and not find_unknown(receiver.db, source.id, [uri], most=1)
    ]
    if known and all(source.root_url != inbox for source in known):
        raise EventRefused(
            f"{uri[:200]!r} was not uploaded: it is a document of the source {known[0].name!r}.",
            advice="Remove it there, and say so by POST /v1/events.",
        )


def _require_path(receiver: Receiver, name: str, path: str) -> str:
    """The uri of a document in the inbox; raises EventRefused where the index would not take it."""
    if not path:
        raise EventRefused(
            "The request does not say which document.", advice="Add ?path=FOLDER/NAME, percent-encoded."
        )
    uri = require_uri(path)
    if any(len(part.encode()) > MAX_NAME_BYTES for part in uri.split("/")):
        raise EventRefused(
            f"A part of the path is longer than {MAX_NAME_BYTES} bytes.", advice="Choose a shorter name."
        )
    settings = receiver.settings.collection(name)
    skip, take = compile_patterns(settings.exclude), compile_patterns(settings.include)
    parts = uri.split("/")
    is_skipped = skip and any(skip(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts))
    if is_skipped or (take and not take(parts[-1], uri)):
        raise EventRefused(
            f"The collection's patterns leave {uri[:200]!r} out.",
            advice="Choose another path, or change include and exclude of the collection.",
        )
    return uri


def _meaning(target: str, content_sha256: bytes) -> bytes:
    return sha256(target.encode("utf-8", "surrogateescape") + b"\n" + content_sha256).digest()


def _delivery(caller: Caller, source: Source, uri: str, action: Action, meaning: bytes) -> Delivery:
    """The delivery of one document; without an id of its sender's it is new each time."""
    assert source.id is not None
    change = NamedChange(source.id, uri, action)
    return Delivery(caller.sender.name, caller.id or str(uuid4()), meaning, (change,))


def _inbox_source(receiver: Receiver, collection: Collection) -> Source:
    """The inbox as a source. Looked up first: to register one waits for runs that show their release."""
    settings = receiver.settings.collection(collection.name)
    known = _find_inbox(receiver, collection)
    if known and (known.include, known.exclude) == (settings.include, settings.exclude):
        return known
    root = receiver.inbox.folder(collection.name).as_posix()
    wanted = Source(SOURCE_NAME, root, settings.include, settings.exclude)
    return ensure_source(receiver.db, collection.id, wanted)


def _find_inbox(receiver: Receiver, collection: Collection) -> Source | None:
    root = receiver.inbox.folder(collection.name).as_posix()
    return next((one for one in list_sources(receiver.db, collection.id) if one.root_url == root), None)
