"""However many threads there are, and however long their calls take, the rate holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.instrumentation.rate_limit import RateLimit

from tests.virtual_time import VirtualTime


def most_within_a_second(times: list[float]) -> int:
    return max((sum(first <= one < first + 1 for one in times) for first in times), default=0)


# A call of so many seconds, which arrives at that part of them, and the pause before it is wanted.
CALLS = st.tuples(st.floats(0, 3), st.floats(0, 1), st.floats(0, 3))


@given(st.integers(1, 20), st.lists(st.lists(CALLS, max_size=8), max_size=8))
def test_no_second_sees_more_than_the_rate_arrive(
    rate: int, threads: list[list[tuple[float, float, float]]]
) -> None:
    time = VirtualTime()
    limit = RateLimit(rate, time.clock, time.sleep)
    arrived: list[float] = []

    def call(calls: list[tuple[float, float, float]]) -> None:
        for seconds, part, pause in calls:
            time.sleep(pause)
            with limit.turn():
                time.sleep(seconds * part)
                arrived.append(time.now)
                time.sleep(seconds * (1 - part))

    time.run(lambda: time.in_parallel(call, threads))
    assert len(arrived) == sum(map(len, threads))
    assert most_within_a_second(arrived) <= rate


def test_whoever_comes_late_takes_its_place_late() -> None:
    """A busy machine delays some: those after them wait for as long."""
    time = VirtualTime()
    limit = RateLimit(2, time.clock, time.sleep)
    ends = []

    def call(_: int) -> None:
        with limit.turn():
            time.sleep(0.25)
        ends.append(time.now)

    time.run(lambda: time.in_parallel(call, range(6)))
    assert ends == [pytest.approx(hour) for hour in (0.25, 0.25, 1.5, 1.5, 2.75, 2.75)]


def test_a_call_that_fails_makes_room_as_well() -> None:
    time = VirtualTime()
    limit = RateLimit(1, time.clock, time.sleep)

    def act() -> None:
        for _ in range(3):
            with pytest.raises(OSError, match="it is gone"), limit.turn():
                raise OSError("it is gone")

    time.run(act)
    assert time.now == pytest.approx(2)


def test_a_first_burst_waits_for_nothing_and_the_next_one_for_a_second() -> None:
    time = VirtualTime()
    limit = RateLimit(15, time.clock, time.sleep)
    (turns,) = time.run(lambda: take(limit, time, 30))
    assert turns == [0] * 15 + [pytest.approx(1)] * 15


def test_after_a_pause_there_is_room_again() -> None:
    time = VirtualTime()
    limit = RateLimit(3, time.clock, time.sleep)

    def act() -> list[float]:
        before = take(limit, time, 3)
        time.sleep(10)
        return before + take(limit, time, 3)

    (turns,) = time.run(act)
    assert turns == [0] * 3 + [10] * 3


def test_many_threads_keep_within_it_together() -> None:
    time = VirtualTime()
    limit = RateLimit(10, time.clock, time.sleep)
    (turns,) = time.run(lambda: time.in_parallel(lambda _: take(limit, time, 1), [*range(50)], 20))
    assert sorted(round(turn) for (turn,) in turns) == [one // 10 for one in range(50)]


def take(limit: RateLimit, time: VirtualTime, count: int) -> list[float]:
    """When so many calls go on that take no time."""
    turns = []
    for _ in range(count):
        with limit.turn():
            turns.append(time.now)
    return turns


class TestBackingOff:
    """Time passes when somebody sleeps."""

    def test_nobody_goes_on_for_a_while_and_then_half_as_many(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            take(limit, time, 8)
            limit.back_off(3)
            return take(limit, time, 5)

        (turns,) = time.run(act)
        assert turns == [pytest.approx(3)] * 4 + [pytest.approx(4)]

    def test_it_is_as_before_once_nothing_is_refused_any_more(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            limit.back_off(0)
            time.sleep(60)
            return take(limit, time, 8)

        (turns,) = time.run(act)
        assert turns == [60] * 8

    def test_a_refusal_of_long_ago_does_not_count_any_more(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            limit.back_off(0)
            time.sleep(60)
            limit.back_off(3)
            return take(limit, time, 5)

        (turns,) = time.run(act)
        assert turns == [pytest.approx(63)] * 4 + [pytest.approx(64)]

    def test_refusals_of_the_same_moment_are_one_sign(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            for _ in range(5):
                limit.back_off(0)
            return take(limit, time, 4)

        (turns,) = time.run(act)
        assert turns == [0] * 4

    def test_who_waits_already_waits_longer(self) -> None:
        time = VirtualTime()
        limit = RateLimit(2, time.clock, time.sleep)

        def refuse() -> None:
            time.sleep(0.5)
            limit.back_off(10)

        turns, _ = time.run(lambda: take(limit, time, 3), refuse)
        assert turns == [0, 0, pytest.approx(10.5)]

    def test_also_by_a_second_refusal_of_the_same_moment(self) -> None:
        time = VirtualTime()
        limit = RateLimit(2, time.clock, time.sleep)

        def refuse() -> None:
            limit.back_off(0.5)
            time.sleep(0.1)
            limit.back_off(10)

        _, turns = time.run(refuse, lambda: take(limit, time, 2))
        assert turns == [pytest.approx(10.1)] * 2

    def test_some_always_go_on(self) -> None:
        time = VirtualTime()
        limit = RateLimit(8, time.clock, time.sleep)

        def act() -> list[float]:
            for _ in range(10):
                limit.back_off(0)
                time.sleep(1)
            return take(limit, time, 2)

        (turns,) = time.run(act)
        assert turns == [10, 10]
