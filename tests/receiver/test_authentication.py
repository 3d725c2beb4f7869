"""Who may send: each refusal leaves nothing behind."""

from __future__ import annotations

import errno
import hmac
import os

import pytest

from flows.receiver.senders import MAX_SECRETS, Senders
from registry.collections import ensure_collection, ensure_source
from schemas.errors import ConfigurationError
from schemas.settings import SenderSettings
from schemas.source import Source
from tests.receiver.conftest import BEARER, NOW, OTHER_SECRET, SECRET

EVENT = {"changed": ["a.txt"]}
NEW_SECRET = "the new secret after rotation"


def _error(done):
    assert set(done.json()) == {"error"}
    assert set(done.json()["error"]) == {"class", "message", "advice"}
    return done.json()["error"]["class"]


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed(receiver, missing):
    body = b'{"changed":["a.txt"]}'
    headers = receiver.headers(body)
    del headers[missing]
    done = receiver.client.post("/v1/events/default", content=body, headers=headers)
    assert (done.status_code, _error(done)) == (401, "NotAuthenticated")
    assert done.headers["WWW-Authenticate"] == "Bearer"
    receiver.assert_untouched()


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_a_message_of_now_is_taken(receiver, age):
    assert receiver.post(EVENT, at=NOW - age).status_code == 202


@pytest.mark.parametrize("age", [-301, 301, 10**6])
def test_a_message_of_another_time_is_refused(receiver, age):
    done = receiver.post(EVENT, at=NOW - age)
    assert (done.status_code, _error(done)) == (401, "NotAuthenticated")
    receiver.assert_untouched()


@pytest.mark.parametrize(
    "stamp", ["", "now", "1.8e9", "-5", "+1800000000", "9" * 20, "１８００００００００", " "]
)
def test_a_timestamp_is_a_number_of_seconds(receiver, stamp):
    headers = {**receiver.headers(b"{}"), "webhook-timestamp": stamp.encode()}
    assert receiver.client.post("/v1/events/default", content=b"{}", headers=headers).status_code == 401
    receiver.assert_untouched()


@pytest.mark.parametrize("id", ["x" * 257, "two words", "한글"])
def test_an_id_is_visible_ascii(receiver, id):
    headers = {**receiver.headers(b"{}"), "webhook-id": id.encode()}
    assert receiver.client.post("/v1/events/default", content=b"{}", headers=headers).status_code == 401
    receiver.assert_untouched()


def test_a_changed_body_is_refused(receiver):
    headers = receiver.headers(b'{"changed":["a.txt"]}')
    done = receiver.client.post("/v1/events/default", content=b'{"changed":["b.txt"]}', headers=headers)
    assert done.status_code == 401
    receiver.assert_untouched()


def test_a_request_is_bound_to_its_target_where_that_says_what_is_meant(receiver):
    target = "/v1/documents/default?path=a.txt"
    headers = receiver.headers(b"x", target=f"POST {target}")
    for other in ("/v1/documents/default?path=b.txt", "/v1/documents/legal?path=a.txt"):
        assert receiver.client.post(other, content=b"x", headers=headers).status_code == 401
    assert receiver.client.request("DELETE", target, content=b"x", headers=headers).status_code == 401
    receiver.assert_untouched()
    assert receiver.client.post(target, content=b"x", headers=headers).status_code == 202


def test_a_signature_without_the_target_is_no_signature_of_an_upload(receiver):
    headers = receiver.headers(b"x")
    assert (
        receiver.client.post("/v1/documents/default?path=a", content=b"x", headers=headers).status_code == 401
    )
    receiver.assert_untouched()


def test_a_sender_reaches_its_own_collections_only(receiver):
    done = receiver.post(EVENT, secret=OTHER_SECRET)
    assert (done.status_code, _error(done)) == (401, "NotAuthenticated")
    receiver.assert_untouched()
    legal = ensure_collection(receiver.db, "legal-2026")
    ensure_source(receiver.db, legal.id, Source("docs", "/srv/legal"))
    assert receiver.post(EVENT, "legal-2026", secret=OTHER_SECRET).status_code == 202


def test_without_a_secret_a_collection_that_is_not_there_looks_like_one_that_is(receiver):
    answers = [
        (done.status_code, done.json(), {k: v for k, v in done.headers.items() if k != "date"})
        for name in ("default", "no-such-collection", "legal-2026")
        for done in [receiver.post(EVENT, name, secret="a guess of some attacker ...", id="m")]
    ]
    assert answers[0][0] == 401
    assert answers == [answers[0]] * 3


def test_with_a_secret_a_collection_that_is_not_there_is_said_to_be_so_and_no_other_named(receiver):
    done = receiver.post(EVENT, "no-such-collection")
    assert (done.status_code, _error(done)) == (404, "CollectionNotFound")
    assert "default" not in done.text
    receiver.assert_untouched()


def test_a_store_that_cannot_sign_sends_a_token(receiver):
    assert receiver.bearer(EVENT).status_code == 202
    assert receiver.bearer({"changed": ["b"]}, token=BEARER).status_code == 202, "as MinIO sends it"
    assert len(receiver.rows()) == 2


WRONG = ["Bearer", "Bearer ", "Bearer x", f"Basic {BEARER}", f"Bearer {BEARER}x", SECRET, f"Bearer {SECRET}"]


@pytest.mark.parametrize("token", WRONG)
def test_a_wrong_token_is_refused(receiver, token):
    assert receiver.bearer(EVENT, token=token).status_code == 401
    receiver.assert_untouched()


def test_the_secret_of_a_bearer_signs_nothing(receiver):
    assert receiver.post(EVENT, secret=BEARER).status_code == 401
    receiver.assert_untouched()


def test_secrets_rotate_without_a_restart(receiver, secrets):
    secrets["hr"].write_text(f"{SECRET}\n{NEW_SECRET}\n")
    assert receiver.post(EVENT, secret=SECRET).status_code == 202
    assert receiver.post(EVENT, secret=NEW_SECRET).status_code == 202
    secrets["hr"].write_text(f"{NEW_SECRET}\n")
    assert receiver.post(EVENT, secret=SECRET).status_code == 401
    assert receiver.post(EVENT, secret=NEW_SECRET).status_code == 202


def test_a_mounted_secret_is_followed_to_its_new_place(receiver, secrets, tmp_path):
    old, new = tmp_path / "data-1", tmp_path / "data-2"
    old.write_text(f"{SECRET}\n")
    new.write_text(f"{NEW_SECRET}\n")
    stat = old.stat()
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    for target in (old, new):
        link = tmp_path / "link"
        link.symlink_to(target)
        link.replace(secrets["hr"])
    assert receiver.post(EVENT, secret=NEW_SECRET).status_code == 202


@pytest.mark.parametrize("damage", ["short\n", f"{SECRET}\nshort\n", "whsec_%%%\n"])
def test_a_damaged_file_of_secrets_leaves_the_earlier_ones_valid_and_is_logged(
    receiver, secrets, caplog, damage
):
    secrets["hr"].write_text(damage)
    assert receiver.post(EVENT, secret=SECRET).status_code == 202
    assert receiver.post(EVENT, secret=SECRET).status_code == 202
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1, "once for each change, not for each request"
    assert SECRET not in caplog.text
    assert 'revector_secrets_sound{sender="hr"} 0.0' in receiver.client.get("/metrics").text


def test_a_file_of_secrets_that_nobody_may_read_leaves_the_earlier_ones_valid(receiver, secrets, monkeypatch):
    secrets["hr"].write_text(f"{NEW_SECRET}\n")

    def fail(self, *_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", fail)
    assert receiver.post(EVENT).status_code == 202


@pytest.mark.parametrize("content", [None, "", "\n", "# only comments\n"])
def test_who_has_no_secret_any_more_is_locked_out_and_that_is_logged(receiver, secrets, caplog, content):
    if content is None:
        secrets["hr"].unlink()
    else:
        secrets["hr"].write_text(content)
    assert [receiver.post(EVENT).status_code for _ in range(2)] == [401] * 2
    receiver.assert_untouched()
    assert receiver.bearer(EVENT).status_code == 202, "others are not concerned"
    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "locked out" in said.getMessage()
    assert 'revector_secrets_sound{sender="hr"} 0.0' in receiver.client.get("/metrics").text
    secrets["hr"].write_text(f"{NEW_SECRET}\n")
    assert receiver.post(EVENT).status_code == 401
    assert receiver.post(EVENT, secret=NEW_SECRET).status_code == 202


TOO_MANY = f"{SECRET}\n".encode() * (MAX_SECRETS + 1)


@pytest.mark.parametrize("content", [None, b"", b"short\n", b"\xff\xfe", TOO_MANY])
def test_a_receiver_does_not_start_without_secrets(tmp_path, content):
    path = tmp_path / "secrets"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        Senders({"hr": SenderSettings(secrets=path)})
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_without_senders_nobody_may_send_and_the_log_warns_at_the_start(configure, caplog):
    receiver = configure(senders={})
    assert ["no sender is configured" in said.getMessage() for said in caplog.records] == [True]
    assert receiver.post(EVENT).status_code == 401
    assert receiver.bearer(EVENT).status_code == 401
    receiver.assert_untouched()


def test_no_answer_and_no_log_repeats_a_secret(receiver, caplog):
    caplog.set_level("DEBUG")
    answers = [receiver.post(EVENT), receiver.bearer(EVENT), receiver.post(b"{"), receiver.bearer(["x"])]
    answers += [receiver.bearer(EVENT, token=f"Bearer {BEARER}x"), receiver.client.get("/metrics")]
    said = caplog.text + "".join(done.text + str(done.headers) for done in answers)
    assert BEARER not in said
    assert SECRET not in said


@pytest.mark.parametrize("secret", [SECRET, NEW_SECRET, "not the secret of anybody here"])
def test_every_key_is_compared_whichever_fits(receiver, secrets, monkeypatch, secret):
    """How long an answer takes says nothing about which secret was nearly right."""
    secrets["hr"].write_text(f"{SECRET}\n{NEW_SECRET}\n")
    compared = []
    compare = hmac.compare_digest

    def note(first, second):
        compared.append(first)
        return compare(first, second)

    monkeypatch.setattr("hmac.compare_digest", note)
    receiver.post(EVENT, "legal", secret=secret)
    assert len(compared) == 3, "two of hr, one of legal"


def test_of_two_signatures_in_a_header_one_is_enough(receiver):
    body = b'{"changed":["a.txt"]}'
    old = receiver.headers(body, id="m1", secret="the secret that was replaced")
    new = receiver.headers(body, id="m1")
    both = {**new, "webhook-signature": f"{old['webhook-signature']} {new['webhook-signature']}"}
    assert receiver.client.post("/v1/events/default", content=body, headers=both).status_code == 202
