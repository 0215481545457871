"""Runs a recording's event by the code that is here. Nothing is asked of any cloud."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from plldb.debugger.children.invoker import Invoker, Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.replay.recording import Recording

# With a debugger, nobody waits for the answer.
PATIENCE_SECONDS = 24 * 3600.0


def replay(
    recording: Recording,
    function: LocalFunction,
    make_invoker: Callable[[], Invoker],
    is_debugged: bool = False,
) -> Outcome:
    """One invocation in a child of its own, which has no credentials.

    The function has its own timeout, or a day with a debugger.
    """
    seconds = PATIENCE_SECONDS if is_debugged else find_time_limit(function)
    context = dict(recording.context)
    context["aws_request_id"] = recording.request_id

    async def run() -> Outcome:
        async with make_invoker() as invoker:
            event, deadline = json.dumps(recording.event), time.time() + seconds
            return await invoker.invoke(function, event, context, deadline)

    return asyncio.run(run())


def find_time_limit(function: LocalFunction) -> float:
    """In seconds: the function's own."""
    return max(1.0, function.timeout)
