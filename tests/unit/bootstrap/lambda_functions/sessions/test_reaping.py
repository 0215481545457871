"""What nobody ended is ended; whoever is alive is left alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from lambda_functions.instrumentation.request import UnfinishedError
from lambda_functions.invocations.invocation import (
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
)
from lambda_functions.sessions.ending import Ending
from lambda_functions.sessions.reaping import NotReapedError, Reaper, reap
from lambda_functions.sessions.session import (
    CONNECTING_SECONDS,
    GRACE,
    LEASE,
    LIFETIME,
    Session,
    Status,
    new_session,
)
from lambda_functions.shared.dynamodb import OverloadedError
from lambda_functions.shared.ids import shortened
from lambda_functions.shared.log import logged

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeInstrumentation, client_error

NOW = 1_800_000_000.0
OWNER = "arn:aws:iam::1:user/me"


class Connections:
    """Those that are open; asking for one in ``broken`` fails."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.broken: set[str] = set()
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.dropped: list[str] = []
        self.looked: Callable[[str], object] = lambda connection_id: None

    def is_open(self, connection_id: str) -> bool:
        self._fail(connection_id)
        self.looked(connection_id)
        return connection_id in self.open

    def post(self, connection_id: str, message: dict[str, Any]) -> bool:
        self._fail(connection_id)
        if connection_id in self.open:
            self.posted.append((connection_id, json.loads(json.dumps(message))))
        return connection_id in self.open

    def drop(self, connection_id: str) -> bool:
        self.dropped.append(connection_id)
        self._fail(connection_id)
        was_open = connection_id in self.open
        self.open.discard(connection_id)
        return was_open

    def _fail(self, connection_id: str) -> None:
        if connection_id in self.broken:
            raise client_error("InternalServerErrorException")


class World:
    """Stores in memory, and sessions in whatever state a test needs."""

    def __init__(self) -> None:
        self.sessions = MemorySessionStore()
        self.invocations = MemoryInvocationStore()
        self.connections = Connections()
        self.instrumentation = FakeInstrumentation()
        self.record: dict[str, Any] = {}

    @property
    def reaper(self) -> Reaper:
        ending = Ending(self.sessions, self.instrumentation, self.connections)
        return Reaper(self.sessions, self.invocations, self.connections, ending, ending)

    def reap(self, now: float = NOW) -> dict[str, int]:
        return reap(self.record, self.reaper, now)

    def attach(
        self,
        connection_id: str,
        *,
        at: float = NOW - 100,
        is_open: bool = True,
        instruments: bool = False,
    ) -> Session:
        session = new_session("app", OWNER, at)
        self.sessions.create(session)
        assert self.sessions.activate(session.session_id, connection_id, at)
        if is_open:
            self.connections.open.add(connection_id)
        if instruments:
            token = f"token# of {session.session_id}"
            self.sessions.mark_instrumenting(session.session_id, connection_id, token)
            grant = Grant(session.session_id, "app", shortened(session.session_id))
            self.invocations.add_token(token, grant, at)
        return session

    def refuse_restoring(self) -> None:
        def refuse(_: object) -> None:
            raise client_error("TooManyRequestsException")

        self.instrumentation.start = refuse  # type: ignore[method-assign]

    def allow_restoring(self) -> None:
        del self.instrumentation.start

    def status(self, session: Session) -> Status:
        found = self.sessions.get(session.session_id)
        assert found is not None
        return found.status

    def invoked(self, request_id: str, deadline: float) -> None:
        id = InvocationId(request_id, deadline)
        self.invocations.record(Invocation(id, "session", "token#", "Fn", deadline - 30, "c"))

    def state(self, request_id: str) -> InvocationState:
        found = self.invocations.get(request_id)
        assert found is not None
        return found.state


@pytest.fixture
def world() -> World:
    return World()


def restoring(session: Session, *more: Session) -> dict[str, Any]:
    return {
        "operation": "restore",
        "stackName": "app",
        "holds": sorted(shortened(one.session_id) for one in (session, *more)),
        "connectionId": None,
    }


def test_with_nothing_to_do_it_does_nothing(world: World) -> None:
    assert world.reap() == {"reaped": 0, "stale": 0}
    assert world.record["outcome"] == "reaped"


class TestSessions:
    def test_one_whose_connection_is_gone_is_closed_and_may_come_back(self, world: World) -> None:
        """A debugger that reconnects may be quicker than any event of the end."""
        session = world.attach("gone", is_open=False, instruments=True)
        assert world.reap() == {"reaped": 1, "stale": 0}
        assert world.status(session) is Status.CLOSED
        assert world.record["reapedSessions"] == [shortened(session.session_id)]
        assert world.reap(NOW + GRACE - 1) == {"reaped": 0, "stale": 0}
        assert world.instrumentation.requests == []
        assert world.sessions.appoint_heir(session.session_id, "heir") is not None

    def test_if_it_does_not_it_is_restored_once(self, world: World) -> None:
        session = world.attach("gone", is_open=False, instruments=True)
        for seconds in (0, GRACE, GRACE + 300, 24 * 3600):
            world.reap(NOW + seconds)
        assert world.instrumentation.requests == [restoring(session)]

    def test_one_that_instrumented_nothing_has_nothing_to_restore(self, world: World) -> None:
        world.attach("gone", is_open=False)
        assert world.reap()["reaped"] == 1
        world.reap(NOW + GRACE)
        assert world.instrumentation.requests == []

    def test_a_healthy_one_is_left_alone(self, world: World) -> None:
        session = world.attach("here", instruments=True)
        before = world.sessions.get(session.session_id)
        assert world.reap()["reaped"] == 0
        assert world.sessions.get(session.session_id) == before
        assert world.connections.posted == []
        assert world.connections.dropped == []

    def test_a_pending_one_is_left_to_expire(self, world: World) -> None:
        session = new_session("app", OWNER, NOW - 2 * LIFETIME)
        world.sessions.create(session)
        assert world.reap()["reaped"] == 0
        assert world.status(session) is Status.PENDING

    def test_one_whose_time_is_over_is_told_dropped_closed_and_restored(self, world: World) -> None:
        session = world.attach("here", at=NOW - LEASE, instruments=True)
        assert world.reap()["reaped"] == 1
        assert world.status(session) is Status.CLOSED
        assert world.connections.posted == []
        assert world.connections.dropped == ["here"]
        # And once more, as its token says: whoever ended it may have failed to.
        assert world.instrumentation.requests == [restoring(session)] * 2
        world.reap(NOW + 300)
        assert len(world.instrumentation.requests) == 2

    def test_even_if_nobody_is_there_to_be_told(self, world: World) -> None:
        session = world.attach("gone", at=NOW - LEASE, is_open=False)
        assert world.reap()["reaped"] == 1
        assert world.status(session) is Status.CLOSED
        assert world.connections.posted == []

    @pytest.mark.parametrize("seconds", [0, 1, CONNECTING_SECONDS - 1])
    def test_one_that_is_just_connecting_is_left_alone(self, world: World, seconds: float) -> None:
        """Its socket opens after $connect has returned; until then it looks as if it were gone."""
        session = world.attach("opening", at=NOW - seconds, is_open=False)
        assert world.reap()["reaped"] == 0
        assert world.status(session) is Status.ACTIVE
        assert world.reap(NOW + CONNECTING_SECONDS)["reaped"] == 1

    def test_an_old_id_that_connects_only_now_has_the_same_grace(self, world: World) -> None:
        session = new_session("app", OWNER, NOW - LIFETIME + 1)
        world.sessions.create(session)
        world.sessions.activate(session.session_id, "opening", NOW)
        assert world.reap()["reaped"] == 0

    def test_a_heartbeat_in_between_wins(self, world: World) -> None:
        """It was late, and the reaper, whose clock is ahead, saw it expired."""
        session = world.attach("here", at=NOW - LEASE)
        attached = world.sessions.attached()
        world.sessions.extend(session.session_id, "here", NOW - 1)
        world.sessions.attached = lambda: attached  # type: ignore[method-assign]
        assert world.reap()["reaped"] == 0
        assert world.status(session) is Status.ACTIVE
        assert world.connections.dropped == []

    def test_an_heir_in_between_wins(self, world: World) -> None:
        session = world.attach("old", is_open=False, instruments=True)
        heir = world.attach("new")
        world.connections.looked = lambda connection_id: (
            connection_id == "old"
            and world.sessions.appoint_heir(session.session_id, heir.session_id)
        )
        assert world.reap()["reaped"] == 0
        assert world.status(heir) is Status.ACTIVE
        assert world.instrumentation.requests == []

    def test_two_at_once_close_each_session_once(self, world: World) -> None:
        sessions = [world.attach(f"gone-{n}", is_open=False, instruments=True) for n in range(20)]
        both = threading.Barrier(2)
        counts: list[int] = []

        def run() -> None:
            other = world.reaper
            both.wait()
            counts.append(reap({}, other, NOW)["reaped"])

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(counts) == 20
        assert {world.status(session) for session in sessions} == {Status.CLOSED}


class TestSettling:
    def test_what_is_not_restored_yet_is_begun_again_until_it_is(self, world: World) -> None:
        session = world.attach("gone", at=NOW - LEASE, is_open=False, instruments=True)
        asked: list[dict[str, Any]] = []
        outcomes: list[Exception | None] = [UnfinishedError(), UnfinishedError("Unhandled"), None]

        def restore(request: dict[str, Any]) -> None:
            asked.append(request)
            if outcome := outcomes.pop(0):
                raise outcome

        settling = replace(world.reaper.ending, instrumentation=SimpleNamespace(start=restore))
        for round in range(4):
            world.record.clear()
            reap(world.record, replace(world.reaper, settling=settling), NOW + 300 * round)
            assert world.record["settled"] == (1 if round == 2 else 0)
            assert world.record["outcome"] == "reaped"
        assert asked == [restoring(session)] * 3
        assert world.instrumentation.requests == [restoring(session)]

    def test_what_there_is_no_time_for_is_left_to_the_next_run(self, world: World) -> None:
        for number in range(40):
            world.attach(f"gone-{number}", at=NOW - LEASE, is_open=False, instruments=True)
        clock = iter(range(1000))

        def settle() -> int:
            world.record.clear()
            slow = replace(world.reaper, clock=lambda: float(next(clock)))
            reap(world.record, slow, NOW)
            return int(world.record["settled"])

        # Each look at the clock is a second later than the one before.
        assert settle() == 29
        assert settle() == 11
        assert settle() == 0


class TestInvocations:
    def test_one_whose_deadline_passed_is_marked(self, world: World) -> None:
        world.invoked("late", NOW)
        world.invoked("in-time", NOW + 1)
        assert world.reap() == {"reaped": 0, "stale": 1}
        assert world.state("late") is InvocationState.EXPIRED
        assert world.state("in-time") is InvocationState.WAITING
        assert world.reap()["stale"] == 0

    def test_also_one_that_had_started(self, world: World) -> None:
        world.invoked("late", NOW)
        world.invocations.claim(InvocationId("late", NOW), "session", NOW - 1)
        assert world.reap()["stale"] == 1
        assert world.state("late") is InvocationState.EXPIRED

    def test_one_that_was_given_up_stays_so(self, world: World) -> None:
        world.invoked("given-up", NOW - 1)
        world.invocations.abandon(InvocationId("given-up", NOW - 1), "token#")
        assert world.reap()["stale"] == 0
        assert world.state("given-up") is InvocationState.ABANDONED


class TestFailures:
    def test_one_stops_no_other_and_is_told_at_the_end(self, world: World) -> None:
        broken = world.attach("broken", is_open=False)
        gone = world.attach("gone", is_open=False)
        world.connections.broken.add("broken")
        world.invoked("late", NOW)
        with pytest.raises(NotReapedError, match="1 failures: InternalServerErrorException"):
            world.reap()
        assert world.status(broken) is Status.ACTIVE
        assert world.status(gone) is Status.CLOSED
        assert world.state("late") is InvocationState.EXPIRED
        assert {k: world.record[k] for k in ("reaped", "stale", "failed")} == {
            "reaped": 1,
            "stale": 1,
            "failed": 1,
        }
        world.connections.broken.clear()
        assert world.reap()["reaped"] == 1

    def test_sessions_that_can_not_be_listed_keep_no_invocation_waiting(self, world: World) -> None:
        def attached() -> list[Session]:
            raise OverloadedError

        world.sessions.attached = attached  # type: ignore[method-assign]
        world.invoked("late", NOW)
        with pytest.raises(NotReapedError, match="OverloadedError"):
            world.reap()
        assert world.state("late") is InvocationState.EXPIRED

    def test_a_connection_that_can_not_be_ended_still_starts_restoring(self, world: World) -> None:
        session = world.attach("broken", at=NOW - LEASE, instruments=True)
        world.connections.broken.add("broken")
        with pytest.raises(NotReapedError):
            world.reap()
        assert world.status(session) is Status.CLOSED
        assert restoring(session) in world.instrumentation.requests
        assert world.connections.dropped == ["broken"]

    def test_nor_does_restoring_that_can_not_start_keep_it_from_ending(self, world: World) -> None:
        world.attach("here", at=NOW - LEASE, instruments=True)
        world.refuse_restoring()
        with pytest.raises(NotReapedError, match="2 failures: TooManyRequestsException"):
            world.reap()
        assert world.connections.posted == []
        assert world.connections.dropped == ["here"]

    def test_a_mistake_of_its_own_is_no_failure_of_aws(self, world: World) -> None:
        world.attach("gone", is_open=False)
        world.connections.looked = lambda _: 1 / 0
        with pytest.raises(ZeroDivisionError):
            world.reap()


def test_its_line_counts_and_shows_no_whole_id(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLLDB_METRICS", "true")
    monkeypatch.setenv("PLLDB_HELPER_STACK", "the-helper")
    sessions = [world.attach(f"connection-{n}", is_open=False) for n in range(60)]
    handler = logged(
        "reaper", lambda _, record, now: reap(record, world.reaper, NOW), is_scheduled=True
    )
    assert handler({"source": "aws.events"}, None) == {"reaped": 60, "stale": 0}
    output = capsys.readouterr().out
    (line,) = output.splitlines()
    record = json.loads(line)
    assert (record["route"], record["outcome"]) == ("reaper", "reaped")
    metrics = {m["Name"] for m in record["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert metrics == {"durationMs", "errors", "reaped", "stale"}
    assert len(record["reapedSessions"]) == 50
    # With nothing to do, it costs no metric.
    assert handler({"source": "aws.events"}, None) == {"reaped": 0, "stale": 0}
    assert "_aws" not in json.loads(capsys.readouterr().out)
    assert not [session for session in sessions if session.session_id in output]


class TestTokens:
    """A token is in functions until they are restored."""

    def test_who_closed_a_session_may_not_have_come_to_restoring(self, world: World) -> None:
        session = world.attach("c", instruments=True)
        world.sessions.close(session.session_id, "c", NOW)
        world.reap()
        assert world.instrumentation.requests == [restoring(session)]
        assert world.record["settled"] == 1

    def test_dynamodb_may_have_deleted_the_session(self, world: World) -> None:
        session = new_session("app", OWNER, NOW)
        grant = Grant(session.session_id, "app", shortened(session.session_id))
        world.invocations.add_token("token#", grant, NOW)
        world.reap()
        assert world.instrumentation.requests == [restoring(session)]

    @pytest.mark.parametrize("is_inherited", [False, True])
    def test_the_session_that_replaced_it_may_be_over(
        self, world: World, is_inherited: bool
    ) -> None:
        """Whoever replaced it may have failed right after that, and hold nothing of it."""
        session, heir = world.attach("c", instruments=True), world.attach("d")
        world.sessions.appoint_heir(session.session_id, heir.session_id)
        if is_inherited:
            world.sessions.inherit(heir.session_id, "d", {shortened(session.session_id)}, [])
        world.reap()
        assert world.instrumentation.requests == []
        world.sessions.disconnect(heir.session_id, "d", NOW)
        world.reap(NOW + GRACE)
        world.reap(NOW + GRACE + 300)
        assert world.instrumentation.requests == [restoring(session)]

    def test_each_is_seen_to_once(self, world: World) -> None:
        session = world.attach("c", instruments=True)
        world.sessions.close(session.session_id, "c", NOW)
        world.reap()
        world.reap()
        assert len(world.instrumentation.requests) == 1
        assert world.record["settled"] == 0

    def test_a_session_that_asked_for_functions_often_is_restored_once(self, world: World) -> None:
        session = world.attach("c", instruments=True)
        grant = Grant(session.session_id, "app", shortened(session.session_id))
        for number in range(20):
            world.invocations.add_token(f"token# {number}", grant, NOW)
        world.sessions.close(session.session_id, "c", NOW)
        world.reap()
        assert world.instrumentation.requests == [restoring(session)]
        assert [*world.invocations.unsettled()] == []

    def test_those_that_were_found_are_seen_to_though_the_next_page_fails(
        self, world: World
    ) -> None:
        session = world.attach("c", instruments=True)
        world.sessions.close(session.session_id, "c", NOW)
        found = [*world.invocations.unsettled()]

        def unsettled() -> Iterator[tuple[str, Grant]]:
            yield from found
            raise client_error("ProvisionedThroughputExceededException")

        world.invocations.unsettled = unsettled  # type: ignore[method-assign]
        with pytest.raises(NotReapedError):
            world.reap()
        assert world.instrumentation.requests == [restoring(session)]

    def test_those_of_sessions_that_live_are_left_alone(self, world: World) -> None:
        world.attach("c", instruments=True)
        lost = world.attach("d", instruments=True)
        world.sessions.disconnect(lost.session_id, "d", NOW)
        world.reap(NOW + 1)
        assert world.instrumentation.requests == []

    def test_an_heir_in_between_wins(self, world: World) -> None:
        """Else its functions would be restored while it has them."""
        session = world.attach("c", instruments=True)
        world.sessions.disconnect(session.session_id, "c", NOW - GRACE)
        look = world.sessions.get

        def appoint_after(session_id: str) -> Session | None:
            found = look(session_id)
            world.sessions.appoint_heir(session.session_id, "heir")
            return found

        world.sessions.get = appoint_after  # type: ignore[method-assign]
        world.reap()
        assert world.instrumentation.requests == []

    def test_if_restoring_can_not_begin_it_is_tried_again(self, world: World) -> None:
        session = world.attach("c", instruments=True)
        world.sessions.close(session.session_id, "c", NOW)
        world.refuse_restoring()
        with pytest.raises(NotReapedError):
            world.reap()
        world.allow_restoring()
        world.reap()
        assert world.instrumentation.requests == [restoring(session)]
