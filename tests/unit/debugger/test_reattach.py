"""After a loss a new session takes the place of the old one, unless that would be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from requests import PreparedRequest

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import AttachEvent, Reconnecting, SessionCreated, SessionOptions
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.protocol import (
    Connected,
    Ended,
    Expired,
    Instrumented,
    Ready,
    Restored,
    Resumed,
    Silent,
)
from plldb.errors import (
    AccessDeniedError,
    ConnectionLostError,
    CredentialsError,
    SessionError,
    StackError,
)
from tests.unit.debugger.helper_stack import (
    ALL_DONE,
    DROP,
    GREETER,
    NOTHING,
    TIMING,
    VIEW,
    Attached,
    FakeInvoker,
    HelperStack,
    at,
    ctrl_c,
    each_of,
    instrumented,
    invocation,
    run_attach,
    say,
    say_and_drop,
    say_nothing,
    session_id,
    websocket_server,
)
from tests.unit.fakes import Answer, client_error, local_server

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

LOST_WHEN_READY = say_and_drop(*ALL_DONE)
DETACHED = Ended(True, True, "closed")


def replaced(stack: HelperStack) -> list[str]:
    """What sessions were to be resumed, by the sessions that asked."""
    return [message["replaces"] for message in stack.messages("resume")]


class TestAfterALoss:
    def test_a_new_session_resumes_the_old_one_and_no_function_is_changed(self) -> None:
        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
        attached = run_attach(stack, at(Resumed))
        assert attached.kinds == [
            SessionCreated,
            Connected,
            Instrumented,
            Ready,
            Reconnecting,
            SessionCreated,
            Connected,
            Resumed,
            Restored,
            Ended,
        ]
        (lost,) = attached.all(Reconnecting)
        assert lost.attempt == 1
        assert 0 <= lost.delay <= TIMING.first_retry
        assert "1006" in lost.reason
        assert stack.actions(2) == ["resume", "close"]
        assert replaced(stack) == [session_id(1)]
        assert attached.ended == DETACHED
        assert stack.deleted == []

    def test_what_was_restored_meanwhile_is_instrumented_anew(self) -> None:
        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
        stack.closed.add(1)
        attached = run_attach(stack, at(Ready, 2))
        assert stack.actions(2) == ["resume", "instrument", "close"]
        assert [kind for kind in attached.kinds if kind in (Expired, Resumed)] == [Expired]

    def test_each_loss_counts_from_1(self) -> None:
        stack = HelperStack(
            acts={
                (1, "instrument"): LOST_WHEN_READY,
                (2, "resume"): say_and_drop(wire.resumed()),
                (3, "resume"): say_and_drop(wire.resumed()),
                (4, "resume"): say(wire.resumed()),
            }
        )
        attached = run_attach(stack, at(Resumed, 3))
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 1, 1]
        assert replaced(stack) == [session_id(1), session_id(2), session_id(3)]

    def test_it_tries_until_it_is_there_again(self) -> None:
        stack = HelperStack(
            acts={(1, "instrument"): LOST_WHEN_READY},
            statuses={2: 403, 3: 403},
            # Each attempt asks four times.
            sessions_answers=[Answer(500, "{}")] * 4
            + [Answer(429, "{}", {"Retry-After": "99"})] * 4,
        )
        attached = run_attach(stack, at(Resumed))
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2, 3, 4, 5]
        reasons = [lost.reason for lost in attached.all(Reconnecting)]
        for reason, expected in zip(reasons, ["1006", "500", "429", "403", "403"], strict=True):
            assert expected in reason
        assert replaced(stack) == [session_id(1)]
        assert stack.deleted == [2, 3], "those that nobody could connect"

    def test_credentials_may_be_renewed_meanwhile(self) -> None:
        """As 'aws sso login' in another terminal does; or they can't be without a network."""

        def expired(**_: Any) -> Any:
            raise client_error("ExpiredToken", "The token has expired.", "DescribeStacks")

        def on_event(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Reconnecting):
                cloudformation: Any = attached.target.cloudformation
                match event.attempt:
                    case 1:
                        cloudformation.describe_stacks = expired
                    case 3:
                        del cloudformation.describe_stacks

        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
        attached = run_attach(stack, each_of(on_event, at(Resumed)))
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2, 3]
        assert "expired" in attached.all(Reconnecting)[-1].reason
        assert attached.ended == DETACHED

    def test_nor_is_it_lasting_that_a_request_can_not_be_signed(self) -> None:
        signed: list[PreparedRequest] = []

        def sign(request: PreparedRequest) -> PreparedRequest:
            signed.append(request)
            if len(signed) in (2, 3):
                raise CredentialsError("Could not sign the request: the token has expired")
            return request

        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
        attached = run_attach(stack, at(Resumed), sign=sign)
        reasons = [lost.reason for lost in attached.all(Reconnecting)]
        assert len(reasons) == 3
        assert "expired" in reasons[-1]
        assert attached.ended == DETACHED

    def test_a_helper_stack_that_was_deployed_anew_is_found(self) -> None:
        """Its APIs have other URLs then."""
        other = HelperStack()
        with websocket_server(other) as websocket, local_server(other.respond) as rest:

            def on_event(event: AttachEvent, attached: Attached) -> None:
                if isinstance(event, Reconnecting):
                    attached.target.urls = {"rest1": rest.url + "/plldb", "ws1": websocket}

            stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
            attached = run_attach(stack, each_of(on_event, at(Resumed)))
        assert attached.ended == DETACHED
        assert other.created == 1

    def test_that_a_heartbeat_is_not_answered_is_a_loss(self) -> None:
        stack = HelperStack(acts={(1, "heartbeat"): say_nothing})
        timing = replace(TIMING, heartbeat=0.05, answer=0.05)
        attached = run_attach(stack, at(Resumed), timing=timing)
        assert "does not answer" in attached.all(Reconnecting)[0].reason
        assert attached.ended == DETACHED

    def test_so_is_a_session_that_the_helper_stack_has_given_up(self) -> None:
        """After a long sleep, of which the network knows nothing: its lease is over."""
        stack = HelperStack()
        stack.closed.add(1)
        timing = replace(TIMING, heartbeat=0.05)
        attached = run_attach(stack, at(Ready, 2), timing=timing)
        assert "has closed the session" in attached.all(Reconnecting)[0].reason
        assert stack.actions(2)[:2] == ["resume", "instrument"]

    def test_a_session_without_functions_comes_back_as_well(self) -> None:
        stack = HelperStack()

        def drop_it(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Connected) and stack.created == 1:
                stack.drop(1)

        attached = run_attach(stack, each_of(drop_it, at(Resumed)), sources=NOTHING)
        assert stack.actions(2) == ["resume", "close"]
        assert len(attached.all(Connected)) == 2
        assert attached.ended == DETACHED


class TestHalfWay:
    """What is resumed has what is known to have been instrumented, and not more."""

    @pytest.mark.parametrize("said", [[], [instrumented()]])
    def test_what_was_not_complete_is_completed(self, said: list[Any]) -> None:
        stack = HelperStack(acts={(1, "instrument"): say_and_drop(*said)})
        run_attach(stack, at(Ready))
        assert stack.actions(2) == ["resume", "instrument", "close"]
        assert replaced(stack) == [session_id(1)]

    def test_also_if_an_earlier_one_was_complete(self) -> None:
        stack = HelperStack(
            acts={
                (1, "instrument"): LOST_WHEN_READY,
                (2, "instrument"): say_and_drop(instrumented()),
            }
        )
        stack.closed.add(1)
        run_attach(stack, at(Ready, 2))
        assert stack.actions(2) == ["resume", "instrument"]
        assert stack.actions(3) == ["resume", "instrument", "close"]
        assert replaced(stack) == [session_id(1), session_id(2)]

    def test_a_session_that_got_no_answer_replaces_nothing(self) -> None:
        """What the first one holds is held by it still, as far as anybody can tell."""
        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY, (2, "resume"): DROP})
        attached = run_attach(stack, at(Resumed))
        assert replaced(stack) == [session_id(1), session_id(1)]
        assert [lost.attempt for lost in attached.all(Reconnecting)] == [1, 2]

    def test_one_that_gets_no_answer_asks_again(self) -> None:
        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY, (2, "resume"): say_nothing})

        def answer(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Silent):
                stack.acts[2, "resume"] = say(wire.resumed())

        timing = replace(TIMING, repeat=0.01, silence=0.1)
        attached = run_attach(stack, each_of(answer, at(Resumed)), timing=timing)
        assert stack.actions(2).count("resume") > 2
        assert len(attached.all(Resumed)) == 1

    def test_it_takes_over_once_and_not_from_who_did_so_since(self) -> None:
        stack = HelperStack(
            acts={(1, "instrument"): DROP, (2, "instrument"): LOST_WHEN_READY},
        )
        stack.closed |= {1, 2}
        run_attach(stack, at(Ready, 2), options=SessionOptions("app", "plldb", take_over=True))
        taken = [message["takeOver"] for message in stack.messages("instrument")]
        assert taken == [True, True, False]


class TestInvocationsMeanwhile:
    def test_one_that_runs_is_answered_over_the_new_connection(self) -> None:
        async def go_and_drop(stack: HelperStack, number: int, server: Any) -> None:
            await say_and_drop(*stack.reply(1, stack.messages("claim")[0]))(stack, number, server)

        stack = HelperStack(acts={(1, "claim"): go_and_drop})
        invoker = FakeInvoker(slow=True)
        attached = run_attach(
            stack,
            each_of(
                at(Ready, then=lambda: stack.push(1, invocation("request-1"))),
                at(Resumed, then=invoker.let_go),
                at(InvocationFinished),
            ),
            invoker=invoker,
        )
        (finished,) = attached.all(InvocationFinished)
        assert finished.outcome == "succeeded"
        assert stack.answers == {"request-1": {"result": "hello"}}
        assert invoker.running == ["request-1"]
        (answer,) = stack.messages("answer")
        assert answer["sessionId"] == session_id(1), "the one that it came to proves whose it is"
        assert "answer" in stack.actions(2)

    @pytest.mark.parametrize("action", ["claim", "answer"])
    def test_a_question_that_was_lost_with_it_is_asked_again_at_once(self, action: str) -> None:
        stack = HelperStack(acts={(1, action): DROP})
        attached = run_attach(
            stack,
            each_of(
                at(Ready, then=lambda: stack.push(1, invocation("request-1"))),
                at(InvocationFinished),
            ),
            timing=replace(TIMING, repeat=3600),
        )
        assert [event.outcome for event in attached.all(InvocationFinished)] == ["succeeded"]
        assert len(stack.messages(action)) == 2
        assert attached.invoker.running == ["request-1"]

    def test_the_cap_of_those_that_wait_still_holds(self) -> None:
        stack = HelperStack(
            acts={(1, "instrument"): say_and_drop(instrumented(), wire.ready(1, 0, 1))}
        )

        def push(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Resumed):
                stack.push(2, invocation("request-1"), invocation("request-2"))

        run_attach(stack, each_of(push, at(InvocationFinished, 2)))
        assert [message["requestId"] for message in stack.messages("decline")] == ["request-2"]


def test_a_bug_in_an_invocation_ends_the_session_in_order_and_is_raised() -> None:
    """So that its caller gets an answer, and whoever is attached a traceback."""

    class Invoker(FakeInvoker):
        async def invoke(self, *_: Any) -> Any:
            raise ZeroDivisionError("a bug")

    stack, invoker = HelperStack(), Invoker()
    events: list[AttachEvent] = []
    keep: Callable[[AttachEvent, Attached], None] = lambda event, _: events.append(event)  # noqa: E731
    push = at(Ready, then=lambda: stack.push(1, invocation("request-1")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_attach(stack, each_of(keep, push), invoker=invoker)
    assert events[-1] == DETACHED
    assert invoker.is_closed
    assert stack.answers["request-1"]["error"]["errorType"] == "PlldbDebuggerLost"


class TestNot:
    def test_if_the_first_connection_is_refused(self) -> None:
        stack = HelperStack(statuses={1: 403})
        attached = run_attach(stack)
        assert type(attached.error) is SessionError
        assert (stack.created, stack.deleted) == (1, [1])
        assert attached.all(Reconnecting) == []

    def test_if_somebody_ended_the_session(self) -> None:
        forced_off = wire.closed("closed by arn:aws:iam::1:user/eve")
        stack = HelperStack(acts={(1, "instrument"): say(*ALL_DONE, forced_off)})
        attached = run_attach(stack)
        assert isinstance(attached.error, ConnectionLostError)
        assert "closed by arn:aws:iam::1:user/eve" in attached.error.message
        assert attached.error.hint
        assert (stack.created, stack.deleted) == (1, [])
        assert attached.events[-1] == Ended(False, True, "closed by arn:aws:iam::1:user/eve")
        assert len(attached.all(Ended)) == 1

    def test_if_somebody_did_so_while_it_was_away(self) -> None:
        stack = HelperStack(
            acts={
                (1, "instrument"): LOST_WHEN_READY,
                (2, "resume"): say(wire.closed("closed by eve")),
            }
        )
        attached = run_attach(stack)
        assert stack.actions(2) == ["resume"]
        assert isinstance(attached.error, SessionError)
        assert "closed by eve" in attached.error.message

    def test_if_it_is_not_allowed_any_more(self) -> None:
        stack = HelperStack(
            acts={(1, "instrument"): LOST_WHEN_READY}, sessions_answers=[Answer(403, "{}")] * 99
        )
        attached = run_attach(stack)
        assert isinstance(attached.error, AccessDeniedError)
        assert len(attached.all(Reconnecting)) == 1
        assert stack.deleted == [1]
        (ended,) = attached.all(Ended)
        assert (ended.expected, ended.confirmed) == (False, False)

    def test_if_the_helper_stack_is_gone(self) -> None:
        def on_event(event: AttachEvent, attached: Attached) -> None:
            if isinstance(event, Reconnecting):
                for stack in attached.target.cloudformation.stacks.values():
                    stack["StackStatus"] = "DELETE_COMPLETE"

        attached = run_attach(HelperStack(acts={(1, "instrument"): LOST_WHEN_READY}), on_event)
        assert isinstance(attached.error, StackError)
        assert len(attached.all(Reconnecting)) == 1

    def test_for_ever(self) -> None:
        stack = HelperStack(
            acts={(1, "instrument"): LOST_WHEN_READY},
            statuses=dict.fromkeys(range(2, 10_000), 403),
        )
        attached = run_attach(stack, timing=replace(TIMING, give_up=0.1))
        assert isinstance(attached.error, ConnectionLostError)
        assert "403" in attached.error.message
        assert isinstance(attached.events[-1], Ended)
        assert "plldb restore --stack-name app" in str(attached.error.hint)
        *unused, last = stack.deleted
        assert last == 1, "it may hold functions still"
        assert unused == [*range(2, stack.created + 1)]


PATIENT = replace(TIMING, first_retry=1e9, longest_retry=1e9, give_up=1e9)


class TestCtrlCWhileDisconnected:
    def leave(
        self,
        stack: HelperStack,
        sign: Callable[[PreparedRequest], PreparedRequest] | None = None,
    ) -> Attached:
        """The next attempt is far away when the user presses Ctrl-C."""
        stack.acts[1, "instrument"] = LOST_WHEN_READY
        return run_attach(stack, at(Reconnecting), timing=PATIENT, sign=sign)

    def test_the_session_is_closed_over_rest(self) -> None:
        stack = HelperStack()
        attached = self.leave(stack)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, True)
        assert attached.events[-1] == attached.ended
        assert stack.deleted == [1]
        assert stack.created == 1

    def test_a_refusal_is_no_error(self) -> None:
        attached = self.leave(HelperStack(delete=lambda: Answer(404, "{}")))
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, False)

    def test_whoever_may_close_sessions_of_that_stack_only_does_so(self) -> None:
        asked: list[str] = []

        def sign(request: PreparedRequest) -> PreparedRequest:
            if request.method == "DELETE":
                asked.append(request.path_url)
            return request

        answers = [Answer(403, '{"message": "not authorized"}'), Answer(200, json.dumps(VIEW))]
        attached = self.leave(HelperStack(delete=lambda: answers.pop(0)), sign)
        assert attached.ended is not None
        assert attached.ended.confirmed
        assert asked[1].endswith(f"/stacks/app/sessions/{session_id(1)}")

    @pytest.mark.parametrize("error", [CredentialsError("expired"), ZeroDivisionError("a bug")])
    def test_what_was_not_even_sent_is_not_confirmed(self, error: Exception) -> None:
        def sign(request: PreparedRequest) -> PreparedRequest:
            if request.method == "DELETE":
                raise error
            return request

        stack = HelperStack()
        attached = self.leave(stack, sign)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, False)
        assert stack.deleted == []

    def test_while_a_session_is_being_created(self) -> None:
        def sign(request: PreparedRequest) -> PreparedRequest:
            if stack.created and request.method == "POST":
                ctrl_c()
            return request

        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY})
        attached = run_attach(stack, sign=sign)
        assert attached.ended is not None
        assert (attached.ended.expected, attached.ended.confirmed) == (True, True)
        assert stack.actions(2) == []
        assert 1 in stack.deleted

    def test_while_it_connects(self) -> None:
        """It opens all the same, and is closed in order."""

        async def on_handshake(number: int) -> None:
            if number == 2:
                ctrl_c()

        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY}, on_handshake=on_handshake)
        attached = run_attach(stack)
        assert attached.ended == DETACHED
        assert stack.actions(2) == ["close"]
        assert stack.deleted == [1]

    def test_while_it_resumes(self) -> None:
        stack = HelperStack(acts={(1, "instrument"): LOST_WHEN_READY, (2, "resume"): say_nothing})
        attached = run_attach(stack, at(Connected, 2))
        assert attached.ended == DETACHED
        assert stack.actions(2) == ["resume", "close"]
        assert stack.deleted == [1], "nobody knows whether it was resumed"


def test_ctrl_c_while_functions_are_being_instrumented() -> None:
    stack = HelperStack(acts={(1, "instrument"): say(instrumented())})
    attached = run_attach(stack, at(Instrumented), sources=GREETER)
    assert stack.actions(1) == ["instrument", "close"]
    assert attached.ended == DETACHED
