"""One JSON line on stdout for each invocation, with nothing in it that is secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lambda_functions import connection, management
from lambda_functions.authorizer import authorize
from lambda_functions.log import logged
from lambda_functions.memory import MemorySessionStore

from tests.unit.fakes import FakeInstrumentation


class Context:
    aws_request_id = "the-request"


def only_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.endswith("\n")
    (line,) = captured.out.splitlines()
    record = json.loads(line)
    assert isinstance(record, dict)
    return record


def test_the_line_and_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any]) -> Any:
        record["outcome"] = "done"
        return event["x"]

    assert logged("GET /x", handle)({"x": 42}, Context()) == 42
    record = only_line(capsys)
    assert record.pop("durationMs") >= 0
    assert record == {
        "level": "INFO",
        "route": "GET /x",
        "outcome": "done",
        "requestId": "the-request",
    }


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("secret"), SystemExit("secret")])
def test_an_exception_is_logged_by_its_type_and_goes_on(
    capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any]) -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        logged("x", handle)({"body": "secret"}, Context())
    assert raised.value is error
    record = only_line(capsys)
    assert (record["level"], record["error"]) == ("ERROR", type(error).__name__)
    assert record["outcome"] == "error"
    assert "secret" not in json.dumps(record)


def test_text_with_line_ends_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(event: dict[str, Any], record: dict[str, Any]) -> Any:
        record["reason"] = "a\nb\u2028c\ud800"

    logged("x", handle)({}, Context())
    assert only_line(capsys)["reason"] == "a\nb\u2028c\ud800"


def test_it_works_without_a_context(capsys: pytest.CaptureFixture[str]) -> None:
    logged("x", lambda event, record: None)({}, None)
    assert only_line(capsys)["requestId"] is None


def test_a_whole_life_is_logged_without_one_whole_id(capsys: pytest.CaptureFixture[str]) -> None:
    store, now, connection_id = MemorySessionStore(), 1_800_000_000.0, "L0SM9cOFvHcCIhw="
    none = FakeInstrumentation()
    create = logged("create", lambda e, r: management.create_session(e, r, store, now))
    admit = logged("authorizer", lambda e, r: authorize(e, r, store, now))
    connect = logged("connect", lambda e, r: connection.connect(e, r, store, now))
    disconnect = logged("disconnect", lambda e, r: connection.disconnect(e, r, store, none))

    created = create(
        {"body": '{"stackName": "app"}', "requestContext": {"identity": {}}}, Context()
    )
    session_id = json.loads(created["body"])["sessionId"]
    question = {"methodArn": "arn", "queryStringParameters": {"sessionId": session_id}}
    context = admit(question, Context())["context"]
    event = {"requestContext": {"connectionId": connection_id, "authorizer": context}}
    for handler in (connect, connect, disconnect, disconnect):
        handler(event, Context())
    admit(question, Context())

    output = capsys.readouterr().out
    outcomes = [json.loads(line)["outcome"] for line in output.splitlines()]
    assert outcomes == [
        "created",
        "allowed",
        "connected",
        "refused",
        "closed",
        "unchanged",
        "denied",
    ]
    assert output.count(session_id[:8]) == len(outcomes)
    assert session_id not in output
    assert connection_id not in output
