"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def run_in_thread(call: Callable[[], _T]) -> _T:
    """What ``call`` gives, or raises, while the event loop goes on.

    Unlike ``asyncio.to_thread``, whoever is cancelled meanwhile does not wait for it, nor does the
    end of the loop or of the process: an answer that never comes holds nobody up.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def deliver(settle: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            settle(value)

    def run() -> None:
        try:
            settle, value = future.set_result, call()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            settle, value = future.set_exception, error  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, settle, value)

    threading.Thread(target=run, daemon=True).start()
    return await future
