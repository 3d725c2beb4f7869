"""One question to an embedding endpoint: asked with patience, answered within bounds, or an error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import httpx

from schemas.errors import ConfigurationError, EmbeddingFailed, EndpointUnavailable, ModelNotAvailable
from tasks.embedding.base import Vectors
from tasks.embedding.endpoint_answer import BadAnswer, read_answer, read_complaint, read_patience
from tasks.embedding.endpoint_card import EndpointCard
from tasks.embedding.endpoint_line import Line, TooLong

ATTEMPTS = 6
"""How often a batch is asked for: with pauses of up to 0.5, 1, 2, 4 and 8 s between."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 120.0
"""A server that asks for more patience than this gets none: the run ends, and can be run again."""
_CONNECT_S = 10.0
_NUMBER_BYTES = 32
"""Of a number in JSON, at most; a double takes up to 25."""
_SPARE_BYTES = 1 << 16
_AGAIN = {408, 409, 425, 429}
_REFUSED_KEY = {401, 403}
_TOO_LARGE = {400, 413, 422}


class TooLarge(Exception):
    """The endpoint refuses these texts: too many, too long, or for a reason of its own."""


class Stopped(Exception):
    """Another batch has failed: this one is not waited for."""


class Patience(NamedTuple):
    """How often a request is made, and the seconds after the first one by which the last one has begun."""

    attempts: int = ATTEMPTS
    seconds: float = inf


LONG = Patience()


@dataclass(frozen=True, slots=True)
class Waiting:
    """Clock and dice; tests have their own. `sleep` is told an event that ends it early."""

    sleep: Callable[[float, threading.Event], object] = lambda seconds, stop: stop.wait(seconds)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


class EndpointClient:
    """Asks one endpoint; may be shared between threads.

    Attributes:
        asked: requests that were sent so far.

    Raises:
        ConfigurationError: the file with the key cannot be read.
    """

    def __init__(self, card: EndpointCard, *, waiting: Waiting | None = None) -> None:
        self._card = card
        self._settings = card.endpoint
        self._waiting = waiting or Waiting()
        self._key = read_key(card)
        self._url = f"{self._settings.url.rstrip('/')}/embeddings"
        self._tls = httpx.create_ssl_context()  # reads all certificates: once, not for each line
        self._idle: list[Line] = []
        self._busy: set[Line] = set()
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.asked = 0

    def close(self) -> None:
        """Close all connections; whoever reads from one fails."""
        self.hang_up()
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.close()

    def hang_up(self) -> None:
        """End the requests that are being made; a `stop` that was set before keeps new ones from starting."""
        with self._lock:
            for line in self._busy:
                line.cut()

    @contextmanager
    def _line(self, stop: threading.Event) -> Iterator[Line]:
        """A connection that nobody else uses meanwhile; one that was used before, if there is one."""
        with self._lock:
            line = self._idle.pop() if self._idle else Line(self._connect())
            self._busy.add(line)
        try:
            if stop.is_set():  # asked last: whoever sets it cuts the lines that are busy by then
                raise Stopped
            yield line
        finally:
            with self._lock:
                self._busy.remove(line)
                if not line.is_cut:
                    self._idle.append(line)
            if line.is_cut:
                line.close()

    def _connect(self) -> httpx.Client:
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        seconds = self._settings.timeout_s
        return httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(seconds, connect=min(_CONNECT_S, seconds)),
            limits=httpx.Limits(max_connections=1),
            verify=self._tls,
        )

    def ask(self, texts: list[str], stop: threading.Event, *, patience: Patience = LONG) -> Vectors:
        """(N, D) float32, unit length: the vectors of texts, in order.

        Args:
            texts: those of one request.
            stop: once set, nothing more is sent.
            patience: how often it is tried, and for how long.

        Raises:
            TooLarge: the endpoint refuses the request as it is.
            EndpointUnavailable: it was not answered, or asks for more patience than there is.
            EmbeddingFailed: the answer is no answer.
            ModelNotAvailable: the key or the model is refused.
            Stopped: `stop` was set.
        """
        ends = inf
        for attempt in range(patience.attempts):
            self._take_turn(stop)
            ends = min(ends, self._waiting.clock() + patience.seconds)
            try:
                status, headers, body = self._post(texts, stop)
            except httpx.TransportError as exc:
                reason, asked = f"does not answer ({type(exc).__name__})", 0.0
            else:
                if status == httpx.codes.OK:
                    return self._read(body, len(texts))
                reason, asked = self._judge(status, headers, body, texts)
            drawn = FIRST_PAUSE_S * 2**attempt * (0.5 + self._waiting.chance() / 2)
            pause, is_last = max(asked, drawn), attempt == patience.attempts - 1
            if is_last or asked > LONGEST_PAUSE_S or self._next_turn(pause) >= ends:
                raise self._unavailable(reason, attempt + 1, asked=asked, patience=patience)
            self._pause(pause, stop, for_all=asked > 0)
        raise AssertionError("the last attempt returns or raises")

    def _take_turn(self, stop: threading.Event) -> None:
        """Wait until a request may be sent: by the limit per minute, and by what the server asked for."""
        with self._lock:
            now = self._waiting.clock()
            mine = max(now, self._free_at)
            if per_minute := self._settings.requests_per_minute:
                self._free_at = mine + 60 / per_minute
        self._pause(mine - now, stop)

    def _next_turn(self, pause: float) -> float:
        """By the clock: when a request may be sent that waits at least so long."""
        with self._lock:
            return max(self._free_at, self._waiting.clock() + pause)

    def _pause(self, seconds: float, stop: threading.Event, *, for_all: bool = False) -> None:
        if for_all:
            with self._lock:
                self._free_at = max(self._free_at, self._waiting.clock() + seconds)
        if seconds > 0 and not stop.is_set():
            self._waiting.sleep(seconds, stop)
        if stop.is_set():
            raise Stopped

    def _post(self, texts: list[str], stop: threading.Event) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of an answer: of bounded size, and within the time for a request."""
        question = {"model": self._settings.model, "input": texts, "encoding_format": self._settings.encoding}
        most = _SPARE_BYTES + len(texts) * (self._card.dim * _NUMBER_BYTES + 256)
        try:
            with self._line(stop) as line:
                with self._lock:
                    self.asked += 1
                return line.post(self._url, question, seconds=self._settings.timeout_s, most=most)
        except TooLong as exc:
            raise self._failed(f"answers with more than {most} bytes to {len(texts)} texts") from exc
        except (httpx.DecodingError, httpx.InvalidURL) as exc:
            raise self._failed(f"cannot be read ({type(exc).__name__})") from exc

    def _read(self, body: bytes, count: int) -> Vectors:
        try:
            return read_answer(body, count, self._card.dim)
        except BadAnswer as exc:
            raise self._failed(f"gave an answer that cannot be used: {exc}") from exc

    def _judge(self, status: int, headers: httpx.Headers, body: bytes, texts: list[str]) -> tuple[str, float]:
        """Why it may be asked again, and the seconds that it asks for; raises where that is no use."""
        said, code = read_complaint(body, texts=texts, secret=self._key)
        shown = said or code
        reason = f"answers {status}" + (f" ({shown})" if shown else "")
        if code == "insufficient_quota":
            raise self._failed(f"has no quota left: it {reason}", "Pay its bill, or raise its limit.")
        if status >= 500 or status in _AGAIN:
            return reason, read_patience(headers.get("retry-after", ""), self._waiting.now())
        if status in _REFUSED_KEY:
            raise ModelNotAvailable(
                f"{self._who} {reason}: it refuses the key.",
                advice=f"Put a valid key into the file that endpoints.{self._card.endpoint_name}.key names.",
            )
        if status in _TOO_LARGE:
            raise TooLarge(reason)
        if status == httpx.codes.NOT_FOUND:
            raise ModelNotAvailable(
                f"{self._who} {reason}.",
                advice="Its url must end where /embeddings follows, often in /v1; check `model` too.",
            )
        raise self._failed(reason)

    @property
    def _who(self) -> str:
        return f"The endpoint {self._card.endpoint_name!r} ({self._settings.url})"

    def _failed(self, reason: str, advice: str = "") -> EmbeddingFailed:
        advice = advice or "Nothing of it was stored. Check the server, then look with `revector doctor`."
        return EmbeddingFailed(f"{self._who} {reason}.", advice=advice, endpoint=self._card.endpoint_name)

    def _unavailable(
        self, reason: str, attempts: int, *, asked: float = 0.0, patience: Patience = LONG
    ) -> EndpointUnavailable:
        wish = f", and asks to wait {asked:.0f} s" if asked else ""
        times = "once" if attempts == 1 else f"{attempts} times"
        return EndpointUnavailable(
            f"{self._who} {reason}{wish}; it was asked {times}.",
            advice="Run again when it answers: what is embedded is stored."
            if patience.seconds == inf
            else "Try again later; a search by words alone, `--mode keyword`, needs no model.",
            endpoint=self._card.endpoint_name,
        )

    def refuse(self, reason: str) -> EmbeddingFailed:
        """The error for a single text that the endpoint does not take."""
        return self._failed(
            f"refuses a text: it {reason}",
            f"If it is too long, lower endpoints.{self._card.endpoint_name}.max_tokens, or name the model's "
            "own `tokenizer`.",
        )

    def give_up(self, seconds: float, *, asked: int) -> EndpointUnavailable:
        """The error for an endpoint that gave no vectors for so long, though it was asked so often."""
        return self._unavailable(f"has given no vectors for {seconds:.0f} s", asked)


def read_key(card: EndpointCard) -> str:
    """The key of an endpoint; empty where it has none.

    Raises:
        ConfigurationError: the file cannot be read, or what it holds can be no key.
    """
    path = card.endpoint.key
    if path is None:
        return ""
    advice = f"Write the key of endpoint {card.endpoint_name!r} into it, in one line."
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(
            f"The key file {path} cannot be read ({type(exc).__name__}).", advice=advice
        ) from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(f"The file {path} holds no key.", advice=advice)
    return key
