"""Ctrl-C: nothing more is accepted, what runs may end, and whoever waits for the rest is told."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import AttachEvent, Reconnecting
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.protocol import Connected, Ended, Ready, Restored
from plldb.errors import ConnectionLostError
from tests.unit.debugger.helper_stack import (
    ALL_DONE,
    DEADLINE,
    TIMING,
    Act,
    Attached,
    FakeInvoker,
    HelperStack,
    at,
    ctrl_c,
    each_of,
    invocation,
    run_attach,
    say,
    say_and_drop,
    say_nothing,
    session_id,
)
from tests.unit.fakes import Answer

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DETACHED = Ended(True, True, "closed")
FORCED_OFF = wire.closed("closed by arn:aws:iam::1:user/eve")
# Before that, there is no answer.
LATER = replace(TIMING, closing=DEADLINE)


def once_it_runs(invoker: FakeInvoker, then: Act) -> Act:
    """Of claims: does something once the invocation runs here."""

    async def act(stack: HelperStack, number: int, server: Any) -> None:
        before = len(invoker.running)
        await say(*stack.reply(number, stack.messages("claim")[-1]))(stack, number, server)
        while len(invoker.running) == before:
            await asyncio.sleep(0.001)
        await then(stack, number, server)

    return act


async def press_ctrl_c(*_: Any) -> None:
    ctrl_c()


class TestInvocations:
    def detach_while_it_runs(self, closing: Act | None, on_event: Any = None) -> Attached:
        """``closing`` is what is done with the action to close the session."""
        invoker = FakeInvoker(slow=True)
        acts = {(1, "claim"): once_it_runs(invoker, press_ctrl_c)}
        if closing is not None:
            acts[1, "close"] = closing
        stack = HelperStack(acts=acts)
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        also = on_event or at(Connected, 99)
        return run_attach(stack, each_of(start, also), timing=LATER, invoker=invoker)

    def test_one_that_ends_while_functions_are_restored_is_answered(self) -> None:
        async def close_once_it_is_answered(stack: HelperStack, number: int, server: Any) -> None:
            stack.push(number, wire.restored("Greeter"))
            stack.acts[1, "answer"] = answer_and_close

        async def answer_and_close(stack: HelperStack, number: int, server: Any) -> None:
            recorded = stack.reply(number, stack.messages("answer")[-1])
            await say(*recorded, wire.closed())(stack, number, server)

        def let_go(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Restored):
                attached.invoker.let_go()

        attached = self.detach_while_it_runs(close_once_it_is_answered, let_go)
        assert attached.stack.answers == {"request-1": {"result": "hello"}}
        assert attached.ended == DETACHED
        assert [event.outcome for event in attached.all(InvocationFinished)] == ["succeeded"]

    def test_the_caller_of_one_that_does_not_is_told_before_it_hangs_up(self) -> None:
        attached = self.detach_while_it_runs(None)
        assert attached.stack.actions(1) == ["instrument", "claim", "close", "answer"]
        error = attached.stack.answers["request-1"]["error"]
        assert error["errorType"] == "PlldbDebuggerLost"
        assert "detached" in error["errorMessage"]
        assert attached.kinds[-2:] == [InvocationFinished, Ended]
        assert attached.ended == DETACHED

    def test_none_is_accepted_any_more(self) -> None:
        async def push_another(stack: HelperStack, number: int, server: Any) -> None:
            stack.acts[1, "decline"] = say(wire.closed())
            await say(invocation("request-2"))(stack, number, server)

        attached = self.detach_while_it_runs(push_another)
        assert [one["requestId"] for one in attached.stack.messages("decline")] == ["request-2"]
        assert attached.invoker.running == ["request-1"]

    def test_without_a_word_of_the_helper_stack_nobody_can_be_told(self) -> None:
        invoker = FakeInvoker(slow=True)
        acts = {(1, "claim"): once_it_runs(invoker, press_ctrl_c), (1, "close"): say_nothing}
        stack = HelperStack(acts=acts)
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        attached = run_attach(stack, start, timing=replace(TIMING, closing=0.1), invoker=invoker)
        assert stack.answers == {}
        assert stack.deleted == [1], "over REST it can be closed"
        assert attached.ended is not None
        assert attached.ended.confirmed

    def test_somebody_elses_end_is_told_to_callers_as_well(self) -> None:
        invoker = FakeInvoker(slow=True)
        stack = HelperStack(acts={(1, "claim"): once_it_runs(invoker, say(FORCED_OFF))})
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        attached = run_attach(stack, start, invoker=invoker)
        assert stack.answers["request-1"]["error"]["errorType"] == "PlldbDebuggerLost"
        assert isinstance(attached.error, ConnectionLostError)


class TestAtOnce:
    """The second Ctrl-C."""

    def test_while_functions_are_restored(self) -> None:
        stack = HelperStack(acts={(1, "close"): say(wire.restored("Greeter"))})
        attached = run_attach(stack, each_of(at(Ready), at(Restored)), timing=LATER)
        self.check(attached)
        assert stack.close_codes[1] != 1000, "it did not wait for a farewell"

    def test_while_invocations_run(self) -> None:
        invoker = FakeInvoker(slow=True)

        async def press_twice(*_: Any) -> None:
            ctrl_c()
            await asyncio.sleep(0.05)
            ctrl_c()

        acts = {(1, "claim"): once_it_runs(invoker, press_twice), (1, "close"): say_nothing}
        stack = HelperStack(acts=acts)
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        self.check(run_attach(stack, start, timing=LATER, invoker=invoker))

    def test_while_it_is_told_over_rest(self) -> None:
        invoker = FakeInvoker()

        def hang() -> Answer:
            ctrl_c()
            time.sleep(0.5)
            assert invoker.is_closed
            return Answer(404, "{}")

        stack = HelperStack(acts={(1, "instrument"): say_and_drop(*ALL_DONE)}, delete=hang)
        timing = replace(TIMING, first_retry=1e9, longest_retry=1e9, give_up=1e9)
        self.check(run_attach(stack, at(Reconnecting), timing=timing, invoker=invoker))
        assert stack.deleted == [1]

    def test_a_third_one_changes_nothing(self) -> None:
        """It comes while the children end."""
        stack = HelperStack(acts={(1, "close"): say(wire.restored("Greeter"))})

        class Invoker(FakeInvoker):
            async def close(self) -> None:
                ctrl_c()
                try:
                    await asyncio.sleep(DEADLINE)
                finally:
                    await super().close()

        attached = run_attach(
            stack, each_of(at(Ready), at(Restored)), timing=LATER, invoker=Invoker()
        )
        self.check(attached)

    def check(self, attached: Attached) -> None:
        assert isinstance(attached.error, ConnectionLostError)
        assert "interrupted" in attached.error.message
        assert "plldb restore --stack-name app" in str(attached.error.hint)
        assert attached.all(Ended) == []


def test_the_connection_may_break_in_the_same_moment() -> None:
    class PressCtrlC(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().endswith("is ENDED"):
                log.removeHandler(self)
                ctrl_c()

    log, press = logging.getLogger("plldb.debugger.protocol"), PressCtrlC()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(press)
    try:
        stack = HelperStack()
        attached = run_attach(stack, at(Ready, then=lambda: stack.drop(1)))
    finally:
        log.removeHandler(press)
        log.setLevel(level)
    assert attached.ended is not None, "that is no lost connection any more"
    assert (attached.ended.expected, attached.ended.confirmed) == (True, True)
    assert stack.deleted == [1]


def test_the_first_ctrl_c_may_come_before_anything_is_asked_for() -> None:
    async def on_handshake(_: int) -> None:
        ctrl_c()

    stack = HelperStack(on_handshake=on_handshake)
    attached = run_attach(stack)
    assert stack.frames == [(1, {"action": "close", "sessionId": session_id(1)})]
    assert attached.ended == DETACHED


def test_or_while_nobody_answers_yet() -> None:
    async def on_handshake(_: int) -> None:
        ctrl_c()
        await asyncio.sleep(1)

    stack = HelperStack(on_handshake=on_handshake)
    attached = run_attach(stack, timing=replace(TIMING, closing=0.1))
    assert attached.ended is not None
    assert (attached.ended.expected, attached.ended.confirmed) == (True, True)
    assert stack.deleted == [1]
