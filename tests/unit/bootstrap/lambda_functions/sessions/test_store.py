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
from lambda_functions.sessions.dynamodb import DynamoDbSessionStore
from lambda_functions.sessions.session import (
    LIFETIME,
    RefreshOffer,
    Session,
    Status,
    new_session,
    refresh_hash,
)
from lambda_functions.sessions.store import Page, Position, SessionStore
from lambda_functions.shared.dynamodb import OverloadedError

from tests.memory_stores import MemorySessionStore
from tests.session_life import SessionLife, all_pages
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
            pending, status=Status.ACTIVE, connection_id="c", connected_at=int(NOW)
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
        closed = replace(pending, status=Status.CLOSED, connected_at=int(NOW))
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


HASH = refresh_hash("token")
OFFER = RefreshOffer(HASH, int(NOW) + 60)


@pytest.fixture
def active(store: SessionStore, pending: Session) -> Session:
    """With a connection, c, which was offered to be left for another one."""
    assert store.activate(pending.session_id, "c", NOW)
    assert store.offer_refresh(pending.session_id, "c", OFFER)
    session = store.get(pending.session_id)
    assert session is not None
    return session


class TestRefresh:
    def test_the_session_moves_and_lives_for_another_hour(
        self, store: SessionStore, active: Session
    ) -> None:
        assert store.refresh(active.session_id, "d", HASH, NOW + 59)
        moved = store.get(active.session_id)
        assert moved == replace(
            active,
            connection_id="d",
            previous_connection_id="c",
            ttl=int(NOW) + 59 + LIFETIME,
            connected_at=int(NOW) + 59,
            offer=None,
        )

    def test_once(self, store: SessionStore, active: Session) -> None:
        assert store.refresh(active.session_id, "d", HASH, NOW)
        assert not store.refresh(active.session_id, "e", HASH, NOW)

    @pytest.mark.parametrize(
        ("token", "seconds"), [("wrong", 0), ("token", 60), ("token", 61), ("", 0)]
    )
    def test_not_with_another_token_and_not_late(
        self, store: SessionStore, active: Session, token: str, seconds: int
    ) -> None:
        assert not store.refresh(active.session_id, "d", refresh_hash(token), NOW + seconds)
        assert store.get(active.session_id) == active

    def test_not_one_that_expired(self, store: SessionStore, active: Session) -> None:
        late = NOW + LIFETIME
        store.offer_refresh(active.session_id, "c", RefreshOffer(HASH, int(late) + 60))
        assert not store.refresh(active.session_id, "d", HASH, late)

    def test_a_new_offer_ends_the_former(self, store: SessionStore, active: Session) -> None:
        other = refresh_hash("other")
        assert store.offer_refresh(active.session_id, "c", RefreshOffer(other, int(NOW) + 60))
        assert not store.refresh(active.session_id, "d", HASH, NOW)
        assert store.refresh(active.session_id, "d", other, NOW)

    def test_only_who_holds_the_session_can_be_offered(
        self, store: SessionStore, active: Session
    ) -> None:
        assert not store.offer_refresh(active.session_id, "another", OFFER)
        store.refresh(active.session_id, "d", HASH, NOW)
        assert not store.offer_refresh(active.session_id, "c", OFFER)

    def test_the_end_of_the_connection_before_changes_nothing(
        self, store: SessionStore, active: Session
    ) -> None:
        store.refresh(active.session_id, "d", HASH, NOW)
        moved = store.get(active.session_id)
        assert store.close(active.session_id, "c") is None
        assert store.extend(active.session_id, "c", NOW) is None
        assert store.get(active.session_id) == moved

    def test_not_one_that_is_closed(self, store: SessionStore, active: Session) -> None:
        closed = store.close(active.session_id, "c")
        assert not store.refresh(active.session_id, "d", HASH, NOW)
        assert store.get(active.session_id) == closed


class TestEnding:
    def test_of_one_that_expired(self, store: SessionStore, active: Session) -> None:
        assert store.close_expired(active.session_id, "c", NOW + LIFETIME - 1) is None
        assert store.close_expired(active.session_id, "another", NOW + LIFETIME) is None
        closed = store.close_expired(active.session_id, "c", NOW + LIFETIME)
        assert closed is not None
        assert closed.status is Status.CLOSED

    def test_of_one_that_nobody_connected_to(self, store: SessionStore, pending: Session) -> None:
        assert store.cancel(pending.session_id) == replace(pending, status=Status.CLOSED)
        assert store.cancel(pending.session_id) is None
        assert not store.activate(pending.session_id, "c", NOW)

    def test_but_not_of_one_that_somebody_did(self, store: SessionStore, active: Session) -> None:
        assert store.cancel(active.session_id) is None
        assert store.get(active.session_id) == active


class TestPages:
    @pytest.fixture
    def many(self, store: SessionStore) -> list[Session]:
        """Seven with each of three TTLs."""
        sessions = [new_session("app", "me", NOW + number % 3) for number in range(21)]
        for session in sessions:
            store.create(session)
        return sessions

    @pytest.mark.parametrize("limit", [1, 2, 6, 7, 8, 20, 21, 22])
    def test_each_is_on_one(self, store: SessionStore, many: list[Session], limit: int) -> None:
        def turn(after: Position | None) -> Page:
            return store.page("app", "me", NOW, limit=limit, after=after)

        shown = all_pages(turn, limit)
        assert sorted(s.session_id for s in shown) == sorted(s.session_id for s in many)
        assert [s.ttl for s in shown] == sorted((s.ttl for s in many), reverse=True)

    @pytest.mark.parametrize("limit", [1, 3, 8])
    def test_also_while_those_that_were_shown_vanish(
        self, store: SessionStore, many: list[Session], limit: int
    ) -> None:
        shown: list[Session] = []

        def turn(after: Position | None) -> Page:
            page = store.page("app", "me", NOW, limit=limit, after=after, open_only=True)
            for session in page.sessions:
                assert store.cancel(session.session_id)
            shown.extend(page.sessions)
            return page

        all_pages(turn, limit)
        assert sorted(s.session_id for s in shown) == sorted(s.session_id for s in many)

    def test_where_to_go_on_names_no_session(
        self, store: SessionStore, many: list[Session]
    ) -> None:
        page = store.page("app", "me", NOW, limit=5)
        assert page.next is not None
        assert not [s for s in many if s.session_id[:8] in str(page.next)]

    def test_what_is_not_to_be_seen(self, store: SessionStore) -> None:
        mine, yours, over = (
            new_session("app", "me", NOW),
            new_session("app", "you", NOW),
            new_session("app", "me", NOW - LIFETIME),
        )
        for session in (mine, yours, over, new_session("other", "me", NOW)):
            store.create(session)
        assert store.page("app", "me", NOW, limit=9).sessions == [mine]
        store.activate(yours.session_id, "c", NOW)
        assert len(store.page("app", "me", NOW, limit=9).sessions) == 2
        store.close(yours.session_id, "c")
        assert len(store.page("app", "me", NOW, limit=9).sessions) == 2
        assert store.page("app", "me", NOW, limit=9, open_only=True).sessions == [mine]


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

    def test_of_two_refreshes_with_one_token_one_wins(
        self, store: SessionStore, active: Session
    ) -> None:
        def to(connection: str) -> Callable[[], bool]:
            return lambda: store.refresh(active.session_id, connection, HASH, NOW)

        names = [f"d{number}" for number in range(30)]
        results = race([to(name) for name in names])
        assert sum(results) == 1
        moved = store.get(active.session_id)
        assert moved is not None
        assert moved.connection_id == names[results.index(True)]
        assert moved.previous_connection_id == "c"

    @pytest.mark.parametrize("_", range(10))
    def test_a_refresh_and_a_close_at_once(
        self, store: SessionStore, active: Session, _: int
    ) -> None:
        """Whichever comes first shuts the other out: the session is moved, or it is closed."""
        moved, closed = race(
            [
                lambda: store.refresh(active.session_id, "d", HASH, NOW),
                lambda: store.close(active.session_id, "c") is not None,
            ]
        )
        after = store.get(active.session_id)
        assert after is not None
        assert moved is not closed
        assert after.connection_id == ("d" if moved else None)

    @pytest.mark.parametrize("_", range(10))
    def test_a_heartbeat_and_the_end_of_an_expired_session_at_once(
        self, store: SessionStore, active: Session, _: int
    ) -> None:
        late = NOW + LIFETIME
        extended, closed = race(
            [
                lambda: store.extend(active.session_id, "c", late) is not None,
                lambda: store.close_expired(active.session_id, "c", late) is not None,
            ]
        )
        after = store.get(active.session_id)
        assert after is not None
        assert extended is not closed
        assert after.is_attached(late) is extended

    def test_a_heartbeat_never_brings_a_closed_one_back(
        self, store: SessionStore, active: Session
    ) -> None:
        beat = [lambda: store.extend(active.session_id, "c", NOW + 1) is not None] * 10
        race([*beat, lambda: store.close(active.session_id, "c") is not None])
        after = store.get(active.session_id)
        assert after is not None
        assert (after.status, after.connection_id) == (Status.CLOSED, None)


class BothStores(SessionLife):
    @staticmethod
    def make_stores() -> list[SessionStore]:
        return [make() for make in MAKERS.values()]


TestSessionLife = BothStores.TestCase
TestSessionLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def offered() -> tuple[FakeDynamoDb, DynamoDbSessionStore, Session]:
    """A session on connection c, which has been offered to move."""
    client = FakeDynamoDb()
    store = DynamoDbSessionStore(client, "t")
    session = new_session("app", "me", NOW)
    store.create(session)
    store.activate(session.session_id, "c", NOW)
    store.offer_refresh(session.session_id, "c", OFFER)
    return client, store, session


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        store.get(session.session_id)
        store.activate(session.session_id, "c", NOW)
        store.offer_refresh(session.session_id, "c", OFFER)
        store.refresh(session.session_id, "d", HASH, NOW)
        store.extend(session.session_id, "d", NOW)
        store.close(session.session_id, "d")
        assert client.calls == ["PutItem", "GetItem"] + ["UpdateItem"] * 5

    def test_a_page_reads_no_more_than_it_needs(self) -> None:
        client = FakeDynamoDb(page_size=10)
        store = DynamoDbSessionStore(client, "t")
        for number in range(100):
            store.create(new_session("app", "me", NOW + number))
        client.calls.clear()
        page = store.page("app", "me", NOW, limit=9)
        store.page("app", "me", NOW, limit=9, after=page.next)
        assert len(client.calls) <= 4

    def test_nor_does_counting_what_is_pending(self) -> None:
        client = FakeDynamoDb(page_size=10)
        store = DynamoDbSessionStore(client, "t")
        for number in range(100):
            store.create(new_session("app", "me", NOW + number))
        client.calls.clear()
        assert len(store.pending_ttls("app", NOW, 10)) == 10
        assert client.calls == ["Query"]

    def test_and_reads_more_at_once_where_most_is_left_out(self) -> None:
        client = FakeDynamoDb(page_size=100_000)
        store = DynamoDbSessionStore(client, "t")
        for _ in range(3000):
            store.create(replace(new_session("app", "me", NOW), status=Status.CLOSED))
        client.calls.clear()
        assert store.page("app", "me", NOW, limit=9, open_only=True).sessions == []
        assert len(client.calls) == 3

    def test_but_never_asks_for_more_than_dynamodb_can_count(self) -> None:
        """``Limit`` is a number of 32 bits; a page of 1 MB ends long before."""
        sizes: list[int] = []

        class Endless:
            def query(self, **request: Any) -> dict[str, Any]:
                sizes.append(request["Limit"])
                more = {"LastEvaluatedKey": {}} if len(sizes) < 30 else {}
                return {"Items": []} | more

        DynamoDbSessionStore(Endless(), "t").find("app", "12345678")
        assert len(sizes) == 30
        assert max(sizes) < 2**31

    def test_what_a_batch_left_unread_is_read_again_and_not_at_once(self) -> None:
        client = FakeDynamoDb(page_size=50, batch_size=30)
        pauses: list[float] = []
        store = DynamoDbSessionStore(client, "t", pauses.append)
        for number in range(150):
            session = new_session("app", "me", NOW)
            store.create(session)
            store.activate(session.session_id, f"c{number}", NOW)
        assert len({session.session_id for session in store.attached()}) == 150
        assert client.calls.count("Scan") == 3
        assert client.calls.count("BatchGetItem") == 4 + 2
        assert pauses == [0.05, 0.1, 0.2, 0.05]

    def test_a_batch_that_is_never_read_is_an_error(self) -> None:
        client = FakeDynamoDb(batch_size=0)
        store = DynamoDbSessionStore(client, "t", lambda _: None)
        session = new_session("app", "me", NOW)
        store.create(session)
        store.activate(session.session_id, "c", NOW)
        with pytest.raises(OverloadedError, match="1 items"):
            store.attached()

    def test_a_refresh_whose_answer_got_lost_counts(self) -> None:
        client, store, session = offered()
        client.lost_answers = 2
        assert store.refresh(session.session_id, "d", HASH, NOW)
        assert not store.refresh(session.session_id, "e", HASH, NOW)

    def test_and_is_carried_out_once(self) -> None:
        """Carried out again, the session would have come from where it is already."""
        client, store, session = offered()
        client.lost_answers = 1
        assert store.refresh(session.session_id, "d", HASH, NOW)
        moved = store.get(session.session_id)
        assert moved is not None
        assert (moved.connection_id, moved.previous_connection_id) == ("d", "c")

    def test_no_token_is_stored_as_it_is(self) -> None:
        assert "token" not in HASH
        assert HASH not in repr(OFFER)

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
        assert store.get(session.session_id) == replace(
            session, status=Status.CLOSED, connected_at=int(NOW)
        )
        assert len(table.calls) == 7

    def test_botocore_tells_of_a_repeated_request_what_it_did(
        self, over_http: tuple[Any, FakeDynamoDb]
    ) -> None:
        store, table = over_http
        session = new_session("app", "me", NOW)
        store.create(session)
        table.lost_answers = 1
        assert store.activate(session.session_id, "c", NOW)
        table.lost_answers = 1
        closed = store.close(session.session_id, "c")
        assert closed == store.get(session.session_id)
        table.lost_answers = 1
        assert store.close(session.session_id, "c") is None
        assert store.close(new_session("app", "me", NOW).session_id, "c") is None

    def test_also_those_that_read_many(self, over_http: tuple[Any, FakeDynamoDb]) -> None:
        store, _ = over_http
        sessions = [new_session("app", "me", NOW) for _ in range(8)]
        for session in sessions:
            store.create(session)
        for number, session in enumerate(sessions[:5]):
            assert store.activate(session.session_id, f"c{number}", NOW)
            assert store.offer_refresh(session.session_id, f"c{number}", OFFER)
            assert store.refresh(session.session_id, f"d{number}", HASH, NOW)
        assert len(store.attached()) == 5
        assert len(store.open_sessions("app", NOW)) == 8
        assert store.pending_ttls("app", NOW, 5) == [int(NOW) + LIFETIME] * 3
        assert len(store.page("app", "you", NOW, limit=9).sessions) == 5
        assert len(store.page("app", "me", NOW, limit=9, open_only=True).sessions) == 8
        found = store.find("app", sessions[6].session_id[:8])
        assert [one.session_id for one in found] == [sessions[6].session_id]
