"""Who sent a request: its signature or its token, and how many requests its sender may make."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastapi import Request

from flows.receiver.core import Receiver
from flows.receiver.limits import client_key, is_this_machine
from flows.receiver.refusals import RequestRefused
from flows.receiver.senders import Sender, find_bearer, find_signer
from flows.receiver.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, begin

_ID = re.compile(r"[\x21-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_UNSIGNED = "Sign it by Standard Webhooks: headers webhook-id, webhook-timestamp and webhook-signature."
_ADVICE = "Check the secret, the clock, and that the bytes, method and path signed are those sent."


class Caller(NamedTuple):
    """The sender of a request, what it calls its message ("" where it does not), and how it is known."""

    sender: Sender
    id: str
    is_signed: bool


class Verifier:
    """Finds the sender of a request while its body goes by.

    Every key that is good for the collection is tried, whichever fits, and what the answer says does not
    depend on whether the collection exists.

    Args:
        receiver: whose senders.
        request: with its headers.
        collection: it is about; None for any that the sender may use.
        with_target: whether method, path and query are signed too.

    Raises:
        RequestRefused: 401 where no body could make it right, 429 for too many such.
    """

    def __init__(
        self, receiver: Receiver, request: Request, collection: str | None, *, with_target: bool
    ) -> None:
        self._receiver = receiver
        host = request.client.host if request.client else ""
        self._client = client_key(host)
        self._is_local = is_this_machine(host)
        self._is_charged = False
        headers = request.headers
        self._id = headers.get(ID_HEADER, "")
        self._signature = headers.get(SIGNATURE_HEADER, "")
        self._bearer = headers.get("authorization", "")
        receiver.senders.refresh()
        if self._id and not _ID.fullmatch(self._id):
            raise self._unknown("webhook-id is not 1 to 256 visible ASCII characters")
        self._macs = []
        self._tokens = []
        if self._signature:
            timestamp = self._require_fresh(headers.get(TIMESTAMP_HEADER, ""))
            target = sent_target(request) if with_target else ""
            self._macs = [
                (sender, begin(key, self._id, timestamp, target=target))
                for sender, key in receiver.senders.keys("hmac", collection)
            ]
        elif self._bearer:
            self._tokens = receiver.senders.keys("bearer", collection)
            if find_bearer(self._bearer, self._tokens) is None:
                raise self._unknown("no sender that may do this has that token")
        else:
            raise self._unknown("it is not signed", advice=_UNSIGNED)

    @property
    def stranger(self) -> str | None:
        """The address of one who may still turn out to be nobody; None of a known sender, or this machine."""
        return None if self._tokens or self._is_local else self._client

    def charge(self) -> None:
        """Count this request as a stranger's until `finish` knows its sender; one with a token is known.

        Raises:
            RequestRefused: 429 for too many such.
        """
        if not self._tokens and not self._is_charged:
            if wait := self._receiver.strangers.take(self._client):
                raise _too_many(wait)
            self._is_charged = True

    def _require_fresh(self, timestamp: str) -> str:
        if not self._id:
            raise self._unknown("webhook-id is missing", advice=_UNSIGNED)
        if not _TIMESTAMP.fullmatch(timestamp):
            raise self._unknown("webhook-timestamp is not a number of seconds", advice=_UNSIGNED)
        window = self._receiver.webhook.replay_window_s
        if abs(self._receiver.clock() - int(timestamp)) > window:
            raise self._unknown(f"webhook-timestamp is more than {window} s away from the clock here")
        return timestamp

    def update(self, piece: bytes) -> None:
        """The next piece of the body."""
        for _, mac in self._macs:
            mac.update(piece)

    def finish(self) -> Caller:
        """Who sent it, once the body is complete.

        Raises:
            RequestRefused: 401 where no key fits, 429 where the sender sends too much.
        """
        if self._signature:
            sender = find_signer(self._signature, self._macs)
        else:
            sender = find_bearer(self._bearer, self._tokens)
        if sender is None:
            raise self._unknown("no sender that may do this has signed it")
        if self._is_charged:
            self._receiver.strangers.give_back(self._client)
        if wait := self._receiver.known.take(sender.name):
            raise _too_many(wait)
        return Caller(sender, self._id, is_signed=bool(self._signature))

    def _unknown(self, why: str, *, advice: str = _ADVICE) -> RequestRefused:
        if not self._is_charged and (wait := self._receiver.strangers.take(self._client)):
            return _too_many(wait)
        return RequestRefused(401, "NotAuthenticated", f"The sender is not known: {why}.", advice=advice)


def authenticate(receiver: Receiver, request: Request, collection: str | None) -> Caller:
    """Who sent a request without a body; raises as `Verifier` does."""
    return Verifier(receiver, request, collection, with_target=True).finish()


def sent_target(request: Request) -> str:
    """`METHOD PATH?QUERY` as the request line had it, nothing decoded."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope.get("query_string", b"")
    target = raw + (b"?" + query if query else b"")
    return f"{request.method} {target.decode('latin-1')}"


def _too_many(wait_s: float) -> RequestRefused:
    return RequestRefused(
        429,
        "TooManyRequests",
        "There were too many requests.",
        advice="Wait as long as Retry-After says, and put more into one message.",
        retry_s=wait_s,
    )
