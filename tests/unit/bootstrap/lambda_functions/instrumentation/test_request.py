"""The instrumentation function is asked; the reaper alone waits for what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from lambda_functions.instrumentation.awaited_requests import AwaitedInstrumentation
from lambda_functions.instrumentation.request import (
    LambdaInstrumentation,
    UnfinishedError,
    restore_request,
)

from tests.unit.fakes import client_error


class FakeLambda:
    def __init__(self, answer: dict[str, Any] | Exception | None = None) -> None:
        self.invocations: list[dict[str, Any]] = []
        self._answer = answer

    def invoke(self, **parameters: Any) -> Any:
        self.invocations.append(parameters)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_it_is_asked_without_waiting_for_the_answer() -> None:
    client = FakeLambda()
    request = restore_request("app", ["one"])
    LambdaInstrumentation(lambda: client, "instrumentation").start(request)
    (invocation,) = client.invocations
    assert json.loads(invocation.pop("Payload")) == request
    assert invocation == {"FunctionName": "instrumentation", "InvocationType": "Event"}


def test_the_reaper_learns_that_it_is_done() -> None:
    client = FakeLambda({"StatusCode": 200})
    request = restore_request("app", ["one"])
    AwaitedInstrumentation(lambda: client, "instrumentation").start(request)
    (invocation,) = client.invocations
    assert json.loads(invocation.pop("Payload")) == request
    assert invocation == {"FunctionName": "instrumentation"}


@pytest.mark.parametrize(
    "answer",
    [
        {"StatusCode": 200, "FunctionError": "Unhandled"},
        ReadTimeoutError(endpoint_url="lambda"),
        client_error("TooManyRequestsException"),
    ],
)
def test_or_that_it_is_not(answer: dict[str, Any] | Exception) -> None:
    client = FakeLambda(answer)
    with pytest.raises(UnfinishedError):
        AwaitedInstrumentation(lambda: client, "instrumentation").start(restore_request("app"))
    assert len(client.invocations) == 1


def test_what_is_refused_is_no_matter_of_time() -> None:
    client = FakeLambda(client_error("AccessDeniedException"))
    with pytest.raises(ClientError, match="AccessDenied"):
        AwaitedInstrumentation(lambda: client, "instrumentation").start(restore_request("app"))


def test_nobodys_holds_are_not_everybodys() -> None:
    assert restore_request("app", [])["holds"] == []
    assert restore_request("app")["holds"] is None


def test_the_same_request_reads_the_same() -> None:
    assert restore_request("app", {"b", "a"}) == restore_request("app", ["a", "b"])
