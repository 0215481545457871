"""A session's life as a model, which every store must agree with, whatever happens in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from lambda_functions.sessions.session import (
    LIFETIME,
    RefreshOffer,
    Session,
    Status,
    digest,
    new_session,
    refresh_hash,
)
from lambda_functions.sessions.store import Page, Position, SessionStore

# Ahead of the clock on the wall: tables delete what is expired by that one.
NOW = 1_900_000_000.0

_stacks = st.sampled_from(["app", "other"])
_owners = st.sampled_from(["me", "you"])
_connections = st.sampled_from(["c1", "c2", "c3"])
_tokens = st.sampled_from(["t1", "t2"])


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
        assert self.ask(lambda store: store.activate(session_id, connection, self.now)) is expected
        self.change(
            session_id,
            expected,
            status=Status.ACTIVE,
            connection_id=connection,
            connected_at=int(self.now),
        )
        if expected:
            self.openings[session_id].append(connection)

    @rule(session_id=ids, connection=_connections)
    def heartbeat(self, session_id: str, connection: str) -> None:
        ttl = int(self.now) + LIFETIME
        session = self.model[session_id]
        held = session.connection_id == connection and session.ttl > self.now
        answer = self.ask(lambda store: store.extend(session_id, connection, self.now))
        assert answer == (ttl if held else None)
        self.change(session_id, held, ttl=ttl)

    @rule(session_id=ids, connection=_connections)
    def instrument(self, session_id: str, connection: str) -> None:
        held = self.model[session_id].connection_id == connection
        answer = self.ask(lambda store: store.mark_instrumenting(session_id, connection))
        assert answer == self.change(session_id, held, instruments=True)

    @rule(session_id=ids, connection=_connections, token=_tokens)
    def offer_refresh(self, session_id: str, connection: str, token: str) -> None:
        offer = RefreshOffer(refresh_hash(token), int(self.now) + 60)
        held = self.model[session_id].connection_id == connection
        assert self.ask(lambda store: store.offer_refresh(session_id, connection, offer)) is held
        self.change(session_id, held, offer=offer)

    @rule(session_id=ids, connection=_connections, token=_tokens)
    def refresh(self, session_id: str, connection: str, token: str) -> None:
        session = self.model[session_id]
        expected = (
            session.status is Status.ACTIVE
            and self.now < session.ttl
            and session.offer is not None
            and session.offer.token_hash == refresh_hash(token)
            and self.now < session.offer.expires
        )
        answer = self.ask(
            lambda store: store.refresh(session_id, connection, refresh_hash(token), self.now)
        )
        assert answer is expected
        self.change(
            session_id,
            expected,
            previous_connection_id=session.connection_id,
            connection_id=connection,
            connected_at=int(self.now),
            ttl=int(self.now) + LIFETIME,
            offer=None,
        )

    @rule(session_id=ids, connection=_connections)
    def close(self, session_id: str, connection: str) -> None:
        held = self.model[session_id].connection_id == connection
        answer = self.ask(lambda store: store.close(session_id, connection))
        assert answer == self.closed(session_id, held)

    @rule(session_id=ids, connection=_connections)
    def close_expired(self, session_id: str, connection: str) -> None:
        session = self.model[session_id]
        expected = session.connection_id == connection and session.ttl <= self.now
        answer = self.ask(lambda store: store.close_expired(session_id, connection, self.now))
        assert answer == self.closed(session_id, expected)

    @rule(session_id=ids)
    def cancel(self, session_id: str) -> None:
        pending = self.model[session_id].status is Status.PENDING
        answer = self.ask(lambda store: store.cancel(session_id))
        assert answer == self.closed(session_id, pending)

    def closed(self, session_id: str, expected: bool) -> Session | None:
        return self.change(
            session_id,
            expected,
            status=Status.CLOSED,
            connection_id=None,
            previous_connection_id=None,
            offer=None,
        )

    @rule(seconds=st.sampled_from([0.5, 30, 59.5, 1800, 3599.5, 3600]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(stack=_stacks, viewer=_owners, limit=st.integers(1, 4), open_only=st.booleans())
    def list_pages(self, stack: str, viewer: str, limit: int, open_only: bool) -> None:
        expected = [
            session
            for session in self.of_stack(stack)
            if session.ttl > self.now
            and (session.status is not Status.PENDING or session.owner == viewer)
            and (session.status is not Status.CLOSED or not open_only)
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
