"""A function's token leads to whoever has the session's functions now, in few reads."""

from __future__ import annotations

from dataclasses import replace

from lambda_functions.invocations.grants import Grants
from lambda_functions.invocations.invocation import Grant
from lambda_functions.sessions.session import Session, new_session

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore

NOW = 1_800_000_000.0


class CountingSessions(MemorySessionStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, session_id: str) -> Session | None:
        self.reads += 1
        return super().get(session_id)

    def delete(self, session: Session) -> None:
        del self._sessions[session.session_id]


class CountingInvocations(MemoryInvocationStore):
    reads = 0

    def grant_of(self, token_key: str) -> Grant | None:
        self.reads += 1
        return super().grant_of(token_key)


class World:
    def __init__(self) -> None:
        self.sessions, self.invocations = CountingSessions(), CountingInvocations()
        self.grants = Grants(self.invocations, self.sessions)
        self.session = self.attach("c0")
        self.invocations.add_token("token#", self.grant, NOW)

    @property
    def grant(self) -> Grant:
        return Grant(self.session.session_id, "app", self.session.session_id[:8])

    def attach(self, connection: str) -> Session:
        session = new_session("app", "me", NOW)
        self.sessions.create(session)
        self.sessions.activate(session.session_id, connection, NOW)
        return session

    def replaced(self, session: Session, *, also_granted: bool = False) -> Session:
        heir = self.attach("later")
        self.sessions.appoint_heir(session.session_id, heir.session_id)
        if also_granted:
            self.invocations.grant_to("token#", heir.session_id, NOW)
        return heir

    def found(self) -> tuple[str | None, int, int]:
        """The session that the token opens, and the reads of sessions and tokens for it."""
        self.sessions.reads = self.invocations.reads = 0
        opened = self.grants.find("token#")
        assert opened is not None
        assert opened.token_key == "token#"
        # Whoever has the functions, they say under which name they are held.
        session_id = opened.session.session_id if opened.session else None
        expected = self.grant if session_id is None else replace(self.grant, session_id=session_id)
        assert opened.grant == expected
        return session_id, self.sessions.reads, self.invocations.reads


def test_the_first_time_the_token_and_its_session_are_read_and_then_the_session_alone() -> None:
    world = World()
    assert world.found() == (world.session.session_id, 1, 1)
    assert world.found() == (world.session.session_id, 1, 0)


def test_an_unknown_token_opens_nothing() -> None:
    assert World().grants.find("token#another") is None


def test_a_session_that_is_over_is_found_as_it_is() -> None:
    world = World()
    world.found()
    world.sessions.close(world.session.session_id, "c0", NOW)
    opened = world.grants.find("token#")
    assert opened is not None
    assert opened.session == world.sessions.get(world.session.session_id)


def test_whoever_replaced_it_is_found_and_remembered() -> None:
    world = World()
    world.found()
    heir = world.replaced(world.session, also_granted=True)
    assert world.found() == (heir.session_id, 2, 1)
    assert world.found() == (heir.session_id, 1, 0)


def test_also_the_heir_of_an_heir_and_before_the_token_is_granted_to_it() -> None:
    world = World()
    latest = world.replaced(world.replaced(world.session))
    assert world.found() == (latest.session_id, 3, 1)
    assert world.found() == (latest.session_id, 1, 0)


def test_of_what_dynamodb_deleted_nothing_is_left() -> None:
    world = World()
    heir = world.replaced(world.session)
    world.sessions.delete(heir)
    assert world.found() == (None, 2, 1)
    world.sessions.delete(world.session)
    assert world.found() == (None, 1, 1)


def test_what_is_recalled_costs_nothing_and_is_only_what_may_be_of_use() -> None:
    world = World()
    assert world.grants.recall("token#") is None, "nobody has looked yet"
    world.found()
    world.sessions.reads = world.invocations.reads = 0
    assert world.grants.recall("token#") == world.grant
    assert (world.sessions.reads, world.invocations.reads) == (0, 0)
    world.sessions.mark_silent(world.session.session_id)
    world.found()
    assert world.grants.recall("token#") is None
    world.sessions.extend(world.session.session_id, "c0", NOW)
    world.found()
    assert world.grants.recall("token#") == world.grant
    world.sessions.disconnect(world.session.session_id, "c0", NOW)
    world.found()
    assert world.grants.recall("token#") is None
