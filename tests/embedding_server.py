"""An embedding endpoint on 127.0.0.1 that is real HTTP, and misbehaves on request."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from schemas.settings import EndpointSettings
from tests.fake_embedder import FakeEmbedder

DRIPS = 200
DRIP_S = 0.02


class Answer:
    """What a server sends: status, body, headers; `body` may be any bytes."""

    drips = ""

    def __init__(self, status: int, body: bytes | Any = b"", **headers: str) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Drip(Answer):
    """One byte after the other of a header or a body, for 4 s if nobody hangs up; then the server does."""

    def __init__(self, drips: str) -> None:
        super().__init__(200)
        self.drips = drips


Misbehave = Callable[[list[str], list[dict[str, Any]]], "Answer | list[dict[str, Any]] | None"]


class EmbeddingServer:
    """Vectors of a `FakeEmbedder`, twice as long as they should be.

    Attributes:
        sizes: texts of each request that was answered with vectors.
        requests: bodies of all requests; `keys` their Authorization headers.
        misbehave: handed the texts and the right rows; what it returns is sent instead. Gives None for the
            right answer; may raise `ConnectionAbortedError` to hang up.
        dripping: set once a `Drip` has begun.
        before: called with the texts before anything is answered.
    """

    def __init__(self, *, dim: int = 64) -> None:
        self.dim = dim
        self.model = FakeEmbedder(dim=dim)
        self.sizes: list[int] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.misbehave: Misbehave = lambda texts, rows: None
        self.before: Callable[[list[str]], object] = lambda texts: None
        self.dripping = threading.Event()
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def settings(self, **changes: Any) -> EndpointSettings:
        """Settings of an endpoint for this server."""
        facts = {"url": self.url, "model": "served", "revision": "r1", "dim": self.dim, "max_tokens": 256}
        return EndpointSettings.model_validate(facts | changes)

    @contextmanager
    def running(self) -> Iterator[EmbeddingServer]:
        """Answer while the block runs; a second time at the same port."""
        server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self))
        server.daemon_threads = True
        self.stopped.clear()
        self._port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(self, question: dict[str, Any], key: str | None) -> Answer:
        texts = question["input"]
        with self._lock:
            self.requests.append(question)
            self.keys.append(key)
        self.before(texts)
        with self._lock:
            rows = [
                {"object": "embedding", "index": i, "embedding": _write(vector * 2, question)}
                for i, vector in enumerate(self.model.embed(texts))
            ]
            instead = self.misbehave(texts, rows)
            if isinstance(instead, Answer):
                return instead
            self.sizes.append(len(texts))
        return Answer(200, {"object": "list", "model": question["model"], "data": instead or rows})


def _write(vector: np.ndarray, question: dict[str, Any]) -> list[float] | str:
    if question.get("encoding_format") == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(number) for number in vector]


def _handler(world: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                if self.path != "/v1/embeddings":
                    answer = Answer(404, {"error": {"message": "no such path"}})
                else:
                    answer = world.answer(question, self.headers.get("Authorization"))
                self._send(answer)
            except ConnectionError:
                self.close_connection = True

        def _drip(self, where: str) -> None:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + (b"\r\n\r\n" if where == "body" else b""))
            world.dripping.set()
            for _ in range(DRIPS):
                self.wfile.write(b" " if where == "body" else b"a")
                if world.stopped.wait(DRIP_S):
                    return

        def _send(self, answer: Answer) -> None:
            if answer.drips:
                self._drip(answer.drips)
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
