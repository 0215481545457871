"""Many threads that each wait for a function look at all of them together, in a few calls."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, Generic, TypeVar

Found = dict[str, Any]
Turn = TypeVar("Turn", bound=AbstractContextManager[Any])


class SharedLooks(Generic[Turn]):
    """``look_at`` is called with the names that threads wait for, and gives what is there of each.

    One thread looks for all that have asked until its ``turn`` has come, which ``look_at`` leaves
    as soon as it does not need it any more. An exception that is given for a name, or raised for
    all, is raised where it was asked for.
    """

    def __init__(
        self,
        turn: Callable[[], Turn],
        look_at: Callable[[Collection[str], Turn], dict[str, Found | Exception]],
    ) -> None:
        self._turn = turn
        self._look_at = look_at
        self._lock = Lock()
        self._asked: dict[str, Future[Found]] = {}
        self._is_led = False

    def look(self, name: str) -> Found:
        """What is there at a time after this call."""
        with self._lock:
            answer = self._asked.setdefault(name, Future())
            leads, self._is_led = not self._is_led, True
        if leads:
            self._lead()
        return answer.result()

    def _lead(self) -> None:
        while self._is_wanted():
            with self._turn() as turn:
                with self._lock:
                    asked, self._asked = self._asked, {}
                try:
                    found = self._look_at(asked.keys(), turn)
                except Exception as error:  # noqa: BLE001 - whoever asked is to know, and nobody may wait for ever
                    found = dict.fromkeys(asked, error)
            for name, answer in asked.items():
                one = found[name]
                if isinstance(one, Exception):
                    answer.set_exception(one)
                else:
                    answer.set_result(one)

    def _is_wanted(self) -> bool:
        with self._lock:
            self._is_led = bool(self._asked)
            return self._is_led
