"""Before API Gateway ends a connection for its age, another session takes its place, unnoticed."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from requests import PreparedRequest

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.debugger.attachment import AttachEvent, MoveFailed, Reconnecting, SessionCreated
from plldb.debugger.invocation_runner import InvocationFinished
from plldb.debugger.protocol import (
    Connected,
    Ended,
    Instrumented,
    Ready,
    Restored,
    Resumed,
    Warned,
)
from plldb.errors import ConnectionLostError
from tests.unit.debugger.helper_stack import (
    DEADLINE,
    DROP,
    NOTHING,
    TIMING,
    Act,
    Attached,
    HelperStack,
    at,
    ctrl_c,
    each_of,
    instrumented,
    invocation,
    run_attach,
    say,
    say_nothing,
    session_id,
)
from tests.unit.fakes import Answer

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# A connection is replaced soon, and is there for a while after that.
OLD_SOON = replace(TIMING, refresh=0.05, grace=60)
DETACHED = Ended(True, True, "closed")
FORCED_OFF = wire.closed("closed by arn:aws:iam::1:user/eve")


class Once(HelperStack):
    """The second session is not replaced any more."""

    def respond(self, request: object) -> Answer:
        if self.created >= 2 and getattr(request, "method", "") == "POST":
            return Answer(500, "{}")
        return super().respond(request)  # type: ignore[arg-type]


class TestMove:
    def test_the_session_goes_on_over_another_connection_and_no_function_is_changed(self) -> None:
        stack = HelperStack()
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert attached.kinds == [
            SessionCreated,
            Connected,
            Instrumented,
            Ready,
            Resumed,
            Restored,
            Ended,
        ]
        assert stack.actions(2) == ["resume", "close"]
        assert stack.messages("resume")[0]["replaces"] == session_id(1)
        assert attached.ended == DETACHED
        assert stack.deleted == []

    def test_again_and_again(self) -> None:
        stack = HelperStack()
        attached = run_attach(stack, at(Resumed, 5), timing=OLD_SOON)
        replaced = [message["replaces"] for message in stack.messages("resume")]
        assert replaced[:5] == [session_id(number) for number in range(1, 6)]
        assert len(stack.messages("instrument")) == 1
        assert attached.all(Reconnecting) == []
        assert attached.ended == DETACHED

    def test_a_session_without_functions_moves_as_well(self) -> None:
        stack = HelperStack()
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON, sources=NOTHING)
        assert stack.actions(2) == ["resume", "close"]
        assert attached.ended == DETACHED

    def test_what_was_posted_to_the_old_connection_still_counts(self) -> None:
        stack = Once()
        attached = run_attach(
            stack,
            each_of(
                at(Resumed, then=lambda: stack.push(1, invocation("request-1"))),
                at(InvocationFinished),
            ),
            timing=OLD_SOON,
        )
        assert stack.answers == {"request-1": {"result": "hello"}}
        assert stack.actions(2)[:3] == ["resume", "claim", "answer"]
        for action in ("claim", "answer"):
            assert stack.messages(action)[0]["sessionId"] == session_id(1)
        assert attached.ended == DETACHED

    def test_the_old_connection_is_hung_up_after_the_grace_and_the_session_goes_on(self) -> None:
        stack = Once()
        stack.acts[2, "heartbeat"] = _warn_once_closed(1)
        attached = run_attach(
            stack, at(Warned), timing=replace(OLD_SOON, grace=0.01, heartbeat=0.05)
        )
        assert stack.close_codes[1] == 1000
        assert attached.all(Reconnecting) == []
        assert attached.ended == DETACHED

    def test_its_heartbeats_end_with_the_move(self) -> None:
        """The helper stack would say that it has no such session."""
        stack = Once()
        timing = replace(OLD_SOON, heartbeat=0.08, grace=0.5)
        stack.acts[2, "heartbeat"] = _warn_once_closed(1)
        until: list[int] = []
        moved = at(Resumed, then=lambda: until.append(len(stack.frames)))
        run_attach(stack, each_of(moved, at(Warned)), timing=timing)
        assert stack.close_codes[1] == 1000
        # One may be on its way.
        assert sum(number == 1 for number, _ in stack.frames[until[0] :]) <= 1

    def test_invocations_all_the_while_are_each_answered_once(self) -> None:
        stack = HelperStack()
        pushed: list[str] = []

        def push_more(event: AttachEvent, attached: Attached) -> None:
            if not isinstance(event, Ready | InvocationFinished):
                return
            if len(attached.all(Resumed)) < 3:
                pushed.append(f"request-{len(pushed)}")
                stack.push(max(stack.connections), invocation(pushed[-1]))
            else:
                ctrl_c()

        attached = run_attach(stack, push_more, timing=replace(OLD_SOON, refresh=0.02))
        assert {event.outcome for event in attached.all(InvocationFinished)} == {"succeeded"}
        assert attached.invoker.running == pushed
        assert [*stack.answers] == pushed

    def test_not_while_functions_are_being_instrumented(self) -> None:
        stack = HelperStack(acts={(1, "instrument"): say(instrumented())})

        async def get_ready(stack: HelperStack, number: int, _: object) -> None:
            if stack.actions(1).count("heartbeat") == 5:
                stack.push(1, wire.ready(1, 0, 50))
            else:
                stack.push(1, wire.heartbeat(1, 1))

        stack.acts[1, "heartbeat"] = get_ready
        timing = replace(OLD_SOON, refresh=0.001, heartbeat=0.02)
        attached = run_attach(stack, at(Resumed), timing=timing)
        assert attached.kinds.index(Ready) < attached.kinds.index(Resumed)
        assert stack.actions(1)[:6] == ["instrument", *["heartbeat"] * 5]

    def test_what_is_restored_is_instrumented_anew(self) -> None:
        """The lease ran out, and nobody has noticed yet."""
        stack = Once()
        stack.closed.add(1)
        attached = run_attach(stack, at(Ready, 2), timing=OLD_SOON)
        assert stack.actions(2)[:2] == ["resume", "instrument"]
        assert attached.ended == DETACHED


def _warn_once_closed(number: int) -> Act:
    """Of heartbeats: says something once that connection is closed, and answers until then."""

    async def act(stack: HelperStack, current: int, _: object) -> None:
        closed = number in stack.close_codes
        stack.push(current, wire.warning("Greeter", "go") if closed else wire.heartbeat(1, 1))

    return act


class TestFailure:
    def failed(self, attached: Attached) -> list[str]:
        return [event.reason for event in attached.all(MoveFailed)]

    @pytest.mark.parametrize("status", [403, 429, 500])
    def test_refused_it_is_told_and_tried_again_with_another_session(self, status: int) -> None:
        stack = HelperStack(statuses={2: status, 3: status})
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert len(self.failed(attached)) == 2
        assert str(status) in self.failed(attached)[0]
        assert stack.deleted == [2, 3]
        assert stack.actions(4) == ["resume", "close"]
        assert stack.messages("resume")[0]["replaces"] == session_id(1)
        assert attached.all(Reconnecting) == []

    def test_the_delays_grow(self) -> None:
        stack = HelperStack(statuses=dict.fromkeys(range(2, 8), 500))
        attached = run_attach(
            stack, at(Resumed), timing=replace(OLD_SOON, first_retry=0.001, longest_retry=0.004)
        )
        delays = [event.delay for event in attached.all(MoveFailed)]
        for delay, longest in zip(delays, [0.001, 0.002, 0.004, 0.004, 0.004, 0.004], strict=True):
            assert 0 <= delay <= longest

    def test_so_it_is_without_a_session(self) -> None:
        stack = HelperStack(sessions_answers=[Answer(500, "{}")] * 4)
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert len(self.failed(attached)) == 1
        assert "500" in self.failed(attached)[0]

    def test_the_old_one_serves_meanwhile(self) -> None:
        stack = HelperStack(statuses=dict.fromkeys(range(2, 10_000), 500))
        attached = run_attach(
            stack,
            each_of(
                at(MoveFailed, then=lambda: stack.push(1, invocation("request-1"))),
                at(InvocationFinished),
            ),
            timing=OLD_SOON,
        )
        assert stack.answers == {"request-1": {"result": "hello"}}
        assert attached.ended == DETACHED
        assert stack.actions(1)[-1] == "close"

    def test_one_that_says_nothing_is_hung_up_on(self) -> None:
        stack = HelperStack(acts={(2, "resume"): say_nothing})
        attached = run_attach(stack, at(Resumed), timing=replace(OLD_SOON, silence=0.1))
        assert self.failed(attached) == ["the new session did not get ready"]
        assert stack.actions(2) == ["resume"]
        assert stack.close_codes[2] is not None
        assert stack.actions(3) == ["resume", "close"]
        assert attached.ended == DETACHED

    def test_so_is_it_with_one_whose_connection_breaks(self) -> None:
        stack = HelperStack(acts={(2, "resume"): DROP})
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert len(self.failed(attached)) == 1
        assert attached.all(Reconnecting) == []

    def test_or_that_somebody_closes(self) -> None:
        """The current one goes on, and so do its invocations."""
        stack = HelperStack(acts={(2, "resume"): say(FORCED_OFF)})
        attached = run_attach(
            stack,
            each_of(
                at(MoveFailed, then=lambda: stack.push(1, invocation("request-1"))),
                at(InvocationFinished),
            ),
            timing=replace(OLD_SOON, first_retry=0.5, longest_retry=60),
        )
        assert [event.outcome for event in attached.all(InvocationFinished)] == ["succeeded"]
        assert attached.ended == DETACHED


class TestLossMeanwhile:
    def test_an_old_connection_that_breaks_is_no_loss_if_the_move_succeeds(self) -> None:
        stack = HelperStack()

        async def lose_the_first(number: int) -> None:
            if number == 2:
                stack.connections[1].transport.abort()
                await stack.connections[1].wait_closed()

        stack.on_handshake = lose_the_first
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert attached.all(Reconnecting) == attached.all(MoveFailed) == []
        assert attached.ended == DETACHED

    def test_if_it_fails_it_is_attached_again(self) -> None:
        stack = HelperStack(statuses={2: 500})

        async def lose_the_first(number: int) -> None:
            if number == 2:
                stack.connections[1].transport.abort()
                await stack.connections[1].wait_closed()

        stack.on_handshake = lose_the_first
        attached = run_attach(stack, at(Resumed), timing=OLD_SOON)
        assert len(attached.all(Reconnecting)) == 1
        assert attached.all(MoveFailed) == [], "what is lost need not be replaced any more"
        assert stack.messages("resume")[0]["replaces"] == session_id(1)
        assert attached.ended == DETACHED

    def test_the_loss_of_the_new_one_is_noticed_though_the_old_one_is_still_there(self) -> None:
        stack = HelperStack()
        attached = run_attach(
            stack,
            each_of(at(Resumed, then=lambda: stack.drop(2)), at(Resumed, 2)),
            timing=OLD_SOON,
        )
        assert len(attached.all(Reconnecting)) == 1
        assert attached.ended == DETACHED

    def test_what_is_sent_while_nobody_is_there_is_sent_again(self) -> None:
        """The old session is gone as soon as the new one has resumed it."""
        stack = HelperStack()

        async def lose_the_first(stack: HelperStack, number: int, _: object) -> None:
            stack.push(2, invocation("request-1"))
            stack.drop(1)
            await stack.connections[1].wait_closed()
            await asyncio.sleep(0.05)
            stack.push(2, *stack.reply(2, {"action": "resume", "replaces": session_id(1)}))

        stack.acts[2, "resume"] = lose_the_first
        attached = run_attach(stack, at(InvocationFinished), timing=replace(OLD_SOON, repeat=3600))
        assert stack.answers == {"request-1": {"result": "hello"}}
        assert attached.all(Reconnecting) == []


class TestCtrlC:
    """Whenever it comes, nothing is left behind, and nobody waits."""

    def test_right_after_a_move_it_does_not_wait_for_the_old_connection(self) -> None:
        began = time.monotonic()
        attached = run_attach(HelperStack(), at(Resumed), timing=OLD_SOON)
        assert attached.ended == DETACHED
        assert time.monotonic() - began < DEADLINE < OLD_SOON.grace

    def test_while_the_new_session_is_created(self) -> None:
        go = threading.Event()

        def sign(request: PreparedRequest) -> PreparedRequest:
            if stack.created and request.method == "POST":
                ctrl_c()
                go.wait(DEADLINE)
            return request

        def let_go(event: AttachEvent, _: Attached) -> None:
            if isinstance(event, Ended):
                go.set()

        stack = HelperStack()
        attached = run_attach(stack, let_go, timing=OLD_SOON, sign=sign)
        assert stack.actions(1)[-1] == "close"
        assert attached.ended == DETACHED

    def test_while_it_connects(self) -> None:
        async def on_handshake(number: int) -> None:
            if number == 2:
                ctrl_c()

        stack = HelperStack(on_handshake=on_handshake)
        attached = run_attach(stack, timing=OLD_SOON)
        assert stack.actions(1)[-1] == "close"
        assert stack.actions(2) == ["close"], "it opened, and asks for nothing"
        assert attached.ended == DETACHED
        assert stack.deleted == []

    def test_while_the_handshake_hangs(self) -> None:
        async def on_handshake(number: int) -> None:
            if number == 2:
                ctrl_c()
                await asyncio.sleep(1)

        stack = HelperStack(on_handshake=on_handshake)
        attached = run_attach(stack, timing=replace(OLD_SOON, closing=0.1))
        assert attached.ended == DETACHED
        assert stack.deleted == [2], "it may open yet"

    def test_while_it_resumes_both_are_closed(self) -> None:
        """It may have resumed: then it is the new one that has the functions."""

        async def resume(stack: HelperStack, number: int, _: object) -> None:
            stack.reply(number, {"action": "resume", "replaces": session_id(1)})
            ctrl_c()

        stack = HelperStack(acts={(2, "resume"): resume})
        attached = run_attach(stack, timing=OLD_SOON)
        assert stack.actions(1)[-1] == "close"
        assert stack.actions(2) == ["resume", "close"]
        assert 2 in stack.closed
        assert attached.ended == DETACHED
        assert stack.deleted == []

    def test_if_one_of_them_does_not_answer_it_is_closed_over_rest(self) -> None:
        async def resume(stack: HelperStack, number: int, _: object) -> None:
            ctrl_c()

        stack = HelperStack(acts={(2, "resume"): resume, (2, "close"): say_nothing})
        attached = run_attach(stack, timing=replace(OLD_SOON, closing=0.1))
        assert stack.deleted == [2]
        assert attached.ended == DETACHED


class TestForcedOff:
    def test_after_the_move(self) -> None:
        stack = HelperStack()
        attached = run_attach(
            stack, at(Resumed, then=lambda: stack.push(2, FORCED_OFF)), timing=OLD_SOON
        )
        assert isinstance(attached.error, ConnectionLostError)
        assert "closed by" in attached.error.message
        assert attached.all(Ended) == [Ended(False, True, FORCED_OFF["reason"])]
        assert stack.created == 2

    def test_during_it(self) -> None:
        """The new one does not bring back what somebody has just taken away."""

        async def force_off(stack: HelperStack, number: int, _: object) -> None:
            stack.closed.add(1)
            stack.push(1, FORCED_OFF)
            await stack.connections[1].wait_closed()
            stack.push(2, wire.expired())

        stack = HelperStack(acts={(2, "resume"): force_off})
        attached = run_attach(stack, timing=OLD_SOON)
        assert isinstance(attached.error, ConnectionLostError)
        assert "closed by" in attached.error.message
        assert attached.events[-1] == Ended(False, True, FORCED_OFF["reason"])
        assert stack.actions(2)[-1] == "close"
        assert stack.deleted == []
