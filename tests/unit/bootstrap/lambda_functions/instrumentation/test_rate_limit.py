"""However many threads there are, the rate holds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.instrumentation.rate_limit import RateLimit

from tests.virtual_time import VirtualTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@given(st.integers(1, 20), st.lists(st.floats(0, 3), max_size=60))
def test_no_second_has_more_than_the_rate(rate: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(rate, lambda: clock.now, clock.sleep)
    turns = []
    for pause in pauses:
        clock.now += pause
        before = len(clock.slept)
        limit.acquire()
        turns.append(clock.now + sum(clock.slept[before:]))
    assert turns == sorted(turns)
    for first, later in zip(turns, turns[rate:], strict=False):
        assert later > first + 1


def test_a_first_burst_waits_for_nothing_and_the_next_one_for_a_second() -> None:
    clock = Clock()
    limit = RateLimit(15, lambda: clock.now, clock.sleep)
    for _ in range(30):
        limit.acquire()
    assert len(clock.slept) == 15
    assert clock.slept == [pytest.approx(1.0, abs=0.05)] * 15


def test_after_a_pause_there_is_room_again() -> None:
    clock = Clock()
    limit = RateLimit(3, lambda: clock.now, clock.sleep)
    for _ in range(2):
        for _ in range(3):
            limit.acquire()
        clock.now += 10
    assert clock.slept == []


def test_many_threads_keep_within_it_together() -> None:
    clock = Clock()
    lock = threading.Lock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(round(seconds, 1))

    limit = RateLimit(10, lambda: clock.now, sleep)
    with ThreadPoolExecutor(20) as pool:
        for _ in range(50):
            pool.submit(limit.acquire)
    assert sorted(slept) == [1.0] * 10 + [2.0] * 10 + [3.0] * 10 + [4.0] * 10


class TestBackingOff:
    """Time passes when somebody sleeps."""

    def turns(self, limit: RateLimit, time: VirtualTime, count: int) -> list[float]:
        turns = []
        for _ in range(count):
            limit.acquire()
            turns.append(time.now)
        return turns

    def test_nobody_goes_on_for_a_while_and_then_half_as_many(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            self.turns(limit, time, 8)
            limit.back_off(3)
            return self.turns(limit, time, 5)

        (turns,) = time.run(act)
        assert turns == [pytest.approx(3)] * 4 + [pytest.approx(4.005)]

    def test_it_is_as_before_once_nothing_is_refused_any_more(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            limit.back_off(0)
            time.sleep(60)
            return self.turns(limit, time, 8)

        (turns,) = time.run(act)
        assert turns == [60] * 8

    def test_a_refusal_of_long_ago_does_not_count_any_more(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            limit.back_off(0)
            time.sleep(60)
            limit.back_off(3)
            return self.turns(limit, time, 5)

        (turns,) = time.run(act)
        assert turns == [pytest.approx(63)] * 4 + [pytest.approx(64.005)]

    def test_refusals_of_the_same_moment_are_one_sign(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            for _ in range(5):
                limit.back_off(0)
            return self.turns(limit, time, 4)

        (turns,) = time.run(act)
        assert turns == [0] * 4

    def test_who_waits_already_waits_longer(self) -> None:
        time = VirtualTime()
        limit = RateLimit(2, time.clock, time.sleep)

        def refuse() -> None:
            time.sleep(0.5)
            limit.back_off(10)

        turns, _ = time.run(lambda: self.turns(limit, time, 3), refuse)
        assert turns == [0, 0, pytest.approx(10.5)]

    def test_also_by_a_second_refusal_of_the_same_moment(self) -> None:
        time = VirtualTime()
        limit = RateLimit(2, time.clock, time.sleep)

        def refuse() -> None:
            limit.back_off(0.5)
            time.sleep(0.1)
            limit.back_off(10)

        _, turns = time.run(refuse, lambda: self.turns(limit, time, 2))
        assert turns == [pytest.approx(10.1)] * 2

    def test_some_always_go_on(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            for _ in range(10):
                limit.back_off(0)
                time.sleep(1)
            return self.turns(limit, time, 2)

        (turns,) = time.run(act)
        assert turns == [10, 10]
