"""The authorizer of the WebSocket API: a pending session opens one connection."""

from __future__ import annotations

from typing import Any

from .log import Event, Record
from .messages import SESSION_ID_PARAMETER
from .sessions import SessionStore, is_session_id, shortened

# The key under which the other routes find the session's id, in requestContext.authorizer.
CONTEXT_SESSION_ID = "sessionId"


def authorize(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """An IAM policy for ``$connect``: Allow only while the session is PENDING and not expired.

    A failure on the way is a Deny, logged as an error: never a connection, and never a 500 that
    invites a retry.
    """
    try:
        session_id = (event.get("queryStringParameters") or {}).get(SESSION_ID_PARAMETER) or ""
        record["sessionId"] = shortened(session_id)
        session = store.get(session_id) if is_session_id(session_id) else None
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not admit anyone
        record |= {"level": "ERROR", "error": type(error).__name__}
        return _policy("Deny", event["methodArn"], "unknown")
    if session is None or not session.may_connect(now):
        record |= {"level": "WARNING", "outcome": "denied"}
        record["reason"] = "unknown" if session is None else f"{session.status}, or expired"
        return _policy("Deny", event["methodArn"], shortened(session_id))
    record |= {"outcome": "allowed", "stackName": session.stack_name}
    policy = _policy("Allow", event["methodArn"], shortened(session_id))
    return policy | {"context": {CONTEXT_SESSION_ID: session_id}}


def session_id_of(event: Event) -> str:
    """The session of a connection, as the authorizer noted it when it was opened."""
    return str(event["requestContext"]["authorizer"][CONTEXT_SESSION_ID])


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
