"""`/v1/documents`: documents come as bodies of requests, and go by DELETE."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from flows.receiver.answers import Accepted
from flows.receiver.authentication import authenticate, sent_target
from flows.receiver.describing import document_body, errors
from flows.receiver.events import TheReceiver, require_plain_body
from flows.receiver.refusals import JsonResponse
from flows.receiver.uploads import receive, remove

router = APIRouter(tags=["documents"])

Path = Annotated[
    str,
    Query(description="Where it lies in the collection's inbox; / between folders.", examples=["hr/kim.pdf"]),
]


@router.post(
    "/v1/documents/{collection}",
    status_code=202,
    response_model=Accepted,
    responses={
        **errors(400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503, 507),
        200: {"model": Accepted, "description": "It was stored before; nothing was replaced."},
    },
    openapi_extra={"requestBody": document_body()},
    summary="Upload a document",
)
async def post_document(
    request: Request, receiver: TheReceiver, collection: str, path: Path = ""
) -> JsonResponse:
    """Store the body as a document, durably, and have it indexed. What lay at the path is replaced."""
    require_plain_body(request)
    return _answer(await receive(receiver, request, collection, path))


@router.delete(
    "/v1/documents/{collection}",
    status_code=202,
    response_model=Accepted,
    responses={
        **errors(401, 404, 409, 422, 429, 500, 503),
        200: {"model": Accepted, "description": "It was done before; nothing was removed now."},
    },
    summary="Remove a document",
)
def delete_document(
    request: Request, receiver: TheReceiver, collection: str, path: Path = ""
) -> JsonResponse:
    """Remove a document that was uploaded, and have it retired from the index."""
    caller = authenticate(receiver, request, collection)
    return _answer(remove(receiver, caller, collection, path, sent_target(request)))


def _answer(accepted: Accepted) -> JsonResponse:
    return JsonResponse(accepted.model_dump(mode="json"), status_code=200 if accepted.duplicate else 202)
