"""The stores of sessions and invocations in memory, under the same contract as on DynamoDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Lock
from typing import Any

from lambda_functions.invocations.invocation import (
    Answer,
    Grant,
    Invocation,
    InvocationState,
    token_key,
)
from lambda_functions.invocations.store import Recorded
from lambda_functions.sessions.session import LIFETIME, RefreshOffer, Session, Status
from lambda_functions.sessions.store import Page, Position, by_ttl, page_by_ttl


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
        activated = self._change(
            session_id,
            lambda session: session.may_connect(now),
            status=Status.ACTIVE,
            connection_id=connection_id,
            connected_at=int(now),
        )
        return activated is not None

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        is_held = _held_by(connection_id)
        ttl = int(now) + LIFETIME
        extended = self._change(session_id, lambda s: is_held(s) and s.ttl > now, ttl=ttl)
        return extended.ttl if extended else None

    def mark_instrumenting(self, session_id: str, connection_id: str) -> Session | None:
        return self._change(session_id, _held_by(connection_id), instruments=True)

    def offer_refresh(self, session_id: str, connection_id: str, offer: RefreshOffer) -> bool:
        return self._change(session_id, _held_by(connection_id), offer=offer) is not None

    def refresh(self, session_id: str, connection_id: str, token_hash: str, now: float) -> bool:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or not session.may_refresh(token_hash, now):
                return False
            self._sessions[session_id] = replace(
                session,
                previous_connection_id=session.connection_id,
                connection_id=connection_id,
                ttl=int(now) + LIFETIME,
                connected_at=int(now),
                offer=None,
            )
            return True

    def close(self, session_id: str, connection_id: str) -> Session | None:
        return self._change(session_id, _held_by(connection_id), **_CLOSED)

    def close_expired(self, session_id: str, connection_id: str, now: float) -> Session | None:
        is_held = _held_by(connection_id)
        return self._change(session_id, lambda s: is_held(s) and s.ttl <= now, **_CLOSED)

    def cancel(self, session_id: str) -> Session | None:
        return self._change(session_id, lambda s: s.status is Status.PENDING, **_CLOSED)

    def open_sessions(self, stack_name: str, now: float) -> list[Session]:
        return [
            session
            for session in self._of_stack(stack_name)
            if session.status is not Status.CLOSED and session.ttl > now
        ]

    def attached(self) -> list[Session]:
        with self._lock:
            return [s for s in self._sessions.values() if s.connection_id is not None]

    def page(
        self,
        stack_name: str,
        viewer: str,
        now: float,
        *,
        limit: int,
        after: Position | None = None,
        open_only: bool = False,
    ) -> Page:
        visible = [
            session
            for session in self._of_stack(stack_name)
            if session.ttl > now
            and session.is_visible_to(viewer, now)
            and not (open_only and session.status is Status.CLOSED)
        ]
        return page_by_ttl(sorted(visible, key=by_ttl), limit, after)

    def find(self, stack_name: str, prefix: str) -> list[Session]:
        return [s for s in self._of_stack(stack_name) if s.session_id.startswith(prefix)]

    def pending_ttls(self, stack_name: str, now: float, at_most: int) -> list[int]:
        ttls = [s.ttl for s in self._of_stack(stack_name) if s.may_connect(now)]
        return sorted(ttls)[:at_most]

    def _of_stack(self, stack_name: str) -> list[Session]:
        with self._lock:
            return [s for s in self._sessions.values() if s.stack_name == stack_name]

    def _change(
        self, session_id: str, condition: Callable[[Session], bool], **changes: Any
    ) -> Session | None:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or not condition(session):
                return None
            self._sessions[session_id] = replace(session, **changes)
            return self._sessions[session_id]


_CLOSED: dict[str, Any] = {
    "status": Status.CLOSED,
    "connection_id": None,
    "previous_connection_id": None,
    "offer": None,
}


def _held_by(connection_id: str) -> Callable[[Session], bool]:
    return lambda session: session.connection_id == connection_id


class MemoryInvocationStore:
    def __init__(self) -> None:
        self._tokens: dict[str, Grant] = {}
        self._settled: set[str] = set()
        self._invocations: dict[str, Invocation] = {}
        self._lock = Lock()

    def add_token(self, token: str, grant: Grant, now: float) -> None:
        self._tokens[token_key(token)] = grant

    def grant_of(self, token: str) -> Grant | None:
        return self._tokens.get(token_key(token))

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        return iter([(k, grant) for k, grant in self._tokens.items() if k not in self._settled])

    def settle(self, key: str) -> None:
        self._settled.add(key)

    def record(self, invocation: Invocation) -> Recorded:
        with self._lock:
            found = self._invocations.get(invocation.request_id)
            if found and found.session_id == invocation.session_id:
                if found.deadline == invocation.deadline:
                    return Recorded.REPEATED
            elif (
                found
                and found.state is InvocationState.WAITING
                and found.deadline > invocation.created_at
            ):
                return Recorded.REFUSED
            self._invocations[invocation.request_id] = invocation
            return Recorded.NEW

    def get(self, request_id: str) -> Invocation | None:
        return self._invocations.get(request_id)

    def answer(self, request_id: str, owner: str, answer: Answer, now: float) -> bool:
        with self._lock:
            found = self._invocations.get(request_id)
            if found is None or found.state is not InvocationState.WAITING:
                return False
            if found.owner != owner or found.deadline <= now:
                return False
            self._invocations[request_id] = replace(
                found, state=InvocationState.ANSWERED, answer=answer
            )
            return True

    def abandon(self, request_id: str, session_id: str) -> None:
        with self._lock:
            found = self._invocations.get(request_id)
            if found and found.state is InvocationState.WAITING and found.session_id == session_id:
                self._invocations[request_id] = replace(found, state=InvocationState.ABANDONED)

    def stale(self, now: float) -> Iterator[str]:
        with self._lock:
            found = list(self._invocations.values())
        return (
            i.request_id for i in found if i.state is InvocationState.WAITING and i.deadline <= now
        )

    def expire(self, request_id: str, now: float) -> bool:
        with self._lock:
            found = self._invocations.get(request_id)
            if found is None or found.state is not InvocationState.WAITING or found.deadline > now:
                return False
            self._invocations[request_id] = replace(found, state=InvocationState.EXPIRED)
            return True
