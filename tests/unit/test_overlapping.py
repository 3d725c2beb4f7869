"""Stages that run at the same time end together, whatever goes wrong, and never hang."""

from __future__ import annotations

import threading

import pytest

import tasks.overlapping
from tasks.overlapping import Overlap

WAIT_S = 30


class Boom(Exception):
    pass


def clock() -> float:
    return 0.0


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith(("ready", "store"))}


def never():
    raise AssertionError("a stage that ends by itself was interrupted")


def run(pieces, *, compute=lambda piece: [piece], store=lambda block: block, interrupt=never):
    stored: list[object] = []
    stages = Overlap(compute, store, stored.append, clock, interrupt)
    try:
        stages.run(iter(pieces))
    finally:
        assert threads() == set(), "a thread was left behind"
    return stored


def test_every_block_is_stored_once_and_in_order():
    assert run([[1, 2], [], [3]], compute=list, store=lambda block: block * 10) == [10, 20, 30]


def test_nothing_to_do_ends_at_once():
    assert run([]) == []


def test_the_next_piece_is_made_while_one_is_computed():
    second = threading.Event()

    def pieces():
        yield 1
        second.set()
        yield 2

    def compute(piece):
        assert second.wait(WAIT_S), "the next piece was not begun"
        return [piece]

    assert run(pieces(), compute=compute) == [1, 2]


def test_a_block_is_stored_while_the_next_one_is_computed():
    begun, computed = threading.Event(), threading.Event()

    def compute(piece):
        yield 1
        assert begun.wait(WAIT_S), "the first block was not begun to be stored"
        computed.set()
        yield 2

    def store(block):
        begun.set()
        assert computed.wait(WAIT_S), "computing waited for the store"
        return block

    assert run([0], compute=compute, store=store) == [1, 2]


@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_one_block_at_most_is_computed_beside_the_one_that_is_being_stored(blocks):
    computed, stored = [], []

    def compute(piece):
        for number in range(blocks):
            assert len(computed) - len(stored) <= 1
            computed.append(number)
            yield number

    def store(block):
        stored.append(block)
        return block

    assert run([0], compute=compute, store=store) == list(range(blocks))


def test_an_error_while_a_piece_is_made_ends_the_run_and_is_raised():
    def pieces():
        yield 1
        raise Boom("reading")

    with pytest.raises(Boom, match="reading"):
        run(pieces())


def test_an_error_of_the_device_ends_the_run_and_is_raised():
    def compute(piece):
        yield piece
        raise Boom("device")

    with pytest.raises(Boom, match="device"):
        run([1, 2, 3], compute=compute)


def test_an_error_of_a_store_ends_the_run_and_nothing_else_is_stored():
    tried: list[int] = []

    def store(block):
        tried.append(block)
        raise Boom("storing")

    with pytest.raises(Boom, match="storing"):
        run([1, 2, 3, 4], store=store)
    assert tried == [1]


def test_an_error_of_the_last_store_is_not_lost():
    def store(block):
        raise Boom("storing")

    with pytest.raises(Boom, match="storing"):
        run([1], store=store)


def test_errors_of_two_stages_are_raised_once():
    def compute(piece):
        yield piece
        raise Boom("device")

    def store(block):
        raise Boom("storing")

    with pytest.raises(Boom, match="device"):
        run([1], compute=compute, store=store)


def test_what_is_told_of_stores_is_told_in_the_callers_thread():
    seen: list[threading.Thread] = []

    def tell(_):
        seen.append(threading.current_thread())

    Overlap(list, lambda block: block, tell, clock, never).run(iter([[1, 2]]))
    assert set(seen) == {threading.current_thread()}


@pytest.mark.parametrize("end", [Boom, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("waiting", ["ready", "store"])
def test_an_end_waits_for_no_stage_that_waits_for_somebody_else(waiting, end, monkeypatch):
    monkeypatch.setattr(tasks.overlapping, "GRACE_S", 0.1)
    begun, released = threading.Event(), threading.Event()
    asked: list[int] = []

    def wait_for_somebody(stage):
        if stage == waiting:
            begun.set()
            assert released.wait(WAIT_S), "nobody interrupted it"
            raise Boom("interrupted")

    def pieces():
        yield 1
        wait_for_somebody("ready")

    def compute(piece):
        yield piece
        assert begun.wait(WAIT_S)
        raise end

    def interrupt():
        asked.append(1)
        if len(asked) == 3:  # the first ones met it between two statements
            released.set()

    with pytest.raises(end):
        run(pieces(), compute=compute, store=lambda _: wait_for_somebody("store"), interrupt=interrupt)
    assert len(asked) >= 3


def test_a_second_signal_does_not_leave_a_thread_behind():
    begun, released = threading.Event(), threading.Event()
    asked: list[int] = []

    def store(_):
        begun.set()
        assert released.wait(WAIT_S), "nobody interrupted it"

    def compute(piece):
        yield piece
        assert begun.wait(WAIT_S)
        raise KeyboardInterrupt

    def interrupt():
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt("again")
        released.set()

    with pytest.raises(KeyboardInterrupt, match="again"):
        run([1], compute=compute, store=store, interrupt=interrupt)
    assert len(asked) == 2


def test_a_store_that_is_under_way_when_the_device_fails_may_end():
    stored: list[int] = []
    begun, failing = threading.Event(), threading.Event()

    def compute(piece):
        yield piece
        assert begun.wait(WAIT_S)
        failing.set()
        raise Boom("device")

    def store(block):
        begun.set()
        assert failing.wait(WAIT_S)
        stored.append(block)

    with pytest.raises(Boom, match="device"):
        run([1], compute=compute, store=store)
    assert stored == [1]
