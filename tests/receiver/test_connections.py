"""Connections of strangers: they are closed in time, and lock nobody out."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import h11
import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from flows.receiver import connections
from flows.receiver.connections import HEAD_S, MAX_CONNECTIONS, MAX_PER_CLIENT, BoundedProtocol

HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


class _Loop:
    """A loop whose time a test moves, and that starts no task."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, function, (), self)  # type: ignore[arg-type]
        self.timers.append(timer)
        return timer

    def create_task(self, coroutine):
        coroutine.close()
        return self

    def add_done_callback(self, _function) -> None:
        pass

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, _timer) -> None:
        pass

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [timer for timer in self.timers if timer.when() <= self.now and not timer.cancelled()]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer._run()


class _Transport(asyncio.Transport):
    def __init__(self, host: str) -> None:
        super().__init__({"peername": (host, 5), "sockname": ("127.0.0.1", 80)})
        self.is_closed = self.is_aborted = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def write(self, data) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Server:
    """Connections of one server, with nobody behind."""

    def __init__(self) -> None:
        async def app(_scope, _receive, _send) -> None:
            raise AssertionError("no task is started")

        self.loop = _Loop()
        self.state = ServerState()
        self.config = uvicorn.Config(
            app, http=BoundedProtocol, ws="none", log_config=None, forwarded_allow_ips="10.9.9.9,10.8.0.0/16"
        )

    def connect(self, host: str = "203.0.113.5") -> BoundedProtocol:
        self.loop.now += 0.001
        made = BoundedProtocol(self.config, self.state, {}, _loop=self.loop)  # type: ignore[arg-type]
        made.connection_made(_Transport(host))
        return made


def _is_open(one: BoundedProtocol) -> bool:
    return not one.transport.is_closing()


def _answer(one: BoundedProtocol) -> None:
    """As uvicorn does at the end of an answer."""
    one.conn.send(h11.Response(status_code=200, headers=[]))
    one.conn.send(h11.EndOfMessage())
    one.cycle.response_complete = True
    one.on_response_complete()


@pytest.fixture
def server() -> _Server:
    return _Server()


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHost:"])
def test_a_connection_without_a_request_is_closed(server, said):
    one = server.connect()
    one.data_received(said) if said else None
    server.loop.advance(HEAD_S - 1)
    assert _is_open(one)
    server.loop.advance(1)
    assert not _is_open(one)


def test_a_byte_now_and_then_gains_no_time(server):
    one = server.connect()
    for letter in b"GET /health HTTP/1.1":
        one.data_received(bytes([letter]))
        server.loop.advance(HEAD_S / 5)
    assert not _is_open(one)


def test_a_request_that_is_served_may_take_its_time(server):
    one = server.connect()
    one.data_received(HEAD)
    server.loop.advance(100 * HEAD_S)
    assert _is_open(one)


def test_after_an_answer_a_byte_now_and_then_keeps_no_connection(server):
    one = server.connect()
    one.data_received(HEAD)
    _answer(one)
    for letter in b"GET /health HTTP/1.1":
        one.data_received(bytes([letter]))
        server.loop.advance(HEAD_S / 5)
    assert not _is_open(one)


def test_after_an_answer_another_request_may_follow(server):
    one = server.connect()
    for _ in range(5):
        one.data_received(HEAD)
        _answer(one)
        server.loop.advance(2)
    assert _is_open(one)


def test_who_does_not_read_the_answer_is_not_waited_for(server):
    one = server.connect()
    one.data_received(HEAD)
    _answer(one)
    server.loop.advance(server.config.timeout_keep_alive)
    assert not _is_open(one)
    assert not one.transport.is_aborted
    server.loop.advance(HEAD_S)
    assert one.transport.is_aborted


def test_an_address_has_so_many_connections_and_others_have_theirs(server):
    theirs = [server.connect() for _ in range(MAX_PER_CLIENT)]
    other = server.connect("203.0.113.6")
    assert all(map(_is_open, [*theirs, other]))
    late = server.connect()
    assert [_is_open(one) for one in theirs] == [False] + [True] * (MAX_PER_CLIENT - 1)
    assert _is_open(late)
    assert _is_open(other)


def test_a_connection_that_is_served_is_not_closed_for_another(server):
    for _ in range(MAX_PER_CLIENT):
        server.connect().data_received(HEAD)
    late = server.connect()
    assert not _is_open(late)
    assert len([one for one in server.state.connections if _is_open(one)]) == MAX_PER_CLIENT


def test_one_that_asked_before_outlives_one_that_never_did(server):
    asked = server.connect()
    asked.data_received(HEAD)
    _answer(asked)
    silent = [server.connect() for _ in range(MAX_PER_CLIENT)]
    assert _is_open(asked)
    assert not _is_open(silent[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "10.9.9.9", "10.8.7.6"])
def test_this_machine_and_proxies_have_as_many_as_there_are(server, host):
    theirs = [server.connect(host) for _ in range(MAX_PER_CLIENT + 5)]
    assert all(map(_is_open, theirs))


def test_idle_connections_of_many_addresses_lock_nobody_out(server):
    for number in range(MAX_CONNECTIONS + 100):
        server.connect(f"203.0.{number // 250}.{number % 250}")
    assert len([one for one in server.state.connections if _is_open(one)]) == MAX_CONNECTIONS
    late = server.connect("198.51.100.1")
    late.data_received(HEAD)
    assert _is_open(late)


@contextmanager
def _serving() -> Iterator[int]:
    async def app(scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    config = uvicorn.Config(
        app, port=0, http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        listening.listen()
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)


def test_a_server_answers_while_strangers_hold_connections(monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    with _serving() as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        try:
            assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
            held[0].settimeout(30)
            assert held[0].recv(1) == b"", "it was closed"
        finally:
            for one in held:
                one.close()
