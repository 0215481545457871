"""What an attached debugger sends is answered over its connection, and never hangs it up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.connections import ApiGatewayConnections
from lambda_functions.memory import MemorySessionStore
from lambda_functions.message import answer
from lambda_functions.sessions import Session, Status, new_session

from tests.unit.fakes import client_error

CONNECTION = "L0SM9cOFvHcCIhw="


class FakeConnections:
    def __init__(self, gone: bool = False) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self._gone = gone

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        self.posted.append((connection_id, json.loads(json.dumps(message))))
        return not self._gone


def send(
    body: str | None, *, gone: bool = False, held_by: str = CONNECTION
) -> tuple[dict[str, Any], Session, dict[str, Any]]:
    """The reply, the session afterwards, and the log record."""
    store = MemorySessionStore()
    session = replace(new_session("app", "me", 0), status=Status.ACTIVE, connection_id=held_by)
    store.create(session)
    connections, record = FakeConnections(gone), {}
    context = {"connectionId": CONNECTION, "authorizer": {"sessionId": session.session_id}}
    event = {"body": body, "requestContext": context}
    assert answer(event, record, store, connections) == {"statusCode": 200}
    ((connection, reply),) = connections.posted
    assert connection == CONNECTION
    text = json.dumps([record, reply])
    assert session.session_id not in text
    after = store.get(session.session_id)
    assert after is not None
    return reply, after, record


class TestClose:
    def test_the_session_is_closed_and_the_debugger_told(self) -> None:
        reply, session, record = send('{"action": "close"}')
        assert reply == {"type": "closed"}
        assert (session.status, session.connection_id) == (Status.CLOSED, None)
        assert record["outcome"] == "closed"

    def test_of_another_connections_session_changes_nothing(self) -> None:
        reply, session, record = send('{"action": "close"}', held_by="another")
        assert reply == {"type": "closed"}
        assert (session.status, record["outcome"]) == (Status.ACTIVE, "unchanged")

    def test_by_a_debugger_that_is_gone_already_still_closes(self) -> None:
        _, session, record = send('{"action": "close"}', gone=True)
        assert (session.status, record["outcome"]) == (Status.CLOSED, "gone")


class TestEverythingElse:
    @pytest.mark.parametrize(
        "body", [None, "", "x", "[]", "null", "1", '"close"', "[" * 100_000, '{"action": "close"']
    )
    def test_what_is_no_json_object(self, body: str | None) -> None:
        reply, session, record = send(body)
        assert (reply["type"], reply["code"]) == ("error", "not_json")
        assert (session.status, record["outcome"]) == (Status.ACTIVE, "not_json")

    @pytest.mark.parametrize(
        "body",
        ["{}", '{"action": "CLOSE"}', '{"action": null}', '{"action": {}}', '{"type": "close"}'],
    )
    def test_what_is_no_action_gets_to_know_the_actions(self, body: str) -> None:
        reply, session, record = send(body)
        assert (reply["type"], reply["code"]) == ("error", "unknown_action")
        assert "close" in reply["message"]
        assert (session.status, record["level"]) == (Status.ACTIVE, "WARNING")

    def test_to_a_debugger_that_is_gone_is_no_error(self) -> None:
        _, session, record = send("x", gone=True)
        assert (session.status, record["outcome"]) == (Status.ACTIVE, "gone")

    @given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
    def test_whatever_it_is_there_is_one_small_reply(self, body: str) -> None:
        reply, session, _ = send(body)
        assert reply["type"] == "error"
        assert len(json.dumps(reply)) < 500
        assert session.status is Status.ACTIVE


class TestPosting:
    class Client:
        def __init__(self, error: Exception | None = None) -> None:
            self.calls: list[dict[str, Any]] = []
            self._error = error

        def post_to_connection(self, **call: Any) -> None:
            self.calls.append(call)
            if self._error:
                raise self._error

    def test_a_message_is_sent_as_json(self) -> None:
        client = self.Client()
        assert ApiGatewayConnections(client).post("c", {"type": "x", "text": "ä"})
        (call,) = client.calls
        assert call["ConnectionId"] == "c"
        assert json.loads(call["Data"]) == {"type": "x", "text": "ä"}

    def test_a_connection_that_is_gone_is_told(self) -> None:
        client = self.Client(client_error("GoneException"))
        assert ApiGatewayConnections(client).post("c", {}) is False

    def test_any_other_failure_is_one(self) -> None:
        client = self.Client(client_error("ForbiddenException"))
        with pytest.raises(Exception, match="ForbiddenException"):
            ApiGatewayConnections(client).post("c", {})
