"""Questions to the helper stack, asked again until they are answered, over whatever connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import MessageType
from plldb.debugger.protocol import InvocationArrived, Replied
from plldb.errors import InvocationError

logger = logging.getLogger(__name__)


class MessageRefusedError(InvocationError):
    """The helper stack does not take a message."""


@dataclass(frozen=True)
class _Question:
    deadline: float
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
        self,
        invocation: InvocationArrived,
        frame: str,
        types: Container[str],
        give_up_at: float,
    ) -> dict[str, Any]:
        """The first message about an invocation that has one of these types; one at a time.

        Raises InvocationError after ``give_up_at``, which is in seconds since the epoch by this
        machine's clock, and MessageRefusedError if the helper stack refuses the question.
        """
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        question = _Question(invocation.deadline, frame, types, reply)
        self._open[invocation.request_id] = question
        try:
            message = await self._ask_until(give_up_at, invocation.request_id, question)
        finally:
            del self._open[invocation.request_id]
        if message["type"] == MessageType.ERROR:
            raise MessageRefusedError(
                f"the helper stack refused a message: {message.get('message')}"
            )
        return message

    async def _ask_until(
        self, give_up_at: float, request_id: str, question: _Question
    ) -> dict[str, Any]:
        while (left := give_up_at - time.time()) > 0:
            self._send(question.frame)
            await asyncio.wait({question.reply}, timeout=min(self._repeat, left))
            if question.reply.done():
                return question.reply.result()
            logger.info("invocation %s: asked again", request_id)
        raise InvocationError("its time was over")

    def take(self, replied: Replied) -> None:
        """A message about an invocation has come; one that nobody asked for is passed over.

        So is one about a former try of the invocation, which had another deadline.
        """
        question, kind = self._open.get(replied.request_id), replied.message["type"]
        if question is None or question.reply.done():
            return
        is_of_this_try = replied.deadline in (None, question.deadline)
        if is_of_this_try and (kind in question.types or kind == MessageType.ERROR):
            question.reply.set_result(replied.message)

    def repeat_all(self) -> None:
        """There is another connection."""
        for question in [*self._open.values()]:
            self._send(question.frame)
