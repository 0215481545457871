"""``heartbeat``: keeps an idle connection, and says when it is to be replaced.

It also says if the session is over, to whom ``$disconnect`` could not tell.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from broadcast.events import Refused, read_connection_id
from broadcast.gateway import make_gateway
from broadcast.rate_limits import RateLimits, make_rate_limits
from broadcast.sessions import Store, make_store
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    connection_id, gateway = read_connection_id(event), make_gateway(event)
    refresh_after = int(os.environ["REFRESH_AFTER_SECONDS"])
    now = int(time.time())
    try:
        answer = beat(connection_id, make_store(), make_rate_limits(), refresh_after, now)
    except Refused as refusal:
        count("MessagesRefused", reason=refusal.reason)
        answer = {"type": "error", "status": refusal.status, "message": refusal.reason}
    else:
        count("Heartbeats")
    gateway.post(connection_id, answer)
    if answer["type"] == "ended":
        gateway.close(connection_id)
    return {"statusCode": 200}


def beat(
    connection_id: str, store: Store, limits: RateLimits, refresh_after: int, now: int
) -> dict[str, Any]:
    """``refreshIn`` is in seconds; at 0, the client connects anew and sends ``refresh``."""
    connection = store.find_connection(connection_id)
    if connection is None:
        raise Refused(404, "The connection is not known any more.")
    limits.check("message", connection.user_id, now)
    session = store.find_session(connection.session_id)
    if session is None or not session.is_open(now):
        return {"type": "ended", "sessionId": connection.session_id}
    return {
        "type": "heartbeat",
        "connectionId": connection.connection_id,
        "sessionId": connection.session_id,
        "refreshIn": max(0, connection.connected_at + refresh_after - now),
    }
