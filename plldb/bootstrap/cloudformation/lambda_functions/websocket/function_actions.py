"""What an instrumented function sends: its invocations, and questions after them.

A function has no right in AWS; it shows the token of its session, which opens the invocations of
functions with that token and nothing else.

A function that is told ``absent`` runs the invocation by itself, and so does one that hears nothing
in time. So nobody is told ``absent`` unless it is recorded that no debugger has claimed the
invocation, nor can; and no debugger is told of one before its function knows that it was accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..instrumentation.request import restore_request
from ..invocations.grants import Opened
from ..invocations.invocation import Grant, Invocation, InvocationId, InvocationState, token_key
from ..invocations.store import Recorded
from ..sessions.session import Session, Status
from ..shared.constants import MAX_FRAME_BYTES
from . import wire
from .relay import (
    FUNCTION,
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

# Seconds after which a debugger that has not claimed an invocation counts as silent. A function
# asks after 5, or earlier for reasons of its own.
_SILENCE_SECONDS = 4.0
_NOBODY = "nobody is attached"
_LOST = "the debugger is reconnecting, or gone"
_SILENT = "the debugger does not answer"
_SLOW = "the helper stack was too slow"
_TOO_LARGE = "the event is too large for a message"


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


def _open(request: Request, key: str, relay: Relay) -> Opened | None:
    """What the token opens; None if it is unknown, or was forgotten."""
    opened = relay.grants.find(key)
    if opened is not None:
        _note(request, opened.grant)
    return opened


def _note(request: Request, grant: Grant) -> None:
    request.record["sessionId"] = grant.hold
    request.record["stackName"] = grant.stack_name


def _upload(request: Request, key: str, relay: Relay) -> Reply:
    if _open(request, key, relay) is None:
        raise BadMessageError("The token is unknown.")
    return relay.upload(request)


# --- A new invocation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Invoke:
    """What a function wants to have run: the event as JSON text, or the key of an upload."""

    id: InvocationId
    accept_before: float
    function: str
    context: dict[str, Any]
    event: str | None
    event_key: str | None
    credentials: wire.RoleCredentials | None = field(repr=False)


def _invoke(request: Request, key: str, relay: Relay) -> Reply:
    """Records the invocation and passes it on, if there is a debugger to claim it."""
    wanted = _read_invoke(request, relay)
    grant = relay.grants.recall(key)
    if grant is not None and request.now <= wanted.accept_before:
        return _invoke_at(grant, request, wanted, key, relay)
    opened = _open(request, key, relay)
    if opened is None:
        return _absent(request, wanted.id, _NOBODY)
    invocation = _make_invocation(request, wanted, key, opened.grant)
    session = opened.session
    reason = _reason_for_absence(session, request.now)
    # Whoever has stopped waiting for a sign runs the invocation by itself.
    if request.now > wanted.accept_before:
        reason = _SLOW
    if session is not None and reason is None:
        return _pass_on(request, wanted, invocation, session, relay)
    # The function need not wait for what follows.
    reply = _refuse(request, invocation, reason or _NOBODY, relay)
    relay.connections.post(request.connection_id, reply)
    _see_to_restoring(opened, request.now, relay)
    return None


def _make_invocation(request: Request, wanted: _Invoke, key: str, grant: Grant) -> Invocation:
    return Invocation(
        id=wanted.id,
        session_id=grant.session_id,
        token_key=key,
        function=wanted.function,
        created_at=request.now,
        connection_id=request.connection_id,
    )


def _invoke_at(grant: Grant, request: Request, wanted: _Invoke, key: str, relay: Relay) -> Reply:
    """Records the invocation for the session of before, while that is read.

    Nobody is told of it before both are done, and the connection is as it was read now. If it is
    not that session's turn any more, the record is changed, or taken back, before anybody can know
    of it.
    """
    _note(request, grant)
    invocation = _make_invocation(request, wanted, key, grant)
    message = _invocation_message(request, wanted, relay)
    if message is None:
        return _absent(request, wanted.id, _TOO_LARGE)
    recording = relay.invocations.begin_record(invocation)
    reading = relay.sessions.begin_get(grant.session_id)
    pushed = _with_claim(message, request, wanted, grant.session_id, relay)
    recorded, session = recording(), reading()
    if recorded is not Recorded.NEW:
        return _tell_of_record(request, invocation, recorded, relay)
    if session is not None and _reason_for_absence(session, request.now) is None:
        return _push(request, wanted, invocation, session, pushed, relay)
    return _readdress(request, wanted, invocation, relay)


def _readdress(request: Request, wanted: _Invoke, invocation: Invocation, relay: Relay) -> Reply:
    """Passes what is recorded on to whoever is attached now, if anybody is."""
    id, key = invocation.id, invocation.token_key
    opened = _open(request, key, relay)
    session = opened.session if opened else None
    reason = _reason_for_absence(session, request.now)
    if session is not None and reason is None:
        message = _invocation_message(request, wanted, relay)
        if message is not None:
            step = relay.invocations.readdress(id, key, session.session_id)
            if not step.is_taken:
                return _tell(request, step.invocation, id, relay)
            pushed = _with_claim(message, request, wanted, session.session_id, relay)
            return _push(request, wanted, invocation, session, pushed, relay)
    reply = _take_back(request, invocation, reason or _TOO_LARGE, relay)
    # The function need not wait for what follows.
    relay.connections.post(request.connection_id, reply)
    if opened is not None:
        _see_to_restoring(opened, request.now, relay)
    return None


def _refuse(request: Request, invocation: Invocation, reason: str, relay: Relay) -> dict[str, Any]:
    """That is recorded, too: the message may come twice, and pass the other time."""
    refused = replace(invocation, state=InvocationState.ABANDONED)
    if relay.invocations.record(refused) is Recorded.REPEATED:
        return _take_back(request, invocation, reason, relay)
    return _absent(request, invocation.id, reason)


def _read_invoke(request: Request, relay: Relay) -> _Invoke:
    """Raises BadMessageError."""
    id = invocation_id_of(request)
    function, context = request.message.get("function"), request.message.get("context")
    if not matches(FUNCTION, function):
        raise BadMessageError("'function' is missing, or no logical id.")
    if not isinstance(context, dict):
        raise BadMessageError("'context' is missing, or no object.")
    request.record["function"] = function
    event, event_key = payload_of(request.message, "event", "eventKey", relay.payloads)
    accept_before = time_of(request.message, "acceptBefore")
    credentials = _read_credentials(request.message) if relay.allows_credentials else None
    return _Invoke(id, accept_before, str(function), context, event, event_key, credentials)


def _read_credentials(message: dict[str, Any]) -> wire.RoleCredentials | None:
    """Those of the function's role; None if there are none. Raises BadMessageError."""
    found = message.get("credentials")
    if found is None:
        return None
    names = ("accessKeyId", "secretAccessKey", "sessionToken")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise BadMessageError(f"'credentials' must have these texts: {', '.join(names)}.")
    key_id, secret, token = (found[name] for name in names)
    return {"accessKeyId": key_id, "secretAccessKey": secret, "sessionToken": token}


def _pass_on(
    request: Request, wanted: _Invoke, invocation: Invocation, session: Session, relay: Relay
) -> Reply:
    """Records it, tells the function, and then the debugger, who may claim it at once.

    Wherever that ends half-way, no debugger knows of an invocation that its function runs itself.
    """
    message = _invocation_message(request, wanted, relay)
    if message is None:
        return _absent(request, wanted.id, _TOO_LARGE)
    recorded = relay.invocations.record(invocation)
    if recorded is not Recorded.NEW:
        return _tell_of_record(request, invocation, recorded, relay)
    pushed = _with_claim(message, request, wanted, session.session_id, relay)
    return _push(request, wanted, invocation, session, pushed, relay)


def _tell_of_record(
    request: Request, invocation: Invocation, recorded: Recorded, relay: Relay
) -> Reply:
    """Of one that is not a new one."""
    if recorded is Recorded.REPEATED:
        return _await(request, invocation.token_key, relay)
    return _absent(request, invocation.id, "another invocation waits under this request id")


def _push(
    request: Request,
    wanted: _Invoke,
    invocation: Invocation,
    session: Session,
    pushed: wire.InvocationMessage,
    relay: Relay,
) -> Reply:
    """Tells the function, and then the debugger, of what is recorded."""
    assert session.connection_id is not None  # it is attached
    id = wanted.id
    accepted = wire.accepted(id.request_id, id.deadline)
    is_heard = relay.connections.post(request.connection_id, accepted)
    if not is_heard or relay.clock() > wanted.accept_before:
        return _take_back(request, invocation, _SLOW, relay)
    if not relay.connections.post(session.connection_id, dict(pushed)):
        # No event told of the connection's end: $disconnect is best effort.
        relay.sessions.disconnect(session.session_id, session.connection_id, request.now)
        return _take_back(request, invocation, _LOST, relay)
    request.record["outcome"] = "accepted"
    return None


def _invocation_message(
    request: Request, wanted: _Invoke, relay: Relay
) -> wire.InvocationMessage | None:
    """None if there is no room in it for the event."""
    key = wanted.event_key
    message = wire.invocation(
        wanted.id.request_id,
        wanted.function,
        deadline=wanted.id.deadline,
        sent_at=round(request.now, 3),
        context=wanted.context,
        event=wanted.event,
        event_url=None if key is None else relay.payloads.download_url(key),
        credentials=wanted.credentials,
    )
    return message if _fits(message) else None


def _with_claim(
    message: wire.InvocationMessage,
    request: Request,
    wanted: _Invoke,
    session_id: str,
    relay: Relay,
) -> wire.InvocationMessage:
    """If there is room for it."""
    signed = relay.claims.sign(wanted.id, session_id, request.now)
    with_claim: wire.InvocationMessage = {**message, "claim": signed}
    return with_claim if _fits(with_claim) else message


def _fits(message: wire.InvocationMessage) -> bool:
    return len(json.dumps(message)) <= MAX_FRAME_BYTES


def _take_back(
    request: Request, invocation: Invocation, reason: str, relay: Relay
) -> dict[str, Any]:
    step = relay.invocations.abandon(invocation.id, invocation.token_key)
    if step.is_taken:
        return _absent(request, invocation.id, reason)
    return _tell(request, step.invocation, invocation.id, relay)


def _reason_for_absence(session: Session | None, now: float) -> str | None:
    """Why no debugger can be asked; None if one can."""
    if session is None:
        return _NOBODY
    if session.is_attached(now):
        return _SILENT if session.is_silent else None
    return _LOST if session.may_be_resumed(now) else _NOBODY


def _see_to_restoring(opened: Opened, now: float, relay: Relay) -> None:
    """A function that calls though its session is over was not restored: that is started here.

    Whoever should have done it may have failed. DynamoDB may have deleted the session's item.
    """
    session, grant = opened.session, opened.grant
    if session is None:
        if not grant.is_settled:
            relay.instrumentation.start(restore_request(grant.stack_name, [grant.hold]))
            relay.invocations.settle(opened.token_key)
    elif not session.is_over(now):
        return
    elif session.status is Status.ACTIVE:
        relay.ending.expire(session, now)
    else:
        relay.ending.restore(session, now, [grant.hold])


def _absent(request: Request, id: InvocationId, reason: str) -> dict[str, Any]:
    request.record.update(outcome="absent", reason=reason)
    return wire.absent(id.request_id, id.deadline, reason)


# --- Questions after one --------------------------------------------------------------------------


def _await(request: Request, key: str, relay: Relay) -> Reply:
    """What became of an invocation, of which the function hears over this connection from now on.

    While its session is lost, nobody will answer it: then it ends.
    """
    id = invocation_id_of(request)
    step = relay.invocations.follow(id, key, request.connection_id)
    if not step.is_taken:
        return _tell_of_other_state(request, step.invocation, id, key, relay)
    opened = _open(request, key, relay)
    session = opened.session if opened else None
    if session is None or session.is_over(request.now):
        step = relay.invocations.lose(id, key)
    return _tell(request, step.invocation, id, relay)


def _abandon(request: Request, key: str, relay: Relay) -> Reply:
    """Takes the invocation back, if no debugger has begun it."""
    id = invocation_id_of(request)
    step = relay.invocations.abandon(id, key)
    if not step.is_taken or step.invocation is None:
        return _tell_of_other_state(request, step.invocation, id, key, relay)
    # The function need not wait for what follows.
    relay.connections.post(request.connection_id, _absent(request, id, _SILENT))
    if request.now - step.invocation.created_at >= _SILENCE_SECONDS:
        # Until the debugger is heard of again, further invocations need not wait as long.
        relay.sessions.mark_silent(step.invocation.session_id)
    return None


def _tell_of_other_state(
    request: Request, found: Invocation | None, id: InvocationId, key: str, relay: Relay
) -> Reply:
    """What the invocation is that was not as it had to be for a step.

    One that is unknown may still be on its way here: it will find itself abandoned.
    """
    if _is_of(found, id, key):
        return _tell(request, found, id, relay)
    opened = _open(request, key, relay)
    if opened is None:
        return _absent(request, id, _NOBODY)  # which it will be told as well
    unknown = Invocation(
        id=id,
        session_id=opened.grant.session_id,
        token_key=key,
        function="",
        created_at=request.now,
        connection_id=request.connection_id,
    )
    found = relay.invocations.bury(unknown).invocation
    return _tell(request, found if _is_of(found, id, key) else None, id, relay)


def _is_of(found: Invocation | None, id: InvocationId, key: str) -> bool:
    return found is not None and (found.id, found.token_key) == (id, key)


def _tell(
    request: Request, found: Invocation | None, id: InvocationId, relay: Relay
) -> dict[str, Any]:
    """What an invocation's state means for the function that waits for it.

    None is one in whose place there is another: nobody knows any more whether it had begun.
    """
    if found is None:
        request.record["outcome"] = "replaced"
        return wire.gone(id.request_id, id.deadline)
    request.record["outcome"] = found.state.lower()
    match found.state:
        case InvocationState.ANSWERED:
            return relay.answer_message(found)
        case InvocationState.STARTED:
            return wire.started(id.request_id, id.deadline)
        case InvocationState.WAITING:
            return wire.accepted(id.request_id, id.deadline)
    if found.has_started:
        return wire.gone(id.request_id, id.deadline)
    return _absent(request, id, "no debugger has begun it")


_ACTIONS: dict[Action, Callable[[Request, str, Relay], Reply]] = {
    Action.ABANDON: _abandon,
    Action.AWAIT: _await,
    Action.INVOKE: _invoke,
    Action.UPLOAD: _upload,
}
