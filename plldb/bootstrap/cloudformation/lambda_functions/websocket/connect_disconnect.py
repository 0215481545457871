"""``$connect`` and ``$disconnect``: a debugger's connection takes its session, and lets go of it.

A function's connection takes nothing: whatever the function sends shows its token.
"""

from __future__ import annotations

from typing import Any

from ..sessions.store import SessionStore
from ..shared.ids import shortened
from ..shared.log import LambdaEvent, Record
from .admission import is_function, session_id_of


def connect(event: LambdaEvent, record: Record, now: float, store: SessionStore) -> dict[str, Any]:
    """200 for the one connection that wins the session, 403 for every other."""
    connection_id = connection_id_of(event)
    record["connectionId"] = shortened(connection_id)
    if is_function(event):
        record["outcome"] = "connected"
        return {"statusCode": 200}
    session_id = session_id_of(event) or ""
    record["sessionId"] = shortened(session_id)
    if store.activate(session_id, connection_id, now):
        record["outcome"] = "connected"
        return {"statusCode": 200}
    record |= {"level": "WARNING", "outcome": "refused"}
    return {"statusCode": 403}


def disconnect(
    event: LambdaEvent, record: Record, now: float, store: SessionStore
) -> dict[str, Any]:
    """Closes the session, once; a late or repeated event changes nothing.

    Its functions are not restored yet: the debugger may be about to come back.
    """
    connection_id = connection_id_of(event)
    record |= {"connectionId": shortened(connection_id), "outcome": "unchanged"}
    if is_function(event):
        return {"statusCode": 200}
    session_id = session_id_of(event) or store.id_by_connection(connection_id)
    if session_id is not None:
        record["sessionId"] = shortened(session_id)
        if store.disconnect(session_id, connection_id, now) is not None:
            record["outcome"] = "closed"
    return {"statusCode": 200}


def connection_id_of(event: LambdaEvent) -> str:
    return str(event["requestContext"]["connectionId"])
