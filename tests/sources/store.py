"""An S3 store on this machine (moto) that counts its requests and fails when it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<Error><Code>{code}</Code><Message>{code} (a test)</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]

    @property
    def key(self) -> str:
        return self.path.lstrip("/").partition("/")[2]

    @property
    def is_list(self) -> bool:
        return "list-type" in self.query

    @property
    def is_later_page(self) -> bool:
        return "continuation-token" in self.query

    @property
    def is_read(self) -> bool:
        """Whether it asks for an object's bytes."""
        return self.method == "GET" and bool(self.key)


@dataclass(frozen=True)
class Fault:
    """An answer instead of the store's: a status, the store's own cut short, or none at all."""

    status: int = 503
    code: str = "SlowDown"
    cut: int | None = None
    hang_up: bool = False


@dataclass
class Store:
    """What the tests see of it: requests made, faults to come, and a client of its own."""

    client: Any = None
    endpoint: str = ""
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[Request], Fault | None] = lambda request: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, key: str, body: bytes | str = b"", bucket: str = "bucket") -> None:
        """Store an object, past the server and its counts."""
        data = body.encode() if isinstance(body, str) else body
        self._backend.put_object(bucket, key, data)

    def delete(self, key: str, bucket: str = "bucket") -> None:
        self._backend.delete_object(bucket, key)

    def put_parts(self, key: str, parts: list[bytes]) -> str:
        """Store an object as several parts; returns its ETag."""
        upload = self.client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
        name = {"Bucket": "bucket", "Key": key, "UploadId": upload}
        etags = [
            {"PartNumber": i, "ETag": self.client.upload_part(**name, PartNumber=i, Body=part)["ETag"]}
            for i, part in enumerate(parts, 1)
        ]
        done = self.client.complete_multipart_upload(**name, MultipartUpload={"Parts": etags})
        return done["ETag"]

    def fail(self, when: Callable[[Request], bool], fault: Fault, *, times: int = 10**9) -> None:
        """Answer the next requests that `when` picks with a fault."""
        left = [times]

        def choose(request: Request) -> Fault | None:
            with self.lock:
                if left[0] <= 0 or not when(request):
                    return None
                left[0] -= 1
                return fault

        self.fault = choose

    def heal(self) -> None:
        self.fault = lambda request: None

    def reads(self) -> list[str]:
        return [request.key for request in self.requests if request.is_read]

    @property
    def _backend(self) -> Any:
        return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def answer(self, app: Any, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = unquote(environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0])
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        request = Request(environ["REQUEST_METHOD"], path, query)
        with self.lock:
            self.requests.append(request)
        fault = self.fault(request)
        if fault is None:
            return app(environ, start)
        if fault.hang_up:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if fault.cut is not None:
            return _cut(app, environ, start, fault.cut)
        body = ERROR.format(code=fault.code).encode() if request.method != "HEAD" else b""
        start(
            f"{fault.status} FAULT", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        )
        return [body]


def _cut(app: Any, environ: dict[str, Any], start: Any, most: int) -> Iterable[bytes]:
    """The app's answer with the length of the whole and only its first bytes."""
    seen: list[Any] = []
    body = b"".join(app(environ, lambda *args: seen.append(args)))
    status, headers, *_ = seen[0]
    kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
    start(status, [*kept, ("Content-Length", str(len(body)))])
    return [body[:most]]


@contextmanager
def serve() -> Iterator[Store]:
    """A store with the empty bucket `bucket`."""
    store = Store()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        "127.0.0.1", 0, lambda environ, start: store.answer(app, environ, start), threaded=True
    )
    server.log = lambda *args: None  # type: ignore[method-assign, assignment]
    server.RequestHandlerClass.log = lambda *args: None  # type: ignore[method-assign, assignment]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    store.client = boto3.client("s3", endpoint_url=store.endpoint, region_name="us-east-1",
                                aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    try:
        yield store
    finally:
        store.client.close()
        server.shutdown()
        thread.join()
        server.server_close()
