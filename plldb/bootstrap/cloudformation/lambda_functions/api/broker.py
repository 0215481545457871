"""The functions' side of the broker: hands an invocation to the debugger, and waits for it.

An instrumented function has no right in AWS; it shows the bearer token of its session.

::

    POST /debug/uploads                        → 200 {"key", "url"}: PUT a large event there; 410
    POST /debug/invocations {"requestId", "function", "deadline", "context",
                             "event" (JSON text) or "eventKey"}
    GET  /debug/invocations/{requestId}        → as for POST, without recording it again
         200 {"state": "answered", "result" (JSON text) or "resultUrl" or "error"}
         202 {"state": "waiting"}: ask again
         410 {"state": "gone"}: nobody is attached any more
         429 {"message"}, of POST: the debugger is just moving to another connection, which is
         not open yet; send it again in a second
    GET  /debug/session                        → 200 {"state": "active", "connectionId"}
                                                 410 {"state": "gone"}
    401 {"message"}: the token is unknown
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..instrumentation.request import Instrumentation, restore_request
from ..invocations.invocation import Answer, Grant, Invocation, InvocationState
from ..invocations.payloads import Payloads
from ..invocations.store import InvocationStore, Recorded
from ..sessions.ending import end_session
from ..sessions.session import CONNECTING_SECONDS, Session
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from ..websocket import wire
from ..websocket.connections import Connections
from .rest import (
    BadRequestError,
    RefusedRequestError,
    json_body,
    path_parameter,
    rejection,
    response,
)

# API Gateway gives up after 29 s.
WAIT_SECONDS = 20.0
# The first looks are close together: without a breakpoint, answers come within milliseconds. But
# none comes before a message, a handler's run and a request are through.
_SOONEST_ANSWER = 0.012
_FIRST_PAUSE = 0.005
_LAST_PAUSE = 0.25
_PAUSE_GROWTH = 1.25
_SESSION_CHECK_SECONDS = 1.0
# What the instrumentation function has. A function that still calls was not restored.
_RESTORING_SECONDS = 900.0
# API Gateway cuts messages into frames of 32 KB, and closes on a larger one:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MAX_MESSAGE_BYTES = 32_000
# Above this, shims send events through the bucket: the record is read again with every look.
MAX_EVENT_BYTES = 32_000
_MAX_BODY_BYTES = 512 * 1024
_END_OF_TIME = 2**40  # in seconds: what is beyond is no mistake of a clock
_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,128}")
_FUNCTION = re.compile(r"[0-9A-Za-z]{1,255}")


class Clock(Protocol):
    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Broker:
    """What the operations act on. ``grants`` remembers what tokens open: that never changes.

    ``restoring`` are the sessions whose restoring was started from here, and when.
    """

    sessions: SessionStore
    invocations: InvocationStore
    payloads: Payloads
    connections: Connections
    instrumentation: Instrumentation
    clock: Clock
    grants: dict[str, Grant] = field(default_factory=dict)
    restoring: dict[str, float] = field(default_factory=dict)

    def grant(self, event: LambdaEvent) -> Grant | None:
        """What the request's bearer token opens."""
        token = _bearer_token(event)
        if token and token not in self.grants:
            grant = self.invocations.grant_of(token)
            if grant is not None:
                self.grants[token] = grant
        return self.grants.get(token)

    def attached(self, session_id: str) -> Session | None:
        session = self.sessions.get(session_id)
        return session if session and session.is_attached(self.clock.now()) else None

    def attached_to_function(self, grant: Grant) -> Session | None:
        """The same, for a function that calls: if the session is over, it was not restored.

        So its restoring is started, in case that it never was. The session's item may be gone:
        DynamoDB deletes it once its TTL is over.
        """
        session = self.sessions.get(grant.session_id)
        if session is not None and session.is_attached(self.clock.now()):
            return session
        if session is None or session.instruments:
            self._restore(grant)
        return None

    def _restore(self, grant: Grant) -> None:
        """Starts restoring, unless that was done a short while ago."""
        started = self.restoring.get(grant.session_id)
        if started is not None and self.clock.now() < started + _RESTORING_SECONDS:
            return
        request = restore_request(grant.stack_name, shortened(grant.session_id))
        self.instrumentation.start(request)
        self.restoring[grant.session_id] = self.clock.now()


def upload(event: LambdaEvent, record: Record, broker: Broker) -> Any:
    """``POST /debug/uploads``."""
    grant = broker.grant(event)
    if grant is None:
        return _unknown_token(record)
    record["sessionId"] = shortened(grant.session_id)
    if broker.attached_to_function(grant) is None:
        return _gone(record)
    record["outcome"] = "presigned"
    return response(200, broker.payloads.new_upload())


def check_session(event: LambdaEvent, record: Record, broker: Broker) -> Any:
    """``GET /debug/session``."""
    grant = broker.grant(event)
    if grant is None:
        return _unknown_token(record)
    record["sessionId"] = shortened(grant.session_id)
    session = broker.attached(grant.session_id)
    if session is None:
        return _gone(record)
    record["outcome"] = "active"
    return response(200, {"state": "active", "connectionId": session.connection_id})


def invoke(event: LambdaEvent, record: Record, broker: Broker) -> Any:
    """``POST /debug/invocations``."""
    grant = broker.grant(event)
    if grant is None:
        return _unknown_token(record)
    record["sessionId"] = shortened(grant.session_id)
    body = _checked(json_body(event, _MAX_BODY_BYTES), broker.payloads)
    session = broker.attached_to_function(grant)
    record |= {"function": body["function"], "invocation": body["requestId"]}
    if session is None:
        return _given_before(body, grant, record, broker) or _gone(record)
    message = _message(body, broker.clock.now())
    invocation = Invocation(
        request_id=body["requestId"],
        session_id=grant.session_id,
        owner=session.owner,
        function=body["function"],
        created_at=broker.clock.now(),
        deadline=body["deadline"],
        event=body.get("event") if message["event"] is None else None,
        event_key=body.get("eventKey"),
    )
    recorded = broker.invocations.record(invocation)
    if recorded is Recorded.REFUSED:
        return _gone(record)
    if recorded is Recorded.REPEATED and not _is_waiting(invocation, broker):
        return _await_answer(invocation, record, broker)
    # One that still waits is handed over again: the first time may have failed in between. The
    # debugger knows it again by its id and deadline.
    if not _notify(session, message, broker):
        broker.restoring[grant.session_id] = broker.clock.now()
        return _abandoned(invocation, record, broker)
    broker.clock.sleep(_SOONEST_ANSWER)
    return _await_answer(invocation, record, broker)


def _given_before(body: dict[str, Any], grant: Grant, record: Record, broker: Broker) -> Any:
    """The answer that this very invocation had, and that got lost on its way; None if none.

    The session may have ended since: what the debugger has run, the function must not run again.
    """
    found = broker.invocations.get(body["requestId"])
    if found is None or found.session_id != grant.session_id or found.answer is None:
        return None
    # Lambda tries a failed one again under the same id, but with another deadline.
    is_same = round(found.deadline, 3) == round(body["deadline"], 3)
    return _answered(found.answer, record, broker) if is_same else None


def _is_waiting(invocation: Invocation, broker: Broker) -> bool:
    found = broker.invocations.get(invocation.request_id)
    return found is not None and found.state is InvocationState.WAITING


def _notify(session: Session, message: dict[str, Any], broker: Broker) -> bool:
    """Posts to the connection that holds the session. False if that is gone: the session ends.

    A session may move between being looked at and being posted to. And a connection that has just
    taken it is not open before $connect has returned; the one before still is, unless it broke
    meanwhile. Raises RefusedRequestError then: the function asks again, a few times, and if nobody
    has come by then, does without.
    """
    seen: Session | None = session
    while seen is not None:
        connections = (seen.connection_id, seen.previous_connection_id)
        if any(broker.connections.post(one, message) for one in connections if one is not None):
            return True
        assert seen.connection_id is not None  # an attached session has one
        if _is_moving(seen, broker.clock.now()):
            raise RefusedRequestError(429, "The debugger is just connecting; try again.")
        # No event told of its end: $disconnect is best effort.
        ended = end_session(
            seen.session_id, seen.connection_id, broker.sessions, broker.instrumentation, tell=False
        )
        seen = None if ended else broker.attached(seen.session_id)
    return False


def _is_moving(session: Session, now: float) -> bool:
    """Whether the connection that it moved to may still be about to open.

    A session's first one was open before: over that, it had the function instrumented that calls.
    """
    has_moved = session.previous_connection_id is not None
    return has_moved and session.connected_within(CONNECTING_SECONDS, now)


def await_answer(event: LambdaEvent, record: Record, broker: Broker) -> Any:
    """``GET /debug/invocations/{requestId}``."""
    grant = broker.grant(event)
    if grant is None:
        return _unknown_token(record)
    record["sessionId"] = shortened(grant.session_id)
    invocation = broker.invocations.get(path_parameter(event, "requestId"))
    if invocation is None or invocation.session_id != grant.session_id:
        return rejection(record, 404, "There is no such invocation.")
    record |= {"function": invocation.function, "invocation": invocation.request_id}
    return _await_answer(invocation, record, broker)


def _await_answer(invocation: Invocation, record: Record, broker: Broker) -> Any:
    """Looks again and again until there is an answer, or nobody left who could give one."""
    clock = broker.clock
    started = session_seen = clock.now()
    pause = _FIRST_PAUSE
    while True:
        found = broker.invocations.get(invocation.request_id)
        if found is None or found.state in (InvocationState.ABANDONED, InvocationState.EXPIRED):
            return _gone(record)
        if found.answer is not None:
            return _answered(found.answer, record, broker)
        if clock.now() >= session_seen + _SESSION_CHECK_SECONDS:
            session_seen = clock.now()
            if broker.attached(invocation.session_id) is None:
                return _abandoned(invocation, record, broker)
        if clock.now() >= started + WAIT_SECONDS:
            record["outcome"] = "waiting"
            return response(202, {"state": "waiting"})
        clock.sleep(pause)
        pause = min(pause * _PAUSE_GROWTH, _LAST_PAUSE)


def _answered(answer: Answer, record: Record, broker: Broker) -> Any:
    record["outcome"] = "answered"
    return response(200, {"state": "answered"} | _shown(answer, broker.payloads))


def _shown(answer: Answer, payloads: Payloads) -> dict[str, Any]:
    if answer.error is not None:
        return {"error": answer.error}
    if answer.result_key is not None:
        return {"resultUrl": payloads.download_url(answer.result_key)}
    return {"result": answer.result}


def _message(body: dict[str, Any], now: float) -> dict[str, Any]:
    """The message to the debugger, with the event in it if it fits."""
    message = wire.invocation(
        body["requestId"],
        body["function"],
        deadline=body["deadline"],
        sent_at=round(now, 3),
        context=body["context"],
        event=body.get("event"),
    )
    if len(json.dumps(message)) > MAX_MESSAGE_BYTES:
        message["event"] = None
    return message


def _checked(body: dict[str, Any], payloads: Payloads) -> dict[str, Any]:
    """The body, once all of it is as it must be. Raises BadRequestError."""
    if not _matches(_REQUEST_ID, body.get("requestId")):
        raise BadRequestError("requestId is missing or malformed.")
    if not _matches(_FUNCTION, body.get("function")):
        raise BadRequestError("function is missing, or no logical id.")
    if not _is_time(body.get("deadline")):
        raise BadRequestError("deadline is missing, or no time.")
    if not isinstance(body.get("context"), dict):
        raise BadRequestError("context is missing, or no object.")
    event, key = body.get("event"), body.get("eventKey")
    if (event is None) == (key is None):
        raise BadRequestError("Either event or eventKey is needed.")
    if event is not None and not is_text(event, MAX_EVENT_BYTES):
        raise BadRequestError(f"event must be a text of up to {MAX_EVENT_BYTES} bytes.")
    if key is not None and not (isinstance(key, str) and payloads.is_key(key)):
        raise BadRequestError("eventKey names no upload.")
    return body


def is_text(value: Any, max_bytes: int) -> bool:
    """Whether it is a string that UTF-8 can hold in so many bytes."""
    try:
        return isinstance(value, str) and len(value.encode()) <= max_bytes
    except UnicodeEncodeError:
        return False


def _is_time(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _END_OF_TIME
    )


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _bearer_token(event: LambdaEvent) -> str:
    """The token of the Authorization header, whose name comes in any case; empty if none."""
    for name, value in (event.get("headers") or {}).items():
        scheme, _, token = str(value).partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return token.strip()
    return ""


def _unknown_token(record: Record) -> Any:
    return rejection(record, 401, "The token is unknown.")


def _abandoned(invocation: Invocation, record: Record, broker: Broker) -> Any:
    broker.invocations.abandon(invocation.request_id, invocation.session_id)
    found = broker.invocations.get(invocation.request_id)
    if found is not None and found.session_id == invocation.session_id and found.answer is not None:
        # It came a moment before.
        return _answered(found.answer, record, broker)
    return _gone(record)


def _gone(record: Record) -> Any:
    record["outcome"] = "gone"
    return response(410, {"state": "gone"})
