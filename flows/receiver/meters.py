"""What the receiver counts, and what it reads from the registry when it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from registry.collections import list_collections
from registry.connection import Database
from registry.dispatch import list_waiting
from registry.events import count_events
from registry.receiving import count_runs

T = TypeVar("T")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SCRAPE_S = 3.0
"""Prometheus gives up after 10 seconds; a slow database is told apart from a dead receiver well before."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Within(Generic[T]):
    """A call that others wait for no longer than a limit; one that hangs is not started again beside itself.

    Args:
        function: may block.
        limit_s: how long to wait for it.
    """

    def __init__(self, function: Callable[[], T], *, limit_s: float) -> None:
        self._function = function
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: _Call[T] | None = None

    def __call__(self) -> T:
        """What the function returns; raises TimeoutError, or what it raises."""
        with self._lock:
            if self._running is None or not self._running.is_alive():
                self._running = _Call(self._function)
                self._running.start()
            call = self._running
        call.join(self._limit_s)
        if call.is_alive():
            raise TimeoutError(f"no answer within {self._limit_s:.0f} seconds")
        if call.error is not None:
            raise call.error
        return call.result[0]


class _Call(threading.Thread, Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        super().__init__(daemon=True, name="revector probe")
        self._function = function
        self.result: list[T] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result.append(self._function())
        except Exception as exc:  # whoever waits gets it
            self.error = exc


class Meters:
    """Counters of one app, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "revector_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "revector_http_request_seconds", "Time to an answer.", ["route"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.refusals = Counter(
            "revector_http_refusals",
            "Requests refused, by class of error.",
            ["reason"],
            registry=self.registry,
        )
        self.upload_bytes = Counter(
            "revector_upload_bytes", "Bytes of documents that were accepted.", registry=self.registry
        )
        self.deliveries = Counter(
            "revector_deliveries", "Messages of senders.", ["result"], registry=self.registry
        )
        self.ignored = Counter(
            "revector_ignored_entries",
            "Entries of messages that name nothing in a collection's sources.",
            ["collection"],
            registry=self.registry,
        )

    def exposition(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class RegistryMeters(Collector):
    """Gauges read from the registry at each scrape, within a time limit.

    Args:
        db: the registry.
        secrets: sender -> whether its file of secrets can be used.
        now: seconds since 1970.
        limit_s: for all of it.
    """

    def __init__(
        self,
        db: Database,
        secrets: Callable[[], dict[str, bool]],
        *,
        now: Callable[[], float] = time.time,
        limit_s: float = SCRAPE_S,
    ) -> None:
        self._db = db
        self._secrets = secrets
        self._now = now
        self._read = Within(self._gauges, limit_s=limit_s)

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges, or only that they could not be read."""
        yield _gauge(
            "revector_secrets_sound", "Whether a sender's secrets can be read.", ["sender"],
            [([name], float(is_sound)) for name, is_sound in self._secrets().items()],
        )  # fmt: skip
        try:
            gauges = self._read()
        except Exception:  # a scrape shows that the registry is away, and all else
            gauges = []
        yield _gauge(
            "revector_registry_up", "Whether the registry answered.", [], [([], float(bool(gauges)))]
        )
        yield from gauges

    def _gauges(self) -> list[Metric]:
        return [*self._events(), self._failures(), *self._collections(), self._runs()]

    def _failures(self) -> Metric:
        return _gauge(
            "revector_dispatch_failures", "Flow runs for events that wait, in a row, that settled none.",
            ["collection"],
            [([waiting.collection], waiting.failures) for waiting in list_waiting(self._db)],
        )  # fmt: skip

    def _events(self) -> list[Metric]:
        rows = count_events(self._db)
        now = self._now()
        return [
            _gauge(
                "revector_events", "Events by state.", ["collection", "state"],
                [([name, state], count) for name, state, count, _ in rows],
            ),
            _gauge(
                "revector_oldest_pending_event_seconds", "Age of the oldest that waits.", ["collection"],
                [([name], max(0.0, now - since.timestamp()))
                 for name, state, _, since in rows if state == "pending"],
            ),
        ]  # fmt: skip

    def _runs(self) -> Metric:
        rows = count_runs(self._db)
        return _gauge(
            "revector_runs", "Runs by state.", ["collection", "state"],
            [([name, state], count) for name, state, count in rows],
        )  # fmt: skip

    def _collections(self) -> list[Metric]:
        rows = list_collections(self._db)
        return [
            _gauge(name, says, ["collection"], [([row["name"]], float(row[key])) for row in rows])
            for name, says, key in (
                ("revector_release", "Number of the release that is shown.", "release"),
                ("revector_documents", "Documents that are shown.", "documents"),
                ("revector_chunks", "Chunks that are shown.", "chunks"),
                ("revector_rejected_documents", "Documents that stand rejected.", "rejected"),
            )
        ] + [
            _gauge(
                "revector_release_timestamp_seconds", "When the release that is shown began.", ["collection"],
                [([row["name"]], row["activated_at"].timestamp()) for row in rows if row["activated_at"]],
            )
        ]  # fmt: skip


def _gauge(name: str, says: str, labels: list[str], values: list[tuple[list[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=labels)
    for chosen, value in values:
        family.add_metric(chosen, value)
    return family
