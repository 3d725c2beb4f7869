"""Signatures of requests, by Standard Webhooks: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from schemas.errors import ConfigurationError

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
MIN_SECRET = 24
"""Bytes of a secret at least, as Standard Webhooks has it."""

MAX_SIGNATURES = 16
"""More in one header are not looked at: two are enough to rotate a secret."""


def read_key(secret: str) -> bytes:
    """The key that a secret stands for: `whsec_` and base64, or any text.

    Raises:
        ConfigurationError: it is too short, or its base64 is damaged; the message does not repeat it.
    """
    key = secret.encode()
    if secret.startswith(PREFIX):
        body = secret.removeprefix(PREFIX)
        try:
            key = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        except ValueError:  # its context holds the secret
            raise ConfigurationError(
                f"A secret that begins with {PREFIX} is not base64 after that.", advice="Copy it again."
            ) from None
    if len(key) < MIN_SECRET:
        raise ConfigurationError(
            f"A secret is shorter than {MIN_SECRET} bytes.",
            advice='Make one: python -c "import base64, os; '
            "print('whsec_' + base64.b64encode(os.urandom(32)).decode())\"",
        )
    return key


def begin(key: bytes, id: str, timestamp: str | int, *, target: str = "") -> hmac.HMAC:
    """The HMAC of what is signed before the body, which the caller adds.

    Args:
        key: from `read_key`.
        id: of the message.
        timestamp: seconds since 1970, as the header has it.
        target: `METHOD PATH?QUERY` where the meaning of a request is in there too.
    """
    head = f"{id}.{timestamp}." + (f"{target}\n" if target else "")
    return hmac.new(key, head.encode("utf-8", "surrogateescape"), hashlib.sha256)


def finish(mac: hmac.HMAC) -> str:
    """The signature as the header has it."""
    return "v1," + base64.b64encode(mac.digest()).decode()


def sign(secret: str, id: str, timestamp: int, body: bytes, *, target: str = "") -> str:
    """The `webhook-signature` of a message.

    Args:
        secret: `whsec_` and base64, or any text of at least 24 bytes.
        id: the message's own, as in `webhook-id`.
        timestamp: seconds since 1970, as in `webhook-timestamp`.
        body: the bytes that are sent.
        target: `METHOD PATH?QUERY`, for uploads, deletions and requests without a body.

    Raises:
        ConfigurationError: the secret is none.
    """
    mac = begin(read_key(secret), id, timestamp, target=target)
    mac.update(body)
    return finish(mac)


def fits(header: str, macs: Iterable[hmac.HMAC]) -> list[bool]:
    """Whether any signature of the header is that of each HMAC; takes as long whatever fits."""
    given = [part.encode("utf-8", "replace") for part in header.split(" ")[:MAX_SIGNATURES]]
    found = []
    for mac in macs:
        expected = finish(mac).encode()
        found.append(sum([hmac.compare_digest(expected, signature) for signature in given]) > 0)
    return found
