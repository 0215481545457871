"""A session's life as a model, which every store must agree with, whatever happens in any order."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from lambda_functions.sessions.session import (
    GRACE,
    LEASE,
    RESTORING_SECONDS,
    Session,
    Status,
    digest,
    new_session,
)
from lambda_functions.sessions.store import Page, Position, SessionStore
from lambda_functions.shared.ids import shortened

# Ahead of the clock on the wall: tables delete what is expired by that one.
NOW = 1_900_000_000.0

_stacks = st.sampled_from(["app", "other"])
_owners = st.sampled_from(["me", "you"])
_connections = st.sampled_from(["c1", "c2", "c3"])
_tokens = st.sampled_from(["token#1", "token#2"])


def all_pages(turn: Callable[[Position | None], Page], limit: int) -> list[Session]:
    """Every page, one after the other; each but the last is full."""
    shown: list[Session] = []
    after = None
    while True:
        page = turn(after)
        shown += page.sessions
        assert len(page.sessions) <= limit
        if page.next is None:
            return shown
        assert len(page.sessions) == limit
        after = page.next


class SessionLife(RuleBasedStateMachine):
    """``make_stores`` are the stores, each new for every life, or with names of its own in it."""

    make_stores: ClassVar[Callable[[], list[SessionStore]]]
    ids = Bundle("ids")

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.stores = type(self).make_stores()
        self.model: dict[str, Session] = {}
        self.openings: dict[str, list[str]] = {}
        # What sets this life apart from others in the same table.
        self.suffix = digest(new_session("x", "x", 0).session_id)[:12]

    def stack(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def ask(self, question: Callable[[SessionStore], Any]) -> Any:
        """What all stores answer."""
        answers = [question(store) for store in self.stores]
        assert all(answer == answers[0] for answer in answers)
        return answers[0]

    def change(self, session_id: str, expected: bool, **changes: Any) -> Session | None:
        """The session after the change; None if there is none to be."""
        if not expected:
            return None
        self.model[session_id] = replace(self.model[session_id], **changes)
        return self.model[session_id]

    @rule(target=ids, stack=_stacks, owner=_owners)
    def create(self, stack: str, owner: str) -> str:
        session = new_session(self.stack(stack), owner, self.now)
        self.ask(lambda store: store.create(session))
        self.model[session.session_id] = session
        self.openings[session.session_id] = []
        return session.session_id

    @rule(session_id=ids, connection=_connections)
    def connect(self, session_id: str, connection: str) -> None:
        session = self.model[session_id]
        expected = session.status is Status.PENDING and self.now < session.ttl
        connection = self.connection(session_id, connection)
        assert self.ask(lambda store: store.activate(session_id, connection, self.now)) is expected
        self.change(
            session_id,
            expected,
            status=Status.ACTIVE,
            connection_id=connection,
            connected_at=int(self.now),
            ttl=int(self.now + LEASE),
        )
        if expected:
            self.openings[session_id].append(connection)

    @rule(session_id=ids, connection=_connections)
    def heartbeat(self, session_id: str, connection: str) -> None:
        ttl = int(self.now + LEASE)
        connection = self.connection(session_id, connection)
        held = self.is_held(session_id, connection) and self.model[session_id].ttl > self.now
        answer = self.ask(lambda store: store.extend(session_id, connection, self.now))
        assert answer == (ttl if held else None)
        self.change(session_id, held, ttl=ttl, is_silent=False)

    @rule(session_id=ids, connection=_connections, token=_tokens)
    def instrument(self, session_id: str, connection: str, token: str) -> None:
        connection = self.connection(session_id, connection)
        answer = self.ask(lambda s: s.mark_instrumenting(session_id, connection, token))
        holds, tokens = {shortened(session_id)}, {token}
        assert answer == self.holding(session_id, connection, holds, tokens)

    @rule(session_id=ids)
    def fall_silent(self, session_id: str) -> None:
        held = self.model[session_id].connection_id is not None
        self.ask(lambda store: store.mark_silent(session_id))
        self.change(session_id, held, is_silent=True)

    @rule(session_id=ids, heir=ids)
    def appoint(self, session_id: str, heir: str) -> None:
        session = self.model[session_id]
        expected = (
            session.status is not Status.PENDING
            and session.restoring_since is None
            and session.heir in (None, heir)
        )
        answer = self.ask(lambda store: store.appoint_heir(session_id, heir))
        assert answer == self.closed(session_id, expected, heir=heir)

    @rule(session_id=ids, connection=_connections, former=ids)
    def inherit(self, session_id: str, connection: str, former: str) -> None:
        connection = self.connection(session_id, connection)
        holds, tokens = self.model[former].holds, self.model[former].tokens
        answer = self.ask(lambda s: s.inherit(session_id, connection, holds, tokens))
        assert answer == self.holding(session_id, connection, holds, tokens)

    @rule(session_id=ids, connection=_connections)
    def disconnect(self, session_id: str, connection: str) -> None:
        connection = self.connection(session_id, connection)
        held = self.is_held(session_id, connection)
        answer = self.ask(lambda store: store.disconnect(session_id, connection, self.now))
        assert answer == self.closed(session_id, held, ttl=int(self.now + GRACE))

    @rule(session_id=ids, connection=_connections)
    def close(self, session_id: str, connection: str) -> None:
        connection = self.connection(session_id, connection)
        held = self.is_held(session_id, connection)
        answer = self.ask(lambda store: store.close(session_id, connection, self.now))
        assert answer == self.closed(session_id, held, restoring_since=int(self.now))

    @rule(session_id=ids, connection=_connections)
    def close_expired(self, session_id: str, connection: str) -> None:
        connection = self.connection(session_id, connection)
        held = self.is_held(session_id, connection) and self.model[session_id].ttl <= self.now
        answer = self.ask(lambda store: store.close_expired(session_id, connection, self.now))
        assert answer == self.closed(session_id, held, restoring_since=int(self.now))

    @rule(session_id=ids)
    def begin_restoring(self, session_id: str) -> None:
        session = self.model[session_id]
        since = session.restoring_since
        expected = (
            session.status is Status.CLOSED
            and session.heir is None
            and (since is None or since <= self.now - RESTORING_SECONDS)
        )
        assert self.ask(lambda store: store.begin_restoring(session_id, self.now)) is expected
        self.change(session_id, expected, restoring_since=int(self.now))

    @rule(session_id=ids)
    def cancel(self, session_id: str) -> None:
        pending = self.model[session_id].status is Status.PENDING
        answer = self.ask(lambda store: store.cancel(session_id, self.now, "closed by eve"))
        changes = {"restoring_since": int(self.now), "reason": "closed by eve"}
        assert answer == self.closed(session_id, pending, **changes)

    def closed(self, session_id: str, expected: bool, **changes: Any) -> Session | None:
        return self.change(
            session_id, expected, status=Status.CLOSED, connection_id=None, **changes
        )

    def holding(
        self, session_id: str, connection: str, holds: Set[str], tokens: Set[str]
    ) -> Session | None:
        session = self.model[session_id]
        return self.change(
            session_id,
            session.connection_id == connection,
            holds=session.holds | holds,
            tokens=session.tokens | tokens,
        )

    def connection(self, session_id: str, name: str) -> str:
        """A connection holds one session: its name is of that one."""
        return f"{name}-{shortened(session_id)}"

    def is_held(self, session_id: str, connection: str) -> bool:
        return self.model[session_id].connection_id == connection

    @rule(seconds=st.sampled_from([0.5, 30, 60, 89.5, 149.5, 150, 900, 3600]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(session_id=ids, connection=_connections)
    def find_by_connection(self, session_id: str, connection: str) -> None:
        connection = self.connection(session_id, connection)
        expected = session_id if self.is_held(session_id, connection) else None
        assert self.ask(lambda store: store.id_by_connection(connection)) == expected

    @rule(stack=_stacks, viewer=_owners, limit=st.integers(1, 4), open_only=st.booleans())
    def list_pages(self, stack: str, viewer: str, limit: int, open_only: bool) -> None:
        expected = [
            session
            for session in self.of_stack(stack)
            if session.ttl > self.now
            and (session.status is not Status.PENDING or session.owner == viewer)
            and (
                not open_only
                or session.status is not Status.CLOSED
                or (session.heir is None and session.restoring_since is None)
            )
        ]
        expected.sort(key=lambda session: (-session.ttl, digest(session.session_id)))

        for store in self.stores:

            def turn(after: Position | None, store: SessionStore = store) -> Page:
                return store.page(
                    self.stack(stack),
                    viewer,
                    self.now,
                    limit=limit,
                    after=after,
                    open_only=open_only,
                )

            assert all_pages(turn, limit) == expected

    @rule(session_id=ids, length=st.integers(8, 36), stack=_stacks)
    def find(self, session_id: str, length: int, stack: str) -> None:
        prefix = session_id[:length]
        expected = {s.session_id for s in self.of_stack(stack) if s.session_id.startswith(prefix)}
        for store in self.stores:
            found = store.find(self.stack(stack), prefix)
            assert {session.session_id for session in found} == expected

    @rule(stack=_stacks, at_most=st.integers(1, 3))
    def count_pending(self, stack: str, at_most: int) -> None:
        pending = [s for s in self.of_stack(stack) if s.status is Status.PENDING]
        expected = sorted(s.ttl for s in pending if s.ttl > self.now)[:at_most]
        answer = self.ask(lambda s: s.pending_ttls(self.stack(stack), self.now, at_most))
        assert answer == expected

    @rule()
    def list_attached(self) -> None:
        expected = {s for s in self.model.values() if s.connection_id is not None}
        for store in self.stores:
            found = [s for s in store.attached() if s.session_id in self.model]
            assert set(found) == expected
            assert len(found) == len(expected)

    @rule(stack=_stacks)
    def list_open(self, stack: str) -> None:
        expected = {
            session
            for session in self.of_stack(stack)
            if session.status is not Status.CLOSED and session.ttl > self.now
        }
        for store in self.stores:
            assert set(store.open_sessions(self.stack(stack), self.now)) == expected

    def of_stack(self, stack: str) -> list[Session]:
        return [s for s in self.model.values() if s.stack_name == self.stack(stack)]

    @invariant()
    def all_agree_with_the_model(self) -> None:
        for session_id, session in self.model.items():
            assert self.ask(lambda store, one=session_id: store.get(one)) == session

    @invariant()
    def no_id_ever_opened_two_connections(self) -> None:
        assert all(len(opened) <= 1 for opened in self.openings.values())
