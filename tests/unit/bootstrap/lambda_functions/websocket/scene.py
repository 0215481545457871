"""What messages over the WebSocket API act on: stores in memory, and fakes of what is outside."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import Any

from lambda_functions.invocations.grants import Grants
from lambda_functions.invocations.invocation import (
    Grant,
    Invocation,
    InvocationId,
    new_token,
    token_key,
)
from lambda_functions.sessions.ending import Ending
from lambda_functions.sessions.session import LEASE, Session, Status, digest, new_session
from lambda_functions.shared.signed_request import SignedRequest
from lambda_functions.websocket.actions import answer
from lambda_functions.websocket.relay import Relay

from tests.memory_stores import MemoryFunctionLists, MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeConnections, FakeInstrumentation

NOW = 1_800_000_000.0
MAX_BYTES = 131_072
# The connections of the debugger and of the function.
DEBUGGER = "L0SM9cOFvHcCIhw="
FUNCTION = "Fn0M9cOFvHcCIhw="
ID = InvocationId("8f5c1b7e-0001", NOW + 60.5)

Message = dict[str, Any]


class FakePayloads:
    def __init__(self) -> None:
        self._numbers = count()

    def new_upload(self) -> dict[str, str]:
        key = f"payloads/{next(self._numbers)}"
        return {"key": key, "url": f"https://bucket/{key}?put"}

    def download_url(self, key: str) -> str:
        return f"https://bucket/{key}?get"

    def is_key(self, text: str) -> bool:
        return text.startswith("payloads/")


class FakeClaims:
    """Signs nothing; what is claimed, and by whom, stands in the body."""

    def sign(self, id: InvocationId, session_id: str, now: float) -> SignedRequest:
        body = f"{id.request_id} at {now} by {digest(session_id)}"
        return {"url": "https://table", "headers": {}, "body": body}


class Scene:
    """A session that is attached, and a function that shows its token.

    What is logged and told has no whole id of a session, and no token, in it. If it ``remembers``,
    the function has called before.
    """

    remembers = False

    def __init__(self, *, allows_credentials: bool = True, **changes: Any) -> None:
        self.sessions = MemorySessionStore()
        self.invocations = MemoryInvocationStore()
        self.lists = MemoryFunctionLists()
        self.instrumentation = FakeInstrumentation()
        self.connections = FakeConnections()
        self.now = NOW
        self.record: dict[str, Any] = {}
        self.secrets: list[str] = []
        self.session = self.attach(DEBUGGER, **changes)
        self.token = self.grant(self.session)
        self.session = self.after()
        self.relay = Relay(
            sessions=self.sessions,
            invocations=self.invocations,
            claims=FakeClaims(),
            grants=Grants(self.invocations, self.sessions),
            payloads=FakePayloads(),
            lists=self.lists,
            connections=self.connections,
            instrumentation=self.instrumentation,
            ending=Ending(self.sessions, self.instrumentation, self.connections),
            max_message_bytes=MAX_BYTES,
            allows_credentials=allows_credentials,
            clock=lambda: self.now,
        )
        if self.remembers:
            self.relay.grants.find(token_key(self.token))

    # --- What is there ------------------------------------------------------------------------

    def attach(self, connection: str | None, **changes: Any) -> Session:
        """Another session, of the same owner and stack unless told otherwise."""
        session = replace(
            new_session("app", "me", NOW),
            **{
                "status": Status.ACTIVE,
                "connection_id": connection,
                "connected_at": int(NOW),
                "ttl": int(NOW) + LEASE,
            }
            | changes,
        )
        self.sessions.create(session)
        self.secrets.append(session.session_id)
        return session

    def grant(self, session: Session) -> str:
        """A token that functions of the session show."""
        token = new_token()
        self.secrets.append(token)
        self.sessions.mark_instrumenting(
            session.session_id, session.connection_id or "", token_key(token)
        )
        grant = Grant(session.session_id, session.stack_name, session.session_id[:8])
        self.invocations.add_token(token_key(token), grant, NOW)
        return token

    def after(self, session: Session | None = None) -> Session:
        found = self.sessions.get((session or self.session).session_id)
        assert found is not None
        return found

    @property
    def invocation(self) -> Invocation | None:
        return self.invocations.get(ID.request_id)

    # --- What is sent -------------------------------------------------------------------------

    def send(self, body: str | Message | None, connection: str) -> list[Message]:
        """What that connection is told."""
        text = json.dumps(body) if isinstance(body, dict) else body
        event = {"body": text, "requestContext": {"connectionId": connection}}
        self.record = {}
        assert answer(event, self.record, self.now, self.relay) == {"statusCode": 200}
        told = json.dumps([self.record, self.connections.posted])
        assert not [secret for secret in self.secrets if secret in told]
        return self.told(connection)

    def told(self, connection: str) -> list[Message]:
        """What a connection has been told since it was last asked for."""
        told = [message for one, message in self.connections.posted if one == connection]
        self.connections.posted = [p for p in self.connections.posted if p[0] != connection]
        return told

    def debugger(self, action: str, **fields: Any) -> list[Message]:
        """Sent by the attached debugger."""
        session_id = self.session.session_id
        return self.send({"action": action, "sessionId": session_id} | fields, DEBUGGER)

    def function(self, action: str, **fields: Any) -> list[Message]:
        given = {"token": self.token, "requestId": ID.request_id, "deadline": ID.deadline}
        return self.send({"action": action} | given | fields, FUNCTION)

    def invoke(self, **fields: Any) -> list[Message]:
        given = {
            "function": "Fn",
            "acceptBefore": self.now + 2,
            "context": {"function_name": "app-fn"},
            "event": '{"a": 1}',
        }
        given |= fields
        return self.function("invoke", **{n: v for n, v in given.items() if v is not OMITTED})

    def claim(self, **fields: Any) -> list[Message]:
        given = {"requestId": ID.request_id, "deadline": ID.deadline}
        return self.debugger("claim", **given | fields)

    def answer(self, **fields: Any) -> list[Message]:
        given = {"requestId": ID.request_id, "deadline": ID.deadline}
        return self.debugger("answer", **given | fields)

    def decline(self, **fields: Any) -> list[Message]:
        given = {"requestId": ID.request_id, "deadline": ID.deadline}
        return self.debugger("decline", **given | fields)


class _Omitted:
    """Reads the same in every process that collects the tests."""

    def __repr__(self) -> str:
        return "omitted"


# For a field that is not there at all.
OMITTED = _Omitted()


def failing(*_: Any) -> Any:
    """In place of a method that AWS lets down."""
    raise ConnectionError
