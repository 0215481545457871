"""Sessions as an operator sees them: who is attached, and how to put an end to it. By AWS_IAM.

::

    GET    /sessions[?stackName=S][&limit=50][&nextToken=T]  → 200 {"sessions": [view], "nextToken"}
    GET    /sessions/{sessionId}[?stackName=S]               → 200 view
    DELETE /sessions/{sessionId}[?stackName=S]               → 200 view, of a CLOSED session
    DELETE /sessions?stackName=S[&limit=50][&nextToken=T]    → 200 {"closed": n, "nextToken"}
    400: malformed; 404: there is none that the caller may see; 409: several begin so

A session is named by its whole id, or by the beginning that a view shows and its stack. Its whole
id is told to whoever creates it, and to nobody else. There is no ``nextToken`` on the last page.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .connections import Connections
from .ending import force_end
from .instrumentation_request import Instrumentation
from .log import Event, Record
from .management import checked_stack_name
from .rest import (
    BadRequestError,
    RefusedRequestError,
    caller,
    path_parameter,
    query_parameter,
    response,
)
from .sessions import (
    Page,
    Position,
    Session,
    SessionStore,
    by_digest,
    by_ttl,
    is_prefix_of_id,
    is_session_id,
    shortened,
)

MAX_LIMIT = 100
_DEFAULT_LIMIT = 50
# Closing one takes several calls; together they must fit into the function's time.
_THREADS = 8
_CLOSING_SECONDS = 4.0
_DIGEST = re.compile(r"[0-9a-f]{32}")
_RANKS = range(-(2**40), 1)


@dataclass(frozen=True)
class Administration:
    """What the operations act on."""

    sessions: SessionStore
    instrumentation: Instrumentation
    connections: Connections
    clock: Callable[[], float] = time.monotonic


def list_sessions(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """``GET /sessions``: of a stack, latest to expire first; without one, all that are attached.

    Of a stack, those that are CLOSED are among them until they expire.
    """
    limit, after = _limit(event), _position(event)
    stack_name = _stack_name(event)
    if stack_name is None:
        page = _attached_page(store, now, limit, after)
    else:
        record["stackName"] = stack_name
        page = store.page(stack_name, caller(event), now, limit=limit, after=after)
    record |= {"outcome": "listed", "sessions": len(page.sessions)}
    return response(200, {"sessions": [view(s) for s in page.sessions]} | _next(page))


def get_session(event: Event, record: Record, store: SessionStore, now: float) -> Any:
    """``GET /sessions/{sessionId}``."""
    session = _named(event, record, store, now)
    record["outcome"] = "found"
    return response(200, view(session))


def close_session(event: Event, record: Record, backend: Administration, now: float) -> Any:
    """``DELETE /sessions/{sessionId}``. Idempotent."""
    session = _named(event, record, backend.sessions, now)
    closed, is_new = _closer(event, backend)(session)
    record["outcome"] = "closed" if is_new else "unchanged"
    return response(200, view(closed))


def close_sessions(event: Event, record: Record, backend: Administration, now: float) -> Any:
    """``DELETE /sessions``: a page of a stack's open sessions."""
    stack_name = _stack_name(event)
    if stack_name is None:
        raise BadRequestError("stackName is missing.")
    page = backend.sessions.page(
        stack_name,
        caller(event),
        now,
        limit=_limit(event),
        after=_position(event),
        open_only=True,
    )
    closed, page = _close_in_time(page, _closer(event, backend), backend.clock)
    record |= {"outcome": "closed", "stackName": stack_name, "closed": closed}
    return response(200, {"closed": closed} | _next(page))


def _close_in_time(
    page: Page, close: Callable[[Session], tuple[Session, bool]], clock: Callable[[], float]
) -> tuple[int, Page]:
    """How many it closed, and the page that was closed: a shorter one where time runs out."""
    until = clock() + _CLOSING_SECONDS
    sessions = page.sessions
    closed = 0
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(sessions), _THREADS):
            if clock() >= until:
                return closed, Page(sessions[:start], by_ttl(sessions[start - 1]))
            batch = sessions[start : start + _THREADS]
            closed += sum(is_new for _, is_new in pool.map(close, batch))
    return closed, page


def view(session: Session) -> dict[str, Any]:
    """What may be told of a session."""
    return {
        "session": shortened(session.session_id),
        "stackName": session.stack_name,
        "status": session.status,
        "owner": session.owner,
        "createdAt": session.created_at,
        "expiresAt": datetime.fromtimestamp(session.ttl, UTC).isoformat(),
    }


def _closer(event: Event, backend: Administration) -> Callable[[Session], tuple[Session, bool]]:
    reason = f"closed by {caller(event)}"
    return lambda session: force_end(
        session, reason, backend.sessions, backend.instrumentation, backend.connections
    )


def _attached_page(store: SessionStore, now: float, limit: int, after: Position | None) -> Page:
    """Where one was shown says nothing of when it came: their order is as good as any."""
    attached = sorted((s for s in store.attached() if s.is_attached(now)), key=by_digest)
    rest = [session for session in attached if after is None or by_digest(session) > after]
    return Page(rest[:limit], by_digest(rest[limit - 1]) if len(rest) > limit else None)


def _named(event: Event, record: Record, store: SessionStore, now: float) -> Session:
    """The session that the path names. Raises BadRequestError, RefusedRequestError."""
    name, stack_name = path_parameter(event, "sessionId"), _stack_name(event)
    record["sessionId"] = shortened(name)
    found: list[Session] = []
    if is_session_id(name):
        session = store.get(name)
        if session is not None and stack_name in (None, session.stack_name):
            found = [session]
    elif stack_name is not None and is_prefix_of_id(name):
        found = store.find(stack_name, name)
    else:
        raise BadRequestError(
            "A session is named by its whole id, or by 8 characters of it or more and a stackName."
        )
    visible = [session for session in found if session.is_visible_to(caller(event), now)]
    if not visible:
        raise RefusedRequestError(404, "There is no such session.")
    if len(visible) > 1:
        raise RefusedRequestError(409, f"{len(visible)} sessions begin so; give more of the id.")
    record["stackName"] = visible[0].stack_name
    return visible[0]


def _stack_name(event: Event) -> str | None:
    name = query_parameter(event, "stackName")
    return None if name is None else checked_stack_name(name)


def _limit(event: Event) -> int:
    text = query_parameter(event, "limit")
    if text is None:
        return _DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequestError(f"limit must be a number from 1 to {MAX_LIMIT}.")
    return int(text)


def _next(page: Page) -> dict[str, str]:
    if page.next is None:
        return {}
    place = json.dumps([page.next.rank, page.next.digest], separators=(",", ":"))
    return {"nextToken": base64.urlsafe_b64encode(place.encode()).decode()}


def _position(event: Event) -> Position | None:
    token = query_parameter(event, "nextToken")
    if token is None:
        return None
    try:
        place = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        place = None
    match place:
        case [int(rank), str(digest)] if rank in _RANKS and _DIGEST.fullmatch(digest):
            return Position(rank, digest)
    raise BadRequestError("nextToken is none that a former answer gave.")
