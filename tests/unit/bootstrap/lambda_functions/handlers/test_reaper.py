"""The reaper as AWS calls it, with the real boto3 and tables behind HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.invocations.dynamodb import DynamoDbInvocationStore
from lambda_functions.invocations.invocation import (
    Grant,
    Invocation,
    InvocationId,
    InvocationState,
)
from lambda_functions.sessions.dynamodb import DynamoDbSessionStore
from lambda_functions.sessions.session import Session, Status, new_session

from tests.unit.bootstrap.lambda_functions.handlers.loading import Handler, fresh_handlers
from tests.unit.fakes import Answer, FakeDynamoDb, Request, dynamodb_over_http, local_server


class Cloud:
    """Both tables, connections that are all gone, and what functions were invoked with."""

    def __init__(self) -> None:
        self.sessions, self.invocations = FakeDynamoDb(), FakeDynamoDb("RequestId")
        self.asked: list[str] = []
        self.invoked: list[tuple[str, dict[str, Any]]] = []
        self._tables = {
            "PLLDBSessions": dynamodb_over_http(self.sessions),
            "PLLDBDebugger": dynamodb_over_http(self.invocations),
        }

    def respond(self, request: Request) -> Answer:
        if "/@connections/" in request.path:
            self.asked.append(f"{request.method} {request.path.rpartition('/')[2]}")
            return Answer(410, "{}", {"x-amzn-ErrorType": "GoneException"})
        if "/functions/" in request.path:
            self.invoked.append((request.path.split("/")[-2], json.loads(request.body)))
            return Answer(202)
        body = json.loads(request.body)
        (name,) = body.get("RequestItems", [body.get("TableName")])
        return self._tables[name](request)


@pytest.fixture
def reaping(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Handler, Cloud]]:
    cloud = Cloud()
    with local_server(cloud.respond) as server:
        for name, value in {
            "PLLDB_SESSIONS_TABLE": "PLLDBSessions",
            "PLLDB_DEBUGGER_TABLE": "PLLDBDebugger",
            "PLLDB_INSTRUMENTATION_FUNCTION": "instrumentation",
            "PLLDB_CONNECTIONS_URL": f"{server.url}/_aws/execute-api/ws1/plldb",
            "PLLDB_METRICS": "true",
            "PLLDB_HELPER_STACK": "the-helper",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        with fresh_handlers(monkeypatch) as handlers:
            yield handlers["reaper"], cloud


def attached(number: int, now: float, *, ttl: int) -> Session:
    return replace(
        new_session("app", "me", now - 600),
        status=Status.ACTIVE,
        ttl=int(now) + ttl,
        connection_id=f"connection-{number}",
        connected_at=int(now) - 600,
        holds=frozenset({f"1111111{number}"}),
    )


def test_it_closes_what_is_over_and_asks_for_its_restoring(
    reaping: tuple[Handler, Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    handler, cloud = reaping
    now = time.time()
    sessions = DynamoDbSessionStore(cloud.sessions, "PLLDBSessions")
    invocations = DynamoDbInvocationStore(cloud.invocations, "PLLDBDebugger")
    # Of all but the first, the lease is not over: their connections are gone.
    ended = [attached(number, now, ttl=60 if number else -1) for number in range(5)]
    for session in ended:
        sessions.create(session)
    pending = new_session("app", "me", now)
    sessions.create(pending)
    late_id = InvocationId("late", round(now - 1, 3))
    invocations.record(Invocation(late_id, "some-session", "token#1", "Fn", now - 60, "c"))
    # Of a session that DynamoDB deleted.
    invocations.add_token("token#1", Grant("deleted", "app", "22222222"), now)

    event = {"source": "aws.events", "detail-type": "Scheduled Event"}
    assert handler(event, None) == {"reaped": 5, "stale": 1}

    for session in ended:
        found = sessions.get(session.session_id)
        assert found is not None
        assert found.status is Status.CLOSED
    assert sessions.get(pending.session_id) == pending
    late = invocations.get("late")
    assert late is not None
    assert late.state is InvocationState.EXPIRED
    looks = [f"GET connection-{number}" for number in range(1, 5)]
    assert sorted(cloud.asked) == sorted([*looks, "DELETE connection-0"])
    assert {function for function, _ in cloud.invoked} == {"instrumentation"}
    restored = [request["holds"] for _, request in cloud.invoked]
    assert restored == [["11111110"], ["22222222"]]
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["Function"] == "reaper"
