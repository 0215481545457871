"""What nobody ended is ended: sessions are closed and their functions restored, on a schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lambda_functions.invocations.dynamodb import DynamoDbInvocationStore
from lambda_functions.invocations.invocation import Invocation, InvocationId, InvocationState
from lambda_functions.invocations.store import Recorded
from lambda_functions.sessions.reaping import CONNECTING_SECONDS
from websockets.exceptions import ConnectionClosed

from plldb.aws import Target
from plldb.stacks import find_helper_stack

from .debugging import Debuggee, attached, deployed, end_grace, function, restore
from .policies import DeployedTemplate
from .support import Backend, Plldb, poll, random_name


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {"Fn0": function(), "Fn1": function()}) as debuggee:
        yield debuggee


def lose_connection(
    backend: Backend, session_id: str, seconds_ago: float = 2 * CONNECTING_SECONDS
) -> None:
    """Leaves the session as it is when no ``$disconnect`` told of the connection's end."""
    then = int(time.time() - seconds_ago)
    backend.set_attributes(session_id, ConnectionId="L0SM9cOFvHcCIhw=", ConnectedAt=then)


def restored(app: Debuggee, before: dict[str, Any]) -> Callable[[], bool]:
    return lambda: app.configurations() == before


def test_the_rule_invokes_it(backend: Backend) -> None:
    deployed_template = DeployedTemplate(backend.target, backend.helper.name)
    events = backend.target.client("events")
    name = deployed_template.ref("ReaperRule").rpartition("|")[2]
    rule = events.describe_rule(Name=name)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(5 minutes)", "ENABLED")
    (found,) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert found["Arn"] == deployed_template.arn("ReaperFunction")


def test_a_session_whose_client_vanished_is_closed_and_restored(
    backend: Backend, app: Debuggee
) -> None:
    before = app.as_deployed

    async def run() -> None:
        async with attached(backend, app.name) as vanished, attached(backend, app.name) as healthy:
            await vanished.instrument("Fn0")
            await healthy.instrument("Fn1")
            lose_connection(backend, vanished.session_id)
            backend.reap()

            closed = backend.item(vanished.session_id)
            assert closed["Status"] == "CLOSED"
            assert "ConnectionId" not in closed
            assert app.is_held("Fn0"), "it may come back"
            end_grace(backend, vanished.session_id)
            backend.reap_until(lambda: not app.is_held("Fn0"), "Fn0 is restored")
            assert backend.item(healthy.session_id)["Status"] == "ACTIVE"
            assert app.is_held("Fn1")

    asyncio.run(run())
    assert app.configurations() == before


def test_a_session_that_is_just_connecting_is_left_alone(backend: Backend, app: Debuggee) -> None:
    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            connection = backend.item(debugger.session_id)["ConnectionId"]
            lose_connection(backend, debugger.session_id, seconds_ago=0)
            backend.reap()
            assert backend.item(debugger.session_id)["Status"] == "ACTIVE"
            assert backend.item(debugger.session_id)["ConnectionId"] != connection
            lose_connection(backend, debugger.session_id)
            backend.reap()
            assert backend.item(debugger.session_id)["Status"] == "CLOSED"

    asyncio.run(run())


def test_connecting_notes_when(backend: Backend, app: Debuggee) -> None:
    """Otherwise there were no grace."""

    async def run() -> None:
        async with attached(backend, app.name) as debugger:
            connected_at = int(backend.item(debugger.session_id)["ConnectedAt"])
            assert abs(connected_at - time.time()) < CONNECTING_SECONDS

    asyncio.run(run())


def test_a_session_whose_lease_is_over_is_hung_up_on_and_restored(
    backend: Backend, app: Debuggee
) -> None:
    before = app.as_deployed

    async def expire() -> bool:
        """False if the table forgot the session before the reaper came."""
        async with attached(backend, app.name) as debugger:
            await debugger.instrument("Fn0")
            backend.set_ttl(debugger.session_id, int(time.time()))
            backend.reap()
            if not (item := backend.item(debugger.session_id)):
                restore(backend, app.name)
                return False
            assert item["Status"] == "CLOSED"
            # Without a word: a debugger that has only slept attaches again.
            with pytest.raises(ConnectionClosed):
                await debugger.receive()
            backend.reap_until(restored(app, before), "restored")
            return True

    # Emulators delete expired items within a minute, and perhaps this very moment.
    assert any(asyncio.run(expire()) for _ in range(3))
    assert restored(app, before)()


def test_a_heartbeat_keeps_a_session_from_it(backend: Backend, app: Debuggee) -> None:
    async def is_kept() -> bool:
        """False if the heartbeat has come too late, as on a busy machine."""
        async with attached(backend, app.name) as debugger:
            expiry = int(time.time()) + 10
            backend.set_ttl(debugger.session_id, expiry)
            try:
                answer = await debugger.ask(action="heartbeat")
                assert answer["type"] == "heartbeat", answer
            except (AssertionError, ConnectionClosed):
                if time.time() < expiry:
                    raise
                return False
            await asyncio.to_thread(poll, lambda: time.time() > expiry, "the former time is over")
            backend.reap()
            assert backend.item(debugger.session_id)["Status"] == "ACTIVE"
            return True

    assert any(asyncio.run(is_kept()) for _ in range(3))


def test_an_invocation_that_nobody_waits_for_any_more_is_marked(backend: Backend) -> None:
    store = DynamoDbInvocationStore(
        backend.target.client("dynamodb"), backend.helper.debugger_table
    )
    now = time.time()
    ids = {
        name: InvocationId(random_name(name), round(now + seconds, 3))
        for name, seconds in (("late", -1), ("begun", -1), ("in-time", 600))
    }
    for id in ids.values():
        invocation = Invocation(
            id=id,
            session_id="some-session",
            token_key="some-token",
            function="Fn",
            created_at=now,
            connection_id="some-connection",
        )
        assert store.record(invocation) is Recorded.NEW
    assert store.claim(ids["begun"], "some-session", now - 10).is_taken

    def state(name: str) -> InvocationState:
        found = store.get(ids[name].request_id)
        assert found is not None
        return found.state

    def are_marked() -> bool:
        """What the reaper reads is an index, which may be a moment behind."""
        backend.reap()
        return {state("late"), state("begun")} == {InvocationState.EXPIRED}

    poll(are_marked, "both are marked", pause=0.1)
    assert {name: state(name) for name in ids} == {
        "late": InvocationState.EXPIRED,
        "begun": InvocationState.EXPIRED,
        "in-time": InvocationState.WAITING,
    }
    assert not store.claim(ids["late"], "some-session", now - 10).is_taken


@pytest.mark.needs("schedules")
def test_it_runs_by_itself(plldb: Plldb, target: Target) -> None:
    name = random_name("plldb-reaping")
    setup = ("bootstrap", "--stack-name", name, "--parameter", "ReaperSchedule=rate(1 minute)")
    try:
        plldb(*setup, timeout=1800).succeeded()
        other = Backend(target, find_helper_stack(target, name))

        async def run() -> None:
            session_id = other.new_session()
            async with other.connect(session_id):
                other.wait_for_status(session_id, "ACTIVE")
                lose_connection(other, session_id)
                closed = lambda: other.item(session_id)["Status"] == "CLOSED"  # noqa: E731
                await asyncio.to_thread(poll, closed, "the reaper came", 200)

        asyncio.run(run())
    finally:
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=1800)
