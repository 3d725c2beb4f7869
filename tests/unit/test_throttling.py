"""Work stands back for searches, and keeps to its share of the time; the clock is fake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.throttling import Throttle


class Machine:
    """A clock, and searches that take as long as it says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.search_s = 0.01
        self.searches = 0
        self.slept = 0.0

    def search(self) -> None:
        self.searches += 1
        self.now += self.search_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept += seconds
        self.now += seconds

    def throttle(self, duty: float = 1.0) -> Throttle:
        return Throttle(self.search, duty=duty, timer=lambda: self.now, sleep=self.sleep)

    def work(self, throttle: Throttle, seconds: float, *, times: int = 1) -> float:
        """Seconds that it stood back for these pieces of work."""
        before = throttle.paused
        for _ in range(times):
            self.now += seconds
            throttle.breathe()
        return throttle.paused - before


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_it_does_not_stand_back_while_searches_are_as_fast_as_before(machine):
    throttle = machine.throttle()
    assert machine.work(throttle, 0.5, times=100) == 0
    assert machine.slept == 0


def test_it_stands_back_longer_and_longer_while_searches_are_slower(machine):
    throttle = machine.throttle()
    machine.search_s = 0.2
    pauses = [machine.work(throttle, 1.2) for _ in range(8)]
    assert pauses[:4] == pytest.approx([0.6, 1.2, 2.4, 4.8])
    assert pauses[4:] == pytest.approx([Throttle.MOST_PAUSE_S] * 4)


def test_it_recovers_when_searches_do(machine):
    throttle = machine.throttle()
    machine.search_s = 0.2
    machine.work(throttle, 1.2, times=8)
    machine.search_s = 0.01
    pauses = [machine.work(throttle, 1.2) for _ in range(10)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[-1] == 0


@pytest.mark.parametrize(
    ("usual", "then", "stands_back"),
    [(0.001, 0.02, False), (0.001, 0.022, True), (0.1, 0.29, False), (0.1, 0.31, True)],
)
def test_slower_is_thrice_as_long_and_twenty_milliseconds_at_least(machine, usual, then, stands_back):
    machine.search_s = usual
    throttle = machine.throttle()
    machine.search_s = then
    assert (machine.work(throttle, 1.2) > 0) == stands_back


def test_one_slow_search_among_the_first_does_not_pass_for_usual():
    machine = Machine()
    times = iter([0.01, 5.0, 0.01, 0.01, 0.01])

    def search():
        machine.now += next(times, 0.2)

    throttle = Throttle(search, timer=lambda: machine.now, sleep=machine.sleep)
    assert machine.work(throttle, 1.2) > 0


def test_searches_of_its_own_are_a_few_a_second_at_most(machine):
    throttle = machine.throttle()
    began = machine.now
    machine.work(throttle, 0.001, times=20_000)
    assert machine.searches - Throttle.FIRST <= (machine.now - began) / Throttle.EVERY_S


@given(
    duty=st.floats(0.05, 1.0),
    pieces=st.lists(st.floats(0.001, 90.0), min_size=1, max_size=30),
    slow=st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_work_takes_no_more_than_its_share_of_the_time_however_long_its_pieces_are(duty, pieces, slow):
    machine = Machine()
    throttle = machine.throttle(duty)
    began = machine.now
    for seconds, is_slow in zip(pieces, slow, strict=False):
        machine.search_s = 0.2 if is_slow else 0.01
        machine.work(throttle, seconds)
    assert sum(pieces) <= duty * (machine.now - began) * (1 + 1e-9)
    assert throttle.paused == pytest.approx(machine.slept)
