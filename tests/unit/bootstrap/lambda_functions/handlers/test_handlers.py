"""The handlers as AWS calls them, with the real boto3 and a table behind HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from lambda_functions.instrumentation.request import wake_request

from tests.unit.bootstrap.lambda_functions.handlers.loading import Handlers, fresh_handlers
from tests.unit.fakes import Answer, FakeDynamoDb, Request, dynamodb_over_http, local_server


class Context:
    aws_request_id = "r"


class Cloud:
    """The tables, what was posted to connections, and what the other function was asked for."""

    def __init__(self) -> None:
        self.table = FakeDynamoDb()
        self.posts: list[Request] = []
        # What becomes of the first attempt of each call to a table.
        self.fault: str | None = None
        self.asked: list[dict[str, Any]] = []
        self.woken: list[dict[str, Any]] = []
        self.invocations = FakeDynamoDb("RequestId")
        self._tables = {
            "PLLDBSessions": dynamodb_over_http(self.table),
            "PLLDBDebugger": dynamodb_over_http(self.invocations),
        }

    def respond(self, request: Request) -> Answer:
        if "/@connections/" in request.path:
            self.posts.append(request)
            return Answer(200)
        if "/functions/" in request.path:
            asked = json.loads(request.body)
            (self.woken if asked == wake_request() else self.asked).append(asked)
            return Answer(202)
        is_first = "attempt=1;" in request.headers["amz-sdk-request"]
        if is_first and self.fault == "cut":
            raise ConnectionError
        if is_first and self.fault == "throttled":
            return Answer(400, json.dumps({"__type": "x#ProvisionedThroughputExceededException"}))
        body = json.loads(request.body)
        (name,) = body.get("RequestItems", [body.get("TableName")])
        answer = self._tables[name](request)
        return Answer(500) if is_first and self.fault == "lost answer" else answer

    def calls(self) -> tuple[list[str], list[str]]:
        """Those to the tables of sessions and of invocations, since this was last asked."""
        calls = list(self.table.calls), list(self.invocations.calls)
        self.table.calls.clear()
        self.invocations.calls.clear()
        return calls

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Connections and what was posted to them, since this was last asked."""
        told = [(post.path.rpartition("/")[2], json.loads(post.body)) for post in self.posts]
        self.posts.clear()
        return told


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Handlers, Cloud]]:
    cloud = Cloud()
    with local_server(cloud.respond) as server:
        for name, value in {
            "PLLDB_HELPER_STACK": "the-helper",
            "PLLDB_SESSIONS_TABLE": "PLLDBSessions",
            "PLLDB_DEBUGGER_TABLE": "PLLDBDebugger",
            "PLLDB_INSTRUMENTATION_FUNCTION": "instrumentation",
            "PLLDB_PAYLOADS_BUCKET": "bucket",
            "PLLDB_PAYLOADS_PREFIX": "payloads/plldb/",
            "PLLDB_MAX_PENDING_SESSIONS": "1000",
            "PLLDB_MAX_REQUEST_BYTES": "8192",
            "PLLDB_MAX_MESSAGE_BYTES": "131072",
            "PLLDB_CONNECTIONS_URL": f"{server.url}/_aws/execute-api/ws1/plldb",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        with fresh_handlers(monkeypatch) as handlers:
            yield handlers, cloud


def test_a_session_lives_and_each_step_is_one_call_to_the_table(
    cloud: tuple[Handlers, Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    handlers, aws = cloud
    created = handlers["management"](
        {
            "httpMethod": "POST",
            "resource": "/sessions",
            "body": '{"stackName": "app"}',
            "requestContext": {"identity": {}},
        },
        Context(),
    )
    assert created["statusCode"] == 201
    session_id = json.loads(created["body"])["sessionId"]
    assert aws.table.calls == ["PutItem"]

    admitted = handlers["websocket"](
        {"methodArn": "arn", "queryStringParameters": {"sessionId": session_id}}, Context()
    )
    assert admitted["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert aws.table.calls[1:] == ["GetItem"]

    event = {"requestContext": {"connectionId": "c=", "authorizer": admitted["context"]}}
    assert call(handlers, "CONNECT", event) == {"statusCode": 200}
    assert aws.table.calls[2:] == ["UpdateItem"]

    close = json.dumps({"action": "close", "sessionId": session_id})
    assert call(handlers, "MESSAGE", event | {"body": close}) == {"statusCode": 200}
    assert aws.table.calls[3:] == ["UpdateItem"]
    (post,) = aws.posts
    assert post.url.endswith("/_aws/execute-api/ws1/plldb/@connections/c%3D")
    assert json.loads(post.body) == {"type": "closed"}
    assert call(handlers, "DISCONNECT", event) == {"statusCode": 200}
    assert aws.table.calls[4:] == ["UpdateItem"]

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["route"], line["outcome"]) for line in lines] == [
        ("POST /sessions", "created"),
        ("authorizer", "allowed"),
        ("$connect", "connected"),
        ("close", "closed"),
        ("$disconnect", "unchanged"),
    ]


def test_of_its_own_stack_there_is_no_session(cloud: tuple[Handlers, Cloud]) -> None:
    handlers, aws = cloud
    request = {"httpMethod": "POST", "resource": "/sessions", "requestContext": {"identity": {}}}
    answer = handlers["management"](request | {"body": '{"stackName": "the-helper"}'}, Context())
    assert answer["statusCode"] == 400
    assert aws.table.calls == []


def test_a_disconnect_that_no_authorizer_tells_of_finds_its_session_by_the_connection(
    cloud: tuple[Handlers, Cloud],
) -> None:
    handlers, aws = cloud
    session_id, event = connected(handlers, aws)
    del event["requestContext"]["authorizer"]
    assert call(handlers, "DISCONNECT", event) == {"statusCode": 200}
    assert aws.calls() == (["Query", "UpdateItem"], [])
    assert aws.table.items[session_id]["Status"] == {"S": "CLOSED"}
    assert call(handlers, "DISCONNECT", event) == {"statusCode": 200}
    assert aws.calls() == (["Query"], [])


def test_an_invocation_goes_there_and_back_in_few_calls(
    cloud: tuple[Handlers, Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    handlers, aws = cloud
    session_id, _ = connected(handlers, aws)
    say = partial(send, handlers)

    instrument = {"functions": [], "whenAbsent": "original", "takeOver": False}
    say("c=", action="instrument", sessionId=session_id, **instrument)
    assert aws.calls() == (["UpdateItem", "Query"], ["PutItem"])
    (request,) = aws.asked
    token = request["token"]

    shown = {
        "methodArn": "arn",
        "queryStringParameters": {"sessionId": session_id[:8]},
        "headers": {"Authorization": f"Bearer {token}"},
    }
    admitted = handlers["websocket"](shown, Context())
    assert admitted["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert aws.calls() == ([], ["GetItem"])
    of_function = {"requestContext": {"connectionId": "f=", "authorizer": admitted["context"]}}
    assert call(handlers, "CONNECT", of_function) == {"statusCode": 200}
    assert aws.calls() == ([], [])

    invocation: dict[str, Any] = {"requestId": "r", "deadline": time.time() + 60}
    invoke = {"function": "Fn", "acceptBefore": time.time() + 9, "context": {}, "event": "{}"}
    say("f=", action="invoke", token=token, **invoke | invocation)
    assert aws.calls() == (["GetItem"], ["GetItem", "PutItem"])
    say("f=", action="invoke", token=token, **invoke | invocation | {"requestId": "s"})
    assert aws.calls() == (["GetItem"], ["PutItem"])
    assert [(where, message["type"]) for where, message in aws.told()] == [
        ("f%3D", "accepted"),
        ("c%3D", "invocation"),
    ] * 2

    say("c=", action="claim", sessionId=session_id, **invocation)
    assert aws.calls() == ([], ["UpdateItem"])
    go = {"type": "go", "requestId": "r", "deadline": round(invocation["deadline"], 3)}
    assert aws.told() == [("c%3D", go)]
    say("c=", action="answer", sessionId=session_id, body='{"result": 1}', **invocation)
    assert aws.calls() == ([], ["UpdateItem"])
    assert [(where, message["type"]) for where, message in aws.told()] == [
        ("f%3D", "answer"),
        ("c%3D", "recorded"),
    ]

    # What is claimed and paused, the function asks for twice a minute.
    say("c=", action="claim", sessionId=session_id, **invocation | {"requestId": "s"})
    aws.calls()
    say("f=", action="await", token=token, **invocation | {"requestId": "s"})
    assert aws.calls() == (["GetItem"], ["UpdateItem"])

    assert call(handlers, "DISCONNECT", of_function) == {"statusCode": 200}
    assert aws.calls() == ([], [])
    output = capsys.readouterr().out
    assert token not in output
    assert session_id not in output


@pytest.mark.parametrize("fault", ["throttled", "cut", "lost answer"])
def test_calls_to_the_tables_that_fail_at_first_are_not_noticed(
    cloud: tuple[Handlers, Cloud], fault: str
) -> None:
    handlers, aws = cloud
    session_id, _ = connected(handlers, aws)
    say = partial(send, handlers)

    aws.fault = fault
    instrument = {"functions": [], "whenAbsent": "original", "takeOver": False}
    say("c=", action="instrument", sessionId=session_id, **instrument)
    token = aws.asked[0]["token"]
    invoke = {"function": "Fn", "acceptBefore": time.time() + 60, "context": {}, "event": "{}"}
    for request_id in ("first", "remembered"):
        id: dict[str, Any] = {"requestId": request_id, "deadline": time.time() + 60}
        say("f=", action="invoke", token=token, **invoke | id)
        say("c=", action="claim", sessionId=session_id, **id)
        say("c=", action="answer", sessionId=session_id, body='{"result": 1}', **id)
        assert [(where, message["type"]) for where, message in aws.told()] == [
            ("f%3D", "accepted"),
            ("c%3D", "invocation"),
            ("c%3D", "go"),
            ("f%3D", "answer"),
            ("c%3D", "recorded"),
        ]
    calls = aws.calls()
    # The answer to another attempt may be that all is done.
    assert len(calls[0]) >= 3
    assert len(calls[1]) >= 6


def test_the_next_invocation_goes_to_whoever_has_taken_over_meanwhile(
    cloud: tuple[Handlers, Cloud],
) -> None:
    handlers, aws = cloud
    former, event = connected(handlers, aws, "c=")
    say = partial(send, handlers)

    def invoke(request_id: str) -> list[tuple[str, str]]:
        fields = {"function": "Fn", "context": {}, "event": "{}", "requestId": request_id}
        times = {"acceptBefore": time.time() + 60, "deadline": time.time() + 60}
        say("f=", action="invoke", token=aws.asked[0]["token"], **fields | times)
        return [(where, message["type"]) for where, message in aws.told()]

    instrument = {"functions": [], "whenAbsent": "original", "takeOver": False}
    say("c=", action="instrument", sessionId=former, **instrument)
    assert invoke("first") == [("f%3D", "accepted"), ("c%3D", "invocation")]
    assert call(handlers, "DISCONNECT", event) == {"statusCode": 200}
    heir, _ = connected(handlers, aws, "d=")
    say("d=", action="resume", sessionId=heir, replaces=former)
    assert aws.told() == [("d%3D", {"type": "resumed"})]
    aws.calls()

    assert invoke("second") == [("f%3D", "accepted"), ("d%3D", "invocation")]
    assert aws.invocations.items["second"]["SessionId"] == {"S": heir}
    assert aws.calls() == (["GetItem"] * 3, ["PutItem", "GetItem", "UpdateItem"])
    assert invoke("third") == [("f%3D", "accepted"), ("d%3D", "invocation")]
    assert aws.calls() == (["GetItem"], ["PutItem"])


def test_a_session_takes_over_what_another_had(cloud: tuple[Handlers, Cloud]) -> None:
    handlers, aws = cloud
    former, event = connected(handlers, aws, "c=")
    instrument = {
        "action": "instrument",
        "sessionId": former,
        "functions": [],
        "whenAbsent": "original",
        "takeOver": False,
    }
    call(handlers, "MESSAGE", event | {"body": json.dumps(instrument)})
    heir, event = connected(handlers, aws, "d=")
    resume = json.dumps({"action": "resume", "sessionId": heir, "replaces": former})
    call(handlers, "MESSAGE", event | {"body": resume})
    assert aws.told() == [("d%3D", {"type": "resumed"})]
    assert aws.calls() == (["GetItem", "GetItem", "UpdateItem", "UpdateItem"], ["UpdateItem"])
    assert len(aws.asked) == 1
    item = aws.table.items[heir]
    assert item["Holds"] == {"SS": [former[:8]]}
    assert item["Tokens"] == aws.table.items[former]["Tokens"]
    assert aws.table.items[former]["Heir"] == {"S": heir}


def test_sessions_are_listed_shown_and_closed(cloud: tuple[Handlers, Cloud]) -> None:
    handlers, aws = cloud
    session_id, _ = connected(handlers, aws)
    request = {"requestContext": {"identity": {"userArn": "me"}}}

    def call(method: str, resource: str, **parameters: Any) -> dict[str, Any]:
        given = request | {"httpMethod": method, "resource": resource} | parameters
        answer = handlers["management"](given, Context())
        assert answer["statusCode"] == 200, answer
        body: dict[str, Any] = json.loads(answer["body"])
        return body

    of_stack = {"queryStringParameters": {"stackName": "app"}}
    named = {"pathParameters": {"sessionId": session_id}}
    (listed,) = call("GET", "/sessions")["sessions"]
    assert call("GET", "/sessions", **of_stack)["sessions"] == [listed]
    assert call("GET", "/sessions/{sessionId}", **named) == listed
    closed = call("DELETE", "/sessions/{sessionId}", **named)
    assert closed == listed | {"status": "CLOSED"}
    assert [post.method for post in aws.posts[-2:]] == ["POST", "DELETE"]
    assert call("DELETE", "/sessions", **of_stack) == {"closed": 0}


def test_health_reads_both_tables(cloud: tuple[Handlers, Cloud]) -> None:
    handlers, aws = cloud
    answer = handlers["management"]({"httpMethod": "GET", "resource": "/health"}, Context())
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["tables"] == {
        "sessions": "reachable",
        "debugger": "reachable",
    }
    assert (aws.table.calls, aws.invocations.calls) == (["GetItem"], ["GetItem"])


def call(handlers: Handlers, kind: str, event: dict[str, Any]) -> Any:
    """What the WebSocket API asks for when a connection does something of that kind."""
    context = event["requestContext"] | {"eventType": kind}
    return handlers["websocket"](event | {"requestContext": context}, Context())


def send(handlers: Handlers, connection: str, /, **message: Any) -> None:
    """A message that comes by that connection; it is taken."""
    given = {"body": json.dumps(message), "requestContext": {"connectionId": connection}}
    assert call(handlers, "MESSAGE", given) == {"statusCode": 200}


def connected(handlers: Handlers, aws: Cloud, connection: str = "c=") -> tuple[str, dict[str, Any]]:
    """An attached session's id, and the context of its events. The calls are forgotten."""
    body = {"body": '{"stackName": "app"}', "requestContext": {"identity": {"userArn": "me"}}}
    created = handlers["management"](
        body | {"httpMethod": "POST", "resource": "/sessions"}, Context()
    )
    session_id = json.loads(created["body"])["sessionId"]
    context = {"connectionId": connection, "authorizer": {"sessionId": session_id}}
    assert call(handlers, "CONNECT", {"requestContext": context}) == {"statusCode": 200}
    aws.calls()
    return session_id, {"requestContext": context}
