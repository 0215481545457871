"""One plldb attach may hold sessions of several stacks: each by itself, and all end together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import (
    OfStack,
    Reconnecting,
    SessionCreated,
    SessionOptions,
    StackToDebug,
    attach_to_all,
)
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.overrides import Overrides
from plldb.debugger.protocol import (
    Connected,
    Ended,
    Instrumented,
    Ready,
    Restored,
    Resumed,
    Skipped,
)
from plldb.debugger.sources.choice import ChosenSources
from plldb.debugger.sources.project import CodeSource
from plldb.errors import PlldbError, SessionError
from tests.unit.debugger.helper_stack import (
    DROP,
    TIMING,
    FakeInvoker,
    HelperStack,
    ctrl_c,
    invocation,
    say_nothing,
    session_id,
    target_with,
)
from tests.unit.fakes import Answer

ORDERS, BILLING = 1, 2
SOURCES = ChosenSources(
    {"Greeter": CodeSource(Path("/code"))},
    {"Node": "its runtime is nodejs"},
    unchosen=frozenset({"Other"}),
)


class RecordingInvoker(FakeInvoker):
    def __init__(self) -> None:
        super().__init__()
        self.invoked: list[LocalFunction] = []

    async def invoke(self, function: LocalFunction, *args: Any, **more: Any) -> Any:
        self.invoked.append(function)
        return await super().invoke(function, *args, **more)


class Run:
    """``plldb attach orders billing``; ``on_event`` is told all that is reported."""

    def __init__(self, helper: HelperStack, on_event: Callable[[Run, Any], None]) -> None:
        self.helper = helper
        self.events: list[Any] = []
        self.invoker = RecordingInvoker()
        self.ended: list[Ended] = []
        self.error: PlldbError | None = None

        def report(event: Any) -> None:
            self.events.append(event)
            on_event(self, event)

        stacks = [
            StackToDebug(
                SessionOptions(name, "plldb"),
                SOURCES,
                Overrides(({None: {"STACK": name}, "Greeter": {"MINE": name}},)),
            )
            for name in ("orders", "billing")
        ]
        with target_with(helper, "orders", "billing") as self.target:
            try:
                self.ended = attach_to_all(
                    self.target,  # type: ignore[arg-type]
                    stacks,
                    lambda: self.invoker,  # type: ignore[arg-type,return-value]
                    report,
                    TIMING,
                )
            except PlldbError as error:
                self.error = error
        assert self.invoker.is_closed

    def of(self, kind: type) -> dict[str, Any]:
        """The events of the stacks' sessions, by stack."""
        return {
            event.stack_name: event.event
            for event in self.events
            if isinstance(event, OfStack) and isinstance(event.event, kind)
        }

    def names(self, kind: type) -> list[str]:
        """The functions that events of a kind name."""
        return sorted(event.function for event in self.events if isinstance(event, kind))

    @property
    def are_ready(self) -> bool:
        return self.of(Ready).keys() == {"orders", "billing"}


def when_ready(act: Callable[[Run], None]) -> Callable[[Run, Any], None]:
    """Once, when both are."""
    done: list[Run] = []

    def on_event(run: Run, event: Any) -> None:
        if run.are_ready and not done:
            done.append(run)
            act(run)

    return on_event


def stop(_: Run) -> None:
    ctrl_c()


def test_each_has_a_session_and_its_functions_go_by_its_name() -> None:
    run = Run(HelperStack(), when_ready(stop))
    assert [e.stack_name for e in run.events if isinstance(e, SessionCreated)] == [
        "orders",
        "billing",
    ]
    assert run.names(Instrumented) == ["billing/Greeter", "orders/Greeter"]
    assert run.names(Skipped) == [
        f"{stack}/{name}" for stack in ("billing", "orders") for name in ("Node", "Other")
    ]
    assert run.names(Restored) == ["billing/Greeter", "orders/Greeter"]
    assert {(r.instrumented, r.skipped) for r in run.of(Ready).values()} == {(1, 2)}
    assert [ended.expected for ended in run.ended] == [True, True]
    for message in run.helper.messages("instrument"):
        assert message["functions"] == ["Greeter"]


def test_the_helper_stack_is_looked_up_once_for_all() -> None:
    run = Run(HelperStack(), when_ready(stop))
    assert run.target.cloudformation.lookups == ["orders", "billing", "plldb"]


def test_they_are_instrumented_one_after_the_other() -> None:
    """Together, that would take more calls a second than Lambda's control plane allows."""
    helper = HelperStack(acts={(ORDERS, "instrument"): say_nothing})

    def on_event(run: Run, event: Any) -> None:
        if isinstance(event, OfStack) and isinstance(event.event, Connected):
            when_ready_once(run, ctrl_c, at_once=True)

    run = Run(helper, on_event)
    assert [ended.expected for ended in run.ended] == [True, True]
    assert run.of(Connected).keys() == {"orders"}
    assert helper.deleted == [BILLING]


def test_an_invocation_runs_as_the_function_of_its_stack() -> None:
    helper = HelperStack()

    def on_event(run: Run, event: Any) -> None:
        if run.are_ready and not run.invoker.invoked:
            helper.push(BILLING, invocation("r1"))
        if "r1" in helper.answers:
            ctrl_c()

    run = Run(helper, on_event)
    (function,) = {one.logical_id for one in run.invoker.invoked}
    assert function == "billing/Greeter"
    (invoked,) = run.invoker.invoked
    assert invoked.variables == {"STACK": "billing", "MINE": "billing"}
    assert helper.messages("claim")[0]["sessionId"] == session_id(BILLING)


def test_a_lost_connection_is_that_of_one() -> None:
    helper = HelperStack()
    run = Run(
        helper,
        lambda run, event: (
            ctrl_c()
            if isinstance(event, OfStack) and isinstance(event.event, Resumed)
            else when_ready_once(run, lambda: helper.drop(BILLING))
        ),
    )
    assert run.of(Reconnecting).keys() == {"billing"}
    assert run.of(Resumed).keys() == {"billing"}
    assert helper.heirs == {BILLING: 3}
    assert helper.closed == {ORDERS, 3}
    assert [ended.expected for ended in run.ended] == [True, True]


def when_ready_once(run: Run, act: Callable[[], Any], *, at_once: bool = False) -> None:
    if (run.are_ready or at_once) and not getattr(run, "has_acted", False):
        run.has_acted = True  # type: ignore[attr-defined]
        act()


def test_one_that_somebody_ends_leaves_the_other_and_is_an_error_in_the_end() -> None:
    helper = HelperStack()

    def on_event(run: Run, event: Any) -> None:
        if isinstance(event, OfStack) and isinstance(event.event, Ready) and run.are_ready:
            helper.push(ORDERS, wire.closed("closed by somebody"))
        if isinstance(event, OfStack) and isinstance(event.event, Ended):
            when_ready_once(run, ctrl_c)

    run = Run(helper, on_event)
    assert run.of(Ended)["billing"].expected
    assert "closed by somebody" in str(run.error)


def test_a_second_one_that_can_not_connect_leaves_nothing_of_the_first() -> None:
    helper = HelperStack(statuses={BILLING: 403})
    run = Run(helper, lambda run, event: None)
    assert isinstance(run.error, SessionError)
    assert ORDERS in helper.closed or ORDERS in helper.deleted
    assert BILLING in helper.deleted


def test_nor_one_that_no_session_is_created_for() -> None:
    # By either path.
    helper = HelperStack(sessions_answers=[Answer(403, '{"message": "not for you"}')] * 2)
    run = Run(helper, lambda run, event: None)
    assert run.error is not None
    assert helper.deleted == [ORDERS]
    assert helper.frames == []


def test_while_one_is_away_ctrl_c_ends_both() -> None:
    helper = HelperStack(acts={(BILLING, "instrument"): DROP}, statuses={3: 503, 4: 503, 5: 503})
    run = Run(
        helper,
        lambda run, event: (
            ctrl_c()
            if isinstance(event, OfStack)
            and isinstance(event.event, Reconnecting)
            and event.event.attempt == 2
            else None
        ),
    )
    assert [ended.expected for ended in run.ended] == [True, True]
    assert ORDERS in helper.closed
