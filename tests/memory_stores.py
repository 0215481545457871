"""The stores of sessions and invocations in memory, under the same contract as on DynamoDB."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

from lambda_functions.invocations.invocation import (
    OPEN,
    Answer,
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
)
from lambda_functions.invocations.store import Recorded, Step
from lambda_functions.sessions.function_lists import WORK_SECONDS, ListedFunction
from lambda_functions.sessions.session import GRACE, LEASE, RESTORING_SECONDS, Session, Status
from lambda_functions.sessions.store import Page, Position, by_ttl, page_by_ttl
from lambda_functions.shared.ids import shortened


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

    def begin_get(self, session_id: str) -> Callable[[], Session | None]:
        return partial(self.get, session_id)

    def activate(self, session_id: str, connection_id: str, now: float) -> bool:
        activated = self._change(
            session_id,
            lambda session: session.may_connect(now),
            status=Status.ACTIVE,
            connection_id=connection_id,
            connected_at=int(now),
            ttl=int(now + LEASE),
        )
        return activated is not None

    def extend(self, session_id: str, connection_id: str, now: float) -> int | None:
        is_held = _held_by(connection_id)
        ttl = int(now + LEASE)
        extended = self._change(
            session_id, lambda s: is_held(s) and s.ttl > now, ttl=ttl, is_silent=False
        )
        return extended.ttl if extended else None

    def mark_instrumenting(
        self, session_id: str, connection_id: str, token_key: str
    ) -> Session | None:
        return self.inherit(session_id, connection_id, {shortened(session_id)}, {token_key})

    def mark_silent(self, session_id: str) -> None:
        self._change(session_id, lambda s: s.connection_id is not None, is_silent=True)

    def appoint_heir(self, session_id: str, heir: str) -> Session | None:
        def is_free(session: Session) -> bool:
            return (
                session.status is not Status.PENDING
                and session.restoring_since is None
                and session.heir in (None, heir)
            )

        return self._change(session_id, is_free, **_CLOSED, heir=heir)

    def inherit(
        self, session_id: str, connection_id: str, holds: Iterable[str], tokens: Iterable[str]
    ) -> Session | None:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.connection_id != connection_id:
                return None
            added = replace(
                session, holds=session.holds.union(holds), tokens=session.tokens.union(tokens)
            )
            self._sessions[session_id] = added
            return added

    def disconnect(self, session_id: str, connection_id: str, now: float) -> Session | None:
        ttl = int(now + GRACE)
        return self._change(session_id, _held_by(connection_id), **_CLOSED, ttl=ttl)

    def close(
        self, session_id: str, connection_id: str, now: float, reason: str | None = None
    ) -> Session | None:
        return self._change(
            session_id,
            _held_by(connection_id),
            **_CLOSED,
            restoring_since=int(now),
            reason=reason,
        )

    def close_expired(self, session_id: str, connection_id: str, now: float) -> Session | None:
        is_held = _held_by(connection_id)
        return self._change(
            session_id,
            lambda s: is_held(s) and s.ttl <= now,
            **_CLOSED,
            restoring_since=int(now),
        )

    def cancel(self, session_id: str, now: float, reason: str) -> Session | None:
        return self._change(
            session_id,
            lambda s: s.status is Status.PENDING,
            **_CLOSED,
            restoring_since=int(now),
            reason=reason,
        )

    def begin_restoring(self, session_id: str, now: float, reason: str | None = None) -> bool:
        def is_due(session: Session) -> bool:
            since = session.restoring_since
            return (
                session.status is Status.CLOSED
                and session.heir is None
                and (since is None or since <= int(now - RESTORING_SECONDS))
            )

        kept = {} if reason is None else {"reason": reason}
        return self._change(session_id, is_due, restoring_since=int(now), **kept) is not None

    def id_by_connection(self, connection_id: str) -> str | None:
        found = [s.session_id for s in self.attached() if s.connection_id == connection_id]
        return found[0] if found else None

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
            and (
                not open_only or session.status is not Status.CLOSED or session.may_be_resumed(now)
            )
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


_CLOSED: dict[str, Any] = {"status": Status.CLOSED, "connection_id": None}


def _held_by(connection_id: str) -> Callable[[Session], bool]:
    return lambda session: session.connection_id == connection_id


class MemoryInvocationStore:
    def __init__(self) -> None:
        self._tokens: dict[str, Grant] = {}
        self._invocations: dict[str, Invocation] = {}
        self._lock = Lock()

    # --- Tokens -------------------------------------------------------------------------------

    def add_token(self, token_key: str, grant: Grant, now: float) -> None:
        self._tokens[token_key] = grant

    def grant_of(self, token_key: str) -> Grant | None:
        return self._tokens.get(token_key)

    def grant_to(self, token_key: str, session_id: str, now: float) -> None:
        self._regrant(token_key, session_id=session_id)

    def unsettled(self) -> Iterator[tuple[str, Grant]]:
        return iter([(key, one) for key, one in self._tokens.items() if not one.is_settled])

    def settle(self, token_key: str) -> None:
        self._regrant(token_key, is_settled=True)

    def _regrant(self, token_key: str, **changes: Any) -> None:
        with self._lock:
            if token_key in self._tokens:
                self._tokens[token_key] = replace(self._tokens[token_key], **changes)

    # --- Invocations --------------------------------------------------------------------------

    def record(self, invocation: Invocation) -> Recorded:
        with self._lock:
            found = self._invocations.get(invocation.id.request_id)
            if (
                found is None
                or _makes_room(found, invocation)
                or _is_other_and_over(found, invocation)
            ):
                self._invocations[invocation.id.request_id] = invocation
                return Recorded.NEW
            return Recorded.REPEATED if found.is_same_as(invocation) else Recorded.REFUSED

    def begin_record(self, invocation: Invocation) -> Callable[[], Recorded]:
        return partial(self.record, invocation)

    def bury(self, invocation: Invocation) -> Step:
        with self._lock:
            found = self._invocations.get(invocation.id.request_id)
            if found is None or _makes_room(found, invocation):
                found = replace(invocation, state=InvocationState.ABANDONED)
                self._invocations[invocation.id.request_id] = found
                return Step(True, found)
        if found.is_same_as(invocation):
            return self.abandon(invocation.id, invocation.token_key)
        return Step(False, found)

    def get(self, request_id: str) -> Invocation | None:
        return self._invocations.get(request_id)

    def claim(self, id: InvocationId, session_id: str, now: float) -> Step:
        return self._step(
            id,
            lambda i: i.session_id == session_id and id.deadline > now and i.state in OPEN,
            state=InvocationState.STARTED,
            has_started=True,
        )

    def answer(self, id: InvocationId, session_id: str, answer: Answer, now: float) -> Step:
        return self._step(
            id,
            lambda i: (
                i.session_id == session_id
                and id.deadline > now
                and i.state is InvocationState.STARTED
            ),
            state=InvocationState.ANSWERED,
            answer=answer,
        )

    def decline(self, id: InvocationId, session_id: str) -> Step:
        return self._step(
            id,
            lambda i: i.session_id == session_id and i.state is InvocationState.WAITING,
            state=InvocationState.ABANDONED,
        )

    def abandon(self, id: InvocationId, token_key: str) -> Step:
        return self._step(
            id,
            lambda i: i.token_key == token_key and i.state is InvocationState.WAITING,
            state=InvocationState.ABANDONED,
        )

    def lose(self, id: InvocationId, token_key: str) -> Step:
        return self._step(
            id,
            lambda i: i.token_key == token_key and i.state in OPEN,
            state=InvocationState.ABANDONED,
        )

    def readdress(self, id: InvocationId, token_key: str, session_id: str) -> Step:
        return self._step(
            id,
            lambda i: i.token_key == token_key and i.state is InvocationState.WAITING,
            session_id=session_id,
        )

    def follow(self, id: InvocationId, token_key: str, connection_id: str) -> Step:
        return self._step(
            id,
            lambda i: i.token_key == token_key and i.state in OPEN,
            connection_id=connection_id,
        )

    def stale(self, now: float) -> Iterator[str]:
        with self._lock:
            found = list(self._invocations.values())
        return (i.id.request_id for i in found if _is_stale(i, now))

    def expire(self, request_id: str, now: float) -> bool:
        with self._lock:
            found = self._invocations.get(request_id)
            if found is None or not _is_stale(found, now):
                return False
            self._invocations[request_id] = replace(found, state=InvocationState.EXPIRED)
            return True

    def _step(
        self, id: InvocationId, condition: Callable[[Invocation], bool], **changes: Any
    ) -> Step:
        with self._lock:
            found = self._invocations.get(id.request_id)
            if found is None or found.id != id or not condition(found):
                return Step(False, found)
            found = replace(found, **changes)
            self._invocations[id.request_id] = found
            return Step(True, found)


def _makes_room(found: Invocation, invocation: Invocation) -> bool:
    """Whether what is found is an earlier try of the same function, or its time is over."""
    if found.token_key == invocation.token_key:
        return found.id.deadline < invocation.id.deadline
    return found.id.deadline <= invocation.created_at


def _is_other_and_over(found: Invocation, invocation: Invocation) -> bool:
    return not found.is_same_as(invocation) and found.state not in OPEN


def _is_stale(invocation: Invocation, now: float) -> bool:
    return invocation.state in OPEN and invocation.id.deadline <= now


class MemoryFunctionLists:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._began: dict[str, float] = {}
        self._entries: set[tuple[str, ListedFunction]] = set()
        self._under_way: set[tuple[str, str, str]] = set()

    def add(self, stack_name: str, hold: str, functions: Mapping[str, str], work: str) -> None:
        self._began[stack_name] = self._clock()
        self._under_way.add((stack_name, hold, work))
        for title, name in functions.items():
            self._entries.add((stack_name, ListedFunction(hold, title, name)))

    def end_work(self, stack_name: str, hold: str, work: str) -> None:
        self._under_way.discard((stack_name, hold, work))

    def get(self, stack_name: str) -> list[ListedFunction]:
        found = [entry for stack, entry in self._entries if stack == stack_name]
        return sorted(found, key=lambda one: (one.hold, one.title, one.name))

    def forget(self, stack_name: str, holds: Collection[str]) -> None:
        if self._began.get(stack_name, 0.0) <= self._clock() - WORK_SECONDS:
            self._under_way = {
                one for one in self._under_way if not (one[0] == stack_name and one[1] in holds)
            }
        busy = {hold for stack, hold, _ in self._under_way if stack == stack_name}
        for entry in self.get(stack_name):
            if entry.hold in holds and entry.hold not in busy:
                self._entries.discard((stack_name, entry))
