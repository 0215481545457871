"""The inspector beside a session: whose children run its replays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from plldb.debugger.children.local_function import DebugMode, Debugpy
from plldb.debugger.invocation_runner import InvocationStarted
from plldb.errors import ReplayError
from plldb.inspector.address import parse_address
from plldb.inspector.reruns import OwnChildren, Runner, SessionChildren

if TYPE_CHECKING:
    from plldb.debugger.attachment import AttachEvent
    from plldb.debugger.children.interpreter import Interpreter
    from plldb.debugger.children.invoker import Invoker
    from plldb.inspector.keeping import Keeping
    from plldb.inspector.server import Inspector
    from plldb.replay.history import History


class EditorSession:
    """The session whose children an editor is attached to; it takes the session's events."""

    def __init__(self) -> None:
        self.invoker: Invoker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def take(self, event: AttachEvent) -> None:
        if isinstance(event, InvocationStarted):
            self._loop = asyncio.get_running_loop()

    def find(self) -> tuple[Invoker, asyncio.AbstractEventLoop]:
        """Raises ReplayError if it does not run."""
        if self.invoker is None or self._loop is None or self._loop.is_closed():
            raise ReplayError("The session does not run.", "Attach again.")
        return self.invoker, self._loop


def choose_runner(
    debug: DebugMode, session: EditorSession, python: Interpreter, history: History
) -> Runner:
    """With an editor, a replay stops at its breakpoints. Otherwise it disturbs nobody."""
    if isinstance(debug, Debugpy):
        return SessionChildren(session.find)
    return OwnChildren(python, history.take)


def serve_inspector(
    address: str,
    history: History,
    runner: Runner,
    keeping: Keeping,
    ignored: Sequence[str],
) -> AbstractContextManager[Inspector]:
    """Raises UsageError or SourceError if nothing can listen at the address."""
    from plldb.inspector.server import Inspector

    return Inspector(parse_address(address), history, keeping, runner, ignored)
