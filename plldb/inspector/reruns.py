"""An invocation, run once more by the code that is here: as it was, or with another event.

What comes of it goes into the history as a replay of the first one; nobody but the page waits for
its answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted, Legs
from plldb.errors import PlldbError, ReplayError
from plldb.replay.history import History, Invocation
from plldb.replay.replaying import PATIENCE_SECONDS, find_time_limit

# More at once would only make each of them slower.
_AT_ONCE = 4

Take = Callable[[object], None]


class Runner(Protocol):
    """Who runs a function's code."""

    def find_time_limit(self, function: LocalFunction) -> float:
        """How long a replay may take, in seconds."""

    async def run(
        self, function: LocalFunction, event: str, context: dict[str, Any], deadline: float
    ) -> Outcome:
        """As Invoker.invoke."""


class OwnChildren:
    """A child for each replay, which has no credentials; a breakpoint is passed over.

    ``take`` hears what the child writes.
    """

    def __init__(self, python: Interpreter, take: Take) -> None:
        self._python = python
        self._take = take

    def find_time_limit(self, function: LocalFunction) -> float:
        return find_time_limit(function)

    async def run(
        self, function: LocalFunction, event: str, context: dict[str, Any], deadline: float
    ) -> Outcome:
        # Nobody lends it the credentials of a role.
        function = replace(function, as_function=False)
        async with Invoker(
            python=self._python, max_concurrency=1, on_output=self._take, on_progress=self._take
        ) as invoker:
            return await invoker.invoke(function, event, context, deadline)


class SessionChildren:
    """The session's own children, where an editor is attached; it may take its time.

    ``find`` gives the session's invoker, and the event loop that it lives in, in another thread.
    """

    def __init__(self, find: Callable[[], tuple[Invoker, asyncio.AbstractEventLoop]]) -> None:
        self._find = find

    def find_time_limit(self, function: LocalFunction) -> float:
        return PATIENCE_SECONDS

    async def run(
        self, function: LocalFunction, event: str, context: dict[str, Any], deadline: float
    ) -> Outcome:
        invoker, loop = self._find()
        invoking = invoker.invoke(function, event, context, deadline)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(invoking, loop))


class Reruns:
    """Starts replays, each a task of the event loop that it is called in."""

    def __init__(self, history: History, runner: Runner) -> None:
        self._history = history
        self._runner = runner
        self._slots = asyncio.Semaphore(_AT_ONCE)
        # Output tells its request id alone, which replays share with what they repeat.
        self._under_way: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, original: Invocation, event: str | None) -> str:
        """Its id in the history, at once. ``event`` is JSON text; None for the one that it had.

        Raises ReplayError if it can't be run.
        """
        if original.finished is None:
            raise ReplayError("It has not ended yet.", "Replay it once it has its answer.")
        if original.started is None:
            raise ReplayError(
                "Its event is not here: it never was, or it was too long ago.",
                "Replay another one.",
            )
        text = original.started.event if event is None else _check(event)
        if original.request_id in self._under_way:
            raise ReplayError("A replay of it runs already.", "Wait until that has ended.")
        self._under_way.add(original.request_id)
        started = self._begin(original, original.started, text)
        task = asyncio.create_task(self._run(started))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        id_ = self._history.find_id(started.request_id, started.deadline)
        assert id_ is not None  # what has not finished is not forgotten
        return id_

    async def close(self) -> None:
        """Ends what runs, and the children with it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(
        self, original: Invocation, first: InvocationStarted, event: str
    ) -> InvocationStarted:
        now = time.time()
        started = replace(
            first,
            arrived=now,
            deadline=now + self._runner.find_time_limit(first.local),
            event=event,
            replay_of=original.id,
        )
        self._history.take(started)
        return started

    async def _attempt(self, started: InvocationStarted) -> Outcome:
        async with self._slots:
            context = {**started.context, "aws_request_id": started.request_id}
            return await self._runner.run(started.local, started.event, context, started.deadline)

    async def _run(self, started: InvocationStarted) -> None:
        began = time.monotonic()
        kind, reason, result = "abandoned", "the session has ended", None
        try:
            result = await self._attempt(started)
            kind = "succeeded" if result.error is None else "failed"
            reason = "" if result.error is None else result.error["errorType"]
        except PlldbError as error:
            reason = error.explanation
        finally:
            self._under_way.discard(started.request_id)
            elapsed = round((time.monotonic() - began) * 1000, 1)
            legs = Legs() if result is None else Legs(queue=result.queued_ms, run=result.ran_ms)
            was_paused = result is not None and result.was_paused
            self._history.take(
                InvocationFinished(
                    started.function,
                    started.request_id,
                    kind,
                    elapsed,
                    reason,
                    was_paused,
                    result,
                    legs,
                    started.arrived,
                    started.deadline,
                )
            )


def _check(event: str) -> str:
    try:
        json.loads(event)
    except ValueError as error:
        raise ReplayError(f"The event is no JSON: {error}.", "Mend it there.") from None
    except RecursionError:
        raise ReplayError("The event is nested too deeply.", "Make it flatter.") from None
    return event
