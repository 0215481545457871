"""What an attached debugger sends is answered over its connection, and never hangs it up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.invocations.invocation import Grant
from lambda_functions.sessions.session import (
    LIFETIME,
    RefreshOffer,
    Session,
    Status,
    new_session,
    refresh_hash,
)
from lambda_functions.websocket.actions import Backend, answer
from lambda_functions.websocket.connections import ApiGatewayConnections

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeConnections, FakeInstrumentation, client_error

CONNECTION = "L0SM9cOFvHcCIhw="


NOW = 1_800_000_000.0
MAX_BYTES = 131_072


class Scene:
    """One attached session, and everything that messages act on."""

    def __init__(self, *, gone: bool = False, held_by: str = CONNECTION, **changes: Any) -> None:
        self.store = MemorySessionStore()
        self.invocations = MemoryInvocationStore()
        self.instrumentation = FakeInstrumentation()
        self.connections = FakeConnections(*([CONNECTION] if gone else []))
        self.record: dict[str, Any] = {}
        active = replace(new_session("app", "me", NOW), status=Status.ACTIVE, connection_id=held_by)
        self.session = replace(active, **changes)
        self.store.create(self.session)
        self.secrets = [self.session.session_id]

    def former(self, **changes: Any) -> Session:
        """Another session, of the same owner and stack unless told otherwise."""
        former = replace(self.session, session_id=new_session("app", "me", NOW).session_id)
        former = replace(former, **({"connection_id": "former", "instruments": True} | changes))
        self.store.create(former)
        self.secrets.append(former.session_id)
        return former

    def send(self, body: str | dict[str, Any] | None) -> list[dict[str, Any]]:
        """The replies."""
        text = json.dumps(body) if isinstance(body, dict) else body
        authorizer = {"sessionId": self.session.session_id}
        context = {"connectionId": CONNECTION, "authorizer": authorizer}
        backend = Backend(
            self.store, self.invocations, self.instrumentation, self.connections, MAX_BYTES
        )
        event = {"body": text, "requestContext": context}
        self.record = {}
        assert answer(event, self.record, NOW + 1, backend) == {"statusCode": 200}
        replies = [reply for connection, reply in self.connections.posted]
        assert {connection for connection, _ in self.connections.posted} <= {CONNECTION}
        told = json.dumps([self.record, replies, self.instrumentation.requests])
        for session_id in self.secrets:
            assert session_id not in told
        self.connections.posted.clear()
        return replies

    @property
    def after(self) -> Session:
        found = self.store.get(self.session.session_id)
        assert found is not None
        return found


def send(
    body: str | None, *, gone: bool = False, held_by: str = CONNECTION
) -> tuple[dict[str, Any], Session, dict[str, Any]]:
    """The reply (none if the debugger is gone), the session afterwards, and the log record."""
    scene = Scene(gone=gone, held_by=held_by)
    replies = scene.send(body)
    assert len(replies) == (0 if gone else 1)
    return replies[0] if replies else {}, scene.after, scene.record


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

    def test_what_was_instrumented_is_restored_before_the_debugger_is_told(self) -> None:
        scene = Scene(instruments=True)
        assert scene.send('{"action": "close"}') == []
        assert scene.instrumentation.requests == [
            {
                "operation": "restore",
                "stackName": "app",
                "session": scene.session.session_id[:8],
                "connectionId": CONNECTION,
            }
        ]
        # Again: closed already, so there is nothing to restore and nothing to wait for.
        assert scene.send('{"action": "close"}') == [{"type": "closed"}]
        assert len(scene.instrumentation.requests) == 1


class TestHeartbeat:
    def test_the_session_lives_for_another_hour(self) -> None:
        scene = Scene()
        ttl = int(NOW) + 1 + LIFETIME
        assert scene.send('{"action": "heartbeat"}') == [{"type": "heartbeat", "ttl": ttl}]
        assert scene.after == replace(scene.session, ttl=ttl)

    def test_of_another_connections_session_it_changes_nothing(self) -> None:
        scene = Scene(held_by="another")
        (reply,) = scene.send('{"action": "heartbeat"}')
        assert (reply["type"], reply["code"]) == ("error", "bad_request")
        assert scene.after == scene.session


class TestRefresh:
    def test_the_session_gets_a_token_of_which_the_hash_is_kept(self) -> None:
        scene = Scene()
        (reply,) = scene.send('{"action": "refresh"}')
        expires = int(NOW) + 1 + 60
        assert (reply["type"], reply["expires"]) == ("refresh", expires)
        assert len(reply["token"]) >= 43
        offer = RefreshOffer(refresh_hash(reply["token"]), expires)
        assert scene.after == replace(scene.session, offer=offer)
        assert reply["token"] not in json.dumps(scene.record)

    def test_each_is_another(self) -> None:
        scene = Scene()
        tokens = {scene.send('{"action": "refresh"}')[0]["token"] for _ in range(10)}
        assert len(tokens) == 10

    def test_of_another_connections_session_there_is_none(self) -> None:
        scene = Scene(held_by="another")
        (reply,) = scene.send('{"action": "refresh"}')
        assert (reply["type"], reply["code"]) == ("error", "bad_request")
        assert scene.after == scene.session


GOOD = {"action": "instrument", "functions": ["A*"], "whenAbsent": "error", "takeOver": True}


class TestInstrument:
    def test_the_instrumentation_function_is_asked_and_answers_by_itself(self) -> None:
        scene = Scene()
        assert scene.send(GOOD) == []
        (request,) = scene.instrumentation.requests
        token = request.pop("token")
        assert request == {
            "operation": "instrument",
            "stackName": "app",
            "session": scene.session.session_id[:8],
            "owner": "me",
            "connectionId": CONNECTION,
            "functions": ["A*"],
            "whenAbsent": "error",
            "takeOver": True,
            "openSessions": {},
            "replaces": None,
        }
        assert scene.invocations.grant_of(token) == Grant(scene.session.session_id, "app")
        assert scene.after == replace(scene.session, instruments=True)
        assert token not in json.dumps(scene.record)

    def test_each_request_has_a_token_of_its_own(self) -> None:
        scene = Scene()
        scene.send(GOOD)
        scene.send(GOOD)
        tokens = {request["token"] for request in scene.instrumentation.requests}
        assert len(tokens) == 2
        assert all(len(token) >= 43 for token in tokens)

    def test_it_is_told_who_else_is_there(self) -> None:
        """Not of those that nobody connected to, however many: they hold nothing."""
        scene = Scene()
        others = {
            "connected": replace(
                new_session("app", "you", NOW), status=Status.ACTIVE, connection_id="c2"
            ),
            "connecting": new_session("app", "they", NOW),
            "closed": replace(new_session("app", "x", NOW), status=Status.CLOSED),
            "expired": replace(new_session("app", "x", NOW - LIFETIME), status=Status.ACTIVE),
            "elsewhere": new_session("other", "x", NOW),
        }
        for other in others.values():
            scene.store.create(other)
        scene.send(GOOD)
        (request,) = scene.instrumentation.requests
        assert request["openSessions"] == {
            others["connected"].session_id[:8]: {"owner": "you", "connectionId": "c2"}
        }
        assert not [o for o in others.values() if o.session_id in json.dumps(request)]

    @pytest.mark.parametrize(
        "change",
        [
            {"functions": None},
            {"functions": "A"},
            {"functions": {}},
            {"functions": [1]},
            {"functions": [""]},
            {"functions": ["x" * 256]},
            {"functions": ["x"] * 501},
            {"whenAbsent": "never"},
            {"whenAbsent": None},
            {"whenAbsent": {}},
            {"takeOver": None},
            {"takeOver": 1},
            {"replaces": "short"},
            {"replaces": 1},
            {"replaces": {}},
        ],
    )
    def test_a_request_that_makes_no_sense(self, change: dict[str, Any]) -> None:
        scene = Scene()
        (reply,) = scene.send(GOOD | change)
        assert (reply["type"], reply["code"]) == ("error", "bad_request")
        assert scene.instrumentation.requests == []
        assert scene.after == scene.session

    def test_of_another_connections_session(self) -> None:
        scene = Scene(held_by="another")
        (reply,) = scene.send(GOOD)
        assert (reply["type"], reply["code"]) == ("error", "bad_request")
        assert scene.instrumentation.requests == []


class TestReplaces:
    """A debugger that lost its connection comes back with a new session."""

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"status": Status.CLOSED, "connection_id": None},
            {"status": Status.PENDING, "connection_id": None},
        ],
    )
    def test_the_former_session_ends_and_what_it_held_is_no_longer_its(
        self, changes: dict[str, Any]
    ) -> None:
        scene = Scene()
        former = scene.former(**changes)
        assert scene.send(GOOD | {"replaces": former.session_id}) == []
        after = scene.store.get(former.session_id)
        assert after is not None
        assert after.status is Status.CLOSED
        # There is no restoring beside the request that takes over what the former session held.
        (request,) = scene.instrumentation.requests
        assert request["operation"] == "instrument"
        assert request["replaces"] == former.session_id[:8]
        assert request["openSessions"] == {}
        assert scene.connections.dropped == (["former"] if not changes else [])

    @pytest.mark.parametrize(
        "changes", [{"owner": "you"}, {"stack_name": "other"}], ids=["owner", "stack"]
    )
    def test_a_session_of_another_owner_or_stack_stays(self, changes: dict[str, Any]) -> None:
        scene = Scene()
        former = scene.former(**changes)
        assert scene.send(GOOD | {"replaces": former.session_id}) == []
        assert scene.store.get(former.session_id) == former
        assert scene.instrumentation.requests[0]["replaces"] is None
        assert scene.connections.dropped == []

    def test_one_that_is_unknown_or_the_session_itself_means_nothing(self) -> None:
        scene = Scene()
        for name in (new_session("app", "me", NOW).session_id, scene.session.session_id):
            assert scene.send(GOOD | {"replaces": name}) == []
        assert [r["replaces"] for r in scene.instrumentation.requests] == [None, None]
        assert scene.after.status is Status.ACTIVE

    def test_what_it_held_is_taken_though_its_connection_can_not_be_dropped(self) -> None:
        """Nothing else would have it restored before its next invocation."""
        scene = Scene()
        former = scene.former()

        def fail(_: str) -> bool:
            raise ConnectionError

        scene.connections.drop = fail  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            scene.send(GOOD | {"replaces": former.session_id})
        (request,) = scene.instrumentation.requests
        assert request["replaces"] == former.session_id[:8]

    def test_one_that_moves_meanwhile_is_closed_where_it_is(self) -> None:
        scene = Scene()
        former = scene.former(offer=RefreshOffer(refresh_hash("t"), int(NOW) + 60))
        look = scene.store.get

        def move_after(session_id: str) -> Session | None:
            found = look(session_id)
            scene.store.refresh(former.session_id, "moved", refresh_hash("t"), NOW)
            return found

        scene.store.get = move_after  # type: ignore[method-assign]
        scene.send(GOOD | {"replaces": former.session_id})
        after = look(former.session_id)
        assert after is not None
        assert after.status is Status.CLOSED
        assert scene.connections.dropped == ["moved"]


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

    def test_the_border_of_the_size(self) -> None:
        """In bytes: a character may take four."""
        scene = Scene()
        padding = MAX_BYTES - len('{"action": "heartbeat", "x": ""}')
        fits = '{"action": "heartbeat", "x": "' + "x" * padding + '"}'
        assert scene.send(fits)[0]["type"] == "heartbeat"
        for body in (fits + " ", fits.replace("xxx", "ääx")):
            (reply,) = scene.send(body)
            assert (reply["type"], reply["code"]) == ("error", "bad_request")
            assert f"over {MAX_BYTES} bytes" in reply["message"]

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

        delete_connection = get_connection = post_to_connection

    def test_a_message_is_sent_as_json(self) -> None:
        client = self.Client()
        assert ApiGatewayConnections(lambda: client).post("c", {"type": "x", "text": "ä"})
        (call,) = client.calls
        assert call["ConnectionId"] == "c"
        assert json.loads(call["Data"]) == {"type": "x", "text": "ä"}

    def test_a_connection_that_is_gone_is_told(self) -> None:
        client = self.Client(client_error("GoneException"))
        connections = ApiGatewayConnections(lambda: client)
        assert connections.post("c", {}) is False
        assert connections.drop("c") is False
        assert connections.is_open("c") is False

    def test_one_that_is_there_is_dropped_or_found(self) -> None:
        client = self.Client()
        assert ApiGatewayConnections(lambda: client).drop("c")
        assert ApiGatewayConnections(lambda: client).is_open("c")
        assert client.calls == [{"ConnectionId": "c"}] * 2

    def test_any_other_failure_is_one(self) -> None:
        client = self.Client(client_error("ForbiddenException"))
        connections = ApiGatewayConnections(lambda: client)
        for act in (lambda: connections.post("c", {}), lambda: connections.is_open("c")):
            with pytest.raises(Exception, match="ForbiddenException"):
                act()
