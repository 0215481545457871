"""The session without I/O: any frame gives an event, and each state is left in one way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plldb.bootstrap.cloudformation.lambda_functions.websocket import wire
from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import ErrorCode
from plldb.debugger.protocol import (
    Connected,
    Ended,
    JunkArrived,
    MessageArrived,
    Refreshed,
    RefreshGranted,
    SessionProtocol,
    SessionState,
    close_reason,
)

CLOSED = json.dumps(wire.closed())


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
        assert protocol.state is SessionState.CONNECTING
        assert protocol.opened() == Connected()
        assert protocol.state is SessionState.ATTACHED

    def test_the_user_ends_it_and_the_server_confirms(self) -> None:
        protocol = attached()
        (frame,) = protocol.stop()
        assert json.loads(frame) == {"action": "close"}
        assert protocol.state is SessionState.CLOSING
        assert protocol.received(CLOSED) == Ended(True, True, "closed")
        assert protocol.state is SessionState.ENDED

    def test_the_user_ends_it_and_the_connection_goes_first(self) -> None:
        protocol = attached()
        protocol.stop()
        ended = protocol.connection_closed(0, 1000, "")
        assert ended is not None
        assert (ended.expected, ended.confirmed) == (True, False)

    def test_the_server_ends_it(self) -> None:
        ended = attached().received('{"type": "closed", "reason": "taken over"}')
        assert ended == Ended(expected=False, confirmed=True, reason="taken over")

    def test_the_connection_is_lost(self) -> None:
        ended = attached().connection_closed(0, 1006, "")
        assert ended is not None
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "broke" in ended.reason

    def test_asking_to_stop_twice_sends_one_frame(self) -> None:
        protocol = attached()
        assert len(protocol.stop()) == 1
        assert protocol.stop() == []

    def test_there_is_nothing_to_stop_before_and_after(self) -> None:
        assert SessionProtocol().stop() == []
        protocol = attached()
        protocol.connection_closed(0, 1006, "")
        assert protocol.stop() == []

    def test_messages_still_arrive_while_it_closes(self) -> None:
        protocol = attached()
        protocol.stop()
        assert protocol.received('{"type": "x"}') == MessageArrived({"type": "x"})
        assert protocol.state is SessionState.CLOSING


class TestFrames:
    def test_a_message(self) -> None:
        error = wire.error(ErrorCode.NOT_JSON, "why")
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
        assert protocol.state is SessionState.ATTACHED

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


class TestMoving:
    def test_what_is_sent_goes_to_the_new_connection_from_then_on(self) -> None:
        protocol = attached()
        (frame,) = protocol.request_refresh()
        assert json.loads(frame) == {"action": "refresh"}
        assert protocol.received(json.dumps(wire.refresh("t", 1))) == RefreshGranted("t")
        protocol.moving()
        assert protocol.current == 0
        assert protocol.moved(1) == Refreshed()
        assert protocol.current == 1

    def test_the_end_of_the_old_connection_is_not_that_of_the_session(self) -> None:
        protocol = attached()
        protocol.moving()
        protocol.moved(1)
        assert protocol.connection_closed(0, 1000, "") is None
        assert protocol.state is SessionState.ATTACHED
        ended = protocol.connection_closed(1, 1006, "")
        assert ended is not None
        assert "broke" in ended.reason

    def test_while_it_moves_it_is_not_over_before_that_has_failed(self) -> None:
        protocol = attached()
        protocol.moving()
        assert protocol.connection_closed(0, 1001, "") is None
        ended = protocol.not_moved()
        assert ended is not None
        assert (ended.expected, ended.confirmed) == (False, False)
        assert "code 1001" in ended.reason

    def test_a_move_that_failed_changes_nothing(self) -> None:
        protocol = attached()
        protocol.moving()
        assert protocol.request_refresh() == []
        assert protocol.not_moved() is None
        assert protocol.request_refresh() != []
        assert protocol.current == 0

    def test_the_server_can_end_it_on_either_connection(self) -> None:
        for _ in range(2):
            protocol = attached()
            protocol.moving()
            protocol.moved(1)
            closed = json.dumps(wire.closed("closed by eve"))
            assert protocol.received(closed) == Ended(False, True, "closed by eve")

    def test_nothing_moves_while_functions_are_being_instrumented(self) -> None:
        protocol = attached()
        assert protocol.instrument("{}") == ["{}"]
        assert protocol.request_refresh() == []
        protocol.received(json.dumps(wire.ready(1, 0)))
        assert protocol.request_refresh() != []

    def test_nor_before_and_after_the_session(self) -> None:
        assert SessionProtocol().request_refresh() == []
        protocol = attached()
        protocol.stop()
        assert protocol.request_refresh() == []

    @pytest.mark.parametrize("token", [None, 1, "", ["s3cret"]])
    def test_a_token_that_is_none_is_junk(self, token: object) -> None:
        event = attached().received(json.dumps({"type": "refresh", "token": token}))
        assert event == JunkArrived("refresh")

    def test_a_token_is_not_shown(self) -> None:
        assert "s3cret" not in repr(RefreshGranted("s3cret"))


class TestSessionGone:
    """The connection is there, and the helper stack says that it has no session (any more)."""

    REFUSAL = json.dumps(wire.error(ErrorCode.BAD_REQUEST, "The session is closed."))

    def test_it_is_over(self) -> None:
        event = attached().received(self.REFUSAL)
        assert isinstance(event, Ended)
        assert (event.expected, event.confirmed) == (False, False)

    def test_not_if_it_may_be_the_answer_to_instrumenting(self) -> None:
        protocol = attached()
        protocol.instrument("{}")
        assert isinstance(protocol.received(self.REFUSAL), MessageArrived)

    def test_not_if_the_session_moves_or_has_moved_away(self) -> None:
        protocol = attached()
        protocol.moving()
        assert isinstance(protocol.received(self.REFUSAL, 0), MessageArrived)
        protocol.moved(1)
        assert isinstance(protocol.received(self.REFUSAL, 0), MessageArrived)
        assert isinstance(protocol.received(self.REFUSAL, 1), Ended)

    def test_not_for_other_errors(self) -> None:
        error = wire.error(ErrorCode.UNKNOWN_ACTION, "why")
        assert attached().received(json.dumps(error)) == MessageArrived(error)


class Life(RuleBasedStateMachine):
    """Whatever happens in any order: an ending is expected exactly if the user asked for it, and
    comes exactly once, when no connection is left that has the session.
    """

    def __init__(self) -> None:
        super().__init__()
        self.protocol = attached()
        self.asked = False
        self.sent = 0
        self.ends = 0
        self.connections = {0}
        self.is_moving = False

    def still_on(self) -> bool:
        return self.protocol.state is not SessionState.ENDED

    def can_move(self) -> bool:
        return self.still_on() and bool(self.protocol.request_refresh())

    def moves(self) -> bool:
        return self.still_on() and self.is_moving

    @rule()
    def stop(self) -> None:
        on = self.still_on()
        self.sent += len(self.protocol.stop())
        self.asked = self.asked or on

    @precondition(still_on)
    @rule(frame=frames)
    def frame_arrives(self, frame: str | bytes) -> None:
        self.check(self.protocol.received(frame))

    @precondition(can_move)
    @rule()
    def begin_to_move(self) -> None:
        self.protocol.moving()
        self.is_moving = True

    @precondition(moves)
    @rule()
    def move(self) -> None:
        new = max({*self.connections, self.protocol.current}) + 1
        self.protocol.moved(new)
        self.connections.add(new)
        self.is_moving = False

    @precondition(moves)
    @rule()
    def fail_to_move(self) -> None:
        self.is_moving = False
        self.check(self.protocol.not_moved())

    @precondition(still_on)
    @rule(data=st.data(), code=st.integers(1000, 4999), reason=st.text())
    def connection_ends(self, data: st.DataObject, code: int, reason: str) -> None:
        if not self.connections:
            return
        number = data.draw(st.sampled_from(sorted(self.connections)))
        self.connections.discard(number)
        is_current = number == self.protocol.current
        self.check(self.protocol.connection_closed(number, code, reason))
        may_move = self.is_moving and not self.asked
        assert self.still_on() is (may_move or not is_current)

    def check(self, event: object) -> None:
        if isinstance(event, Ended):
            self.ends += 1
            assert event.expected is self.asked
            assert not self.still_on()

    @invariant()
    def close_is_sent_once_at_most(self) -> None:
        assert self.sent <= 1

    @invariant()
    def it_ends_once(self) -> None:
        assert self.ends == (0 if self.still_on() else 1)

    @invariant()
    def there_is_a_connection_or_may_be_one(self) -> None:
        alive = self.protocol.current in self.connections
        assert alive or self.is_moving or not self.still_on()


TestLifeInAnyOrder = Life.TestCase
