"""Opening a session over REST, and what becomes of every way in which that can go wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest
import requests.auth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb import __version__
from plldb.debugger.management import ManagementClient
from plldb.errors import AccessDeniedError, EndpointError, PlldbError, SessionError
from tests.unit.fakes import Answer, LocalServer, Request, local_server

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
