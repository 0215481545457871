"""A switch in the place of signals: for those who attach in a thread that gets none."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from plldb.debugger.attachment import DetachSwitch, SessionOptions, StackToDebug, attach_to_all
from plldb.debugger.protocol import Ended, Ready
from tests.unit.debugger.helper_stack import (
    GREETER,
    TIMING,
    FakeInvoker,
    HelperStack,
    invocation,
    target_with,
)

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

SECONDS = 30


class Thread:
    """A session in a thread of its own."""

    def __init__(self, target: Any, invoker: FakeInvoker, on_event: Callable[[Any], None]) -> None:
        self.switch = DetachSwitch()
        self.ended: list[Ended] = []
        self.error: BaseException | None = None
        self._arguments = target, invoker, on_event
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        target, invoker, on_event = self._arguments
        stacks = [StackToDebug(SessionOptions("app", "plldb"), GREETER)]
        try:
            self.ended = attach_to_all(
                target, stacks, lambda: invoker, on_event, TIMING, switch=self.switch
            )
        except BaseException as error:  # noqa: BLE001 (raised by join)
            self.error = error


@contextmanager
def session(
    stack: HelperStack, invoker: FakeInvoker, on_event: Callable[[Any], None]
) -> Iterator[Thread]:
    with target_with(stack, "app") as target:
        yield Thread(target, invoker, on_event)


def test_it_detaches_in_order_and_no_signal_is_touched() -> None:
    before = signal.getsignal(signal.SIGINT)
    ready = threading.Event()
    stack = HelperStack()
    with session(
        stack, FakeInvoker(), lambda event: ready.set() if isinstance(event, Ready) else None
    ) as thread:
        thread.start()
        assert ready.wait(SECONDS)
        thread.switch.press()
        thread.join()
    assert thread.ended == [Ended(True, True, "closed")]
    assert stack.actions(1) == ["instrument", "close"]
    assert signal.getsignal(signal.SIGINT) is before


def test_it_may_be_pressed_before_there_is_a_session() -> None:
    with session(HelperStack(), FakeInvoker(), lambda _: None) as thread:
        thread.switch.press()
        thread.start()
        thread.join()
    assert [one.expected for one in thread.ended] == [True]


def test_the_second_time_it_abandons_what_runs() -> None:
    invoker = FakeInvoker(slow=True)
    stack = HelperStack()
    runs = threading.Event()

    def on_event(event: Any) -> None:
        if isinstance(event, Ready):
            stack.push(1, invocation("request-1"))

    async def claimed(_: HelperStack, number: int, server: Any) -> None:
        for message in stack.reply(number, stack.messages("claim")[-1]):
            await server.send(json.dumps(message))
        while not invoker.running:
            await asyncio.sleep(0.001)
        runs.set()

    stack.acts[1, "claim"] = claimed
    with session(stack, invoker, on_event) as thread:
        thread.start()
        assert runs.wait(SECONDS)
        thread.switch.press()
        thread.switch.press()
        thread.join()
    assert stack.answers["request-1"]["error"]["errorType"] == "PlldbDebuggerLost"


def test_at_last_it_does_nothing() -> None:
    with session(HelperStack(), FakeInvoker(), lambda _: None) as thread:
        thread.switch.press()
        thread.start()
        thread.join()
        thread.switch.press()
