"""What messages say: our own shape, and CloudEvents that carry it; names are as the sender spells them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.receiver.bodies import parse_json
from flows.receiver.notifications import is_notification, read_notification
from schemas.errors import EventRefused
from schemas.event import Action

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
TYPES: dict[str, Action] = {
    "revector.document.changed": "changed",
    "revector.document.deleted": "deleted",
    "revector.prefix.changed": "prefix",
}
_MAX_ID = 512
M = TypeVar("M", bound=BaseModel)


class Said(NamedTuple):
    """What a message says of one uri, or of one object in a store (`url`)."""

    name: str
    action: Action
    source: str | None = None
    is_url: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What a body says.

    Attributes:
        said: of what.
        skipped: how many entries say nothing that matters here (an object was read, tagged ...).
        id: the message's own, "" where it has none.
        is_test: whether a store only tries whether somebody listens.
        is_dated: of a store's: whether the same bytes are the same message.
    """

    said: tuple[Said, ...]
    skipped: int = 0
    id: str = ""
    is_test: bool = False
    is_dated: bool = False


class Changes(BaseModel):
    """Our own message: which documents and folders of a source to look at."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"changed": ["hr/kim.pdf"], "deleted": [], "prefixes": ["contracts/"]}]
        },
    )

    source: str | None = Field(
        default=None, description="Name of the source; needed where the collection has several."
    )
    changed: list[str] = Field(default=[], description="Paths of documents that are new or were changed.")
    deleted: list[str] = Field(default=[], description="Paths of documents that were removed.")
    prefixes: list[str] = Field(default=[], description='Folders to look through; "" is the whole source.')

    def said(self) -> tuple[Said, ...]:
        """Each name with what is said of it."""
        lists: tuple[tuple[Action, list[str]], ...] = (
            ("changed", self.changed),
            ("deleted", self.deleted),
            ("prefix", self.prefixes),
        )
        return tuple(Said(name, action, self.source) for action, names in lists for name in names)


class CloudEvent(BaseModel):
    """CloudEvents 1.0, the attributes that are looked at; extensions are allowed."""

    model_config = ConfigDict(extra="allow", strict=True)

    specversion: str = Field(pattern=r"^1\.\d+$")
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str | None = None
    data: Any = None


def read_message(body: bytes, content_type: str, headers: Mapping[str, str]) -> Message:
    """What a request says.

    Args:
        body: of the request.
        content_type: without its parameters, in lower case.
        headers: of the request, names in lower case.

    Raises:
        RequestRefused: the body is not JSON.
        EventRefused: it says nothing that is known here.
    """
    if content_type == BATCH:
        return _read_batch(parse_json(body))
    if content_type == SINGLE:
        return _read_event(_model(CloudEvent, parse_json(body)))
    if is_binary(content_type, headers):
        return _read_event(_model(CloudEvent, _binary(body, headers)))
    value = parse_json(body)
    if is_notification(value):
        found = _notified(value)
        return replace(found, id=_digest(body)) if found.is_dated else found
    return _checked(Message(_model(Changes, value).said()))


def is_binary(content_type: str, headers: Mapping[str, str]) -> bool:
    """Whether the message is a CloudEvent whose attributes are headers."""
    return content_type not in (SINGLE, BATCH) and "ce-specversion" in headers


def meaning(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The sha256 (32 bytes) of all that gives a message its meaning: the body, and the ce- headers."""
    pairs = sorted((name, value) for name, value in headers.items() if name.startswith("ce-"))
    said = "".join(f"{name}:{value}\n" for name, value in pairs).encode("utf-8", "backslashreplace")
    return hashlib.sha256(said + body).digest()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _binary(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a binary CloudEvent; their values are percent-encoded (HTTP binding 1.0, 3.1.3.2)."""
    names = [name for name in headers if name.startswith("ce-")]
    try:
        found: dict[str, Any] = {name[3:]: unquote(headers[name], errors="strict") for name in names}
    except UnicodeDecodeError as exc:
        raise EventRefused("A ce- header is not percent-encoded UTF-8.", advice="Encode it so.") from exc
    return {**found, "data": parse_json(body) if body else None}


def _read_batch(values: Any) -> Message:
    if not isinstance(values, list):
        raise EventRefused("A batch of CloudEvents is a JSON array.", advice=f"One event alone is {SINGLE}.")
    messages = [_read_event(_model(CloudEvent, value)) for value in values]
    said = tuple(one for message in messages for one in message.said)
    ids = "\n".join(message.id for message in messages)
    return Message(said, sum(message.skipped for message in messages), _digest(ids.encode()))


def _read_event(event: CloudEvent) -> Message:
    id = _event_id(event)
    if event.type in TYPES:
        changes = _model(Changes, {} if event.data is None else event.data)
        named = (Said(event.subject, TYPES[event.type], changes.source),) if event.subject is not None else ()
        return _checked(Message(named + changes.said(), id=id))
    if is_notification(event.data):
        return replace(_notified(event.data), id=id)
    raise EventRefused(
        f"CloudEvents of type {event.type[:200]!r} mean nothing here.",
        advice=f"Known: {', '.join(TYPES)}, and those that carry a notification of S3 in their data.",
    )


def _event_id(event: CloudEvent) -> str:
    """Source and id, which together are unique; a source is a URI and has no space."""
    id = f"{event.source} {event.id}"
    is_plain = len(id) <= _MAX_ID and id.isprintable() and " " not in event.source
    return id if is_plain else _digest(f"{event.source}\n{event.id}".encode("utf-8", "backslashreplace"))


def _notified(value: dict[str, Any]) -> Message:
    found = read_notification(value)
    said = tuple(
        Said(one.url, "deleted" if one.is_removed else "changed", is_url=True) for one in found.objects
    )
    return Message(said, found.skipped, is_test=found.is_test, is_dated=found.is_dated)


def _checked(message: Message) -> Message:
    if not message.said:
        raise EventRefused(
            "The message names no document.", advice='Name some in "changed", "deleted" or "prefixes".'
        )
    return message


def _model(model: type[M], value: Any) -> M:
    if not isinstance(value, dict):
        raise EventRefused("The message is not a JSON object.", advice="See /openapi.json for its form.")
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        says = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in exc.errors()[:3])
        raise EventRefused(
            f"The message is not as documented: {says[:500]}.", advice="See /openapi.json for its form."
        ) from exc
