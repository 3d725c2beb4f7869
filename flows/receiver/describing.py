"""The OpenAPI document: bodies that are read by hand, security, errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from flows.receiver.answers import ErrorAnswer
from flows.receiver.messages import BATCH, SINGLE, Changes, CloudEvent

MEANINGS = {
    400: "The body is not JSON, or broke off.",
    401: "The sender is not known. A collection that does not exist looks the same without a secret.",
    403: "Not for whoever asks from there.",
    404: "There is no such thing, or it is not the sender's.",
    408: "The body stopped coming.",
    409: "The id was used for something else, the path is taken, or nothing was ingested yet.",
    413: "The body is larger than the limit.",
    415: "A form, or something compressed, instead of the bytes themselves.",
    422: "What is named cannot be one of the collection's.",
    429: "Too many requests; see Retry-After.",
    500: "The receiver failed; see its log.",
    503: "Not right now; see Retry-After.",
    507: "No room left for documents.",
}
OPEN = frozenset({"/health", "/ready", "/metrics"})
_SCHEMES: dict[str, Any] = {
    name: {"type": "apiKey", "in": "header", "name": f"webhook-{name}", "description": says}
    for name, says in {
        "id": "Standard Webhooks: id of the message, the same when it is sent again.",
        "timestamp": "Standard Webhooks: seconds since 1970.",
        "signature": "Standard Webhooks: v1,BASE64 of the HMAC-SHA256 over ID.TIMESTAMP.BODY. Before the "
        "body of uploads, deletions and GETs stands METHOD PATH?QUERY and a line feed.",
    }.items()
} | {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "For senders that cannot sign (MinIO, EventBridge). Whoever reads one request can "
        "send others: only over TLS.",
    }
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors an endpoint may answer with."""
    return {status: {"model": ErrorAnswer, "description": MEANINGS[status]} for status in statuses}


def message_body() -> dict[str, Any]:
    """The body of an event."""
    event, changes = ({"$ref": f"#/components/schemas/{model.__name__}"} for model in (CloudEvent, Changes))
    store = {
        "type": "object",
        "title": "StoreNotification",
        "description": "What S3, MinIO or EventBridge send, also inside an SNS envelope.",
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [changes, store]}, "examples": _EXAMPLES},
            SINGLE: {"schema": event, "example": _CLOUD_EVENT},
            BATCH: {"schema": {"type": "array", "items": event}, "example": [_CLOUD_EVENT]},
        },
    }


def document_body() -> dict[str, Any]:
    """The body of an upload."""
    return {
        "required": True,
        "description": "The bytes of the document, whatever its type.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }


_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "20261120-1",
    "source": "/hr/archive",
    "type": "revector.document.changed",
    "subject": "hr/kim.pdf",
}
_EXAMPLES = {
    "documents": {"value": {"changed": ["hr/kim.pdf"], "deleted": ["hr/lee.pdf"]}},
    "folder": {"value": {"source": "docs", "prefixes": ["contracts/"]}},
    "s3": {
        "value": {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "eventName": "ObjectCreated:Put",
                    "s3": {"bucket": {"name": "contracts"}, "object": {"key": "2026/kim+lee.pdf"}},
                }
            ]
        }
    },
}


def describe(app: FastAPI) -> None:
    """Complete the OpenAPI document of an app."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(get_openapi(title=app.title, version="1", routes=app.routes))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]
    components["securitySchemes"] = _SCHEMES
    for model in (CloudEvent, Changes):
        components["schemas"][model.__name__] = model.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape, which is never sent
        components["schemas"].pop(name, None)
    signed: list[dict[str, list[str]]] = [{"id": [], "timestamp": [], "signature": []}, {"bearer": []}]
    for path, item in document["paths"].items():
        for operation in item.values():
            operation["security"] = [] if path in OPEN else signed
    return document
