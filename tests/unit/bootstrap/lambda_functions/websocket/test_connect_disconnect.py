"""$connect and $disconnect: one connection takes its session, once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.sessions.session import (
    RefreshOffer,
    Session,
    Status,
    new_session,
    refresh_hash,
)
from lambda_functions.websocket.connect_disconnect import connect, disconnect

from tests.memory_stores import MemorySessionStore
from tests.unit.fakes import FakeInstrumentation

NOW = 1_800_000_000.0
CONNECTION = "L0SM9cOFvHcCIhw="


def store_with(**changes: Any) -> tuple[MemorySessionStore, Session]:
    store = MemorySessionStore()
    session = replace(new_session("app", "me", NOW), **changes)
    store.create(session)
    return store, session


def event(session: Session, connection: str = CONNECTION) -> dict[str, Any]:
    return {
        "requestContext": {
            "connectionId": connection,
            "authorizer": {"sessionId": session.session_id, "principalId": "x"},
        }
    }


def found(store: MemorySessionStore, session: Session) -> Session:
    now = store.get(session.session_id)
    assert now is not None
    return now


class TestConnect:
    def test_a_pending_session_becomes_active_with_this_connection(self) -> None:
        store, session = store_with()
        record: dict[str, Any] = {}
        assert connect(event(session), record, NOW, store) == {"statusCode": 200}
        assert found(store, session) == replace(
            session, status=Status.ACTIVE, connection_id=CONNECTION, connected_at=int(NOW)
        )
        assert record["outcome"] == "connected"

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": Status.ACTIVE, "connection_id": "first"},
            {"status": Status.CLOSED},
            {"ttl": int(NOW)},
        ],
        ids=["taken", "closed", "expired since the authorizer looked"],
    )
    def test_any_other_is_refused_and_stays_as_it_is(self, changes: dict[str, Any]) -> None:
        store, session = store_with(**changes)
        record: dict[str, Any] = {}
        assert connect(event(session), record, NOW, store) == {"statusCode": 403}
        assert found(store, session) == session
        assert (record["outcome"], record["level"]) == ("refused", "WARNING")

    def test_a_session_that_is_gone_is_refused(self) -> None:
        _, session = store_with()
        answer = connect(event(session), {}, NOW, MemorySessionStore())
        assert answer == {"statusCode": 403}

    def test_a_used_id_is_never_accepted_again(self) -> None:
        store, session = store_with()
        assert connect(event(session), {}, NOW, store)["statusCode"] == 200
        assert connect(event(session), {}, NOW, store)["statusCode"] == 403
        disconnect(event(session), {}, store, FakeInstrumentation())
        assert connect(event(session), {}, NOW, store)["statusCode"] == 403


class TestRefresh:
    OFFER = RefreshOffer(refresh_hash("token"), int(NOW) + 60)

    def attached(self) -> tuple[MemorySessionStore, Session]:
        return store_with(status=Status.ACTIVE, connection_id="before", offer=self.OFFER)

    def event(self, session: Session, token: str = "token") -> dict[str, Any]:
        given = event(session)
        given["requestContext"]["authorizer"]["refreshHash"] = refresh_hash(token)
        return given

    def test_the_session_moves(self) -> None:
        store, session = self.attached()
        record: dict[str, Any] = {}
        assert connect(self.event(session), record, NOW, store) == {"statusCode": 200}
        assert found(store, session).connection_id == CONNECTION
        assert record["outcome"] == "refreshed"

    def test_and_the_end_of_the_connection_before_does_not_matter(self) -> None:
        store, session = self.attached()
        connect(self.event(session), {}, NOW, store)
        moved = found(store, session)
        instrumentation = FakeInstrumentation()
        disconnect(event(session, "before"), {}, store, instrumentation)
        assert (found(store, session), instrumentation.requests) == (moved, [])

    def test_no_token_counts_twice_or_if_it_is_another_or_for_a_pending_session(self) -> None:
        store, session = self.attached()
        assert connect(self.event(session, "wrong"), {}, NOW, store)["statusCode"] == 403
        assert connect(self.event(session), {}, NOW, store)["statusCode"] == 200
        assert connect(self.event(session), {}, NOW, store)["statusCode"] == 403
        store, session = store_with()
        assert connect(self.event(session), {}, NOW, store)["statusCode"] == 403
        assert found(store, session) == session


class TestDisconnect:
    def test_it_closes_the_session(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        record: dict[str, Any] = {}
        assert disconnect(event(session), record, store, FakeInstrumentation()) == {
            "statusCode": 200
        }
        assert found(store, session) == replace(session, status=Status.CLOSED, connection_id=None)
        assert record["outcome"] == "closed"

    def test_a_repeated_event_changes_nothing(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        disconnect(event(session), {}, store, FakeInstrumentation())
        closed = found(store, session)
        record: dict[str, Any] = {}
        assert disconnect(event(session), record, store, FakeInstrumentation()) == {
            "statusCode": 200
        }
        assert (found(store, session), record["outcome"]) == (closed, "unchanged")

    def test_a_late_event_of_another_connection_changes_nothing(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id="another")
        assert disconnect(event(session), {}, store, FakeInstrumentation()) == {"statusCode": 200}
        assert found(store, session) == session

    def test_a_session_that_is_gone_is_no_error(self) -> None:
        _, session = store_with()
        assert disconnect(event(session), {}, MemorySessionStore(), FakeInstrumentation()) == {
            "statusCode": 200
        }


class TestRestoring:
    def test_what_the_session_instrumented_is_restored_and_nobody_told(self) -> None:
        store, session = store_with(
            status=Status.ACTIVE, connection_id=CONNECTION, instruments=True
        )
        instrumentation = FakeInstrumentation()
        disconnect(event(session), {}, store, instrumentation)
        assert instrumentation.requests == [
            {
                "operation": "restore",
                "stackName": "app",
                "session": session.session_id[:8],
                "connectionId": None,
            }
        ]

    def test_once_only(self) -> None:
        store, session = store_with(
            status=Status.ACTIVE, connection_id=CONNECTION, instruments=True
        )
        instrumentation = FakeInstrumentation()
        for _ in range(3):
            disconnect(event(session), {}, store, instrumentation)
        assert len(instrumentation.requests) == 1

    def test_where_nothing_was_instrumented_nothing_is_asked(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        instrumentation = FakeInstrumentation()
        disconnect(event(session), {}, store, instrumentation)
        assert instrumentation.requests == []


@pytest.mark.parametrize(
    "act",
    [
        lambda e, r, s: connect(e, r, NOW, s),
        lambda e, r, s: disconnect(e, r, s, FakeInstrumentation()),
    ],
)
def test_ids_are_logged_shortened(act: Any) -> None:
    store, session = store_with()
    record: dict[str, Any] = {}
    act(event(session), record, store)
    text = json.dumps(record)
    assert session.session_id[:8] in text
    assert session.session_id not in text
    assert CONNECTION not in text
