"""`/v1/events`: messages come in, and their senders ask what became of them."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from flows.receiver.accepting import accept_message, require_collection
from flows.receiver.answers import Accepted, DeliveryAnswer
from flows.receiver.authentication import Verifier, authenticate
from flows.receiver.bodies import stream_body
from flows.receiver.core import Receiver, the_receiver
from flows.receiver.describing import errors, message_body
from flows.receiver.messages import SINGLE, is_binary, meaning, read_message
from flows.receiver.refusals import JsonResponse, RequestRefused
from registry.collections import find_collection
from registry.dispatch import read_dispatch
from registry.events import find_delivery
from schemas.errors import EventRefused

router = APIRouter(tags=["events"])

TheReceiver = Annotated[Receiver, Depends(the_receiver)]


class Arrived(NamedTuple):
    """A body within the limit, and who could have sent it."""

    body: bytes
    verifier: Verifier


async def _arrive(request: Request, receiver: TheReceiver, collection: str) -> Arrived:
    """Read the body, of those who could be a sender."""
    verifier = await run_in_threadpool(Verifier, receiver, request, collection, with_target=False)
    most = receiver.webhook.max_body_kb << 10
    try:
        pieces = [piece async for piece in stream_body(request, most, setting="webhook.max_body_kb")]
    except RequestRefused as exc:
        if exc.status == 408:
            verifier.charge()
        raise
    return Arrived(b"".join(pieces), verifier)


@router.post(
    "/v1/events/{collection}",
    status_code=202,
    response_model=Accepted,
    responses={
        **errors(400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503),
        200: {"model": Accepted, "description": "It was stored before, or is a test of a store."},
    },
    openapi_extra={"requestBody": message_body()},
    summary="Say what has changed",
)
def post_event(
    request: Request, receiver: TheReceiver, collection: str, arrived: Annotated[Arrived, Depends(_arrive)]
) -> JsonResponse:
    """Store a message durably. The documents it names are looked at soon after; the source decides."""
    body, verifier = arrived
    verifier.update(body)
    caller = verifier.finish()
    content_type = require_plain_body(request)
    require_collection(receiver, collection)
    headers = dict(request.headers)
    if caller.is_signed and is_binary(content_type, headers):
        raise EventRefused(
            "The ce- headers of a binary CloudEvent are not covered by the signature.",
            advice=f"Send it in structured mode: Content-Type {SINGLE}, all attributes in the body.",
        )
    message = read_message(body, content_type, headers)
    accepted = accept_message(receiver, caller, collection, message, sha256=meaning(body, headers))
    is_old = accepted.duplicate or message.is_test
    return JsonResponse(accepted.model_dump(mode="json"), status_code=200 if is_old else 202)


@router.get(
    "/v1/events/{collection}/{id:path}",
    response_model=DeliveryAnswer,
    responses=errors(401, 404, 422, 429, 500, 503),
    summary="Ask what became of a message",
)
def get_event(request: Request, receiver: TheReceiver, collection: str, id: str) -> JsonResponse:
    """State and outcome of each uri; only of the sender's own messages."""
    caller = authenticate(receiver, request, collection)
    found = find_delivery(receiver.db, caller.sender.name, id) if id.isprintable() else None
    if found is None or found.collection != collection:
        raise RequestRefused(
            404, "NotFound", "You have sent no such message to this collection.", advice="Check the id."
        )
    known = find_collection(receiver.db, collection)
    asked = read_dispatch(receiver.db, known.id) if known else None
    is_held_up = asked is not None and asked.trouble is not None
    return JsonResponse(DeliveryAnswer.of(found, is_held_up=is_held_up).model_dump(mode="json"))


def require_plain_body(request: Request) -> str:
    """The media type in lower case, without parameters.

    Raises:
        RequestRefused: 415 for forms, which hold more than the one thing, and for what is compressed.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise RequestRefused(
            415,
            "MediaTypeRefused",
            "A body with a Content-Encoding is not unpacked.",
            advice="Send the bytes as they are, without Content-Encoding.",
        )
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.startswith("multipart/"):
        raise RequestRefused(
            415,
            "MediaTypeRefused",
            "A multipart form is not read.",
            advice="Send the bytes themselves: curl --data-binary @FILE.",
        )
    return media_type
