"""Sessions and invocations over REST, and what becomes of every way in which that goes wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import requests.auth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb import __version__
from plldb.debugger.management import ManagementClient
from plldb.errors import (
    AccessDeniedError,
    EndpointError,
    InvocationError,
    PlldbError,
    SessionError,
)
from tests.unit.fakes import Answer, LocalServer, Request, local_server

T = TypeVar("T")

CREATED = Answer(201, '{"sessionId": "11111111-2222-4333-8444-555555555555"}')


class Signature(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = "signed"
        return request


def create(respond: Callable[[Request], Answer]) -> tuple[str, LocalServer]:
    with local_server(respond) as server:
        client = ManagementClient(f"{server.url}/plldb", Signature())
        try:
            return client.create_session("app"), server
        finally:
            client._http.close()


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
        with pytest.raises(EndpointError, match="refused") as raised:
            ManagementClient(url, Signature()).create_session("app")
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
@pytest.mark.parametrize("status", [200, 201, 403])
def test_an_answer_that_is_none_is_an_error_of_ours(status: int, body: str) -> None:
    error = refusal(Answer(status, body))
    assert type(error) is (AccessDeniedError if status == 403 else SessionError)
    assert error.hint


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


def talk(respond: Callable[[Request], Answer], work: Callable[[ManagementClient], T]) -> T:
    with local_server(respond) as server:
        client = ManagementClient(
            f"{server.url}/plldb", Signature(), lambda url: url.replace(INSIDE, server.url)
        )
        try:
            return work(client)
        finally:
            client._http.close()
            client._presigned.close()


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

    @pytest.mark.parametrize("status", [404, 409, 410])
    def test_nobody_waits_for_it_any_more(self, status: int) -> None:
        with pytest.raises(InvocationError, match="why"):
            answer(lambda _: Answer(status, '{"message": "why"}'), result="1")

    @pytest.mark.parametrize(("status", "kind"), [(403, AccessDeniedError), (400, SessionError)])
    def test_refused_otherwise(self, status: int, kind: type[PlldbError]) -> None:
        with pytest.raises(PlldbError) as raised:
            answer(lambda _: Answer(status, "{}"), result="1")
        assert type(raised.value) is kind


class TestPresignedUrls:
    def said(self, stack: FakeHelperStack, work: Callable[[ManagementClient], Any]) -> str:
        """All that an error says, and what led to it."""
        with pytest.raises(PlldbError) as raised:
            talk(stack.respond, work)
        texts, error = [], raised.value.with_traceback(None)
        cause: BaseException | None = error
        while cause is not None:
            texts += [str(cause), repr(cause), str(getattr(cause, "hint", ""))]
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
        return " ".join(texts)

    @pytest.mark.parametrize("status", [403, 404, 500])
    @pytest.mark.parametrize("is_upload", [True, False])
    def test_a_refusal_does_not_quote_them(self, status: int, is_upload: bool) -> None:
        stack = FakeHelperStack()
        stack.bucket_status = status
        said = self.said(stack, _upload if is_upload else _download)
        assert str(status) in said
        assert SIGNATURE not in said

    @pytest.mark.parametrize("is_upload", [True, False])
    def test_nor_does_nobody_there(self, is_upload: bool) -> None:
        stack = FakeHelperStack()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"

            def work(client: ManagementClient) -> None:
                client._reachable = lambda url: url.replace(INSIDE, nowhere)
                (_upload if is_upload else _download)(client)

            said = self.said(stack, work)
        assert nowhere in said
        assert SIGNATURE not in said

    @pytest.mark.parametrize("url", ["no-url", "http://", "ftp://h/x", "http://[bad/x"])
    @pytest.mark.parametrize("is_upload", [True, False])
    def test_nor_does_one_that_is_none(self, url: str, is_upload: bool) -> None:
        def work(client: ManagementClient) -> None:
            client._reachable = lambda _: f"{url}?{SIGNATURE}"
            (_upload if is_upload else _download)(client)

        assert SIGNATURE not in self.said(FakeHelperStack(), work)


def _upload(client: ManagementClient) -> None:
    client.answer_invocation("r-1", result="1" * 300_000, error=None)


def _download(client: ManagementClient) -> None:
    client.event_of("r-1")
