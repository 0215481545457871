"""``refresh``: a new connection takes the place of one that will soon be 2 hours old.

The client connects a second time, to the same session, and says there which connection of its own
is to be closed. So no moment is without a connection, and the session goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadcast.events import Caller, Refused, read_caller, read_message
from broadcast.gateway import Gateway, make_gateway
from broadcast.sessions import Store, make_store
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    caller, gateway = read_caller(event), make_gateway(event)
    try:
        answer = refresh(caller, read_message(event), make_store(), gateway)
    except Refused as refusal:
        count("MessagesRefused", reason=refusal.reason)
        answer = {"type": "error", "status": refusal.status, "message": refusal.reason}
    else:
        count("ConnectionsReplaced")
    gateway.post(caller.connection_id, answer)
    return {"statusCode": 200}


def refresh(
    caller: Caller, message: Mapping[str, Any], store: Store, gateway: Gateway
) -> dict[str, Any]:
    """``message`` names in ``replaces`` the connection that is closed."""
    replaced = message.get("replaces")
    if not isinstance(replaced, str) or replaced == caller.connection_id:
        raise Refused(400, "'replaces' is the id of your other connection.")
    new, old = store.find_connection(caller.connection_id), store.find_connection(replaced)
    if new is None or old is None:
        raise Refused(404, "There is no such connection.")
    if (old.user_id, old.role, old.session_id) != (new.user_id, new.role, new.session_id):
        raise Refused(403, "That connection is not yours, or of another session.")
    store.replace(old, new)
    gateway.close(old.connection_id)
    return {"type": "refreshed", "connectionId": new.connection_id, "sessionId": new.session_id}
