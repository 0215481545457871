"""Messages are answered over their connection, whatever they are, and never hang it up."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.websocket.wire import Action

from tests.unit.bootstrap.lambda_functions.websocket.scene import (
    DEBUGGER,
    FUNCTION,
    MAX_BYTES,
    Message,
    Scene,
)

OF_FUNCTIONS = {Action.ABANDON, Action.AWAIT, Action.INVOKE}
OF_DEBUGGERS = {*Action} - OF_FUNCTIONS - {Action.UPLOAD}


def error_of(replies: list[Message]) -> tuple[str, str]:
    (reply,) = replies
    assert reply["type"] == "error"
    return reply["code"], reply["message"]


class TestNonsense:
    @pytest.mark.parametrize(
        "body", [None, "", "x", "[]", "null", "1", '"close"', "[" * 100_000, '{"action": "close"']
    )
    def test_what_is_no_json_object(self, body: str | None) -> None:
        scene = Scene()
        assert error_of(scene.send(body, DEBUGGER))[0] == "not_json"
        assert scene.record["outcome"] == "not_json"

    @pytest.mark.parametrize(
        "body",
        [
            "{}",
            '{"action": "CLOSE"}',
            '{"action": null}',
            '{"action": {}}',
            '{"type": "close"}',
            '{"action": "refresh"}',
        ],
    )
    def test_what_is_no_action_gets_to_know_the_actions(self, body: str) -> None:
        scene = Scene()
        code, message = error_of(scene.send(body, DEBUGGER))
        assert code == "unknown_action"
        assert all(action in message for action in Action)
        assert scene.record["level"] == "WARNING"

    def test_the_border_of_the_size(self) -> None:
        """In bytes: a character may take four."""
        scene = Scene()
        message = {"action": "heartbeat", "sessionId": scene.session.session_id, "x": ""}
        padding = "x" * (MAX_BYTES - len(json.dumps(message)))
        fits = json.dumps(message | {"x": padding})
        assert scene.send(fits, DEBUGGER)[0]["type"] == "heartbeat"
        for body in (fits + " ", fits.replace("xxx", "ääx")):
            code, text = error_of(scene.send(body, DEBUGGER))
            assert code == "bad_request"
            assert f"over {MAX_BYTES} bytes" in text

    @given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
    def test_whatever_it_is_there_is_one_small_reply(self, body: str) -> None:
        scene = Scene()
        error_of(scene.send(body, DEBUGGER))
        assert scene.after().status == "ACTIVE"

    @given(
        st.sampled_from(sorted(Action)),
        st.dictionaries(
            st.sampled_from(["requestId", "deadline", "acceptBefore", "body", "event", "context"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({}),
        ),
    )
    def test_whatever_an_action_is_asked_with(self, action: str, fields: Message) -> None:
        for of_a_function in (True, False):
            scene = Scene()
            send = scene.function if of_a_function else scene.debugger
            assert len(json.dumps(send(action, **fields))) < 1000


class TestWhoAsks:
    @pytest.mark.parametrize("action", sorted(OF_FUNCTIONS))
    def test_a_debugger_is_no_function(self, action: str) -> None:
        code, message = error_of(Scene().debugger(action))
        assert code == "bad_request"
        assert "for functions" in message

    @pytest.mark.parametrize("action", sorted(OF_DEBUGGERS))
    def test_a_function_is_no_debugger(self, action: str) -> None:
        """Not even one that knows the session's id."""
        scene = Scene()
        before = scene.after()
        replies = scene.function(action, sessionId=scene.session.session_id)
        code, message = error_of(replies)
        assert code == "bad_request"
        assert "for debuggers" in message
        assert scene.after() == before

    @pytest.mark.parametrize("token", [None, 1, {}, [], True])
    def test_what_can_be_no_token(self, token: object) -> None:
        assert error_of(Scene().function("await", token=token))[0] == "bad_request"

    @pytest.mark.parametrize("session_id", [None, 1, {}, "", "x", "8f5c1b7e"])
    @pytest.mark.parametrize("action", sorted(OF_DEBUGGERS | {Action.UPLOAD}))
    def test_what_can_be_no_session(self, action: str, session_id: object) -> None:
        assert error_of(Scene().debugger(action, sessionId=session_id))[0] == "bad_request"

    @pytest.mark.parametrize("action", ["await", "claim", "answer", "invoke", "upload"])
    @pytest.mark.parametrize("request_id", [None, 1, "", "a b", "token#1", "x" * 129, "ä", "x\n"])
    def test_what_can_be_no_request(self, action: str, request_id: object) -> None:
        scene = Scene()
        send = scene.function if action in OF_FUNCTIONS else scene.debugger
        assert error_of(send(action, requestId=request_id))[0] == "bad_request"

    @pytest.mark.parametrize("action", ["await", "abandon", "claim", "answer", "decline"])
    @pytest.mark.parametrize("deadline", [None, "1", True, 0, -1, float("nan"), 2**40, {}])
    def test_what_can_be_no_deadline(self, action: str, deadline: object) -> None:
        scene = Scene()
        send = scene.function if action in OF_FUNCTIONS else scene.debugger
        code, _ = error_of(send(action, requestId="r", deadline=deadline, body="{}"))
        assert code == "bad_request"

    def test_an_error_says_which_invocation_it_is_about(self) -> None:
        """Whoever sent several at once could not know."""
        (reply,) = Scene().debugger("answer", requestId="r-1", deadline=1.5, body="x")
        assert (reply["code"], reply["requestId"]) == ("bad_request", "r-1")
        (reply,) = Scene().debugger("heartbeat", sessionId="x")
        assert reply["requestId"] is None


class TestTheLog:
    def test_a_line_says_who_wants_what(self) -> None:
        scene = Scene()
        scene.debugger("heartbeat")
        assert (scene.record["route"], scene.record["outcome"]) == ("heartbeat", "extended")
        assert scene.record["connectionId"] == DEBUGGER[:8]
        assert scene.record["sessionId"] == scene.session.session_id[:8]
        scene.invoke()
        assert (scene.record["route"], scene.record["client"]) == ("invoke", "function")
        assert scene.record["sessionId"] == scene.session.session_id[:8]

    @pytest.mark.parametrize("connection", [DEBUGGER, FUNCTION])
    def test_to_whoever_is_gone_is_no_error(self, connection: str) -> None:
        scene = Scene()
        scene.connections.gone.add(connection)
        assert scene.send("x", connection) == []
        assert scene.record["isGone"]
