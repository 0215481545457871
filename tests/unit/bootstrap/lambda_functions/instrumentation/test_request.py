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
    LambdaInstrumentation(lambda: client, "instrumentation").start(restore_request("app", "one"))
    (invocation,) = client.invocations
    assert json.loads(invocation.pop("Payload")) == restore_request("app", "one")
    assert invocation == {"FunctionName": "instrumentation", "InvocationType": "Event"}
