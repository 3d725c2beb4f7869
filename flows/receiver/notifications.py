"""Notifications of object stores: S3, MinIO, Amazon EventBridge, and either of them inside SNS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from flows.receiver.bodies import parse_json
from schemas.errors import EventRefused

_MAX_ENVELOPES = 3
"""A CloudEvent or an EventBridge message in SNS, and one more."""


class StoredObject(NamedTuple):
    """An object of a store, and whether it was removed."""

    url: str
    is_removed: bool


@dataclass(frozen=True, slots=True)
class Notification:
    """What a store says.

    Attributes:
        objects: that were created or removed.
        skipped: how many entries tell of nothing that changes an object.
        is_test: whether the store only tries whether somebody listens.
        is_dated: whether it says when it happened, or has a number of its own: then the same bytes are
            the same message. The others may be true again tomorrow, word for word.
    """

    objects: tuple[StoredObject, ...] = ()
    skipped: int = 0
    is_test: bool = False
    is_dated: bool = False


def is_notification(value: Any) -> bool:
    """Whether this looks like what a store sends."""
    if not isinstance(value, dict):
        return False
    return bool(
        "Records" in value
        or "detail-type" in value
        or {"eventSource", "eventName"} <= value.keys()
        or {"Type", "Message"} <= value.keys()
        or value.get("Event") == "s3:TestEvent"
    )


def read_notification(value: dict[str, Any], *, envelopes: int = 0) -> Notification:
    """The objects that a notification names.

    Raises:
        EventRefused: it is not of the form that stores use.
        RequestRefused: the message inside an SNS envelope is not JSON.
    """
    if value.get("Event") == "s3:TestEvent":
        return Notification(is_test=True)
    if {"Type", "Message"} <= value.keys():
        return _unwrap(value, envelopes)
    if "detail-type" in value:
        return _collect([_bridge_entry(value)], is_dated=_is_dated(value, "detail", "time", "id"))
    if "Records" in value:
        records = value["Records"]
        if not isinstance(records, list):
            raise _unknown("Records is not a list")
        return _collect(map(_record_entry, records), is_dated=any(map(_is_dated, records)))
    return _collect([_record_entry(value)], is_dated=_is_dated(value))


def _unwrap(value: dict[str, Any], envelopes: int) -> Notification:
    if value["Type"] != "Notification":
        raise EventRefused(
            f"SNS sends a {str(value['Type'])[:100]}, which is not acted upon.",
            advice="Confirm the subscription with the AWS command line.",
        )
    text = value["Message"]
    inner = parse_json(text.encode("utf-8", "replace")) if isinstance(text, str) else None
    if not isinstance(inner, dict) or envelopes >= _MAX_ENVELOPES or not is_notification(inner):
        raise _unknown("the message in the SNS envelope is none")
    found = read_notification(inner, envelopes=envelopes + 1)
    return replace(found, is_dated=found.is_dated or bool(value.get("MessageId")))


def _collect(entries: Iterable[StoredObject | None], *, is_dated: bool) -> Notification:
    found = list(entries)
    objects = tuple(one for one in found if one is not None)
    return Notification(objects, len(found) - len(objects), is_dated=is_dated)


def _is_dated(event: Any, holder: str = "s3", *marks: str) -> bool:
    """Whether something in an event makes it one of a kind: its time, or the number of the object's state."""
    if not isinstance(event, dict):
        return False
    part = event.get(holder)
    changed = part.get("object") if isinstance(part, dict) else None
    sequencer = changed.get("sequencer") if isinstance(changed, dict) else None
    return bool(sequencer or any(event.get(mark) for mark in marks or ("eventTime",)))


def _record_entry(record: Any) -> StoredObject | None:
    """One of S3's Records; keys in them are encoded as in a form."""
    if not isinstance(record, dict) or not isinstance(name := record.get("eventName"), str):
        raise _unknown("a record has no eventName")
    name = name.removeprefix("s3:")
    if not name.startswith(("ObjectCreated", "ObjectRemoved", "LifecycleExpiration")):
        return None
    bucket, key = _place(record.get("s3"))
    return StoredObject(f"s3://{bucket}/{unquote_plus(key)}", not name.startswith("ObjectCreated"))


def _bridge_entry(value: dict[str, Any]) -> StoredObject | None:
    """An event of EventBridge; keys in it are as they are."""
    kind = value["detail-type"]
    if kind not in ("Object Created", "Object Deleted"):
        return None
    bucket, key = _place(value.get("detail"))
    return StoredObject(f"s3://{bucket}/{key}", kind == "Object Deleted")


def _place(holder: Any) -> tuple[str, str]:
    bucket, key = (_text(holder, kind, name) for kind, name in (("bucket", "name"), ("object", "key")))
    return bucket, key


def _text(holder: Any, kind: str, name: str) -> str:
    part = holder.get(kind) if isinstance(holder, dict) else None
    found = part.get(name) if isinstance(part, dict) else None
    if not isinstance(found, str) or not found:
        raise _unknown(f"a record has no {kind}.{name}")
    return found


def _unknown(why: str) -> EventRefused:
    return EventRefused(
        f"This is not a notification of S3, MinIO or EventBridge: {why}.",
        advice="Send what the store sends, unchanged.",
    )
