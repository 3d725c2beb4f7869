"""Signatures are those of Standard Webhooks."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from flows.receiver.signing import begin, finish, fits, read_key, sign
from schemas.errors import ConfigurationError

keys = st.binary(min_size=24, max_size=64)
ids = st.from_regex(r"[!-~]{1,40}", fullmatch=True)
stamps = st.integers(0, 2**31)


@given(keys, ids, stamps, st.text(st.characters(codec="utf-8")))
def test_what_we_sign_is_what_the_reference_signs(key, id, stamp, text):
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = Webhook(secret).sign(id, datetime.fromtimestamp(stamp, tz=UTC).replace(tzinfo=None), text)
    assert sign(secret, id, stamp, text.encode()) == theirs


def test_what_we_sign_the_reference_verifies():
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    stamp = int(datetime.now(tz=UTC).timestamp())
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(secret, "m", stamp, b'{"changed":["a"]}'),
    }
    assert Webhook(secret).verify('{"changed":["a"]}', headers) == {"changed": ["a"]}


def test_a_plain_secret_is_its_bytes():
    secret = "여덟 글자 비밀입니다 그래요"
    theirs = Webhook(secret.encode()).sign("m", datetime.fromtimestamp(5, tz=UTC).replace(tzinfo=None), "x")
    assert sign(secret, "m", 5, b"x") == theirs


@given(keys, ids, stamps, st.binary(), st.data())
def test_another_message_has_another_signature(key, id, stamp, body, data):
    mac = begin(key, id, str(stamp))
    mac.update(body)
    changed = data.draw(
        st.sampled_from(
            [
                (key, id + "x", stamp, body),
                (key, id, stamp + 1, body),
                (key, id, stamp, body + b"x"),
                (key + b"x", id, stamp, body),
            ]
        )
    )
    other = begin(changed[0], changed[1], str(changed[2]))
    other.update(changed[3])
    assert fits(finish(mac), [mac, other]) == [True, False]


def test_the_target_is_signed_before_the_body():
    secret = "a secret that is long enough"
    assert sign(secret, "m", 5, b"x", target="POST /p") == sign(secret, "m", 5, b"POST /p\nx")


def test_one_of_several_signatures_is_enough():
    mac = begin(b"k" * 24, "m", "1")
    good = finish(mac)
    assert fits(f"v1,AAAA {good}", [mac]) == [True]
    assert fits(f"v1a,ed25519 {good}", [mac]) == [True]
    assert fits(good.replace("v1,", "v2,"), [mac]) == [False]
    assert fits("v1,한글", [mac]) == [False]
    assert fits("", [mac]) == [False]


@pytest.mark.parametrize(
    "secret", ["", "brief", "whsec_", "whsec_AAAA", "whsec_!!!!", "whsec_" + "한" * 40, "a" * 23]
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret):
    with pytest.raises(ConfigurationError) as caught:
        read_key(secret)
    assert secret in ("", "whsec_") or secret not in str(caught.value)
