"""Sessions in operation: listed, shown, closed, limited, and replaced by others."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from lambda_functions.sessions.session import LEASE
from requests_aws4auth import AWS4Auth
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from plldb.aws import Target
from plldb.stacks import find_helper_stack

from .debugging import (
    Debuggee,
    Debugger,
    Outcome,
    attached,
    deployed,
    end_grace,
    function,
    result,
)
from .support import (
    DEADLINE_SECONDS,
    Backend,
    Keys,
    Plldb,
    allowed,
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
    backend: Backend,
    method: str,
    keys: Keys | None = None,
    late: list[str] | None = None,
    **query: Any,
) -> Iterator[dict[str, Any]]:
    """Each is asked for again while a busy emulator takes longer for it than the function has.

    ``late`` gets what was answered then.
    """
    token: dict[str, str] = {}
    until = time.monotonic() + DEADLINE_SECONDS
    while True:
        response = backend.call(method, "/sessions", keys, **query, **token)
        if "Task timed out" in response.text and time.monotonic() < until:
            if late is not None:
                late.append(response.text)
            continue
        until = time.monotonic() + DEADLINE_SECONDS
        assert response.status_code == 200, response.text
        body = response.json()
        yield body
        if "nextToken" not in body:
            return
        token = {"nextToken": body["nextToken"]}


def listed(backend: Backend, keys: Keys | None = None, **query: Any) -> list[dict[str, Any]]:
    return [view for page in pages(backend, "GET", keys, **query) for view in page["sessions"]]


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


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
        view = {
            "session": session_id[:8],
            "stackName": stack,
            "status": "PENDING",
            "owner": item["Owner"],
            "createdAt": item["CreatedAt"],
            "expiresAt": moment(int(item["TTL"])),
            "holds": [],
        }
        assert listed(backend, stackName=stack) == [view]
        assert session_id[:8] not in [one["session"] for one in listed(backend)]

        async def visit() -> None:
            began = time.time()
            async with backend.connect(session_id):
                ttl = int(backend.item(session_id)["TTL"])
                assert began + LEASE - 10 < ttl <= time.time() + LEASE
                lease = {"status": "ACTIVE", "expiresAt": moment(ttl)}
                assert listed(backend, stackName=stack) == [view | lease]
                assert view | lease in listed(backend)
                one = backend.call("GET", f"/sessions/{session_id}").json()
                assert one == view | lease
                named = backend.call("GET", f"/sessions/{session_id[:8]}", stackName=stack)
                assert named.json() == one

        asyncio.run(visit())
        grace = moment(int(backend.wait_for_status(session_id, "CLOSED")["TTL"]))
        closed = view | {"status": "CLOSED", "expiresAt": grace}
        assert listed(backend, stackName=stack) == [closed]
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
        before = app.as_deployed
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
            connections = [await backend.connected(one) for one in ids[:3]]
            late: list[str] = []
            closing = pages(backend, "DELETE", late=late, stackName=stack, limit=4)
            counts = [page["closed"] for page in closing]
            # What a request that timed out has closed is in no count.
            assert counts == [4, 2] or late
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

        late: list[str] = []
        closing = pages(backend, "DELETE", late=late, stackName=stack, limit=100)
        closed = sum(page["closed"] for page in closing)
        # What a request that timed out has closed is in no count.
        assert closed == 10_000 or (late and closed < 10_000)
        assert list(pages(backend, "DELETE", stackName=stack)) == [{"closed": 0}]
    finally:
        backend.delete_sessions(ids)


class TestResume:
    """A session takes the place of another one of the same debugger: no function is changed."""

    @pytest.mark.parametrize("loses", [True, False], ids=["after a loss", "before one"])
    def test_what_the_former_held_is_held_by_it_and_no_function_is_updated(
        self, backend: Backend, app: Debuggee, loses: bool
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as former:
                await former.instrument()
                revisions = [app.found(name)["RevisionId"] for name in FUNCTIONS]
                if loses:
                    await former.cut_off()
                async with attached(backend, app.name) as debugger:
                    for _ in range(2):
                        assert await debugger.resume(former.session_id) == {"type": "resumed"}
                    assert backend.item(former.session_id)["Status"] == "CLOSED"
                    for name in FUNCTIONS:
                        outcome = await answered(app, name, debugger)
                        assert outcome.json == f"{name} by {debugger.session_id}"
                    assert [app.found(name)["RevisionId"] for name in FUNCTIONS] == revisions
                    if not loses:
                        beat = await former.ask(action="heartbeat")
                        assert (beat["type"], beat["code"]) == ("error", "session_closed")
                    backend.reap()
                    restored = await debugger.close()
                    assert len(restored) == len(FUNCTIONS) + 1

        with backend.reaper_off():
            asyncio.run(run())
        assert not any(app.is_held(name) for name in FUNCTIONS)

    def test_it_is_inherited_from_one_to_the_next(self, backend: Backend, app: Debuggee) -> None:
        async def run() -> None:
            async with AsyncExitStack() as stack:
                first = debugger = await stack.enter_async_context(attached(backend, app.name))
                await debugger.instrument("Fn0")
                for _ in range(4):
                    former = debugger
                    debugger = await stack.enter_async_context(attached(backend, app.name))
                    assert await debugger.resume(former.session_id) == {"type": "resumed"}
                # Whoever was told of no heir may ask for what the first one held, as well.
                last = await stack.enter_async_context(attached(backend, app.name))
                assert await last.resume(first.session_id) == {"type": "resumed"}
                outcome = await answered(app, "Fn0", last)
                assert outcome.json == f"Fn0 by {last.session_id}"

        asyncio.run(run())
        assert not app.is_held("Fn0")

    def test_what_is_to_be_instrumented_besides_is_its_own(
        self, backend: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(backend, app.name) as former:
                await former.instrument("Fn0")
                revision = app.found("Fn0")["RevisionId"]
                async with attached(backend, app.name) as debugger:
                    assert await debugger.resume(former.session_id) == {"type": "resumed"}
                    messages = await debugger.instrument("Fn0", "Fn1")
                    assert messages[-1]["instrumented"] == 2
                    assert app.found("Fn0")["RevisionId"] == revision
                    for name in FUNCTIONS:
                        outcome = await answered(app, name, debugger)
                        assert outcome.json == f"{name} by {debugger.session_id}"

        asyncio.run(run())
        assert not any(app.is_held(name) for name in FUNCTIONS)

    @pytest.mark.parametrize("way", ["closed", "expired", "never", "pending", "elsewhere"])
    def test_what_is_over_or_was_never_there_is_not_resumed(
        self, backend: Backend, app: Debuggee, way: str
    ) -> None:
        async def over(former: Debugger) -> str:
            match way:
                case "closed":
                    await former.close()
                case "expired":
                    await former.instrument("Fn0")
                    await former.cut_off()
                    end_grace(backend, former.session_id)
                    backend.reap()
                case "never":
                    return str(uuid.uuid4())
                case "pending":
                    return backend.new_session(app.name)
            return former.session_id

        async def run() -> None:
            stack = random_name("other") if way == "elsewhere" else app.name
            async with attached(backend, stack) as former, attached(backend, app.name) as debugger:
                session_id = await over(former)
                assert await debugger.resume(session_id) == {"type": "expired"}
                messages = await debugger.instrument("Fn0")
                assert messages[-1]["instrumented"] == 1
                assert (
                    await answered(app, "Fn0", debugger)
                ).json == f"Fn0 by {debugger.session_id}"

        asyncio.run(run())
        poll(lambda: not app.is_held("Fn0"), "restored")

    @pytest.mark.needs("iam")
    def test_another_users_session_is_not(
        self, backend: Backend, app: Debuggee, other_user: tuple[str, Keys]
    ) -> None:
        created = backend.post_sessions({"stackName": app.name}, other_user[1])
        theirs = created.json()["sessionId"]

        async def run() -> None:
            async with backend.connect(theirs), attached(backend, app.name) as debugger:
                assert await debugger.resume(theirs) == {"type": "expired"}
                assert backend.item(theirs)["Status"] == "ACTIVE"

        asyncio.run(run())

    @pytest.mark.needs("iam")
    def test_but_one_of_the_same_role_is_whatever_its_credentials_are_called(
        self, backend: Backend, target: Target
    ) -> None:
        """Whoever renews them gets another session name, each time."""
        stack = random_name("renewed")

        async def run(sessions: list[str]) -> None:
            former, debugger, stranger = [
                Debugger(backend, one, await backend.connect(one)) for one in sessions
            ]
            assert await stranger.resume(former.session_id) == {"type": "expired"}
            assert await debugger.resume(former.session_id) == {"type": "resumed"}
            for one in (former, debugger, stranger):
                await one.websocket.close()

        with role(target) as mine, role(target) as theirs:
            names = [(mine, "monday"), (mine, "tuesday"), (theirs, "monday")]
            sessions = [as_role(backend, *name, stack) for name in names]
            owners = {backend.item(one)["Owner"] for one in sessions}
            assert len(owners) == 3
            asyncio.run(run(sessions))


async def answered(app: Debuggee, name: str, debugger: Debugger) -> Outcome:
    """What an invocation gives that this debugger answers."""

    def handle(message: dict[str, Any], _: Any) -> dict[str, Any]:
        return result(f"{message['function']} by {debugger.session_id}")

    outcome, _ = await asyncio.gather(
        asyncio.to_thread(app.invoke, name, 1), debugger.serve(handle)
    )
    return outcome


@contextmanager
def role(target: Target) -> Iterator[str]:
    """The ARN of a role that may call every API, and that everybody may take."""
    iam, name = target.client("iam"), random_name("developers")
    principal = {"AWS": f"arn:{target.partition}:iam::{target.account_id}:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    arn = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": trust}),
    )["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": allowed("execute-api:Invoke")}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    try:
        yield str(arn)
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="all")
        iam.delete_role(RoleName=name)


def as_role(backend: Backend, role: str, name: str, stack: str) -> str:
    """The id of a session that was created with the role's credentials of that name."""
    sts = backend.target.client("sts")
    given = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
    auth = AWS4Auth(
        given["AccessKeyId"],
        given["SecretAccessKey"],
        backend.target.region,
        "execute-api",
        session_token=given["SessionToken"],
    )
    response = backend.post_unsigned(json.dumps({"stackName": stack}).encode(), auth)
    assert response.status_code == 201, response.text
    return str(response.json()["sessionId"])


@pytest.fixture(scope="module")
def limited(plldb: Plldb, target: Target, backend: Backend) -> Iterator[Backend]:
    """A helper stack of its own, with narrow limits."""
    name = random_name("limited")
    limits = {
        "MaxPendingSessions": 3,
        "MaxRequestBytes": 256,
        "MaxMessageBytes": 32000,
        "MaxWaitingInvocations": 2,
    }
    parameters = [f"--parameter={key}={value}" for key, value in limits.items()]
    try:
        plldb("bootstrap", "--stack-name", name, *parameters, timeout=1800).succeeded()
        yield Backend(target, find_helper_stack(target, name))
    finally:
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=1800)


class TestLimits:
    def test_sessions_that_nobody_connects_to(self, limited: Backend) -> None:
        def ask() -> list[requests.Response]:
            """One answer, unless it says yes, or that a busy helper stack has failed."""
            answer = limited.post_sessions({"stackName": "app"})
            return [] if answer.status_code == 201 or answer.status_code >= 500 else [answer]

        (refused,) = poll(ask, "one is refused")
        assert refused.status_code == 429
        assert refused.json()["message"]
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        ids = [session["SessionId"] for session in limited.sessions_of("app")]
        assert len(ids) == 3
        assert limited.new_session("other")

        async def make_room() -> None:
            async with await limited.connected(ids[0]):
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
                debugger = Debugger(limited, session_id, websocket)
                answer = await debugger.ask(action="heartbeat", padding="x" * 32000)
                assert (answer["type"], answer["code"]) == ("error", "bad_request")
                assert "over 32000 bytes" in answer["message"]
                assert (await debugger.ask(action="heartbeat"))["type"] == "heartbeat"

        asyncio.run(talk())

    def test_the_debugger_is_told_how_many_invocations_may_wait(
        self, limited: Backend, app: Debuggee
    ) -> None:
        async def run() -> None:
            async with attached(limited, app.name) as debugger:
                assert (await debugger.instrument("Fn0"))[-1]["maxWaiting"] == 2

        asyncio.run(run())
