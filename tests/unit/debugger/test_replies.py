"""Questions to the helper stack get an answer, however often they have to be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import time_machine

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode, MessageType
from plldb.debugger.protocol import InvocationArrived, Replied
from plldb.debugger.replies import Replies
from plldb.errors import InvocationError

DEADLINE = 10
SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
CLAIM = wire.claim_message(SESSION_ID, "request-1", 30.0)
VERDICTS = (MessageType.GO, MessageType.VOID)


class Line:
    """What was sent, and who is waked by it; ``on_send`` may answer at once."""

    def __init__(self, repeat: float) -> None:
        self.sent: list[str] = []
        self.on_send: Callable[[], None] = lambda: None
        self.replies = Replies(self._send, repeat)

    def _send(self, frame: str) -> None:
        self.sent.append(frame)
        self.on_send()

    def ask(self, request_id: str = "request-1", seconds: float = 60) -> Awaitable[dict[str, Any]]:
        invocation = InvocationArrived(SESSION_ID, request_id, "Greeter", 30.0, 0.0, {}, "{}", None)
        return self.replies.ask(invocation, CLAIM, VERDICTS, time.time() + seconds)

    def hear(self, message: dict[str, Any]) -> None:
        self.replies.take(Replied(message["requestId"], message.get("deadline"), message))


def run(work: Callable[[Line], Awaitable[None]], repeat: float = 60) -> Line:
    async def main() -> Line:
        line = Line(repeat)
        async with asyncio.timeout(DEADLINE):
            await work(line)
        return line

    return asyncio.run(main())


def test_the_answer_comes_back() -> None:
    async def work(line: Line) -> None:
        line.on_send = lambda: line.hear(wire.go("request-1", 30.0))
        assert await line.ask() == wire.go("request-1", 30.0)

    assert run(work).sent == [CLAIM]


def test_it_is_asked_again_until_then() -> None:
    async def work(line: Line) -> None:
        def answer_the_third() -> None:
            if len(line.sent) == 3:
                line.hear(wire.go("request-1", 30.0))

        line.on_send = answer_the_third
        await line.ask()

    assert run(work, repeat=0.001).sent == [CLAIM] * 3


def test_and_over_another_connection() -> None:
    async def work(line: Line) -> None:
        asking = asyncio.ensure_future(line.ask())
        await asyncio.sleep(0)
        line.replies.repeat_all()
        line.hear(wire.go("request-1", 30.0))
        await asking
        line.replies.repeat_all()

    assert run(work).sent == [CLAIM] * 2


def test_each_gets_its_own() -> None:
    async def work(line: Line) -> None:
        asking = [asyncio.ensure_future(line.ask(f"request-{number}")) for number in range(3)]
        await asyncio.sleep(0)
        for number in (2, 0, 1):
            line.hear(wire.void(f"request-{number}", 30.0, "ABANDONED"))
        answers = [answer["requestId"] for answer in await asyncio.gather(*asking)]
        assert answers == ["request-0", "request-1", "request-2"]

    run(work)


def test_what_nobody_asked_for_is_passed_over() -> None:
    async def work(line: Line) -> None:
        line.hear(wire.go("request-1", 30.0))
        asking = asyncio.ensure_future(line.ask())
        await asyncio.sleep(0)
        line.hear(wire.recorded("request-1", 30.0, "ANSWERED"))
        line.hear(wire.go("request-2", 30.0))
        # Of a former try.
        line.hear(wire.go("request-1", 29.0))
        line.hear(wire.void("request-1", 30.0, "ABANDONED"))
        line.hear(wire.go("request-1", 30.0))
        assert (await asking)["type"] == MessageType.VOID
        line.hear(wire.go("request-1", 30.0))

    run(work)


def test_a_refusal_is_an_answer() -> None:
    async def work(line: Line) -> None:
        refusal = wire.error(ErrorCode.BAD_REQUEST, "'body' is not JSON.", "request-1")
        line.on_send = lambda: line.hear(refusal)
        with pytest.raises(InvocationError, match="'body' is not JSON"):
            await line.ask()

    assert run(work).sent == [CLAIM]


def test_there_is_a_time_after_which_it_is_no_use() -> None:
    async def work(line: Line) -> None:
        with pytest.raises(InvocationError, match="its time was over"):
            await line.ask(seconds=0.05)

    assert len(run(work, repeat=0.01).sent) > 1


def test_after_it_nothing_is_asked() -> None:
    async def work(line: Line) -> None:
        with pytest.raises(InvocationError, match="its time was over"):
            await line.ask(seconds=-1)

    assert run(work).sent == []


def test_time_passes_while_the_machine_sleeps() -> None:
    """The event loop's clock may stand still then."""

    async def work(line: Line) -> None:
        with time_machine.travel(1_790_000_000, tick=False) as clock:
            line.on_send = lambda: clock.shift(3600)
            with pytest.raises(InvocationError, match="its time was over"):
                await line.ask(seconds=60)

    assert run(work, repeat=0.001).sent == [CLAIM]


def test_whoever_gives_up_leaves_nothing_behind() -> None:
    async def work(line: Line) -> None:
        asking = asyncio.ensure_future(line.ask())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        line.replies.repeat_all()

    assert run(work).sent == [CLAIM]
