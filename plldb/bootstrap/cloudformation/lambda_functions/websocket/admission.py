"""The authorizer of the WebSocket API: who may connect.

A debugger shows the id of a PENDING session, which opens one connection; a function shows a token,
which opens as many as the function has environments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..invocations.invocation import token_key
from ..invocations.store import InvocationStore
from ..sessions.session import is_session_id
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .wire import SESSION_ID_PARAMETER

# Keys in requestContext.authorizer, by which $connect and $disconnect know whose connection it is.
_CONTEXT_SESSION_ID = "sessionId"
_CONTEXT_IS_FUNCTION = "isFunction"


@dataclass(frozen=True)
class Admission:
    """What decides. ``sessions`` and ``invocations`` are read once in all."""

    sessions: SessionStore
    invocations: InvocationStore


@dataclass(frozen=True)
class Decision:
    """``reason`` is why somebody is refused; None admits. ``context`` goes with the connection."""

    reason: str | None
    context: dict[str, str]


def authorize(
    event: LambdaEvent, record: Record, now: float, admission: Admission
) -> dict[str, Any]:
    """An IAM policy for ``$connect``: Allow only for a PENDING session or a known token.

    A failure on the way is a Deny, logged as an error: never a connection, and never a 500 that
    invites a retry.
    """
    session_id = str((event.get("queryStringParameters") or {}).get(SESSION_ID_PARAMETER) or "")
    record["sessionId"] = shortened(session_id)
    try:
        token = bearer_token(event)
        decision = (
            _judge_debugger(session_id, record, now, admission)
            if token is None
            else _judge_function(token, record, admission)
        )
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not admit anyone
        record |= {"level": "ERROR", "error": type(error).__name__}
        return _policy("Deny", event["methodArn"], "unknown")
    if decision.reason is not None:
        record |= {"level": "WARNING", "outcome": "denied", "reason": decision.reason}
        return _policy("Deny", event["methodArn"], shortened(session_id))
    record["outcome"] = "allowed"
    policy = _policy("Allow", event["methodArn"], shortened(session_id))
    return policy | {"context": decision.context}


def _judge_debugger(session_id: str, record: Record, now: float, admission: Admission) -> Decision:
    session = admission.sessions.get(session_id) if is_session_id(session_id) else None
    if session is None:
        return Decision("unknown", {})
    record["stackName"] = session.stack_name
    if not session.may_connect(now):
        return Decision(f"{session.status}, or expired", {})
    return Decision(None, {_CONTEXT_SESSION_ID: session_id})


def _judge_function(token: str, record: Record, admission: Admission) -> Decision:
    grant = admission.invocations.grant_of(token_key(token))
    if grant is None:
        return Decision("unknown token", {})
    record |= {"stackName": grant.stack_name, "sessionId": grant.hold, "client": "function"}
    return Decision(None, {_CONTEXT_IS_FUNCTION: "true"})


def bearer_token(event: LambdaEvent) -> str | None:
    """The token of the Authorization header, whose name comes in any case; None if none is."""
    for name, value in (event.get("headers") or {}).items():
        scheme, _, token = str(value).partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return token.strip()
    return None


def is_function(event: LambdaEvent) -> bool:
    """Whether a connection is known to be a function's."""
    return _CONTEXT_IS_FUNCTION in _context(event)


def session_id_of(event: LambdaEvent) -> str | None:
    """The session of a debugger's connection, where API Gateway passes the authorizer's word on.

    It does for ``$connect``; for other routes, AWS's documentation does not promise it.
    """
    found = _context(event).get(_CONTEXT_SESSION_ID)
    return None if found is None else str(found)


def _context(event: LambdaEvent) -> dict[str, Any]:
    context: dict[str, Any] = event["requestContext"].get("authorizer") or {}
    return context


def _policy(effect: str, method_arn: str, principal: str) -> dict[str, Any]:
    return {
        "principalId": principal or "unknown",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn}
            ],
        },
    }
