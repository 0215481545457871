"""Questions to the helper stack, asked again until they are answered, over whatever connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import MessageType
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

        Raises InvocationError after ``deadline``, which is in seconds since the epoch, and if the
        helper stack refuses the question.
        """
        question = _Question(frame, types, asyncio.get_running_loop().create_future())
        self._open[request_id] = question
        try:
            message = await self._ask_until(deadline, request_id, question)
        finally:
            del self._open[request_id]
        if message["type"] == MessageType.ERROR:
            raise InvocationError(f"the helper stack refused a message: {message.get('message')}")
        return message

    async def _ask_until(
        self, deadline: float, request_id: str, question: _Question
    ) -> dict[str, Any]:
        while (left := deadline - time.time()) > 0:
            self._send(question.frame)
            await asyncio.wait({question.reply}, timeout=min(self._repeat, left))
            if question.reply.done():
                return question.reply.result()
            logger.info("Invocation %s: asking again.", request_id)
        raise InvocationError("its time was over")

    def take(self, request_id: str, message: dict[str, Any]) -> None:
        """A message about an invocation has come; one that nobody asked for is passed over."""
        question = self._open.get(request_id)
        if question is None or question.reply.done():
            return
        if message["type"] in question.types or message["type"] == MessageType.ERROR:
            question.reply.set_result(message)

    def repeat_all(self) -> None:
        """There is another connection."""
        for question in [*self._open.values()]:
            self._send(question.frame)
