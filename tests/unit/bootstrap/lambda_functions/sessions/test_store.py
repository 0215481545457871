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
    GRACE,
    LEASE,
    LIFETIME,
    RESTORING_SECONDS,
    Session,
    Status,
    new_session,
)
from lambda_functions.sessions.store import Page, Position, SessionStore
from lambda_functions.shared.dynamodb import OverloadedError

from tests.memory_stores import MemorySessionStore
from tests.session_life import SessionLife, all_pages
from tests.unit.fakes import FakeDynamoDb, client_error, dynamodb_over_http, local_server

NOW = 1_800_000_000.0
REASON = "closed by eve"

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
            pending,
            status=Status.ACTIVE,
            connection_id="c",
            connected_at=int(NOW),
            ttl=int(NOW) + LEASE,
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

    @pytest.mark.parametrize(
        "change",
        [
            lambda store, one: store.activate(one, "c", NOW),
            lambda store, one: store.extend(one, "c", NOW),
            lambda store, one: store.mark_instrumenting(one, "c", "token#"),
            lambda store, one: store.mark_silent(one),
            lambda store, one: store.appoint_heir(one, "heir"),
            lambda store, one: store.inherit(one, "c", {"12345678"}, {"token#"}),
            lambda store, one: store.disconnect(one, "c", NOW),
            lambda store, one: store.close(one, "c", NOW),
            lambda store, one: store.close_expired(one, "c", NOW),
            lambda store, one: store.cancel(one, NOW, REASON),
            lambda store, one: store.begin_restoring(one, NOW),
        ],
    )
    def test_no_change_makes_what_is_not_there(
        self, store: SessionStore, change: Callable[[SessionStore, str], Any]
    ) -> None:
        """DynamoDB's UpdateItem would, and it deletes what is over when it likes."""
        unknown = new_session("app", "me", NOW).session_id
        assert not change(store, unknown)
        assert store.get(unknown) is None

    def test_a_connections_session_is_found_as_long_as_it_holds_it(
        self, store: SessionStore, pending: Session
    ) -> None:
        assert store.id_by_connection("c") is None
        store.activate(pending.session_id, "c", NOW)
        assert store.id_by_connection("c") == pending.session_id
        assert store.id_by_connection("d") is None
        store.disconnect(pending.session_id, "c", NOW)
        assert store.id_by_connection("c") is None


@pytest.fixture
def active(store: SessionStore, pending: Session) -> Session:
    """On connection c, with something to restore."""
    assert store.activate(pending.session_id, "c", NOW)
    session = store.mark_instrumenting(pending.session_id, "c", "token#1")
    assert session is not None
    return session


class TestLease:
    def test_a_heartbeat_renews_it_from_then_on(self, store: SessionStore, active: Session) -> None:
        later = NOW + LEASE - 1
        assert store.extend(active.session_id, "c", later) == int(later) + LEASE
        assert store.get(active.session_id) == replace(active, ttl=int(later) + LEASE)

    def test_not_once_it_is_over_nor_from_another_connection(
        self, store: SessionStore, active: Session
    ) -> None:
        assert store.extend(active.session_id, "c", NOW + LEASE) is None
        assert store.extend(active.session_id, "another", NOW) is None
        assert store.get(active.session_id) == active

    def test_whoever_is_heard_of_is_silent_no_more(
        self, store: SessionStore, active: Session
    ) -> None:
        store.mark_silent(active.session_id)
        assert store.get(active.session_id) == replace(active, is_silent=True)
        store.extend(active.session_id, "c", NOW)
        assert store.get(active.session_id) == active

    def test_nobody_is_silent_who_is_not_there(self, store: SessionStore, active: Session) -> None:
        closed = store.close(active.session_id, "c", NOW)
        store.mark_silent(active.session_id)
        assert store.get(active.session_id) == closed


class TestHolds:
    def test_what_is_instrumented_is_noted_before_it_is(self, active: Session) -> None:
        assert active.holds == {active.session_id[:8]}
        assert active.tokens == {"token#1"}

    def test_they_add_up(self, store: SessionStore, active: Session) -> None:
        store.mark_instrumenting(active.session_id, "c", "token#2")
        after = store.inherit(active.session_id, "c", {"12345678"}, {"token#0", "token#1"})
        assert after == replace(
            active,
            holds=frozenset({"12345678", active.session_id[:8]}),
            tokens=frozenset({"token#0", "token#1", "token#2"}),
        )

    def test_of_nothing_there_is_nothing_to_inherit(
        self, store: SessionStore, active: Session
    ) -> None:
        assert store.inherit(active.session_id, "c", [], []) == active

    def test_not_by_another_connection(self, store: SessionStore, active: Session) -> None:
        assert store.mark_instrumenting(active.session_id, "another", "token#2") is None
        assert store.inherit(active.session_id, "another", {"12345678"}, []) is None
        assert store.get(active.session_id) == active


class TestHeirs:
    def test_of_one_that_is_attached_or_was_lost(
        self, store: SessionStore, active: Session
    ) -> None:
        expected = replace(active, status=Status.CLOSED, connection_id=None, heir="heir")
        assert store.appoint_heir(active.session_id, "heir") == expected
        assert store.appoint_heir(active.session_id, "heir") == expected
        assert store.appoint_heir(active.session_id, "another") is None
        assert store.get(active.session_id) == expected

    def test_of_one_whose_connection_was_lost(self, store: SessionStore, active: Session) -> None:
        lost = store.disconnect(active.session_id, "c", NOW)
        assert lost is not None
        assert store.appoint_heir(active.session_id, "heir") == replace(lost, heir="heir")

    def test_whoever_has_one_is_not_restored(self, store: SessionStore, active: Session) -> None:
        store.appoint_heir(active.session_id, "heir")
        assert not store.begin_restoring(active.session_id, NOW + LIFETIME)

    def test_whoever_is_being_restored_gets_none(
        self, store: SessionStore, active: Session
    ) -> None:
        store.disconnect(active.session_id, "c", NOW)
        assert store.begin_restoring(active.session_id, NOW)
        assert store.appoint_heir(active.session_id, "heir") is None

    def test_nor_does_whoever_was_closed_or_never_connected(
        self, store: SessionStore, pending: Session
    ) -> None:
        assert store.appoint_heir(pending.session_id, "heir") is None
        store.activate(pending.session_id, "c", NOW)
        store.close(pending.session_id, "c", NOW)
        assert store.appoint_heir(pending.session_id, "heir") is None

    def test_the_former_connection_holds_nothing_any_more(
        self, store: SessionStore, active: Session
    ) -> None:
        replaced = store.appoint_heir(active.session_id, "heir")
        assert store.disconnect(active.session_id, "c", NOW) is None
        assert store.close(active.session_id, "c", NOW) is None
        assert store.extend(active.session_id, "c", NOW) is None
        assert store.get(active.session_id) == replaced


class TestEnding:
    def test_of_a_connection_leaves_time_to_come_back(
        self, store: SessionStore, active: Session
    ) -> None:
        lost = store.disconnect(active.session_id, "c", NOW)
        assert lost == replace(
            active, status=Status.CLOSED, connection_id=None, ttl=int(NOW) + GRACE
        )
        assert lost.may_be_resumed(NOW + GRACE - 1)
        assert not lost.may_be_resumed(NOW + GRACE)

    def test_of_a_session_leaves_none(self, store: SessionStore, active: Session) -> None:
        closed = store.close(active.session_id, "c", NOW)
        assert closed == replace(
            active, status=Status.CLOSED, connection_id=None, restoring_since=int(NOW)
        )
        assert not closed.may_be_resumed(NOW)

    def test_twice_or_by_another_connection(self, store: SessionStore, active: Session) -> None:
        for end in (store.close, store.disconnect):
            assert end(active.session_id, "another", NOW) is None
        assert store.close(active.session_id, "c", NOW) is not None
        for end in (store.close, store.disconnect):
            assert end(active.session_id, "c", NOW) is None

    def test_a_closed_one_stays_closed(self, store: SessionStore, active: Session) -> None:
        store.close(active.session_id, "c", NOW)
        assert store.activate(active.session_id, "d", NOW) is False

    def test_restoring_begins_once_and_again_when_that_can_not_be_under_way_any_more(
        self, store: SessionStore, active: Session
    ) -> None:
        assert not store.begin_restoring(active.session_id, NOW)
        store.disconnect(active.session_id, "c", NOW)
        assert store.begin_restoring(active.session_id, NOW)
        assert not store.begin_restoring(active.session_id, NOW)
        again = NOW + RESTORING_SECONDS
        assert not store.begin_restoring(active.session_id, again - 1)
        assert store.begin_restoring(active.session_id, again)
        assert not store.begin_restoring(active.session_id, again + 1)

    def test_why_somebody_else_closed_it_is_kept(
        self, store: SessionStore, active: Session
    ) -> None:
        closed = store.close(active.session_id, "c", NOW, REASON)
        assert closed is not None
        assert closed.reason == REASON
        assert store.get(active.session_id) == closed

    def test_also_of_one_whose_debugger_may_come_back(
        self, store: SessionStore, active: Session
    ) -> None:
        lost = store.disconnect(active.session_id, "c", NOW)
        assert lost is not None
        assert store.begin_restoring(active.session_id, NOW, REASON)
        assert store.get(active.session_id) == replace(
            lost, restoring_since=int(NOW), reason=REASON
        )

    def test_of_one_that_expired(self, store: SessionStore, active: Session) -> None:
        assert store.close_expired(active.session_id, "c", NOW + LEASE - 1) is None
        assert store.close_expired(active.session_id, "another", NOW + LEASE) is None
        closed = store.close_expired(active.session_id, "c", NOW + LEASE)
        assert closed is not None
        assert (closed.status, closed.restoring_since) == (Status.CLOSED, int(NOW) + LEASE)

    def test_of_one_that_nobody_connected_to(self, store: SessionStore, pending: Session) -> None:
        closed = replace(pending, status=Status.CLOSED, restoring_since=int(NOW), reason=REASON)
        assert store.cancel(pending.session_id, NOW, REASON) == closed
        assert store.cancel(pending.session_id, NOW, REASON) is None
        assert not store.activate(pending.session_id, "c", NOW)

    def test_but_not_of_one_that_somebody_did(self, store: SessionStore, active: Session) -> None:
        assert store.cancel(active.session_id, NOW, REASON) is None
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
                assert store.cancel(session.session_id, NOW, REASON)
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
        lost = store.disconnect(yours.session_id, "c", NOW)
        for open_only in (True, False):
            page = store.page("app", "me", NOW, limit=9, open_only=open_only)
            assert page.sessions == [mine, lost]
        store.begin_restoring(yours.session_id, NOW)
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
        results = race([lambda: store.disconnect(pending.session_id, "c", NOW) is not None] * 30)
        assert sum(results) == 1

    def test_connects_and_disconnects_at_once_leave_one_owner_or_none(
        self, store: SessionStore, pending: Session
    ) -> None:
        def both(connection: str) -> Callable[[], bool]:
            return lambda: (
                store.activate(pending.session_id, connection, NOW)
                and store.close(pending.session_id, connection, NOW) is not None
            )

        assert sum(race([both(f"c{number}") for number in range(30)])) == 1
        after = store.get(pending.session_id)
        assert after is not None
        assert (after.status, after.connection_id) == (Status.CLOSED, None)

    def test_of_many_heirs_one_is_appointed(self, store: SessionStore, active: Session) -> None:
        def appoint(heir: str) -> Callable[[], bool]:
            return lambda: store.appoint_heir(active.session_id, heir) is not None

        names = [f"heir{number}" for number in range(30)]
        results = race([appoint(name) for name in names])
        assert sum(results) == 1
        replaced = store.get(active.session_id)
        assert replaced is not None
        assert replaced.heir == names[results.index(True)]

    @pytest.mark.parametrize("_", range(10))
    def test_an_heir_and_restoring_at_once(
        self, store: SessionStore, active: Session, _: int
    ) -> None:
        """Whichever comes first shuts the other out: or functions would be restored under it."""
        store.disconnect(active.session_id, "c", NOW)
        appointed, restored = race(
            [
                lambda: store.appoint_heir(active.session_id, "heir") is not None,
                lambda: store.begin_restoring(active.session_id, NOW),
            ]
        )
        assert appointed is not restored

    @pytest.mark.parametrize("_", range(10))
    def test_an_heir_and_a_close_at_once(
        self, store: SessionStore, active: Session, _: int
    ) -> None:
        appointed, closed = race(
            [
                lambda: store.appoint_heir(active.session_id, "heir") is not None,
                lambda: store.close(active.session_id, "c", NOW) is not None,
            ]
        )
        assert appointed is not closed

    @pytest.mark.parametrize("_", range(10))
    def test_a_heartbeat_and_the_end_of_an_expired_session_at_once(
        self, store: SessionStore, active: Session, _: int
    ) -> None:
        late = NOW + LEASE
        extended, closed = race(
            [
                # Whose clock is a second behind.
                lambda: store.extend(active.session_id, "c", late - 1) is not None,
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
        race([*beat, lambda: store.close(active.session_id, "c", NOW) is not None])
        after = store.get(active.session_id)
        assert after is not None
        assert (after.status, after.connection_id) == (Status.CLOSED, None)


class BothStores(SessionLife):
    @staticmethod
    def make_stores() -> list[SessionStore]:
        return [make() for make in MAKERS.values()]


TestSessionLife = BothStores.TestCase
TestSessionLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class TestDynamoDb:
    def test_each_operation_is_one_call(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        store.get(session.session_id)
        store.activate(session.session_id, "c", NOW)
        store.extend(session.session_id, "c", NOW)
        store.mark_instrumenting(session.session_id, "c", "token#")
        store.mark_silent(session.session_id)
        store.inherit(session.session_id, "c", {"12345678"}, {"token#"})
        store.disconnect(session.session_id, "c", NOW)
        store.begin_restoring(session.session_id, NOW)
        store.appoint_heir(session.session_id, "heir")
        store.close(session.session_id, "c", NOW)
        assert client.calls == ["PutItem", "GetItem"] + ["UpdateItem"] * 9
        store.id_by_connection("c")
        assert client.calls[11:] == ["Query"]

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
            closed = replace(new_session("app", "me", NOW), status=Status.CLOSED)
            store.create(replace(closed, restoring_since=int(NOW)))
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

    def test_a_change_whose_answer_got_lost_counts_and_is_made_once(self) -> None:
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        client.lost_answers = 2
        store.create(session)
        client.lost_answers = 2
        assert store.activate(session.session_id, "c", NOW)
        assert not store.activate(session.session_id, "d", NOW)
        store.disconnect(session.session_id, "c", NOW)
        client.lost_answers = 2
        assert store.begin_restoring(session.session_id, NOW)
        assert not store.begin_restoring(session.session_id, NOW)

    def test_no_token_or_heir_is_in_what_python_shows_of_it(self) -> None:
        session = replace(
            new_session("app", "me", NOW), tokens=frozenset({"token#1"}), heir="the-heir"
        )
        assert "token#1" not in repr(session)
        assert "the-heir" not in repr(session)

    def test_a_closed_item_has_no_connection_id_at_all(self) -> None:
        """A key of an index can't be NULL."""
        client = FakeDynamoDb()
        store = DynamoDbSessionStore(client, "t")
        session = new_session("app", "me", NOW)
        store.create(session)
        assert "ConnectionId" not in client.items[session.session_id]
        store.activate(session.session_id, "c", NOW)
        assert client.items[session.session_id]["ConnectionId"] == {"S": "c"}
        store.close(session.session_id, "c", NOW)
        assert "ConnectionId" not in client.items[session.session_id]

    @pytest.mark.parametrize("call", ["activate", "close"])
    def test_a_failure_that_is_no_condition_is_raised(self, call: str) -> None:
        class Throttled:
            def update_item(self, **_: Any) -> None:
                raise client_error("ProvisionedThroughputExceededException")

        store = DynamoDbSessionStore(Throttled(), "t")
        with pytest.raises(Exception, match="ProvisionedThroughput"):
            getattr(store, call)("id", "c", NOW)

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
        assert store.mark_instrumenting(session.session_id, "c", "token#")
        assert store.inherit(session.session_id, "c", [], [])
        assert store.inherit(session.session_id, "c", {"12345678"}, {"token#0"})
        assert store.id_by_connection("c") == session.session_id
        assert store.disconnect(session.session_id, "c", NOW)
        assert not store.close(session.session_id, "c", NOW)
        heir = new_session("app", "me", NOW).session_id
        assert store.appoint_heir(session.session_id, heir)
        assert not store.begin_restoring(session.session_id, NOW)
        assert store.get(session.session_id) == Session(
            session_id=session.session_id,
            stack_name="app",
            status=Status.CLOSED,
            ttl=int(NOW) + GRACE,
            created_at=session.created_at,
            owner="me",
            connected_at=int(NOW),
            holds=frozenset({"12345678", session.session_id[:8]}),
            tokens=frozenset({"token#", "token#0"}),
            heir=heir,
        )
        assert len(table.calls) == 13

    def test_botocore_tells_of_a_repeated_request_what_it_did(
        self, over_http: tuple[Any, FakeDynamoDb]
    ) -> None:
        store, table = over_http
        session = new_session("app", "me", NOW)
        store.create(session)
        table.lost_answers = 1
        assert store.activate(session.session_id, "c", NOW)
        table.lost_answers = 1
        closed = store.close(session.session_id, "c", NOW)
        assert closed == store.get(session.session_id)
        table.lost_answers = 1
        assert store.close(session.session_id, "c", NOW) is None
        assert store.close(new_session("app", "me", NOW).session_id, "c", NOW) is None

    def test_also_those_that_read_many(self, over_http: tuple[Any, FakeDynamoDb]) -> None:
        store, _ = over_http
        sessions = [new_session("app", "me", NOW) for _ in range(8)]
        for session in sessions:
            store.create(session)
        for number, session in enumerate(sessions[:5]):
            assert store.activate(session.session_id, f"c{number}", NOW)
        assert len(store.attached()) == 5
        assert len(store.open_sessions("app", NOW)) == 8
        assert store.pending_ttls("app", NOW, 5) == [int(NOW) + LIFETIME] * 3
        assert len(store.page("app", "you", NOW, limit=9).sessions) == 5
        assert len(store.page("app", "me", NOW, limit=9, open_only=True).sessions) == 8
        found = store.find("app", sessions[6].session_id[:8])
        assert [one.session_id for one in found] == [sessions[6].session_id]
