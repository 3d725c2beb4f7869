"""What senders, and strangers, may cost."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.receiver.core import MAX_UPLOADS_PER_CLIENT
from flows.receiver.limits import MAX_BUCKETS, Buckets, Slots, client_key
from registry.collections import ensure_collection, ensure_source
from schemas.errors import DatabaseUnavailable
from schemas.source import Source
from tests.receiver.conftest import NOW

EVENT = {"changed": ["a.txt"]}


def _error(done):
    assert set(done.json()["error"]) == {"class", "message", "advice"}
    return done.json()["error"]["class"]


@pytest.fixture
def limited(configure, db):
    def make(**webhook):
        collection = ensure_collection(db, "default")
        ensure_source(db, collection.id, Source("docs", "/srv/docs"))
        return configure(**webhook)

    return make


def test_a_body_over_the_limit_is_refused(limited):
    receiver = limited(max_body_kb=1)
    done = receiver.post({"changed": ["x" * 500, "y" * 500, "z" * 500]})
    assert (done.status_code, _error(done)) == (413, "BodyTooLarge")
    receiver.assert_untouched()


def test_a_body_that_does_not_say_how_large_it_is_is_measured_while_it_comes(limited):
    receiver = limited(max_body_kb=1)
    done = receiver.client.post(
        "/v1/events/default", content=iter([b"x" * 700] * 50), headers=receiver.headers(b"")
    )
    assert (done.status_code, _error(done)) == (413, "BodyTooLarge")
    receiver.assert_untouched()


def test_a_message_names_so_many_documents_at_most(limited):
    receiver = limited(max_documents=3)
    assert receiver.post({"changed": ["a", "b"], "prefixes": ["c"]}).status_code == 202
    done = receiver.post({"changed": ["a", "b"], "deleted": ["a"], "prefixes": ["c"]})
    assert (done.status_code, _error(done)) == (422, "EventRefused")
    assert receiver.deliveries() == 1


def test_where_too_many_events_wait_no_more_are_taken(limited):
    receiver = limited(max_pending=2)
    assert receiver.post({"changed": ["a", "b"]}).status_code == 202
    for done in (receiver.post(EVENT), receiver.upload("a.txt", b"x"), receiver.delete("a.txt")):
        assert (done.status_code, _error(done), done.headers["Retry-After"]) == (503, "TooManyPending", "60")
    assert len(receiver.rows()) == 2
    assert receiver.files() == {}


def test_a_sender_makes_so_many_requests_and_then_waits(limited):
    receiver = limited(requests_per_minute=60, burst=3)
    assert [receiver.post(EVENT).status_code for _ in range(3)] == [202] * 3
    done = receiver.post(EVENT)
    assert (done.status_code, _error(done), done.headers["Retry-After"]) == (429, "TooManyRequests", "1")
    assert receiver.deliveries() == 3
    assert receiver.bearer(EVENT).status_code == 202, "another sender is not concerned"
    receiver.clock.now += 1
    assert receiver.post(EVENT).status_code == 202
    assert receiver.post(EVENT).status_code == 429


def test_strangers_are_slowed_down_and_a_sender_behind_the_same_address_is_not(limited):
    receiver = limited(requests_per_minute=60, burst=3)
    wrong = {"secret": "not the secret of anybody here"}
    assert [receiver.post(EVENT, **wrong).status_code for _ in range(4)] == [401] * 3 + [429]
    assert receiver.post(EVENT).status_code == 202


def test_while_the_database_is_away_senders_are_told_to_come_back(limited, monkeypatch):
    receiver = limited()

    def fail(*_args, **_options):
        raise DatabaseUnavailable("The database is not available: host=secret.")

    monkeypatch.setattr("flows.receiver.accepting.accept_delivery", fail)
    done = receiver.post(EVENT)
    assert (done.status_code, _error(done), done.headers["Retry-After"]) == (503, "DatabaseUnavailable", "5")
    assert "secret" not in done.text
    receiver.assert_untouched()


def test_a_bug_is_answered_without_its_trace(limited, monkeypatch):
    receiver = limited()

    def fail(*_args, **_options):
        raise ZeroDivisionError("secret of the code")

    monkeypatch.setattr("flows.receiver.accepting.accept_delivery", fail)
    done = receiver.post(EVENT)
    assert (done.status_code, _error(done)) == (500, "InternalError")
    assert "secret" not in done.text
    assert "Traceback" not in done.text


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 600))
def test_no_more_than_burst_and_rate_get_through(waits, burst, per_minute):
    now = [0.0]
    buckets = Buckets(per_minute, burst, clock=lambda: now[0])
    taken = 0
    for wait in waits:
        now[0] += wait
        taken += buckets.take("k") == 0
    assert taken <= burst + now[0] * per_minute / 60 + 1e-6
    assert taken >= min(len(waits), burst)


@given(st.integers(1, 600))
def test_who_waits_as_long_as_told_gets_through(per_minute):
    now = [float(NOW)]
    buckets = Buckets(per_minute, 1, clock=lambda: now[0])
    assert buckets.take("k") == 0
    wait = buckets.take("k")
    now[0] += wait * 0.9
    assert buckets.take("k") > 0
    now[0] += wait * 0.11
    assert buckets.take("k") == 0


def test_a_clock_that_jumps_back_gives_nothing_and_takes_nothing():
    now = [100.0]
    buckets = Buckets(60, 2, clock=lambda: now[0])
    assert buckets.take("k") == 0
    now[0] = 0.0
    assert buckets.take("k") == 0
    assert buckets.take("k") == 1.0


def test_strangers_do_not_fill_the_memory():
    buckets = Buckets(60, 1, clock=lambda: 0.0)
    for number in range(MAX_BUCKETS + 500):
        buckets.take(str(number))
    assert len(buckets) == MAX_BUCKETS


def test_a_network_of_version_six_is_one_client():
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:1") != client_key("2001:db8:1::1")
    assert client_key("fe80::1%eth0") == "fe80::/64"
    assert client_key("::ffff:10.0.0.1") == client_key("10.0.0.1") == "10.0.0.1"
    assert client_key("testclient") == client_key("") == "unknown"


def _scope(target: str, headers: dict[str, str]) -> dict:
    """A POST request, as a server hands it to an app."""
    path, _, query = target.partition("?")
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "scheme": "http", "http_version": "1.1",
        "client": ("10.0.0.1", 5), "server": ("x", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "state": {}, "extensions": {},
    }  # fmt: skip


@pytest.mark.parametrize("target", ["/v1/events/default", "/v1/documents/default?path=a.txt"])
def test_who_sends_a_byte_now_and_then_is_not_waited_for(limited, monkeypatch, target):
    receiver = limited()
    monkeypatch.setattr("flows.receiver.bodies.PATIENCE_S", 0.0)
    monkeypatch.setattr("flows.receiver.bodies.SLOWEST", 1e9)
    scope = _scope(target, receiver.headers(b""))
    sent = []

    async def receive():
        await anyio.sleep_forever()

    async def send(message):
        sent.append(message)

    anyio.run(receiver.client.app, scope, receive, send)
    assert sent[0]["status"] == 408
    receiver.assert_untouched()
    strangers = receiver.client.app.state.receiver.strangers
    assert [strangers.take("10.0.0.1") == 0 for _ in range(receiver.settings.webhook.burst)].count(False) == 1


async def _answer(app, scope: dict) -> int:
    """What a request with an empty body is answered with; `hold` in its scope is waited for first."""
    sent = []

    async def receive():
        await scope.pop("hold", anyio.lowlevel.checkpoint)()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


@pytest.mark.parametrize(("strangers", "answer"), [("10.0.0.1", 503), ("10.0.0.2", 202), ("127.0.0.1", 202)])
def test_slow_strangers_of_one_address_leave_slots_to_others(limited, strangers, answer):
    """Their signatures are wrong, which nobody knows before their bodies end."""
    receiver = limited()
    target = "/v1/documents/default?path=a.txt"
    signed = receiver.headers(b"", target=f"POST {target}")
    wrong = {**signed, "webhook-signature": "v1,AAAA"}
    codes: list[int] = []

    async def main() -> None:
        done = anyio.Event()

        async def hold() -> None:
            scope = _scope(target, wrong) | {"client": (strangers, 5), "hold": done.wait}
            codes.append(await _answer(receiver.client.app, scope))

        async with anyio.create_task_group() as group:
            for _ in range(MAX_UPLOADS_PER_CLIENT):
                group.start_soon(hold)
            inbox = receiver.client.app.state.receiver.uploads
            while inbox.busy < MAX_UPLOADS_PER_CLIENT:
                await anyio.lowlevel.checkpoint()
            codes.append(await _answer(receiver.client.app, _scope(target, signed)))
            done.set()

    anyio.run(main)
    assert codes == [answer] + [401] * MAX_UPLOADS_PER_CLIENT


def test_a_stranger_is_charged_before_the_body_comes_and_a_sender_is_given_it_back(limited):
    receiver = limited(requests_per_minute=60, burst=3)
    for number in range(5):
        receiver.clock.now += 1  # for the sender's own bucket
        assert receiver.upload(f"{number}.txt", b"x").status_code == 202
    strangers = receiver.client.app.state.receiver.strangers
    assert [strangers.take("127.0.0.1") for _ in range(3)] == [0, 0, 0]
    scope = _scope("/v1/documents/default?path=a", {"webhook-id": "m", "webhook-signature": "v1,AAAA"})
    scope["client"] = ("127.0.0.1", 5)
    scope["headers"].append((b"webhook-timestamp", str(int(receiver.clock.now)).encode()))
    sent = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    anyio.run(receiver.client.app, scope, receive, send)
    assert sent[0]["status"] == 429


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.booleans()), max_size=60))
def test_slots_are_never_more_than_there_are(steps):
    slots, taken = Slots(5, 2), []
    for client, is_taking in steps:
        if is_taking:
            expected = len(taken) < 5 and (client is None or taken.count(client) < 2)
            assert slots.take(client) == expected
            taken += [client] * expected
        elif client in taken:
            slots.free(client)
            taken.remove(client)
    assert slots.busy == len(taken)


@pytest.mark.parametrize("path", ["/v1/events/default", "/v1/documents/default"])
def test_the_body_of_who_cannot_be_a_sender_is_not_read(limited, path):
    scope = _scope(path, {})
    sent = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    receiver = limited()
    anyio.run(receiver.client.app, scope, receive, send)
    assert sent[0]["status"] == 401
    receiver.assert_untouched()
