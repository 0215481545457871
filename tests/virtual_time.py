"""Threads whose pauses take no time: a clock that jumps to whoever waits least.

One thread runs at a time, and all others wait for their hour: what happens is the same in every run
and on every machine. Threads of this kind may block in ``sleep`` and ``in_parallel`` only.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from typing import Any


class VirtualTime:
    """``now`` is in seconds since the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, threading.Semaphore]] = []
        self._count = 0
        self._mine = threading.local()

    def clock(self) -> float:
        return self.now

    def run(self, *actors: Callable[[], Any]) -> list[Any]:
        """What the actors gave, who all begin now; raises what the first of them raised."""
        outcome: list[Any] = []

        def conduct() -> None:
            self._mine.turn = threading.Semaphore(0)
            try:
                outcome.append(self.in_parallel(lambda actor: actor(), actors, len(actors)))
            except BaseException as error:  # noqa: BLE001 - raised where it is asked for
                outcome.append(error)

        thread = threading.Thread(target=conduct)
        thread.start()
        thread.join()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        result: list[Any] = outcome[0]
        return result

    def sleep(self, seconds: float) -> None:
        self._await(self.now + max(0.0, seconds))

    def in_parallel(
        self, act: Callable[[Any], Any], items: Sequence[Any], most: int = 60
    ) -> list[Any]:
        """As ``ThreadPoolExecutor(most).map``."""
        if not items:
            return []
        results: list[Any] = [None] * len(items)
        errors: dict[int, BaseException] = {}
        todo = [*reversed(range(len(items)))]
        workers = min(most, len(items))
        turn = self._mine.turn

        def work(own: threading.Semaphore) -> None:
            nonlocal workers
            self._mine.turn = own
            own.acquire()
            while todo:
                number = todo.pop()
                try:
                    results[number] = act(items[number])
                except BaseException as error:  # noqa: BLE001 - raised where it is asked for
                    errors[number] = error
            workers -= 1
            if not workers:
                self._put(self.now, turn)
            self._pass_on()

        threads = []
        for _ in range(workers):
            own = threading.Semaphore(0)
            threads.append(threading.Thread(target=work, args=(own,)))
            threads[-1].start()
            self._put(self.now, own)
        self._pass_on()
        turn.acquire()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[min(errors)]
        return results

    def _await(self, hour: float) -> None:
        turn = self._mine.turn
        self._put(hour, turn)
        self._pass_on()
        turn.acquire()

    def _put(self, hour: float, turn: threading.Semaphore) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (hour, self._count, turn))

    def _pass_on(self) -> None:
        """Whoever calls this does nothing more before it has a turn again."""
        hour, _, turn = heapq.heappop(self._waiting)
        self.now = max(self.now, hour)
        turn.release()
