"""One contract, two stores: in memory, and on DynamoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.sessions.function_lists import (
    WORK_SECONDS,
    DynamoDbFunctionLists,
    FunctionLists,
    ListedFunction,
)

from tests.memory_stores import MemoryFunctionLists
from tests.unit.fakes import FakeDynamoDb


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


MAKERS: dict[str, Callable[[Clock], FunctionLists]] = {
    "memory": MemoryFunctionLists,
    "dynamodb": lambda clock: DynamoDbFunctionLists(FakeDynamoDb(), "PLLDBSessions", clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=MAKERS)
def lists(request: pytest.FixtureRequest, clock: Clock) -> FunctionLists:
    return MAKERS[request.param](clock)


def settle(lists: FunctionLists, hold: str, stack_name: str = "loose") -> None:
    lists.end_work(stack_name, hold, "w")
    lists.forget(stack_name, [hold])


def test_what_was_added_is_there_until_it_is_forgotten(lists: FunctionLists) -> None:
    assert lists.get("loose") == []
    lists.add("loose", "mine", {"Greeter": "greeter-fn", "Other": "other-fn"}, "w")
    assert lists.get("loose") == [
        ListedFunction("mine", "Greeter", "greeter-fn"),
        ListedFunction("mine", "Other", "other-fn"),
    ]
    settle(lists, "mine")
    assert lists.get("loose") == []


def test_each_step_may_be_repeated(lists: FunctionLists) -> None:
    for _ in range(2):
        lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "w")
    assert len(lists.get("loose")) == 1
    for _ in range(2):
        settle(lists, "mine")
        lists.forget("loose", {"mine", "never there"})
    assert lists.get("loose") == []


def test_nothing_is_forgotten_while_work_is_under_way(lists: FunctionLists) -> None:
    for work in ("first", "second"):
        lists.add("loose", "mine", {"Greeter": "greeter-fn"}, work)
    lists.add("loose", "yours", {"Greeter": "greeter-fn"}, "third")
    for work in ("first", "second"):
        lists.forget("loose", ["mine"])
        assert len(lists.get("loose")) == 2
        lists.end_work("loose", "mine", work)
    lists.forget("loose", ["mine", "yours"])
    assert lists.get("loose") == [ListedFunction("yours", "Greeter", "greeter-fn")]


def test_work_that_died_keeps_nothing_once_its_time_is_over(
    lists: FunctionLists, clock: Clock
) -> None:
    lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "died")
    clock.now += WORK_SECONDS - 1
    lists.forget("loose", ["mine"])
    assert len(lists.get("loose")) == 1
    clock.now += 1
    lists.forget("loose", ["yours"])
    assert len(lists.get("loose")) == 1
    lists.forget("loose", ["mine"])
    assert lists.get("loose") == []
    # Nor does it count as under way for what comes later.
    lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "w")
    settle(lists, "mine")
    assert lists.get("loose") == []


def test_what_is_added_while_something_is_forgotten_is_kept() -> None:
    class Overtaken(FakeDynamoDb):
        """Right after the first look at the item, somebody adds to it."""

        def get_item(self, **request: Any) -> dict[str, Any]:
            found = super().get_item(**request)
            if self.calls.count("GetItem") == 1:
                clock.now += 1
                lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "second")
            return found

    clock = Clock()
    lists = DynamoDbFunctionLists(Overtaken(), "PLLDBSessions", clock)
    lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "first")
    lists.end_work("loose", "mine", "first")
    lists.forget("loose", ["mine"])
    assert lists.get("loose") == [ListedFunction("mine", "Greeter", "greeter-fn")]


def test_nobody_forgets_what_others_hold(lists: FunctionLists) -> None:
    lists.add("loose", "mine", {"Greeter": "greeter-fn"}, "w")
    lists.add("loose", "yours", {"Greeter": "greeter-fn"}, "w")
    lists.add("another", "mine", {"Greeter": "greeter-fn"}, "w")
    settle(lists, "mine")
    assert lists.get("loose") == [ListedFunction("yours", "Greeter", "greeter-fn")]
    assert lists.get("another") == [ListedFunction("mine", "Greeter", "greeter-fn")]


def test_an_empty_list_is_none(lists: FunctionLists) -> None:
    lists.add("loose", "mine", {}, "w")
    settle(lists, "mine")
    lists.forget("loose", [])
    assert lists.get("loose") == []


def test_many_at_once_lose_nothing(lists: FunctionLists) -> None:
    def live(hold: str) -> None:
        lists.add("loose", hold, {"Greeter": "greeter-fn"}, "w")
        settle(lists, hold)
        lists.add("loose", hold, {"Other": "other-fn"}, "w")

    threads = [threading.Thread(target=live, args=(f"hold{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lists.get("loose") == [ListedFunction(f"hold{n}", "Other", "other-fn") for n in range(8)]


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_any_text_comes_back(functions: dict[str, str]) -> None:
    lists = MAKERS["dynamodb"](Clock())
    lists.add("loose", 'a "hold"', functions, "w")
    assert {one.title: one.name for one in lists.get("loose")} == functions
