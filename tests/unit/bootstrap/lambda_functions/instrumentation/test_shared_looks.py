"""Threads that wait for functions look at them together, and each learns of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from lambda_functions.instrumentation.shared_looks import SharedLooks

SECONDS = 60


class Scene:
    """Turns come when they are let; ``looks`` are the names that were looked at together."""

    def __init__(self) -> None:
        self.turns = threading.Semaphore(0)
        self.looks: list[list[str]] = []
        self.failures: dict[str, Exception] = {}
        self.shared = SharedLooks(self._turn, self._look_at)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        assert self.turns.acquire(timeout=SECONDS)
        yield

    def _look_at(self, names: Collection[str], _: object) -> dict[str, Any]:
        self.looks.append(sorted(names))
        if "all" in self.failures:
            raise self.failures["all"]
        return {name: self.failures.get(name, {"Name": name}) for name in names}

    def waiting(self) -> int:
        return len(self.shared._asked)


def await_count(scene: Scene, count: int) -> None:
    ticks = threading.Event()
    for _ in range(SECONDS * 100):
        if scene.waiting() == count:
            return
        ticks.wait(0.01)
    raise AssertionError(f"{scene.waiting()} wait, not {count}")


def test_all_that_ask_before_the_turn_comes_are_looked_at_at_once() -> None:
    scene = Scene()
    names = [f"f{number}" for number in range(40)]
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(scene.shared.look, name) for name in names]
        await_count(scene, 40)
        scene.turns.release()
        assert [answer.result(SECONDS) for answer in answers] == [{"Name": n} for n in names]
    assert scene.looks == [sorted(names)]


def test_who_asks_later_is_not_told_what_was_seen_before() -> None:
    scene = Scene()
    for _ in range(3):
        scene.turns.release()
        assert scene.shared.look("f") == {"Name": "f"}
    assert scene.looks == [["f"]] * 3


def test_two_may_ask_for_the_same() -> None:
    scene = Scene()
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(scene.shared.look, "f") for _ in range(2)]
        scene.turns.release(2)
        assert [answer.result(SECONDS) for answer in answers] == [{"Name": "f"}] * 2


@pytest.mark.parametrize("whose", ["bad", "all"])
def test_a_failure_is_raised_where_it_was_asked_for(whose: str) -> None:
    scene = Scene()
    scene.failures = {whose: KeyError("no such function")}
    with ThreadPoolExecutor(2) as pool:
        bad, good = (pool.submit(scene.shared.look, name) for name in ("bad", "good"))
        await_count(scene, 2)
        scene.turns.release()
        assert isinstance(bad.exception(SECONDS), KeyError)
        assert (good.exception(SECONDS) is None) is (whose == "bad")
    scene.failures = {}
    scene.turns.release()
    assert scene.shared.look("bad") == {"Name": "bad"}
