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
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from plldb.debugger.child import (
    Child,
    ChildExitedError,
    ChildFailedError,
    Launch,
    Listener,
    Reply,
)
from plldb.debugger.child_environment import find_fallback_packages, make_child_environment
from plldb.debugger.file_changes import Snapshot, find_changes, take_snapshot
from plldb.debugger.interpreter import Interpreter, check_interpreter
from plldb.debugger.local_function import (
    NO_DEBUGGER,
    DebugMode,
    Debugpy,
    LocalFunction,
    NoDebugger,
    Pdb,
)
from plldb.debugger.runtime.frames import ErrorReport, make_error_report
from plldb.debugger.terminal import Terminal
from plldb.errors import SourceError

if TYPE_CHECKING:
    from plldb.debugger.runtime.frames import Header

logger = logging.getLogger(__name__)

RUNTIME = Path(__file__).with_name("runtime") / "__main__.py"
# How long the child before may take to leave a debugger's port.
_PORT_PATIENCE_SECONDS = 5.0
# Files that have changed; of more, a log line has only the number.
_SHOWN_CHANGES = 5


# --- What goes in and comes out -------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Either ``result``, JSON text, or ``error``.

    ``was_paused``: a debugger had the invocation, or was waited for, when its time was over.
    """

    result: str | None
    error: ErrorReport | None
    was_paused: bool = False

    def to_body(self) -> str:
        """The outcome as the function gets it: see ``wire``. The result's text stays as it is."""
        if self.error is not None:
            return json.dumps({"error": self.error})
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

    ``waiting`` and ``running`` count all invocations; one that is paused is running.
    """

    request_id: str
    function: str
    deadline: float
    state: RunState
    waiting: int = 0
    running: int = 0


def _ignore(*_: object) -> None:
    pass


# --- The invoker ----------------------------------------------------------------------------------


@dataclass
class _Worker:
    """A child with what it was started for. ``snapshot`` was taken before it read any code."""

    child: Child
    function: LocalFunction
    snapshot: Snapshot
    listener: Listener


class Invoker:
    """Children for any number of functions, ``max_concurrency`` invocations at once over all.

    While pdb is on, it is one at once; with debugpy, one for each function, so that an editor knows
    what it is attached to. Others wait in the order of their arrival. ``credentials`` are variables
    for the AWS SDK, of the target that the developer works with. A child never reads the files in
    ~/.aws unless AWS_PROFILE is among them: so it can't reach another account by accident.

    ``on_output`` gets a function's logical id, ``stdout`` or ``stderr``, and a line. Both callbacks
    are called in the event loop. ``fallback_packages`` are folders of packages, by their names,
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
        on_output: Callable[[str, str, str], None] = _ignore,
        on_progress: Callable[[Progress], None] = _ignore,
        credentials: Mapping[str, str] | None = None,
        fallback_packages: Mapping[str, str] | None = None,
        patience: float = 1.0,
    ) -> None:
        if isinstance(python, Path):
            python = check_interpreter(python, "the interpreter")
        if fallback_packages is None:
            fallback_packages = find_fallback_packages(python, debug)
        self._python = python
        self._debug = debug
        self._on_output = on_output
        self._on_progress = on_progress
        self._credentials = dict(credentials or {})
        self._max_concurrency = 1 if isinstance(debug, Pdb) else max_concurrency
        self._slots = asyncio.Semaphore(self._max_concurrency)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._idle: dict[str, list[_Worker]] = defaultdict(list)
        self._workers: list[_Worker] = []
        # One for each child that is being started, or ended.
        self._starts: set[asyncio.Future[None]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._ports: dict[str, int] = {}
        self._started: set[str] = set()
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
        """Where debugpy listens for a function: ports are given out in the order of asking."""
        assert isinstance(self._debug, Debugpy)
        port = self._ports.setdefault(logical_id, self._debug.port + len(self._ports))
        return self._debug.host, port

    async def prepare(self, function: LocalFunction) -> None:
        """Starts a child before it is needed; with debugpy, an editor can attach from now on.

        Raises SourceError if it can't be started, or the debugger in it.
        """
        async with self._take_turn(function):
            worker, _ = await self._get_worker(function)
            try:
                if isinstance(self._debug, Debugpy):
                    await worker.child.wait_ready()
            except ChildFailedError as failure:
                self._retire(worker)
                raise SourceError(failure.message, failure.hint) from None
            except ChildExitedError as exited:
                self._retire(worker)
                what = _describe_exit(exited.status)
                raise SourceError(f"{self._python.path} can't run a function: {what}.") from None
            except BaseException:
                self._retire(worker)
                raise
            self._idle[function.logical_id].append(worker)

    async def invoke(
        self, function: LocalFunction, event: str, context: dict[str, Any], deadline: float
    ) -> Outcome:
        """Runs one invocation; what goes wrong with it is in the outcome, as Lambda would say it.

        ``event`` is JSON text, ``context`` has the attributes of Lambda's context object, and
        ``deadline`` is in seconds since the epoch: whoever waits for the outcome gives up then, so
        the child is ended. Cancelling this ends the child, too.
        """
        request_id = str(context.get("aws_request_id") or "")
        allowed = max(0.0, deadline - time.time())
        progress = _Tracker(
            self, Progress(request_id, function.logical_id, deadline, RunState.QUEUED)
        )
        try:
            async with asyncio.timeout(allowed) as timer:
                reply = await self._run(function, event, context, deadline, progress)
                return Outcome(reply.result, reply.error)
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
        error = make_error_report(kind, f"RequestId: {request_id} Error: {what}")
        return Outcome(None, error, was_paused and kind == "Sandbox.Timedout")

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
            if self._terminal is not None:
                self._terminal.close()

    async def _run(
        self,
        function: LocalFunction,
        event: str,
        context: dict[str, Any],
        deadline: float,
        progress: _Tracker,
    ) -> Reply:
        async with self._take_turn(function), self._slots:
            progress.change(RunState.RUNNING)
            worker, is_changed = await self._get_worker(function)
            worker.listener.on_frame = partial(self._follow_debugger, worker, progress)
            header = {"isChanged": is_changed, "context": context, "deadline": deadline}
            logger.debug("child %d gets invocation %s", worker.child.pid, progress.request_id)
            try:
                reply = await worker.child.request(header, event)
            except BaseException:
                self._retire(worker)
                raise
            self._keep(worker, is_reusable=reply.is_loaded)
        return reply

    @contextlib.asynccontextmanager
    async def _take_turn(self, function: LocalFunction) -> AsyncIterator[None]:
        if not isinstance(self._debug, Debugpy):
            yield
            return
        async with self._turns[function.logical_id]:
            yield

    def _follow_debugger(self, worker: _Worker, progress: _Tracker, header: Header) -> None:
        match header["type"]:
            case "paused":
                worker.child.flush_output()
                progress.change(RunState.PAUSED)
                if self._terminal is not None:
                    self._terminal.lend()
                worker.child.go()
            case "stopped":
                progress.change(RunState.PAUSED)
            case "waiting":
                progress.change(RunState.AWAITING_DEBUGGER)
            case "resumed":
                if self._terminal is not None:
                    self._terminal.take_back()
                progress.change(RunState.RUNNING)

    # --- Children -------------------------------------------------------------

    async def _get_worker(self, function: LocalFunction) -> tuple[_Worker, bool]:
        """A child to use, and whether it must read its code again.

        Only with debugpy it must: a new child would cost the editor its connection.
        """
        snapshot = await asyncio.to_thread(take_snapshot, function.code_dir)
        await self._wait_for_those_before()
        worker, is_changed = self._take_idle(function, snapshot)
        if worker is None:
            await self._wait_for_those_before()
            worker = await self._start(function, snapshot)
        return worker, is_changed

    def _take_idle(
        self, function: LocalFunction, snapshot: Snapshot
    ) -> tuple[_Worker | None, bool]:
        """An idle child that still serves, if there is one; the others of its function are ended.

        The second value tells whether the code has changed since that child read it.
        """
        idle = self._idle[function.logical_id]
        changes: list[str] = []
        found = None
        while idle and found is None:
            worker = idle.pop()
            changes = find_changes(worker.snapshot, snapshot)
            is_same = worker.function == function and worker.child.is_usable
            if is_same and (not changes or isinstance(self._debug, Debugpy)):
                worker.snapshot = snapshot
                found = worker
            else:
                self._retire(worker)
        if changes:
            shown = ", ".join(changes[:_SHOWN_CHANGES])
            logger.info("%s: %d files have changed: %s", function.logical_id, len(changes), shown)
        return found, found is not None and bool(changes)

    async def _start(self, function: LocalFunction, snapshot: Snapshot) -> _Worker:
        if self._closing.is_set():
            raise ChildExitedError(0)
        listener = Listener(on_line=partial(self._on_output, function.logical_id), on_frame=_ignore)
        starting = asyncio.get_running_loop().create_future()
        self._starts.add(starting)
        try:
            child = await Child.start(self._make_launch(function), listener)
            worker = _Worker(child, function, snapshot, listener)
            self._workers.append(worker)
        except OSError as error:
            raise SourceError(
                f"{function.logical_id} can't be started in {function.code_dir}: "
                f"{error.strerror or error}."
            ) from error
        finally:
            self._starts.discard(starting)
            starting.set_result(None)
        logger.debug("child %d is for %s", child.pid, function.logical_id)
        return worker

    def _keep(self, worker: _Worker, is_reusable: bool) -> None:
        """Keeps a child for later: one for each function, more while there are few in all."""
        worker.listener.on_frame = _ignore
        idle = self._idle[worker.function.logical_id]
        has_room = not idle or len(self._workers) <= self._max_concurrency
        # With debugpy it reads its code again before the next invocation.
        is_reusable = is_reusable or isinstance(self._debug, Debugpy)
        if is_reusable and has_room and worker.child.is_usable:
            idle.append(worker)
        else:
            self._retire(worker)

    def _retire(self, worker: _Worker) -> None:
        """Has a child ended while others go on. One that is ending already is left to that."""
        if worker in self._workers:
            self._workers.remove(worker)
            worker.listener.on_frame = _ignore
            if self._terminal is not None:
                self._terminal.restore()
            worker.child.kill_if_stopped()
            task = asyncio.create_task(self._end(worker))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _end(self, worker: _Worker) -> None:
        try:
            await worker.child.end()
        finally:
            if self._terminal is not None:
                self._terminal.take_back()

    async def _wait_for_ends(self) -> None:
        while self._ends:
            done, _ = await asyncio.wait(self._ends)
            for task in done:
                task.result()

    async def _wait_for_those_before(self) -> None:
        """Until children that have ended, or are about to, have left the port or the terminal."""
        if not isinstance(self._debug, NoDebugger):
            await self._wait_for_ends()

    def _make_launch(self, function: LocalFunction) -> Launch:
        debugger: Header = {"kind": "none"}
        inherited: tuple[int, ...] = ()
        if isinstance(self._debug, Debugpy):
            is_first = function.logical_id not in self._started
            self._started.add(function.logical_id)
            host, port = self.assign_debug_address(function.logical_id)
            debugger = {
                "kind": "debugpy",
                "host": host,
                "port": port,
                "patience": 0.0 if is_first else _PORT_PATIENCE_SECONDS,
                "waitForClient": self._debug.wait_for_client,
            }
        elif self._terminal is not None:
            inherited = (self._terminal.descriptor,)
            debugger = {"kind": "pdb", "terminal": self._terminal.descriptor}
        return Launch(
            # -B: what was compiled a moment ago must not be taken for what was saved since.
            command=(str(self._python.path), "-u", "-B", "-X", "utf8", str(RUNTIME)),
            folder=function.code_dir,
            environment=make_child_environment(function, os.environ, self._credentials),
            start={
                "handler": function.handler,
                "codeDir": str(function.code_dir),
                "debugger": debugger,
                "fallbackPackages": self._fallback_packages,
            },
            patience=self._patience,
            inherited=inherited,
        )


class _Tracker:
    """Reports each change of one invocation's state."""

    def __init__(self, invoker: Invoker, progress: Progress) -> None:
        self._invoker = invoker
        self._progress = progress
        self.change(RunState.QUEUED)

    @property
    def request_id(self) -> str:
        return self._progress.request_id

    @property
    def state(self) -> RunState:
        return self._progress.state

    def change(self, state: RunState) -> None:
        invoker, key = self._invoker, id(self)
        self._progress = replace(self._progress, state=state)
        invoker._progress[key] = self._progress
        if state is RunState.FINISHED:
            del invoker._progress[key]
        invoker._on_progress(
            replace(self._progress, waiting=invoker.waiting, running=invoker.running)
        )


def _describe_exit(status: int) -> str:
    """In the words of Lambda, which are those of Go's os.ProcessState."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    name = signal.strsignal(-status) or f"signal {-status}"
    return f"Runtime exited with error: signal: {name.lower()}"
