"""However many threads there are, the rate holds."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.instrumentation.rate_limit import RateLimit


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
