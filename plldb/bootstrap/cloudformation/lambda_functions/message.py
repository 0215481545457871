"""What an attached debugger sends: its actions, and everything that is none."""

from __future__ import annotations

from typing import Any

from . import messages
from .authorizer import session_id_of
from .connection import connection_id_of
from .connections import Connections
from .log import Event, Record
from .messages import Action, ErrorCode
from .sessions import SessionStore, shortened


def answer(event: Event, record: Record, store: SessionStore, connections: Connections) -> Any:
    """Answers over the connection. A message that makes no sense gets an error, and no hang-up."""
    session_id, connection_id = session_id_of(event), connection_id_of(event)
    record |= {"sessionId": shortened(session_id), "connectionId": shortened(connection_id)}
    message = messages.parse(event.get("body") or "")
    if message is None:
        record |= {"level": "WARNING", "outcome": ErrorCode.NOT_JSON}
        reply = messages.error(ErrorCode.NOT_JSON, "The message is not a JSON object.")
    elif message.get("action") == Action.CLOSE:
        changed = store.close(session_id, connection_id)
        record["outcome"] = "closed" if changed else "unchanged"
        reply = messages.closed()
    else:
        record |= {"level": "WARNING", "outcome": ErrorCode.UNKNOWN_ACTION}
        known = ", ".join(Action)
        reply = messages.error(ErrorCode.UNKNOWN_ACTION, f"'action' must be one of: {known}.")
    if not connections.post(connection_id, reply):
        record["outcome"] = "gone"
    return {"statusCode": 200}
