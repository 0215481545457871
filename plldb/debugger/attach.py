"""Attaching to a stack: the steps of REQ_FN_0003, and then its invocations run here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from plldb.aws import Target
from plldb.bootstrap.cloudformation.lambda_functions import messages
from plldb.bootstrap.cloudformation.lambda_functions.messages import WhenAbsent
from plldb.debugger import debugging, protocol
from plldb.debugger.connection import run_session
from plldb.debugger.debugging import Debugging
from plldb.debugger.invoker import Invoker
from plldb.debugger.management import ManagementClient
from plldb.debugger.sources import CodeSource, find_sources
from plldb.errors import ConnectionLostError, SourceError
from plldb.stacks import HelperStack, find_helper_stack, require_debuggable_stack

_SHOWN_CHARACTERS = 8


@dataclass(frozen=True)
class SessionCreated:
    """``session`` is the beginning of the id; the whole is a credential and not shown."""

    session: str
    stack_name: str


@dataclass(frozen=True)
class NothingToDebug:
    """The session is open, but no function's code was found here; ``reason`` says why."""

    reason: str


Event = SessionCreated | NothingToDebug | protocol.Event | debugging.Event


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
    sources: Mapping[str, CodeSource],
    make_invoker: Callable[[], Invoker],
    report: Callable[[Event], None],
) -> protocol.Ended:
    """Opens a session for the stack and stays in it until Ctrl-C or SIGTERM.

    The functions that ``sources`` names (see ``choose_sources``) are instrumented, and their
    invocations run here. Raises StackError if the stack or the helper stack is not there,
    AccessDeniedError, EndpointError or SessionError if the session can't be opened,
    ConnectionLostError if it ends unasked.
    """
    stack = require_debuggable_stack(target, session.stack_name)
    helper = find_helper_stack(target, session.helper_stack)
    management = ManagementClient(
        helper.management_api_url, target.execute_api_auth(), target.reachable_url
    )
    # Before there is a session: what is wrong with the terminal or a port leaves none behind.
    invoker = make_invoker()
    session_id = management.create_session(stack.name)
    report(SessionCreated(session_id[:_SHOWN_CHARACTERS], stack.name))
    run = _AttachedSession(target, helper, management, session, sources, report)
    return asyncio.run(run.until_signal(session_id, invoker))


@dataclass(frozen=True)
class Choice:
    """The code that runs here, by logical id; the functions ``left_out`` with the reason of each;
    and, if there is no code at all, ``why_none``.
    """

    found: Mapping[str, CodeSource]
    left_out: Mapping[str, str]
    why_none: str


def choose_sources(options: CodeOptions, stack_name: str) -> Choice:
    """The code of the chosen functions.

    Raises SourceError or UsageError for what the user named and is not there. That nothing is
    named and nothing found is no error: a session can be opened all the same.
    """
    try:
        sources = find_sources(options.folder, options.template, options.code, stack_name)
    except SourceError as error:
        if not options.is_default:
            raise
        return Choice({}, {}, f"{error.message} {error.hint or ''}".strip())
    for pattern in options.functions:
        names = {*sources.found, *sources.missing}
        matching = sorted(name for name in names if fnmatchcase(name, pattern))
        if not any(name in sources.found for name in matching):
            sources.require(matching[0] if matching else pattern)
    return Choice(
        {name: source for name, source in sources.found.items() if options.includes(name)},
        {name: reason for name, reason in sources.missing.items() if options.includes(name)},
        f"{sources.template} has no function with code on this machine.",
    )


class _AttachedSession:
    def __init__(
        self,
        target: Target,
        helper: HelperStack,
        management: ManagementClient,
        options: SessionOptions,
        sources: Mapping[str, CodeSource],
        report: Callable[[Event], None],
    ) -> None:
        self._target = target
        self._helper = helper
        self._management = management
        self._options = options
        self._sources = sources
        self._report = report

    async def until_signal(self, session_id: str, invoker: Invoker) -> protocol.Ended:
        stop = asyncio.Event()
        _stop_on_signals(stop)
        debugging_ = Debugging(
            self._sources, self._target.region, invoker, self._management, self._report
        )
        try:
            return await run_session(
                self._helper.websocket_url,
                session_id,
                stop,
                lambda event: self._handle(event, debugging_),
                self._first_message(),
            )
        except asyncio.CancelledError:
            raise ConnectionLostError(
                "Detaching was interrupted; the helper stack restores the functions by itself.",
                f"To be sure: plldb restore --stack-name {self._options.stack_name}",
            ) from None
        finally:
            await debugging_.close()

    def _first_message(self) -> str | None:
        if not self._sources:
            return None
        return messages.instrument_request(
            sorted(self._sources), self._options.when_absent, self._options.take_over
        )

    def _handle(self, event: protocol.Event, debugging_: Debugging) -> None:
        match event:
            case protocol.Instrumented():
                debugging_.instrumented(event)
            case protocol.InvocationArrived():
                debugging_.start(event)
                return
        self._report(event)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal ends the session in order, the second one at once."""
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()

    def on_signal() -> None:
        if stop.is_set() and this is not None:
            this.cancel()
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C interrupts asyncio.run by itself
            loop.add_signal_handler(signal_number, on_signal)
