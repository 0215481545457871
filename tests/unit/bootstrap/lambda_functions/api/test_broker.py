"""A function hands its invocation over and waits, as long as somebody is there to answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.api import broker
from lambda_functions.api.rest import dispatch
from lambda_functions.instrumentation.request import restore_request
from lambda_functions.invocations.invocation import Answer, Grant, InvocationState
from lambda_functions.sessions.session import (
    CONNECTING_SECONDS,
    LIFETIME,
    RefreshOffer,
    Status,
    new_session,
    refresh_hash,
)
from lambda_functions.shared.ids import shortened

from tests.memory_stores import MemoryInvocationStore, MemorySessionStore
from tests.unit.fakes import FakeConnections, FakeInstrumentation

NOW = 1_800_000_000.0
CONNECTION = "L0SM9cOFvHcCIhw="
KEY = "payloads/plldb/" + "0" * 32


class FakePayloads:
    def new_upload(self) -> dict[str, str]:
        return {"key": KEY, "url": f"https://bucket/{KEY}?put"}

    def download_url(self, key: str) -> str:
        return f"https://bucket/{key}?get"

    def is_key(self, text: str) -> bool:
        return text == KEY


class FakeClock:
    """Sleeping makes time pass at once; ``at`` says what happens when."""

    def __init__(self) -> None:
        self._now = NOW
        self.pauses: list[float] = []
        self.at: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._now += seconds
        while self.at and NOW + self.at[0][0] <= self._now:
            self.at.pop(0)[1]()


class Scene:
    def __init__(self, **changes: Any) -> None:
        self.sessions = MemorySessionStore()
        self.invocations = MemoryInvocationStore()
        self.connections = FakeConnections()
        self.instrumentation = FakeInstrumentation()
        self.clock = FakeClock()
        active = {"status": Status.ACTIVE, "connection_id": CONNECTION, "instruments": True}
        self.session = replace(new_session("app", "me", NOW), **(active | changes))
        self.sessions.create(self.session)
        self.invocations.add_token("token", Grant(self.session.session_id, "app"), NOW)
        self.broker = broker.Broker(
            self.sessions,
            self.invocations,
            FakePayloads(),
            self.connections,
            self.instrumentation,
            self.clock,
        )
        self.record: dict[str, Any] = {}

    def call(
        self, route: str, body: Any = None, token: str | None = "token", request_id: str = "r"
    ) -> tuple[int, dict[str, Any]]:
        operations = {
            "POST /debug/uploads": broker.upload,
            "POST /debug/invocations": broker.invoke,
            "GET /debug/invocations/{requestId}": broker.await_answer,
            "GET /debug/session": broker.check_session,
        }
        handle = dispatch(
            {
                name: lambda e, r, _, operation=operation: operation(e, r, self.broker)
                for name, operation in operations.items()
            }
        )
        method, _, resource = route.partition(" ")
        self.record = {}
        answer = handle(
            {
                "httpMethod": method,
                "resource": resource,
                "headers": {} if token is None else {"authorization": f"Bearer {token}"},
                "pathParameters": {"requestId": request_id},
                "body": json.dumps(body),
            },
            self.record,
            NOW,
        )
        assert self.session.session_id not in json.dumps([self.record, answer])
        assert '"token"' not in json.dumps(self.record)
        return answer["statusCode"], json.loads(answer["body"])

    def invoke(self, **changes: Any) -> tuple[int, dict[str, Any]]:
        return self.call("POST /debug/invocations", INVOCATION | changes)

    def answer_after(self, seconds: float, answer: Answer) -> None:
        def give() -> None:
            assert self.invocations.answer("r", "me", answer, self.clock.now())

        self.clock.at.append((seconds, give))


INVOCATION = {
    "requestId": "r",
    "function": "Fn",
    "deadline": NOW + 900,
    "context": {"function_name": "app-Fn-1"},
    "event": '{"a": 1}',
}


class TestInvoke:
    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (Answer(result="null"), {"result": "null"}),
            (Answer(result='{"error": 1}'), {"result": '{"error": 1}'}),
            (Answer(result_key=KEY), {"resultUrl": f"https://bucket/{KEY}?get"}),
            (Answer(error={"errorType": "E"}), {"error": {"errorType": "E"}}),
        ],
    )
    def test_the_debugger_hears_of_it_and_its_answer_goes_back(
        self, answer: Answer, expected: dict[str, Any]
    ) -> None:
        scene = Scene()
        scene.answer_after(0.1, answer)
        assert scene.invoke() == (200, {"state": "answered"} | expected)
        ((connection, message),) = scene.connections.posted
        assert connection == CONNECTION
        assert message == {"type": "invocation", "sentAt": NOW} | INVOCATION
        assert scene.record["outcome"] == "answered"

    def test_a_small_event_is_not_stored(self) -> None:
        scene = Scene()
        scene.answer_after(0, Answer(result="1"))
        scene.invoke()
        found = scene.invocations.get("r")
        assert found is not None
        assert (found.event, found.owner, found.deadline) == (None, "me", NOW + 900)

    def test_one_that_does_not_fit_the_message_is_and_comes_on_request(self) -> None:
        scene = Scene()
        event = json.dumps('"' * 10_000)
        scene.answer_after(0, Answer(result="1"))
        assert scene.invoke(event=event)[0] == 200
        ((_, message),) = scene.connections.posted
        assert message["event"] is None
        found = scene.invocations.get("r")
        assert found is not None
        assert found.event == event

    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
    def test_no_message_is_too_large(self, text: str) -> None:
        scene = Scene()
        event = json.dumps(text * (31_000 // len(json.dumps(text))))
        scene.answer_after(0, Answer(result="1"))
        scene.invoke(event=event)
        ((_, message),) = scene.connections.posted
        assert len(json.dumps(message)) < 32 * 1024
        assert message["event"] in (None, event)

    def test_one_in_the_bucket_comes_by_its_key(self) -> None:
        scene = Scene()
        scene.answer_after(0, Answer(result="1"))
        assert scene.invoke(event=None, eventKey=KEY)[0] == 200
        ((_, message),) = scene.connections.posted
        assert message["event"] is None
        found = scene.invocations.get("r")
        assert found is not None
        assert (found.event, found.event_key) == (None, KEY)

    def test_one_that_is_sent_again_is_handed_over_again_while_it_waits(self) -> None:
        """Its first request may have broken off before the debugger heard of it."""
        scene = Scene()
        assert scene.invoke() == (202, {"state": "waiting"})
        scene.answer_after(scene.clock.now() - NOW + 1, Answer(result="1"))
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})
        first, second = (message for _, message in scene.connections.posted)
        assert (first["requestId"], first["deadline"]) == (second["requestId"], second["deadline"])

    def test_but_not_once_it_has_its_answer(self) -> None:
        scene = Scene()
        scene.answer_after(0, Answer(result="1"))
        for _ in range(2):
            assert scene.invoke() == (200, {"state": "answered", "result": "1"})
        assert len(scene.connections.posted) == 1

    def test_lambdas_next_try_is_another_one(self) -> None:
        scene = Scene()
        scene.answer_after(0, Answer(result="1"))
        scene.invoke()
        scene.answer_after(scene.clock.now() - NOW + 1, Answer(result="2"))
        assert scene.invoke(deadline=NOW + 800)[1]["result"] == "2"
        assert len(scene.connections.posted) == 2

    def test_who_waits_too_long_for_one_request_asks_again(self) -> None:
        scene = Scene()
        assert scene.invoke() == (202, {"state": "waiting"})
        waited = scene.clock.now() - NOW
        assert broker.WAIT_SECONDS <= waited < broker.WAIT_SECONDS + 1
        scene.answer_after(waited + 30, Answer(result="2"))
        ask_again = "GET /debug/invocations/{requestId}"
        assert scene.call(ask_again) == (202, {"state": "waiting"})
        assert scene.call(ask_again) == (200, {"state": "answered", "result": "2"})
        assert len(scene.connections.posted) == 1

    def test_the_first_looks_are_close_together_and_the_later_ones_are_not(self) -> None:
        scene = Scene()
        scene.invoke()
        pauses = scene.clock.pauses
        assert sum(pauses[:3]) < 0.03
        assert max(pauses) == pauses[-1] <= 0.25
        assert len(pauses) < 120


class TestGone:
    @pytest.mark.parametrize(
        "changes",
        [
            {"status": Status.CLOSED, "connection_id": None},
            {"status": Status.PENDING, "connection_id": None},
            {"ttl": int(NOW)},
        ],
    )
    def test_nobody_is_attached(self, changes: dict[str, Any]) -> None:
        scene = Scene(**changes)
        assert scene.invoke() == (410, {"state": "gone"})
        assert scene.call("GET /debug/session") == (410, {"state": "gone"})
        assert scene.call("POST /debug/uploads") == (410, {"state": "gone"})
        assert scene.connections.posted == []
        assert scene.invocations.get("r") is None

    def test_an_answer_that_got_lost_is_given_again_though_the_session_ended(self) -> None:
        """The debugger ran the invocation: the function must not run it as well."""
        scene = Scene()
        scene.answer_after(0.1, Answer(result="1"))
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})
        scene.sessions.close(scene.session.session_id, CONNECTION)
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})
        # Lambda's own attempt after a failed one is another invocation.
        assert scene.invoke(deadline=NOW + 901) == (410, {"state": "gone"})

    def test_but_not_to_another_session(self) -> None:
        scene = Scene()
        scene.answer_after(0.1, Answer(result="1"))
        scene.invoke()
        scene.invocations.add_token("another", Grant("87654321-gone", "app"), NOW)
        assert scene.call("POST /debug/invocations", INVOCATION, "another")[0] == 410

    @pytest.mark.parametrize("instruments", [True, False])
    def test_a_restoring_that_never_began_is_made_up_for_once(self, instruments: bool) -> None:
        scene = Scene(status=Status.CLOSED, connection_id=None, instruments=instruments)
        scene.call("GET /debug/session")
        assert scene.instrumentation.requests == []
        for _ in range(2):
            assert scene.invoke()[0] == 410
            assert scene.call("POST /debug/uploads")[0] == 410
        wanted = restore_request("app", shortened(scene.session.session_id))
        assert scene.instrumentation.requests == [wanted] * instruments

    def test_and_again_if_it_could_not_be_started_or_did_not_help(self) -> None:
        scene = Scene(status=Status.CLOSED, connection_id=None)
        start = scene.instrumentation.start

        def refuse(_: Any) -> None:
            raise ConnectionError

        scene.instrumentation.start = refuse  # type: ignore[method-assign]
        assert scene.invoke()[0] == 500
        scene.instrumentation.start = start  # type: ignore[method-assign]
        for minutes in (0, 14, 2):
            scene.clock.sleep(minutes * 60)
            assert scene.invoke()[0] == 410
        assert len(scene.instrumentation.requests) == 2

    def test_a_connection_that_broke_unheard_ends_the_session(self) -> None:
        scene = Scene()
        scene.connections.gone = {CONNECTION}
        assert scene.invoke() == (410, {"state": "gone"})
        found = scene.invocations.get("r")
        assert found is not None
        assert found.state is InvocationState.ABANDONED
        session = scene.sessions.get(scene.session.session_id)
        assert session is not None
        assert session.status is Status.CLOSED
        (request,) = scene.instrumentation.requests
        assert (request["operation"], request["connectionId"]) == ("restore", None)
        scene.invoke()
        assert len(scene.instrumentation.requests) == 1

    def test_one_whose_session_was_deleted_is_restored_too(self) -> None:
        """DynamoDB deletes a session's item once its TTL is over; its token is kept longer."""
        scene = Scene()
        scene.invocations.add_token("orphan", Grant("12345678-gone", "shop"), NOW)
        for _ in range(2):
            assert scene.call("POST /debug/invocations", INVOCATION, "orphan")[0] == 410
        assert scene.instrumentation.requests == [restore_request("shop", "12345678")]

    def test_one_that_expired_while_it_waited(self) -> None:
        scene = Scene()
        scene.clock.at.append((3, lambda: scene.invocations.expire("r", NOW + 900)))
        assert scene.invoke() == (410, {"state": "gone"})

    @pytest.mark.parametrize("how", ["closed", "expired"])
    def test_the_session_ends_while_it_waits(self, how: str) -> None:
        scene = Scene(ttl=int(NOW) + (5 if how == "expired" else LIFETIME))
        if how == "closed":
            end = scene.sessions.close
            scene.clock.at.append((5, lambda: end(scene.session.session_id, CONNECTION)))
        assert scene.invoke() == (410, {"state": "gone"})
        assert scene.clock.now() - NOW < 6.5
        found = scene.invocations.get("r")
        assert found is not None
        assert found.state is InvocationState.ABANDONED
        ask_again = scene.call("GET /debug/invocations/{requestId}")
        assert ask_again == (410, {"state": "gone"})

    def test_an_answer_of_the_last_moment_still_counts(self) -> None:
        scene = Scene()

        def answer_and_close() -> None:
            assert scene.invocations.answer("r", "me", Answer(result="1"), NOW)
            scene.sessions.close(scene.session.session_id, CONNECTION)

        scene.clock.at.append((3, answer_and_close))
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})

    def test_one_that_comes_while_it_is_given_up_counts_too(self) -> None:
        scene = Scene()
        abandon = scene.invocations.abandon

        def answer_first(request_id: str, session_id: str) -> None:
            assert scene.invocations.answer("r", "me", Answer(result="1"), NOW)
            abandon(request_id, session_id)

        scene.invocations.abandon = answer_first  # type: ignore[method-assign]
        end = scene.sessions.close
        scene.clock.at.append((3, lambda: end(scene.session.session_id, CONNECTION)))
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})


class TestMoved:
    """The session is refreshed: it moves to another connection while functions call."""

    def scene(self) -> Scene:
        scene = Scene()
        offer = RefreshOffer(refresh_hash("t"), int(NOW) + 60)
        scene.sessions.offer_refresh(scene.session.session_id, CONNECTION, offer)
        scene.answer_after(0.1, Answer(result="1"))
        return scene

    def move(self, scene: Scene, at: float = NOW) -> None:
        assert scene.sessions.refresh(scene.session.session_id, "new", refresh_hash("t"), at)

    def test_messages_go_to_the_new_connection(self) -> None:
        scene = self.scene()
        self.move(scene)
        assert scene.invoke()[0] == 200
        assert [connection for connection, _ in scene.connections.posted] == ["new"]

    def test_or_to_the_former_while_the_new_one_is_not_open_yet(self) -> None:
        scene = self.scene()
        self.move(scene)
        scene.connections.gone = {"new"}
        assert scene.invoke()[0] == 200
        assert [connection for connection, _ in scene.connections.posted] == [CONNECTION]
        session = scene.sessions.get(scene.session.session_id)
        assert session is not None
        assert session.status is Status.ACTIVE

    def test_also_if_it_moves_between_the_look_and_the_message(self) -> None:
        scene = self.scene()
        post = scene.connections.post

        def move_first(connection_id: str, message: dict[str, Any]) -> bool:
            if connection_id == CONNECTION:
                self.move(scene)
                scene.connections.gone = {CONNECTION}
            return post(connection_id, message)

        scene.connections.post = move_first  # type: ignore[method-assign]
        assert scene.invoke()[0] == 200
        assert [connection for connection, _ in scene.connections.posted] == ["new"]
        assert scene.instrumentation.requests == []

    def test_while_the_new_one_may_be_about_to_open_the_function_asks_again(self) -> None:
        """The former one may break right after the new one has taken the session."""
        scene = self.scene()
        scene.clock.at.clear()
        self.move(scene)
        scene.connections.gone = {"new", CONNECTION}
        for _ in range(3):
            status, body = scene.invoke()
            assert (status, body.keys()) == (429, {"message"})
            assert scene.record["level"] == "WARNING"
        assert scene.instrumentation.requests == []
        scene.connections.gone = {CONNECTION}
        scene.answer_after(1, Answer(result="1"))
        assert scene.invoke() == (200, {"state": "answered", "result": "1"})
        assert [connection for connection, _ in scene.connections.posted] == ["new"]

    def test_but_not_for_longer_than_connecting_takes(self) -> None:
        scene = self.scene()
        scene.clock.at.clear()
        self.move(scene)
        scene.connections.gone = {"new", CONNECTION}
        assert scene.invoke()[0] == 429
        scene.clock.sleep(CONNECTING_SECONDS)
        assert scene.invoke() == (410, {"state": "gone"})
        assert len(scene.instrumentation.requests) == 1

    def test_a_first_connection_that_is_gone_was_open_before(self) -> None:
        """Over it, the session had the function instrumented: there is nothing to wait for."""
        scene = Scene(connected_at=int(NOW))
        scene.connections.gone = {CONNECTION}
        assert scene.invoke() == (410, {"state": "gone"})
        assert len(scene.instrumentation.requests) == 1

    def test_if_both_are_gone_so_is_the_debugger(self) -> None:
        scene = self.scene()
        self.move(scene, NOW - CONNECTING_SECONDS)
        scene.connections.gone = {"new", CONNECTION}
        assert scene.invoke() == (410, {"state": "gone"})
        session = scene.sessions.get(scene.session.session_id)
        assert session is not None
        assert session.status is Status.CLOSED
        assert len(scene.instrumentation.requests) == 1

    def test_the_instrumentation_function_learns_where_it_is_now(self) -> None:
        scene = self.scene()
        for connection in (CONNECTION, "new"):
            assert scene.call("GET /debug/session") == (
                200,
                {"state": "active", "connectionId": connection},
            )
            if connection == CONNECTION:
                self.move(scene)


class TestTokens:
    ROUTES = (
        "POST /debug/uploads",
        "POST /debug/invocations",
        "GET /debug/invocations/{requestId}",
        "GET /debug/session",
    )

    @pytest.mark.parametrize("route", ROUTES)
    @pytest.mark.parametrize("token", [None, "", "wrong", "Token", "token "])
    def test_without_the_right_one_nothing_opens(self, route: str, token: str | None) -> None:
        scene = Scene()
        status, body = scene.call(route, INVOCATION, token)
        if token == "token ":
            assert status != 401
        else:
            assert (status, body) == (401, {"message": "The token is unknown."})
            assert scene.connections.posted == []

    @pytest.mark.parametrize("value", ["token", "Basic token", "Bearer", "bearer token", None])
    def test_only_the_bearer_scheme_counts(self, value: str | None) -> None:
        scene = Scene()
        answer = broker.check_session({"headers": {"Authorization": value}}, {}, scene.broker)
        assert (answer["statusCode"] == 200) is (value == "bearer token")

    def test_another_sessions_invocation_is_unknown(self) -> None:
        scene = Scene()
        other = replace(scene.session, session_id=new_session("app", "you", NOW).session_id)
        scene.sessions.create(other)
        scene.invocations.add_token("other", Grant(other.session_id, "app"), NOW)
        assert scene.invoke() == (202, {"state": "waiting"})
        ask = ("GET /debug/invocations/{requestId}", None, "other")
        assert scene.call(*ask)[0] == 404
        assert scene.call(*ask, request_id="unknown")[0] == 404
        stolen = scene.call("POST /debug/invocations", INVOCATION, "other")
        assert stolen == (410, {"state": "gone"})
        found = scene.invocations.get("r")
        assert found is not None
        assert (found.state, found.session_id) == (
            InvocationState.WAITING,
            scene.session.session_id,
        )

    def test_looking_one_up_is_needed_once(self) -> None:
        scene = Scene()
        looked_up = []
        look_up = scene.invocations.grant_of

        def counting(token: str) -> Grant | None:
            looked_up.append(token)
            return look_up(token)

        scene.invocations.grant_of = counting  # type: ignore[method-assign]
        for token in ("token", "wrong", "token", "wrong"):
            scene.call("GET /debug/session", token=token)
        assert looked_up == ["token", "wrong", "wrong"]

    def test_a_large_event_may_be_uploaded(self) -> None:
        url = f"https://bucket/{KEY}?put"
        assert Scene().call("POST /debug/uploads") == (200, {"key": KEY, "url": url})


class TestBadRequests:
    @pytest.mark.parametrize(
        "change",
        [
            {"requestId": None},
            {"requestId": ""},
            {"requestId": "a b"},
            {"requestId": "token#0"},
            {"requestId": "x" * 129},
            {"function": None},
            {"function": "no-id"},
            {"deadline": None},
            {"deadline": "1"},
            {"deadline": True},
            {"deadline": float("nan")},
            {"deadline": float("inf")},
            {"deadline": -1},
            {"context": None},
            {"context": []},
            {"event": None},
            {"event": {}},
            {"event": "x" * (broker.MAX_EVENT_BYTES + 1)},
            {"event": "ä" * (broker.MAX_EVENT_BYTES // 2 + 1)},
            {"event": "\ud800"},
            {"eventKey": KEY},
            {"event": None, "eventKey": "payloads/other/x"},
            {"event": None, "eventKey": 1},
        ],
    )
    def test_each_is_named(self, change: dict[str, Any]) -> None:
        scene = Scene()
        status, body = scene.invoke(**change)
        assert (status, body.keys()) == (400, {"message"})
        assert scene.connections.posted == []
        assert scene.invocations.get("r") is None

    def test_an_unknown_operation(self) -> None:
        assert Scene().call("GET /debug/uploads")[0] == 404
