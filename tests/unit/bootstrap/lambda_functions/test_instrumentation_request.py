"""The instrumentation function is asked, and its client made when it is needed."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lambda_functions.instrumentation_request import LambdaInstrumentation, restore_request


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


def test_many_threads_share_one_client_which_is_made_once() -> None:
    client = FakeLambda()
    made: list[bool] = []
    second = threading.Barrier(2)

    def make_client() -> FakeLambda:
        try:
            second.wait(timeout=0.1)
            made.append(True)
        except threading.BrokenBarrierError:
            made.append(False)
        return client

    instrumentation = LambdaInstrumentation(make_client, "instrumentation")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(instrumentation.start, [restore_request("app")] * 8))
    assert made == [False], "nobody else was making one"
    assert len(client.invocations) == 8
