"""Runs the invocations of a session here and sends their answers back.

::

    arrived --> its function is known --> claimed --> run --> answered --> recorded
       |                                     \\--void: the function has run it by itself
       \\--declined: too many wait, or there is no code for it

An invocation is a task of its own: any number may be under way, and the invoker decides how many
of them run at once. Each is claimed before it runs, so that the function and this machine never
both run it: by a request that the helper stack has signed, or else by asking it. From then on its
function waits for an answer, so it gets one, whatever goes wrong.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from plldb.bootstrap.cloudformation.lambda_functions.shared.constants import MAX_FRAME_BYTES
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import MessageType
from plldb.credentials import Credentials
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.overrides import Overrides
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.replies import MessageRefusedError, Replies
from plldb.debugger.signed_claims import SignedClaims
from plldb.debugger.sources.project import CodeSource, DescribedLayer
from plldb.debugger.tasks import TaskSet
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Backoff, Timing
from plldb.errors import EndpointError, InvocationError, PlldbError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True)
class InvocationStarted:
    """An invocation is this machine's, its event is here, and it waits for its turn to run.

    ``local`` is the function as it will be run, and ``context`` are the attributes of Lambda's
    context object. ``event`` is JSON text. Both times are in seconds since the epoch, by this
    machine's clock. Lambda's own retries have the same request id, and another deadline; what is
    run once more without a caller has a new one, and in ``replay_of`` the id of what it repeats.
    """

    function: str
    request_id: str
    arrived: float
    deadline: float
    event: str = field(repr=False)
    context: Mapping[str, Any] = field(repr=False)
    local: LocalFunction = field(repr=False)
    replay_of: str | None = None


@dataclass(frozen=True)
class Legs:
    """How long each part of an invocation took, in ms; None for one that it did not come to.

    ``claim``: until it was this machine's, with its event. ``queue``: until it had its turn.
    ``run``: in its child, the start of one included. ``answer``: until the helper stack had it.
    What lies before the first, between the function and this machine, no clock here can tell.
    """

    claim: float | None = None
    queue: float | None = None
    run: float | None = None
    answer: float | None = None


@dataclass(frozen=True)
class InvocationFinished:
    """An invocation is over, whether it was started here or not.

    ``outcome`` is "succeeded", "failed" (its caller gets an error) or "abandoned" (no answer
    from here counts); ``error`` is the type of the handler's error, or the reason. ``was_paused``:
    a debugger had it when its time was over. ``result`` is what was answered: an answer, or an
    error with its message and trace; None if there was no answer. ``arrived`` and ``deadline`` are
    as in InvocationStarted.
    """

    function: str
    request_id: str
    outcome: str
    duration_ms: float
    error: str | None = None
    was_paused: bool = False
    result: Outcome | None = field(default=None, repr=False)
    legs: Legs = Legs()
    arrived: float = 0.0
    deadline: float = 0.0


@dataclass(frozen=True)
class Prepared:
    """The function's handler was imported here; ``timeout`` is the function's own, in seconds.

    ``handler`` may be another one than was deployed.
    """

    function: str
    interpreter: Interpreter
    folder: Path
    timeout: int
    handler: str


@dataclass(frozen=True)
class NotPrepared:
    """The function can't be run here: ``reason`` says why. It runs its own handler meanwhile."""

    function: str
    reason: str


@dataclass(frozen=True)
class InterpreterDiffers:
    """Functions of a runtime run under another version of Python here; told once for each."""

    function: str
    runtime: str
    interpreter: Interpreter


# The folders of a function's layers, in their order, by its name and runtime: of those that the
# project describes, and those deployed, by their ARNs (None if nobody tells).
CollectLayers = Callable[
    [str, str, Sequence[DescribedLayer], Sequence[str] | None], Awaitable[tuple[Path, ...]]
]


async def collect_local_layers(
    function: str,  # noqa: ARG001
    runtime: str,  # noqa: ARG001
    described: Sequence[DescribedLayer],
    deployed: Sequence[str] | None,  # noqa: ARG001
) -> tuple[Path, ...]:
    """Those that the project has, and no others."""
    return tuple(folder for layer in described for folder in layer.folders)


RunnerEvent = InvocationStarted | InvocationFinished | Prepared | NotPrepared | InterpreterDiffers

# Far more than can be repeated within the seconds in which a function asks again.
_REMEMBERED = 1000
_NO_CODE = "there is no code for it on the machine that is attached"
_NO_CREDENTIALS = "it came without the credentials of its function's role"
_LATE = "its time was over"
_NOT_PREPARED = "it can't be run here; the function runs it by itself"
_NOT_DESCRIBED = (
    "how the function is deployed was not known here in time, or one of its layers not fetched; "
    "the function runs it by itself"
)
# Functions that are prepared at the same time while none of them is called.
_PREPARED_AT_ONCE = 2
# How long an invocation was on its way at most that may be claimed without asking the helper stack.
_FRESH_SECONDS = 2.0
# For which no claim goes straight to the table after one that was not answered in time.
_REST_SECONDS = 60.0
# Why an invocation is not to be run here, by what the helper stack says of it.
_WHY_VOID = {
    "ABANDONED": "the function has run it by itself",
    "ANSWERED": "it was answered before",
    "UNKNOWN": "the helper stack does not know it",
}
# Why an answer does not count.
_WHY_NOT_RECORDED = {
    "ABANDONED": "the function took the session for lost, and has reported an error",
    "UNKNOWN": "the helper stack does not know it any more",
}
# Types of errors that are plldb's own. The function reports some of the second type by itself.
_DEBUGGER_ERROR, _DEBUGGER_LOST = "PlldbDebuggerError", "PlldbDebuggerLost"


@dataclass(eq=False)
class _Run:
    """An invocation under way. ``deadline`` and ``arrived_at`` are by this machine's clock,
    ``arrived`` by the loop's.

    ``is_fresh``: it came at once, as far as two clocks can tell.
    ``is_claimed``: its function waits for an answer. ``is_answered``: one was sent.
    """

    invocation: InvocationArrived
    deadline: float
    arrived: float
    arrived_at: float
    is_fresh: bool = False
    is_claimed: bool = False
    is_answered: bool = False
    was_paused: bool = False
    legs: Legs = Legs()

    @property
    def request_id(self) -> str:
        return self.invocation.request_id

    @property
    def function(self) -> str:
        return self.invocation.function

    @property
    def id(self) -> tuple[str, str, float]:
        """By what the helper stack knows it."""
        return self.invocation.session_id, self.request_id, self.invocation.deadline


class InvocationRunner:
    """The local end of a session, and of those that replace it. Use it from one event loop.

    ``send`` hands a frame to the session's connection, and drops it if there is none. ``on_bug`` is
    called when a task ends with an error that is none of ours; ``close`` raises it.
    ``sharing`` is how many share the invoker, which somebody else closes; else ``close`` does.
    ``as_function``: an invocation runs with the credentials that it brings, or not at all.
    ``callers_wait``: they would rather wait than be served by the deployed function.
    """

    def __init__(
        self,
        sources: Mapping[str, CodeSource],
        region: str,
        invoker: Invoker,
        transfer: PayloadTransfer,
        claims: SignedClaims,
        send: Callable[[str], None],
        report: Callable[[RunnerEvent], None],
        timing: Timing | None = None,
        on_bug: Callable[[], None] = lambda: None,
        overrides: Overrides = Overrides(),  # noqa: B008 (frozen)
        as_function: bool = False,
        collect_layers: CollectLayers = collect_local_layers,
        sharing: int | None = None,
        callers_wait: bool = False,
    ) -> None:
        self._callers_wait = callers_wait
        self._closes_invoker = sharing is None
        self._sharing = sharing or 1
        self._collect_layers = collect_layers
        self._timing = timing or Timing()
        self._on_bug = on_bug
        self._bug: BaseException | None = None
        self._sources = sources
        self._overrides = overrides
        self._as_function = as_function
        self._region = region
        self._invoker = invoker
        self._transfer = transfer
        self._claims = claims
        # Until then, by the loop's clock, the helper stack is asked for each claim.
        self._rests_until = 0.0
        # From the helper stack to here, as far as two clocks can tell; None before the first.
        self._least_delay: float | None = None
        self._send = send
        self._report = report
        self.replies = Replies(send, self._timing.repeat)
        # While so many are under way, further ones are declined.
        self.max_waiting: int | None = None
        self._is_leaving = False
        # Done once it is known how the function is deployed.
        self._functions: dict[str, asyncio.Future[LocalFunction]] = {}
        # How each was deployed last.
        self._newest: dict[str, Instrumented] = {}
        self._tasks = TaskSet(on_bug=self._note_bug)
        # By logical id: each that is being prepared, and those that could be.
        self._preparing: dict[str, asyncio.Task[bool]] = {}
        self._prepared: dict[str, LocalFunction] = {}
        self._refusals: dict[str, str] = {}
        self._turns = asyncio.Semaphore(_PREPARED_AT_ONCE)
        self._is_ready = asyncio.Event()
        self._warned_of: set[str] = set()
        # By their request ids.
        self._under_way: dict[str, _Run] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        # Id and deadline of those that have arrived: a later try of an id has another deadline.
        self._remembered: dict[tuple[str, float], None] = {}

    # --- Functions --------------------------------------------------------------------------------

    def use_sources(self, sources: Mapping[str, CodeSource]) -> None:
        """From now on the code is there: the stack was deployed again.

        A function that has gone may still have invocations under way.
        """
        self._sources = {**self._sources, **sources}

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
            build_dir=source.build_dir,
            logging=dict(info["logging"]),
            as_function=self._as_function,
        )
        function = self._overrides.apply(function)
        self._compare_versions(function)
        if self._find_function(event.function).done():
            del self._functions[event.function]
        self._newest[event.function] = event
        is_early = len(self._newest) <= max(1, self._invoker.warm_limit // self._sharing)
        self._tasks.start(self._take_in(event, function, source.layers, is_early))

    async def _take_in(
        self,
        event: Instrumented,
        function: LocalFunction,
        described: Sequence[DescribedLayer],
        is_early: bool,
    ) -> None:
        """Once its layers are here, it can be run."""
        name, deployed = function.logical_id, event.info["layers"]
        layers = await self._collect_layers(name, function.runtime, described, deployed)
        if self._newest[name] is not event:
            return
        function = replace(function, layers=layers)
        self._find_function(name).set_result(function)
        if is_early or not self._invoker.keeps_children:
            await self._prepare_in_turn(function, is_early)
        else:
            await self._invoker.serve_editors(function)

    def take_ready(self, max_waiting: int) -> None:
        """All functions are instrumented: the machine has time for those beyond the first ones."""
        self.max_waiting = max_waiting
        self._is_ready.set()

    def _compare_versions(self, function: LocalFunction) -> None:
        here = function.interpreter or self._invoker.python
        is_same = function.runtime in ("", "python{}.{}".format(*here.version))
        if not is_same and function.runtime not in self._warned_of:
            self._warned_of.add(function.runtime)
            self._report(InterpreterDiffers(function.logical_id, function.runtime, here))

    def _find_function(self, function: str) -> asyncio.Future[LocalFunction]:
        """Is done once it is known how the function is deployed."""
        if function not in self._functions:
            self._functions[function] = asyncio.get_running_loop().create_future()
        return self._functions[function]

    async def _prepare_in_turn(self, function: LocalFunction, is_early: bool) -> None:
        """A warm child for the first invocation; with debugpy, an editor can attach from now on.

        There are warm children for the first functions only. Of the others it is found out, after
        all are instrumented, whether they can be run.
        """
        if not is_early:
            await self._is_ready.wait()
        async with self._turns:
            if not self._is_leaving:
                await asyncio.wait({self._prepare(function)})

    def _prepare(self, function: LocalFunction) -> asyncio.Task[bool]:
        """Whether the function can be run here; it is asked once at a time."""
        name = function.logical_id
        if name not in self._preparing:
            task = asyncio.create_task(self._try_to_prepare(function))
            self._preparing[name] = task
            task.add_done_callback(partial(self._forget_preparing, name))
        return self._preparing[name]

    def _forget_preparing(self, name: str, task: asyncio.Task[bool]) -> None:
        del self._preparing[name]
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._note_bug(bug)

    async def _try_to_prepare(self, function: LocalFunction) -> bool:
        name = function.logical_id
        if self._prepared.get(name) == function:
            return True
        try:
            await self._invoker.prepare(function)
        except PlldbError as error:
            reason = error.explanation
            if self._refusals.get(name) != reason:
                self._refusals[name] = reason
                self._report(NotPrepared(name, reason))
            return False
        self._refusals.pop(name, None)
        self._prepared[name] = function
        python, folder = function.interpreter or self._invoker.python, function.code_dir
        logger.info(
            "%s runs under %s, Python %s, with the code in %s and %d s",
            *(name, python.path, python.version_text, folder, function.timeout),
        )
        self._report(Prepared(name, python, folder, function.timeout, function.handler))
        return True

    async def _can_run(self, function: LocalFunction) -> bool:
        """Whether it makes sense to claim an invocation.

        Once a function was prepared, an error in its code is one that its caller gets, as from
        Lambda: somebody works on it.
        """
        if self._prepared.get(function.logical_id) == function:
            return True
        task = self._prepare(function)
        await asyncio.wait({task}, timeout=self._timing.preparing)
        return not task.done() or task.cancelled() or bool(task.exception()) or task.result()

    async def _wait_for_preparation(self, run: _Run) -> None:
        """Until the child is warm that the invocation can use: another would import the same code
        beside it, whose import may take a port or a lock.
        """
        task = self._preparing.get(run.function)
        if task is not None:
            await asyncio.wait({task}, timeout=max(0.0, run.deadline - time.time()))

    async def _wait_for_function(self, run: _Run) -> LocalFunction:
        """An invocation may overtake the message that its function is instrumented.

        Where that takes long, as where a layer has to be fetched first, the function runs it.
        """
        seconds = max(0.0, run.deadline - time.time())
        if not self._callers_wait:
            seconds = min(seconds, self._timing.describing)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._find_function(run.invocation.function))
        except TimeoutError:
            self._send(wire.decline_message(*run.id))
            raise InvocationError(_NOT_DESCRIBED) from None

    # --- The end ----------------------------------------------------------------------------------

    def leave(self) -> None:
        """The user wants to detach: what arrives from now on is declined, what runs goes on."""
        self._is_leaving = True

    def abort(self) -> None:
        """The session is over, and the last frames go out: nobody waits for the end of what runs.

        Callers get an error at once. What was not claimed yet, functions run by themselves. What
        was answered may still turn out to be recorded.
        """
        self.leave()
        for run in [run for run in self.under_way if not run.is_answered]:
            if run.is_claimed:
                self._send_loss(run)
            else:
                self._send(wire.decline_message(*run.id))
            self._finish(run, "abandoned", "the session has ended")

    def _send_loss(self, run: _Run) -> None:
        lost = _explain(_DEBUGGER_LOST, "the debugger detached while it ran this invocation")
        self._send(wire.answer_message(*run.id, body=lost.to_body()))

    @property
    def under_way(self) -> list[_Run]:
        """What runs here, or is about to."""
        return [*self._under_way.values()]

    async def wait_until_idle(self) -> None:
        """Until nothing is under way."""
        await self._is_idle.wait()

    async def close(self) -> None:
        """Ends what is under way. Raises the first bug that ended a task."""
        for run in self.under_way:
            self._finish(run, "abandoned", "plldb has ended")
        await self._tasks.cancel()
        for task in [*self._preparing.values()]:
            task.cancel()
        await asyncio.gather(*self._preparing.values(), return_exceptions=True)
        if self._closes_invoker:
            await self._invoker.close()
        if self._bug is not None:
            raise self._bug

    def _note_bug(self, bug: BaseException) -> None:
        if self._bug is None:
            self._bug = bug
        self._on_bug()

    # --- Invocations ------------------------------------------------------------------------------

    def start(self, invocation: InvocationArrived) -> None:
        """Claims an invocation and runs it, once: it may arrive on two connections.

        Lambda's own retries come under the same id, with a deadline of their own.
        """
        this = (invocation.request_id, invocation.deadline)
        if this in self._remembered:
            return
        self._remembered[this] = None
        if len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        logger.info("invocation %s of %s has arrived", invocation.request_id, invocation.function)
        # This machine's clock may be off: the time that is left counts.
        now = time.time()
        deadline = now + invocation.deadline - invocation.sent_at
        arrived = asyncio.get_running_loop().time()
        run = _Run(invocation, deadline, arrived, now, self._is_fresh(invocation))
        reason = self._find_reason_to_decline(invocation)
        if reason is not None:
            self._send(wire.decline_message(*run.id))
            self._tell(run, "abandoned", f"{reason}; the function runs it by itself")
        else:
            self._under_way[run.request_id] = run
            self._is_idle.clear()
            self._tasks.start(self._run(run))

    def _is_fresh(self, invocation: InvocationArrived) -> bool:
        """Whether it can't have waited long for this machine, which may have slept or been stopped.

        Its clock may be off: one that came quickly shows by how much. So it is not of the first.
        """
        delay, least = time.time() - invocation.sent_at, self._least_delay
        self._least_delay = delay if least is None else min(delay, least)
        return least is not None and delay - least < _FRESH_SECONDS

    def _find_reason_to_decline(self, invocation: InvocationArrived) -> str | None:
        if self._is_leaving:
            return "the debugger detaches"
        if invocation.function not in self._sources:
            return _NO_CODE
        if self._as_function and invocation.credentials is None:
            return _NO_CREDENTIALS
        if invocation.request_id in self._under_way:
            return "an earlier try of it runs here still"
        if self.max_waiting is not None and len(self._under_way) >= self.max_waiting:
            return f"{self.max_waiting} invocations wait here already"
        return None

    async def _run(self, run: _Run) -> None:
        try:
            function = await self._wait_for_function(run)
            if not await self._can_run(function):
                self._send(wire.decline_message(*run.id))
                raise InvocationError(_NOT_PREPARED)
            await self._claim(run)
            if self._under_way.get(run.request_id) is not run:
                # It was given up while the claim was on its way: it is not to begin any more.
                self._send_loss(run)
                return
            await self._wait_for_preparation(run)
            outcome = await self._invoke(run, function)
            run.was_paused = outcome.was_paused
            run.legs = replace(run.legs, queue=outcome.queued_ms, run=outcome.ran_ms)
            answering = asyncio.get_running_loop().time()
            outcome = await self._answer(run, outcome)
            run.legs = replace(run.legs, answer=_measure(answering))
        except InvocationError as error:
            self._finish(run, "abandoned", error.message)
        else:
            self._finish(run, *_describe(outcome), outcome)

    async def _claim(self, run: _Run) -> None:
        """Returns once the invocation is this machine's. Raises InvocationError."""
        run.is_claimed = await self._claim_directly(run)
        if run.is_claimed:
            return
        claim = wire.claim_message(*run.id)
        reply = await self._ask(run, claim, MessageType.GO, MessageType.VOID)
        if reply["type"] == MessageType.VOID:
            raise InvocationError(_WHY_VOID.get(str(reply.get("state")), _LATE))
        run.is_claimed = True

    async def _claim_directly(self, run: _Run) -> bool:
        """Whether it is for sure. Where that takes long, it is tried again after a rest only.

        What was signed can't tell whether the deadline is over. It is not, if the invocation came
        at once, and has more time left than that took; otherwise the helper stack is asked, which
        knows the time.
        """
        claim, loop = run.invocation.claim, asyncio.get_running_loop()
        may_be_over = not run.is_fresh or run.deadline - time.time() <= _FRESH_SECONDS
        if claim is None or may_be_over or loop.time() < self._rests_until:
            return False
        try:
            async with asyncio.timeout(self._timing.claiming):
                return await self._claims.take(claim)
        except TimeoutError:
            self._rests_until = loop.time() + _REST_SECONDS
            return False

    async def _invoke(self, run: _Run, function: LocalFunction) -> Outcome:
        try:
            event = await self._get_event(run)
        except InvocationError:
            raise
        except PlldbError as error:
            return _explain(_DEBUGGER_ERROR, f"the event can't be had. {error.message}")
        context = run.invocation.context | {"aws_request_id": run.request_id}
        # An emulator may know the group, and tell the function another one.
        if group := function.logging.get("LogGroup"):
            context["log_group_name"] = group
        credentials = self._find_credentials(run)
        run.legs = Legs(claim=_measure(run.arrived))
        self._report(
            InvocationStarted(
                run.function,
                run.request_id,
                run.arrived_at,
                run.deadline,
                event,
                context,
                function,
            )
        )
        return await self._invoker.invoke(function, event, context, run.deadline, credentials)

    def _find_credentials(self, run: _Run) -> Credentials | None:
        """Those of the function's role; None if it does not run under that."""
        found = run.invocation.credentials if self._as_function else None
        if found is None:
            return None
        return Credentials(found["accessKeyId"], found["secretAccessKey"], found["sessionToken"])

    async def _get_event(self, run: _Run) -> str:
        if run.invocation.event is not None:
            return run.invocation.event
        download = partial(self._transfer.download, run.invocation.event_url or "")
        return await self._repeat(run, lambda: run_in_thread(download))

    async def _answer(self, run: _Run, outcome: Outcome) -> Outcome:
        """Returns once the answer is recorded: this outcome, or why it can't be passed on.

        Raises InvocationError.
        """
        try:
            frame = await self._make_answer(run, outcome)
        except InvocationError:
            raise
        except PlldbError as error:
            outcome = _explain(_DEBUGGER_ERROR, f"the answer can't be passed on. {error.message}")
            frame = wire.answer_message(*run.id, body=outcome.to_body())
        run.is_answered = True
        try:
            reply = await self._ask(run, frame, MessageType.RECORDED)
        except MessageRefusedError as error:
            outcome = _explain(_DEBUGGER_ERROR, f"the answer can't be passed on. {error.message}")
            frame = wire.answer_message(*run.id, body=outcome.to_body())
            reply = await self._ask(run, frame, MessageType.RECORDED)
        if reply.get("state") != "ANSWERED":
            raise InvocationError(_WHY_NOT_RECORDED.get(str(reply.get("state")), _LATE))
        return outcome

    async def _make_answer(self, run: _Run, outcome: Outcome) -> str:
        body = outcome.to_body()
        frame = wire.answer_message(*run.id, body=body)
        if len(frame) <= MAX_FRAME_BYTES:
            return frame
        key = await self._repeat(run, lambda: self._upload(run, body))
        return wire.answer_message(*run.id, body_key=key)

    async def _upload(self, run: _Run, body: str) -> str:
        """The key of the body in the artifacts bucket."""
        session_id, request_id, _ = run.id
        ask = wire.upload_message(session_id, request_id)
        reply = await self._ask(run, ask, MessageType.UPLOAD)
        await run_in_thread(partial(self._transfer.upload, str(reply["url"]), body))
        return str(reply["key"])

    async def _ask(self, run: _Run, frame: str, *types: str) -> dict[str, Any]:
        return await self.replies.ask(run.invocation, frame, types, run.deadline)

    async def _repeat(self, run: _Run, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """What an attempt gives; there is another one while the network is down."""
        backoff = Backoff(self._timing.first_retry, self._timing.longest_retry, random.random)
        try:
            async with asyncio.timeout(max(0.0, run.deadline - time.time())):
                while True:
                    try:
                        return await attempt()
                    except EndpointError as error:
                        delay = backoff.delay(elapsed=0) or 0.0
                        logger.info("tried again in %.1f s: %s", delay, error.message)
                        await asyncio.sleep(delay)
        except TimeoutError:
            raise InvocationError(_LATE) from None

    def _finish(self, run: _Run, outcome: str, reason: str, result: Outcome | None = None) -> None:
        """Once: an invocation that was aborted may come to its end all the same."""
        if self._under_way.get(run.request_id) is run:
            del self._under_way[run.request_id]
            if not self._under_way:
                self._is_idle.set()
            self._tell(run, outcome, reason, result)

    def _tell(self, run: _Run, outcome: str, reason: str, result: Outcome | None = None) -> None:
        function, request_id = run.invocation.function, run.request_id
        elapsed = _measure(run.arrived)
        logger.info("invocation %s of %s %s after %.1f ms", request_id, function, outcome, elapsed)
        self._report(
            InvocationFinished(
                function,
                request_id,
                outcome,
                elapsed,
                reason,
                run.was_paused,
                result,
                run.legs,
                run.arrived_at,
                run.deadline,
            )
        )


def _measure(since: float) -> float:
    """In ms, with one decimal; ``since`` is by the loop's clock."""
    return round((asyncio.get_running_loop().time() - since) * 1000, 1)


def _explain(kind: str, what: str) -> Outcome:
    """An error for the caller, about what is wrong with its being debugged."""
    return Outcome(None, make_error_report(kind, f"plldb: {what}"))


def _describe(outcome: Outcome) -> tuple[str, str]:
    if outcome.error is None:
        return "succeeded", ""
    kind, message = outcome.error["errorType"], outcome.error["errorMessage"]
    return "failed", message if kind == _DEBUGGER_ERROR else kind
