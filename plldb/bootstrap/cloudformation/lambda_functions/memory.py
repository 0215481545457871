"""Sessions in memory, for tests and for use without a table."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import Any

from .sessions import LIFETIME, Session, Status


class MemorySessionStore:
    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = Lock()

    def create(self, session: Session) -> None:
        with self._lock:
            if session.session_id in self._sessions:
                raise ValueError("there is a session with this id already")
            self._sessions[session.session_id] = session

    def get(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or not session.may_connect(now):
                return False
            self._sessions[session_id] = replace(
                session, status=Status.ACTIVE, connection_id=connection_id
            )
            return True

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        extended = self._change(session_id, connection_id, ttl=int(now) + LIFETIME)
        return extended.ttl if extended else None

    def mark_instrumenting(self, session_id: str, connection_id: str) -> Session | None:
        return self._change(session_id, connection_id, instruments=True)

    def close(self, session_id: str, connection_id: str) -> Session | None:
        return self._change(session_id, connection_id, status=Status.CLOSED, connection_id=None)

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        return [
            session
            for session in self._sessions.values()
            if session.stack_name == stack_name
            and session.status is not Status.CLOSED
            and session.ttl > now
        ]

    def _change(self, session_id: str, held_by: str, **changes: Any) -> Session | None:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.connection_id != held_by:
                return None
            self._sessions[session_id] = replace(session, **changes)
            return self._sessions[session_id]
