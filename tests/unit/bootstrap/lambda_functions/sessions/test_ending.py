"""A session ends once, whoever ends it, and what it instrumented is restored."""

from __future__ import annotations

from typing import Any

import pytest
from lambda_functions.sessions.ending import Ending, UnsettledError
from lambda_functions.sessions.session import (
    GRACE,
    LEASE,
    RESTORING_SECONDS,
    Session,
    Status,
    new_session,
)

from tests.memory_stores import MemorySessionStore
from tests.unit.fakes import FakeConnections, FakeInstrumentation

NOW = 1_800_000_000.0


class World:
    """A session on connection c, which holds functions."""

    def __init__(self) -> None:
        self.sessions = MemorySessionStore()
        self.instrumentation = FakeInstrumentation()
        self.connections = FakeConnections()
        self.ending = Ending(self.sessions, self.instrumentation, self.connections)
        self.id = self.add().session_id
        self.sessions.activate(self.id, "c", NOW)
        self.sessions.mark_instrumenting(self.id, "c", "token#")

    def add(self) -> Session:
        session = new_session("app", "me", NOW)
        self.sessions.create(session)
        return session

    @property
    def session(self) -> Session:
        found = self.sessions.get(self.id)
        assert found is not None
        return found

    def restoring(self, *more: str, tell: str | None = None) -> dict[str, Any]:
        return {
            "operation": "restore",
            "stackName": "app",
            "holds": sorted([self.id[:8], *more]),
            "connectionId": tell,
        }

    def refuse_restoring(self) -> None:
        def refuse(_: Any) -> None:
            raise ConnectionError

        self.instrumentation.start = refuse  # type: ignore[method-assign]

    def allow_restoring(self) -> None:
        del self.instrumentation.start


@pytest.fixture
def world() -> World:
    return World()


class TestClose:
    """As its debugger wishes."""

    def test_its_functions_are_restored_and_it_hears_of_each(self, world: World) -> None:
        closed = world.ending.close(world.id, "c", NOW)
        assert closed == world.session
        assert (closed.status, closed.restoring_since) == (Status.CLOSED, int(NOW))
        assert world.instrumentation.requests == [world.restoring(tell="c")]
        # Whoever wishes the end hangs up by itself.
        assert (world.connections.posted, world.connections.dropped) == ([], [])

    def test_also_those_of_sessions_that_it_replaced(self, world: World) -> None:
        world.sessions.inherit(world.id, "c", {"00000000"}, {"token#0"})
        world.ending.close(world.id, "c", NOW)
        assert world.instrumentation.requests == [world.restoring("00000000", tell="c")]

    def test_where_nothing_was_instrumented_nothing_is_restored(self, world: World) -> None:
        other = world.add()
        world.sessions.activate(other.session_id, "d", NOW)
        assert world.ending.close(other.session_id, "d", NOW) is not None
        assert world.instrumentation.requests == []

    def test_once_and_not_by_another_connection(self, world: World) -> None:
        assert world.ending.close(world.id, "another", NOW) is None
        assert world.ending.close(world.id, "c", NOW) is not None
        assert world.ending.close(world.id, "c", NOW) is None
        assert len(world.instrumentation.requests) == 1


class TestForce:
    def test_its_debugger_hears_why_and_is_hung_up_on(self, world: World) -> None:
        closed, is_new = world.ending.force(world.session, "enough", NOW)
        assert (closed, is_new) == (world.session, True)
        assert world.connections.posted == [("c", {"type": "closed", "reason": "enough"})]
        assert world.connections.dropped == ["c"]
        assert world.instrumentation.requests == [world.restoring()]

    def test_one_in_its_grace_does_not_come_back(self, world: World) -> None:
        world.sessions.disconnect(world.id, "c", NOW)
        lost = world.session
        assert world.ending.force(lost, "enough", NOW) == (lost, False)
        assert world.instrumentation.requests == [world.restoring()]
        assert world.sessions.appoint_heir(world.id, "heir") is None

    def test_again_restoring_begins_again(self, world: World) -> None:
        """It may have failed to."""
        world.refuse_restoring()
        with pytest.raises(ConnectionError):
            world.ending.force(world.session, "enough", NOW)
        world.allow_restoring()
        for _ in range(2):
            _, is_new = world.ending.force(world.session, "enough", NOW)
            assert not is_new
        assert world.instrumentation.requests == [world.restoring()] * 2

    @pytest.mark.parametrize("when", ["before", "meanwhile"])
    def test_whoever_has_its_functions_now_is_meant(self, world: World, when: str) -> None:
        """The functions say that the former one holds them."""
        seen, heir = world.session, world.add()
        world.sessions.activate(heir.session_id, "d", NOW)
        world.sessions.appoint_heir(world.id, heir.session_id)
        closed, is_new = world.ending.force(
            world.session if when == "before" else seen, "enough", NOW
        )
        assert (closed, is_new) == (world.sessions.get(heir.session_id), True)
        assert world.connections.dropped == ["d"]
        assert world.instrumentation.requests == [world.restoring()]

    def test_nobody_is_if_that_was_deleted(self, world: World) -> None:
        world.sessions.appoint_heir(world.id, "heir")
        assert world.ending.force(world.session, "enough", NOW) == (world.session, False)
        assert world.instrumentation.requests == []

    def test_nobody_is_hung_up_on_whose_session_closes_meanwhile(self, world: World) -> None:
        seen = world.session
        world.sessions.close(world.id, "c", NOW)
        _, is_new = world.ending.force(seen, "enough", NOW)
        assert not is_new
        assert world.connections.dropped == []

    def test_one_that_connects_meanwhile_is_closed_where_it_is(self, world: World) -> None:
        pending = world.add()
        world.sessions.activate(pending.session_id, "d", NOW)
        _, is_new = world.ending.force(pending, "enough", NOW)
        assert is_new
        assert world.connections.dropped == ["d"]

    def test_one_that_is_deleted_meanwhile_is_closed(self, world: World) -> None:
        pending = new_session("app", "me", NOW)
        closed, is_new = world.ending.force(pending, "enough", NOW)
        assert (closed.status, is_new) == (Status.CLOSED, False)

    def test_one_that_is_never_as_it_was_seen(self, world: World) -> None:
        pending = world.add()
        world.sessions.cancel = lambda *_: None  # type: ignore[method-assign]
        with pytest.raises(UnsettledError):
            world.ending.force(pending, "enough", NOW)

    @pytest.mark.parametrize("failing", ["post", "start"])
    def test_each_step_is_tried_though_another_fails(self, world: World, failing: str) -> None:
        def fail(*_: Any) -> bool:
            raise ConnectionError

        if failing == "post":
            world.connections.post = fail  # type: ignore[method-assign]
        else:
            world.instrumentation.start = fail  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            world.ending.force(world.session, "enough", NOW)
        assert world.session.status is Status.CLOSED
        assert world.connections.dropped == ["c"]
        assert len(world.connections.posted) == (failing == "start")
        assert len(world.instrumentation.requests) == (failing == "post")


class TestExpire:
    def test_once_the_lease_is_over(self, world: World) -> None:
        assert not world.ending.expire(world.session, NOW + LEASE - 1)
        assert world.ending.expire(world.session, NOW + LEASE)
        assert not world.ending.expire(world.session, NOW + LEASE)
        assert world.instrumentation.requests == [world.restoring()]
        assert world.connections.posted == []
        assert world.connections.dropped == ["c"]

    def test_a_heartbeat_in_between_wins(self, world: World) -> None:
        seen = world.session
        world.sessions.extend(world.id, "c", NOW + LEASE - 1)
        assert not world.ending.expire(seen, NOW + LEASE)
        assert world.instrumentation.requests == []

    def test_an_heir_in_between_wins(self, world: World) -> None:
        seen = world.session
        world.sessions.appoint_heir(world.id, "heir")
        assert not world.ending.expire(seen, NOW + LEASE)
        assert world.instrumentation.requests == []


class TestRestore:
    def test_of_one_whose_grace_is_over_once(self, world: World) -> None:
        world.sessions.disconnect(world.id, "c", NOW)
        late = NOW + GRACE
        assert world.ending.restore(world.session, late)
        assert not world.ending.restore(world.session, late)
        assert world.instrumentation.requests == [world.restoring()]

    def test_and_again_only_when_it_can_not_be_under_way_any_more(self, world: World) -> None:
        world.ending.close(world.id, "c", NOW)
        assert not world.ending.restore(world.session, NOW + RESTORING_SECONDS - 1)
        assert world.ending.restore(world.session, NOW + RESTORING_SECONDS)

    def test_or_when_asked_to(self, world: World) -> None:
        world.ending.close(world.id, "c", NOW)
        assert world.ending.restore(world.session, NOW, again=True)

    def test_a_function_may_say_under_which_name_it_is_held(self, world: World) -> None:
        world.sessions.disconnect(world.id, "c", NOW)
        world.ending.restore(world.session, NOW + GRACE, ["00000000"])
        assert world.instrumentation.requests == [world.restoring("00000000")]

    @pytest.mark.parametrize("again", [False, True])
    def test_not_of_one_that_is_attached_or_has_an_heir(self, world: World, again: bool) -> None:
        assert not world.ending.restore(world.session, NOW, again=again)
        world.sessions.appoint_heir(world.id, "heir")
        assert not world.ending.restore(world.session, NOW, again=again)
        assert world.instrumentation.requests == []
