"""Threads together keep within a rate."""

from __future__ import annotations

from lambda_functions.instrumentation.rate_limit import RateLimit


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []


def test_the_first_go_at_once_and_the_rest_at_the_rate() -> None:
    time = Time()
    limit = RateLimit(10, clock=lambda: time.now, sleep=time.slept.append)
    for _ in range(30):
        limit.acquire()
    assert [round(seconds, 6) for seconds in time.slept] == [
        round(number / 10, 6) for number in range(1, 21)
    ]


def test_after_a_rest_there_is_no_more_than_one_burst() -> None:
    time = Time()
    limit = RateLimit(10, clock=lambda: time.now, sleep=time.slept.append)
    time.now = 1000.0
    for _ in range(11):
        limit.acquire()
    assert len(time.slept) == 1
