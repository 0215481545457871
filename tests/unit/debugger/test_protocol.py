"""The session without I/O: any frame gives an event, and each state is left in one way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plldb.bootstrap.cloudformation.lambda_functions import messages
from plldb.bootstrap.cloudformation.lambda_functions.messages import ErrorCode
from plldb.debugger.protocol import (
    Connected,
    Ended,
    JunkArrived,
    MessageArrived,
    SessionProtocol,
    State,
    close_reason,
)

CLOSED = json.dumps(messages.closed())


def attached() -> SessionProtocol:
    protocol = SessionProtocol()
    protocol.opened()
    return protocol


frames = (
    st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.dictionaries(st.text(), st.none() | st.text()).map(json.dumps)
    | st.fixed_dictionaries({"type": st.none() | st.text() | st.just("closed")}).map(json.dumps)
    | st.sampled_from([CLOSED, "[" * 100_000, "null", "{}", '{"type": 1}'])
)


class TestLife:
    def test_opened(self) -> None:
        protocol = SessionProtocol()
        assert protocol.state is State.CONNECTING
        assert protocol.opened() == Connected()
        assert protocol.state is State.ATTACHED

    def test_the_user_ends_it_and_the_server_confirms(self) -> None:
        protocol = attached()
        (frame,) = protocol.stop()
        assert json.loads(frame) == {"action": "close"}
        assert protocol.state is State.CLOSING
        assert protocol.received(CLOSED) == Ended(True, True, "closed")
        assert protocol.state is State.ENDED

    def test_the_user_ends_it_and_the_connection_goes_first(self) -> None:
        protocol = attached()
        protocol.stop()
        ended = protocol.connection_closed(1000, "")
        assert (ended.expected, ended.confirmed) == (True, False)

    def test_the_server_ends_it(self) -> None:
        ended = attached().received('{"type": "closed", "reason": "taken over"}')
        assert ended == Ended(expected=False, confirmed=True, reason="taken over")

    def test_the_connection_is_lost(self) -> None:
        ended = attached().connection_closed(1006, "")
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "broke" in ended.reason

    def test_asking_to_stop_twice_sends_one_frame(self) -> None:
        protocol = attached()
        assert len(protocol.stop()) == 1
        assert protocol.stop() == []

    def test_there_is_nothing_to_stop_before_and_after(self) -> None:
        assert SessionProtocol().stop() == []
        protocol = attached()
        protocol.connection_closed(1006, "")
        assert protocol.stop() == []

    def test_messages_still_arrive_while_it_closes(self) -> None:
        protocol = attached()
        protocol.stop()
        assert protocol.received('{"type": "x"}') == MessageArrived({"type": "x"})
        assert protocol.state is State.CLOSING


class TestFrames:
    def test_a_message(self) -> None:
        error = messages.error(ErrorCode.NOT_JSON, "why")
        assert attached().received(json.dumps(error)) == MessageArrived(error)
        assert attached().received(json.dumps(error).encode()) == MessageArrived(error)

    def test_a_type_from_the_future_is_a_message(self) -> None:
        assert attached().received('{"type": "new"}') == MessageArrived({"type": "new"})

    @pytest.mark.parametrize(
        "frame", ["", "x", "[]", "null", "{}", '{"type": null}', '{"type": {}}', b"\xff\xfe\xfd"]
    )
    def test_junk(self, frame: str | bytes) -> None:
        protocol = attached()
        assert isinstance(protocol.received(frame), JunkArrived)
        assert protocol.state is State.ATTACHED

    def test_the_preview_of_junk_can_not_harm_a_terminal(self) -> None:
        event = attached().received("\x1b[2J\x07\r\n\u202eabc")
        assert isinstance(event, JunkArrived)
        assert event.preview.isprintable()
        assert event.preview.endswith("abc")

    def test_the_preview_of_much_junk_is_short(self) -> None:
        event = attached().received("x" * 100_000)
        assert isinstance(event, JunkArrived)
        assert len(event.preview) <= 81
        assert event.preview.endswith("…")

    @given(frames)
    def test_any_frame_gives_an_event(self, frame: str | bytes) -> None:
        event = attached().received(frame)
        assert isinstance(event, MessageArrived | JunkArrived | Ended)
        if isinstance(event, JunkArrived):
            assert len(event.preview) <= 81
            assert all(character.isprintable() for character in event.preview)


class TestCloseReason:
    @pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1009, 1011, 1012, 4000])
    def test_it_names_the_code(self, code: int) -> None:
        assert f"code {code}" in close_reason(code, "")

    def test_and_what_the_server_said(self) -> None:
        assert close_reason(4000, "Goodbye").endswith("(code 4000: Goodbye)")

    @given(st.integers(1000, 4999), st.text())
    def test_whatever_they_are(self, code: int, reason: str) -> None:
        assert reason in close_reason(code, reason)


class Life(RuleBasedStateMachine):
    """Whatever happens in any order: an ending is expected exactly if the user asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = attached()
        self.asked = False
        self.sent = 0

    def still_on(self) -> bool:
        return self.protocol.state is not State.ENDED

    @rule()
    def stop(self) -> None:
        on = self.still_on()
        self.sent += len(self.protocol.stop())
        self.asked = self.asked or on

    @precondition(still_on)
    @rule(frame=frames)
    def frame_arrives(self, frame: str | bytes) -> None:
        self.check(self.protocol.received(frame))

    @precondition(still_on)
    @rule(code=st.integers(1000, 4999), reason=st.text())
    def connection_ends(self, code: int, reason: str) -> None:
        self.check(self.protocol.connection_closed(code, reason))
        assert not self.still_on()

    def check(self, event: object) -> None:
        if isinstance(event, Ended):
            assert event.expected is self.asked
            assert not self.still_on()

    @invariant()
    def close_is_sent_once_at_most(self) -> None:
        assert self.sent <= 1


TestLifeInAnyOrder = Life.TestCase
