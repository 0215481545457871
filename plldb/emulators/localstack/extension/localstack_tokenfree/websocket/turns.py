"""Work that waits for its turn on the reactor's thread, so that everybody else is heard meanwhile.

A thousand clients may come or go in the same instant. Each is a few milliseconds of work for other
threads, and these hold the interpreter's lock while the reactor's has the other clients to read
from, and whoever asks for the emulator's health. So work begins when what is there has been read, a
little at a time, and only so much of it goes on side by side.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

BEGUN_AT_ONCE = 4

Begin = Callable[[], bool]
"""Begins a piece of work, by ``run``; False if there is none any more."""


class Reactor(Protocol):
    """What is needed of Twisted's, by Twisted's names."""

    def callLater(self, seconds: float, action: Callable[..., Any], *args: Any) -> Any: ...  # noqa: N802

    def callFromThread(self, action: Callable[..., Any], *args: Any) -> Any: ...  # noqa: N802


class Turns:
    """``limit`` pieces of work at a time, on threads of ``pool``, in the order of their coming."""

    def __init__(self, pool: Executor, limit: int, reactor: Reactor) -> None:
        self._pool = pool
        self._limit = limit
        self._reactor = reactor
        self._waiting: deque[Begin] = deque()
        self._running = 0
        self._scheduled = False

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Have it done by a thread, in its turn. From any thread."""

        def begin() -> bool:
            self.run(work, *args)
            return True

        self._reactor.callFromThread(self.take, begin)

    # on the reactor's thread

    def take(self, begin: Begin) -> None:
        self._waiting.append(begin)
        self._schedule()

    def run(self, work: Callable[..., Any], *args: Any) -> None:
        """Have a thread do the work of a turn that has come."""
        self._pool.submit(self._work, partial(work, *args))

    def _work(self, work: Callable[[], Any]) -> None:
        try:
            work()
        finally:
            self._reactor.callFromThread(self._give_back)

    def _give_back(self) -> None:
        self._running -= 1
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and self._running < self._limit and not self._scheduled:
            self._scheduled = True
            self._reactor.callLater(0, self._begin_some)  # after what there is to do now

    def _begin_some(self) -> None:
        self._scheduled = False
        room = min(BEGUN_AT_ONCE, self._limit - self._running)
        while self._waiting and room:
            if self._waiting.popleft()():
                self._running += 1
                room -= 1
        self._schedule()
