"""Attaching to a stack: the steps of REQ_FN_0003, and then its invocations run here."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.debugger import protocol
from plldb.debugger.api_client import ApiClient
from plldb.debugger.connection import SessionConnection, open_session
from plldb.debugger.invocation_runner import InvocationRunner, RunnerEvent
from plldb.debugger.invoker import Invoker
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import Ended, SessionEvent, SessionProtocol, Wish
from plldb.debugger.sources import CodeSource, find_sources
from plldb.debugger.tasks import TaskSet, unless_stopped
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Backoff, Outages, Timing
from plldb.errors import (
    AccessDeniedError,
    ConnectionLostError,
    PlldbError,
    SourceError,
    StackError,
)
from plldb.stacks import HelperStack, find_helper_stack, require_debuggable_stack

logger = logging.getLogger(__name__)

# Trying again changes nothing about these. Credentials are none of them: they may be renewed
# meanwhile, and those that are renewed over the network can't be while it is down.
_LASTING_ERRORS = (AccessDeniedError, StackError)
_MOVE_JITTER = 0.1


@dataclass(frozen=True)
class SessionCreated:
    """``session`` is the beginning of the id; the whole is a credential and not shown."""

    session: str
    stack_name: str


@dataclass(frozen=True)
class NothingToDebug:
    """The session is open, but no function's code was found here; ``reason`` says why."""

    reason: str


@dataclass(frozen=True)
class Reconnecting:
    """The connection was lost, or could not be had again: ``reason``. The next attempt, counted
    from 1, is made after ``delay`` seconds.
    """

    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True)
class MoveFailed:
    """The connection, which will be ended soon, could not be replaced: ``reason``. It is tried
    again after ``delay`` seconds.
    """

    reason: str
    delay: float


AttachEvent = (
    SessionCreated | NothingToDebug | Reconnecting | MoveFailed | SessionEvent | RunnerEvent
)


@dataclass(frozen=True)
class CodeOptions:
    """Whose code runs here. ``functions`` are shell patterns of logical ids; none means all."""

    folder: Path
    template: Path | None = None
    code: Mapping[str, Path] = field(default_factory=dict)
    functions: tuple[str, ...] = ()

    def includes(self, logical_id: str) -> bool:
        return not self.functions or any(fnmatchcase(logical_id, p) for p in self.functions)

    @property
    def is_default(self) -> bool:
        return self.template is None and not self.code and not self.functions


@dataclass(frozen=True)
class SessionOptions:
    stack_name: str
    helper_stack: str
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL
    take_over: bool = False


def attach(
    target: Target,
    session: SessionOptions,
    sources: ChosenSources,
    make_invoker: Callable[[], Invoker],
    report: Callable[[AttachEvent], None],
    timing: Timing | None = None,
) -> Ended:
    """Opens a session for the stack and stays in it until Ctrl-C or SIGTERM.

    The functions that ``choose_sources`` found are instrumented, and their invocations run here;
    those that were left out are reported once. When the connection is lost, a new session takes the
    place of the old one; invocations that run go on meanwhile.

    Raises StackError if the stack or the helper stack is not there, AccessDeniedError,
    EndpointError or SessionError if the session can't be opened, ConnectionLostError if somebody
    else ends it, or if it is lost for good.
    """
    stack = require_debuggable_stack(target, session.stack_name)
    helper = find_helper_stack(target, session.helper_stack)
    with (
        ApiClient.of_helper_stack(helper, target) as api,
        PayloadTransfer(target.reachable_url) as transfer,
    ):
        # Before there is a session: what is wrong with the terminal or a port leaves none behind.
        invoker = make_invoker()
        session_id = api.create_session(stack.name)
        report(SessionCreated(shortened(session_id), stack.name))
        ends = _Ends(target, helper, api, transfer)
        run = _Attachment(ends, session, sources, report, timing or Timing())
        return asyncio.run(run.until_signal(session_id, invoker))


@dataclass(frozen=True)
class ChosenSources:
    """The code that runs here, by logical id; the functions ``left_out`` with the reason of each;
    and, if there is no code at all, ``why_none``.
    """

    found: Mapping[str, CodeSource]
    left_out: Mapping[str, str] = field(default_factory=dict)
    why_none: str = ""


def choose_sources(options: CodeOptions, stack_name: str) -> ChosenSources:
    """The code of the chosen functions.

    Raises SourceError or UsageError for what the user named and is not there. That nothing is
    named and nothing found is no error: a session can be opened all the same.
    """
    try:
        sources = find_sources(options.folder, options.template, options.code, stack_name)
    except SourceError as error:
        if not options.is_default:
            raise
        return ChosenSources({}, {}, f"{error.message} {error.hint or ''}".strip())
    for pattern in options.functions:
        names = {*sources.found, *sources.missing}
        matching = sorted(name for name in names if fnmatchcase(name, pattern))
        if not any(name in sources.found for name in matching):
            sources.require(matching[0] if matching else pattern)
    return ChosenSources(
        {name: source for name, source in sources.found.items() if options.includes(name)},
        {name: reason for name, reason in sources.missing.items() if options.includes(name)},
        f"{sources.template} has no function with code on this machine.",
    )


@dataclass
class _Ends:
    """What an attachment talks to. ``helper`` is looked up again for each further session."""

    target: Target
    helper: HelperStack
    api: ApiClient
    transfer: PayloadTransfer

    def create_session(self, options: SessionOptions) -> str:
        """Blocks. The helper stack may have been deployed anew meanwhile, with other URLs."""
        self.helper = find_helper_stack(self.target, options.helper_stack)
        self.api.move_to(self.helper.management_api_url)
        return self.api.create_session(options.stack_name)


@dataclass(frozen=True)
class _LiveSession:
    """A session that is connected. ``end`` is its end; ``settled`` is set once it has functions."""

    connection: SessionConnection
    end: asyncio.Task[Ended]
    settled: asyncio.Event


class _Attachment:
    """One ``plldb attach``: a session, and those that take its place.

    Another one does so after a loss of the connection, and before API Gateway ends a connection for
    its age. It resumes what the former one held, so no function is changed.
    """

    def __init__(
        self,
        ends: _Ends,
        options: SessionOptions,
        sources: ChosenSources,
        report: Callable[[AttachEvent], None],
        timing: Timing,
    ) -> None:
        self._ends = ends
        self._options = options
        self._sources = sources.found
        # What is reported once there is a connection.
        self._left_out = _list_left_out(sources)
        self._report = report
        self._timing = timing
        self._current: _LiveSession | None = None
        # Ids of sessions that may be open still, the newest last.
        self._open: list[str] = []
        # The last session of which it is known that it instrumented something, or the first one.
        self._holder: str | None = None
        self._was_ready = False
        self._outages = Outages(timing, random.random)

    async def until_signal(self, session_id: str, invoker: Invoker) -> Ended:
        self._stop = asyncio.Event()
        # Held by whoever puts another session into the current one's place.
        self._succession = asyncio.Lock()
        self._bug: BaseException | None = None
        self._tasks = TaskSet(on_bug=self._note_bug)
        _stop_on_signals(self._stop)
        self._runner = InvocationRunner(
            self._sources,
            self._ends.target.region,
            invoker,
            self._ends.transfer,
            self._send,
            self._report,
            self._timing,
            on_bug=self._stop.set,
        )
        try:
            return await self._stay_attached(session_id)
        except asyncio.CancelledError:
            raise ConnectionLostError(
                "Detaching was interrupted; the helper stack restores the functions by itself.",
                f"To be sure: plldb restore --stack-name {self._options.stack_name}",
            ) from None
        finally:
            await self._hang_up()
            await self._runner.close()
            if self._bug is not None:
                raise self._bug

    def _note_bug(self, bug: BaseException) -> None:
        """The session ends in order, so that its functions are restored before it is raised."""
        self._bug = self._bug or bug
        self._stop.set()

    async def _hang_up(self) -> None:
        await self._tasks.cancel()
        if self._current is not None:
            self._current.end.cancel()
            await asyncio.gather(self._current.end, return_exceptions=True)

    async def _stay_attached(self, session_id: str) -> Ended:
        ended = await self._until_end(session_id)
        if not ended.confirmed and await self._close_sessions(self._open):
            ended = replace(ended, confirmed=True)
        self._report(ended)
        if not ended.expected:
            raise ConnectionLostError(
                f"The session ended: {ended.reason}.", "Run 'plldb attach' again for a new session."
            )
        return ended

    async def _until_end(self, session_id: str) -> Ended:
        """The end of the last session: one that the user or somebody else has wished."""
        self._current = await self._connect(session_id)
        if self._current is None:
            return _STOPPED
        self._tasks.start(self._stop_when_asked())
        self._tasks.start(self._move_in_time())
        while True:
            seen = self._current
            ended = await asyncio.shield(seen.end)
            if seen is not self._current:
                continue
            if ended.expected or ended.confirmed or not await self._attach_again(ended.reason):
                return ended if ended.expected or ended.confirmed else _STOPPED

    # --- One session ------------------------------------------------------------------------------

    async def _connect(self, session_id: str) -> _LiveSession | None:
        """None if the user wants to detach. Raises SessionError, EndpointError."""
        settled = asyncio.Event()
        session = SessionProtocol(session_id, self._make_wish(), self._timing)
        report = partial(self._handle, session_id, settled)
        self._open.append(session_id)
        try:
            url = self._ends.helper.websocket_url
            connection = await open_session(url, session, report, self._stop, self._timing)
        except PlldbError:
            # It never opened: of those that wait for a connection, a stack can have so many only.
            self._open.remove(session_id)
            await self._close_sessions([session_id])
            raise
        if connection is None:
            return None
        self._holder = self._holder or session_id
        if not self._sources:
            settled.set()
        return _LiveSession(connection, asyncio.create_task(connection.run()), settled)

    def _make_wish(self) -> Wish:
        return Wish(
            functions=tuple(sorted(self._sources)),
            when_absent=self._options.when_absent,
            # Whoever took a function since then keeps it: two that take over would go on for ever.
            take_over=self._options.take_over and not self._was_ready,
            former=self._holder,
            is_complete=self._was_ready,
        )

    def _send(self, frame: str) -> None:
        """What is lost here is sent again, once there is another connection."""
        if self._current is not None:
            self._current.connection.send(frame)

    def _handle(self, session_id: str, settled: asyncio.Event, event: SessionEvent) -> None:
        match event:
            case protocol.InvocationArrived():
                self._runner.start(event)
                return
            case protocol.Replied(request_id, message):
                self._runner.replies.take(request_id, message)
                return
            case protocol.Instrumented():
                self._holder = session_id
                self._runner.add_function(event)
            case protocol.Resumed():
                self._holder = session_id
                if self._was_ready:
                    self._note_success(session_id, settled)
            case protocol.Ready():
                self._was_ready = True
                self._runner.max_waiting = event.max_waiting
                self._note_success(session_id, settled)
            case protocol.Connected():
                self._outages.connected(_now())
                if not self._sources:
                    self._note_success(session_id, settled)
                if self._succession.locked():
                    return  # the user is told once the session goes on
        self._report(event)
        if isinstance(event, protocol.Connected):
            while self._left_out:
                self._report(self._left_out.pop(0))

    def _note_success(self, session_id: str, settled: asyncio.Event) -> None:
        self._outages.works()
        self._holder = session_id
        self._open = [session_id]
        settled.set()

    async def _stop_when_asked(self) -> None:
        await self._stop.wait()
        with suppress(TimeoutError):
            # The session that is about to take over is the one to close.
            async with asyncio.timeout(self._timing.closing), self._succession:
                pass
        if self._current is not None:
            self._current.connection.stop()

    # --- Another session in its place -------------------------------------------------------------

    async def _move_in_time(self) -> None:
        """API Gateway ends every connection after 2 hours."""
        while True:
            # Many debuggers that attached together do not move together.
            jitter = _MOVE_JITTER * random.random()  # nosec B311  # noqa: S311 - no secret
            await asyncio.sleep(self._timing.refresh * (1 - jitter))
            backoff = Backoff(self._timing.first_retry, self._timing.longest_retry, random.random)
            while (problem := await self._move()) is not None:
                delay = backoff.delay(elapsed=0) or 0.0
                self._report(MoveFailed(problem, delay))
                await asyncio.sleep(delay)

    async def _move(self) -> str | None:
        """Puts a new session into the place of the current one; why not, if it fails."""
        async with self._succession:
            former = self._current
            if self._stop.is_set() or former is None or former.end.done():
                return None  # somebody else sees to that
            try:
                session_id = await run_in_thread(partial(self._ends.create_session, self._options))
                live = await self._connect(session_id)
                if live is None or not await self._is_settled(live):
                    return "the new session did not get ready"
            except PlldbError as error:
                return error.message
            self._take_over(live)
            self._tasks.start(former.connection.retire())
        return None

    async def _is_settled(self, live: _LiveSession) -> bool:
        """Whether it comes to have its functions; if not, it has been hung up on."""
        settling = asyncio.create_task(live.settled.wait())
        try:
            async with asyncio.timeout(self._timing.silence):
                await asyncio.wait({settling, live.end}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            live.end.cancel()
        finally:
            settling.cancel()
        return live.settled.is_set() and not live.end.done()

    def _take_over(self, live: _LiveSession) -> None:
        self._current = live
        self._runner.replies.repeat_all()

    async def _attach_again(self, reason: str) -> bool:
        """Whether there is a session again; no, if the user wants to detach.

        Raises what can't be helped.
        """
        lost = self._current
        async with self._succession:
            if self._current is not lost:
                return True
            return await self._try_to_attach(reason)

    async def _try_to_attach(self, reason: str) -> bool:
        self._outages.lost(_now())
        while (delay := self._outages.delay(_now())) is not None:
            logger.info("Attempt %d in %.2f s: %s", self._outages.attempt, delay, reason)
            self._report(Reconnecting(self._outages.attempt, round(delay, 2), reason))
            try:
                await unless_stopped(asyncio.sleep(delay), self._stop)
                create = partial(self._ends.create_session, self._options)
                session_id = await unless_stopped(run_in_thread(create), self._stop)
                if session_id is None:
                    return False
                self._report(SessionCreated(shortened(session_id), self._options.stack_name))
                live = await self._connect(session_id)
                if live is not None:
                    self._take_over(live)
                return live is not None
            except _LASTING_ERRORS as error:
                await self._give_up(error.message.rstrip("."))
                raise
            except PlldbError as error:
                reason = error.message.rstrip(".")
        await self._give_up(reason)
        raise ConnectionLostError(
            f"The session is lost: {reason}.",
            "Run 'plldb attach' once the network is back. To restore the functions: "
            f"plldb restore --stack-name {self._options.stack_name}",
        )

    async def _give_up(self, reason: str) -> None:
        await self._close_sessions(self._open)
        self._report(Ended(expected=False, confirmed=False, reason=reason))

    async def _close_sessions(self, session_ids: Iterable[str]) -> bool:
        """Has functions restored now, rather than once the helper stack notices; whether it did."""
        calls = [
            run_in_thread(partial(self._ends.api.close_session, session_id))
            for session_id in session_ids
        ]
        try:
            async with asyncio.timeout(self._timing.farewell):
                problems = await asyncio.gather(*calls, return_exceptions=True)
        except TimeoutError:
            return False
        return not any(isinstance(problem, BaseException) for problem in problems)


def _list_left_out(sources: ChosenSources) -> list[AttachEvent]:
    events: list[AttachEvent] = [
        protocol.Skipped(function, reason) for function, reason in sorted(sources.left_out.items())
    ]
    return events if sources.found else [*events, NothingToDebug(sources.why_none)]


def _now() -> float:
    return asyncio.get_running_loop().time()


_STOPPED = Ended(expected=True, confirmed=False, reason="detached while disconnected")


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal ends the session in order, the second one at once."""
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()

    def on_signal() -> None:
        logger.info("Told to detach%s.", " at once" if stop.is_set() else "")
        if stop.is_set() and this is not None:
            this.cancel()
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, on_signal)
