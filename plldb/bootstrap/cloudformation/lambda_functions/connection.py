"""``$connect`` and ``$disconnect``: a connection takes its session, and lets go of it."""

from __future__ import annotations

from typing import Any

from .authorizer import session_id_of
from .ending import end_session
from .instrumentation_request import Instrumentation
from .log import Event, Record
from .sessions import SessionStore, shortened


def connect(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """200 for the one connection that wins the session, 403 for every other."""
    session_id, connection_id = session_id_of(event), connection_id_of(event)
    record |= {"sessionId": shortened(session_id), "connectionId": shortened(connection_id)}
    if store.activate(session_id, connection_id, now):
        record["outcome"] = "connected"
        return {"statusCode": 200}
    record |= {"level": "WARNING", "outcome": "refused"}
    return {"statusCode": 403}


def disconnect(
    event: Event, record: Record, store: SessionStore, instrumentation: Instrumentation
) -> Any:
    """Closes the session, once; a late or repeated event changes nothing."""
    session_id, connection_id = session_id_of(event), connection_id_of(event)
    record |= {"sessionId": shortened(session_id), "connectionId": shortened(connection_id)}
    # There is nobody left to tell.
    session = end_session(session_id, connection_id, store, instrumentation, tell=False)
    record["outcome"] = "closed" if session else "unchanged"
    return {"statusCode": 200}


def connection_id_of(event: Event) -> str:
    return str(event["requestContext"]["connectionId"])
