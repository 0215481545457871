"""Runs invocations on this machine, each in a child process that is warm if it can be.

::

    invoke → queue (max_concurrency) → child: idle and fresh, or a new one → Outcome
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plldb.bootstrap.cloudformation.lambda_functions.shared.ids import shortened
from plldb.debugger.children.child import (
    Child,
    ChildExitedError,
    ChildFailedError,
    Launch,
    Listener,
    OutputLine,
    Reply,
)
from plldb.debugger.children.child_environment import (
    choose_environ,
    find_fallback_packages,
    make_child_environment,
)
from plldb.debugger.children.editor_ports import Address, EditorPorts
from plldb.debugger.children.file_changes import LoadedFiles, find_changes
from plldb.debugger.children.interpreter import Interpreter, check_interpreter
from plldb.debugger.children.layers import BuiltPackages, find_built_packages, list_layer_paths
from plldb.debugger.children.local_function import (
    NO_DEBUGGER,
    DebugMode,
    Debugpy,
    LocalFunction,
    Pdb,
)
from plldb.debugger.children.role_lender import Identity, RoleLender
from plldb.debugger.children.runtime.frames import ErrorReport, make_error_report
from plldb.debugger.children.terminal import Line, Terminal
from plldb.errors import SourceError

if TYPE_CHECKING:
    from plldb.credentials import Credentials
    from plldb.debugger.children.runtime.frames import Header

logger = logging.getLogger(__name__)

RUNTIME = Path(__file__).with_name("runtime") / "__main__.py"
# So long before the end of a paused invocation, its developer is warned; or when this part of the
# time at the first pause is left, if that is less.
_WARNING_SECONDS, _WARNING_PART = 10.0, 1 / 3
# Files that have changed; of more, a log line has only the number.
_SHOWN_CHANGES = 5
# How long an import may take before it is left to the first invocation.
_IMPORT_SECONDS = 30.0
# So long before its deadline, or when this part of the time at its failure is left, the caller gets
# the error that a developer still looks at: later, it would not come to them.
_ANSWERING_SECONDS, _ANSWERING_PART = 2.0, 1 / 5
# After that time, an import that failed is tried again though nothing that it read has changed.
_RETRY_SECONDS = 5.0
# What takes no longer than that is done at once: on a busy machine, to hand it to a thread and to
# hear from that takes as long.
_QUICK_LOOK_SECONDS = 0.002


# --- What goes in and comes out -------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Either ``result``, JSON text, or ``error``; or ``raw``, bytes that are no JSON, in base64.

    ``was_paused``: a debugger had the invocation, or was waited for, when its time was over; an
    error that was looked at then is its ``error``.
    ``queued_ms`` and ``ran_ms`` say how long it waited for its turn, and took then; None if it did
    not come to that.
    """

    result: str | None
    error: ErrorReport | None
    was_paused: bool = False
    raw: str | None = None
    queued_ms: float | None = field(default=None, compare=False)
    ran_ms: float | None = field(default=None, compare=False)

    def to_body(self) -> str:
        """The outcome as the function gets it: see ``wire``. The result's text stays as it is."""
        if self.error is not None:
            return json.dumps({"error": self.error})
        if self.raw is not None:
            return json.dumps({"base64": self.raw})
        return f'{{"result": {self.result}}}'


class RunState(Enum):
    QUEUED = "queued"
    RUNNING = "running"
    # A debugger has it. If that is pdb, it has the terminal, too: nobody else may write to it.
    PAUSED = "paused"
    AWAITING_DEBUGGER = "awaiting debugger"
    FINISHED = "finished"


@dataclass(frozen=True)
class Progress:
    """An invocation's state has changed. ``deadline`` is in seconds since the epoch.

    ``waiting`` and ``running`` count all invocations; one that is paused is running. ``says_time``:
    it is paused by a debugger whose prompt says how much time is left.
    """

    request_id: str
    function: str
    deadline: float
    state: RunState
    waiting: int = 0
    running: int = 0
    says_time: bool = False


@dataclass(frozen=True)
class OutputWritten:
    """A line that a function's code wrote, without its end: see ``OutputLine`` for ``stream`` and
    ``request_id``. ``time`` is when it came out, in seconds since the epoch.
    """

    function: str
    request_id: str | None
    time: float
    stream: str
    text: str = field(repr=False)


InvokerEvent = Progress | OutputWritten


def _ignore(*_: object) -> None:
    pass


# --- The invoker ----------------------------------------------------------------------------------


@dataclass(eq=False)
class _Worker:
    """A child with what it was started for.

    ``used`` is when it was, by the loop's clock. ``has_borrowed``: a debugger in it talks.
    ``overdue`` comes when the time is over for looking at an error. ``look_seconds`` is what it
    took the last time to look for changes.
    """

    child: Child
    function: LocalFunction
    listener: Listener
    identity: Identity
    line: Line | None = None
    used: float = 0.0
    has_borrowed: bool = False
    overdue: asyncio.TimerHandle | None = None
    look_seconds: float = float("inf")

    def look_for_changes(self) -> list[str]:
        """The files that have changed since the child has loaded them."""
        began = time.perf_counter()
        changes = find_changes(self.child.loaded)
        self.look_seconds = time.perf_counter() - began
        return changes


@dataclass(frozen=True)
class _Refusal:
    """Why a function could not be prepared, what it had loaded by then, and when that was."""

    function: LocalFunction
    error: SourceError
    loaded: LoadedFiles
    time: float


class Invoker:
    """Children for any number of functions, ``max_concurrency`` invocations at once over all.

    While pdb is on, it is one at once; with debugpy, one for each function, so that an editor knows
    what it is attached to. Others wait in the order of their arrival. There are never more than
    ``max_concurrency`` children: one that is needed takes the place of the one that was idle for
    the longest time. Only with debugpy, each function that was called keeps its own, since an
    editor may be attached. ``credentials`` are variables for the AWS SDK, of the target that the
    developer works with: see ``serving_target``. A child finds no other credentials, so it can't
    reach another account by accident. Those of functions that run under their own roles have what
    the ``lender`` lends them instead.

    ``on_output`` gets each line that a function wrote. Both callbacks are called in the event loop.
    ``fallback_packages`` are folders of packages, by their names,
    that the project need not have; see ``find_fallback_packages`` for the default. ``patience`` is
    how many seconds a child gets for each step of its end, which see child.py for. Raises
    SourceError if there is no terminal for pdb, or if ``python`` is a path (which see
    ``find_interpreter`` for) and no Python.
    """

    def __init__(
        self,
        *,
        python: Interpreter | Path,
        debug: DebugMode = NO_DEBUGGER,
        max_concurrency: int = 10,
        on_output: Callable[[OutputWritten], None] = _ignore,
        on_progress: Callable[[Progress], None] = _ignore,
        credentials: Mapping[str, str] | None = None,
        lender: RoleLender | None = None,
        environ: Mapping[str, str] = os.environ,
        fallback_packages: Mapping[str, str] | None = None,
        patience: float = 1.0,
    ) -> None:
        if isinstance(python, Path):
            python = check_interpreter(python, "the interpreter")
        if fallback_packages is None:
            fallback_packages = find_fallback_packages(python, debug)
        self.python = python
        self._debug = debug
        self._on_output = on_output
        self._on_progress = on_progress
        self._credentials = dict(credentials or {})
        self._lender = lender
        self._environ = choose_environ(environ, debug)
        self._max_children = max_concurrency
        self._slots = asyncio.Semaphore(1 if isinstance(debug, Pdb) else max_concurrency)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._idle: dict[str, list[_Worker]] = defaultdict(list)
        self._workers: list[_Worker] = []
        self._refusals: dict[str, _Refusal] = {}
        # One for each child that is being started, or ended.
        self._starts: set[asyncio.Future[None]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        # Is done when a child of a function has been started, by the function's logical id.
        self._arrivals: dict[str, asyncio.Future[None]] = {}
        self._ports = EditorPorts(debug.host, debug.port) if isinstance(debug, Debugpy) else None
        self._progress: dict[int, Progress] = {}
        self._closing = asyncio.Event()
        self._patience = patience
        self._fallback_packages = dict(fallback_packages)
        self._terminal = Terminal(debug.terminal) if isinstance(debug, Pdb) else None
        logger.info("functions run under %s, Python %s", python.path, python.version_text)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many invocations wait for their turn."""
        return sum(one.state is RunState.QUEUED for one in self._progress.values())

    @property
    def running(self) -> int:
        return len(self._progress) - self.waiting

    def assign_debug_address(self, logical_id: str) -> tuple[str, int]:
        """Where an editor attaches to a function: ports are given out in the order of asking.

        Raises SourceError if there is none to be had.
        """
        assert self._ports is not None
        return self._ports.assign(logical_id)

    @property
    def warm_limit(self) -> int:
        """How many functions it is of use to prepare before any of them is called."""
        return self._max_children

    @property
    def keeps_children(self) -> bool:
        """Whether a child that was started for a function stays, whatever else is called."""
        return isinstance(self._debug, Debugpy)

    async def prepare(self, function: LocalFunction) -> None:
        """Has the handler imported in a child that stays; with debugpy, an editor can attach then.

        An import that stops at a breakpoint, that takes long, or that asks for credentials which
        only an invocation brings, is left to the first invocation.
        Raises SourceError, in words for the developer, if the child or its debugger can't be
        started, or if the handler can't be imported: at once, if nothing has changed since that
        turned out the last time.
        """
        refusal = self._refusals.pop(function.logical_id, None)
        if refusal is not None and await self._holds_still(refusal, function):
            self._refusals[function.logical_id] = refusal
            raise refusal.error
        async with self._take_turn(function), self._slots:
            await self._prepare_in_turn(function)

    async def _prepare_in_turn(self, function: LocalFunction) -> None:
        worker, is_changed = await self._get_worker(function)
        try:
            is_warm = await self._import(worker, is_changed)
        except (SourceError, ChildFailedError, ChildExitedError) as problem:
            error = self._explain(function, problem)
            now = asyncio.get_running_loop().time()
            loaded = worker.child.loaded
            self._refusals[function.logical_id] = _Refusal(function, error, loaded, now)
            # With debugpy, an editor can attach all the same.
            self._keep(worker, is_reusable=False)
            raise error from None
        except BaseException:
            self._retire(worker)
            raise
        if is_warm:
            self._keep(worker, is_reusable=True)
        else:
            self._retire(worker)

    async def _holds_still(self, refusal: _Refusal, function: LocalFunction) -> bool:
        is_fresh = asyncio.get_running_loop().time() - refusal.time < _RETRY_SECONDS
        if refusal.function != function or not is_fresh:
            return False
        return not await asyncio.to_thread(find_changes, refusal.loaded)

    async def _import(self, worker: _Worker, is_changed: bool) -> bool:
        """Whether the child has the code, so that it is of use. Raises SourceError."""
        child, identity = worker.child, worker.identity
        if isinstance(self._debug, Debugpy):
            await child.wait_ready()
            # What asks for credentials must not fail in front of an editor.
            if self._debug.wait_for_client or identity.comes_with_invocations:
                return True
        is_stopped = asyncio.Event()
        identity.on_refusal = partial(
            asyncio.get_running_loop().call_soon_threadsafe, is_stopped.set
        )
        # An editor may have stopped it, at a breakpoint of a module.
        patience = None if isinstance(self._debug, Debugpy) else _IMPORT_SECONDS
        if isinstance(self._debug, Pdb):
            worker.listener.on_frame = lambda _: is_stopped.set()
        if worker.line is not None:
            # As a program does that asks at /dev/tty.
            worker.line.on_talk = is_stopped.set
        importing = asyncio.create_task(child.import_handler(is_changed))
        stopping = asyncio.create_task(is_stopped.wait())
        try:
            await asyncio.wait(
                {importing, stopping},
                timeout=patience,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not importing.done() or identity.was_missed:
                name = worker.function.logical_id
                logger.info("the import of %s is left to its first invocation", name)
                return False
            reply = importing.result()
        finally:
            importing.cancel()
            stopping.cancel()
            if worker.line is not None:
                worker.line.on_talk = _ignore
            identity.on_refusal = _ignore
        if reply.error is not None:
            what = f"{reply.error['errorType']}: {reply.error['errorMessage']}"
            raise SourceError(f"{worker.function.handler} can't be imported: {what}.", reply.remedy)
        return True

    def _explain(
        self, function: LocalFunction, problem: SourceError | ChildFailedError | ChildExitedError
    ) -> SourceError:
        """What is wrong with a function's code, with the interpreter and the folder."""
        python = function.interpreter or self.python
        where = f"{python.path} is Python {python.version_text}"
        where = f"{where}, and the code is in {function.code_dir}."
        match problem:
            case ChildFailedError():
                return SourceError(problem.message, problem.hint)
            case ChildExitedError():
                what = _describe_exit(problem.status)
                return SourceError(f"{function.handler} can't be imported: {what}.", where)
        return SourceError(problem.message, problem.hint or where)

    async def invoke(
        self,
        function: LocalFunction,
        event: str,
        context: dict[str, Any],
        deadline: float,
        credentials: Credentials | None = None,
    ) -> Outcome:
        """Runs one invocation; what goes wrong with it is in the outcome, as Lambda would say it.

        ``event`` is JSON text, ``context`` has the attributes of Lambda's context object, and
        ``deadline`` is in seconds since the epoch: whoever waits for the outcome gives up then, so
        the child is ended. Cancelling this ends the child, too. ``credentials`` are what the child
        is lent until then, if the function runs under its own role.
        """
        request_id = str(context.get("aws_request_id") or "")
        allowed = max(0.0, deadline - time.time())
        progress = _Tracker(
            self, Progress(request_id, function.logical_id, deadline, RunState.QUEUED)
        )
        if self._terminal is not None and self._terminal.is_lent:
            who = f"{function.logical_id}  {shortened(request_id)}"
            self._terminal.say(f"  {who}  waits for its turn, {self.waiting} wait")
        try:
            async with asyncio.timeout(allowed) as timer:
                run = self._run(function, event, context, deadline, progress, credentials)
                reply = await run
                return Outcome(
                    reply.result, reply.error, reply.is_overdue, reply.raw, *progress.measure()
                )
        except ChildExitedError as exited:
            kind, what = "Runtime.ExitError", _describe_exit(exited.status)
        except (ChildFailedError, SourceError) as failure:
            kind = "Runtime.InvalidEntrypoint"
            what = f"{failure.message} {failure.hint or ''}".strip()
        except TimeoutError:
            if not timer.expired():
                raise
            kind, what = "Sandbox.Timedout", f"Task timed out after {allowed:.2f} seconds"
        finally:
            was_paused = progress.state in (RunState.PAUSED, RunState.AWAITING_DEBUGGER)
            progress.change(RunState.FINISHED)
        logger.info("invocation %s of %s: %s", request_id, function.logical_id, what)
        error = _report_failure(kind, request_id, what)
        is_late = was_paused and kind == "Sandbox.Timedout"
        return Outcome(None, error, is_late, None, *progress.measure())

    async def close(self) -> None:
        """Ends all children and waits until they are gone; an invocation that runs has failed.

        They end side by side, so that it takes no longer than the last of them. If this is
        cancelled, they are killed at once.
        """
        self._closing.set()
        try:
            while self._starts:
                await asyncio.wait(self._starts)
            for worker in list(self._workers):
                self._retire(worker)
            await self._wait_for_ends()
        finally:
            for task in self._ends:
                task.cancel()
            if self._ports is not None:
                await self._ports.close()
            if self._terminal is not None:
                self._terminal.close()

    def discard(self) -> None:
        """Instead of ``close``, for one that was never used: gives ports and terminal back."""
        if self._ports is not None:
            self._ports.release()
        if self._terminal is not None:
            self._terminal.close()

    async def _run(
        self,
        function: LocalFunction,
        event: str,
        context: dict[str, Any],
        deadline: float,
        progress: _Tracker,
        credentials: Credentials | None,
    ) -> Reply:
        async with self._take_turn(function), self._slots:
            progress.change(RunState.RUNNING)
            worker, is_changed = await self._get_worker(function)
            header = {"isChanged": is_changed, "context": context, "deadline": deadline}
            reply = await self._ask(worker, header, event, progress, credentials)
            while reply.wants_retry:
                logger.info("invocation %s is run again", progress.request_id)
                worker = await self._replace(worker)
                header["isChanged"] = False
                reply = await self._ask(worker, header, event, progress, credentials)
            # A thread that is left at a prompt would have the keys of later invocations.
            self._keep(worker, is_reusable=reply.is_loaded and not worker.has_borrowed)
        return reply

    async def _ask(
        self,
        worker: _Worker,
        header: Header,
        event: str,
        progress: _Tracker,
        credentials: Credentials | None,
    ) -> Reply:
        worker.listener.on_frame = partial(self._follow_debugger, worker, progress)
        self._attend_line(worker, progress)
        logger.debug("child %d gets invocation %s", worker.child.pid, progress.request_id)
        worker.identity.lend(credentials)
        try:
            return await worker.child.request(header, event)
        except BaseException:
            self._retire(worker)
            raise
        finally:
            worker.identity.take_back()
            self._end_turn(worker)

    async def _replace(self, worker: _Worker) -> _Worker:
        """A new child in the place of one, which has ended by then: so it holds no port or lock."""
        self._retire(worker)
        await self._wait_for_ends()
        await self._make_room()
        return await self._start(worker.function)

    @contextlib.asynccontextmanager
    async def _take_turn(self, function: LocalFunction) -> AsyncIterator[None]:
        if self._ports is None:
            yield
            return
        await self.serve_editors(function)
        async with self._turns[function.logical_id]:
            yield

    async def serve_editors(self, function: LocalFunction) -> None:
        """With debugpy: an editor can attach from now on, for which a child is started then."""
        if self._ports is not None:
            find = partial(self._find_debugpy, function)
            await self._ports.serve(function.logical_id, find)

    async def _find_debugpy(self, function: LocalFunction) -> Address | None:
        """Where the debugpy of a function's child listens; a child is started if there is none.

        None if no child can be had: whoever prepares or invokes the function is told why.
        """
        while (worker := self._find_worker(function)) is None:
            arrival = self._arrivals.setdefault(
                function.logical_id, asyncio.get_running_loop().create_future()
            )
            # An invocation may start one, too, and need not end until an editor is there.
            starting = asyncio.create_task(self._start_for_editor(function))
            either: set[asyncio.Future[Any]] = {starting, arrival}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.result() and self._find_worker(function) is None:
                return None
        try:
            ready = await worker.child.wait_ready()
        except (ChildFailedError, ChildExitedError):
            return None
        return ready["host"], ready["port"]

    async def _start_for_editor(self, function: LocalFunction) -> bool:
        async with self._turns[function.logical_id]:
            try:
                if self._find_worker(function) is None:
                    await self._prepare_in_turn(function)
            except (SourceError, ChildExitedError) as error:
                logger.info("no child for an editor of %s: %s", function.logical_id, error)
                return False
        return True

    def _find_worker(self, function: LocalFunction) -> _Worker | None:
        """The child that a function has, whatever it does."""
        return next(
            (
                one
                for one in reversed(self._workers)
                if one.function.logical_id == function.logical_id and one.child.is_usable
            ),
            None,
        )

    def _follow_debugger(self, worker: _Worker, progress: _Tracker, header: Header) -> None:
        match header["type"]:
            case "paused":
                worker.has_borrowed = True
                worker.child.flush_output()
                self._lend_terminal(worker, progress, header["saysTime"])
                worker.child.go()
            case "unhandled":
                self._answer_in_time(worker, progress, header)
            case "stopped":
                progress.change(RunState.PAUSED)
            case "waiting":
                progress.change(RunState.AWAITING_DEBUGGER)
            case "resumed":
                progress.change(RunState.RUNNING)

    def _answer_in_time(self, worker: _Worker, progress: _Tracker, header: Header) -> None:
        """The developer looks at an error: so long, and no longer, its caller waits."""
        error = header["error"]
        if error is None:
            what = _describe_exit(header["status"])
            error = _report_failure("Runtime.ExitError", progress.request_id, what)
        reply = Reply(None, error, is_loaded=False, is_overdue=True)
        left = progress.deadline - time.time()
        left -= min(_ANSWERING_SECONDS, left * _ANSWERING_PART)
        loop = asyncio.get_running_loop()
        worker.overdue = loop.call_later(left, worker.child.answer_for_it, reply)

    # --- The terminal ---------------------------------------------------------

    def _attend_line(self, worker: _Worker, progress: _Tracker) -> None:
        """What becomes of the terminal while an invocation runs."""
        if worker.line is None:
            return

        def on_talk() -> None:
            # A program that opens the terminal by itself may ask for something.
            if progress.state is not RunState.PAUSED:
                self._lend_terminal(worker, progress, says_time=False)

        def on_return() -> None:
            worker.has_borrowed = False
            self._take_terminal_back(progress)
            worker.child.go()

        worker.line.on_talk, worker.line.on_return = on_talk, on_return

    def _lend_terminal(self, worker: _Worker, progress: _Tracker, says_time: bool) -> None:
        assert self._terminal is not None
        assert worker.line is not None
        progress.change(RunState.PAUSED, says_time)
        self._terminal.lend(worker.line)
        if not progress.has_warning:
            left = progress.deadline - time.time()
            before = min(_WARNING_SECONDS, left * _WARNING_PART)
            progress.warn_after(left - before, partial(self._warn, progress))

    def _take_terminal_back(self, progress: _Tracker) -> None:
        assert self._terminal is not None
        self._terminal.take_back()
        progress.change(RunState.RUNNING)

    def _warn(self, progress: _Tracker) -> None:
        if self._terminal is not None and self._terminal.is_lent:
            left = max(0, progress.deadline - time.time())
            self._terminal.say(
                f"{progress.function}: {left:.0f} s left to answer; then its caller gets an error."
            )

    def _end_turn(self, worker: _Worker) -> None:
        """Leaves the terminal as it was, and nothing that was typed for the next invocation."""
        if worker.overdue is not None:
            worker.overdue.cancel()
        if self._terminal is not None and worker.line is not None:
            worker.line.on_talk = worker.line.on_return = _ignore
            self._terminal.end_turn(worker.line)

    # --- Children -------------------------------------------------------------

    async def _get_worker(self, function: LocalFunction) -> tuple[_Worker, bool]:
        """A child to use, and whether it must read its code again.

        Only with debugpy it must: a new child would cost the editor its connection.
        """
        worker, is_changed = await self._take_idle(function)
        if worker is None:
            await self._make_room()
            worker = await self._start(function)
        return worker, is_changed

    async def _take_idle(self, function: LocalFunction) -> tuple[_Worker | None, bool]:
        """An idle child that still serves, if there is one; others of no use are ended.

        The second value tells whether the code has changed since that child read it.
        """
        idle = self._idle[function.logical_id]
        while idle:
            worker = idle.pop()
            is_same = worker.function == function and worker.child.is_usable
            is_same = is_same and not worker.identity.was_missed
            changes = await self._find_changes(worker) if is_same else []
            # It may have ended meanwhile.
            is_same = is_same and worker.child.is_usable
            if is_same and (not changes or self.keeps_children):
                return worker, bool(changes)
            self._retire(worker)
        return None, False

    async def _find_changes(self, worker: _Worker) -> list[str]:
        try:
            if worker.look_seconds <= _QUICK_LOOK_SECONDS:
                changes = worker.look_for_changes()
            else:
                changes = await asyncio.to_thread(worker.look_for_changes)
        except BaseException:
            self._retire(worker)
            raise
        if changes:
            shown, name = ", ".join(changes[:_SHOWN_CHANGES]), worker.function.logical_id
            logger.info("%s: %d files have changed: %s", name, len(changes), shown)
        return changes

    async def _make_room(self) -> None:
        """Returns once there may be another child: what is idle, and is called least, must go.

        Whoever calls this has one of the slots, of which there are not more than children may be.
        """
        while not self.keeps_children and self._count_children() >= self._max_children:
            idle = [worker for workers in self._idle.values() for worker in workers]
            if idle and not self._ends:
                oldest = min(idle, key=lambda worker: worker.used)
                self._idle[oldest.function.logical_id].remove(oldest)
                self._retire(oldest)
            waits = {*self._ends, *self._starts}
            if not waits:
                return
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    def _count_children(self) -> int:
        return len(self._workers) + len(self._ends) + len(self._starts)

    def _report_line(self, function: str, line: OutputLine) -> None:
        self._on_output(
            OutputWritten(function, line.request_id, time.time(), line.stream, line.text)
        )

    async def _start(self, function: LocalFunction) -> _Worker:
        if self._closing.is_set():
            raise ChildExitedError(0)
        listener = Listener(
            on_line=partial(self._report_line, function.logical_id), on_frame=_ignore
        )
        starting = asyncio.get_running_loop().create_future()
        self._starts.add(starting)
        line = None
        identity = self._make_identity(function)
        try:
            packages = await asyncio.to_thread(find_built_packages, function)
            line = None if self._terminal is None else self._terminal.open_line()
            launch = self._make_launch(function, line, packages, identity.environment)
            child = await Child.start(launch, listener)
            worker = _Worker(child, function, listener, identity, line)
            self._workers.append(worker)
            if arrival := self._arrivals.pop(function.logical_id, None):
                arrival.set_result(None)
            if line is not None:
                line.pid = child.pid
        except BaseException as error:
            if line is not None:
                line.close()
            identity.close()
            if not isinstance(error, OSError):
                raise
            raise SourceError(
                f"{function.logical_id} can't be started in {function.code_dir}: "
                f"{error.strerror or error}."
            ) from error
        finally:
            self._starts.discard(starting)
            starting.set_result(None)
        logger.debug("child %d is for %s", child.pid, function.logical_id)
        return worker

    def _make_identity(self, function: LocalFunction) -> Identity:
        if function.as_function:
            assert self._lender is not None
            return self._lender.lend_role()
        return Identity(self._credentials)

    def _keep(self, worker: _Worker, is_reusable: bool) -> None:
        """Keeps a child for later, until another one needs its place."""
        worker.listener.on_frame = _ignore
        worker.used = asyncio.get_running_loop().time()
        # With debugpy it reads its code again before the next invocation.
        if (is_reusable or self.keeps_children) and worker.child.is_usable:
            self._idle[worker.function.logical_id].append(worker)
        else:
            self._retire(worker)

    def _retire(self, worker: _Worker) -> None:
        """Has a child ended while others go on. One that is ending already is left to that."""
        if worker in self._workers:
            self._workers.remove(worker)
            worker.listener.on_frame = _ignore
            worker.identity.close()
            self._end_turn(worker)
            if worker.line is not None:
                worker.line.mute()
            worker.child.kill_if_stopped()
            task = asyncio.create_task(self._end(worker))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _end(self, worker: _Worker) -> None:
        try:
            await worker.child.end()
        finally:
            if worker.line is not None:
                worker.line.close()

    async def _wait_for_ends(self) -> None:
        while self._ends:
            done, _ = await asyncio.wait(self._ends)
            for task in done:
                task.result()

    def _make_launch(
        self,
        function: LocalFunction,
        line: Line | None,
        packages: BuiltPackages,
        credentials: Mapping[str, str],
    ) -> Launch:
        debugger: Header = {"kind": "none"}
        inherited: tuple[int, ...] = ()
        if isinstance(self._debug, Debugpy):
            debugger = {
                "kind": "debugpy",
                # For this machine alone, at any port: editors come to one of ours.
                "host": "::1" if ":" in self._debug.host else "127.0.0.1",
                "waitForClient": self._debug.wait_for_client,
            }
        elif line is not None:
            inherited = (line.descriptor,)
            mode = self._debug
            debugger = {
                "kind": "pdb",
                "terminal": line.descriptor,
                "postMortem": isinstance(mode, Pdb) and mode.post_mortem,
            }
        python = function.interpreter or self.python
        return Launch(
            # -B: what was compiled a moment ago must not be taken for what was saved since.
            command=(str(python.path), "-u", "-B", "-X", "utf8", str(RUNTIME)),
            folder=function.code_dir,
            environment=make_child_environment(function, self._environ, credentials, python.path),
            start={
                "handler": function.handler,
                "codeDir": str(function.code_dir),
                "layers": list_layer_paths(function, python),
                "runtime": function.runtime,
                "debugger": debugger,
                "builtPackages": packages.folders,
                # As on Lambda, unless the project says what is to be there.
                "areBuiltFirst": python.is_ours and packages.suits_us,
                "fallbackPackages": {**self._fallback_packages, **packages.others},
                # Nobody edits these.
                "installed": sorted(set(self._fallback_packages.values())),
            },
            patience=self._patience,
            inherited=inherited,
        )


class _Tracker:
    """Reports each change of one invocation's state."""

    def __init__(self, invoker: Invoker, progress: Progress) -> None:
        self._invoker = invoker
        self._progress = progress
        self._warning: asyncio.TimerHandle | None = None
        # When it came, and when it had its turn, by the loop's clock.
        self._came = asyncio.get_running_loop().time()
        self._began: float | None = None
        self.change(RunState.QUEUED)

    @property
    def request_id(self) -> str:
        return self._progress.request_id

    @property
    def function(self) -> str:
        return self._progress.function

    @property
    def deadline(self) -> float:
        return self._progress.deadline

    @property
    def state(self) -> RunState:
        return self._progress.state

    @property
    def has_warning(self) -> bool:
        return self._warning is not None

    def warn_after(self, seconds: float, warn: Callable[[], None]) -> None:
        """Unless it has finished by then."""
        self._warning = asyncio.get_running_loop().call_later(seconds, warn)

    def measure(self) -> tuple[float | None, float | None]:
        """How long it waited, and has run, in ms; None for what it did not come to."""
        if self._began is None:
            return None, None
        now = asyncio.get_running_loop().time()
        return round((self._began - self._came) * 1000, 1), round((now - self._began) * 1000, 1)

    def change(self, state: RunState, says_time: bool = False) -> None:
        if state is RunState.RUNNING and self._began is None:
            self._began = asyncio.get_running_loop().time()
        invoker, key = self._invoker, id(self)
        self._progress = replace(self._progress, state=state, says_time=says_time)
        invoker._progress[key] = self._progress
        if state is RunState.FINISHED:
            del invoker._progress[key]
            if self._warning is not None:
                self._warning.cancel()
        invoker._on_progress(
            replace(self._progress, waiting=invoker.waiting, running=invoker.running)
        )


def _report_failure(kind: str, request_id: str, what: str) -> ErrorReport:
    """As Lambda itself does, where no exception of the handler's says it."""
    return make_error_report(kind, f"RequestId: {request_id} Error: {what}")


def _describe_exit(status: int) -> str:
    """In the words of Lambda, which are those of Go's os.ProcessState."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    name = signal.strsignal(-status) or f"signal {-status}"
    return f"Runtime exited with error: signal: {name.lower()}"
