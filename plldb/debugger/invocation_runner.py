"""Runs the invocations of a session here and sends their answers back.

An invocation is a task of its own: any number may be under way, and the invoker decides how many
of them run at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from plldb.debugger.frames import make_error_report
from plldb.debugger.invoker import Invoker, LocalFunction, Outcome
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.sources import CodeSource
from plldb.debugger.tasks import TaskSet
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Backoff, Timing
from plldb.errors import (
    AnsweredError,
    CredentialsError,
    EndpointError,
    InvocationError,
    PlldbError,
)

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
# What may be over soon. Credentials are renewed by 'aws sso login' in another terminal, and those
# that are renewed over the network can't be while it is down.
_PASSING_ERRORS = (EndpointError, CredentialsError)


@dataclass(frozen=True)
class InvocationFinished:
    """``outcome`` is "succeeded", "failed" (by the handler's own error) or "abandoned" (nobody
    waited for the answer any more); ``error`` is the error's type or the reason. ``was_paused``: a
    debugger had it when its time was over.
    """

    function: str
    request_id: str
    outcome: str
    duration_ms: float
    error: str | None = None
    was_paused: bool = False


@dataclass(frozen=True)
class NotPrepared:
    """The function's invocations will fail here, as they are: ``reason`` says why."""

    function: str
    reason: str


RunnerEvent = InvocationFinished | NotPrepared

# Far more than can be repeated within the seconds in which a broker is asked again.
_REMEMBERED = 1000
_NO_CODE = "there is no code for it on the machine that is attached"


class AnswerApi(Protocol):
    """What the helper stack's REST API does for invocations."""

    def event_of(self, request_id: str) -> str: ...

    def answer_invocation(
        self, request_id: str, *, result: str | None, error: dict[str, Any] | None
    ) -> None: ...


class InvocationRunner:
    """The local end of a session, and of those that replace it. Use it from one event loop.

    ``on_bug`` is called when a task ends with an error that is none of ours; ``close`` raises it.
    """

    def __init__(
        self,
        sources: Mapping[str, CodeSource],
        region: str,
        invoker: Invoker,
        answer_api: AnswerApi,
        report: Callable[[RunnerEvent], None],
        timing: Timing | None = None,
        on_bug: Callable[[], None] = lambda: None,
    ) -> None:
        self._timing = timing or Timing()
        self._on_bug = on_bug
        self._bug: BaseException | None = None
        self._sources = sources
        self._region = region
        self._invoker = invoker
        self._answer_api = answer_api
        self._report = report
        # Done once it is known how the function is deployed.
        self._functions: dict[str, asyncio.Future[LocalFunction]] = {}
        self._tasks = TaskSet(on_bug=self._note_bug)
        self._under_way: set[str] = set()
        # Id and deadline of those that were run: a try of the same id later has another deadline.
        self._remembered: dict[tuple[str, float], None] = {}

    def add_function(self, event: Instrumented) -> None:
        """Takes in a function as it is deployed, and starts a child for the code in its place."""
        info, source = event.info, self._sources.get(event.function)
        if source is None:
            # Functions are asked for by names that may be another one's physical name.
            self._report(NotPrepared(event.function, _NO_CODE))
            return
        function = LocalFunction(
            logical_id=event.function,
            code_dir=source.code_dir,
            # The deployed handler: what runs on Lambda, whatever the template says by now.
            handler=str(info["handler"]),
            variables=dict(info["variables"]),
            function_name=str(info["functionName"]),
            memory_size=int(info["memorySize"]),
            timeout=int(info["timeout"]),
            region=self._region,
            runtime=str(info["runtime"]),
        )
        if self._find_function(event.function).done():
            del self._functions[event.function]
        self._find_function(event.function).set_result(function)
        self._tasks.start(self._prepare(function))

    def start(self, invocation: InvocationArrived) -> None:
        """Runs it once: it may arrive on two connections, or again after a failure of the broker.

        Lambda's own retries come under the same id, with a deadline of their own.
        """
        this = (invocation.request_id, invocation.deadline)
        if invocation.request_id in self._under_way or this in self._remembered:
            return
        self._under_way.add(invocation.request_id)
        self._remembered[this] = None
        if len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._tasks.start(self._run(_move_to_local_clock(invocation)))

    def _find_function(self, function: str) -> asyncio.Future[LocalFunction]:
        """Is done once it is known how the function is deployed."""
        if function not in self._functions:
            self._functions[function] = asyncio.get_running_loop().create_future()
        return self._functions[function]

    def _note_bug(self, bug: BaseException) -> None:
        if self._bug is None:
            self._bug = bug
        self._on_bug()

    async def _prepare(self, function: LocalFunction) -> None:
        """A warm child for the first invocation; with debugpy, an editor can attach from now on."""
        try:
            await self._invoker.prepare(function)
        except PlldbError as error:
            reason = f"{error.message} {error.hint or ''}".strip()
            self._report(NotPrepared(function.logical_id, reason))

    async def close(self) -> None:
        """Ends what is under way, without an answer: the functions fall back by themselves.

        Raises the first bug that ended a task.
        """
        await self._tasks.cancel()
        await self._invoker.close()
        if self._bug is not None:
            raise self._bug

    async def _run(self, invocation: InvocationArrived) -> None:
        function, request_id = invocation.function, invocation.request_id
        logger.info("Invocation %s of %s has arrived.", request_id, function)
        started = asyncio.get_running_loop().time()
        was_paused = False
        try:
            outcome = await self._invoke(invocation)
            was_paused = outcome.was_paused
            await self._answer(invocation, outcome)
        except PlldbError as error:
            # The function runs its original handler, or reports a timeout: nothing is lost.
            ended, reason = "abandoned", error.message
        else:
            ended = "succeeded" if outcome.error is None else "failed"
            reason = "" if outcome.error is None else str(outcome.error.get("errorType"))
        finally:
            self._under_way.discard(request_id)
        elapsed = (asyncio.get_running_loop().time() - started) * 1000
        logger.info("Invocation %s of %s %s after %.1f ms.", request_id, function, ended, elapsed)
        self._report(
            InvocationFinished(function, request_id, ended, round(elapsed, 1), reason, was_paused)
        )

    async def _answer(self, invocation: InvocationArrived, outcome: Outcome) -> None:
        answer = partial(
            self._answer_api.answer_invocation,
            invocation.request_id,
            result=outcome.result,
            error=None if outcome.error is None else {**outcome.error},
        )
        has_failed = False

        def answer_once() -> None:
            nonlocal has_failed
            try:
                answer()
            except EndpointError:
                has_failed = True
                raise
            except AnsweredError:
                # By an attempt of ours, of which only the confirmation was lost.
                if not has_failed:
                    raise

        await self._until_deadline(invocation, answer_once)

    async def _until_deadline(self, invocation: InvocationArrived, call: Callable[[], _T]) -> _T:
        """What ``call`` gives; it is made again while the network is down, or credentials are."""
        timing = self._timing
        backoff = Backoff(timing.first_retry, timing.longest_retry, random.random)
        while True:
            try:
                return await run_in_thread(call)
            except _PASSING_ERRORS as error:
                left = invocation.deadline - time.time()
                if left <= 0:
                    raise
                delay = min(backoff.delay(elapsed=0) or 0.0, left)
                logger.info(
                    "Invocation %s is tried again in %.1f s: %s",
                    invocation.request_id,
                    delay,
                    error.message,
                )
                await asyncio.sleep(delay)

    async def _invoke(self, invocation: InvocationArrived) -> Outcome:
        if invocation.function not in self._sources:
            what = f"RequestId: {invocation.request_id} Error: {_NO_CODE}"
            return Outcome(None, make_error_report("Runtime.InvalidEntrypoint", what))
        event = invocation.event
        if event is None:
            fetch = partial(self._answer_api.event_of, invocation.request_id)
            event = await self._until_deadline(invocation, fetch)
        function = await self._wait_for_function(invocation)
        context = invocation.context | {"aws_request_id": invocation.request_id}
        return await self._invoker.invoke(function, event, context, invocation.deadline)

    async def _wait_for_function(self, invocation: InvocationArrived) -> LocalFunction:
        """An invocation may overtake the message that its function is instrumented."""
        try:
            async with asyncio.timeout(max(0.0, invocation.deadline - time.time())):
                return await asyncio.shield(self._find_function(invocation.function))
        except TimeoutError:
            raise InvocationError(
                "The helper stack has not said how the function is deployed."
            ) from None


def _move_to_local_clock(invocation: InvocationArrived) -> InvocationArrived:
    """Sets the deadline by this machine's clock, which may be off: the time that is left counts."""
    if invocation.sent_at is None:
        return invocation
    left = invocation.deadline - invocation.sent_at
    return replace(invocation, deadline=time.time() + left)
