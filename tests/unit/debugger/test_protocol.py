"""The session without I/O: any frame gives an event, and each state is left in one way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from plldb.bootstrap.cloudformation.lambda_functions.shared.signed_request import SignedRequest
from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode, WhenAbsent
from plldb.debugger.held_functions import Changes, HeldFunctions
from plldb.debugger.protocol import (
    Changed,
    Connected,
    Ended,
    Expired,
    Instrumented,
    InvocationArrived,
    JunkArrived,
    MessageArrived,
    Ready,
    Replied,
    Restored,
    Resumed,
    SessionEvent,
    SessionProtocol,
    SessionState,
    Silent,
    Skipped,
    Taken,
    Warned,
    Wish,
    explain_close,
)
from plldb.debugger.timing import Timing

SESSION_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
FORMER = "ffffffff-2222-4333-8444-5e6f708192a3"
TIMING = Timing()
GREETER = Wish(functions=("Greeter",))
DEPLOYED_GREETER = wire.instrumented(
    "Greeter",
    function_name="app-Greeter",
    function_arn="arn:aws:lambda:eu-central-1:000000000000:function:app-Greeter",
    handler="app.handler",
    runtime="python3.13",
    timeout=3,
    memory_size=128,
    variables={"TABLE": "greetings"},
)
CLAIM = SignedRequest(url="https://x/", headers={"x-amz-target": "y"}, body='{"a": 1}')
CLOSED = wire.closed()
REFUSAL = wire.error(ErrorCode.SESSION_CLOSED, "The session is closed.")


class Session:
    """A session with its clock; ``frames`` and ``events`` are taken as soon as they are there."""

    def __init__(
        self,
        wish: Wish = Wish(),  # noqa: B008 - frozen
        timing: Timing = TIMING,
        held: HeldFunctions | None = None,
    ) -> None:
        self.protocol = SessionProtocol(SESSION_ID, wish, timing, wake=self._count, held=held)
        self.now = 1000.0
        self.wakes = 0
        self.frames: list[dict[str, Any]] = []
        self.events: list[SessionEvent] = []

    def _count(self) -> None:
        self.wakes += 1

    def do(self, step: Callable[[], None]) -> None:
        step()
        self.events += self.protocol.take_events()
        while (frame := self.protocol.take_frame()) is not None:
            self.frames.append(json.loads(frame))

    def opened(self) -> Session:
        self.do(lambda: self.protocol.opened(self.now))
        return self

    def hears(self, *messages: Any) -> Session:
        for message in messages:
            frame = message if isinstance(message, str | bytes) else json.dumps(message)
            self.do(lambda: self.protocol.receive(frame, self.now))  # noqa: B023 - called at once
        return self

    def passes(self, seconds: float) -> Session:
        """Time, with a call whenever one is due."""
        until = self.now + seconds
        while (due := self.protocol.due) is not None and due <= until:
            self.now = max(self.now, due)
            self.do(lambda: self.protocol.advance(self.now))
        self.now = until
        return self

    def stop(self) -> Session:
        self.do(lambda: self.protocol.stop(self.now))
        return self

    def retire(self) -> Session:
        self.do(lambda: self.protocol.retire(self.now))
        return self

    def lose(self, code: int = 1006, reason: str = "") -> Session:
        self.do(lambda: self.protocol.lose(code, reason))
        return self

    @property
    def state(self) -> SessionState:
        return self.protocol.state

    @property
    def ends(self) -> list[Ended]:
        return [event for event in self.events if isinstance(event, Ended)]

    def sent(self, action: str) -> int:
        return sum(frame["action"] == action for frame in self.frames)


def attached(wish: Wish = Wish(), timing: Timing = TIMING) -> Session:  # noqa: B008 - frozen
    return Session(wish, timing).opened()


class TestLife:
    def test_opened(self) -> None:
        session = Session()
        assert session.state is SessionState.CONNECTING
        assert session.protocol.is_ready
        session.opened()
        assert session.state is SessionState.ATTACHED
        assert session.events == [Connected()]
        assert session.frames == []
        assert session.protocol.is_ready

    def test_the_user_ends_it_and_the_server_confirms(self) -> None:
        session = attached().stop()
        assert session.frames == [{"action": "close", "sessionId": SESSION_ID}]
        assert session.state is SessionState.CLOSING
        session.hears(CLOSED)
        assert session.ends == [Ended(True, True, "closed")]
        assert session.state is SessionState.ENDED

    def test_the_user_ends_it_and_the_connection_goes_first(self) -> None:
        (ended,) = attached().stop().lose().ends
        assert (ended.expected, ended.confirmed) == (True, False)

    def test_the_user_ends_it_and_the_server_says_nothing(self) -> None:
        session = attached().stop().passes(TIMING.closing - 1)
        assert session.ends == []
        (ended,) = session.passes(1).ends
        assert (ended.expected, ended.confirmed) == (True, False)

    def test_whatever_the_server_says_gives_it_more_time(self) -> None:
        session = attached().stop()
        for _ in range(100):
            session.passes(TIMING.closing - 1).hears(wire.restored("Greeter"))
        assert session.state is SessionState.CLOSING
        assert session.hears(CLOSED).ends == [Ended(True, True, "closed")]

    def test_the_server_ends_it(self) -> None:
        session = attached().hears(wire.closed("closed by eve"))
        assert session.ends == [Ended(expected=False, confirmed=True, reason="closed by eve")]

    def test_the_connection_is_lost(self) -> None:
        (ended,) = attached().lose().ends
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "broke" in ended.reason

    def test_asking_to_stop_twice_sends_one_frame(self) -> None:
        assert attached().stop().stop().sent("close") == 1

    def test_who_stops_before_it_is_open_instruments_nothing(self) -> None:
        session = Session(GREETER).stop().opened()
        assert [frame["action"] for frame in session.frames] == ["close"]
        assert session.events == [Connected()]
        assert session.hears(CLOSED).ends == [Ended(True, True, "closed")]

    def test_and_then_waits_as_long_for_the_last_word_as_ever(self) -> None:
        session = Session(GREETER).stop().opened().passes(TIMING.closing - 1)
        assert session.ends == []
        (ended,) = session.passes(1).ends
        assert (ended.expected, ended.confirmed) == (True, False)

    def test_what_comes_after_the_end_is_passed_over(self) -> None:
        session = attached(GREETER).lose()
        before = [*session.events], [*session.frames]
        session.stop().retire().lose().passes(3600).hears(CLOSED, wire.expired(), "junk")
        session.do(lambda: session.protocol.send("{}"))
        assert (session.events, session.frames) == before
        assert session.protocol.due is None

    def test_messages_still_arrive_while_it_closes(self) -> None:
        session = attached().stop().hears(wire.restored("Greeter"))
        assert session.events[-1] == Restored("Greeter")
        assert session.state is SessionState.CLOSING

    def test_what_the_close_has_overtaken_is_refused_and_does_not_end_it(self) -> None:
        """A heartbeat, say: API Gateway hands on what comes shortly after one another at once."""
        session = attached().stop().hears(REFUSAL)
        assert session.state is SessionState.CLOSING
        assert session.hears(wire.restored("Greeter"), CLOSED).ends == [Ended(True, True, "closed")]

    def test_the_last_word_still_goes_out_after_a_confirmed_end(self) -> None:
        """The connection is there until it is hung up."""
        session = attached().stop().hears(CLOSED)
        session.do(lambda: session.protocol.send('{"action": "answer"}'))
        assert session.frames[-1] == {"action": "answer"}

    def test_who_sends_something_wakes_who_moves_the_bytes(self) -> None:
        session = attached()
        before = session.wakes
        session.protocol.send("{}")
        assert session.wakes == before + 1


class TestHeartbeat:
    BEAT = {"action": "heartbeat", "sessionId": SESSION_ID}

    def test_one_is_sent_in_each_interval(self) -> None:
        session = attached()
        for number in range(100):
            assert session.frames == [self.BEAT] * number
            session.passes(TIMING.heartbeat).hears(wire.heartbeat(0, 0))
        assert session.ends == []

    def test_a_long_sleep_is_followed_by_one(self) -> None:
        session = attached()
        session.now += 100 * TIMING.heartbeat
        session.do(lambda: session.protocol.advance(session.now))
        assert session.frames == [self.BEAT]
        assert session.protocol.due == session.now + TIMING.answer

    def test_an_answer_is_no_event(self) -> None:
        session = attached().passes(TIMING.heartbeat).hears(wire.heartbeat(0, 0))
        assert session.events == [Connected()]

    def test_without_an_answer_the_session_is_lost_while_its_lease_lasts(self) -> None:
        session = attached().passes(TIMING.heartbeat + TIMING.answer)
        (ended,) = session.ends
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "does not answer" in ended.reason
        assert TIMING.heartbeat + TIMING.answer < 150

    def test_other_messages_are_no_answer(self) -> None:
        """They may come from another function of the helper stack."""
        session = attached().passes(TIMING.heartbeat + TIMING.answer - 1)
        assert len(session.hears(wire.restored("Greeter")).passes(1).ends) == 1

    def test_a_claim_that_came_too_late_is_followed_by_a_sign_of_life(self) -> None:
        """The helper stack may take this debugger for a silent one."""
        late = wire.void("request-1", 30.0, "ABANDONED")
        session = attached().hears(late, late, late).passes(0)
        assert session.frames == [self.BEAT], "one, of several that came at once"
        session.hears(wire.heartbeat(0, 0)).passes(TIMING.heartbeat)
        assert session.frames == [self.BEAT] * 2

    def test_an_interval_that_is_shorter_than_an_answer_may_take(self) -> None:
        session = attached(timing=Timing(heartbeat=1, answer=30)).passes(29)
        assert session.sent("heartbeat") == 29
        session.hears(*[wire.heartbeat(0, 0)] * 29).passes(29)
        assert session.ends == []

    def test_none_is_sent_while_it_closes(self) -> None:
        session = attached().passes(TIMING.heartbeat - 1).stop()
        for _ in range(100):
            session.passes(TIMING.closing - 1).hears(wire.restored("Greeter"))
        assert session.sent("heartbeat") == 0

    def test_a_session_that_the_helper_stack_has_not_is_lost(self) -> None:
        (ended,) = attached().passes(TIMING.heartbeat).hears(REFUSAL).ends
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "has closed the session" in ended.reason


class TestInstrumenting:
    def test_the_wish_is_sent(self) -> None:
        session = attached(
            Wish(("A", "B"), WhenAbsent.ERROR, take_over=True, as_function=True, aliases=True)
        )
        assert session.frames == [
            {
                "action": "instrument",
                "sessionId": SESSION_ID,
                "functions": ["A", "B"],
                "whenAbsent": "error",
                "takeOver": True,
                "asFunction": True,
                "aliases": True,
            }
        ]
        assert not session.protocol.is_ready
        assert session.hears(wire.ready(2, 0, 50)).protocol.is_ready
        assert session.events[-1] == Ready(instrumented=2, skipped=0, max_waiting=50)

    def test_a_helper_stack_that_denies_credentials_has_nothing_for_the_session(self) -> None:
        refusal = wire.error(ErrorCode.CREDENTIALS_DENIED, "It passes none on.")
        (ended,) = attached(Wish(("A",), as_function=True)).hears(refusal).ends
        assert (ended.expected, ended.reason) == (False, "It passes none on")

    def test_of_silence_is_told_and_the_wish_is_sent_again(self) -> None:
        session = attached(GREETER)
        wish = session.frames[-1]
        for times in range(1, 4):
            session.passes(TIMING.silence).hears(wire.heartbeat(0, 0))
            assert session.events == [Connected(), *[Silent(TIMING.silence)] * times]
            assert session.frames.count(wish) == 1 + times

    def test_what_takes_long_is_not_asked_for_again(self) -> None:
        session = attached(GREETER).hears(wire.warning("Greeter", "careful"))
        session.passes(TIMING.silence).hears(wire.heartbeat(0, 0)).passes(TIMING.silence)
        assert session.events.count(Silent(TIMING.silence)) == 1
        assert session.sent("instrument") == 1

    def test_a_word_about_a_function_breaks_it(self) -> None:
        session = attached(GREETER)
        for _ in range(10):
            session.passes(TIMING.silence - 1)
            session.hears(wire.heartbeat(0, 0), wire.warning("Greeter", "careful"))
        assert not any(isinstance(event, Silent) for event in session.events)

    def test_there_is_none_once_all_are_done(self) -> None:
        session = attached(GREETER).hears(wire.ready(1, 0, 50))
        for _ in range(10):
            session.passes(TIMING.heartbeat).hears(wire.heartbeat(0, 0))
        assert not any(isinstance(event, Silent) for event in session.events)


def resuming(is_complete: bool = True, functions: tuple[str, ...] = ("Greeter",)) -> Session:
    return attached(Wish(functions, former=FORMER, is_complete=is_complete))


class TestResuming:
    QUESTION = {"action": "resume", "sessionId": SESSION_ID, "replaces": FORMER}

    def test_the_former_session_is_asked_for_and_nothing_is_instrumented(self) -> None:
        session = resuming()
        assert session.frames == [self.QUESTION]
        assert not session.protocol.is_ready
        session.hears(wire.resumed()).passes(TIMING.repeat * 3)
        assert session.protocol.is_ready
        assert session.frames == [self.QUESTION]
        assert session.events == [Connected(), Resumed()]

    def test_it_is_asked_again_until_there_is_an_answer(self) -> None:
        session = resuming().passes(TIMING.repeat * 3)
        assert session.frames == [self.QUESTION] * 4
        assert session.hears(wire.resumed()).passes(TIMING.repeat * 3).sent("resume") == 4

    @pytest.mark.parametrize("answers", [[wire.resumed()] * 2, [wire.resumed(), wire.expired()]])
    def test_so_the_answer_may_come_again(self, answers: list[Any]) -> None:
        session = resuming().hears(*answers)
        assert session.events == [Connected(), Resumed()]
        assert session.frames == [self.QUESTION]

    def test_what_was_not_complete_is_completed(self) -> None:
        session = resuming(is_complete=False).hears(wire.resumed(), wire.resumed())
        assert session.events == [Connected(), Resumed()]
        assert [frame["action"] for frame in session.frames] == ["resume", "instrument"]
        assert not session.protocol.is_ready
        assert session.hears(wire.ready(1, 0, 50)).protocol.is_ready

    def test_what_is_over_is_instrumented_anew(self) -> None:
        session = resuming().hears(wire.expired(), wire.expired())
        assert session.events == [Connected(), Expired()]
        assert [frame["action"] for frame in session.frames] == ["resume", "instrument"]
        assert not session.protocol.is_ready

    @pytest.mark.parametrize("answer", [wire.resumed(), wire.expired()])
    def test_without_functions_there_is_nothing_more_to_do(self, answer: Any) -> None:
        session = resuming(is_complete=False, functions=())
        assert not session.protocol.is_ready
        assert session.hears(answer).protocol.is_ready
        assert session.frames == [self.QUESTION]

    def test_an_answer_that_nobody_asked_for_changes_nothing(self) -> None:
        session = attached(GREETER).hears(wire.resumed(), wire.expired())
        assert session.events == [Connected()]
        assert session.sent("instrument") == 1

    def test_of_silence_is_told(self) -> None:
        assert resuming().passes(TIMING.silence).events[-1] == Silent(TIMING.silence)

    def test_whoever_stops_meanwhile_asks_no_more(self) -> None:
        session = resuming().stop().hears(wire.expired()).passes(TIMING.closing)
        assert [frame["action"] for frame in session.frames] == ["resume", "close"]


class TestRetiring:
    def test_it_ends_by_itself_after_a_while_and_without_a_word(self) -> None:
        session = attached().passes(TIMING.heartbeat - 1).retire()
        assert session.state is SessionState.RETIRED
        assert session.passes(TIMING.grace - 1).ends == []
        (ended,) = session.passes(1).ends
        assert not ended.confirmed
        assert session.frames == []

    def test_what_arrives_still_counts_and_does_not_keep_it(self) -> None:
        session = attached().retire().passes(TIMING.grace - 1).hears(invocation())
        assert isinstance(session.events[-1], InvocationArrived)
        assert len(session.passes(1).ends) == 1

    def test_that_the_helper_stack_has_it_no_more_is_no_surprise(self) -> None:
        """The answer to a heartbeat that was under way."""
        session = attached().passes(TIMING.heartbeat).retire().hears(REFUSAL)
        assert session.ends == []

    def test_it_ends_at_once_when_all_is_to_end(self) -> None:
        session = attached().retire().stop()
        assert len(session.ends) == 1
        assert session.frames == []

    def test_one_that_closes_does_not_retire(self) -> None:
        assert attached().stop().retire().state is SessionState.CLOSING


def invocation(**changes: Any) -> dict[str, Any]:
    given_ = {"deadline": 30.0, "sent_at": 10.0, "context": {"function_name": "x"}, "event": "{}"}
    return dict(wire.invocation("request-1", "Greeter", **given_ | changes))  # type: ignore[arg-type]


MESSAGES: list[tuple[dict[str, Any], SessionEvent]] = [
    (
        invocation(),
        InvocationArrived(
            SESSION_ID, "request-1", "Greeter", 30.0, 10.0, {"function_name": "x"}, "{}", None
        ),
    ),
    (
        invocation(event=None, event_url="https://x/1"),
        InvocationArrived(
            *(SESSION_ID, "request-1", "Greeter", 30.0, 10.0, {"function_name": "x"}),
            *(None, "https://x/1"),
        ),
    ),
    (
        invocation(claim=CLAIM),
        InvocationArrived(
            *(SESSION_ID, "request-1", "Greeter", 30.0, 10.0, {"function_name": "x"}),
            *("{}", None, CLAIM),
        ),
    ),
    (wire.go("request-1", 30.0), Replied("request-1", 30.0, wire.go("request-1", 30.0))),
    (
        wire.void("request-1", 30.0, "ABANDONED"),
        Replied("request-1", 30.0, wire.void("request-1", 30.0, "ABANDONED")),
    ),
    (
        wire.recorded("request-1", 30.0, "ANSWERED"),
        Replied("request-1", 30.0, wire.recorded("request-1", 30.0, "ANSWERED")),
    ),
    (
        wire.upload("request-1", "k", "u"),
        Replied("request-1", None, wire.upload("request-1", "k", "u")),
    ),
    (
        DEPLOYED_GREETER,
        Instrumented("Greeter", DEPLOYED_GREETER),
    ),
    (wire.skipped("Greeter", "why"), Skipped("Greeter", "why")),
    (wire.warning("Greeter", "why"), Warned("Greeter", "why")),
    (wire.taken("Greeter", "eve"), Taken("Greeter", "eve")),
    (wire.restored("Greeter"), Restored("Greeter")),
    (
        wire.error(ErrorCode.BAD_REQUEST, "why"),
        MessageArrived(wire.error(ErrorCode.BAD_REQUEST, "why")),
    ),
    # What is wrong with a message about an invocation is an answer to it.
    (
        wire.error(ErrorCode.BAD_REQUEST, "why", "request-1"),
        Replied("request-1", None, wire.error(ErrorCode.BAD_REQUEST, "why", "request-1")),
    ),
    # From the future.
    ({"type": "new"}, MessageArrived({"type": "new"})),
]


class TestFrames:
    @pytest.mark.parametrize(
        ("message", "event"), MESSAGES, ids=[message["type"] for message, _ in MESSAGES]
    )
    def test_a_message_is_an_event(self, message: dict[str, Any], event: SessionEvent) -> None:
        assert attached().hears(message).events[-1] == event
        assert attached().hears(json.dumps(message).encode()).events[-1] == event

    @pytest.mark.parametrize(
        "frame",
        [
            *("", "x", "[]", "null", "{}", '{"type": null}', '{"type": {}}', b"\xff\xfe\xfd"),
            '{"type": "go"}',
            '{"type": "go", "requestId": "request-1"}',
            '{"type": "void", "requestId": 1}',
            '{"type": "skipped", "function": "Greeter"}',
            '{"type": "instrumented", "function": "Greeter", "handler": "x"}',
            json.dumps(DEPLOYED_GREETER | {"variables": None}),
            json.dumps(DEPLOYED_GREETER | {"timeout": "soon"}),
            json.dumps(DEPLOYED_GREETER | {"layers": "one"}),
            json.dumps(DEPLOYED_GREETER | {"layers": [1]}),
            json.dumps(DEPLOYED_GREETER | {"aliases": "live"}),
            json.dumps(DEPLOYED_GREETER | {"aliases": [1]}),
            '{"type": "upload", "requestId": "request-1", "key": 1}',
            '{"type": "ready", "instrumented": 1e999, "skipped": 0, "maxWaiting": 1}',
            f'{{"type": "ready", "instrumented": {10**400}, "skipped": 0, "maxWaiting": 1}}',
            json.dumps(invocation(event="{}", event_url="https://x/1")),
            json.dumps(invocation(event=None)),
            json.dumps(invocation(context="none")),
            json.dumps(invocation(deadline="soon")),
            json.dumps(invocation(sent_at=float("nan"))),
            json.dumps(invocation() | {"credentials": "ASIA"}),
            json.dumps(invocation() | {"credentials": {"accessKeyId": "ASIA"}}),
        ],
    )
    def test_junk(self, frame: str | bytes) -> None:
        session = attached(GREETER).hears(frame)
        assert isinstance(session.events[-1], JunkArrived)
        assert session.state is SessionState.ATTACHED
        assert not session.protocol.is_ready

    def test_the_preview_of_junk_can_not_harm_a_terminal(self) -> None:
        (_, event) = attached().hears("\x1b[2J\x07\r\n\u202eabc").events
        assert isinstance(event, JunkArrived)
        assert event.preview.isprintable()
        assert event.preview.endswith("abc")

    def test_the_preview_of_much_junk_is_short(self) -> None:
        (_, event) = attached().hears("x" * 100_000).events
        assert isinstance(event, JunkArrived)
        assert len(event.preview) <= 81
        assert event.preview.endswith("…")

    def test_a_reason_that_is_no_text_is_none(self) -> None:
        assert attached().hears({"type": "closed", "reason": 5}).ends[0].reason == "closed"


class TestCloseReason:
    @pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1009, 1011, 1012, 4000])
    def test_it_names_the_code(self, code: int) -> None:
        assert f"code {code}" in explain_close(code, "")

    def test_and_what_the_server_said(self) -> None:
        assert explain_close(4000, "Goodbye").endswith("(code 4000: Goodbye)")

    @given(st.integers(1000, 4999), st.text())
    def test_whatever_they_are(self, code: int, reason: str) -> None:
        assert reason in explain_close(code, reason)


# --- In any order ---------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)
junk = (
    st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.dictionaries(st.text(), json_values, max_size=3).map(json.dumps)
    | st.sampled_from(["[" * 100_000, "null", "{}", '{"type": 1}'])
)
# Each message as it should be, or with one field that is not.
KNOWN = [
    *(message for message, _ in MESSAGES),
    *(wire.heartbeat(1, 1.0), wire.resumed(), wire.expired(), wire.ready(1, 0, 50)),
]
broken = st.builds(
    lambda message, name, value: message | {name: value},
    st.sampled_from(KNOWN),
    st.sampled_from(sorted({name for message in KNOWN for name in message})),
    json_values,
).map(json.dumps)
known = st.sampled_from(KNOWN).map(json.dumps)
wishes = st.sampled_from(
    [Wish(), GREETER, *(Wish(("A",), former=FORMER, is_complete=c) for c in (True, False))]
)
steps = st.floats(0, 100) | st.sampled_from([TIMING.heartbeat, TIMING.answer, TIMING.closing])


class Life(RuleBasedStateMachine):
    """Whatever happens, in whatever order: nothing is raised, and there is one end."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session()
        self.has_asked = False
        self.beats: list[float] = []

    def is_on(self) -> bool:
        return self.session.state is not SessionState.ENDED

    def has_ended(self) -> bool:
        return not self.is_on()

    @initialize(wish=wishes, is_unwanted=st.booleans())
    def begin(self, wish: Wish, is_unwanted: bool) -> None:
        self.session = Session(wish)
        if is_unwanted:
            self.stop()
        self.session.opened()

    @rule()
    def stop(self) -> None:
        self.has_asked = self.has_asked or self.is_on()
        self.session.stop()

    @rule()
    def retire(self) -> None:
        self.has_asked = self.has_asked or self.session.state is SessionState.ATTACHED
        self.session.retire()

    @rule(frame=junk | broken)
    def junk_arrives(self, frame: str | bytes) -> None:
        self.session.hears(frame)

    @rule(frame=known)
    def message_arrives(self, frame: str) -> None:
        self.session.hears(frame)

    @rule(seconds=steps)
    def time_passes(self, seconds: float) -> None:
        before = self.session.sent("heartbeat")
        self.session.passes(seconds)
        self.beats += [self.session.now] * (self.session.sent("heartbeat") - before)
        due = self.session.protocol.due
        assert due is None or due > self.session.now, "it is called no more often than needed"

    @rule(seconds=steps)
    def all_sleep(self, seconds: float) -> None:
        self.session.now += seconds

    @rule(text=st.just('{"action": "answer"}'))
    def something_is_sent(self, text: str) -> None:
        self.session.do(lambda: self.session.protocol.send(text))

    @precondition(is_on)
    @rule(reason=st.none() | st.text())
    def the_server_closes_it(self, reason: str | None) -> None:
        self.session.hears(wire.closed(reason) if reason is None else wire.closed(reason or "x"))
        assert self.session.ends[0].confirmed

    @rule()
    def the_server_has_no_such_session(self) -> None:
        self.session.hears(REFUSAL)

    @rule(code=st.integers(1000, 4999), reason=st.text())
    def the_connection_is_lost(self, code: int, reason: str) -> None:
        self.session.lose(code, reason)
        assert not self.is_on()

    @invariant()
    def it_ends_once(self) -> None:
        assert len(self.session.ends) == (0 if self.is_on() else 1)

    @invariant()
    def an_end_is_expected_if_it_was_asked_for(self) -> None:
        assert all(ended.expected is self.has_asked for ended in self.session.ends)

    @invariant()
    def it_is_asked_to_close_once(self) -> None:
        assert self.session.sent("close") <= 1

    @invariant()
    def functions_are_asked_for_once_and_again_after_each_silence(self) -> None:
        silences = sum(isinstance(event, Silent) for event in self.session.events)
        assert self.session.sent("instrument") <= 1 + silences

    @invariant()
    def after_the_end_nothing_is_due(self) -> None:
        assert (self.session.protocol.due is None) is not self.is_on()

    @invariant()
    def nothing_is_left_unsaid(self) -> None:
        assert self.session.protocol.take_events() == []
        assert self.session.protocol.take_frame() is None


TestLifeInAnyOrder = Life.TestCase


@given(st.lists(st.floats(0, 200), max_size=50), st.data())
def test_there_is_one_heartbeat_in_an_interval_however_late_it_is_called(
    naps: list[float], data: st.DataObject
) -> None:
    session = attached()
    last = session.now
    for nap in naps:
        session.now += nap
        before = session.sent("heartbeat")
        session.do(lambda: session.protocol.advance(session.now))
        sent = session.sent("heartbeat") - before
        is_due = session.now - last >= TIMING.heartbeat
        assert sent == (1 if is_due else 0)
        last = session.now if sent else last
        session.hears(wire.heartbeat(0, 0))


class TestWatching:
    def watching(self) -> tuple[Session, HeldFunctions]:
        held = HeldFunctions()
        return Session(GREETER, held=held).opened(), held

    def asked(self, session: Session) -> list[dict[str, Any]]:
        return [frame for frame in session.frames if frame["action"] == "watch"]

    def test_it_asks_again_and_again_whether_all_is_as_it_was(self) -> None:
        session, held = self.watching()
        session.hears(DEPLOYED_GREETER, wire.ready(1, 0, 50))
        held.stack = "first"
        held.note_instrumented("Greeter", DEPLOYED_GREETER | {"revision": "7"})
        session.passes(2 * TIMING.watch + 1)
        assert (
            self.asked(session)
            == [
                {
                    "action": "watch",
                    "sessionId": SESSION_ID,
                    "stack": "first",
                    "functions": {"app-Greeter": "7"},
                }
            ]
            * 2
        )

    def test_not_before_the_functions_are_done_and_never_without_a_need(self) -> None:
        session, _ = self.watching()
        session.passes(3 * TIMING.watch)
        assert self.asked(session) == []
        session = Session(GREETER).opened().hears(wire.ready(0, 0, 50))
        session.passes(3 * TIMING.watch)
        assert self.asked(session) == []

    def test_what_has_changed_is_an_event(self) -> None:
        session, _ = self.watching()
        session.hears(wire.changed("second", False, ["a", "b"], ["b"], ["c"]))
        assert session.events[-1] == Changed(Changes("second", False, ("a", "b"), ("b",), ("c",)))

    def test_what_is_asked_for_again_says_so(self) -> None:
        session, _ = self.watching()
        session.hears(wire.ready(1, 0, 50))
        session.do(lambda: session.protocol.instrument_again(["Greeter"], session.now))
        session.do(lambda: session.protocol.instrument_again(["Greeter"], session.now))
        asked = [frame for frame in session.frames if frame["action"] == "instrument"]
        assert [one["functions"] for one in asked] == [["Greeter"], ["Greeter"]]
        assert asked[1]["takeOver"] is False
        session.hears(DEPLOYED_GREETER, wire.skipped("X", "why", "7"), wire.ready(1, 1, 50, "2"))
        assert session.events[-3:] == [
            Instrumented("Greeter", DEPLOYED_GREETER, is_again=True),
            Skipped("X", "why", "7", is_again=True),
            Ready(1, 1, 50, "2", is_again=True),
        ]
        session.hears(DEPLOYED_GREETER)
        assert session.events[-1] == Instrumented("Greeter", DEPLOYED_GREETER)

    def test_an_answer_that_got_lost_ends_no_session(self) -> None:
        session, _ = self.watching()
        session.hears(wire.ready(1, 0, 50))
        session.do(lambda: session.protocol.instrument_again(["Greeter"], session.now))
        before = len(self.asked(session))
        while session.now < 1000 + TIMING.silence + TIMING.watch + 1:
            session.passes(TIMING.watch / 2).hears(wire.heartbeat(1, 1.0))
        assert session.state is SessionState.ATTACHED
        assert not [event for event in session.events if isinstance(event, Silent)]
        assert len(self.asked(session)) > before

    def test_a_helper_stack_that_does_not_know_it_is_not_asked_again(self) -> None:
        session, _ = self.watching()
        session.hears(wire.ready(1, 0, 50)).passes(TIMING.watch)
        session.hears(wire.error(ErrorCode.UNKNOWN_ACTION, "'action' must be one of: …"))
        session.passes(3 * TIMING.watch)
        assert len(self.asked(session)) == 1
        assert not [event for event in session.events if isinstance(event, MessageArrived)]

    @pytest.mark.parametrize(
        "changes", [{"functions": "x"}, {"lost": [1]}, {"gone": None}, {"stack": 1}]
    )
    def test_one_that_makes_no_sense_is_junk(self, changes: dict[str, Any]) -> None:
        session, _ = self.watching()
        session.hears(wire.changed("second", False) | changes)
        assert isinstance(session.events[-1], JunkArrived)
