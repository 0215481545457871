"""Attaching to a stack: the steps of REQ_FN_0003, and then its invocations run here."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from plldb import __version__
from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.debugger import protocol
from plldb.debugger.api_client import ApiClient
from plldb.debugger.children.invoker import Invoker, InvokerEvent
from plldb.debugger.children.terminal import forget_terminal
from plldb.debugger.connection import SessionConnection, open_session
from plldb.debugger.deployed_layers.layer_supply import LayerEvent
from plldb.debugger.held_functions import HeldFunctions
from plldb.debugger.invocation_runner import (
    CollectLayers,
    InvocationRunner,
    RunnerEvent,
    collect_local_layers,
)
from plldb.debugger.overrides import Overrides
from plldb.debugger.payload_transfer import PayloadTransfer
from plldb.debugger.protocol import Ended, SessionEvent, SessionProtocol, Wish
from plldb.debugger.redeployment import RedeploymentEvent, Redeployments, Steps
from plldb.debugger.signed_claims import SignedClaims
from plldb.debugger.sources.choice import ChosenSources
from plldb.debugger.sources.project import CodeSource
from plldb.debugger.tasks import TaskSet, unless_stopped
from plldb.debugger.threads import run_in_thread
from plldb.debugger.timing import Outages, Replacements, Timing
from plldb.errors import (
    AccessDeniedError,
    ConnectionLostError,
    PlldbError,
    StackError,
)
from plldb.stacks import HelperStack, find_helper_stack, require_debuggable_stack

logger = logging.getLogger(__name__)

# Trying again changes nothing about these. Credentials are none of them: they may be renewed
# meanwhile, and those that are renewed over the network can't be while it is down.
_LASTING_ERRORS = (AccessDeniedError, StackError)
# How long before it is told again how much time is left to what runs.
_SHORTEST_COUNTDOWN_SECONDS = 5.0


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


@dataclass(frozen=True)
class Detaching:
    """Told to detach, plldb lets end what runs: functions and request ids. The last one has so many
    ``seconds`` at most.
    """

    running: tuple[tuple[str, str], ...]
    seconds: float


@dataclass(frozen=True)
class HelperStackDiffers:
    """It was deployed by another version of plldb than this one."""

    name: str
    version: str


AttachEvent = (
    Detaching
    | HelperStackDiffers
    | SessionCreated
    | NothingToDebug
    | Reconnecting
    | MoveFailed
    | SessionEvent
    | RunnerEvent
    | InvokerEvent
    | RedeploymentEvent
    | LayerEvent
)


@dataclass(frozen=True)
class OfStack:
    """What happened to the session of one of several stacks."""

    stack_name: str
    event: AttachEvent


@dataclass(frozen=True)
class SessionOptions:
    """``as_function``: the code runs under the roles of its functions. ``members`` are names at
    Lambda by names in a session, of a stack that is a mere list of functions. ``aliases``: callers
    of aliases come here, too, even where functions have other callers.
    """

    stack_name: str
    helper_stack: str
    when_absent: WhenAbsent = WhenAbsent.ORIGINAL
    take_over: bool = False
    as_function: bool = False
    members: Mapping[str, str] | None = None
    aliases: bool = False


@dataclass(frozen=True)
class StackToDebug:
    """A stack, the code of its functions here, and what the developer sets of them.

    When it is deployed again, its functions are taken with the code that ``choose_again`` finds, if
    that is given.
    """

    session: SessionOptions
    sources: ChosenSources
    overrides: Overrides = Overrides()  # noqa: RUF009 (frozen)
    choose_again: Callable[[], ChosenSources] | None = None


def name_function(function: str, stack_name: str, stacks: int) -> str:
    """What a function is called here where so many stacks are attached to."""
    return f"{stack_name}/{function}" if stacks > 1 else function


def attach(
    target: Target,
    session: SessionOptions,
    sources: ChosenSources,
    make_invoker: Callable[[], Invoker],
    report: Callable[[AttachEvent], None],
    timing: Timing | None = None,
    overrides: Overrides = Overrides(),  # noqa: B008 (frozen)
    choose_again: Callable[[], ChosenSources] | None = None,
    collect_layers: CollectLayers = collect_local_layers,
) -> Ended:
    """Opens a session for the stack and stays in it until Ctrl-C, SIGTERM or SIGHUP.

    The functions that ``choose_sources`` found are instrumented, and their invocations run here;
    those that were left out are reported once. When the connection is lost, a new session takes the
    place of the old one; invocations that run go on meanwhile. When the stack is deployed again,
    its functions are taken again, with the code that ``choose_again`` finds, if it is given.

    Raises StackError if the stack or the helper stack is not there, AccessDeniedError,
    EndpointError or SessionError if the session can't be opened, ConnectionLostError if somebody
    else ends it, or if it is lost for good.
    """
    stack = StackToDebug(session, sources, overrides, choose_again)
    return attach_to_all(target, [stack], make_invoker, report, timing, collect_layers)[0]


def attach_to_all(
    target: Target,
    stacks: Sequence[StackToDebug],
    make_invoker: Callable[[], Invoker],
    report: Callable[[Any], None],
    timing: Timing | None = None,
    collect_layers: CollectLayers = collect_local_layers,
    switch: DetachSwitch | None = None,
) -> list[Ended]:
    """The same for several stacks of one helper stack, with a session for each.

    Their functions go by names with the stack first: ``orders/Greeter``. A connection that is lost
    is that of one stack; nothing happens to the others. If one can't be attached to at first, none
    stays attached. ``report`` is told each AttachEvent, in an OfStack where it has no function's
    name. With a ``switch``, that ends it, in whatever thread this is called; without, signals do,
    which come to the main thread.
    """
    for stack in stacks:
        if stack.session.members is None:
            require_debuggable_stack(target, stack.session.stack_name)
    helper = _find_helper_stack(target, *(stack.session for stack in stacks))
    if helper.version != __version__:
        report(HelperStackDiffers(helper.name, helper.version))
    with (
        ApiClient.of_helper_stack(helper, target) as api,
        PayloadTransfer(target.reachable_url, target.ca_bundle) as transfer,
    ):
        # Before there is a session: what is wrong with the terminal or a port leaves none behind.
        invoker = make_invoker()
        try:
            session_ids = _create_sessions(api, stacks, report)
        except BaseException:
            invoker.discard()
            raise
        claims = SignedClaims(target.reachable_url, target.ca_bundle)
        ends = _Ends(target, helper, api, transfer, claims)
        attachments = [
            _Attachment(ends, stack, len(stacks), report, timing or Timing(), collect_layers)
            for stack in stacks
        ]
        return asyncio.run(_until_told(attachments, session_ids, invoker, claims, switch))


def _create_sessions(
    api: ApiClient, stacks: Sequence[StackToDebug], report: Callable[[AttachEvent], None]
) -> list[str]:
    """The id of a session for each stack, or no session at all."""
    session_ids: list[str] = []
    try:
        for stack in stacks:
            session_ids.append(api.create_session(stack.session.stack_name))
            report(SessionCreated(shortened(session_ids[-1]), stack.session.stack_name))
    except BaseException:
        for session_id, stack in zip(session_ids, stacks, strict=False):
            with suppress(PlldbError):  # nobody connects to it any more
                api.close_session(session_id, stack.session.stack_name)
        raise
    return session_ids


def _find_helper_stack(target: Target, *sessions: SessionOptions) -> HelperStack:
    """Theirs. Raises StackError if it is missing, or does not do what one of them asks for."""
    helper = find_helper_stack(target, sessions[0].helper_stack)
    if any(options.as_function for options in sessions):
        helper.require_function_credentials()
    return helper


@dataclass
class _Ends:
    """What an attachment talks to. ``helper`` is looked up again for each further session."""

    target: Target
    helper: HelperStack
    api: ApiClient
    transfer: PayloadTransfer
    claims: SignedClaims

    def create_session(self, options: SessionOptions) -> str:
        """Blocks. The helper stack may have been deployed anew meanwhile, with other URLs."""
        self.helper = _find_helper_stack(self.target, options)
        self.api.move_to(self.helper.management_api_url)
        return self.api.create_session(options.stack_name)


@dataclass(frozen=True)
class _LiveSession:
    """A session that is connected, or was until a moment ago.

    ``end`` is its end, and ``settled`` is done once it has all the functions that it can have.
    """

    session_id: str
    connection: SessionConnection
    end: asyncio.Task[Ended]
    settled: asyncio.Future[None]

    @property
    def has_ended(self) -> bool:
        """Raises the bug that ended it, if one did."""
        if self.end.done() and not self.end.cancelled():
            self.end.result()
        return self.end.done()

    @property
    def is_closed(self) -> bool:
        """Whether the helper stack has said so."""
        return self.has_ended and not self.end.cancelled() and self.end.result().confirmed


@dataclass(frozen=True)
class _Holder:
    """The last session of which it is known that it has functions; whether it has all of them."""

    session_id: str
    is_complete: bool = False


class DetachSwitch:
    """Detaches what is attached to in another thread. Any thread may press it, also before that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._presses = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_press: Callable[[], None] | None = None

    def press(self) -> None:
        """What a signal does: the first lets end what runs, the second abandons that, the next
        one, or the second if nothing runs, waits for nothing.
        """
        with self._lock:
            self._presses += 1
            self._pass_on(1)

    def connect(self, on_press: Callable[[], None]) -> None:
        """Has ``on_press`` called for each time that it is pressed, and was, in this event loop."""
        with self._lock:
            self._loop, self._on_press = asyncio.get_running_loop(), on_press
            self._pass_on(self._presses)

    def _pass_on(self, presses: int) -> None:
        if self._loop is None or self._on_press is None:
            return
        for _ in range(presses):
            with suppress(RuntimeError):  # the loop is closed: all has ended
                self._loop.call_soon_threadsafe(self._on_press)


class _Stopping:
    """Whether the user wants to detach, and whether what runs is not waited for."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.abandon = asyncio.Event()

    def at_once(self) -> None:
        self.stop.set()
        self.abandon.set()


class _Attachment:
    """A stack that is attached to: a session, and those that take its place.

    Another one does so after a loss of the connection, and before API Gateway ends a connection for
    its age. It resumes what the former one held, so no function is changed. One coroutine decides
    all that, while each session runs in a task of its own.
    """

    def __init__(
        self,
        ends: _Ends,
        stack: StackToDebug,
        sharing: int,
        report: Callable[[Any], None],
        timing: Timing,
        collect_layers: CollectLayers,
    ) -> None:
        self._ends = ends
        self._collect_layers = collect_layers
        self._options = stack.session
        self._overrides = stack.overrides
        # So many stacks share the invoker. Their functions' names begin with that of the stack.
        self._sharing = sharing
        self._prefix = name_function("", stack.session.stack_name, sharing)
        self._use(stack.sources)
        # What is reported once there is a connection.
        self._left_out = [*self._told_of_code]
        self._choose_again = stack.choose_again
        self._report_as_it_is = report
        self._timing = timing
        # The session that frames go to.
        self._current: _LiveSession | None = None
        # That one, one that is about to take its place, and those whose place was taken.
        self._connected: list[_LiveSession] = []
        # Ids of sessions that may be open still, the newest last.
        self._open: list[str] = []
        self._holder: _Holder | None = None
        self._was_ready = False
        self._held = HeldFunctions()
        self._tasks = TaskSet(on_bug=self._note_bug)
        self._bug: BaseException | None = None
        self._redeployments = Redeployments(
            self._held,
            Steps(
                self._instrument_again,
                self._find_code_again,
                self._tasks.start,
                self._report,
            ),
        )
        self._outages = Outages(timing, random.random)
        self._replacements = Replacements(timing, random.random)

    def prepare(self, invoker: Invoker, stopping: _Stopping, turn: asyncio.Event) -> None:
        """In the event loop, before anything else. It begins when its ``turn`` comes."""
        self._stopping = stopping
        self._turn = turn
        # Its functions are instrumented, as far as they can be, or it has ended.
        self.has_settled = asyncio.Event()
        self._stop, self._abandon = stopping.stop, stopping.abandon
        self._runner = InvocationRunner(
            self._qualify_all(self._sources),
            self._ends.target.region,
            invoker,
            self._ends.transfer,
            self._ends.claims,
            self._send,
            self._report_as_it_is,
            self._timing,
            # The session ends in order, so that its functions are restored before it is raised.
            on_bug=stopping.at_once,
            overrides=self._overrides.qualify(self._prefix),
            as_function=self._options.as_function,
            collect_layers=self._collect_layers,
            sharing=self._sharing,
            callers_wait=self._options.when_absent is WhenAbsent.WAIT,
        )

    @property
    def stack_name(self) -> str:
        return self._options.stack_name

    @property
    def runs_anything(self) -> bool:
        return bool(self._runner.under_way)

    @property
    def has_connected(self) -> bool:
        """Whether there ever was a connection."""
        return self._holder is not None

    async def stay_attached(self, session_id: str) -> Ended:
        try:
            await self._wait_for_turn()
            if self._turn.is_set():
                ended = await self._until_end(session_id)
            else:
                # Nobody has connected to it.
                self._open, ended = [session_id], _STOPPED
            is_closed = not self._open or await self._close_sessions(self._open)
            ended = replace(ended, confirmed=is_closed)
            self._report(ended)
        finally:
            self.has_settled.set()
            await self._tasks.cancel()
            await self._hang_up()
            await self._runner.close()
        if self._bug is not None:
            raise self._bug
        if not ended.expected:
            raise ConnectionLostError(
                f"The session ended: {ended.reason}.", "Run 'plldb attach' again for a new session."
            )
        return ended

    async def _until_end(self, session_id: str) -> Ended:
        """The end of the last session: one that the user or somebody else has wished."""
        self._take_over(await self._connect(session_id))
        while True:
            live = self._current
            if live is None or live.is_closed or self._stop.is_set():
                break
            if live.has_ended:
                self._take_over(await self._attach_again(live.end.result().reason))
            elif _now() >= self._replacements.at:
                await self._move(live)
            else:
                await self._wait_for_news(live)
        if live is not None and not live.has_ended:
            await self._let_end(live)
        await self._close_in_order()
        ended = _STOPPED if live is None else live.end.result()
        return ended if ended.expected or ended.confirmed else _STOPPED

    async def _wait_for_turn(self) -> None:
        turn = asyncio.create_task(self._turn.wait())
        try:
            await self._wait(turn)
        finally:
            turn.cancel()

    async def _wait_for_news(self, live: _LiveSession) -> None:
        """A session is not replaced while its functions are being instrumented."""
        if live.settled.done():
            await self._wait(live.end, seconds=self._replacements.at - _now())
        else:
            await self._wait(live.end, live.settled)

    async def _wait(self, *news: asyncio.Future[Any], seconds: float | None = None) -> None:
        """Until one of these is done, the user wants to detach, or so much time has passed."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait(
                {*news, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()

    def _report(self, event: AttachEvent) -> None:
        """Names functions as they are called here, and the stack where it is one of several; those
        of whom the helper stack does not know are among the skipped ones.
        """
        if isinstance(event, protocol.Ready):
            event = replace(event, skipped=event.skipped + self._skipped_here)
        told: AttachEvent | OfStack = event
        if self._prefix:
            changes: dict[str, Any] = {}
            if isinstance(function := getattr(event, "function", None), str):
                changes["function"] = self._prefix + function
            if isinstance(functions := getattr(event, "functions", None), tuple):
                changes["functions"] = tuple(self._prefix + one for one in functions)
            if changes:
                told = replace(event, **changes)
            elif not isinstance(event, SessionCreated | Detaching):
                told = OfStack(self.stack_name, event)
        self._report_as_it_is(told)

    def _qualify_all(self, sources: Mapping[str, CodeSource]) -> Mapping[str, CodeSource]:
        return {self._prefix + name: source for name, source in sources.items()}

    # --- One session ------------------------------------------------------------------------------

    async def _create(self) -> str | None:
        """The id of another session; None if the user wants to detach. Raises PlldbError."""
        if self._stop.is_set():
            return None
        create = partial(self._ends.create_session, self._options)
        return await unless_stopped(run_in_thread(create), self._stop)

    async def _connect(self, session_id: str, is_move: bool = False) -> _LiveSession | None:
        """None if the user wants to detach. Raises SessionError, EndpointError."""
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        session = SessionProtocol(session_id, self._make_wish(), self._timing, held=self._held)
        report = partial(self._handle, session, settled, is_move)
        self._open.append(session_id)
        try:
            url = self._ends.helper.websocket_url
            connection = await open_session(
                url, session, report, self._stop, self._timing, self._ends.target.ca_bundle
            )
        except PlldbError:
            # It never opened: of those that wait for a connection, a stack can have so many only.
            self._open.remove(session_id)
            await self._close_sessions([session_id])
            raise
        if connection is None:
            return None
        if self._stop.is_set():
            # Before it asks for anything.
            connection.stop()
        live = _LiveSession(session_id, connection, asyncio.create_task(connection.run()), settled)
        self._connected = [*(one for one in self._connected if not one.has_ended), live]
        return live

    def _make_wish(self) -> Wish:
        holder = self._holder
        return Wish(
            functions=tuple(sorted(self._sources)),
            when_absent=self._options.when_absent,
            # Whoever took a function since then keeps it: two that take over would go on for ever.
            take_over=self._options.take_over and not self._was_ready,
            as_function=self._options.as_function,
            members=self._options.members,
            aliases=self._options.aliases,
            former=None if holder is None else holder.session_id,
            is_complete=holder is not None and holder.is_complete,
        )

    def _take_over(self, live: _LiveSession | None) -> None:
        """It is the current one from now on. What was lost meanwhile is sent again."""
        self._current = live
        if live is not None:
            logger.info("session %s is the current one", shortened(live.session_id))
            self._replacements.connected(_now())
            self._runner.replies.repeat_all()

    def _send(self, frame: str) -> None:
        """What is lost here is sent again, once there is another connection."""
        if self._current is not None:
            self._current.connection.send(frame)

    def _handle(
        self,
        session: SessionProtocol,
        settled: asyncio.Future[None],
        is_move: bool,
        event: SessionEvent,
    ) -> None:
        match event:
            case protocol.InvocationArrived():
                self._runner.start(replace(event, function=self._prefix + event.function))
            case protocol.Replied():
                self._runner.replies.take(event)
            case protocol.Ended():
                self._end_invocations(session.session_id, event)
            case _:
                self._note(session.session_id, event)
                if session.is_ready and not settled.done():
                    settled.set_result(None)
                    self.has_settled.set()
                    self._outages.works()
                    self._open = [session.session_id]
                is_told = self._redeployments.follow(event)
                if is_told and not (is_move and isinstance(event, protocol.Connected)):
                    self._report(event)
        if isinstance(event, protocol.Connected):
            while self._left_out:
                self._report(self._left_out.pop(0))

    def _note(self, session_id: str, event: SessionEvent) -> None:
        """Keeps what a further session has to know."""
        holder = self._holder or _Holder(session_id)
        match event:
            case protocol.Connected():
                self._outages.connected(_now())
                self._holder = holder
            case protocol.Resumed():
                self._holder = replace(holder, session_id=session_id)
            case protocol.Instrumented():
                if holder.session_id != session_id:
                    self._holder = _Holder(session_id)
                self._runner.add_function(replace(event, function=self._prefix + event.function))
            case protocol.Ready():
                self._holder = _Holder(session_id, is_complete=True)
                self._was_ready = True
                self._runner.take_ready(event.max_waiting)

    # --- Another deployment -----------------------------------------------------------------------

    def _instrument_again(self, functions: tuple[str, ...]) -> None:
        if self._current is not None:
            self._current.connection.instrument_again(functions)

    async def _find_code_again(self) -> frozenset[str]:
        """The logical ids of the functions whose code is here now. Raises PlldbError."""
        if self._choose_again is not None:
            chosen = await run_in_thread(self._choose_again)
            for event in _list_left_out(chosen):
                if event not in self._told_of_code:
                    self._report(event)
            self._use(chosen)
            self._runner.use_sources(self._qualify_all(chosen.found))
        return frozenset(self._sources)

    def _use(self, sources: ChosenSources) -> None:
        self._sources = sources.found
        self._told_of_code = _list_left_out(sources)
        # Whom the helper stack is not asked for.
        self._skipped_here = len(sources.left_out) + len(sources.unchosen)

    def _end_invocations(self, session_id: str, ended: Ended) -> None:
        """No session takes the place of one that is closed. Its connection is there a moment more.

        Of one that was to take the place of the current one, it is no matter.
        """
        is_current = self._current is not None and self._current.session_id == session_id
        if ended.confirmed and (is_current or self._stop.is_set()):
            self._runner.abort()

    # --- Another session in its place -------------------------------------------------------------

    async def _move(self, former: _LiveSession) -> None:
        """API Gateway ends every connection after 2 hours. It stays the current one if it fails."""
        try:
            problem = await self._try_to_move(former)
        except PlldbError as error:
            problem = error.message
        if problem is not None and not former.has_ended:
            self._report(MoveFailed(problem, self._replacements.failed(_now())))

    async def _try_to_move(self, former: _LiveSession) -> str | None:
        """Why it failed; None if there is another current session, or if all are to end."""
        session_id = await self._create()
        live = None if session_id is None else await self._connect(session_id, is_move=True)
        if live is None:
            return None
        await self._wait(live.end, live.settled, seconds=self._timing.silence)
        if self._stop.is_set() or former.is_closed:
            return None
        if live.has_ended or not live.settled.done():
            live.end.cancel()
            return "the new session did not get ready"
        self._take_over(live)
        former.connection.retire()
        return None

    async def _attach_again(self, reason: str) -> _LiveSession | None:
        """None if the user wants to detach. Raises what can't be helped."""
        self._outages.lost(_now())
        while (delay := self._outages.delay(_now())) is not None:
            logger.info("attempt %d in %.2f s: %s", self._outages.attempt, delay, reason)
            self._report(Reconnecting(self._outages.attempt, round(delay, 2), reason))
            await self._wait(seconds=delay)
            try:
                session_id = await self._create()
                if session_id is None:
                    return None
                self._report(SessionCreated(shortened(session_id), self._options.stack_name))
                return await self._connect(session_id)
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

    # --- The end ----------------------------------------------------------------------------------

    async def _let_end(self, live: _LiveSession) -> None:
        """Waits for what runs, unless it is to be abandoned; nothing more is accepted meanwhile.

        The functions are restored after that, since an emulator may end a worker whose function is
        changed, and with it the caller that waits for this machine's answer.
        """
        self._runner.leave()
        idle = asyncio.create_task(self._runner.wait_until_idle())
        abandon = asyncio.create_task(self._abandon.wait())
        try:
            while self._runner.under_way and not self._abandon.is_set() and not live.has_ended:
                seconds = max(run.deadline for run in self._runner.under_way) - time.time()
                running = [(run.function, run.request_id) for run in self._runner.under_way]
                self._report(Detaching(tuple(running), max(0.0, round(seconds, 1))))
                await asyncio.wait(
                    {idle, abandon, live.end},
                    timeout=max(_SHORTEST_COUNTDOWN_SECONDS, seconds / 2),
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            idle.cancel()
            abandon.cancel()
        self._runner.abort()

    async def _close_in_order(self) -> None:
        """Closes all that is connected, and waits for the helper stack to say that it is closed."""
        self._runner.leave()
        for live in self._connected:
            live.connection.stop()
        if self._connected:
            await asyncio.wait([live.end for live in self._connected])
        closed = [live.session_id for live in self._connected if live.is_closed]
        self._open = [session_id for session_id in self._open if session_id not in closed]

    async def _give_up(self, reason: str) -> None:
        await self._close_sessions(self._open)
        self._report(Ended(expected=False, confirmed=False, reason=reason))

    async def _close_sessions(self, session_ids: Iterable[str]) -> bool:
        """Has functions restored now, rather than once the helper stack notices; whether it did."""
        api, stack_name = self._ends.api, self._options.stack_name
        calls = [
            # With the stack's name: some may close sessions of that stack only.
            run_in_thread(partial(api.close_session, session_id, stack_name))
            for session_id in session_ids
        ]
        try:
            async with asyncio.timeout(self._timing.farewell):
                problems = await asyncio.gather(*calls, return_exceptions=True)
        except TimeoutError:
            return False
        return not any(isinstance(problem, BaseException) for problem in problems)

    def _note_bug(self, bug: BaseException) -> None:
        self._bug = self._bug or bug
        self._stopping.at_once()

    async def _hang_up(self) -> None:
        for live in self._connected:
            live.end.cancel()
        await asyncio.gather(*(live.end for live in self._connected), return_exceptions=True)


# --- Several at once ------------------------------------------------------------------------------


async def _until_told(
    attachments: Sequence[_Attachment],
    session_ids: Sequence[str],
    invoker: Invoker,
    claims: SignedClaims,
    switch: DetachSwitch | None,
) -> list[Ended]:
    """The ends of all. Raises the first error that ended one, once all have ended."""
    stopping = _Stopping()
    # One after the other: together, they would make more calls a second than Lambda takes.
    turn = asyncio.Event()
    turn.set()
    for attachment in attachments:
        attachment.prepare(invoker, stopping, turn)
        turn = attachment.has_settled
    stop = _make_stop(attachments, stopping)
    if switch is None:
        _stop_on_signals(stop, stopping)
    else:
        switch.connect(stop)
    stays = {
        asyncio.create_task(attachment.stay_attached(session_id)): attachment
        for attachment, session_id in zip(attachments, session_ids, strict=True)
    }
    try:
        async with claims:
            try:
                return await _await_all(stays, stopping)
            finally:
                await _end_at_once(stays)
                await invoker.close()
    except asyncio.CancelledError:
        restoring = " and ".join(
            f"plldb restore --stack-name {attachment.stack_name}" for attachment in attachments
        )
        raise ConnectionLostError(
            "Detaching was interrupted; the helper stack restores the functions by itself.",
            f"To be sure: {restoring}",
        ) from None


async def _end_at_once(stays: Iterable[asyncio.Task[Ended]]) -> None:
    """Of those that are not over: whoever cancels this cancels what they do to end."""
    left = {stay for stay in stays if not stay.done()}
    while left:
        for stay in left:
            stay.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait(left)
        left = {stay for stay in left if not stay.done()}


async def _await_all(
    stays: Mapping[asyncio.Task[Ended], _Attachment], stopping: _Stopping
) -> list[Ended]:
    """If one can't be attached to at first, the others end, too; if one is lost, they go on."""
    errors: list[BaseException] = []
    left = {*stays}
    while left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for stay in done:
            error = stay.exception()
            if error is not None:
                errors.append(error)
                if not isinstance(error, PlldbError) or not stays[stay].has_connected:
                    stopping.at_once()
    if errors:
        raise errors[0]
    return [stay.result() for stay in stays]


def _make_stop(attachments: Sequence[_Attachment], stopping: _Stopping) -> Callable[[], None]:
    """What lets end what runs, when it is called; the second time it abandons that; and the third
    time, or the second if nothing runs, it waits for nothing.
    """
    this = asyncio.current_task()
    assert this is not None

    def stop() -> None:
        if not stopping.stop.is_set():
            logger.info("told to detach")
            stopping.stop.set()
        elif any(one.runs_anything for one in attachments) and not stopping.abandon.is_set():
            logger.info("told to abandon what runs")
            stopping.abandon.set()
        else:
            logger.info("told to detach at once")
            this.cancel()

    return stop


def _stop_on_signals(stop: Callable[[], None], stopping: _Stopping) -> None:
    """Each signal calls ``stop``. SIGHUP is the first two at once."""
    loop = asyncio.get_running_loop()

    def on_hangup() -> None:
        logger.info("the terminal is gone")
        forget_terminal()
        stopping.at_once()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        loop.add_signal_handler(signal.SIGHUP, on_hangup)


def _list_left_out(sources: ChosenSources) -> list[AttachEvent]:
    events: list[AttachEvent] = [
        protocol.Skipped(function, reason) for function, reason in sorted(sources.left_out.items())
    ]
    events += [
        protocol.Skipped(function, "--function leaves it out", is_unchosen=True)
        for function in sorted(sources.unchosen)
    ]
    events += [
        protocol.Warned(function, message) for function, message in sorted(sources.warnings.items())
    ]
    events += [
        protocol.Warned(function, source.use)
        for function, source in sorted(sources.found.items())
        if source.use
    ]
    return events if sources.found else [*events, NothingToDebug(sources.why_none)]


def _now() -> float:
    return asyncio.get_running_loop().time()


_STOPPED = Ended(expected=True, confirmed=False, reason="detached while disconnected")
