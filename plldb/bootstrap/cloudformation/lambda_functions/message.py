"""What an attached debugger sends: its actions, and everything that is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import messages
from .authorizer import session_id_of
from .connection import connection_id_of
from .connections import Connections
from .ending import end_session
from .instrumentation_request import Instrumentation, instrument_request
from .invocations import InvocationStore, new_token
from .log import Event, Record
from .messages import Action, ErrorCode, WhenAbsent
from .sessions import SessionStore, shortened

# Far more than a stack has functions (CloudFormation's limit is 500 resources).
_MAX_PATTERNS = 500
# A pattern may be a function's name, 64 characters, or a logical id, 255.
_MAX_PATTERN_LENGTH = 255

Reply = dict[str, Any] | None


@dataclass(frozen=True)
class Sender:
    session_id: str
    connection_id: str


@dataclass(frozen=True)
class Backend:
    """What messages act on."""

    sessions: SessionStore
    invocations: InvocationStore
    instrumentation: Instrumentation
    connections: Connections


def answer(event: Event, record: Record, backend: Backend, now: float) -> Any:
    """Answers over the connection. A message that makes no sense gets an error, and no hang-up."""
    sender = Sender(session_id_of(event), connection_id_of(event))
    record |= {
        "sessionId": shortened(sender.session_id),
        "connectionId": shortened(sender.connection_id),
    }
    reply = _reply(event, record, sender, backend, now)
    if reply is not None and not backend.connections.post(sender.connection_id, reply):
        record["outcome"] = "gone"
    return {"statusCode": 200}


def _reply(event: Event, record: Record, sender: Sender, backend: Backend, now: float) -> Reply:
    """The answer; None where the instrumentation function gives it."""
    message = messages.parse(event.get("body") or "")
    if message is None:
        return _error(record, ErrorCode.NOT_JSON, "The message is not a JSON object.")
    match message.get("action"):
        case Action.CLOSE:
            return _close(record, sender, backend)
        case Action.HEARTBEAT:
            return _heartbeat(record, sender, backend, now)
        case Action.INSTRUMENT:
            return _instrument(message, record, sender, backend, now)
    known = ", ".join(Action)
    return _error(record, ErrorCode.UNKNOWN_ACTION, f"'action' must be one of: {known}.")


def _close(record: Record, sender: Sender, backend: Backend) -> Reply:
    session = end_session(
        sender.session_id,
        sender.connection_id,
        backend.sessions,
        backend.instrumentation,
        tell=True,
    )
    record["outcome"] = "closed" if session else "unchanged"
    return None if session and session.instruments else messages.closed()


def _heartbeat(record: Record, sender: Sender, backend: Backend, now: float) -> Reply:
    ttl = backend.sessions.extend(sender.session_id, sender.connection_id, now)
    if ttl is None:
        return _closed_already(record)
    record["outcome"] = "extended"
    return messages.heartbeat(ttl)


def _instrument(
    message: dict[str, Any],
    record: Record,
    sender: Sender,
    backend: Backend,
    now: float,
) -> Reply:
    functions, when_absent = message.get("functions"), message.get("whenAbsent")
    take_over = message.get("takeOver")
    if not _are_patterns(functions):
        return _error(record, ErrorCode.BAD_REQUEST, "'functions' must be a list of patterns.")
    if when_absent not in list(WhenAbsent):
        known = ", ".join(WhenAbsent)
        return _error(record, ErrorCode.BAD_REQUEST, f"'whenAbsent' must be one of: {known}.")
    if not isinstance(take_over, bool):
        return _error(record, ErrorCode.BAD_REQUEST, "'takeOver' must be true or false.")
    session = backend.sessions.mark_instrumenting(sender.session_id, sender.connection_id)
    if session is None:
        return _closed_already(record)
    token = new_token()
    backend.invocations.add_token(token, session.session_id, now)
    others = backend.sessions.open_sessions(session.stack_name, now)
    backend.instrumentation.start(
        instrument_request(
            stack_name=session.stack_name,
            session=shortened(session.session_id),
            owner=session.owner,
            connection_id=sender.connection_id,
            token=token,
            functions=functions or [],
            when_absent=str(when_absent),
            take_over=take_over,
            open_sessions={
                shortened(other.session_id): {"owner": other.owner}
                | ({"connectionId": other.connection_id} if other.connection_id else {})
                for other in others
                if other.session_id != session.session_id
            },
        )
    )
    record |= {"outcome": "instrumenting", "stackName": session.stack_name}
    return None


def _are_patterns(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_PATTERNS
        and all(isinstance(one, str) and 0 < len(one) <= _MAX_PATTERN_LENGTH for one in value)
    )


def _closed_already(record: Record) -> Reply:
    return _error(record, ErrorCode.BAD_REQUEST, "The session is closed.")


def _error(record: Record, code: ErrorCode, message: str) -> Reply:
    record |= {"level": "WARNING", "outcome": code}
    return messages.error(code, message)
