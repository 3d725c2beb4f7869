"""Connections: how long one may wait for its request, and how many there may be."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable

from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.receiver.limits import client_key

HEAD_S = 10.0
"""Seconds in which the head of a request is complete. Uvicorn itself waits for ever for the first one, and
after an answer as long as a byte comes now and then. How long a body may take is known in bodies.py."""

MAX_CONNECTIONS = 512
"""At once. Below the 1024 files that a process may open by default, of which it needs some itself."""

MAX_PER_CLIENT = 64
"""Of one address that is neither this machine nor a proxy that uvicorn trusts (FORWARDED_ALLOW_IPS)."""


class BoundedProtocol(H11Protocol):
    """HTTP as uvicorn speaks it; who holds connections without asking for anything locks nobody out.

    Where there are too many, the one that waits longest for a request goes, before any that is served.
    """

    _waiting: asyncio.TimerHandle | None = None
    _since = 0.0
    _key: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in, and let another go where that is one too many."""
        super().connection_made(transport)
        self._since = self.loop.time()
        host = self.client[0] if self.client else ""
        self._key = None if _is_trusted(host, self.config.forwarded_allow_ips) else client_key(host)
        self._watch()
        if self._key is not None:
            self._make_room((one for one in self._open() if one._key == self._key), MAX_PER_CLIENT)
        self._make_room(self._open(), MAX_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read it; bytes that are no request yet gain no time."""
        super().data_received(data)
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """Close, and do not wait for a peer that does not read its answer."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(HEAD_S, self.transport.abort)

    def _is_served(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        if self._is_served():
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _open(self) -> Iterable[BoundedProtocol]:
        return (
            one
            for one in self.connections
            if isinstance(one, BoundedProtocol) and not one.transport.is_closing()
        )

    def _make_room(self, among: Iterable[BoundedProtocol], most: int) -> None:
        peers = list(among)
        if len(peers) <= most:
            return
        idle = [one for one in peers if one is not self and not one._is_served()]
        # one that was served before is likelier to be a sender's
        going = min(idle, key=lambda one: (one.cycle is not None, one._since), default=self)
        going.transport.abort()


def _is_trusted(host: str, proxies: list[str] | str) -> bool:
    """Whether many may stand behind an address: this machine, and proxies."""
    names = [name.strip() for name in (proxies.split(",") if isinstance(proxies, str) else proxies)]
    if "*" in names or host in names:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in _networks(names))


def _networks(names: list[str]) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for name in names:
        if "/" in name:
            try:
                yield ipaddress.ip_network(name)
            except ValueError:  # uvicorn ignores it too
                continue
