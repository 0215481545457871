"""$connect and $disconnect: one connection takes its session, once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.sessions.session import GRACE, LEASE, Session, Status, new_session
from lambda_functions.websocket.connect_disconnect import connect, disconnect

from tests.memory_stores import MemorySessionStore

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


def functions_event(connection: str = CONNECTION) -> dict[str, Any]:
    authorizer = {"isFunction": "true", "principalId": "x"}
    return {"requestContext": {"connectionId": connection, "authorizer": authorizer}}


def untold_event(connection: str = CONNECTION) -> dict[str, Any]:
    """AWS's documentation does not promise the authorizer's word for $disconnect."""
    return {"requestContext": {"connectionId": connection}}


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
            session,
            status=Status.ACTIVE,
            connection_id=CONNECTION,
            connected_at=int(NOW),
            ttl=int(NOW) + LEASE,
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
        disconnect(event(session), {}, NOW, store)
        assert connect(event(session), {}, NOW, store)["statusCode"] == 403

    def test_a_functions_connection_takes_no_session(self) -> None:
        store, session = store_with()
        record: dict[str, Any] = {}
        assert connect(functions_event(), record, NOW, store) == {"statusCode": 200}
        assert (found(store, session), record["outcome"]) == (session, "connected")


class TestDisconnect:
    @pytest.mark.parametrize("is_told", [True, False])
    def test_it_closes_the_session_which_may_be_resumed_for_a_while(self, is_told: bool) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        record: dict[str, Any] = {}
        given = event(session) if is_told else untold_event()
        assert disconnect(given, record, NOW, store) == {"statusCode": 200}
        assert found(store, session) == replace(
            session, status=Status.CLOSED, connection_id=None, ttl=int(NOW) + GRACE
        )
        assert (record["outcome"], record["sessionId"]) == ("closed", session.session_id[:8])

    def test_a_repeated_event_changes_nothing(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        disconnect(event(session), {}, NOW, store)
        closed = found(store, session)
        for given in (event(session), untold_event()):
            record: dict[str, Any] = {}
            assert disconnect(given, record, NOW + 9, store) == {"statusCode": 200}
            assert (found(store, session), record["outcome"]) == (closed, "unchanged")

    def test_a_late_event_changes_nothing_for_whoever_replaced_it(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        store.appoint_heir(session.session_id, "heir")
        replaced = found(store, session)
        disconnect(event(session), {}, NOW, store)
        assert found(store, session) == replaced

    @pytest.mark.parametrize("is_told", [True, False])
    def test_a_late_event_of_another_connection_changes_nothing(self, is_told: bool) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id="another")
        given = event(session) if is_told else untold_event()
        assert disconnect(given, {}, NOW, store) == {"statusCode": 200}
        assert found(store, session) == session

    def test_a_session_that_is_gone_is_no_error(self) -> None:
        _, session = store_with()
        assert disconnect(event(session), {}, NOW, MemorySessionStore()) == {"statusCode": 200}

    def test_a_functions_connection_was_of_no_session(self) -> None:
        store, session = store_with(status=Status.ACTIVE, connection_id=CONNECTION)
        record: dict[str, Any] = {}
        assert disconnect(functions_event(), record, NOW, store) == {"statusCode": 200}
        assert (found(store, session), record["outcome"]) == (session, "unchanged")


@pytest.mark.parametrize(
    "act",
    [
        lambda e, r, s: connect(e, r, NOW, s),
        lambda e, r, s: disconnect(e, r, NOW, s),
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
