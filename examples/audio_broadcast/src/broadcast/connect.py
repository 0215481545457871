"""``$connect``: a speaker begins a session, or somebody joins one.

Nothing can be posted to a connection before this has answered: a client learns its session's id
from the answer to its first heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from broadcast.events import Caller, Refused, read_caller
from broadcast.rate_limits import RateLimits, make_rate_limits
from broadcast.sessions import (
    SESSION_SECONDS,
    Connection,
    Session,
    Store,
    make_session_id,
    make_store,
)
from broadcast.telemetry import count


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    caller = read_caller(event)
    query = event.get("queryStringParameters") or {}
    try:
        connection = connect(caller, query, make_store(), make_rate_limits(), int(time.time()))
    except Refused as refusal:
        count("ConnectionsRefused", reason=refusal.reason)
        return {"statusCode": refusal.status, "body": refusal.reason}
    count("ConnectionsOpened", session=connection.session_id)
    return {"statusCode": 200}


def connect(
    caller: Caller, query: Mapping[str, str], store: Store, limits: RateLimits, now: int
) -> Connection:
    """``query`` has the ``sessionId`` to join, or without one the speaker's ``language``."""
    limits.check("connect", caller.source_ip, now)
    if (session_id := query.get("sessionId")) is not None:
        connection = _make_connection(caller, session_id, now)
        _check_open(store.find_session(session_id), caller, now)
        store.join(connection)
        return connection
    if caller.role != "speaker":
        raise Refused(403, "Only a speaker begins a session: name one by sessionId.")
    limits.check("begin", caller.user_id, now)
    connection = _make_connection(caller, make_session_id(), now)
    language = query.get("language", "en")
    session = Session(
        connection.session_id,
        caller.user_id,
        caller.connection_id,
        language,
        now + SESSION_SECONDS,
    )
    store.begin(session, connection)
    return connection


def _make_connection(caller: Caller, session_id: str, now: int) -> Connection:
    return Connection(caller.connection_id, session_id, caller.user_id, caller.role, now)


def _check_open(session: Session | None, caller: Caller, now: int) -> None:
    if session is None or not session.is_open(now):
        raise Refused(404, "There is no such session.")
    if caller.role == "speaker" and caller.user_id != session.speaker_id:
        raise Refused(403, "The session has another speaker.")
