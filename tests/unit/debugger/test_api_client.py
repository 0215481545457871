"""Sessions over REST, and what becomes of every way in which that goes wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, TypeVar

import pytest
import requests.auth
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb import __version__
from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.debugger.api_client import ApiClient, Health, SessionView
from plldb.errors import AccessDeniedError, EndpointError, PlldbError, SessionError
from tests.unit.fakes import Answer, LocalServer, Request, count_connections, local_server

T = TypeVar("T")

CREATED = Answer(201, '{"sessionId": "11111111-2222-4333-8444-555555555555"}')
HEALTHY = Answer(200, '{"status": "ok", "tables": {}, "time": 1}')


class Signature(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "signed"
        return request


def create(respond: Callable[[Request], Answer]) -> tuple[str, LocalServer]:
    with (
        local_server(respond) as server,
        ApiClient(f"{server.url}/plldb", Signature()) as client,
    ):
        return client.create_session("app"), server


def refusal(*answers: Answer) -> PlldbError:
    """What comes of these answers, the last of them for ever."""
    left = list(answers)
    with pytest.raises(PlldbError) as raised:
        create(lambda _: left.pop(0) if len(left) > 1 else left[0])
    return raised.value


def test_a_session_is_opened_by_one_signed_request() -> None:
    session_id, server = create(lambda _: CREATED)
    assert session_id == "11111111-2222-4333-8444-555555555555"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/plldb/sessions")
    assert json.loads(request.body) == {"stackName": "app"}
    assert request.headers["authorization"] == "signed"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"plldb/{__version__}"


class TestOneStackAlone:
    """A policy may allow the paths of some stacks, and nothing else of sessions."""

    SESSION = {
        "session": "11111111",
        "stackName": "app",
        "status": "CLOSED",
        "owner": "me",
        "createdAt": "2026-11-21T09:30:00+00:00",
        "expiresAt": "2026-11-21T10:30:00+00:00",
        "holds": [],
    }

    def respond(self, request: Request) -> Answer:
        if not request.path.startswith("/plldb/stacks/app/sessions"):
            return Answer(403, '{"Message": "User is not authorized"}')
        match request.method:
            case "POST":
                return CREATED
            case "GET" if request.path.endswith("/sessions"):
                return Answer(200, json.dumps({"sessions": [self.SESSION]}))
            case "DELETE" if request.path.endswith("/sessions"):
                return Answer(200, '{"closed": 0}')
        return Answer(200, json.dumps(self.SESSION))

    def test_all_of_its_sessions_can_be_used_there(self) -> None:
        with (
            local_server(self.respond) as server,
            ApiClient(f"{server.url}/plldb", Signature()) as client,
        ):
            assert client.create_session("app").startswith("11111111")
            assert [one.session for one in client.list_sessions("app")] == ["11111111"]
            assert client.find_session("11111111", "app").stack_name == "app"
            assert client.close_session("11111111", "app").status == "CLOSED"
            assert client.close_sessions("app") == 0

    def test_of_all_others_the_first_refusal_is_told(self) -> None:
        with (
            local_server(self.respond) as server,
            ApiClient(f"{server.url}/plldb", Signature()) as client,
        ):
            for call in (
                lambda: client.create_session("other"),
                lambda: list(client.list_sessions()),
                lambda: client.close_session("11111111-2222-4333-8444-555555555555"),
            ):
                with pytest.raises(AccessDeniedError, match=r"/plldb/sessions.* was refused"):
                    call()


def test_a_vpcs_own_endpoint_is_no_lack_of_rights() -> None:
    kind = {"x-amzn-ErrorType": "ForbiddenException"}
    error = refusal(Answer(403, '{"message": "Forbidden"}', kind))
    assert type(error) is EndpointError
    assert "private DNS" in str(error.hint)


def test_all_connections_are_closed_at_the_end() -> None:
    def respond(request: Request) -> Answer:
        return HEALTHY if request.path.endswith("/health") else CREATED

    with local_server(respond) as server:
        with ApiClient(f"{server.url}/plldb", Signature()) as client:
            client.create_session("app")
            client.health()
            assert count_connections(server) == 2
        assert count_connections(server) == 0


def test_a_refused_request_says_why() -> None:
    error = refusal(Answer(400, '{"message": "stackName is missing."}'))
    assert type(error) is SessionError
    assert "400 stackName is missing." in error.message
    assert "plldb bootstrap" in str(error.hint)


@pytest.mark.parametrize("key", ["message", "Message"])
def test_missing_permission_in_both_of_api_gateways_spellings(key: str) -> None:
    error = refusal(Answer(403, json.dumps({key: "User is not authorized"})))
    assert isinstance(error, AccessDeniedError)
    assert "User is not authorized" in error.message
    assert "execute-api:Invoke" in str(error.hint)


def test_a_refusal_without_a_message_gives_its_status() -> None:
    assert "404 Not Found" in refusal(Answer(404, "<html>")).message


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    answers = [Answer(status, "{}"), CREATED]
    session_id, server = create(lambda _: answers.pop(0))
    assert session_id
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_pass_is_not(status: int) -> None:
    seen: list[Request] = []

    def respond(request: Request) -> Answer:
        seen.append(request)
        return Answer(status, "{}")

    with pytest.raises(PlldbError):
        create(respond)
    # Who may not may still do so below the stack's own path.
    assert len({request.path for request in seen}) == len(seen) == (2 if status == 403 else 1)


@pytest.mark.parametrize(("status", "hint"), [(429, "Wait a moment"), (500, "log group")])
def test_after_some_attempts_it_is_an_error_with_the_servers_reason(status: int, hint: str) -> None:
    error = refusal(Answer(status, '{"message": "busy"}'))
    assert type(error) is SessionError
    assert f"{status} busy" in error.message
    assert hint in str(error.hint)


def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/plldb"
        with (
            ApiClient(url, Signature()) as client,
            pytest.raises(EndpointError, match="refused") as raised,
        ):
            client.create_session("app")
    assert url in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>hello</html>",
        "null",
        "[]",
        '"11111111-2222-4333-8444-555555555555"',
        "{}",
        '{"sessionId": null}',
        '{"sessionId": 1}',
        '{"message": "x"}',
        "[" * 100_000,
    ],
    ids=lambda body: body[:20],
)
@pytest.mark.parametrize("status", [200, 201])
def test_an_answer_that_is_none_is_an_error_of_ours(status: int, body: str) -> None:
    error = refusal(Answer(status, body))
    assert type(error) is SessionError
    assert error.hint


@pytest.mark.parametrize("body", ["", "<html>Please sign in</html>", "null", "[]", "[" * 100_000])
def test_a_proxys_refusal_says_nothing_about_what_is_allowed(body: str) -> None:
    """It passes, as what a network does: whoever tries again after a loss goes on doing so."""
    error = refusal(Answer(403, body))
    assert type(error) is EndpointError
    assert "403" in error.message
    assert "proxy" in str(error.hint)


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(status=st.sampled_from([200, 201, 204, 400, 403, 404, 409]), body=st.text(max_size=100))
def test_whatever_is_answered(status: int, body: str) -> None:
    if status == 204:
        body = ""
    error = refusal(Answer(status, body))
    assert error.message.count("\n") == 0 or body.count("\n")


# --- Sessions -------------------------------------------------------------------------------------


def talk(respond: Callable[[Request], Answer], work: Callable[[ApiClient], T]) -> T:
    with (
        local_server(respond) as server,
        ApiClient(f"{server.url}/plldb", Signature()) as client,
    ):
        return work(client)


WHOLE_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"


def view(session: str = "0a1b2c3d", **changes: str) -> dict[str, Any]:
    return {
        "session": session,
        "stackName": "app",
        "status": "ACTIVE",
        "owner": "arn:aws:iam::1:user/eve",
        "createdAt": "2026-11-21T10:00:00.000+00:00",
        "expiresAt": "2026-11-21T11:00:00.000+00:00",
        "holds": ["0a1b2c3d", "ffffffff"],
    } | changes


def ok(body: Any) -> Answer:
    return Answer(200, json.dumps(body))


class TestSessions:
    def test_pages_are_read_as_they_are_needed(self) -> None:
        asked: list[str] = []

        def respond(request: Request) -> Answer:
            assert (request.method, request.path) == ("GET", "/plldb/sessions")
            asked.append(request.url.partition("?")[2])
            if "nextToken" in request.url:
                return ok({"sessions": [view("cccccccc")]})
            return ok({"sessions": [view("aaaaaaaa"), view("bbbbbbbb")], "nextToken": "a/b+c="})

        def work(client: ApiClient) -> list[str]:
            sessions = client.list_sessions("app")
            seen = [next(sessions).session, next(sessions).session]
            assert len(asked) == 1
            return seen + [one.session for one in sessions]

        assert talk(respond, work) == ["aaaaaaaa", "bbbbbbbb", "cccccccc"]
        assert asked == ["stackName=app", "stackName=app&nextToken=a%2Fb%2Bc%3D"]

    def test_those_of_every_stack(self) -> None:
        def respond(request: Request) -> Answer:
            assert request.url.endswith("/plldb/sessions")
            return ok({"sessions": [view()]})

        (only,) = talk(respond, lambda client: list(client.list_sessions()))
        assert only == SessionView(
            session="0a1b2c3d",
            stack_name="app",
            status="ACTIVE",
            owner="arn:aws:iam::1:user/eve",
            created_at="2026-11-21T10:00:00.000+00:00",
            expires_at="2026-11-21T11:00:00.000+00:00",
            holds=("0a1b2c3d", "ffffffff"),
        )

    @pytest.mark.parametrize(
        ("stack_name", "url"),
        [(None, "/sessions/0a1b2c3d"), ("app", "/sessions/0a1b2c3d?stackName=app")],
    )
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_one_is_found_or_closed(self, method: str, stack_name: str | None, url: str) -> None:
        def respond(request: Request) -> Answer:
            assert request.method == method
            assert request.url.endswith(f"/plldb{url}")
            return ok(view(status="CLOSED"))

        def work(client: ApiClient) -> SessionView:
            act = client.find_session if method == "GET" else client.close_session
            return act("0a1b2c3d", stack_name)

        assert talk(respond, work).status == "CLOSED"

    def test_all_of_a_stack_are_closed_page_by_page(self) -> None:
        pages = [_PAGE, {"closed": 1}, {"closed": 0}]
        asked: list[str] = []

        def respond(request: Request) -> Answer:
            assert request.method == "DELETE"
            asked.append(request.url.partition("?")[2])
            return ok(pages.pop(0))

        assert talk(respond, lambda client: client.close_sessions("app")) == 51
        assert asked == ["stackName=app", "stackName=app&nextToken=x", "stackName=app"]

    def test_one_that_moves_in_front_of_what_is_being_read_is_closed_too(self) -> None:
        """A heartbeat extends it meanwhile, and those that expire last come first."""
        sessions = ["c", "b", "a"]

        def respond(request: Request) -> Answer:
            position = request.url.partition("nextToken=")[2] or "z"
            found = next((one for one in sessions if one < position), None)
            if found is None:
                return ok({"closed": 0})
            sessions.remove(found)
            if "a" in sessions:
                sessions[sessions.index("a")] = "d"
            return ok({"closed": 1, "nextToken": found})

        assert talk(respond, lambda client: client.close_sessions("app")) == 3
        assert sessions == []

    def test_others_that_open_ever_more_do_not_keep_it_for_ever(self) -> None:
        asked: list[Request] = []

        def respond(request: Request) -> Answer:
            asked.append(request)
            return ok({"closed": 2})

        assert talk(respond, lambda client: client.close_sessions("app")) == 2 * len(asked)
        assert len(asked) == 5

    @pytest.mark.parametrize("status", [400, 404, 409])
    def test_a_refusal_says_why_and_keeps_the_id_to_itself(self, status: int) -> None:
        refused = Answer(status, '{"message": "There is no such session."}')
        with pytest.raises(SessionError, match="There is no such session") as raised:
            talk(lambda _: refused, lambda client: client.close_session(WHOLE_ID))
        assert type(raised.value) is SessionError
        assert raised.value.hint
        assert WHOLE_ID not in raised.value.message
        assert WHOLE_ID[:8] in raised.value.message

    def test_nor_is_it_quoted_from_what_api_gateway_says(self) -> None:
        said = (
            "User: arn:aws:iam::1:user/eve is not authorized to perform: execute-api:Invoke on "
            f"resource: arn:aws:execute-api:eu-west-1:1:rest1/plldb/DELETE/sessions/{WHOLE_ID}"
        )
        refused = Answer(403, json.dumps({"Message": said}))
        with pytest.raises(AccessDeniedError) as raised:
            talk(lambda _: refused, lambda client: client.close_session(WHOLE_ID))
        assert raised.value.message.endswith("/DELETE/sessions/0a1b2c3d")
        assert WHOLE_ID not in str(raised.value)

    @pytest.mark.parametrize(
        ("call", "is_told"),
        [
            (lambda client: client.close_session(WHOLE_ID), True),
            (lambda client: [*client.list_sessions()], True),
            (lambda client: client.close_session("0a1b2c3d", "app"), False),
            (lambda client: [*client.list_sessions("app")], False),
            (lambda client: client.create_session("app"), False),
        ],
    )
    def test_who_may_use_one_stack_is_told_to_name_it(self, call: Any, is_told: bool) -> None:
        with pytest.raises(AccessDeniedError) as raised:
            talk(lambda _: Answer(403, "{}"), call)
        assert ("--stack-name" in (raised.value.hint or "")) is is_told

    def test_nor_is_it_quoted_where_nobody_answers(self) -> None:
        with (
            ApiClient("http://127.0.0.1:9/plldb", Signature()) as client,
            pytest.raises(EndpointError) as raised,
        ):
            client.close_session(WHOLE_ID)
        assert WHOLE_ID not in raised.value.message

    @pytest.mark.parametrize(
        "body", [{}, {"sessions": [{}]}, {"sessions": [1]}, {"sessions": [view() | {"x": 1}]}]
    )
    def test_whatever_is_answered(self, body: Any) -> None:
        with contextlib.suppress(SessionError):
            for one in talk(lambda _: ok(body), lambda client: list(client.list_sessions())):
                assert one.session == "0a1b2c3d"

    def test_too_many_pending_ones_are_told_at_once_with_what_to_do(self) -> None:
        """The header may ask for an hour; a command does not sleep through it."""
        said = '{"message": "Stack app has 1000 sessions that nobody has connected to."}'
        error = refusal(Answer(429, said, {"Retry-After": "3600"}))
        assert type(error) is SessionError
        assert "1000 sessions" in error.message
        assert "plldb sessions list --stack-name app" in str(error.hint)


_PAGE = {"closed": 50, "nextToken": "x"}


class TestHealth:
    def health(self, answer: Answer) -> Health:
        return talk(lambda _: answer, lambda client: client.health())

    @time_machine.travel(1_000_000, tick=False)
    def test_all_is_well(self) -> None:
        tables = {"sessions": "reachable", "debugger": "reachable"}
        health = self.health(ok({"status": "ok", "time": 1_000_012.5, "tables": tables}))
        assert health == Health(True, {"sessions": True, "debugger": True}, 12.5)

    def test_what_is_unhealthy_says_so_and_is_asked_once(self) -> None:
        tables = {"sessions": "unreachable", "debugger": "reachable"}
        body = {"status": "unhealthy", "time": time.time(), "tables": tables}
        asked: list[Request] = []

        def respond(request: Request) -> Answer:
            asked.append(request)
            return Answer(503, json.dumps(body))

        health = talk(respond, lambda client: client.health())
        assert not health.is_healthy
        assert health.tables == {"sessions": False, "debugger": True}
        assert len(asked) == 1

    @pytest.mark.parametrize("status", [200, 503, 404])
    @pytest.mark.parametrize("body", ["", "{}", '{"status": "ok"}', '{"status": 1, "tables": [1]}'])
    def test_what_is_none_is_an_error(self, status: int, body: str) -> None:
        with pytest.raises(SessionError) as raised:
            self.health(Answer(status, body))
        assert raised.value.hint


# --- The clock ------------------------------------------------------------------------------------

NOW = 1_790_000_000


def refuse_by_time(request: Request) -> Answer:
    """As API Gateway does: https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html"""
    signed = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    off = signed.replace(tzinfo=UTC).timestamp() - NOW
    date = {"Date": formatdate(NOW, usegmt=True)}
    if abs(off) > 300:
        return Answer(403, '{"message": "Signature expired"}', date)
    assert request.credential_scope[1] == request.headers["x-amz-date"][:8]
    return Answer(201, CREATED.body, date)


class TestClock:
    def attempt(self, off: float, respond: Callable[[Request], Answer]) -> LocalServer:
        """Opens two sessions while the local clock is off by so many seconds."""
        target = Target(
            TargetSettings(
                "emulator", "us-east-1", emulator=EmulatorAddress("http://x", "http://x")
            )
        )
        with (
            local_server(respond) as server,
            time_machine.travel(NOW + off, tick=False),
            ApiClient(f"{server.url}/plldb", target.execute_api_auth()) as client,
        ):
            client.create_session("app")
            client.create_session("app")
        return server

    @pytest.mark.parametrize("off", [-86_400, -600, 600, 86_400])
    def test_a_request_is_signed_again_with_the_right_time_which_is_kept(self, off: int) -> None:
        assert len(self.attempt(off, refuse_by_time).requests) == 3

    @pytest.mark.parametrize("off", [-290, 0, 290])
    def test_one_that_is_nearly_right_is_taken(self, off: int) -> None:
        assert len(self.attempt(off, refuse_by_time).requests) == 2

    def test_refused_all_the_same_it_is_an_error_that_names_the_clock(self) -> None:
        def respond(_: Request) -> Answer:
            return Answer(403, "{}", {"Date": formatdate(NOW, usegmt=True)})

        with pytest.raises(AccessDeniedError) as raised:
            self.attempt(600, respond)
        assert "600 s ahead" in str(raised.value.hint)

    def test_a_missing_permission_is_not_tried_again(self) -> None:
        seen: list[Request] = []

        def respond(request: Request) -> Answer:
            seen.append(request)
            return Answer(403, "{}", {"Date": formatdate(NOW, usegmt=True)})

        with pytest.raises(AccessDeniedError) as raised:
            self.attempt(1, respond)
        assert "clock" not in str(raised.value.hint)
        assert len({request.path for request in seen}) == len(seen) == 2
