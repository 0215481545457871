"""``$connect`` and ``$disconnect``: a connection takes its session, and lets go of it."""

from __future__ import annotations

from typing import Any

from ..instrumentation.request import Instrumentation
from ..sessions.ending import end_session
from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .admission import refresh_hash_of, session_id_of


def connect(event: LambdaEvent, record: Record, now: float, store: SessionStore) -> Any:
    """200 for the one connection that wins the session, 403 for every other.

    That is the first one, or the first that came with the token to move it.
    """
    session_id, connection_id = session_id_of(event), connection_id_of(event)
    record |= {"sessionId": shortened(session_id), "connectionId": shortened(connection_id)}
    token_hash = refresh_hash_of(event)
    if token_hash is None and store.activate(session_id, connection_id, now):
        record["outcome"] = "connected"
        return {"statusCode": 200}
    if token_hash is not None and store.refresh(session_id, connection_id, token_hash, now):
        record["outcome"] = "refreshed"
        return {"statusCode": 200}
    record |= {"level": "WARNING", "outcome": "refused"}
    return {"statusCode": 403}


def disconnect(
    event: LambdaEvent, record: Record, store: SessionStore, instrumentation: Instrumentation
) -> Any:
    """Closes the session, once; a late or repeated event changes nothing.

    Nor does the end of a connection that the session moved away from.
    """
    session_id, connection_id = session_id_of(event), connection_id_of(event)
    record |= {"sessionId": shortened(session_id), "connectionId": shortened(connection_id)}
    # There is nobody left to tell.
    session = end_session(session_id, connection_id, store, instrumentation, tell=False)
    record["outcome"] = "closed" if session else "unchanged"
    return {"statusCode": 200}


def connection_id_of(event: LambdaEvent) -> str:
    return str(event["requestContext"]["connectionId"])
