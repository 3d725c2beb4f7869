"""Messages that are accepted, what is stored of them, and those that are not."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from registry.collections import (
    ensure_collection,
    ensure_source,
    find_collection,
    get_collection,
    list_sources,
)
from registry.dispatch import end_trouble, note_trouble
from registry.events import claim_events, settle_events
from registry.receiving import find_unknown
from registry.runs import hold_new_run
from schemas.source import Source
from tests.receiver.conftest import BEARER, OTHER_SECRET

RUN = "00000000-0000-4000-8000-000000000001"


def _error(done):
    assert set(done.json()) == {"error"}
    assert set(done.json()["error"]) == {"class", "message", "advice"}
    assert "Traceback" not in done.text
    return done.json()["error"]["class"]


def test_a_signed_message_is_stored_and_its_sender_told_where_to_ask(receiver):
    said = {"changed": ["hr/kim.pdf"], "deleted": ["hr/lee.pdf"], "prefixes": ["legal/"]}
    done = receiver.post(said, id="m1")
    assert done.status_code == 202, done.text
    assert done.json() == {
        "id": "m1",
        "collection": "default",
        "accepted": 3,
        "ignored": 0,
        "duplicate": False,
        "unknown": ["hr/lee.pdf"],
        "status": "/v1/events/default/m1",
    }
    assert receiver.rows() == [
        ("docs", "hr/kim.pdf", "changed"),
        ("docs", "hr/lee.pdf", "deleted"),
        ("docs", "legal", "prefix"),
    ]
    assert receiver.woken == [1]


def test_a_message_that_comes_twice_is_stored_once(receiver):
    assert receiver.post({"changed": ["a"]}, id="m1").status_code == 202
    again = receiver.post({"changed": ["a"]}, id="m1", at=receiver.clock.now + 60)
    assert again.status_code == 200
    assert again.json()["duplicate"] is True
    assert again.json()["status"] == "/v1/events/default/m1"
    assert receiver.rows() == [("docs", "a", "changed")]
    assert receiver.woken == [1]


def test_an_id_stands_for_one_message(receiver):
    receiver.post({"changed": ["a"]}, id="m1")
    done = receiver.post({"changed": ["b"]}, id="m1")
    assert (done.status_code, _error(done)) == (409, "EventConflict")
    assert receiver.rows() == [("docs", "a", "changed")]


def test_a_message_cannot_be_sent_on_to_another_collection(receiver):
    other = ensure_collection(receiver.db, "other")
    ensure_source(receiver.db, other.id, Source("docs", "/srv/other"))
    body = b'{"changed":["a"]}'
    headers = receiver.headers(body)
    assert receiver.client.post("/v1/events/default", content=body, headers=headers).status_code == 202
    assert receiver.client.post("/v1/events/other", content=body, headers=headers).status_code == 409
    assert receiver.deliveries() == 1


def test_an_id_belongs_to_its_sender(receiver):
    legal = ensure_collection(receiver.db, "legal")
    ensure_source(receiver.db, legal.id, Source("docs", "/srv/legal"))
    assert receiver.post({"changed": ["a"]}, "legal", id="m1").status_code == 202
    assert receiver.post({"changed": ["b"]}, "legal", id="m1", secret=OTHER_SECRET).status_code == 202
    assert receiver.deliveries() == 2


def test_fifty_threads_with_one_message_store_it_once(receiver):
    body = b'{"changed":["a"]}'
    headers = receiver.headers(body, id="m1")
    gate = threading.Barrier(50)

    def send(_: int) -> int:
        gate.wait()
        return receiver.client.post("/v1/events/default", content=body, headers=headers).status_code

    with ThreadPoolExecutor(50) as pool:
        codes = sorted(pool.map(send, range(50)))
    assert codes == [200] * 49 + [202]
    assert receiver.deliveries() == 1
    assert receiver.rows() == [("docs", "a", "changed")]


def test_what_is_said_twice_in_a_message_counts_once(receiver):
    done = receiver.post({"changed": ["a", "a", "한"], "deleted": ["a"]})
    assert done.json()["accepted"] == 3
    assert [row[1:] for row in receiver.rows()] == [("a", "changed"), ("한", "changed"), ("a", "deleted")]


def test_the_same_change_without_an_id_is_new_each_time(receiver):
    """A body that says the same tomorrow is another event: taken for a repetition, it would be lost."""
    assert receiver.bearer({"changed": ["a"]}).status_code == 202
    assert receiver.bearer({"changed": ["a"]}).status_code == 202
    assert len(receiver.rows()) == 2


def test_a_nested_source_gets_what_lies_in_it(receiver):
    collection = get_collection(receiver.db, "default")
    ensure_source(receiver.db, collection.id, Source("hr", "/srv/docs/hr"))
    done = receiver.post({"source": "docs", "changed": ["hr/kim.pdf", "a.txt"]})
    assert done.status_code == 202
    assert receiver.rows() == [("hr", "kim.pdf", "changed"), ("docs", "a.txt", "changed")]


def test_where_there_are_several_sources_one_is_named(receiver):
    collection = get_collection(receiver.db, "default")
    ensure_source(receiver.db, collection.id, Source("more", "/srv/more"))
    for said in ({"changed": ["a"]}, {"changed": ["a"], "source": "nope"}):
        done = receiver.post(said)
        assert (done.status_code, _error(done)) == (422, "EventRefused")
        assert "docs, more" in done.json()["error"]["advice"]
    receiver.assert_untouched()


BAD_MESSAGES = [
    {},
    [],
    "text",
    5,
    None,
    {"changed": []},
    {"changed": "a"},
    {"changed": [5]},
    {"changed": [None]},
    {"Changed": ["a"]},
    {"changed": ["a"], "more": 1},
    {"changed": ["../a"]},
    {"changed": ["/etc/passwd"]},
    {"changed": [""]},
    {"deleted": ["a/"]},
    {"prefixes": ["/"]},
    {"changed": ["\ud800"]},
    {"changed": ["a\u0000"]},
    {"changed": ["a"], "source": "\ud800"},
    {"Records": 5},
    {"Records": [5]},
    {"Records": [{}]},
    {"Records": [{"eventName": "ObjectCreated:Put"}]},
    {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 5}}}]},
    {"detail-type": "Object Created"},
    {"Type": "SubscriptionConfirmation", "Message": "..."},
    {"Type": "Notification", "Message": '{"changed": ["a"]}'},
    {"Type": "Notification", "Message": 5},
]


@pytest.mark.parametrize("said", BAD_MESSAGES, ids=repr)
def test_what_is_no_message_is_refused_as_a_whole(receiver, said):
    done = receiver.post(said)
    assert (done.status_code, _error(done)) == (422, "EventRefused")
    receiver.assert_untouched()


def test_a_message_that_is_no_object_is_told_so_in_plain_words(receiver):
    assert (
        receiver.post([{"changed": ["a"]}]).json()["error"]["message"] == "The message is not a JSON object."
    )


def test_one_bad_name_refuses_the_whole_message(receiver):
    assert receiver.post({"changed": ["good.txt", "../bad.txt"]}).status_code == 422
    receiver.assert_untouched()


BAD_BODIES = [
    b"",
    b"{",
    b"{'changed': ['a']}",
    b'{"changed": ["a"]} x',
    b'{"changed": ["a"], "changed": ["b"]}',
    b'{"changed": [NaN]}',
    b'{"changed": [Infinity]}',
    b'{"changed": [1e999]}',
    b'{"changed": [' + b"9" * 5000 + b"]}",
    b'{"changed": [1.' + b"9" * 5000 + b"]}",
    b"[" * 5000 + b"]" * 5000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b"[" * 100_000,
    b'{"changed": ["\xff"]}',
    '{"changed": ["a"]}'.encode("utf-16"),
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:30]))
def test_a_body_that_is_not_json_or_has_two_meanings_is_refused(receiver, body):
    done = receiver.post(body)
    assert (done.status_code, _error(done)) == (400, "MalformedBody")
    receiver.assert_untouched()


def test_brackets_in_names_are_not_nesting(receiver):
    assert receiver.post({"changed": ["[" * 500, '"{' * 200]}).status_code == 202


def test_a_byte_order_mark_does_no_harm(receiver):
    assert receiver.post(b'\xef\xbb\xbf{"changed":["a"]}').status_code == 202


def test_a_form_is_refused(receiver):
    done = receiver.post(b"--x", content_type="multipart/form-data; boundary=x")
    assert (done.status_code, _error(done)) == (415, "MediaTypeRefused")
    receiver.assert_untouched()


def test_before_the_first_ingest_a_collection_takes_no_events(configure, db):
    receiver = configure(collections={"configured": {}})
    ensure_collection(db, "empty")
    for name in ("configured", "empty"):
        done = receiver.post({"changed": ["a"]}, name)
        assert (done.status_code, _error(done)) == (409, "NoSource")
    assert find_collection(db, "configured") is None
    receiver.assert_untouched()


@pytest.mark.parametrize("name", ["no", "a%00b", "%ED%A0%80", "%FF", "한글", "a" * 5000, "%F0%9F%98%80"])
def test_a_collection_nobody_knows_is_not_found(receiver, name):
    body = b'{"changed":["a"]}'
    done = receiver.client.post(f"/v1/events/{name}", content=body, headers=receiver.headers(body))
    assert (done.status_code, _error(done)) == (404, "CollectionNotFound")
    receiver.assert_untouched()


def test_a_collection_may_have_a_korean_name(receiver):
    collection = ensure_collection(receiver.db, "계약서")
    ensure_source(receiver.db, collection.id, Source("docs", "/srv/계약서"))
    done = receiver.post({"changed": ["김.pdf"]}, "계약서", id="m1")
    assert done.status_code == 202
    assert receiver.get(done.json()["status"]).json()["events"][0]["uri"] == "김.pdf"


def test_a_collection_with_a_slash_in_its_name_is_not_reached_and_no_other_is_meant(receiver):
    for name in ("docs", "docs/hr"):
        made = ensure_collection(receiver.db, name)
        ensure_source(receiver.db, made.id, Source("docs", f"/srv/{name}"))
    body = b'{"changed":["a"]}'
    headers = receiver.headers(body)
    assert receiver.client.post("/v1/events/docs%2Fhr", content=body, headers=headers).status_code == 405
    assert receiver.upload("a.txt", b"x", "docs%2Fhr").status_code == 404
    receiver.assert_untouched()


# --- what becomes of a message --------------------------------------------------------------


def test_a_sender_sees_what_became_of_its_message(receiver):
    receiver.post({"changed": ["a", "b"]}, id="m1")
    asked = receiver.get("/v1/events/default/m1").json()
    assert (asked["state"], [e["state"] for e in asked["events"]], asked["runs"]) == (
        "pending",
        ["pending"] * 2,
        [],
    )
    collection = get_collection(receiver.db, "default")
    with receiver.db.connection() as connection:
        (source,) = connection.execute("SELECT id FROM source").fetchone()
    with hold_new_run(
        receiver.db, collection.id, UUID(RUN), flow="ingest", trigger="event", scope="/srv/docs"
    ):
        claimed = claim_events(receiver.db, collection.id, source, UUID(RUN))
        settle_events(receiver.db, UUID(RUN), {claimed[0].id: "added", claimed[1].id: "unknown"})
    asked = receiver.get("/v1/events/default/m1").json()
    assert asked["state"] == "applied"
    assert [(e["uri"], e["outcome"], e["run_id"]) for e in asked["events"]] == [
        ("a", "added", RUN),
        ("b", "unknown", RUN),
    ]
    assert asked["runs"] == [RUN]


def test_a_sender_sees_that_something_holds_its_message_up_and_not_what(receiver):
    receiver.post({"changed": ["a"]}, id="m1")
    assert receiver.get("/v1/events/default/m1").json()["trouble"] is None
    collection = get_collection(receiver.db, "default")
    note_trouble(receiver.db, collection.id, "no deployment at http://kim:hunter2@prefect")
    done = receiver.get("/v1/events/default/m1")
    assert "operator" in done.json()["trouble"]
    assert "hunter2" not in done.text
    assert 'revector_dispatch_failures{collection="default"} 0.0' in receiver.client.get("/metrics").text
    end_trouble(receiver.db, collection.id)
    assert receiver.get("/v1/events/default/m1").json()["trouble"] is None


def test_nobody_sees_the_messages_of_another_sender_or_collection(receiver):
    legal = ensure_collection(receiver.db, "legal")
    ensure_source(receiver.db, legal.id, Source("docs", "/srv/legal"))
    receiver.post({"changed": ["secret-plan.pdf"]}, "legal", id="m1")
    for target, options in (
        ("/v1/events/legal/m1", {"secret": OTHER_SECRET}),
        ("/v1/events/default/m1", {}),
        ("/v1/events/legal/m2", {}),
        ("/v1/events/legal/m%001", {}),
    ):
        done = receiver.get(target, **options)
        assert (done.status_code, _error(done)) == (404, "NotFound")
    assert receiver.client.get("/v1/events/legal/m1").status_code == 401
    assert receiver.get("/v1/events/legal/m1").status_code == 200


def test_an_id_with_slashes_is_found_again(receiver):
    receiver.post({"changed": ["a"]}, id="a/b?c#d")
    done = receiver.get("/v1/events/default/" + "a%2Fb%3Fc%23d")
    assert done.status_code == 200
    assert done.json()["id"] == "a/b?c#d"


# --- CloudEvents ------------------------------------------------------------------------------


def _event(**more):
    base = {"specversion": "1.0", "id": "1", "source": "/archive", "type": "revector.document.changed"}
    return {**base, **more}


@pytest.mark.parametrize(
    ("event", "rows"),
    [
        (_event(subject="a.pdf"), [("docs", "a.pdf", "changed")]),
        (_event(subject="a", type="revector.document.deleted"), [("docs", "a", "deleted")]),
        (_event(subject="hr/", type="revector.prefix.changed"), [("docs", "hr", "prefix")]),
        (_event(subject="", type="revector.prefix.changed"), [("docs", "", "prefix")]),
        (_event(subject="a.pdf", data={"source": "docs"}), [("docs", "a.pdf", "changed")]),
        (
            _event(data={"changed": ["a"], "deleted": ["b"]}),
            [("docs", "a", "changed"), ("docs", "b", "deleted")],
        ),
        (
            _event(subject="a", traceparent="00-1-2-03", time="2026-11-20T00:00:00Z"),
            [("docs", "a", "changed")],
        ),
    ],
)
def test_a_structured_cloud_event_is_read(receiver, event, rows):
    done = receiver.post(event, content_type="application/cloudevents+json; charset=utf-8")
    assert done.status_code == 202, done.text
    assert receiver.rows() == rows


def test_a_batch_of_cloud_events_is_one_message(receiver):
    batch = [_event(subject="a"), _event(subject="b", id="2")]
    done = receiver.post(batch, content_type="application/cloudevents-batch+json")
    assert done.json()["accepted"] == 2
    assert receiver.deliveries() == 1


BINARY = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/archive",
    "ce-type": "revector.document.deleted",
    "ce-subject": "hr/%EA%B9%80%20100%25.pdf",
}


def _binary(receiver, **more: str):
    headers = {"authorization": f"Bearer {BEARER}", **BINARY, **more}
    return receiver.client.post("/v1/events/default", headers=headers)


def test_a_binary_cloud_event_is_read_from_its_headers(receiver):
    assert _binary(receiver).status_code == 202
    assert receiver.rows() == [("docs", "hr/김 100%.pdf", "deleted")]


def test_a_binary_cloud_event_with_other_headers_is_another_message(receiver):
    assert _binary(receiver, **{"webhook-id": "m1"}).status_code == 202
    assert _binary(receiver, **{"webhook-id": "m1", "ce-subject": "b"}).status_code == 409
    assert receiver.rows() == [("docs", "hr/김 100%.pdf", "deleted")]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"changed": ["a"]}'])
def test_headers_that_nobody_signed_say_nothing(receiver, body):
    """Who overhears a signed message could add them, and make of "changed" the deletion of anything."""
    done = receiver.post(body, extra=BINARY)
    assert (done.status_code, _error(done)) == (422, "EventRefused")
    assert "structured" in done.json()["error"]["advice"]
    receiver.assert_untouched()


def test_in_structured_mode_ce_headers_are_not_looked_at(receiver):
    done = receiver.post(_event(subject="a"), content_type="application/cloudevents+json", extra=BINARY)
    assert done.status_code == 202
    assert receiver.rows() == [("docs", "a", "changed")]


@pytest.mark.parametrize(
    "event",
    [
        _event(subject="a", type="com.example.created"),
        _event(),
        _event(subject="../a"),
        _event(subject="a", specversion="0.3"),
        _event(subject="a", id=""),
        _event(subject="a", source=5),
        _event(subject="a", data={"other": 1}),
        _event(subject="a", data=[1]),
        _event(subject=""),
        {"specversion": "1.0"},
        [],
    ],
    ids=repr,
)
def test_a_cloud_event_that_means_nothing_here_is_refused(receiver, event):
    done = receiver.post(event, content_type="application/cloudevents+json")
    assert (done.status_code, _error(done)) == (422, "EventRefused")
    receiver.assert_untouched()


def test_one_bad_event_refuses_the_batch(receiver):
    batch = [_event(subject="a"), _event(subject="b", type="unknown")]
    assert receiver.post(batch, content_type="application/cloudevents-batch+json").status_code == 422
    assert receiver.post(_event(), content_type="application/cloudevents-batch+json").status_code == 422
    receiver.assert_untouched()


def test_a_cloud_event_without_webhook_id_is_known_by_its_source_and_id(receiver):
    kind = {"content-type": "application/cloudevents+json"}
    body = json.dumps(_event(subject="a")).encode()
    headers = {"authorization": f"Bearer {BEARER}", **kind}
    first, second = (
        receiver.client.post("/v1/events/default", content=body, headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == "/archive 1"
    same = json.dumps(_event(subject="b")).encode()
    assert receiver.client.post("/v1/events/default", content=same, headers=headers).status_code == 409
    assert receiver.deliveries() == 1


@pytest.mark.parametrize("more", [{"id": "a\u0000b"}, {"id": "x" * 3000}, {"source": "two words"}], ids=str)
def test_odd_ids_of_cloud_events_are_hashed(receiver, more):
    body = json.dumps(_event(subject="a", **more)).encode()
    headers = {"authorization": f"Bearer {BEARER}", "content-type": "application/cloudevents+json"}
    done = receiver.client.post("/v1/events/default", content=body, headers=headers)
    assert done.status_code == 202, done.text
    assert done.json()["id"].startswith("sha256:")


# --- object stores ----------------------------------------------------------------------------


def _record(name: str, key: str, bucket: str = "contracts") -> dict:
    s3 = {"bucket": {"name": bucket}, "object": {"key": key, "size": 5, "eTag": "e", "sequencer": "1"}}
    return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": s3}


@pytest.fixture
def stored(receiver):
    """The receiver with a bucket as a source too."""
    collection = get_collection(receiver.db, "default")
    ensure_source(receiver.db, collection.id, Source("bucket", "s3://contracts/2026"))
    return receiver


@pytest.mark.parametrize(
    "name", ["ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Copy"]
)
def test_an_object_that_was_created_has_changed(stored, name):
    assert stored.bearer({"Records": [_record(name, "2026/a.pdf")]}).status_code == 202
    assert stored.rows() == [("bucket", "a.pdf", "changed")]


@pytest.mark.parametrize(
    "name",
    ["ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated", "s3:LifecycleExpiration:Delete"],
)
def test_an_object_that_was_removed_is_deleted(stored, name):
    done = stored.bearer({"Records": [_record(name, "2026/a.pdf")]})
    assert done.json()["unknown"] == ["a.pdf"]
    assert stored.rows() == [("bucket", "a.pdf", "deleted")]


def test_keys_of_s3_are_encoded_as_in_a_form(stored):
    stored.bearer({"Records": [_record("ObjectCreated:Put", "2026/%EA%B9%80+%2B+100%25.pdf")]})
    assert stored.rows() == [("bucket", "김 + 100%.pdf", "changed")]


def test_what_minio_sends_is_read(stored):
    message = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "contracts/2026/a.pdf",
        "Records": [{**_record("s3:ObjectCreated:Put", "2026%2Fa.pdf"), "eventSource": "minio:s3"}],
    }
    assert stored.bearer(message).status_code == 202
    assert stored.rows() == [("bucket", "a.pdf", "changed")]


@pytest.mark.parametrize(("kind", "action"), [("Object Created", "changed"), ("Object Deleted", "deleted")])
def test_what_eventbridge_sends_is_read_and_its_keys_are_not_encoded(stored, kind, action):
    detail = {"bucket": {"name": "contracts"}, "object": {"key": "2026/a+b%20.pdf"}}
    message = {"version": "0", "id": "x", "detail-type": kind, "source": "aws.s3", "detail": detail}
    assert stored.bearer(message).status_code == 202
    assert stored.rows() == [("bucket", "a+b%20.pdf", action)]


def test_a_notification_inside_sns_is_read(stored):
    inner = json.dumps({"Records": [_record("ObjectCreated:Put", "2026/a.pdf")]})
    assert stored.bearer({"Type": "Notification", "MessageId": "1", "Message": inner}).status_code == 202
    assert stored.rows() == [("bucket", "a.pdf", "changed")]


def test_envelopes_in_envelopes_come_to_an_end(stored):
    message: dict = {"Records": [_record("ObjectCreated:Put", "2026/a.pdf")]}
    for _ in range(5):
        message = {"Type": "Notification", "Message": json.dumps(message)}
    assert stored.bearer(message).status_code == 422
    stored.assert_untouched()


def test_a_notification_as_data_of_a_cloud_event_is_read(stored):
    record = _record("ObjectCreated:Put", "2026/a.pdf")
    event = _event(type="com.amazonaws.s3.ObjectCreated:Put", data=record)
    assert stored.post(event, content_type="application/cloudevents+json").status_code == 202
    assert stored.rows() == [("bucket", "a.pdf", "changed")]


@pytest.mark.parametrize(
    "record",
    [
        _record("ObjectCreated:Put", "2025/a.pdf"),
        _record("ObjectCreated:Put", "2026/a.pdf", "another-bucket"),
        _record("ObjectCreated:Put", "2026/folder/"),
        _record("ObjectCreated:Put", "2026/../../x"),
        _record("ObjectCreated:Put", "2026/a%00b"),
        _record("s3:ObjectAccessed:Get", "2026/a.pdf"),
        _record("ObjectTagging:Put", "2026/a.pdf"),
        _record("ObjectRestore:Completed", "2026/a.pdf"),
    ],
    ids=lambda record: f"{record['eventName']} {record['s3']['object']['key']}",
)
def test_objects_that_are_none_of_ours_are_ignored_or_the_store_would_send_them_forever(stored, record):
    done = stored.bearer({"Records": [record, _record("ObjectCreated:Put", "2026/ours.pdf")]})
    assert (done.status_code, done.json()["accepted"], done.json()["ignored"]) == (202, 1, 1)
    metrics = stored.client.get("/metrics").text
    assert 'revector_ignored_entries_total{collection="default"} 1.0' in metrics
    assert stored.rows() == [("bucket", "ours.pdf", "changed")]


def test_a_message_of_nothing_of_ours_is_accepted(stored):
    done = stored.bearer({"Records": [_record("ObjectCreated:Put", "2025/a.pdf")]})
    assert (done.status_code, done.json()["accepted"], done.json()["ignored"]) == (202, 0, 1)
    assert stored.rows() == []


def test_a_store_that_repeats_itself_is_heard_once(stored):
    message = {"Records": [_record("ObjectCreated:Put", "2026/a.pdf")]}
    first, second = stored.bearer(message), stored.bearer(message)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == "sha256:" + hashlib.sha256(json.dumps(message).encode()).hexdigest()
    assert len(stored.rows()) == 1


def _undated(envelope: str) -> dict:
    object = {"bucket": {"name": "contracts"}, "object": {"key": "2026/a.pdf"}}
    if envelope == "EventBridge":
        return {"detail-type": "Object Created", "detail": object}
    message = {"Records": [{"eventName": "ObjectCreated:Put", "s3": object}]}
    return {"Type": "Notification", "Message": json.dumps(message)} if envelope == "SNS" else message


@pytest.mark.parametrize("envelope", ["S3", "EventBridge", "SNS"])
def test_what_a_store_says_without_a_time_or_number_is_new_each_time(stored, envelope):
    """The object may have changed again: taken for a repetition, that would be lost for ever."""
    first, second = stored.bearer(_undated(envelope)), stored.bearer(_undated(envelope))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] != second.json()["id"]
    assert len(stored.rows()) == 2


@pytest.mark.parametrize(
    ("envelope", "mark"),
    [("S3", "eventTime"), ("EventBridge", "id"), ("EventBridge", "time"), ("SNS", "MessageId")],
)
def test_what_a_store_says_with_a_time_or_number_is_known_again(stored, envelope, mark):
    message = _undated(envelope)
    (message["Records"][0] if envelope == "S3" else message)[mark] = "2026-11-21T04:00:00Z"
    assert [stored.bearer(message).status_code for _ in range(2)] == [202, 200]
    assert len(stored.rows()) == 1


def test_the_test_of_a_store_is_answered_and_leaves_nothing(stored):
    message = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "contracts"}
    done = stored.bearer(message)
    assert (done.status_code, done.json()["accepted"], done.json()["status"]) == (200, 0, None)
    stored.assert_untouched()


def test_what_the_index_has_is_told_from_what_it_has_not(world):
    for name in ("a.txt", "hr/b.txt", "gone.txt"):
        world.write(name, f"Storks nest on chimneys, says {name}.")
    world.ingest()
    (world.folder / "gone.txt").unlink()
    world.ingest()
    db = world.session.db
    (source,) = list_sources(db, get_collection(db, "default").id)
    asked = ["nope", "a.txt", "hr", "h", "hr/", "hr0", "hr/b.txt", "gone.txt", "한"]
    assert find_unknown(db, source.id, asked, most=100) == ["nope", "h", "hr/", "hr0", "gone.txt", "한"]
    assert find_unknown(db, source.id, asked, most=2) == ["nope", "h"]
    assert find_unknown(db, source.id + 1, ["a.txt"], most=9) == ["a.txt"]
