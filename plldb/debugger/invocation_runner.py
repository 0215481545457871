"""Runs the invocations of a session here and sends their answers back.

An invocation is a task of its own: any number may be under way, and the invoker decides how many
of them run at once. Each is claimed before it runs, so that the function and this machine never
both run it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import MessageType
from plldb.debugger.invoker import Invoker, LocalFunction, Outcome
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.replies import Replies
from plldb.debugger.sources import CodeSource
from plldb.debugger.tasks import TaskSet
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Backoff, Timing
from plldb.errors import EndpointError, InvocationError, PlldbError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


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

# Far more than can be repeated within the seconds in which a function asks again.
_REMEMBERED = 1000
_NO_CODE = "there is no code for it on the machine that is attached"
# What the helper stack says of an invocation that is not to be run here, or not to be answered.
_REASONS = {
    "ABANDONED": "the function has run it by itself",
    "ANSWERED": "it was answered before",
    "EXPIRED": "its time was over",
    "UNKNOWN": "the helper stack does not know it",
}


class InvocationRunner:
    """The local end of a session, and of those that replace it. Use it from one event loop.

    ``send`` hands a frame to the session's connection, and drops it if there is none. ``on_bug`` is
    called when a task ends with an error that is none of ours; ``close`` raises it.
    """

    def __init__(
        self,
        sources: Mapping[str, CodeSource],
        region: str,
        invoker: Invoker,
        transfer: PayloadTransfer,
        send: Callable[[str], None],
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
        self._transfer = transfer
        self._send = send
        self._report = report
        self.replies = Replies(send, self._timing.repeat)
        # While so many are under way, further ones are declined.
        self.max_waiting: int | None = None
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
        """Claims an invocation and runs it, once: it may arrive on two connections.

        Lambda's own retries come under the same id, with a deadline of their own.
        """
        this = (invocation.request_id, invocation.deadline)
        if invocation.request_id in self._under_way or this in self._remembered:
            return
        is_full = self.max_waiting is not None and len(self._under_way) >= self.max_waiting
        if is_full or invocation.function not in self._sources:
            self._decline(invocation, "too many wait" if is_full else _NO_CODE)
            return
        self._under_way.add(invocation.request_id)
        self._remembered[this] = None
        if len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._tasks.start(self._run(invocation))

    def _decline(self, invocation: InvocationArrived, reason: str) -> None:
        """The function runs the invocation by itself."""
        logger.info("Invocation %s is declined: %s.", invocation.request_id, reason)
        self._send(
            wire.decline_message(invocation.session_id, invocation.request_id, invocation.deadline)
        )

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
            deadline = _local_deadline(invocation)
            await self._claim(invocation, deadline)
            outcome = await self._invoke(invocation, deadline)
            was_paused = outcome.was_paused
            await self._answer(invocation, outcome, deadline)
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

    async def _claim(self, invocation: InvocationArrived, deadline: float) -> None:
        """Returns once the invocation is this machine's. Raises InvocationError."""
        id = (invocation.session_id, invocation.request_id, invocation.deadline)
        types = (MessageType.GO, MessageType.VOID)
        reply = await self.replies.ask(
            invocation.request_id, wire.claim_message(*id), types, deadline
        )
        if reply["type"] == MessageType.VOID:
            raise _refusal(reply)

    async def _answer(
        self, invocation: InvocationArrived, outcome: Outcome, deadline: float
    ) -> None:
        """Returns once the answer is recorded. Raises InvocationError."""
        body = outcome.to_body()
        id = (invocation.session_id, invocation.request_id, invocation.deadline)
        frame = wire.answer_message(*id, body=body)
        if len(frame) > wire.MAX_MESSAGE_BYTES:
            key = await self._upload(invocation, body, deadline)
            frame = wire.answer_message(*id, body_key=key)
        types = (MessageType.RECORDED,)
        reply = await self.replies.ask(invocation.request_id, frame, types, deadline)
        if reply.get("state") != "ANSWERED":
            raise _refusal(reply)

    async def _upload(self, invocation: InvocationArrived, body: str, deadline: float) -> str:
        """The key of the body in the artifacts bucket."""
        reply = await self.replies.ask(
            invocation.request_id,
            wire.upload_message(invocation.session_id, invocation.request_id),
            (MessageType.UPLOAD,),
            deadline,
        )
        url, key = str(reply["url"]), str(reply["key"])
        await self._until_deadline(deadline, lambda: self._transfer.upload(url, body))
        return key

    async def _until_deadline(self, deadline: float, call: Callable[[], _T]) -> _T:
        """What ``call`` gives; it is made again while the network is down."""
        backoff = Backoff(self._timing.first_retry, self._timing.longest_retry, random.random)
        while True:
            try:
                return await run_in_thread(call)
            except EndpointError as error:
                left = deadline - time.time()
                if left <= 0:
                    raise
                delay = min(backoff.delay(elapsed=0) or 0.0, left)
                logger.info("Tried again in %.1f s: %s", delay, error.message)
                await asyncio.sleep(delay)

    async def _invoke(self, invocation: InvocationArrived, deadline: float) -> Outcome:
        event = invocation.event
        if event is None:
            url = invocation.event_url or ""
            event = await self._until_deadline(deadline, lambda: self._transfer.download(url))
        function = await self._wait_for_function(invocation.function, deadline)
        context = invocation.context | {"aws_request_id": invocation.request_id}
        return await self._invoker.invoke(function, event, context, deadline)

    async def _wait_for_function(self, function: str, deadline: float) -> LocalFunction:
        """An invocation may overtake the message that its function is instrumented."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.time())):
                return await asyncio.shield(self._find_function(function))
        except TimeoutError:
            raise InvocationError(
                "The helper stack has not said how the function is deployed."
            ) from None


def _refusal(reply: Mapping[str, object]) -> InvocationError:
    state = str(reply.get("state"))
    return InvocationError(f"Nobody waits for the invocation: {_REASONS.get(state, state)}.")


def _local_deadline(invocation: InvocationArrived) -> float:
    """The deadline by this machine's clock, which may be off: the time that is left counts."""
    return time.time() + invocation.deadline - invocation.sent_at
