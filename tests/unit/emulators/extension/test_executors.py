"""The order of a connection's events, and time limits."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from localstack_tokenfree.websocket.executors import DeadlineError, Lane, in_time, within

SECONDS = 20


def test_messages_keep_their_order_and_the_end_comes_last() -> None:
    seen: list[object] = []
    over = threading.Event()
    with ThreadPoolExecutor(8) as messages, ThreadPoolExecutor(1) as last:
        lane = Lane(1, messages, last)
        for number in range(200):
            lane.put(lambda number=number: seen.append(number))
        lane.finish(over.set)
        assert over.wait(SECONDS)
    assert seen == list(range(200))


def test_messages_side_by_side() -> None:
    """As many at a time as the lane is wide: each waits for all of them."""
    together = threading.Barrier(3)
    over = threading.Event()
    with ThreadPoolExecutor(8) as messages, ThreadPoolExecutor(1) as last:
        lane = Lane(3, messages, last)
        for _ in range(6):
            lane.put(lambda: together.wait(SECONDS) and None)
        lane.finish(over.set)
        assert over.wait(SECONDS)
    assert not together.broken


def test_a_failing_message_does_not_hold_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says why it failed: nobody else is told."""
    over = threading.Event()
    with ThreadPoolExecutor(2) as messages, ThreadPoolExecutor(1) as last:
        lane = Lane(1, messages, last)
        lane.put(lambda: 1 / 0 and None)
        lane.put(over.set)
        assert over.wait(SECONDS)
    assert "ZeroDivisionError" in caplog.text


def test_work_within_its_time() -> None:
    assert within(SECONDS, lambda: 7) == 7
    with pytest.raises(KeyError):
        within(SECONDS, lambda: {}["missing"])


def test_work_that_ends_as_its_time_is_up() -> None:
    class Late(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            if timeout is not None:
                self.set_result(7)
                raise TimeoutError
            return super().result()

    assert in_time(Late(), SECONDS) == 7


def test_a_time_limit_of_the_work_itself() -> None:
    future: Future[int] = Future()
    future.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        in_time(future, SECONDS)


def test_work_beyond_its_time_goes_on_alone() -> None:
    release, went_on = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(SECONDS)
        went_on.set()

    with pytest.raises(DeadlineError):
        within(0.01, work)
    release.set()
    assert went_on.wait(SECONDS)
