"""Attaching to a stack, as REQ_FN_0003 lists the steps."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass

from plldb.aws import Target
from plldb.debugger import protocol
from plldb.debugger.connection import run_session
from plldb.debugger.management import ManagementClient
from plldb.stacks import find_helper_stack, require_debuggable_stack

_SHOWN_CHARACTERS = 8


@dataclass(frozen=True)
class SessionCreated:
    """``session`` is the beginning of the id; the whole is a credential and not shown."""

    session: str
    stack_name: str


Event = SessionCreated | protocol.Event


def attach(
    target: Target, stack_name: str, helper_stack: str, report: Callable[[Event], None]
) -> protocol.Ended:
    """Opens a session for the stack and stays in it until Ctrl-C or SIGTERM.

    Raises StackError if the stack or the helper stack is not there, AccessDeniedError,
    EndpointError or SessionError if the session can't be opened, ConnectionLostError if it ends
    unasked.
    """
    stack = require_debuggable_stack(target, stack_name)
    helper = find_helper_stack(target, helper_stack)
    management = ManagementClient(helper.management_api_url, target.execute_api_auth())
    session_id = management.create_session(stack.name)
    report(SessionCreated(session_id[:_SHOWN_CHARACTERS], stack.name))
    return asyncio.run(_run_until_signal(helper.websocket_url, session_id, report))


async def _run_until_signal(
    url: str, session_id: str, report: Callable[[Event], None]
) -> protocol.Ended:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    return await run_session(url, session_id, stop, report)
