"""A connection's life: connect, heartbeat, refresh, disconnect."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from broadcast.connect import connect
from broadcast.disconnect import disconnect
from broadcast.events import Caller, Refused, read_message
from broadcast.gateway import find_endpoint
from broadcast.heartbeat import beat
from broadcast.rate_limits import Deed, RateLimits
from broadcast.refresh import refresh
from broadcast.sessions import SESSION_SECONDS
from broadcast_fakes import MemoryCounters, MemoryGateway, MemoryStore, TakenStore

NOW = 1_800_000_000
ANN = Caller("ann-1", "ann", "speaker")
BOB = Caller("bob-1", "bob", "listener")


def _allow(number: int) -> RateLimits:
    return RateLimits(MemoryCounters(), dict.fromkeys(get_args(Deed), number))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def session_id(store: MemoryStore) -> str:
    """A session of Ann's, to which Bob listens."""
    session_id = connect(ANN, {"language": "de"}, store, _allow(9), NOW).session_id
    connect(BOB, {"sessionId": session_id}, store, _allow(9), NOW)
    return session_id


class TestConnect:
    def test_a_speaker_begins_a_session(self, store: MemoryStore, session_id: str) -> None:
        session = store.sessions[session_id]
        assert (session.speaker_id, session.speaker_connection) == ("ann", "ann-1")
        assert session.language == "de"
        assert {one.user_id for one in store.list_connections(session_id)} == {"ann", "bob"}

    def test_a_listener_begins_none(self, store: MemoryStore) -> None:
        with pytest.raises(Refused) as refused:
            connect(BOB, {}, store, _allow(9), NOW)
        assert refused.value.status == 403

    def test_another_speaker_joins_none(self, store: MemoryStore, session_id: str) -> None:
        eve = replace(ANN, user_id="eve", connection_id="eve-1")
        with pytest.raises(Refused) as refused:
            connect(eve, {"sessionId": session_id}, store, _allow(9), NOW)
        assert refused.value.status == 403

    @pytest.mark.parametrize("language", ["", "klingon!", "en" * 99])
    def test_a_language_is_a_tag(self, store: MemoryStore, language: str) -> None:
        with pytest.raises(Refused) as refused:
            connect(ANN, {"language": language}, store, _allow(9), NOW)
        assert refused.value.status == 400
        assert not store.sessions

    @pytest.mark.parametrize("times", [1, 2])
    def test_an_id_that_is_taken_is_not_used(self, times: int) -> None:
        store = TakenStore(taken=times)
        connection = connect(ANN, {}, store, _allow(9), NOW)
        assert [*store.sessions] == [connection.session_id]
        assert store.connections == {"ann-1": connection}

    def test_an_end_is_made_of_trying(self) -> None:
        with pytest.raises(Refused) as refused:
            connect(ANN, {}, TakenStore(taken=1000), _allow(9), NOW)
        assert refused.value.status == 503

    def test_a_session_that_is_over_is_joined_by_nobody(
        self, store: MemoryStore, session_id: str
    ) -> None:
        for query, now in (
            ({"sessionId": session_id}, NOW + SESSION_SECONDS),
            ({"sessionId": "calm-otter-1000"}, NOW),
            ({"sessionId": ""}, NOW),
        ):
            with pytest.raises(Refused) as refused:
                connect(BOB, query, store, _allow(9), now)
            assert refused.value.status == 404


class TestRateLimits:
    def test_one_too_many_is_refused_until_the_window_is_over(self) -> None:
        limits = _allow(2)
        limits.check("message", "ann", NOW)
        limits.check("message", "ann", NOW)
        with pytest.raises(Refused) as refused:
            limits.check("message", "ann", NOW)
        assert refused.value.status == 429
        limits.check("message", "bob", NOW)
        limits.check("connect", "ann", NOW)
        limits.check("message", "ann", NOW + 60)

    def test_another_connection_has_no_more_of_them(
        self, store: MemoryStore, session_id: str
    ) -> None:
        limits = _allow(1)
        again = replace(BOB, connection_id="bob-2")
        connect(again, {"sessionId": session_id}, store, limits, NOW)
        with pytest.raises(Refused, match="connect"):
            connect(
                replace(BOB, connection_id="bob-3"), {"sessionId": session_id}, store, limits, NOW
            )
        beat("bob-1", store, limits, 100, NOW)
        with pytest.raises(Refused, match="message"):
            beat("bob-2", store, limits, 100, NOW)
        with pytest.raises(Refused, match="message"):
            refresh("bob-2", {"replaces": "bob-1"}, store, limits, MemoryGateway(), NOW)


class TestHeartbeat:
    @pytest.mark.parametrize(("age", "refresh_in"), [(0, 100), (99, 1), (100, 0), (7000, 0)])
    def test_it_says_when_to_refresh(
        self, store: MemoryStore, session_id: str, age: int, refresh_in: int
    ) -> None:
        assert beat("bob-1", store, _allow(9), 100, NOW + age) == {
            "type": "heartbeat",
            "connectionId": "bob-1",
            "sessionId": session_id,
            "refreshIn": refresh_in,
        }

    def test_it_says_that_the_session_is_over(self, store: MemoryStore, session_id: str) -> None:
        ended = {"type": "ended", "sessionId": session_id}
        assert beat("bob-1", store, _allow(9), 100, NOW + SESSION_SECONDS) == ended
        store.end(session_id, "ann-1")
        assert beat("bob-1", store, _allow(9), 100, NOW) == ended

    def test_a_connection_that_left_has_none(self, store: MemoryStore) -> None:
        with pytest.raises(Refused) as refused:
            beat("bob-1", store, _allow(9), 100, NOW)
        assert refused.value.status == 404


class TestRefresh:
    def test_the_session_outlives_the_speakers_first_connection(
        self, store: MemoryStore, session_id: str
    ) -> None:
        gateway, again = MemoryGateway(), replace(ANN, connection_id="ann-2")
        connect(again, {"sessionId": session_id}, store, _allow(9), NOW + 6600)
        answer = refresh("ann-2", {"replaces": "ann-1"}, store, _allow(9), gateway, NOW + 6600)
        assert answer["type"] == "refreshed"
        assert gateway.closed == ["ann-1"]
        assert disconnect("ann-1", store, gateway) == 0
        assert store.sessions[session_id].speaker_connection == "ann-2"
        assert gateway.posted == []
        assert disconnect("ann-2", store, gateway) == 1

    def test_nobody_replaces_anothers_connection(self, store: MemoryStore, session_id: str) -> None:
        for replaced in ("ann-1", "no-such"):
            with pytest.raises(Refused, match="You have no such connection") as refused:
                refresh("bob-1", {"replaces": replaced}, store, _allow(9), MemoryGateway(), NOW)
            assert refused.value.status == 404
        assert "ann-1" in store.connections

    @pytest.mark.parametrize(
        "message", [{}, {"replaces": 1}, {"replaces": ""}, {"replaces": "bob-1"}], ids=str
    )
    def test_a_message_that_names_no_other_is_refused(
        self, store: MemoryStore, session_id: str, message: dict[str, object]
    ) -> None:
        with pytest.raises(Refused) as refused:
            refresh("bob-1", message, store, _allow(9), MemoryGateway(), NOW)
        assert refused.value.status == 400


class TestDisconnect:
    def test_with_its_speaker_a_session_ends_for_all(
        self, store: MemoryStore, session_id: str
    ) -> None:
        gateway = MemoryGateway()
        assert disconnect("ann-1", store, gateway) == 1
        assert gateway.posted == [("bob-1", {"type": "ended", "sessionId": session_id})]
        assert gateway.closed == ["bob-1"]
        assert session_id not in store.sessions

    def test_without_a_listener_it_goes_on(self, store: MemoryStore, session_id: str) -> None:
        assert disconnect("bob-1", store, MemoryGateway()) == 0
        assert session_id in store.sessions

    def test_twice_is_once(self, store: MemoryStore, session_id: str) -> None:
        disconnect("ann-1", store, MemoryGateway())
        assert disconnect("ann-1", store, MemoryGateway()) == 0


@pytest.mark.parametrize("body", [None, "", "{", "[]", "1"])
def test_a_message_is_an_object(body: str | None) -> None:
    with pytest.raises(Refused) as refused:
        read_message({"body": body})
    assert refused.value.status == 400


def test_the_management_api_is_found_on_aws_and_on_emulators() -> None:
    context = {"domainName": "a.execute-api.eu-west-1.amazonaws.com", "stage": "dev", "apiId": "a"}
    assert find_endpoint(context, {}) == "https://a.execute-api.eu-west-1.amazonaws.com/dev"
    emulator = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    assert find_endpoint(context, emulator) == "http://127.0.0.1:4566/_aws/execute-api/a/dev"
