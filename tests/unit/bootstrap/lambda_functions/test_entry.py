"""The handlers as AWS calls them, with the real boto3 and a table behind HTTP."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.fakes import Answer, FakeDynamoDb, Request, dynamodb_over_http, local_server


class Context:
    aws_request_id = "r"


class Cloud:
    """The table, what was posted to connections, and how many HTTP requests it took."""

    def __init__(self) -> None:
        self.table = FakeDynamoDb()
        self.posts: list[Request] = []
        self._dynamodb = dynamodb_over_http(self.table)

    def respond(self, request: Request) -> Answer:
        if "/@connections/" in request.path:
            self.posts.append(request)
            return Answer(200)
        return self._dynamodb(request)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Cloud]]:
    cloud = Cloud()
    with local_server(cloud.respond) as server:
        for name, value in {
            "PLLDB_SESSIONS_TABLE": "PLLDBSessions",
            "PLLDB_DEBUGGER_TABLE": "PLLDBDebugger",
            "PLLDB_INSTRUMENTATION_FUNCTION": "instrumentation",
            "PLLDB_CONNECTIONS_URL": f"{server.url}/_aws/execute-api/ws1/plldb",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delitem(sys.modules, "lambda_functions.entry", raising=False)
        entry = importlib.import_module("lambda_functions.entry")
        try:
            yield entry, cloud
        finally:
            entry._store._client.close()
            monkeypatch.delitem(sys.modules, "lambda_functions.entry")


def test_a_session_lives_and_each_step_is_one_call_to_the_table(
    cloud: tuple[Any, Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    entry, aws = cloud
    created = entry.handle_management(
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

    admitted = entry.handle_authorizer(
        {"methodArn": "arn", "queryStringParameters": {"sessionId": session_id}}, Context()
    )
    assert admitted["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert aws.table.calls[1:] == ["GetItem"]

    event = {"requestContext": {"connectionId": "c=", "authorizer": admitted["context"]}}
    assert entry.handle_connect(event, Context()) == {"statusCode": 200}
    assert aws.table.calls[2:] == ["UpdateItem"]

    assert entry.handle_message(event | {"body": '{"action": "close"}'}, Context()) == {
        "statusCode": 200
    }
    assert aws.table.calls[3:] == ["UpdateItem"]
    (post,) = aws.posts
    assert post.url.endswith("/_aws/execute-api/ws1/plldb/@connections/c%3D")
    assert json.loads(post.body) == {"type": "closed"}
    entry._connections()._client.close()

    assert entry.handle_disconnect(event, Context()) == {"statusCode": 200}
    assert aws.table.calls[4:] == ["UpdateItem"]

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["route"], line["outcome"]) for line in lines] == [
        ("POST /sessions", "created"),
        ("authorizer", "allowed"),
        ("$connect", "connected"),
        ("message", "closed"),
        ("$disconnect", "unchanged"),
    ]
