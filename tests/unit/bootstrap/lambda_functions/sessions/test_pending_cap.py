"""How many sessions nobody connected to a stack may have, without counting them every time."""

from __future__ import annotations

import pytest
from lambda_functions.sessions.pending_cap import PendingCap
from lambda_functions.sessions.session import LIFETIME, new_session

from tests.memory_stores import MemorySessionStore

NOW = 1_800_000_000.0


class CountingStore(MemorySessionStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def pending_ttls(self, stack_name: str, now: float, at_most: int) -> list[int]:
        self.looks += 1
        return super().pending_ttls(stack_name, now, at_most)


class Environment:
    """One environment of the function: creates sessions as ``POST /sessions`` does."""

    def __init__(self, store: CountingStore, cap: int) -> None:
        self._store = store
        self._cap = PendingCap(store, cap)

    def create(self, now: float = NOW, stack_name: str = "app") -> int | None:
        """None, or after how many seconds to try again."""
        seconds = self._cap.retry_after(stack_name, now)
        if seconds is None:
            self._store.create(new_session(stack_name, "me", now))
        return seconds

    def create_until_refused(self, now: float = NOW) -> int:
        created = 0
        while self.create(now) is None:
            created += 1
        return created


def test_the_first_session_costs_no_look() -> None:
    store = CountingStore()
    Environment(store, 1000).create()
    assert store.looks == 0


def test_of_many_few_do() -> None:
    store = CountingStore()
    environment = Environment(store, 1000)
    for _ in range(200):
        assert environment.create() is None
    assert store.looks <= 6


@pytest.mark.parametrize("cap", [1, 2, 3, 10, 100])
def test_one_environment_keeps_to_the_cap(cap: int) -> None:
    store = CountingStore()
    environment = Environment(store, cap)
    assert environment.create_until_refused() == cap
    assert environment.create(NOW + 5) == LIFETIME - 5


@pytest.mark.parametrize("cap", [3, 100, 1000])
def test_many_at_once_exceed_it_by_little(cap: int) -> None:
    store = CountingStore()
    environments = [Environment(store, cap) for _ in range(20)]
    while not all(environment.create() is not None for environment in environments):
        pass
    pending = len(store.open_sessions("app", NOW))
    assert cap <= pending <= cap + 2 * len(environments)


def test_a_full_stack_stays_full_however_long_ago_it_was_looked_at() -> None:
    environment = Environment(CountingStore(), 4)
    environment.create_until_refused()
    assert [environment.create(NOW + 100 * minute) for minute in range(1, 30)].count(None) == 0


def test_one_that_had_room_costs_no_look_when_somebody_comes_back() -> None:
    store = CountingStore()
    environment = Environment(store, 1000)
    for minute in range(30):
        assert environment.create(NOW + 100 * minute) is None
    assert store.looks == 0


def test_stacks_do_not_count_for_each_other() -> None:
    environment = Environment(CountingStore(), 1)
    assert environment.create() is None
    assert environment.create() is not None
    assert environment.create(stack_name="other") is None


def test_a_flood_is_refused_without_a_look_for_each() -> None:
    store = CountingStore()
    environment = Environment(store, 3)
    environment.create_until_refused()
    looks = store.looks
    for number in range(100):
        assert environment.create(NOW + number / 101) is not None
    assert store.looks == looks
    environment.create(NOW + 1)
    assert store.looks == looks + 1


def test_it_is_refused_on_what_the_table_says_alone() -> None:
    """Sessions that somebody connected to, or that expired, count no more."""
    store = CountingStore()
    environment = Environment(store, 3)
    environment.create_until_refused()
    for session in store.open_sessions("app", NOW):
        store.activate(session.session_id, "c", NOW)
    assert environment.create(NOW + 1) is None
    assert environment.create_until_refused(NOW + LIFETIME + 1) == 3


def test_there_is_room_when_it_said_there_would_be() -> None:
    environment = Environment(CountingStore(), 1)
    environment.create()
    seconds = environment.create()
    assert seconds == LIFETIME
    assert environment.create(NOW + seconds) is None


def test_what_it_knows_is_bounded() -> None:
    cap = PendingCap(CountingStore(), 3)
    for number in range(5000):
        cap.retry_after(f"app{number}", NOW)
    assert len(cap._estimates) <= 1000
