"""``$connect``: a speaker begins a session, or somebody joins one.

Nothing can be posted to a connection before this has answered: a client learns its session's id
from the answer to its first heartbeat.
"""

from __future__ import annotations

import re
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
    is_session_id,
    make_session_id,
    make_store,
)
from broadcast.telemetry import count

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
# Of half a million ids. One that is taken is a matter of chance.
_TRIES = 5


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
    limits.check("connect", caller.user_id, now)
    if (session_id := query.get("sessionId")) is not None:
        return _join(caller, session_id, store, now)
    if caller.role != "speaker":
        raise Refused(403, "Only a speaker begins a session: name one by sessionId.")
    if _LANGUAGE.fullmatch(language := query.get("language", "en")) is None:
        raise Refused(400, "'language' is a tag such as en or pt-BR.")
    limits.check("begin", caller.user_id, now)
    return _begin(caller, language, store, now)


def _join(caller: Caller, session_id: str, store: Store, now: int) -> Connection:
    """If the session ends in this moment, the first heartbeat says so."""
    session = store.find_session(session_id) if is_session_id(session_id) else None
    if session is None or not session.is_open(now):
        raise Refused(404, "There is no such session.")
    if caller.role == "speaker" and caller.user_id != session.speaker_id:
        raise Refused(403, "The session has another speaker.")
    connection = _make_connection(caller, session_id, now)
    store.join(connection)
    return connection


def _begin(caller: Caller, language: str, store: Store, now: int) -> Connection:
    for _ in range(_TRIES):
        connection = _make_connection(caller, make_session_id(), now)
        session = Session(
            connection.session_id,
            caller.user_id,
            caller.connection_id,
            language,
            now + SESSION_SECONDS,
        )
        if store.begin(session, connection):
            return connection
    raise Refused(503, "All the ids that were tried are taken.")


def _make_connection(caller: Caller, session_id: str, now: int) -> Connection:
    return Connection(caller.connection_id, session_id, caller.user_id, caller.role, now)
