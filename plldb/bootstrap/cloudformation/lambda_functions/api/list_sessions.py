"""``GET /sessions[?stackName=S][&limit=50][&nextToken=T]`` → 200 ``{"sessions", "nextToken"}``."""

from __future__ import annotations

from typing import Any

from ..sessions.store import Page, Position, SessionStore, by_digest
from ..shared.log import LambdaEvent, Record
from .rest import caller, response
from .session_requests import limit_of, next_token, position_of, stack_name_of, view


def list_sessions(
    event: LambdaEvent, record: Record, now: float, store: SessionStore
) -> dict[str, Any]:
    """Of a stack, latest to expire first; without one, all sessions that are attached.

    Of a stack, those that are CLOSED are among them until they expire.
    """
    limit, after = limit_of(event), position_of(event)
    stack_name = stack_name_of(event)
    if stack_name is None:
        page = _attached_page(store, now, limit, after)
    else:
        record["stackName"] = stack_name
        page = store.page(stack_name, caller(event), now, limit=limit, after=after)
    record |= {"outcome": "listed", "sessions": len(page.sessions)}
    return response(200, {"sessions": [view(s) for s in page.sessions]} | next_token(page))


def _attached_page(store: SessionStore, now: float, limit: int, after: Position | None) -> Page:
    """A page in the order of digests: it tells nothing of the ids, nor of when sessions came."""
    attached = sorted((s for s in store.attached() if s.is_attached(now)), key=by_digest)
    rest = [session for session in attached if after is None or by_digest(session) > after]
    return Page(rest[:limit], by_digest(rest[limit - 1]) if len(rest) > limit else None)
