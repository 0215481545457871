"""One contract, two stores: in memory, and on DynamoDB."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from lambda_functions.dynamodb import DynamoDbSessionStore
from lambda_functions.memory import MemorySessionStore
from lambda_functions.sessions import Session, SessionStore, Status, new_session

from tests.unit.fakes import FakeDynamoDb, client_error, dynamodb_over_http, local_server

NOW = 1_800_000_000.0

MAKERS: dict[str, Callable[[], SessionStore]] = {
    "memory": MemorySessionStore,
    "dynamodb": lambda: DynamoDbSessionStore(FakeDynamoDb(), "PLLDBSessions"),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest) -> SessionStore:
    return MAKERS[request.param]()


@pytest.fixture
def pending(store: SessionStore) -> Session:
    session = new_session("app", "arn:aws:iam::1:user/me", NOW)
    store.create(session)
    return session


class TestContract:
    def test_what_was_created_is_found_unchanged(
        self, store: SessionStore, pending: Session
    ) -> None:
        assert store.get(pending.session_id) == pending

    def test_what_was_not_is_none(self, store: SessionStore) -> None:
        assert store.get(new_session("app", "me", NOW).session_id) is None

    def test_an_id_is_created_once(self, store: SessionStore, pending: Session) -> None:
        """Otherwise a used session could be made PENDING again."""
        assert store.activate(pending.session_id, "c", NOW)
        with pytest.raises(Exception):  # noqa: B017 - each store has its own
            store.create(pending)
        active = store.get(pending.session_id)
        assert active is not None
        assert active.status is Status.ACTIVE

    def test_activate(self, store: SessionStore, pending: Session) -> None:
        assert store.activate(pending.session_id, "c", NOW) is True
        assert store.get(pending.session_id) == replace(
            pending, status=Status.ACTIVE, connection_id="c"
        )

    @pytest.mark.parametrize(
        ("seconds", "expected"), [(3599, True), (3599.9, True), (3600, False), (3600.1, False)]
    )
    def test_activate_before_its_time_is_over(
        self, store: SessionStore, pending: Session, seconds: float, expected: bool
    ) -> None:
        assert store.activate(pending.session_id, "c", NOW + seconds) is expected
        assert (store.get(pending.session_id) != pending) is expected

    def test_activate_twice(self, store: SessionStore, pending: Session) -> None:
        assert store.activate(pending.session_id, "first", NOW)
        assert store.activate(pending.session_id, "second", NOW) is False
        assert store.activate(pending.session_id, "first", NOW) is False
        active = store.get(pending.session_id)
        assert active is not None
        assert active.connection_id == "first"

    def test_activate_what_is_not_there_makes_nothing(self, store: SessionStore) -> None:
        unknown = new_session("app", "me", NOW).session_id
        assert store.activate(unknown, "c", NOW) is False
        assert store.close(unknown, "c") is None
        assert store.get(unknown) is None

    def test_close(self, store: SessionStore, pending: Session) -> None:
        store.activate(pending.session_id, "c", NOW)
        closed = replace(pending, status=Status.CLOSED, connection_id=None)
        assert store.close(pending.session_id, "c") == closed
        assert store.get(pending.session_id) == closed

    def test_close_twice_or_by_another_connection(
        self, store: SessionStore, pending: Session
    ) -> None:
        assert store.close(pending.session_id, "c") is None
        store.activate(pending.session_id, "c", NOW)
        assert store.close(pending.session_id, "another") is None
        assert store.close(pending.session_id, "c") is not None
        assert store.close(pending.session_id, "c") is None

    def test_a_closed_one_stays_closed(self, store: SessionStore, pending: Session) -> None:
        store.activate(pending.session_id, "c", NOW)
        store.close(pending.session_id, "c")
        assert store.activate(pending.session_id, "d", NOW) is False


def race(actions: list[Callable[[], bool]]) -> list[bool]:
    """All at once, and switching between them as often as Python can."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], bool]) -> bool:
        barrier.wait()
        return action()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(actions)) as pool:
            return list(pool.map(run, actions))
    finally:
        sys.setswitchinterval(interval)


class TestRaces:
    @pytest.mark.parametrize("_", range(10))
    def test_of_30_simultaneous_connections_exactly_one_wins(
        self, store: SessionStore, pending: Session, _: int
    ) -> None:
        def connect(connection: str) -> Callable[[], bool]:
            return lambda: store.activate(pending.session_id, connection, NOW)

        names = [f"c{number}" for number in range(30)]
        results = race([connect(name) for name in names])
        assert sum(results) == 1
        active = store.get(pending.session_id)
        assert active is not None
        assert active.connection_id == names[results.index(True)]

    def test_of_30_simultaneous_disconnects_one_changes_something(
        self, store: SessionStore, pending: Session
    ) -> None:
        store.activate(pending.session_id, "c", NOW)
        results = race([lambda: store.close(pending.session_id, "c") is not None] * 30)
        assert sum(results) == 1

    def test_connects_and_disconnects_at_once_leave_one_owner_or_none(
        self, store: SessionStore, pending: Session
    ) -> None:
        def both(connection: str) -> Callable[[], bool]:
            return lambda: (
                store.activate(pending.session_id, connection, NOW)
                and store.close(pending.session_id, connection) is not None
            )

        assert sum(race([both(f"c{number}") for number in range(30)])) == 1
        after = store.get(pending.session_id)
        assert after is not None
        assert (after.status, after.connection_id) == (Status.CLOSED, None)


class SessionLife(RuleBasedStateMachine):
    """Both stores, side by side with a model, through whatever happens in any order."""

    ids = Bundle("ids")
    connections = st.sampled_from(["c1", "c2"])

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.stores = [make() for make in MAKERS.values()]
        self.model: dict[str, Session] = {}
        self.winners: dict[str, list[str]] = {}

    @rule(target=ids)
    def create(self) -> str:
        session = new_session("app", "me", self.now)
        for store in self.stores:
            store.create(session)
        self.model[session.session_id] = session
        self.winners[session.session_id] = []
        return session.session_id

    @rule(session_id=ids, connection=connections)
    def activate(self, session_id: str, connection: str) -> None:
        session = self.model[session_id]
        expected = session.status is Status.PENDING and self.now < session.ttl
        results = [store.activate(session_id, connection, self.now) for store in self.stores]
        assert results == [expected] * len(self.stores)
        if expected:
            self.winners[session_id].append(connection)
            self.model[session_id] = replace(
                session, status=Status.ACTIVE, connection_id=connection
            )

    @rule(session_id=ids, connection=connections)
    def close(self, session_id: str, connection: str) -> None:
        session = self.model[session_id]
        expected = session.connection_id == connection
        results = [store.close(session_id, connection) for store in self.stores]
        assert [result is not None for result in results] == [expected] * len(self.stores)
        if expected:
            self.model[session_id] = replace(session, status=Status.CLOSED, connection_id=None)

    @rule(seconds=st.sampled_from([0.5, 1800, 3599.5, 3600]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def both_agree_with_the_model(self) -> None:
        for store in self.stores:
            for session_id, session in self.model.items():
                assert store.get(session_id) == session

    @invariant()
    def no_id_was_ever_accepted_twice(self) -> None:
        assert all(len(winners) <= 1 for winners in self.winners.values())


TestSessionLife = SessionLife.TestCase
TestSessionLife.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        store.get(session.session_id)
        store.activate(session.session_id, "c", NOW)
        store.close(session.session_id, "c")
        assert client.calls == ["PutItem", "GetItem", "UpdateItem", "UpdateItem"]

    def test_a_closed_item_has_no_connection_id_at_all(self) -> None:
        """A key of an index can't be NULL."""
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        assert "ConnectionId" not in client.items[session.session_id]
        store.activate(session.session_id, "c", NOW)
        assert client.items[session.session_id]["ConnectionId"] == {"S": "c"}
        store.close(session.session_id, "c")
        assert "ConnectionId" not in client.items[session.session_id]

    @pytest.mark.parametrize("call", ["activate", "close"])
    def test_a_failure_that_is_no_condition_is_raised(self, call: str) -> None:
        class Throttled:
            def update_item(self, **_: Any) -> None:
                raise client_error("ProvisionedThroughputExceededException")

        store = DynamoDbSessionStore(Throttled(), "t")
        arguments: list[Any] = ["id", "c", NOW] if call == "activate" else ["id", "c"]
        with pytest.raises(Exception, match="ProvisionedThroughput"):
            getattr(store, call)(*arguments)

    @pytest.fixture
    def over_http(self) -> Iterator[tuple[Any, FakeDynamoDb]]:
        """The store with the real botocore, which validates what is sent."""
        import boto3

        table = FakeDynamoDb()
        with local_server(dynamodb_over_http(table)) as server:
            client = boto3.client(
                "dynamodb",
                endpoint_url=server.url,
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
            try:
                yield DynamoDbSessionStore(client, "PLLDBSessions"), table
            finally:
                client.close()

    def test_botocore_takes_its_requests(self, over_http: tuple[Any, FakeDynamoDb]) -> None:
        store, table = over_http
        session = new_session("app", "me", NOW)
        store.create(session)
        assert store.get(session.session_id) == session
        assert store.activate(session.session_id, "c", NOW)
        assert not store.activate(session.session_id, "d", NOW)
        assert store.close(session.session_id, "c")
        assert not store.close(session.session_id, "c")
        assert store.get(session.session_id) == replace(session, status=Status.CLOSED)
        assert len(table.calls) == 7
