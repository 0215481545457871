"""Runs the invocations of a session here and sends their answers back.

An invocation is a task of its own: any number may be under way, and the invoker decides how many
of them run at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from plldb.debugger.invoker import Invoker, LocalFunction, Outcome
from plldb.debugger.management import ManagementClient
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.sources import CodeSource
from plldb.errors import InvocationError, PlldbError


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


Event = InvocationFinished | NotPrepared

_NO_CODE = "there is no code for it on the machine that is attached"


class Broker(Protocol):
    """What ``ManagementClient`` does for invocations."""

    def event_of(self, request_id: str) -> str: ...

    def answer_invocation(
        self, request_id: str, *, result: str | None, error: dict[str, Any] | None
    ) -> None: ...


class Debugging:
    """The local end of one session. Use it from one event loop."""

    def __init__(
        self,
        sources: Mapping[str, CodeSource],
        region: str,
        invoker: Invoker,
        broker: Broker | ManagementClient,
        report: Callable[[Event], None],
    ) -> None:
        self._sources = sources
        self._region = region
        self._invoker = invoker
        self._broker = broker
        self._report = report
        # Done once it is known how the function is deployed.
        self._functions: dict[str, asyncio.Future[LocalFunction]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def instrumented(self, event: Instrumented) -> None:
        """The function as it is deployed, and the code that takes its place."""
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
        if self._known(event.function).done():
            del self._functions[event.function]
        self._known(event.function).set_result(function)
        self._spawn(self._prepare(function))

    def start(self, invocation: InvocationArrived) -> None:
        self._spawn(self._run(invocation))

    def _known(self, function: str) -> asyncio.Future[LocalFunction]:
        if function not in self._functions:
            self._functions[function] = asyncio.get_running_loop().create_future()
        return self._functions[function]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self, function: LocalFunction) -> None:
        """A warm child for the first invocation; with debugpy, an editor can attach from now on."""
        try:
            await self._invoker.prepare(function)
        except PlldbError as error:
            reason = f"{error.message} {error.hint or ''}".strip()
            self._report(NotPrepared(function.logical_id, reason))

    async def close(self) -> None:
        """Ends what is under way, without an answer: the functions fall back by themselves."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._invoker.close()

    async def _run(self, invocation: InvocationArrived) -> None:
        function, request_id = invocation.function, invocation.request_id
        started = asyncio.get_running_loop().time()
        was_paused = False
        try:
            outcome = await self._invoke(invocation)
            was_paused = outcome.was_paused
            await asyncio.to_thread(
                self._broker.answer_invocation,
                request_id,
                result=outcome.result,
                error=outcome.error,
            )
        except PlldbError as error:
            # The function runs its original handler, or reports a timeout: nothing is lost.
            ended, reason = "abandoned", error.message
        else:
            ended = "succeeded" if outcome.error is None else "failed"
            reason = "" if outcome.error is None else str(outcome.error.get("errorType"))
        elapsed = (asyncio.get_running_loop().time() - started) * 1000
        self._report(
            InvocationFinished(function, request_id, ended, round(elapsed, 1), reason, was_paused)
        )

    async def _invoke(self, invocation: InvocationArrived) -> Outcome:
        if invocation.function not in self._sources:
            what = f"RequestId: {invocation.request_id} Error: {_NO_CODE}"
            error = {
                "errorType": "Runtime.InvalidEntrypoint",
                "errorMessage": what,
                "stackTrace": [],
            }
            return Outcome(None, error, 0)
        event = invocation.event
        if event is None:
            event = await asyncio.to_thread(self._broker.event_of, invocation.request_id)
        function = await self._deployed(invocation)
        context = invocation.context | {"aws_request_id": invocation.request_id}
        return await self._invoker.invoke(function, event, context, invocation.deadline)

    async def _deployed(self, invocation: InvocationArrived) -> LocalFunction:
        """An invocation may overtake the message that its function is instrumented."""
        try:
            async with asyncio.timeout(max(0.0, invocation.deadline - time.time())):
                return await asyncio.shield(self._known(invocation.function))
        except TimeoutError:
            raise InvocationError(
                "The helper stack has not said how the function is deployed."
            ) from None
