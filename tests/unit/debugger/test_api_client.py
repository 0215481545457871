"""Sessions and invocations over REST, and what becomes of every way in which that goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
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
from plldb.debugger.invocation_runner import InvocationFinished, InvocationRunner
from plldb.debugger.protocol import Instrumented, InvocationArrived
from plldb.debugger.sources import CodeSource
from plldb.debugger.timing import Timing
from plldb.errors import (
    AccessDeniedError,
    AnsweredError,
    EndpointError,
    InvocationError,
    PlldbError,
    SessionError,
)
from tests.unit.debugger.test_attachment import FakeInvoker, greeter
from tests.unit.fakes import Answer, LocalServer, Request, count_connections, local_server

T = TypeVar("T")

CREATED = Answer(201, '{"sessionId": "11111111-2222-4333-8444-555555555555"}')


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


def test_all_connections_are_closed_at_the_end() -> None:
    stack = FakeHelperStack()
    with local_server(stack.respond) as server:
        with ApiClient(f"{server.url}/plldb", Signature(), lambda _: f"{server.url}/x") as client:
            client.answer_invocation("r-1", result="1", error=None)
            with pytest.raises(PlldbError):
                client.create_session("app")
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
    assert len(seen) == 1


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


# --- Invocations ----------------------------------------------------------------------------------

# Whoever has it can read the payload.
SIGNATURE = "X-Amz-Signature=0123456789abcdef"
INSIDE = "http://inside:4566"


class FakeHelperStack:
    """The broker's routes, and a bucket at an address that only functions know."""

    def __init__(self) -> None:
        self.events: dict[str, str] = {}
        self.objects: dict[str, str] = {}
        self.results: list[Any] = []
        self.bucket_status = 200
        self.requests: list[Request] = []

    def respond(self, request: Request) -> Answer:
        self.requests.append(request)
        if request.path.startswith("/bucket/"):
            assert "authorization" not in request.headers, "the URL itself is signed"
            if self.bucket_status != 200:
                return Answer(self.bucket_status, f"<Error>{request.url}</Error>")
            if request.method == "PUT":
                self.objects[request.path] = request.body
            return Answer(200, self.objects[request.path])
        assert request.headers["authorization"] == "signed"
        match request.method, request.path.removeprefix("/plldb/invocations/").split("/"):
            case "GET", [request_id, "event"]:
                return self._event(request_id)
            case "POST", [_, "uploads"]:
                url = f"{INSIDE}/bucket/new?{SIGNATURE}"
                return Answer(200, json.dumps({"key": "new", "url": url}))
            case "POST", [_, "result"]:
                self.results.append(json.loads(request.body))
                return Answer(200, '{"state": "answered"}')
        return Answer(404, "{}")

    def _event(self, request_id: str) -> Answer:
        if request_id in self.events:
            return Answer(200, json.dumps({"event": self.events[request_id]}))
        url = f"{INSIDE}/bucket/{request_id}?{SIGNATURE}"
        return Answer(200, json.dumps({"url": url}))


def talk(
    respond: Callable[[Request], Answer],
    work: Callable[[ApiClient], T],
    find_reachable: Callable[[str], str] | None = None,
) -> T:
    with local_server(respond) as server:
        where = find_reachable or (lambda url: url.replace(INSIDE, server.url))
        with ApiClient(f"{server.url}/plldb", Signature(), where) as client:
            return work(client)


def answer(
    respond: Callable[[Request], Answer],
    result: str | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    talk(respond, lambda client: client.answer_invocation("r-1", result=result, error=error))


class TestEvents:
    @pytest.mark.parametrize("event", ["null", "{}", '"ünï"', "x" * 100_000])
    def test_one_that_the_broker_holds(self, event: str) -> None:
        stack = FakeHelperStack()
        stack.events["r-1"] = event
        assert talk(stack.respond, lambda client: client.event_of("r-1")) == event

    @pytest.mark.parametrize("event", ["null", '"ünï"', "x" * 6_000_000])
    def test_one_that_lies_in_the_bucket(self, event: str) -> None:
        stack = FakeHelperStack()
        stack.objects["/bucket/r-1"] = event
        assert talk(stack.respond, lambda client: client.event_of("r-1")) == event

    def test_a_request_id_is_one_part_of_the_path(self) -> None:
        stack = FakeHelperStack()
        with pytest.raises(PlldbError):
            talk(stack.respond, lambda client: client.event_of("../sessions?x#y"))
        assert stack.requests[0].path == "/plldb/invocations/..%2Fsessions%3Fx%23y/event"

    @pytest.mark.parametrize("status", [404, 409, 410])
    def test_one_that_has_gone(self, status: int) -> None:
        gone = Answer(status, '{"message": "Nobody waits."}')
        with pytest.raises(InvocationError, match=f"{status} Nobody waits."):
            talk(lambda _: gone, lambda client: client.event_of("r-1"))


class TestAnswers:
    @pytest.mark.parametrize("result", ["null", "0", '""', '{"a": [1]}', '"' + "x" * 199_998 + '"'])
    def test_a_result_goes_along_with_the_request(self, result: str) -> None:
        stack = FakeHelperStack()
        answer(stack.respond, result=result)
        assert stack.results == [{"result": result}]
        assert len(stack.requests) == 1

    @pytest.mark.parametrize(
        "result", ['"' + "x" * 199_999 + '"', '"' + "ü" * 100_000 + '"', "1" * 6_000_000]
    )
    def test_a_large_one_is_uploaded(self, result: str) -> None:
        stack = FakeHelperStack()
        answer(stack.respond, result=result)
        assert stack.results == [{"resultKey": "new"}]
        assert stack.objects == {"/bucket/new": result}

    def test_an_error(self) -> None:
        error = {"errorType": "E", "errorMessage": "m", "stackTrace": ["  File x\n"]}
        stack = FakeHelperStack()
        answer(stack.respond, error=error)
        assert stack.results == [{"error": error}]

    @pytest.mark.parametrize(
        "error",
        [
            {"errorType": "E", "errorMessage": "m" * 300_000, "stackTrace": []},
            {"errorType": "E", "errorMessage": "\N{GRINNING FACE}" * 50_000, "stackTrace": []},
            {"errorType": "E", "errorMessage": "m", "stackTrace": ["x" * 1000] * 300},
        ],
        ids=["long", "wide", "deep"],
    )
    def test_of_an_enormous_error_the_caller_gets_the_beginning(self, error: Any) -> None:
        """The broker would refuse it, and the caller would wait for an answer in vain."""
        stack = FakeHelperStack()
        answer(stack.respond, error=error)
        sent = stack.results[0]["error"]
        assert sent["errorType"] == "E"
        assert error["errorMessage"].startswith(sent["errorMessage"].removesuffix("…"))
        assert sent["errorMessage"]
        assert len(json.dumps(sent)) < 200_000

    @pytest.mark.parametrize(
        ("status", "kind"), [(404, InvocationError), (409, AnsweredError), (410, InvocationError)]
    )
    def test_nobody_waits_for_it_any_more(self, status: int, kind: type[PlldbError]) -> None:
        with pytest.raises(PlldbError, match="why") as raised:
            answer(lambda _: Answer(status, '{"message": "why"}'), result="1")
        assert type(raised.value) is kind

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_what_may_pass_is_left_to_whoever_waits_for_it(self, status: int) -> None:
        """What is repeated unseen may meet its own answer, and take it for another's."""
        asked: list[Request] = []

        def respond(request: Request) -> Answer:
            asked.append(request)
            return Answer(status, '{"message": "busy"}')

        with pytest.raises(EndpointError, match=f"{status} busy") as raised:
            answer(respond, result="1")
        assert raised.value.hint
        assert len(asked) == 1

    @pytest.mark.parametrize("lost", [None, 502, 504])
    def test_one_whose_confirmation_gets_lost_has_succeeded(self, lost: int | None) -> None:
        """``lost`` is what comes instead of the confirmation; None: the connection breaks."""
        results: list[Any] = []

        def respond(request: Request) -> Answer:
            results.append(json.loads(request.body))
            if len(results) > 1:
                return Answer(409, '{"message": "It has an answer already."}')
            if lost is None:
                raise ConnectionResetError
            return Answer(lost, "{}")

        finished = talk(respond, run_an_invocation)
        assert (finished.outcome, finished.error) == ("succeeded", "")
        assert results == [{"result": '"hello"'}] * 2

    @pytest.mark.parametrize("large", [False, True])
    @pytest.mark.parametrize("body", [{}, {"url": 1, "key": 1}, {"url": None}])
    def test_an_answer_that_is_none_is_an_error_of_ours(self, body: Any, large: bool) -> None:
        def work(client: ApiClient) -> None:
            _upload(client) if large else _download(client)

        with pytest.raises(SessionError) as raised:
            talk(lambda _: ok(body), work)
        assert raised.value.hint

    @pytest.mark.parametrize(("status", "kind"), [(403, AccessDeniedError), (400, SessionError)])
    def test_refused_otherwise(self, status: int, kind: type[PlldbError]) -> None:
        with pytest.raises(PlldbError) as raised:
            answer(lambda _: Answer(status, "{}"), result="1")
        assert type(raised.value) is kind


def run_an_invocation(client: ApiClient) -> InvocationFinished:
    """One that answers with its own event."""

    async def main() -> InvocationFinished:
        finished: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sources = {"Greeter": CodeSource("Greeter", Path("/code"), None)}
        timing = Timing(first_retry=0.001, longest_retry=0.01)
        invoker: Any = FakeInvoker()
        debugging = InvocationRunner(sources, "r", invoker, client, finished.set_result, timing)
        debugging.add_function(Instrumented("Greeter", greeter()))
        debugging.start(InvocationArrived("r-1", "Greeter", time.time() + 20, {}, '"hello"'))
        try:
            return await asyncio.wait_for(finished, 10)
        finally:
            await debugging.close()

    return asyncio.run(main())


class TestPresignedUrls:
    def said(
        self,
        stack: FakeHelperStack,
        is_upload: bool,
        find_reachable: Callable[[str], str] | None = None,
    ) -> str:
        """All that an error says, and what led to it."""
        with pytest.raises(PlldbError) as raised:
            talk(stack.respond, _upload if is_upload else _download, find_reachable)
        texts, error = [], raised.value.with_traceback(None)
        cause: BaseException | None = error
        while cause is not None:
            texts += [str(cause), repr(cause), str(getattr(cause, "hint", ""))]
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        return " ".join(texts)

    def test_nothing_else_authenticates_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """S3 refuses a request with two authentications."""
        netrc = tmp_path / "netrc"
        netrc.write_text("default login eve password secret\n", "utf-8")
        monkeypatch.setenv("NETRC", str(netrc))
        stack = FakeHelperStack()
        stack.objects["/bucket/r-1"] = "{}"
        talk(stack.respond, _download)
        assert "authorization" not in stack.requests[-1].headers

    @pytest.mark.parametrize("status", [403, 404, 500])
    @pytest.mark.parametrize("is_upload", [True, False])
    def test_a_refusal_does_not_quote_them(self, status: int, is_upload: bool) -> None:
        stack = FakeHelperStack()
        stack.bucket_status = status
        said = self.said(stack, is_upload)
        assert str(status) in said
        assert SIGNATURE not in said

    @pytest.mark.parametrize("is_upload", [True, False])
    def test_nor_does_nobody_there(self, is_upload: bool) -> None:
        stack = FakeHelperStack()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"

            said = self.said(stack, is_upload, lambda url: url.replace(INSIDE, nowhere))
        assert nowhere in said
        assert SIGNATURE not in said

    @pytest.mark.parametrize("url", ["no-url", "http://", "ftp://h/x", "http://[bad/x"])
    @pytest.mark.parametrize("is_upload", [True, False])
    def test_nor_does_one_that_is_none(self, url: str, is_upload: bool) -> None:
        said = self.said(FakeHelperStack(), is_upload, lambda _: f"{url}?{SIGNATURE}")
        assert SIGNATURE not in said


def _upload(client: ApiClient) -> None:
    client.answer_invocation("r-1", result="1" * 300_000, error=None)


def _download(client: ApiClient) -> None:
    client.event_of("r-1")


# --- Sessions -------------------------------------------------------------------------------------

WHOLE_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"


def view(session: str = "0a1b2c3d", **changes: str) -> dict[str, str]:
    return {
        "session": session,
        "stackName": "app",
        "status": "ACTIVE",
        "owner": "arn:aws:iam::1:user/eve",
        "createdAt": "2026-11-21T10:00:00.000+00:00",
        "expiresAt": "2026-11-21T11:00:00.000+00:00",
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
        assert len(seen) == 1
