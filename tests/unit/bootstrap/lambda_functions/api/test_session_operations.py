"""Sessions are listed, shown and closed, by whoever may see them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lambda_functions.api.close_session import Closing, close_session, close_sessions
from lambda_functions.api.get_session import get_session
from lambda_functions.api.list_sessions import list_sessions
from lambda_functions.api.rest import dispatch
from lambda_functions.instrumentation.request import restore_request
from lambda_functions.sessions.ending import Ending, UnsettledError
from lambda_functions.sessions.session import GRACE, LIFETIME, Session, Status, new_session

from tests.memory_stores import MemorySessionStore
from tests.unit.fakes import FakeConnections, FakeInstrumentation

NOW = 1_800_000_000.0
ME = "arn:aws:iam::1:user/me"
YOU = "arn:aws:iam::1:user/you"


class Scene:
    def __init__(self) -> None:
        self.store = MemorySessionStore()
        self.connections = FakeConnections()
        self.instrumentation = FakeInstrumentation()
        self.record: dict[str, Any] = {}
        self.ids: list[str] = []
        self.clock: Callable[[], float] = lambda: 0.0

    def add(self, stack: str = "app", owner: str = ME, at: float = NOW, **changes: Any) -> Session:
        session = replace(new_session(stack, owner, at), **changes)
        self.store.create(session)
        self.ids.append(session.session_id)
        return session

    def attached(self, **changes: Any) -> Session:
        given = {"status": Status.ACTIVE, "connection_id": f"c{len(self.ids)}"}
        return self.add(**given | changes)

    def instrumenting(self, **changes: Any) -> Session:
        return self.attached(**{"holds": frozenset({"11111111"})} | changes)

    def call(self, method: str, session: str | None = None, **query: Any) -> tuple[int, Any]:
        ending = Ending(self.store, self.instrumentation, self.connections)
        closing = Closing(self.store, ending, self.clock)
        operations: dict[str, Callable[..., Any]] = {
            "GET /sessions": partial(list_sessions, store=self.store),
            "DELETE /sessions": partial(close_sessions, closing=closing),
            "GET /sessions/{sessionId}": partial(get_session, store=self.store),
            "DELETE /sessions/{sessionId}": partial(close_session, closing=closing),
        }
        self.record = {}
        answer = dispatch(operations)(
            {
                "httpMethod": method,
                "resource": "/sessions" if session is None else "/sessions/{sessionId}",
                "pathParameters": None if session is None else {"sessionId": session},
                "queryStringParameters": query or None,
                "requestContext": {"identity": {"userArn": ME}},
            },
            self.record,
            NOW,
        )
        for session_id in self.ids:
            assert session_id not in json.dumps([answer, self.record])
        return answer["statusCode"], json.loads(answer["body"])

    def after(self, session: Session) -> Session:
        found = self.store.get(session.session_id)
        assert found is not None
        return found


def shown(body: Any) -> list[str]:
    return [view["session"] for view in body["sessions"]]


class TestList:
    def test_a_view(self) -> None:
        scene = Scene()
        session = scene.instrumenting(owner=YOU)
        assert scene.call("GET", stackName="app") == (
            200,
            {
                "sessions": [
                    {
                        "session": session.session_id[:8],
                        "stackName": "app",
                        "status": "ACTIVE",
                        "owner": YOU,
                        "createdAt": "2027-01-15T08:00:00.000+00:00",
                        "expiresAt": "2027-01-15T09:00:00+00:00",
                        "holds": ["11111111"],
                    }
                ]
            },
        )
        assert scene.record["outcome"] == "listed"

    def test_newest_first(self) -> None:
        scene = Scene()
        sessions = [scene.add(at=NOW + number) for number in (2, 1, 3)]
        _, body = scene.call("GET", stackName="app")
        assert shown(body) == [sessions[n].session_id[:8] for n in (2, 0, 1)]

    def test_a_pending_session_shows_to_its_owner_only(self) -> None:
        scene = Scene()
        mine, _ = scene.add(), scene.add(owner=YOU)
        assert shown(scene.call("GET", stackName="app")[1]) == [mine.session_id[:8]]

    def test_without_a_stack_those_that_are_attached(self) -> None:
        scene = Scene()
        attached = [scene.attached(), scene.attached(stack="other", owner=YOU)]
        scene.add()
        scene.add(status=Status.CLOSED)
        scene.attached(at=NOW - LIFETIME)
        assert sorted(shown(scene.call("GET")[1])) == sorted(s.session_id[:8] for s in attached)

    @pytest.mark.parametrize("query", [{}, {"stackName": "app"}])
    @pytest.mark.parametrize("limit", [1, 7, 25, 100, None])
    def test_each_session_is_on_one_page(self, query: dict[str, str], limit: int | None) -> None:
        scene = Scene()
        sessions = [scene.attached(at=NOW + number % 3) for number in range(60)]
        given = query | ({} if limit is None else {"limit": str(limit)})
        seen: list[str] = []
        token: dict[str, str] = {}
        while True:
            status, body = scene.call("GET", **given, **token)
            assert status == 200
            seen += shown(body)
            assert len(body["sessions"]) <= (limit or 50)
            if "nextToken" not in body:
                break
            token = {"nextToken": body["nextToken"]}
            told = base64.urlsafe_b64decode(body["nextToken"]).decode()
            assert not [s for s in sessions if s.session_id[:8] in told]
        assert sorted(seen) == sorted(session.session_id[:8] for session in sessions)

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    @pytest.mark.parametrize(
        "query",
        [
            {"limit": ""},
            {"limit": "0"},
            {"limit": "101"},
            {"limit": "-1"},
            {"limit": "1.5"},
            {"limit": "x"},
            {"limit": "٣"},
            {"limit": "9" * 5000},
            {"stackName": ""},
            {"stackName": "1app"},
            {"stackName": "app\n"},
            {"nextToken": ""},
            {"nextToken": "x"},
            {"nextToken": "ä"},
            {"nextToken": base64.b64encode(b"[" * 9000).decode()},
            {"nextToken": base64.b64encode(b"\xff").decode()},
            {"nextToken": base64.b64encode(b"{}").decode()},
            {"nextToken": base64.b64encode(b'[true, "x"]').decode()},
            {"nextToken": base64.b64encode(b'[1.5, "' + b"0" * 32 + b'"]').decode()},
            {"nextToken": base64.b64encode(b'[1, "' + b"0" * 32 + b'"]').decode()},
            {"nextToken": base64.b64encode(b'[-1e999, "' + b"0" * 32 + b'"]').decode()},
            {"nextToken": base64.b64encode(b'[-1, "' + b"g" * 32 + b'"]').decode()},
        ],
        ids=lambda query: str(query)[:40],
    )
    def test_parameters_that_make_no_sense(self, method: str, query: dict[str, str]) -> None:
        scene = Scene()
        session = scene.attached()
        status, body = scene.call(method, **({"stackName": "app"} | query))
        assert (status, body.keys()) == (400, {"message"})
        assert scene.after(session) == session

    @given(st.text(), st.text(), st.text())
    def test_whatever_is_asked_for(self, stack: str, limit: str, token: str) -> None:
        for method in ("GET", "DELETE"):
            query = {"stackName": stack, "limit": limit, "nextToken": token}
            assert Scene().call(method, **query)[0] == 400


class TestShow:
    def test_by_the_whole_id(self) -> None:
        scene = Scene()
        session = scene.attached(owner=YOU)
        for query in ({}, {"stackName": "app"}):
            status, body = scene.call("GET", session.session_id, **query)
            assert (status, body["session"]) == (200, session.session_id[:8])

    @pytest.mark.parametrize("length", [8, 9, 13, 14, 35])
    def test_by_its_beginning_and_its_stack(self, length: int) -> None:
        scene = Scene()
        session = scene.attached()
        prefix = session.session_id[:length]
        assert scene.call("GET", prefix, stackName="app")[0] == 200
        assert scene.call("GET", prefix, stackName="other")[0] == 404
        assert scene.call("GET", prefix)[0] == 400

    def test_what_is_not_there_or_in_another_stack(self) -> None:
        scene = Scene()
        session = scene.attached()
        assert scene.call("GET", new_session("app", ME, NOW).session_id)[0] == 404
        assert scene.call("GET", session.session_id, stackName="other")[0] == 404

    @pytest.mark.parametrize(
        "name",
        ["", "x", "1234567", "12345678x", "1234567Z", "12345678-1234-5678-1234-567812345678x"],
    )
    def test_what_can_be_no_beginning(self, name: str) -> None:
        assert Scene().call("GET", name, stackName="app")[0] == 400

    def test_a_beginning_that_several_have(self) -> None:
        scene = Scene()
        first = scene.attached()
        twin = first.session_id[:35] + ("0" if first.session_id[35] != "0" else "1")
        scene.store.create(replace(first, session_id=twin))
        status, body = scene.call("GET", first.session_id[:8], stackName="app")
        assert status == 409
        assert body["message"].startswith("2 sessions")
        assert scene.call("DELETE", first.session_id[:8], stackName="app")[0] == 409
        assert scene.call("GET", first.session_id)[0] == 200

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_another_ones_pending_session_is_not_there(self, method: str) -> None:
        scene = Scene()
        session = scene.add(owner=YOU)
        for name, query in (
            (session.session_id, {}),
            (session.session_id[:8], {"stackName": "app"}),
        ):
            assert scene.call(method, name, **query) == (
                404,
                {"message": "There is no such session."},
            )
        assert scene.after(session) == session

    def test_nor_makes_it_a_beginning_ambiguous(self) -> None:
        scene = Scene()
        mine = scene.attached()
        twin = mine.session_id[:8] + new_session("app", YOU, NOW).session_id[8:]
        scene.store.create(replace(new_session("app", YOU, NOW), session_id=twin))
        assert scene.call("GET", mine.session_id[:8], stackName="app")[0] == 200


class TestClose:
    def test_an_attached_session_is_told_by_whom_and_hung_up_on(self) -> None:
        scene = Scene()
        session = scene.attached(owner=YOU)
        status, body = scene.call("DELETE", session.session_id)
        assert (status, body["status"]) == (200, "CLOSED")
        assert scene.after(session).status is Status.CLOSED
        message = {"type": "closed", "reason": f"closed by {ME}"}
        assert scene.connections.posted == [("c0", message)]
        assert scene.connections.dropped == ["c0"]
        assert scene.instrumentation.requests == []
        assert scene.record["outcome"] == "closed"

    def test_what_it_instrumented_is_restored(self) -> None:
        scene = Scene()
        session = scene.instrumenting()
        scene.call("DELETE", session.session_id[:8], stackName="app")
        assert scene.instrumentation.requests == [restore_request("app", ["11111111"])]

    def test_also_if_its_connection_is_gone(self) -> None:
        scene = Scene()
        session = scene.instrumenting()
        scene.connections.gone = {"c0"}
        assert scene.call("DELETE", session.session_id)[0] == 200
        assert len(scene.instrumentation.requests) == 1

    def test_or_can_not_be_posted_to(self) -> None:
        scene = Scene()
        session = scene.instrumenting()

        def fail(*_: Any) -> bool:
            raise ConnectionError

        scene.connections.post = fail  # type: ignore[method-assign]
        assert scene.call("DELETE", session.session_id)[0] == 500
        assert scene.record["error"] == "ConnectionError"
        assert len(scene.instrumentation.requests) == 1
        assert scene.connections.dropped == ["c0"]

    def test_again_changes_nothing(self) -> None:
        scene = Scene()
        session = scene.instrumenting()
        first = scene.call("DELETE", session.session_id)
        assert scene.call("DELETE", session.session_id) == first
        assert scene.call("DELETE", session.session_id[:8], stackName="app") == first
        assert scene.record["outcome"] == "unchanged"
        assert len(scene.connections.dropped) == 1

    def test_again_makes_up_for_a_restoring_that_could_not_be_started(self) -> None:
        scene = Scene()
        session = scene.instrumenting()
        start = scene.instrumentation.start

        def refuse(_: Any) -> None:
            raise ConnectionError

        scene.instrumentation.start = refuse  # type: ignore[method-assign]
        assert scene.call("DELETE", session.session_id)[0] == 500
        assert scene.record["error"] == "ConnectionError"
        assert scene.after(session).status is Status.CLOSED
        # Otherwise its debugger would know of nothing, and attach again.
        message = {"type": "closed", "reason": f"closed by {ME}"}
        assert scene.connections.posted == [("c0", message)]
        assert scene.connections.dropped == ["c0"]
        scene.instrumentation.start = start  # type: ignore[method-assign]
        assert scene.call("DELETE", session.session_id)[0] == 200
        assert scene.instrumentation.requests == [restore_request("app", ["11111111"])]

    def test_a_pending_session_of_ones_own(self) -> None:
        scene = Scene()
        session = scene.add()
        assert scene.call("DELETE", session.session_id)[1]["status"] == "CLOSED"
        assert not scene.store.activate(session.session_id, "c", NOW)
        assert scene.connections.posted == []

    def test_one_that_expired_and_that_nobody_closed(self) -> None:
        scene = Scene()
        session = scene.instrumenting(at=NOW - 2 * LIFETIME)
        assert scene.call("DELETE", session.session_id)[1]["status"] == "CLOSED"
        assert len(scene.instrumentation.requests) == 1

    def test_one_that_connects_meanwhile(self) -> None:
        scene = Scene()
        session = scene.add()
        look = scene.store.get

        def connect_after(session_id: str) -> Session | None:
            found = look(session_id)
            scene.store.activate(session_id, "new", NOW)
            return found

        scene.store.get = connect_after  # type: ignore[method-assign]
        assert scene.call("DELETE", session.session_id)[1]["status"] == "CLOSED"
        assert scene.connections.dropped == ["new"]

    def test_one_that_was_replaced_by_which_functions_call_their_holder(self) -> None:
        scene = Scene()
        session, heir = scene.instrumenting(), scene.attached()
        scene.store.appoint_heir(session.session_id, heir.session_id)
        _, body = scene.call("DELETE", session.session_id[:8], stackName="app")
        assert (body["session"], body["status"]) == (heir.session_id[:8], "CLOSED")
        assert scene.connections.dropped == ["c1"]

    def test_one_that_is_never_as_it_was_seen(self) -> None:
        scene = Scene()
        session = scene.attached()
        scene.store.close = lambda *_: None  # type: ignore[method-assign]
        assert scene.call("DELETE", session.session_id)[0] == 500
        assert scene.record["error"] == UnsettledError.__name__

    def test_one_that_is_deleted_meanwhile(self) -> None:
        scene = Scene()
        session = scene.attached()

        def delete(*_: Any) -> None:
            scene.store._sessions.clear()

        scene.store.close = delete  # type: ignore[method-assign,assignment]
        assert scene.call("DELETE", session.session_id)[1]["status"] == "CLOSED"


class TestCloseAll:
    def test_page_by_page(self) -> None:
        scene = Scene()
        sessions = [scene.instrumenting(at=NOW + n % 2) for n in range(3)]
        sessions += [scene.attached(at=NOW + n % 2) for n in range(4)]
        sessions += [scene.add() for _ in range(3)]
        kept = [scene.add(owner=YOU), scene.attached(stack="other"), scene.add(stack="other")]
        counts: list[int] = []
        token: dict[str, str] = {}
        while True:
            status, body = scene.call("DELETE", stackName="app", limit="4", **token)
            assert status == 200
            counts.append(body["closed"])
            if "nextToken" not in body:
                break
            token = {"nextToken": body["nextToken"]}
        assert counts == [4, 4, 2]
        assert {scene.after(session).status for session in sessions} == {Status.CLOSED}
        assert [scene.after(session) for session in kept] == kept
        assert len(scene.instrumentation.requests) == 3
        assert len(scene.connections.dropped) == 7

    def test_a_page_is_shorter_where_closing_takes_long(self) -> None:
        scene = Scene()
        sessions = [scene.attached(at=NOW + n % 2) for n in range(50)]
        seconds = iter(range(1000))
        scene.clock = lambda: float(next(seconds))
        counts = []
        token: dict[str, str] = {}
        while True:
            _, body = scene.call("DELETE", stackName="app", **token)
            counts.append(body["closed"])
            if "nextToken" not in body:
                break
            token = {"nextToken": body["nextToken"]}
        assert sum(counts) == 50
        assert 0 not in counts
        assert len(counts) > 1
        assert {scene.after(session).status for session in sessions} == {Status.CLOSED}

    def test_those_that_may_come_back_do_not(self) -> None:
        """A debugger that is reconnecting would find its functions restored."""
        scene = Scene()
        lost = scene.instrumenting()
        scene.store.disconnect(lost.session_id, "c0", NOW)
        assert scene.after(lost).may_be_resumed(NOW + GRACE - 1)
        scene.call("DELETE", stackName="app")
        assert not scene.after(lost).may_be_resumed(NOW)
        assert scene.instrumentation.requests == [restore_request("app", ["11111111"])]

    def test_the_stack_must_be_named(self) -> None:
        scene = Scene()
        session = scene.attached()
        status, body = scene.call("DELETE")
        assert (status, "stackName" in body["message"]) == (400, True)
        assert scene.after(session) == session

    def test_nothing_is_nothing(self) -> None:
        assert Scene().call("DELETE", stackName="app") == (200, {"closed": 0})
