"""Questions to the helper stack, asked again until they are answered, over whatever connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from plldb.errors import InvocationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Question:
    frame: str
    types: Container[str]
    reply: asyncio.Future[dict[str, Any]]


class Replies:
    """``send`` hands a frame to the connection that there is, and drops it if there is none.

    A question is asked again after ``repeat`` seconds, and when there is another connection: each
    is one that may be answered twice, and whose answer stays the same.
    """

    def __init__(self, send: Callable[[str], None], repeat: float) -> None:
        self._send = send
        self._repeat = repeat
        self._open: dict[str, _Question] = {}

    async def ask(
        self, request_id: str, frame: str, types: Container[str], deadline: float
    ) -> dict[str, Any]:
        """The first message about an invocation that has one of these types; one at a time.

        ``deadline`` is in seconds since the epoch: raises InvocationError after it.
        """
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[request_id] = _Question(frame, types, reply)
        try:
            async with asyncio.timeout(max(0.0, deadline - time.time())):
                while True:
                    self._send(frame)
                    await asyncio.wait({reply}, timeout=self._repeat)
                    if reply.done():
                        return reply.result()
                    logger.info("Invocation %s: asking again.", request_id)
        except TimeoutError:
            raise InvocationError("The helper stack does not answer.") from None
        finally:
            del self._open[request_id]

    def take(self, request_id: str, message: dict[str, Any]) -> None:
        """A message about an invocation has come; one that nobody asked for is passed over."""
        question = self._open.get(request_id)
        if question and message["type"] in question.types and not question.reply.done():
            question.reply.set_result(message)

    def repeat_all(self) -> None:
        """There is another connection."""
        for question in [*self._open.values()]:
            self._send(question.frame)
