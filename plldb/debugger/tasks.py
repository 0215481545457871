"""What the attached side does side by side in its event loop, and how that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class TaskSet:
    """Tasks that run beside their owner until the owner cancels them.

    ``on_bug`` gets the error of each task that fails. No ``asyncio.TaskGroup``: that cancels all of
    its tasks when one fails, wraps the error, and waits until all the others end by themselves.
    """

    def __init__(self, on_bug: Callable[[BaseException], None]) -> None:
        self._on_bug = on_bug
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def cancel(self) -> None:
        """Returns once all tasks have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._on_bug(bug)


async def unless_stopped(
    work: Coroutine[Any, Any, _T], stop: asyncio.Event, grace: float = 0.0
) -> _T | None:
    """The result of ``work``, or None if ``stop`` is set before the work is done.

    Work that succeeds within ``grace`` seconds after that still counts. Raises what the work
    raises, unless ``stop`` is set.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=grace)
        if stop.is_set() and (not working.done() or working.exception() is not None):
            return None
        return await working
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
