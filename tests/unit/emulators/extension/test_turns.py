"""Work that waits for its turn."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_tokenfree.websocket.turns import BEGUN_AT_ONCE, Turns


class Rounds:
    """A reactor that does what is put off a round at a time."""

    def __init__(self) -> None:
        self.put_off: list[Callable[[], None]] = []

    def callLater(self, seconds: float, action: Callable[..., Any], *args: Any) -> None:  # noqa: N802
        assert seconds == 0
        self.put_off.append(lambda: action(*args))

    def callFromThread(self, action: Callable[..., Any], *args: Any) -> None:  # noqa: N802
        action(*args)

    def round(self) -> None:
        now, self.put_off = self.put_off, []
        for action in now:
            action()


class Kept(Executor):
    """Does nothing by itself with what it is given."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], Any]] = []

    def submit(self, task: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        self.tasks.append(lambda: task(*args))
        return Future()


def test_nothing_begins_before_what_the_reactor_has_to_do() -> None:
    reactor, pool = Rounds(), Kept()
    turns = Turns(pool, 10, reactor)
    for _ in range(BEGUN_AT_ONCE + 1):
        turns.submit(list)
    assert pool.tasks == []
    reactor.round()
    assert len(pool.tasks) == BEGUN_AT_ONCE
    reactor.round()
    assert len(pool.tasks) == BEGUN_AT_ONCE + 1
    assert reactor.put_off == []


@given(st.integers(1, 9), st.lists(st.booleans(), max_size=60))
def test_all_get_their_turn_and_never_too_many_at_a_time(limit: int, there: list[bool]) -> None:
    """Those who are gone when it comes take nobody's."""
    reactor, pool, seen = Rounds(), Kept(), list[int]()
    turns = Turns(pool, limit, reactor)

    def begin(number: int) -> bool:
        if there[number]:
            turns.run(seen.append, number)
        return there[number]

    for number in range(len(there)):
        turns.take(lambda number=number: begin(number))
    while reactor.put_off or pool.tasks:
        reactor.round()
        assert len(pool.tasks) <= limit
        if not reactor.put_off and pool.tasks:
            pool.tasks.pop(0)()
    assert seen == [number for number, is_there in enumerate(there) if is_there]


def test_work_that_fails_gives_its_turn_back() -> None:
    reactor, pool, done = Rounds(), Kept(), list[int]()
    turns = Turns(pool, 1, reactor)
    turns.submit(lambda: 1 / 0)
    turns.submit(done.append, 7)
    reactor.round()
    with pytest.raises(ZeroDivisionError):
        pool.tasks.pop(0)()
    reactor.round()
    pool.tasks.pop(0)()
    assert done == [7]
