"""Sessions and invocations in memory, for tests and for use without tables."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import Any

from .invocations import Answer, Invocation, State, token_key
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


class MemoryInvocationStore:
    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._invocations: dict[str, Invocation] = {}
        self._lock = Lock()

    def add_token(self, token: str, session_id: str, now: float) -> None:
        self._tokens[token_key(token)] = session_id

    def session_of(self, token: str) -> str | None:
        return self._tokens.get(token_key(token))

    def record(self, invocation: Invocation) -> bool:
        with self._lock:
            found = self._invocations.get(invocation.request_id)
            if found and found.state is State.WAITING and found.session_id != invocation.session_id:
                return False
            self._invocations[invocation.request_id] = invocation
            return True

    def get(self, request_id: str) -> Invocation | None:
        return self._invocations.get(request_id)

    def answer(self, request_id: str, owner: str, answer: Answer, now: float) -> bool:
        with self._lock:
            found = self._invocations.get(request_id)
            if found is None or found.state is not State.WAITING:
                return False
            if found.owner != owner or found.deadline <= now:
                return False
            self._invocations[request_id] = replace(found, state=State.ANSWERED, answer=answer)
            return True

    def abandon(self, request_id: str, session_id: str) -> None:
        with self._lock:
            found = self._invocations.get(request_id)
            if found and found.state is State.WAITING and found.session_id == session_id:
                self._invocations[request_id] = replace(found, state=State.ABANDONED)
