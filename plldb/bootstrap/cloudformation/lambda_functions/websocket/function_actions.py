"""What an instrumented function sends: its invocations, and questions after them.

A function has no right in AWS; it shows the token of its session, which opens its own invocations
and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..instrumentation.request import restore_request
from ..invocations.grants import Opened
from ..invocations.invocation import Invocation, InvocationId, InvocationState, token_key
from ..invocations.store import Recorded, Step
from ..sessions.session import Status
from . import wire
from .relay import (
    BadMessageError,
    Relay,
    Reply,
    Request,
    invocation_id_of,
    matches,
    payload_of,
    time_of,
)
from .wire import Action

# Names of functions of nested stacks have slashes.
_FUNCTION = re.compile(r"[0-9A-Za-z/]{1,255}")
_NOBODY = "nobody is attached"
_LOST = "the debugger is reconnecting, or gone"
_SILENT = "the debugger does not answer"


def act(request: Request, relay: Relay) -> Reply:
    """Carries one message out. Raises BadMessageError."""
    token = request.message["token"]
    if not isinstance(token, str):
        raise BadMessageError("'token' must be a text.")
    request.record["client"] = "function"
    act = _ACTIONS.get(request.action)
    if act is None:
        raise BadMessageError(f"'{request.action}' is for debuggers, which show a session's id.")
    return act(request, token_key(token), relay)


def _open(request: Request, key: str, relay: Relay) -> Opened:
    """What the token opens. Raises BadMessageError if it is none."""
    opened = relay.grants.find(key)
    if opened is None:
        raise BadMessageError("The token is unknown.")
    request.record["sessionId"] = opened.grant.hold
    request.record["stackName"] = opened.grant.stack_name
    return opened


def _upload(request: Request, key: str, relay: Relay) -> Reply:
    _open(request, key, relay)
    return relay.upload(request)


# --- A new invocation -----------------------------------------------------------------------------


def _invoke(request: Request, key: str, relay: Relay) -> Reply:
    """Records the invocation and passes it on, if there is a debugger to claim it."""
    id = invocation_id_of(request)
    payload = _read_payload(request, relay)
    # Whoever has stopped waiting for a sign runs the invocation by itself.
    if request.now > time_of(request.message, "acceptBefore"):
        return _absent(request, id, "the helper stack was too slow")
    opened = _open(request, key, relay)
    reason = _reason_for_absence(opened, request.now, relay)
    pushed = _invocation_message(request, id, payload, relay)
    if len(json.dumps(pushed)) > wire.MAX_MESSAGE_BYTES:
        reason = "the event is too large for a message"
    if reason is not None or opened.session is None:
        return _absent(request, id, reason or _NOBODY)
    return _pass_on(request, opened, dict(pushed), relay)


def _pass_on(request: Request, opened: Opened, pushed: dict[str, Any], relay: Relay) -> Reply:
    """Records first: what the debugger is told of, it may claim."""
    session = opened.session
    assert session is not None  # somebody is attached
    assert session.connection_id is not None
    id = invocation_id_of(request)
    invocation = Invocation(
        id=id,
        session_id=session.session_id,
        token_key=opened.token_key,
        function=pushed["function"],
        created_at=request.now,
        connection_id=request.connection_id,
    )
    match relay.invocations.record(invocation):
        case Recorded.REFUSED:
            return _absent(request, id, "another function waits under this request id")
        case Recorded.REPEATED:
            return _await(request, opened.token_key, relay)
    if not relay.connections.post(session.connection_id, pushed):
        # No event told of the connection's end: $disconnect is best effort.
        relay.sessions.disconnect(session.session_id, session.connection_id, request.now)
        return _abandon(request, opened.token_key, relay)
    request.record["outcome"] = "accepted"
    return wire.accepted(id.request_id)


@dataclass(frozen=True)
class _Payload:
    """What of an invocation is passed on: the event as JSON text, or the key of an upload."""

    function: str
    context: dict[str, Any]
    event: str | None
    event_key: str | None


def _read_payload(request: Request, relay: Relay) -> _Payload:
    """Raises BadMessageError."""
    function, context = request.message.get("function"), request.message.get("context")
    if not matches(_FUNCTION, function):
        raise BadMessageError("'function' is missing, or no logical id.")
    if not isinstance(context, dict):
        raise BadMessageError("'context' is missing, or no object.")
    request.record["function"] = function
    event, event_key = payload_of(request.message, "event", "eventKey", relay.payloads)
    return _Payload(str(function), context, event, event_key)


def _invocation_message(
    request: Request, id: InvocationId, payload: _Payload, relay: Relay
) -> wire.InvocationMessage:
    key = payload.event_key
    return wire.invocation(
        id.request_id,
        payload.function,
        deadline=id.deadline,
        sent_at=round(request.now, 3),
        context=payload.context,
        event=payload.event,
        event_url=None if key is None else relay.payloads.download_url(key),
    )


def _reason_for_absence(opened: Opened, now: float, relay: Relay) -> str | None:
    """Why no debugger can be asked; None if one can.

    A function that calls though its session is over was not restored, so its restoring is started:
    whoever should have done that may have failed. DynamoDB may have deleted the session's item.
    """
    session = opened.session
    if session is None:
        if relay.invocations.settle(opened.token_key):
            holds = [opened.grant.hold]
            relay.instrumentation.start(restore_request(opened.grant.stack_name, holds))
        return _NOBODY
    if session.is_attached(now):
        return _SILENT if session.is_silent else None
    if session.status is Status.ACTIVE:
        relay.ending.expire(session, now)
    elif session.may_be_resumed(now):
        return _LOST
    else:
        relay.ending.restore(session, now, [opened.grant.hold])
    return _NOBODY


def _absent(request: Request, id: InvocationId, reason: str) -> Reply:
    request.record.update(outcome="absent", reason=reason)
    return wire.absent(id.request_id, reason)


# --- Questions after one --------------------------------------------------------------------------


def _await(request: Request, key: str, relay: Relay) -> Reply:
    """What became of an invocation, of which the function hears over this connection from now on.

    While its session is lost, nobody will answer it: then it ends.
    """
    id = invocation_id_of(request)
    step = relay.invocations.follow(id, key, request.connection_id)
    if not step.is_taken:
        return _tell_of_other_state(request, step, id, key, relay)
    session = _open(request, key, relay).session
    is_lost = session is None or not (
        session.is_attached(request.now) or session.may_be_resumed(request.now)
    )
    if is_lost:
        step = relay.invocations.lose(id, key)
    return _tell(request, step.invocation, id, relay)


def _abandon(request: Request, key: str, relay: Relay) -> Reply:
    """Takes the invocation back, if no debugger has begun it."""
    id = invocation_id_of(request)
    step = relay.invocations.abandon(id, key)
    if not step.is_taken:
        return _tell_of_other_state(request, step, id, key, relay)
    session = _open(request, key, relay).session
    if session is None or session.connection_id is None:
        return _absent(request, id, _LOST)
    # Until the debugger is heard of again, further invocations need not wait as long.
    relay.sessions.mark_silent(session.session_id, session.connection_id)
    return _absent(request, id, _SILENT)


def _tell_of_other_state(
    request: Request, step: Step, id: InvocationId, key: str, relay: Relay
) -> Reply:
    """What the invocation is that was not as it had to be for a step."""
    found = step.invocation
    if found is None or found.id != id or found.token_key != key:
        found = _bury(request, id, key, relay)
    return _tell(request, found, id, relay)


def _bury(request: Request, id: InvocationId, key: str, relay: Relay) -> Invocation:
    """An invocation that is unknown may still be on its way here: it will find itself abandoned."""
    buried = Invocation(
        id=id,
        session_id=_open(request, key, relay).grant.session_id,
        token_key=key,
        function="",
        created_at=request.now,
        connection_id=request.connection_id,
        state=InvocationState.ABANDONED,
    )
    relay.invocations.record(buried)
    # It may have come a moment before.
    found = relay.invocations.abandon(id, key).invocation
    return found if found is not None and found.id == id and found.token_key == key else buried


def _tell(request: Request, found: Invocation | None, id: InvocationId, relay: Relay) -> Reply:
    """What an invocation's state means for the function that waits for it."""
    if found is None:
        return _absent(request, id, _LOST)
    request.record["outcome"] = found.state.lower()
    match found.state:
        case InvocationState.ANSWERED:
            return relay.answer_message(found)
        case InvocationState.STARTED:
            return wire.started(id.request_id)
        case InvocationState.WAITING:
            return wire.accepted(id.request_id)
    return wire.gone(id.request_id) if found.has_started else _absent(request, id, _LOST)


_ACTIONS: dict[Action, Callable[[Request, str, Relay], Reply]] = {
    Action.ABANDON: _abandon,
    Action.AWAIT: _await,
    Action.INVOKE: _invoke,
    Action.UPLOAD: _upload,
}
