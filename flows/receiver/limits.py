"""Token buckets: how many requests one sender, or one unknown address, may make."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable

MAX_BUCKETS = 10_000
"""Remembered at once; the one not used for longest is forgotten first, and would be full by then."""


class Buckets:
    """One bucket a key: `burst` tokens at once, refilled at `per_minute`.

    Args:
        per_minute: tokens.
        burst: tokens a bucket holds.
        clock: seconds; may jump.
    """

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float]) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take one token: 0 if there was one, else the seconds until there will be."""
        now = self._clock()
        with self._lock:
            tokens, since = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + max(0.0, now - since) * self._rate)
            is_there = tokens >= 1
            self._buckets[key] = (tokens - is_there, now)
            while len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        return 0.0 if is_there else (1 - tokens) / self._rate

    def give_back(self, key: str) -> None:
        """Put back one token that was taken."""
        with self._lock:
            if key in self._buckets:
                tokens, since = self._buckets[key]
                self._buckets[key] = (min(self._burst, tokens + 1), since)


class Slots:
    """So many things at once, and fewer of one client.

    Args:
        total: at once.
        per_client: of one.
    """

    def __init__(self, total: int, per_client: int) -> None:
        self._total = self._free = total
        self._per_client = per_client
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @property
    def busy(self) -> int:
        """How many are taken."""
        return self._total - self._free

    def take(self, client: str | None) -> bool:
        """Take one, if there is one; None is a client that may have all."""
        with self._lock:
            is_there = self._free > 0 and (client is None or self._taken[client] < self._per_client)
            if is_there:
                self._free -= 1
                self._note(client, 1)
            return is_there

    def free(self, client: str | None) -> None:
        """Give one back."""
        with self._lock:
            self._free += 1
            self._note(client, -1)

    def _note(self, client: str | None, change: int) -> None:
        if client is not None:
            self._taken[client] += change
            if not self._taken[client]:
                del self._taken[client]


def is_this_machine(address: str) -> bool:
    """Whether an address is a loopback one."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_private(address: str) -> bool:
    """Whether an address is of this machine or of a network that the internet does not reach.

    >>> is_private("127.0.0.1"), is_private("172.18.0.3"), is_private("fd00::1"), is_private("8.8.8.8")
    (True, True, True, False)
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_private


def client_key(address: str) -> str:
    """What counts as one client: an address, or the /64 of an IPv6 one, all of which one host may have.

    >>> client_key("10.0.0.7"), client_key("2001:db8::1")
    ('10.0.0.7', '2001:db8::/64')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
