"""Attaching to a stack: the steps of REQ_FN_0003, and then its invocations run here."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.debugger import protocol
from plldb.debugger.api_client import ApiClient
from plldb.debugger.connection import run_session
from plldb.debugger.invocation_runner import InvocationRunner, RunnerEvent
from plldb.debugger.invoker import Invoker
from plldb.debugger.protocol import SessionEvent
from plldb.debugger.sources import CodeSource, find_sources
from plldb.debugger.tasks import unless_stopped
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Outages, Timing
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


AttachEvent = SessionCreated | NothingToDebug | Reconnecting | SessionEvent | RunnerEvent


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
) -> protocol.Ended:
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
    with ApiClient.of_helper_stack(helper, target) as management:
        # Before there is a session: what is wrong with the terminal or a port leaves none behind.
        invoker = make_invoker()
        session_id = management.create_session(stack.name)
        report(SessionCreated(shortened(session_id), stack.name))
        run = _Attachment(target, helper, management, session, sources, report, timing or Timing())
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


class _Attachment:
    """One ``plldb attach``: a session, and those that replace it after a loss."""

    def __init__(
        self,
        target: Target,
        helper: HelperStack,
        management: ApiClient,
        options: SessionOptions,
        sources: ChosenSources,
        report: Callable[[AttachEvent], None],
        timing: Timing,
    ) -> None:
        self._target = target
        self._helper = helper
        self._management = management
        self._options = options
        self._sources = sources.found
        # What is reported once there is a connection.
        self._left_out = _list_left_out(sources)
        self._report = report
        self._timing = timing
        # Ids of sessions that may be open still, the newest last.
        self._open: list[str] = []
        # The last session of which it is known that it instrumented something, or the first one.
        self._holder: str | None = None
        self._outages = Outages(timing, random.random)
        self._was_ready = False

    async def until_signal(self, session_id: str, invoker: Invoker) -> protocol.Ended:
        self._stop = asyncio.Event()
        _stop_on_signals(self._stop)
        self._runner = InvocationRunner(
            self._sources,
            self._target.region,
            invoker,
            self._management,
            self._report,
            self._timing,
            # The session ends in order, so that its functions are restored before it is raised.
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
            await self._runner.close()

    async def _stay_attached(self, session_id: str) -> protocol.Ended:
        ended = await self._run(session_id)
        while not (ended.expected or ended.confirmed):
            ended = await self._attach_again(ended.reason)
        if not ended.confirmed and await self._close_sessions(self._open):
            ended = replace(ended, confirmed=True)
        self._report(ended)
        if not ended.expected:
            raise ConnectionLostError(
                f"The session ended: {ended.reason}.", "Run 'plldb attach' again for a new session."
            )
        return ended

    async def _run(self, session_id: str) -> protocol.Ended:
        """One session, until it ends."""
        first_message = self._make_first_message()
        self._open.append(session_id)
        self._holder = self._holder or session_id
        try:
            return await run_session(
                self._helper.websocket_url,
                session_id,
                self._stop,
                partial(self._handle, session_id),
                first_message,
                self._timing,
            )
        except PlldbError:
            # It never opened: of those that wait for a connection, a stack can have so many only.
            self._open.remove(session_id)
            await self._close_sessions([session_id])
            raise

    def _make_first_message(self) -> str | None:
        if not self._sources:
            return None
        # Whoever took a function since then keeps it: two that take over would do so for ever.
        take_over = self._options.take_over and not self._was_ready
        return wire.instrument_message(
            sorted(self._sources), self._options.when_absent, take_over, replaces=self._holder
        )

    def _handle(self, session_id: str, event: SessionEvent) -> None:
        match event:
            case protocol.InvocationArrived():
                self._runner.start(event)
                return
            case protocol.Instrumented():
                self._holder = session_id
                self._runner.add_function(event)
            case protocol.Ready():
                self._was_ready = True
                self._note_success(session_id)
            case protocol.Connected():
                self._outages.connected(_now())
                if not self._sources:
                    self._note_success(session_id)
        self._report(event)
        if isinstance(event, protocol.Connected):
            while self._left_out:
                self._report(self._left_out.pop(0))

    def _note_success(self, session_id: str) -> None:
        self._outages.works()
        self._holder = session_id
        self._open = [session_id]

    # --- After a loss ---------------------------------------------------------

    async def _attach_again(self, reason: str) -> protocol.Ended:
        """Tries until there is a new session, and runs it. Raises what can't be helped."""
        self._outages.lost(_now())
        while (delay := self._outages.delay(_now())) is not None:
            logger.info("Attempt %d in %.2f s: %s", self._outages.attempt, delay, reason)
            self._report(Reconnecting(self._outages.attempt, round(delay, 2), reason))
            try:
                await unless_stopped(asyncio.sleep(delay), self._stop)
                if self._stop.is_set():
                    return _STOPPED
                session_id = await unless_stopped(run_in_thread(self._create_session), self._stop)
                if session_id is None:
                    return _STOPPED
                self._report(SessionCreated(shortened(session_id), self._options.stack_name))
                return await self._run(session_id)
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
        self._report(protocol.Ended(expected=False, confirmed=False, reason=reason))

    def _create_session(self) -> str:
        """Blocks. The helper stack may have been deployed anew meanwhile, with other URLs."""
        self._helper = find_helper_stack(self._target, self._options.helper_stack)
        self._management.move_to(self._helper.management_api_url)
        return self._management.create_session(self._options.stack_name)

    async def _close_sessions(self, session_ids: Iterable[str]) -> bool:
        """Has functions restored now, rather than once the helper stack notices; whether it did."""
        calls = [
            run_in_thread(partial(self._management.close_session, session_id))
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


_STOPPED = protocol.Ended(expected=True, confirmed=False, reason="detached while disconnected")


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
