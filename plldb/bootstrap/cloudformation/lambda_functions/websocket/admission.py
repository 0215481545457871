"""The authorizer of the WebSocket API: a pending session opens one connection.

An attached one opens another, to which it moves, if it is shown the token that it gave.
"""

from __future__ import annotations

from typing import Any

from ..sessions.session import Session, is_session_id, refresh_hash
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .wire import REFRESH_TOKEN_PARAMETER, SESSION_ID_PARAMETER

# The key under which the other routes find the session's id, in requestContext.authorizer.
CONTEXT_SESSION_ID = "sessionId"
# The key of the hash of the token that the session moves by; absent for its first connection.
_CONTEXT_REFRESH_HASH = "refreshHash"


def authorize(event: LambdaEvent, record: Record, now: float, store: SessionStore) -> Any:
    """An IAM policy for ``$connect``: Allow only while the session is PENDING and not expired.

    With a token, only while it is attached and the token is the one that it was given last.
    A failure on the way is a Deny, logged as an error: never a connection, and never a 500 that
    invites a retry.
    """
    try:
        query = event.get("queryStringParameters") or {}
        session_id = query.get(SESSION_ID_PARAMETER) or ""
        token = query.get(REFRESH_TOKEN_PARAMETER)
        record["sessionId"] = shortened(session_id)
        session = store.get(session_id) if is_session_id(session_id) else None
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not admit anyone
        record |= {"level": "ERROR", "error": type(error).__name__}
        return _policy("Deny", event["methodArn"], "unknown")
    context = {CONTEXT_SESSION_ID: session_id}
    if token is not None:
        context[_CONTEXT_REFRESH_HASH] = refresh_hash(token)
        record["isRefresh"] = True
    if session is None or not _is_admitted(session, context, now):
        record |= {"level": "WARNING", "outcome": "denied"}
        record["reason"] = "unknown" if session is None else f"{session.status}, or expired"
        return _policy("Deny", event["methodArn"], shortened(session_id))
    record |= {"outcome": "allowed", "stackName": session.stack_name}
    return _policy("Allow", event["methodArn"], shortened(session_id)) | {"context": context}


def _is_admitted(session: Session, context: dict[str, str], now: float) -> bool:
    token_hash = context.get(_CONTEXT_REFRESH_HASH)
    if token_hash is None:
        return session.may_connect(now)
    return session.may_refresh(token_hash, now)


def session_id_of(event: LambdaEvent) -> str:
    """The session of a connection, as the authorizer noted it when it was opened."""
    return str(event["requestContext"]["authorizer"][CONTEXT_SESSION_ID])


def refresh_hash_of(event: LambdaEvent) -> str | None:
    """By what the connection may take an attached session over; None if it takes a pending one."""
    found = event["requestContext"]["authorizer"].get(_CONTEXT_REFRESH_HASH)
    return None if found is None else str(found)


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
