"""The reaper as AWS calls it, with the real boto3 and tables behind HTTP."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from lambda_functions.dynamodb import DynamoDbSessionStore
from lambda_functions.invocation_table import DynamoDbInvocationStore
from lambda_functions.invocations import Invocation, State
from lambda_functions.sessions import Session, Status, new_session

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
def reaping(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Cloud]]:
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
        monkeypatch.delitem(sys.modules, "lambda_functions.reaper_entry", raising=False)
        entry = importlib.import_module("lambda_functions.reaper_entry")
        try:
            yield entry, cloud
        finally:
            lambda_ = entry._reaper.instrumentation._client()
            for client in (entry._dynamodb, entry._connections, lambda_):
                client.close()
            monkeypatch.delitem(sys.modules, "lambda_functions.reaper_entry")


def vanished(number: int, now: float) -> Session:
    return replace(
        new_session("app", "me", now - 600),
        status=Status.ACTIVE,
        connection_id=f"connection-{number}",
        connected_at=int(now) - 600,
        instruments=number == 0,
    )


def test_it_closes_what_is_over_and_asks_for_its_restoring(
    reaping: tuple[Any, Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    entry, cloud = reaping
    now = time.time()
    sessions = DynamoDbSessionStore(cloud.sessions, "PLLDBSessions")
    invocations = DynamoDbInvocationStore(cloud.invocations, "PLLDBDebugger")
    ended = [vanished(number, now) for number in range(5)]
    for session in ended:
        sessions.create(session)
    pending = new_session("app", "me", now)
    sessions.create(pending)
    invocations.record(Invocation("late", "some-session", "me", "Fn", now - 60, now - 1))

    event = {"source": "aws.events", "detail-type": "Scheduled Event"}
    assert entry.handle_reaper(event, None) == {"reaped": 5, "stale": 1}

    for session in ended:
        found = sessions.get(session.session_id)
        assert found is not None
        assert found.status is Status.CLOSED
    assert sessions.get(pending.session_id) == pending
    late = invocations.get("late")
    assert late is not None
    assert late.state is State.EXPIRED
    assert sorted(cloud.asked) == [f"GET connection-{number}" for number in range(5)]
    ((function, request),) = cloud.invoked
    assert function == "instrumentation"
    assert request["operation"] == "restore"
    assert request["sessionRef"] == ended[0].session_id[:8]
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["Function"] == "reaper"
