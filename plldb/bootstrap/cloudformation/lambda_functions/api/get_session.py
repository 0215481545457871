"""``GET /sessions/{sessionId}[?stackName=S]`` → 200 with the session's view."""

from __future__ import annotations

from typing import Any

from ..sessions.store import SessionStore
from ..shared.log import LambdaEvent, Record
from .rest import response
from .session_requests import find_named, view


def get_session(
    event: LambdaEvent, record: Record, now: float, store: SessionStore
) -> dict[str, Any]:
    """400: malformed; 404: there is none that the caller may see; 409: several begin so."""
    session = find_named(event, record, store, now)
    record["outcome"] = "found"
    return response(200, view(session))
