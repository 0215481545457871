"""What an attached debugger sends: its actions, and everything that is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..instrumentation.request import Instrumentation, instrument_request
from ..invocations.invocation import Grant, new_token
from ..invocations.store import InvocationStore
from ..sessions.ending import close_as_seen, end_session
from ..sessions.session import (
    REFRESH_LIFETIME,
    RefreshOffer,
    Session,
    Status,
    is_session_id,
    new_refresh_token,
    refresh_hash,
)
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from . import wire
from .admission import session_id_of
from .connect_disconnect import connection_id_of
from .connections import Connections
from .wire import Action, ErrorCode, WhenAbsent

# Far more than a stack has functions (CloudFormation's limit is 500 resources).
_MAX_PATTERNS = 500
# A pattern may be a function's name, 64 characters, or a logical id, 255.
_MAX_PATTERN_LENGTH = 255
# How often a former session is looked at again because it moved in between.
_ATTEMPTS = 5

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
    max_message_bytes: int


def answer(event: LambdaEvent, record: Record, now: float, backend: Backend) -> Any:
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


def _reply(
    event: LambdaEvent, record: Record, sender: Sender, backend: Backend, now: float
) -> Reply:
    """The answer; None where the instrumentation function gives it."""
    body = event.get("body") or ""
    if len(body.encode("utf-8", "replace")) > backend.max_message_bytes:
        limit = f"The message is over {backend.max_message_bytes} bytes."
        return _error(record, ErrorCode.BAD_REQUEST, limit)
    message = wire.parse(body)
    if message is None:
        return _error(record, ErrorCode.NOT_JSON, "The message is not a JSON object.")
    return _act(message, record, sender, backend, now)


def _act(
    message: dict[str, Any], record: Record, sender: Sender, backend: Backend, now: float
) -> Reply:
    match message.get("action"):
        case Action.CLOSE:
            return _close(record, sender, backend)
        case Action.HEARTBEAT:
            return _heartbeat(record, sender, backend, now)
        case Action.REFRESH:
            return _refresh(record, sender, backend, now)
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
    return None if session and session.instruments else wire.closed()


def _heartbeat(record: Record, sender: Sender, backend: Backend, now: float) -> Reply:
    ttl = backend.sessions.extend(sender.session_id, sender.connection_id, now)
    if ttl is None:
        return _closed_already(record)
    record["outcome"] = "extended"
    return wire.heartbeat(ttl)


def _refresh(record: Record, sender: Sender, backend: Backend, now: float) -> Reply:
    token = new_refresh_token()
    offer = RefreshOffer(refresh_hash(token), int(now) + REFRESH_LIFETIME)
    if not backend.sessions.offer_refresh(sender.session_id, sender.connection_id, offer):
        return _closed_already(record)
    record["outcome"] = "offered"
    return wire.refresh(token, offer.expires)


def _instrument(
    message: dict[str, Any],
    record: Record,
    sender: Sender,
    backend: Backend,
    now: float,
) -> Reply:
    functions, when_absent = message.get("functions"), message.get("whenAbsent")
    take_over, replaces = message.get("takeOver"), message.get("replaces")
    if not _are_patterns(functions):
        return _error(record, ErrorCode.BAD_REQUEST, "'functions' must be a list of patterns.")
    if when_absent not in list(WhenAbsent):
        known = ", ".join(WhenAbsent)
        return _error(record, ErrorCode.BAD_REQUEST, f"'whenAbsent' must be one of: {known}.")
    if not isinstance(take_over, bool):
        return _error(record, ErrorCode.BAD_REQUEST, "'takeOver' must be true or false.")
    if replaces is not None and not (isinstance(replaces, str) and is_session_id(replaces)):
        return _error(record, ErrorCode.BAD_REQUEST, "'replaces' must be the id of a session.")
    session = backend.sessions.mark_instrumenting(sender.session_id, sender.connection_id)
    if session is None:
        return _closed_already(record)
    token = new_token()
    grant = Grant(session.session_id, session.stack_name)
    backend.invocations.add_token(token, grant, now)
    others = backend.sessions.open_sessions(session.stack_name, now)
    # The former one is not restored, so as little as possible comes between its end and the request
    # that takes what it held.
    former = None if replaces is None else _replaced(replaces, session, backend)
    former_id = None if former is None else former.session_id
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
                shortened(other.session_id): {
                    "owner": other.owner,
                    "connectionId": other.connection_id,
                }
                for other in others
                # What the index says of the former session may be a second old.
                if other.session_id not in (session.session_id, former_id)
                # One that nobody has connected to holds nothing.
                and other.connection_id is not None
            },
            replaces=None if former_id is None else shortened(former_id),
        )
    )
    if former is not None and former.connection_id is not None:
        backend.connections.drop(former.connection_id)
    record |= {"outcome": "instrumenting", "stackName": session.stack_name}
    return None


def _replaced(former_id: str, session: Session, backend: Backend) -> Session | None:
    """Closes the former session; what it was until now, or None if it is no such one.

    What it holds is taken or restored by the instrumentation function.
    """
    for _ in range(_ATTEMPTS):
        former = backend.sessions.get(former_id)
        if former is None or former.session_id == session.session_id:
            return None
        if (former.owner, former.stack_name) != (session.owner, session.stack_name):
            return None
        is_closed = former.status is Status.CLOSED
        if is_closed or close_as_seen(former, backend.sessions) is not None:
            return former
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
    return wire.error(code, message)
