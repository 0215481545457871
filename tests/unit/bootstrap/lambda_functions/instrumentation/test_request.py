"""The instrumentation function is asked, and nobody waits for what it does."""

from __future__ import annotations

import json
from typing import Any

from lambda_functions.instrumentation.request import LambdaInstrumentation, restore_request


class FakeLambda:
    def __init__(self) -> None:
        self.invocations: list[dict[str, Any]] = []

    def invoke(self, **parameters: Any) -> None:
        self.invocations.append(parameters)


def test_it_is_asked_without_waiting_for_the_answer() -> None:
    client = FakeLambda()
    request = restore_request("app", ["one"])
    LambdaInstrumentation(lambda: client, "instrumentation").start(request)
    (invocation,) = client.invocations
    assert json.loads(invocation.pop("Payload")) == request
    assert invocation == {"FunctionName": "instrumentation", "InvocationType": "Event"}


def test_nobodys_holds_are_not_everybodys() -> None:
    assert restore_request("app", [])["holds"] == []
    assert restore_request("app")["holds"] is None


def test_the_same_request_reads_the_same() -> None:
    assert restore_request("app", {"b", "a"}) == restore_request("app", ["a", "b"])
