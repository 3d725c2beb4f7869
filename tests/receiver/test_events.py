"""Messages that are accepted, and what is stored of them."""

from __future__ import annotations


def test_a_signed_message_is_stored_and_its_sender_told_where_to_ask(receiver):
    done = receiver.post(
        {"changed": ["hr/kim.pdf"], "deleted": ["hr/lee.pdf"], "prefixes": ["legal/"]}, id="m1"
    )
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


def test_a_wrong_signature_is_refused(receiver):
    done = receiver.post({"changed": ["a"]}, secret="not the secret of anybody here")
    assert done.status_code == 401
    receiver.assert_untouched()


def test_an_upload_is_a_file_and_an_event(receiver):
    done = receiver.upload("hr/김.pdf", b"bytes")
    assert done.status_code == 202, done.text
    assert receiver.files() == {"default/default/hr/김.pdf": b"bytes"}
    assert receiver.rows() == [("inbox", "hr/김.pdf", "changed")]


def test_health_ready_metrics_and_the_document_of_the_interface_are_open(receiver):
    assert receiver.client.get("/health").json() == {"status": "ok"}
    assert receiver.client.get("/ready").json() == {"ready": True, "problems": []}
    assert "revector_registry_up 1.0" in receiver.client.get("/metrics").text
    assert "/v1/events/{collection}" in receiver.client.get("/openapi.json").json()["paths"]
