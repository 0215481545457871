"""Ctrl-C: nothing more is accepted, what runs may end, and whoever waits for the rest is told."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import AttachEvent, Detaching, Reconnecting
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.protocol import Ended, Ready, Restored
from plldb.errors import ConnectionLostError
from tests.unit.debugger.helper_stack import (
    ALL_DONE,
    DEADLINE,
    TIMING,
    Act,
    Attached,
    FakeInvoker,
    HelperStack,
    OnEvent,
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
from tests.unit.polling import poll

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


def detach_while_it_runs(
    *on_events: OnEvent, press: Callable[[], None] = ctrl_c, **acts: Act
) -> Attached:
    """``acts`` are of session 1."""
    invoker = FakeInvoker(slow=True)

    async def press_it(*_: Any) -> None:
        press()

    mine = {(1, action): act for action, act in acts.items()}
    stack = HelperStack(acts={(1, "claim"): once_it_runs(invoker, press_it), **mine})
    start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
    return run_attach(stack, each_of(start, *on_events), timing=LATER, invoker=invoker)


def let_go(event: AttachEvent, attached: Attached) -> None:
    if isinstance(event, Detaching):
        attached.invoker.let_go()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestTheFirst:
    """What runs may end."""

    def test_its_answer_goes_out_before_functions_are_restored(self, number: int) -> None:
        attached = detach_while_it_runs(let_go, press=lambda: os.kill(os.getpid(), number))
        assert attached.stack.actions(1) == ["instrument", "claim", "answer", "close"]
        assert attached.stack.answers == {"request-1": {"result": "hello"}}
        assert attached.ended == DETACHED
        assert [event.outcome for event in attached.all(InvocationFinished)] == ["succeeded"]

    def test_how_long_it_may_take_is_told(self, number: int) -> None:
        attached = detach_while_it_runs(let_go, press=lambda: os.kill(os.getpid(), number))
        [told] = attached.all(Detaching)
        assert told.running == (("Greeter", "request-1"),)
        assert 50 < told.seconds <= 60

    def test_none_is_accepted_any_more(self, number: int) -> None:
        def push_another(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Detaching):
                attached.stack.push(1, invocation("request-2"))
            if isinstance(event, InvocationFinished) and event.request_id == "request-2":
                attached.invoker.let_go()

        attached = detach_while_it_runs(push_another, press=lambda: os.kill(os.getpid(), number))
        assert [one["requestId"] for one in attached.stack.messages("decline")] == ["request-2"]
        assert attached.invoker.running == ["request-1"]
        assert list(attached.stack.answers) == ["request-1"]


class TestTheSecond:
    """What runs is abandoned, by its name, and the functions are restored in order."""

    def check(self, attached: Attached) -> None:
        assert attached.stack.actions(1) == ["instrument", "claim", "answer", "close"]
        error = attached.stack.answers["request-1"]["error"]
        assert error["errorType"] == "PlldbDebuggerLost"
        assert "detached" in error["errorMessage"]
        [finished] = attached.all(InvocationFinished)
        assert (finished.function, finished.request_id) == ("Greeter", "request-1")
        assert finished.outcome == "abandoned"

    def test_its_caller_is_told(self) -> None:
        attached = detach_while_it_runs(at(Detaching))
        self.check(attached)
        assert attached.kinds[-3:] == [InvocationFinished, Restored, Ended]
        assert attached.ended == DETACHED

    def test_a_terminal_that_hangs_up_is_both_at_once(self) -> None:
        attached = detach_while_it_runs(press=lambda: os.kill(os.getpid(), signal.SIGHUP))
        self.check(attached)
        assert attached.all(Detaching) == []
        assert attached.ended == DETACHED

    def test_the_helper_stack_may_say_nothing(self) -> None:
        invoker = FakeInvoker(slow=True)
        acts = {(1, "claim"): once_it_runs(invoker, press_ctrl_c), (1, "close"): say_nothing}
        stack = HelperStack(acts=acts)
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        attached = run_attach(
            stack,
            each_of(start, at(Detaching)),
            timing=replace(TIMING, closing=0.1),
            invoker=invoker,
        )
        self.check(attached)
        assert stack.deleted == [1], "over REST it can be closed"
        assert attached.ended is not None
        assert attached.ended.confirmed


def test_what_can_not_be_answered_any_more_is_named() -> None:
    def drop(event: AttachEvent, attached: Attached) -> None:
        if isinstance(event, Detaching):
            attached.stack.drop(1)

    attached = detach_while_it_runs(drop)
    assert attached.stack.answers == {}
    assert [event.request_id for event in attached.all(InvocationFinished)] == ["request-1"]
    assert attached.stack.deleted == [1]
    assert attached.ended is not None
    assert attached.ended.confirmed


def test_somebody_elses_end_is_told_to_callers_as_well() -> None:
    invoker = FakeInvoker(slow=True)
    stack = HelperStack(acts={(1, "claim"): once_it_runs(invoker, say(FORCED_OFF))})
    start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
    attached = run_attach(stack, start, invoker=invoker)
    assert stack.answers["request-1"]["error"]["errorType"] == "PlldbDebuggerLost"
    assert isinstance(attached.error, ConnectionLostError)


class TestAtOnce:
    """The second Ctrl-C, if nothing runs; else the third."""

    def test_while_functions_are_restored(self) -> None:
        stack = HelperStack(acts={(1, "close"): say(wire.restored("Greeter"))})
        attached = run_attach(stack, each_of(at(Ready), at(Restored)), timing=LATER)
        self.check(attached)
        assert stack.close_codes[1] != 1000, "it did not wait for a farewell"

    def test_while_invocations_run(self) -> None:
        invoker = FakeInvoker(slow=True)

        async def press_again(*_: Any) -> None:
            ctrl_c()

        acts = {(1, "claim"): once_it_runs(invoker, press_ctrl_c), (1, "close"): press_again}
        stack = HelperStack(acts=acts)
        start = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
        attached = run_attach(stack, each_of(start, at(Detaching)), timing=LATER, invoker=invoker)
        self.check(attached)
        assert len(attached.all(InvocationFinished)) == 1

    def test_while_it_is_told_over_rest(self) -> None:
        invoker = FakeInvoker()

        def hang() -> Answer:
            ctrl_c()
            poll(lambda: invoker.is_closed)
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
