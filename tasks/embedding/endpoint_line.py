"""One connection to an endpoint, on which a request ends in time, whatever the other side sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any

import httpx

_SOCKET_MADE = (".connect_tcp.complete", ".start_tls.complete")


class TooLong(Exception):
    """The body of an answer is larger than it may be."""


class Line:
    """Sends one request at a time; only `cut` may be called from another thread.

    httpx's own time limit starts anew with every byte, so a server that sends single bytes of a header
    would be waited for without end. Here a timer shuts the socket down.

    Attributes:
        is_cut: the socket was shut down: the line is of no more use.
    """

    def __init__(self, http: httpx.Client) -> None:
        self.is_cut = False
        self._http = http
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection, of which nobody may be reading."""
        self._http.close()

    def cut(self) -> None:
        """End the request that is being made, if any, and refuse all others."""
        with self._lock:
            self.is_cut = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # it has ended by itself
            # Not SSLSocket.shutdown, which would have the reader go on without TLS.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """What httpcore tells of a request; a new connection is seen nowhere else in time."""
        if not name.endswith(_SOCKET_MADE):
            return
        with self._lock:
            self._socket = info["return_value"].get_extra_info("socket")
            if self.is_cut:  # while it connected
                self._shut()

    def post(
        self, url: str, question: object, *, seconds: float, most: int
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of the answer.

        Args:
            url: where to.
            question: what is sent as JSON.
            seconds: for all of it; only making the connection may take longer, by its own limit.
            most: bytes that the body may have.

        Raises:
            httpx.TransportError: there was no answer; `ReadTimeout` if it was not complete in time.
            TooLong: the body has more bytes.
        """
        timer = threading.Timer(seconds, self.cut)
        timer.daemon = True
        timer.start()
        try:
            status, headers, body = self._exchange(url, question, most)
        except httpx.TransportError as exc:
            if self.is_cut:
                raise httpx.ReadTimeout("the answer comes too slowly") from exc
            raise
        finally:
            timer.cancel()
            timer.join()  # so that it cannot cut the next request
        if self.is_cut:  # an answer without a length looks complete then
            raise httpx.ReadTimeout("the answer comes too slowly")
        return status, headers, body

    def _exchange(self, url: str, question: object, most: int) -> tuple[int, httpx.Headers, bytes]:
        body = bytearray()
        trace = {"trace": self._trace}
        with self._http.stream("POST", url, json=question, extensions=trace) as response:
            for part in response.iter_bytes():
                body += part
                if len(body) > most:
                    raise TooLong
        return response.status_code, response.headers, bytes(body)
