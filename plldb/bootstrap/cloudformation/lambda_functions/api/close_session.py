"""Sessions are put to an end, whoever is attached.

::

    DELETE /sessions/{sessionId}[?stackName=S]               → 200 view, of a CLOSED session
    DELETE /sessions?stackName=S[&limit=50][&nextToken=T]    → 200 {"closed": n, "nextToken"}
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..sessions.ending import Ending
from ..sessions.session import Session
from ..sessions.store import Page, SessionStore, by_ttl
from ..shared.log import LambdaEvent, Record
from .rest import BadRequestError, caller, response
from .session_requests import find_named, limit_of, next_token, position_of, stack_name_of, view

# Closing one takes several calls; together they must fit into the function's time.
_THREADS = 8
_CLOSING_SECONDS = 4.0


@dataclass(frozen=True)
class Closing:
    """What the operations act on. ``clock`` measures how long a page takes."""

    sessions: SessionStore
    ending: Ending
    clock: Callable[[], float] = time.monotonic


def close_session(
    event: LambdaEvent, record: Record, now: float, closing: Closing
) -> dict[str, Any]:
    """``DELETE /sessions/{sessionId}``, as often as one likes."""
    session = find_named(event, record, closing.sessions, now)
    closed, is_new = _closer(event, closing, now)(session)
    record["outcome"] = "closed" if is_new else "unchanged"
    return response(200, view(closed))


def close_sessions(
    event: LambdaEvent, record: Record, now: float, closing: Closing
) -> dict[str, Any]:
    """``DELETE /sessions``: a page of a stack's open sessions."""
    stack_name = stack_name_of(event)
    if stack_name is None:
        raise BadRequestError("stackName is missing.")
    page = closing.sessions.page(
        stack_name,
        caller(event),
        now,
        limit=limit_of(event),
        after=position_of(event),
        open_only=True,
    )
    closed, page = _close_in_time(page, _closer(event, closing, now), closing.clock)
    record |= {"outcome": "closed", "stackName": stack_name, "closed": closed}
    return response(200, {"closed": closed} | next_token(page))


def _closer(
    event: LambdaEvent, closing: Closing, now: float
) -> Callable[[Session], tuple[Session, bool]]:
    reason = f"closed by {caller(event)}"
    return lambda session: closing.ending.force(session, reason, now)


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
