"""Waits in tests for what comes by itself, on a machine that may be loaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_SECONDS = 30.0


def poll(look: Callable[[], _T]) -> _T:
    """The first truthy answer of ``look``."""
    deadline = time.monotonic() + _SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "that did not come"
        time.sleep(0.02)
    return found


async def until(condition: Callable[[], object]) -> None:
    """The same where an event loop has to go on meanwhile."""
    async with asyncio.timeout(_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)
