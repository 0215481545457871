"""``refresh``: a new connection takes the place of one that will soon be 2 hours old.

The client connects a second time, to the same session, and says there which connection of its own
is to be closed. So no moment is without a connection, and the session goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from broadcast.events import Refused, read_connection_id, read_message
from broadcast.gateway import Gateway, make_gateway
from broadcast.rate_limits import RateLimits, make_rate_limits
from broadcast.sessions import Store, make_store
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    connection_id, gateway = read_connection_id(event), make_gateway(event)
    store, limits, now = make_store(), make_rate_limits(), int(time.time())
    try:
        answer = refresh(connection_id, read_message(event), store, limits, gateway, now)
    except Refused as refusal:
        count("MessagesRefused", reason=refusal.reason)
        answer = {"type": "error", "status": refusal.status, "message": refusal.reason}
    else:
        count("ConnectionsReplaced")
    gateway.post(connection_id, answer)
    return {"statusCode": 200}


def refresh(
    connection_id: str,
    message: Mapping[str, Any],
    store: Store,
    limits: RateLimits,
    gateway: Gateway,
    now: int,
) -> dict[str, Any]:
    """``message`` names in ``replaces`` the connection that is closed."""
    new = store.find_connection(connection_id)
    if new is None:
        raise Refused(404, "The connection is not known any more.")
    limits.check("message", new.user_id, now)
    replaced = message.get("replaces")
    if not isinstance(replaced, str) or replaced in ("", connection_id):
        raise Refused(400, "'replaces' is the id of your other connection.")
    old = store.find_connection(replaced)
    if old is None or old.user_id != new.user_id:
        raise Refused(404, "You have no such connection.")
    if (old.role, old.session_id) != (new.role, new.session_id):
        raise Refused(400, "That connection is of another session.")
    store.replace(old, new)
    gateway.close(old.connection_id)
    return {"type": "refreshed", "connectionId": new.connection_id, "sessionId": new.session_id}
