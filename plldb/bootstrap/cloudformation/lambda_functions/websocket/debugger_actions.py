"""What an attached debugger sends. The id of its session, in each message, proves who it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypedDict

from ..instrumentation.request import instrument_request, watch_request
from ..invocations.invocation import (
    Answer,
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
    new_token,
    token_key,
)
from ..invocations.store import Step
from ..sessions.heirs import line_of
from ..sessions.session import Session, is_same_principal, is_session_id
from ..shared.constants import MAX_FRAME_BYTES
from ..shared.ids import shortened
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
    request_id_of,
)
from .wire import Action, ErrorCode, WhenAbsent

# More than a session has functions; a stack has 500 resources at most, and so has each nested one.
_MAX_FUNCTIONS = 1000
# A pattern may be a function's name, 64 characters, or logical ids of 255, where stacks are nested.
_MAX_PATTERN_LENGTH = 1024
# A name is one, or an ARN, and a revision is a UUID.
_MAX_NAME_LENGTH = 200
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_FUNCTION_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
_UNKNOWN = "UNKNOWN"
_CREDENTIALS_DENIED = "This helper stack passes no credentials of functions on."


def act(request: Request, relay: Relay) -> Reply:
    """Carries one message out. Raises BadMessageError."""
    session_id = _session_id(request.message)
    request.record["sessionId"] = shortened(session_id)
    act = _ACTIONS.get(request.action)
    if act is None:
        raise BadMessageError(f"'{request.action}' is for functions, which show a token.")
    return act(request, session_id, relay)


def _session_id(message: dict[str, Any]) -> str:
    session_id = message.get("sessionId")
    if not isinstance(session_id, str) or not is_session_id(session_id):
        raise BadMessageError("'sessionId' is missing, or no session's id.")
    return session_id


# --- Invocations ----------------------------------------------------------------------------------


def _claim(request: Request, session_id: str, relay: Relay) -> Reply:
    id = invocation_id_of(request)
    step = relay.invocations.claim(id, session_id, request.now)
    if step.is_taken:
        request.record["outcome"] = "started"
        return wire.go(id.request_id, id.deadline)
    request.record["outcome"] = "void"
    return wire.void(id.request_id, id.deadline, _state(_own(step, id, session_id)))


def _answer(request: Request, session_id: str, relay: Relay) -> Reply:
    id = invocation_id_of(request)
    body, body_key = payload_of(request.message, "body", "bodyKey", relay.payloads)
    if body is not None:
        _check_body(id, body)
    step = relay.invocations.answer(id, session_id, Answer(body, body_key), request.now)
    found = _own(step, id, session_id)
    # Of an answer that is sent again, the first one counts; but it may not have been passed on.
    if found is not None and found.state is InvocationState.ANSWERED:
        relay.connections.post(found.connection_id, relay.answer_message(found))
    state = _state(found)
    request.record["outcome"] = "answered" if step.is_taken else state.lower()
    return wire.recorded(id.request_id, id.deadline, state)


def _decline(request: Request, session_id: str, relay: Relay) -> Reply:
    id = invocation_id_of(request)
    step = relay.invocations.decline(id, session_id)
    request.record["outcome"] = "declined" if step.is_taken else "unchanged"
    if step.is_taken and step.invocation is not None:
        told = wire.absent(id.request_id, id.deadline, "the debugger declined the invocation")
        relay.connections.post(step.invocation.connection_id, told)
    return None


def _upload(request: Request, session_id: str, relay: Relay) -> Reply:
    found = relay.invocations.get(request_id_of(request))
    if found is None or found.session_id != session_id:
        raise BadMessageError("The session has no such invocation.")
    return relay.upload(request)


def _own(step: Step, id: InvocationId, session_id: str) -> Invocation | None:
    """The invocation that a step was about, if it is there and was sent to that session."""
    found = step.invocation
    return found if found and (found.id, found.session_id) == (id, session_id) else None


def _check_body(id: InvocationId, body: str) -> None:
    told = wire.answer(id.request_id, id.deadline, body=body)
    if len(json.dumps(told)) > MAX_FRAME_BYTES:
        raise BadMessageError("'body' is too large for a message: upload it.")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise BadMessageError("'body' is not JSON.") from None
    if not isinstance(parsed, dict) or len(parsed.keys() & {"result", "base64", "error"}) != 1:
        raise BadMessageError("'body' must have a result, base64 or an error, and one of them.")
    if not isinstance(parsed.get("base64", ""), str):
        raise BadMessageError("The base64 of 'body' must be a text.")
    if "error" in parsed:
        _check_error(parsed["error"])


def _check_error(error: Any) -> None:
    names = ("errorType", "errorMessage")
    if not isinstance(error, dict) or not all(isinstance(error.get(n), str) for n in names):
        raise BadMessageError("The error needs an errorType and an errorMessage.")
    trace = error.get("stackTrace")
    if not isinstance(trace, list) or not all(isinstance(line, str) for line in trace):
        raise BadMessageError("The error's stackTrace must be a list of texts.")


def _state(found: Invocation | None) -> str:
    return _UNKNOWN if found is None else found.state


# --- The session ----------------------------------------------------------------------------------


def _heartbeat(request: Request, session_id: str, relay: Relay) -> Reply:
    ttl = relay.sessions.extend(session_id, request.connection_id, request.now)
    if ttl is None:
        return _tell_end(request, relay.sessions.get(session_id))
    request.record["outcome"] = "extended"
    return wire.heartbeat(ttl, round(request.now, 3))


def _close(request: Request, session_id: str, relay: Relay) -> Reply:
    session = relay.ending.close(session_id, request.connection_id, request.now)
    request.record["outcome"] = "closed" if session else "unchanged"
    return None if session and session.instruments else wire.closed()


def _resume(request: Request, session_id: str, relay: Relay) -> Reply:
    """Takes what the former session holds, unless that is being restored.

    The former session may have an heir already, whose debugger never heard of it: then that is
    replaced, too.
    """
    former_id = request.message.get("replaces")
    if not isinstance(former_id, str) or not is_session_id(former_id):
        raise BadMessageError("'replaces' must be the id of a session.")
    session = relay.sessions.get(session_id)
    if session is None or session.connection_id != request.connection_id:
        raise _closed_already()
    former = line_of(relay.sessions, former_id, until=session_id)
    if former and former[-1].reason is not None:
        return _tell_end(request, former[-1])
    closed = None
    if former and all(_may_inherit(session, one) for one in former):
        closed = relay.sessions.appoint_heir(former[-1].session_id, session_id)
    if closed is None:
        request.record["outcome"] = "expired"
        return wire.expired()
    # From here on, functions are led to this session by its being the heir; but DynamoDB deletes
    # the former one in the end, so each token is granted anew. A crash in between is mended by the
    # debugger, who asks again until it hears an answer. What is being posted to the former
    # connection still arrives there.
    _inherit(request, session_id, [*former, closed], relay)
    request.record.update(outcome="resumed", stackName=session.stack_name)
    return wire.resumed()


def _inherit(request: Request, session_id: str, former: list[Session], relay: Relay) -> None:
    """Raises BadMessageError if the session was closed meanwhile."""
    holds = {hold for one in former for hold in one.holds}
    tokens = {token for one in former for token in one.tokens}
    if relay.sessions.inherit(session_id, request.connection_id, holds, tokens) is None:
        raise _closed_already()
    for token in sorted(tokens):
        relay.invocations.grant_to(token, session_id, request.now)


def _may_inherit(session: Session, former: Session) -> bool:
    return former.stack_name == session.stack_name and is_same_principal(
        former.owner, session.owner
    )


def _instrument(request: Request, session_id: str, relay: Relay) -> Reply:
    choices, members = _choices(request.message), _members(request.message)
    if choices["as_function"] and not relay.allows_credentials:
        raise BadMessageError(_CREDENTIALS_DENIED, ErrorCode.CREDENTIALS_DENIED)
    token = new_token()
    key = token_key(token)
    session = relay.sessions.mark_instrumenting(session_id, request.connection_id, key)
    if session is None:
        return _tell_end(request, relay.sessions.get(session_id))
    grant = Grant(session_id, session.stack_name, shortened(session_id))
    relay.invocations.add_token(key, grant, request.now)
    if members is not None:
        # Nobody else knows them, once the debugger is gone: before the first one is changed.
        relay.lists.add(session.stack_name, grant.hold, members, key)
    relay.instrumentation.start(
        instrument_request(
            stack_name=session.stack_name,
            session=shortened(session_id),
            owner=session.owner,
            connection_id=request.connection_id,
            token=token,
            **choices,
            open_sessions=_rivals(session, relay, request.now),
            members=members,
        )
    )
    request.record.update(outcome="instrumenting", stackName=session.stack_name)
    return None


def _watch(request: Request, session_id: str, relay: Relay) -> Reply:
    stack, functions = request.message.get("stack"), request.message.get("functions")
    if not _is_name(stack):
        raise BadMessageError("'stack' must be what 'changed' said of it, or empty.")
    if not isinstance(functions, dict) or len(functions) > _MAX_FUNCTIONS:
        raise BadMessageError("'functions' must map names to revisions.")
    if not all(_is_name(text) for pair in functions.items() for text in pair):
        raise BadMessageError("'functions' must map names to revisions.")
    session = relay.sessions.get(session_id)
    if session is None or session.connection_id != request.connection_id:
        return _tell_end(request, session)
    relay.instrumentation.start(
        watch_request(
            session.stack_name,
            shortened(session_id),
            request.connection_id,
            str(stack),
            functions,
        )
    )
    request.record.update(outcome="watching", stackName=session.stack_name)
    return None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME_LENGTH


class _Choices(TypedDict):
    """What to instrument and how: see ``instrument_request``."""

    functions: list[str]
    when_absent: str
    take_over: bool
    as_function: bool
    aliases: bool


def _choices(message: dict[str, Any]) -> _Choices:
    """Raises BadMessageError."""
    functions, when_absent = message.get("functions"), message.get("whenAbsent")
    # An earlier plldb says nothing of the last ones.
    take_over, as_function = message.get("takeOver"), message.get("asFunction", False)
    aliases = message.get("aliases", False)
    if not isinstance(functions, list) or not _are_patterns(functions):
        raise BadMessageError("'functions' must be a list of patterns.")
    if when_absent not in list(WhenAbsent):
        raise BadMessageError(f"'whenAbsent' must be one of: {', '.join(WhenAbsent)}.")
    flags = {"takeOver": take_over, "asFunction": as_function, "aliases": aliases}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise BadMessageError(f"'{name}' must be true or false.")
    return {
        "functions": functions,
        "when_absent": str(when_absent),
        "take_over": bool(take_over),
        "as_function": bool(as_function),
        "aliases": bool(aliases),
    }


def _members(message: dict[str, Any]) -> dict[str, str] | None:
    """The functions of a stack that is a mere list; None for one of CloudFormation's.

    Names alone, and no ARNs, so that they are of this account and region. Raises BadMessageError.
    """
    members = message.get("members")
    if members is None:
        return None
    if not isinstance(members, dict) or len(members) > _MAX_FUNCTIONS:
        raise BadMessageError(f"'members' must be an object of {_MAX_FUNCTIONS} functions at most.")
    if not all(matches(FUNCTION, title) for title in members):
        raise BadMessageError("'members': what a function is called has letters, digits and -_/.")
    if not all(matches(_FUNCTION_NAME, name) for name in members.values()):
        raise BadMessageError("'members' must have names of functions, and no ARNs.")
    return members


def _rivals(session: Session, relay: Relay, now: float) -> dict[str, dict[str, str]]:
    """The stack's other sessions that somebody is connected to, by what they hold under."""
    others = relay.sessions.open_sessions(session.stack_name, now)
    return {
        hold: {"owner": other.owner, "connectionId": other.connection_id}
        for other in others
        if other.session_id != session.session_id and other.connection_id is not None
        for hold in other.holds - session.holds
    }


def _are_patterns(values: list[Any]) -> bool:
    return len(values) <= _MAX_FUNCTIONS and all(
        isinstance(one, str) and 0 < len(one) <= _MAX_PATTERN_LENGTH for one in values
    )


def _tell_end(request: Request, session: Session | None) -> Reply:
    """What the debugger hears of a session that is closed: why, if somebody else has done that.

    It may have been told already, or be about to be. Raises BadMessageError if it was nobody else.
    """
    if session is None or session.reason is None:
        raise _closed_already()
    request.record["outcome"] = "closed"
    return wire.closed(session.reason)


def _closed_already() -> BadMessageError:
    return BadMessageError("The session is closed.", ErrorCode.SESSION_CLOSED)


_ACTIONS: dict[Action, Callable[[Request, str, Relay], Reply]] = {
    Action.ANSWER: _answer,
    Action.CLAIM: _claim,
    Action.CLOSE: _close,
    Action.DECLINE: _decline,
    Action.HEARTBEAT: _heartbeat,
    Action.INSTRUMENT: _instrument,
    Action.RESUME: _resume,
    Action.UPLOAD: _upload,
    Action.WATCH: _watch,
}
