"""Sessions in operation: listed, shown, closed, limited, and moved between connections."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from plldb.aws import Target
from plldb.stacks import find_helper_stack

from .debugging import Debuggee, Debugger, attached, deployed, function, result
from .support import (
    DEADLINE_SECONDS,
    Backend,
    Keys,
    Plldb,
    allowed,
    ask,
    poll,
    random_name,
    user,
)

FUNCTIONS = ["Fn0", "Fn1"]


@pytest.fixture(scope="module")
def app(target: Target) -> Iterator[Debuggee]:
    with deployed(target, {name: function() for name in FUNCTIONS}) as debuggee:
        yield debuggee


@pytest.fixture(scope="module")
def other_user(target: Target) -> Iterator[tuple[str, Keys]]:
    with user(target, allowed("execute-api:Invoke")) as other:
        yield other


def pages(
    backend: Backend, method: str, keys: Keys | None = None, **query: Any
) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        response = backend.call(method, "/sessions", keys, **query, **token)
        assert response.status_code == 200, response.text
        body = response.json()
        yield body
        if "nextToken" not in body:
            return
        token = {"nextToken": body["nextToken"]}


def listed(backend: Backend, keys: Keys | None = None, **query: Any) -> list[dict[str, Any]]:
    return [view for page in pages(backend, "GET", keys, **query) for view in page["sessions"]]


async def last_words(websocket: ClientConnection) -> list[dict[str, Any]]:
    """All that comes until the connection is ended from the other side."""
    said = []
    try:
        while True:
            said.append(json.loads(await asyncio.wait_for(websocket.recv(), 30)))
    except ConnectionClosed:
        return said


class TestHealth:
    def test_it_tells_that_the_tables_answer_and_what_time_it_is(self, backend: Backend) -> None:
        before = time.time()
        response = backend.call("GET", "/health")
        assert response.status_code == 200, response.text
        body = response.json()
        assert before - 1 < body.pop("time") < time.time() + 1
        assert body == {
            "status": "ok",
            "tables": {"sessions": "reachable", "debugger": "reachable"},
        }

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/health"),
            ("GET", "/sessions"),
            ("DELETE", "/sessions"),
            ("GET", "/sessions/12345678"),
            ("DELETE", "/sessions/12345678"),
        ],
    )
    @pytest.mark.needs("iam")
    def test_like_every_operation_it_is_for_who_may_call_it(
        self, backend: Backend, nobody: Keys, method: str, path: str
    ) -> None:
        assert backend.call(method, path, nobody, stackName="app").status_code == 403


class TestList:
    def test_a_session_from_its_beginning_to_its_end(self, backend: Backend) -> None:
        stack = random_name("listed")
        session_id = backend.new_session(stack)
        item = backend.item(session_id)
        expires = datetime.fromtimestamp(int(item["TTL"]), UTC).isoformat()
        view = {
            "session": session_id[:8],
            "stackName": stack,
            "status": "PENDING",
            "owner": item["Owner"],
            "createdAt": item["CreatedAt"],
            "expiresAt": expires,
        }
        assert listed(backend, stackName=stack) == [view]
        assert session_id[:8] not in [one["session"] for one in listed(backend)]

        async def visit() -> None:
            async with backend.connect(session_id):
                assert listed(backend, stackName=stack) == [view | {"status": "ACTIVE"}]
                assert view | {"status": "ACTIVE"} in listed(backend)
                one = backend.call("GET", f"/sessions/{session_id}").json()
                assert one == view | {"status": "ACTIVE"}
                named = backend.call("GET", f"/sessions/{session_id[:8]}", stackName=stack)
                assert named.json() == one

        asyncio.run(visit())
        backend.wait_for_status(session_id, "CLOSED")
        assert listed(backend, stackName=stack) == [view | {"status": "CLOSED"}]
        assert session_id[:8] not in [one["session"] for one in listed(backend)]

    @pytest.mark.parametrize(
        ("path", "query", "status"),
        [
            ("/sessions", {"limit": "0"}, 400),
            ("/sessions", {"limit": "101"}, 400),
            ("/sessions", {"limit": "many"}, 400),
            ("/sessions", {"stackName": "no_name"}, 400),
            ("/sessions", {"stackName": "app", "nextToken": "anything"}, 400),
            ("/sessions/1234567", {"stackName": "app"}, 400),
            ("/sessions/12345678", {}, 400),
            ("/sessions/12345678", {"stackName": "app"}, 404),
            ("/sessions/12345678-1234-4234-8234-123456789012", {}, 404),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_what_makes_no_sense_or_is_not_there(
        self, backend: Backend, method: str, path: str, query: dict[str, str], status: int
    ) -> None:
        if method == "DELETE" and path == "/sessions":
            query = {"stackName": "app"} | query
        response = backend.call(method, path, **query)
        assert response.status_code == status
        assert response.json().keys() == {"message"}

    def test_a_stack_must_be_named_to_close_its_sessions(self, backend: Backend) -> None:
        assert backend.call("DELETE", "/sessions").status_code == 400

    def test_a_beginning_that_several_have(self, backend: Backend) -> None:
        stack = random_name("twins")
        items = [item(stack, f"12345678-1234-4234-8234-12345678901{n}") for n in range(2)]
        backend.put_sessions(items)
        for method in ("GET", "DELETE"):
            assert backend.call(method, "/sessions/12345678", stackName=stack).status_code == 409

    @pytest.mark.needs("iam")
    def test_another_users_pending_session_is_not_there(
        self, backend: Backend, other_user: tuple[str, Keys]
    ) -> None:
        _, keys = other_user
        stack = random_name("private")
        session_id = backend.new_session(stack)

        assert listed(backend, keys, stackName=stack) == []
        for name, query in ((session_id, {}), (session_id[:8], {"stackName": stack})):
            for method in ("GET", "DELETE"):
                response = backend.call(method, f"/sessions/{name}", keys, **query)
                assert response.status_code == 404
                assert session_id[9:] not in response.text
        closed = list(pages(backend, "DELETE", keys, stackName=stack))
        assert closed == [{"closed": 0}]
        assert backend.item(session_id)["Status"] == "PENDING"
        # Its owner sees it, and whoever is attached is seen by all.
        assert len(listed(backend, stackName=stack)) == 1

        async def visit() -> None:
            async with backend.connect(session_id):
                (view,) = listed(backend, keys, stackName=stack)
                assert view["status"] == "ACTIVE"

        asyncio.run(visit())


class TestClose:
    def test_an_attached_session_is_told_dropped_and_its_functions_restored(
        self, backend: Backend, app: Debuggee, other_user: tuple[str, Keys]
    ) -> None:
        before = app.configurations()
        arn, keys = other_user

        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument()
                path = f"/sessions/{debugger.session_id[:8]}"
                response = backend.call("DELETE", path, keys, stackName=app.name)
                assert (response.status_code, response.json()["status"]) == (200, "CLOSED")
                assert await last_words(debugger.websocket) == [
                    {"type": "closed", "reason": f"closed by {arn}"}
                ]
                again = backend.call("DELETE", path, keys, stackName=app.name)
                assert (again.status_code, again.json()) == (200, response.json())
                assert "ConnectionId" not in backend.item(debugger.session_id)

        asyncio.run(run())
        poll(lambda: app.configurations() == before, "restored")

    def test_a_pending_session_opens_nothing_any_more(self, backend: Backend) -> None:
        session_id = backend.new_session()
        assert backend.call("DELETE", f"/sessions/{session_id}").json()["status"] == "CLOSED"
        assert backend.refusal(session_id) == 403

    def test_all_of_a_stack(self, backend: Backend) -> None:
        stack = random_name("crowd")
        ids = [backend.new_session(stack) for _ in range(6)]
        bystander = backend.new_session(random_name("other"))

        async def run() -> None:
            connections = [await backend.connect(one) for one in ids[:3]]
            counts = [page["closed"] for page in pages(backend, "DELETE", stackName=stack, limit=4)]
            assert counts == [4, 2]
            for connection in connections:
                (said,) = await last_words(connection)
                assert said["type"] == "closed"

        asyncio.run(run())
        assert {backend.item(one)["Status"] for one in ids} == {"CLOSED"}
        assert backend.item(bystander)["Status"] == "PENDING"


def item(stack: str, session_id: str, *, ttl: int | None = None, **more: str) -> dict[str, Any]:
    """A session's item that no connection holds: good for being listed."""
    attributes = {
        "SessionId": session_id,
        "StackName": stack,
        "Status": "ACTIVE",
        "CreatedAt": "2026-01-01T00:00:00.000+00:00",
        "Owner": "arn:aws:iam::000000000000:root",
    }
    typed: dict[str, Any] = {name: {"S": value} for name, value in (attributes | more).items()}
    return typed | {"TTL": {"N": str(ttl or int(time.time()) + 3000)}}


def test_10_000_sessions_of_one_stack(backend: Backend) -> None:
    """Several have the same TTL, some of them more than fit on a page: pages break in between.

    For each query, MiniStack looks at every session of the stack, so this takes a minute or two.
    """
    stack = random_name("many")
    owner = backend.item(backend.new_session(stack))["Owner"]
    soonest = int(time.time()) + 1500
    # Those that have as many twins are found by a second query of the table.
    twins = [130] * 10 + [7] * 1243
    ttls = [soonest + second for second, count in enumerate(twins) for _ in range(count)][:9_999]
    ids = [f"{number:08x}-1234-4234-8234-123456789012" for number in range(9_999)]
    try:
        backend.put_sessions(
            item(stack, one, Status="PENDING", Owner=owner, ttl=ttl)
            for one, ttl in zip(ids, ttls, strict=True)
        )
        views = listed(backend, stackName=stack, limit=100)
        seen = Counter(view["session"] for view in views)
        assert set(seen.values()) == {1}
        assert len(seen) == 10_000
        assert seen.keys() >= {one[:8] for one in ids}
        expiry = [view["expiresAt"] for view in views]
        assert expiry == sorted(expiry, reverse=True)

        counts = [p["closed"] for p in pages(backend, "DELETE", stackName=stack, limit=100)]
        assert sum(counts) == 10_000
        assert list(pages(backend, "DELETE", stackName=stack)) == [{"closed": 0}]
    finally:
        backend.delete_sessions(ids)


class TestRefresh:
    def test_the_session_moves_and_functions_go_on_being_debugged(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as debugger:
                await debugger.instrument("Fn0")
                former = debugger.websocket
                backend.set_ttl(debugger.session_id, int(time.time()) + 100)
                offer = await ask(former, '{"action": "refresh"}')
                assert offer["type"] == "refresh"
                assert time.time() < offer["expires"] <= time.time() + 60
                assert offer["token"] not in json.dumps(backend.item(debugger.session_id))

                # One that is called before, and answered after.
                waiting = asyncio.create_task(asyncio.to_thread(app.invoke, "Fn0", 1))
                (invocation,) = await debugger.until("invocation")
                debugger.websocket = await backend.connect(debugger.session_id, offer["token"])
                now = backend.item(debugger.session_id)
                assert now["Status"] == "ACTIVE"
                assert int(now["TTL"]) > time.time() + 3590
                # The former connection's end, and what it still says, changes nothing.
                await ask(former, '{"action": "close"}')
                assert (await ask(former, '{"action": "heartbeat"}'))["type"] == "error"
                await former.close()
                response = debugger.post_result(invocation["requestId"], result("before"))
                assert response.status_code == 200
                assert (await waiting).json == "before"

                called = asyncio.to_thread(app.invoke, "Fn0", 2)
                served = debugger.serve(lambda *_: result("after"))
                outcome, _ = await asyncio.gather(called, served)
                assert outcome.json == "after"
                beat = await ask(debugger.websocket, '{"action": "heartbeat"}')
                assert beat["type"] == "heartbeat"
                assert backend.item(debugger.session_id)["Status"] == "ACTIVE"
                await debugger.close()
                await debugger.websocket.close()

        asyncio.run(run())
        assert not app.is_held("Fn0")

    def test_a_token_is_good_once_and_for_its_session_and_for_a_minute(
        self, backend: Backend
    ) -> None:
        session_id, other_id = backend.new_session(), backend.new_session()

        async def run() -> None:
            async with backend.connect(session_id) as one, backend.connect(other_id):
                token = (await ask(one, '{"action": "refresh"}'))["token"]
                assert await backend.try_connect(session_id) == 403
                assert await backend.try_connect(session_id, "wrong") == 403
                assert await backend.try_connect(session_id, "") in (401, 403)
                assert await backend.try_connect(other_id, token) == 403
                late = (await ask(one, '{"action": "refresh"}'))["token"]
                assert await backend.try_connect(session_id, token) == 403
                expire_offer(backend, session_id)
                assert await backend.try_connect(session_id, late) == 403

                token = (await ask(one, '{"action": "refresh"}'))["token"]
                answers = await asyncio.gather(
                    *(backend.try_connect(session_id, token) for _ in range(20))
                )
                winners = [one for one in answers if isinstance(one, ClientConnection)]
                assert len(winners) == 1
                assert [one for one in answers if one not in winners] == [403] * 19
                assert await backend.try_connect(session_id, token) == 403
                await winners[0].close()

        asyncio.run(run())
        backend.wait_for_status(session_id, "CLOSED")

    def test_of_a_closed_session_there_is_none(self, backend: Backend) -> None:
        session_id = backend.new_session()

        async def run() -> None:
            async with backend.connect(session_id) as one:
                token = (await ask(one, '{"action": "refresh"}'))["token"]
                assert (await ask(one, '{"action": "close"}'))["type"] == "closed"
                assert await backend.try_connect(session_id, token) == 403
                assert (await ask(one, '{"action": "refresh"}'))["type"] == "error"

        asyncio.run(run())


def expire_offer(backend: Backend, session_id: str) -> None:
    backend.set_attributes(session_id, RefreshExpires=int(time.time()))


def test_a_new_session_replaces_one_that_lost_its_connection(
    backend: Backend, app: Debuggee
) -> None:
    """What that one held and this one asks for is taken without a question, the rest restored."""

    async def run() -> None:
        async with attached(backend, app.name) as former:
            await former.instrument("Fn0", "Fn1")
            async with attached(backend, app.name) as debugger:
                await debugger.send(
                    action="instrument",
                    functions=["Fn0"],
                    whenAbsent="original",
                    takeOver=False,
                    replaces=former.session_id,
                )
                messages = await debugger.until("ready")
                assert [m["type"] for m in messages] == ["instrumented", "ready"]
                assert backend.item(former.session_id)["Status"] == "CLOSED"
                holder = app.configuration("Fn0")["Environment"]["PLLDB_SESSION"]
                assert holder == debugger.session_id[:8]
                assert not app.is_held("Fn1")
                assert await answered(app, debugger) == "here"

    asyncio.run(run())
    assert not app.is_held("Fn0")


async def answered(app: Debuggee, debugger: Debugger) -> Any:
    """What an invocation gives once this debugger has one.

    The first may still find an environment of the function from before it was taken.
    """
    serving = asyncio.create_task(debugger.serve(lambda *_: result("here")))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (outcome := await asyncio.to_thread(app.invoke, "Fn0", 1)).json != "here":
            assert not serving.done(), outcome
        await serving
    return outcome.json


@pytest.mark.needs("iam")
def test_another_users_session_is_not_replaced(
    backend: Backend, other_user: tuple[str, Keys]
) -> None:
    stack = random_name("replaced")
    created = backend.post_sessions({"stackName": stack}, other_user[1])
    theirs = created.json()["sessionId"]

    async def run() -> None:
        async with backend.connect(theirs), attached(backend, stack) as debugger:
            await debugger.send(
                action="instrument",
                functions=[],
                whenAbsent="original",
                takeOver=False,
                replaces=theirs,
            )
            poll(lambda: backend.item(debugger.session_id).get("Instruments"), "asked for")
            assert backend.item(theirs)["Status"] == "ACTIVE"

    asyncio.run(run())


@pytest.fixture(scope="module")
def limited(plldb: Plldb, target: Target, backend: Backend) -> Iterator[Backend]:
    """A helper stack of its own, with narrow limits."""
    name = random_name("limited")
    limits = {"MaxPendingSessions": 3, "MaxRequestBytes": 256, "MaxMessageBytes": 1024}
    parameters = [f"--parameter={key}={value}" for key, value in limits.items()]
    try:
        plldb("bootstrap", "--stack-name", name, *parameters, timeout=1800).succeeded()
        yield Backend(target, find_helper_stack(target, name))
    finally:
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=1800)


class TestLimits:
    def test_sessions_that_nobody_connects_to(self, limited: Backend) -> None:
        ids = [limited.new_session("app") for _ in range(3)]
        refused = limited.post_sessions({"stackName": "app"})
        assert refused.status_code == 429
        assert refused.json()["message"]
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        assert len(limited.sessions_of("app")) == 3
        assert limited.new_session("other")

        async def make_room() -> None:
            async with limited.connect(ids[0]):
                poll(
                    lambda: limited.post_sessions({"stackName": "app"}).status_code == 201,
                    "there is room",
                )

        asyncio.run(make_room())

    def test_the_size_of_a_request_and_of_a_message(self, limited: Backend) -> None:
        large = limited.post_sessions({"stackName": "large", "padding": "x" * 256})
        assert (large.status_code, large.json()["message"]) == (400, "The body is over 256 bytes.")
        session_id = limited.new_session("large")

        async def talk() -> None:
            async with limited.connect(session_id) as websocket:
                message = json.dumps({"action": "heartbeat", "padding": "x" * 1024})
                answer = await ask(websocket, message)
                assert (answer["type"], answer["code"]) == ("error", "bad_request")
                assert "over 1024 bytes" in answer["message"]
                assert (await ask(websocket, '{"action": "heartbeat"}'))["type"] == "heartbeat"

        asyncio.run(talk())
