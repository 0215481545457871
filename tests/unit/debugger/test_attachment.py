"""Attaching checks what it needs before it opens a session, and tells little of its id."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import WhenAbsent
from plldb.debugger.attachment import (
    NothingToDebug,
    SessionCreated,
    SessionOptions,
    attach,
)
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted
from plldb.debugger.protocol import Connected, Ended, Instrumented, Restored, Skipped, Warned
from plldb.debugger.sources.choice import ChosenSources
from plldb.errors import StackError
from tests.unit.debugger.helper_stack import (
    FakeInvoker,
    HelperStack,
    Target,
    at,
    instrumented,
    invocation,
    run_attach,
    say,
    session_id,
    source,
)
from tests.unit.fakes import Answer, local_server

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_from_the_first_call_to_ctrl_c(signal_number: signal.Signals) -> None:
    stack = HelperStack()
    sources = ChosenSources({}, {"Image": "it is a container image"}, "There is no template.")
    attached = run_attach(
        stack,
        at(Connected, then=lambda: os.kill(os.getpid(), signal_number)),
        sources=sources,
    )
    assert attached.ended == Ended(expected=True, confirmed=True, reason="closed")
    assert attached.events == [
        SessionCreated(session_id(1)[:8], "app"),
        Connected(),
        Skipped("Image", "it is a container image"),
        NothingToDebug("There is no template."),
        attached.ended,
    ]
    # Without code there is nothing to instrument.
    assert stack.frames == [(1, {"action": "close", "sessionId": session_id(1)})]
    assert stack.deleted == []


def test_of_a_function_its_code_and_its_use_are_each_remarked_on() -> None:
    sources = ChosenSources(
        {"Greeter": replace(source("Greeter"), use="it serves a custom resource")},
        warnings={"Greeter": "the code in its file differs"},
    )
    attached = run_attach(HelperStack(), at(Warned, count=2), sources=sources)
    assert attached.all(Warned) == [
        Warned("Greeter", "the code in its file differs"),
        Warned("Greeter", "it serves a custom resource"),
    ]


def test_the_functions_with_code_here_are_instrumented_and_their_invocations_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="plldb")
    invoker = FakeInvoker()
    messages = [instrumented(SECRET="s3cret"), invocation("request-1", event='"a secret"')]
    stack = HelperStack(acts={(1, "instrument"): say(*messages)})
    attached = run_attach(
        stack,
        at(InvocationFinished),
        sources=ChosenSources({"Greeter": source("Greeter"), "Aardvark": source("Aardvark")}),
        invoker=invoker,
        options=SessionOptions("app", "plldb", WhenAbsent.ERROR, take_over=True),
    )
    assert stack.actions(1) == ["instrument", "claim", "answer", "close"]
    assert stack.frames[0][1] == {
        "action": "instrument",
        "sessionId": session_id(1),
        "functions": ["Aardvark", "Greeter"],
        "whenAbsent": "error",
        "takeOver": True,
        "asFunction": False,
        "aliases": False,
    }
    assert invoker.prepared == ["Greeter"]
    assert stack.answers == {"request-1": {"result": "a secret"}}
    # The log names the invocation, and holds no secret, no event and no answer.
    assert "request-1" in caplog.text
    assert session_id(1)[:8] in caplog.text
    for secret in (session_id(1), "s3cret", "a secret"):
        assert secret not in caplog.text
    # An invocation is reported when it starts, and once when it has ended.
    assert attached.kinds == [
        SessionCreated,
        Connected,
        Instrumented,
        InvocationStarted,
        InvocationFinished,
        Restored,
        Ended,
    ]


def test_of_those_that_wait_no_more_are_accepted_than_the_helper_stack_allows() -> None:
    stack = HelperStack(
        acts={
            (1, "instrument"): say(
                instrumented(),
                wire.ready(1, 0, 2),
                *(invocation(f"request-{number}") for number in range(3)),
            )
        }
    )

    run_attach(stack, at(InvocationFinished, 3))
    assert [message["requestId"] for message in stack.messages("decline")] == ["request-2"]
    assert stack.answers.keys() == {"request-0", "request-1"}


@pytest.mark.parametrize(("deployed", "missing"), [(["plldb"], "app"), (["app"], "plldb")])
def test_a_missing_stack_is_named_before_any_session_is_opened(
    deployed: list[str], missing: str
) -> None:
    def make_invoker() -> Any:
        raise AssertionError("nothing is to be started")

    with local_server(lambda _: Answer(500)) as rest:
        target = Target(rest.url).deploy(*deployed)
        with pytest.raises(StackError, match=f"'{missing}'"):
            attach(
                target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb"),
                ChosenSources({}),
                make_invoker,
                lambda _: None,
            )
    assert rest.requests == []


@pytest.mark.parametrize(("value", "word"), [("denied", "is 'denied'"), ("", "too old")])
def test_a_helper_stack_without_credentials_of_functions_is_named_before_any_session_is_opened(
    value: str, word: str
) -> None:
    def make_invoker() -> Any:
        raise AssertionError("nothing is to be started")

    with local_server(lambda _: Answer(500)) as rest:
        target = Target(rest.url).deploy("app", "plldb", FunctionCredentials=value)
        with pytest.raises(StackError, match=word) as raised:
            attach(
                target,  # type: ignore[arg-type]
                SessionOptions("app", "plldb", as_function=True),
                ChosenSources({}),
                make_invoker,
                lambda _: None,
            )
    assert "plldb bootstrap" in str(raised.value.hint)
    assert rest.requests == []
