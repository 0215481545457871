"""``$disconnect``: a listener leaves, or the session ends with its speaker.

API Gateway calls it at most once in general, and sometimes never: what it would delete has a time
to live as well, and whom it could not reach is told at the next heartbeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadcast.events import read_connection_id
from broadcast.gateway import Gateway, make_gateway
from broadcast.sessions import Store, make_store
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    told = disconnect(read_connection_id(event), make_store(), make_gateway(event))
    count("ConnectionsClosed", told=str(told))
    return {"statusCode": 200}


def disconnect(connection_id: str, store: Store, gateway: Gateway) -> int:
    """How many others were told that the session ended with this connection."""
    connection = store.leave(connection_id)
    # One that was replaced has left already.
    if connection is None or connection.role != "speaker":
        return 0
    if not store.end(connection.session_id, connection_id):
        return 0
    others = store.list_connections(connection.session_id)
    for other in others:
        gateway.post(other.connection_id, {"type": "ended", "sessionId": other.session_id})
        gateway.close(other.connection_id)
    return len(others)
