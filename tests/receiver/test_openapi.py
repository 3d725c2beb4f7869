"""The OpenAPI document is what the receiver does."""

from __future__ import annotations

import json
import re

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flows.receiver.describing import OPEN
from registry.collections import ensure_collection, ensure_source
from schemas.source import Source

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25


def test_every_operation_is_described_in_full(receiver):
    document = receiver.client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"].keys() == {"id", "timestamp", "signature", "bearer"}
    operations = {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert len(operations) == 8
    for (method, path), operation in operations.items():
        assert operation["summary"], path
        assert operation["description"], path
        assert bool(operation["security"]) == (path not in OPEN)
        assert ("requestBody" in operation) == (method == "post")
        assert "500" in operation["responses"]
        for status, response in operation["responses"].items():
            assert response["description"]
            if status.startswith(("4", "5")) and path != "/ready":
                assert response["content"]["application/json"]["schema"]["$ref"].endswith("ErrorAnswer")
    assert "HTTPValidationError" not in str(document)


def test_every_reference_leads_somewhere(receiver):
    document = receiver.client.get("/openapi.json").json()
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)):
        assert name in document["components"]["schemas"]


def test_the_examples_are_accepted(receiver):
    collection = ensure_collection(receiver.db, "default")
    ensure_source(receiver.db, collection.id, Source("bucket", "s3://contracts"))
    content = receiver.client.get("/openapi.json").json()["paths"]["/v1/events/{collection}"]["post"][
        "requestBody"
    ]["content"]
    for name, example in content["application/json"]["examples"].items():
        value = example["value"]
        if "Records" not in value:
            value = {**value, "source": "docs"}
        assert receiver.post(value).status_code == 202, name
    for kind in ("application/cloudevents+json", "application/cloudevents-batch+json"):
        value = content[kind]["example"]
        for event in value if isinstance(value, list) else [value]:
            event["data"] = {"source": "docs"}
        assert receiver.post(value, content_type=kind).status_code == 202


def _either(operation):
    """Requests as documented, and requests that break what is documented."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return hypothesis.strategies.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])


class Signed:
    """Signs each request on its way to the app, whatever it is."""

    def __init__(self, receiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self._receiver.client.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = f"{scope['method']} {(scope['raw_path'] + query).decode('latin-1')}"
        is_event = (scope["method"], scope["path"][:11]) == ("POST", "/v1/events/")
        signature = self._receiver.headers(body, target="" if is_event else target)
        names = {name.encode() for name in signature}
        kept = [pair for pair in scope["headers"] if pair[0].lower() not in names]
        added = [(name.encode(), value.encode()) for name, value in signature.items()]

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        near = {"client": ("127.0.0.1", 5), "headers": kept + added}
        await self._receiver.client.app({**scope, **near}, again, send)


OPERATIONS = [
    ("POST", "/v1/events/{collection}", {202, 404, 422}),
    ("GET", "/v1/events/{collection}/{id}", {404}),
    ("POST", "/v1/documents/{collection}", {202, 422}),
    ("DELETE", "/v1/documents/{collection}", {202, 422}),
    ("GET", "/v1/runs/{id}", {404}),
    ("GET", "/health", {200}),
    ("GET", "/ready", {200}),
    ("GET", "/metrics", {200}),
]


def _answers(document, method: str, path: str) -> set[int]:
    """Statuses of the answers to generated requests; each is as documented, and none a failure."""
    seen: list[int] = []

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=_either(document[path][method]))
    def check(case):
        if isinstance(case.path_parameters, dict) and len(seen) % 3:
            case.path_parameters = {
                **case.path_parameters,
                **({"collection": "default"} if "{collection}" in path else {}),
            }
        response = case.call()
        seen.append(response.status_code)
        case.validate_response(response, checks=CHECKS)

    check()
    return set(seen)


@pytest.fixture
def ready(configure, db):
    collection = ensure_collection(db, "default")
    ensure_source(db, collection.id, Source("docs", "/srv/docs"))
    return configure(requests_per_minute=1_000_000, burst=1_000_000)


@pytest.mark.parametrize(("method", "path", "expected"), OPERATIONS)
def test_whatever_a_sender_sends_no_answer_is_undocumented(ready, method, path, expected):
    document = schemathesis.openapi.from_asgi("/openapi.json", Signed(ready))
    assert expected <= _answers(document, method, path)


def test_whatever_a_stranger_sends_has_no_effect(ready):
    document = schemathesis.openapi.from_asgi("/openapi.json", ready.client.app)
    for method, path, _ in OPERATIONS[:5]:
        found = _answers(document, method, path)
        assert 401 in found
        assert found <= {401, 404, 405, 422}
    ready.assert_untouched()
