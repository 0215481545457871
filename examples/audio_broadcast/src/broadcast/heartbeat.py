"""``heartbeat``: keeps an idle connection, and says when it is to be replaced."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from broadcast.events import Caller, Refused, read_caller
from broadcast.gateway import make_gateway
from broadcast.rate_limits import RateLimits, make_rate_limits
from broadcast.sessions import Store, make_store
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    caller = read_caller(event)
    refresh_after = int(os.environ["REFRESH_AFTER_SECONDS"])
    now = int(time.time())
    try:
        answer = beat(caller, make_store(), make_rate_limits(), refresh_after, now)
    except Refused as refusal:
        count("MessagesRefused", reason=refusal.reason)
        answer = {"type": "error", "status": refusal.status, "message": refusal.reason}
    else:
        count("Heartbeats")
    make_gateway(event).post(caller.connection_id, answer)
    return {"statusCode": 200}


def beat(
    caller: Caller, store: Store, limits: RateLimits, refresh_after: int, now: int
) -> dict[str, Any]:
    """``refreshIn`` is in seconds; at 0, the client connects anew and sends ``refresh``."""
    limits.check("heartbeat", caller.connection_id, now)
    connection = store.find_connection(caller.connection_id)
    if connection is None:
        raise Refused(404, "The connection is not known any more.")
    return {
        "type": "heartbeat",
        "connectionId": connection.connection_id,
        "sessionId": connection.session_id,
        "refreshIn": max(0, connection.connected_at + refresh_after - now),
    }
