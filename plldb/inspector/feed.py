"""Tells pages what has changed, many changes in one message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from plldb.inspector.listing import summarize
from plldb.replay.history import History

# How long changes are collected that go together.
_COLLECTING_SECONDS = 0.1
# Of more, a page asks for its list again.
_MOST_SUMMARIES = 200
# A page that has not taken so many is told to ask for its list again.
_QUEUED = 20
# A comment, so that a connection that is gone is noticed.
_SILENCE_SECONDS = 15.0
# To a reader: there is no more.
_END = "end"
_RELOAD = json.dumps({"reload": True})


class Feed:
    """For the event loop that it is made in; the history may change in any thread."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._is_waking = False
        self._readers: set[asyncio.Queue[str]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        leave = self._history.follow(self._note_change)
        try:
            revision = self._history.revision
            while True:
                await self._wake.wait()
                await asyncio.sleep(_COLLECTING_SECONDS)
                self._wake.clear()
                self._is_waking = False
                newest = self._history.revision
                self._tell(revision)
                revision = newest
        finally:
            leave()
            self._send(_END)

    async def read(self) -> AsyncIterator[str]:
        """Server-sent events, from now on: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
        queue: asyncio.Queue[str] = asyncio.Queue(_QUEUED)
        self._readers.add(queue)
        try:
            # What happened before it was heard of.
            message = _RELOAD
            while message != _END:
                yield f"data: {message}\n\n" if message else ":\n\n"
                message = await _wait(queue)
        finally:
            self._readers.discard(queue)

    def _note_change(self, _: str) -> None:
        """In the thread of whoever has changed it, who is not to wait."""
        if self._readers and not self._is_waking:
            self._is_waking = True
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._wake.set)

    def _tell(self, since: int) -> None:
        changed = self._history.list_all(since)
        message = _RELOAD
        if len(changed) <= _MOST_SUMMARIES:
            message = json.dumps({"changed": [summarize(one) for one in changed]})
        self._send(message)

    def _send(self, message: str) -> None:
        for queue in self._readers:
            is_behind = queue.full()
            if is_behind:
                queue.get_nowait()
            queue.put_nowait(_RELOAD if is_behind and message != _END else message)


async def _wait(queue: asyncio.Queue[str]) -> str:
    """The next message, or an empty one after a while without any."""
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            return await queue.get()
    except TimeoutError:
        return ""
