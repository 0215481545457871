"""Taking instrumentation off without a session."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from plldb.debugger.restoring import Restoration, restore
from plldb.errors import AccessDeniedError, PlldbError, StackError
from tests.unit.fakes import FakeTarget, client_error

OUTPUTS = {
    "ManagementApiId": "rest1",
    "ManagementApiUrl": "https://x/plldb",
    "WebSocketApiId": "ws1",
    "WebSocketUrl": "wss://x/plldb",
    "SessionsTableName": "s",
    "DebuggerTableName": "d",
    "InstrumentationFunctionName": "helper-instrument",
}


class FakeLambda:
    """Lambda with one function, which answers with ``payload``."""

    def __init__(self, payload: Any, error: str | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.refusal: Exception | None = None
        self._answer: dict[str, Any] = {} if error is None else {"FunctionError": error}
        self._payload = payload

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append((FunctionName, json.loads(Payload)))
        if self.refusal is not None:
            raise self.refusal
        return self._answer | {"Payload": io.BytesIO(json.dumps(self._payload).encode())}


class Target(FakeTarget):
    def __init__(self, functions: FakeLambda, *deployed: str) -> None:
        super().__init__()
        self._functions = functions
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()]
        for name in deployed:
            self.cloudformation.add(
                name, "CREATE_COMPLETE", Outputs=outputs if name == "helper" else []
            )

    def client(self, service: str) -> Any:
        return self._functions if service == "lambda" else super().client(service)

    def patient_client(self, service: str, seconds: int) -> Any:
        return self.client(service)


def run(functions: FakeLambda, *deployed: str) -> Restoration:
    return restore(Target(functions, *deployed), "app", "helper")  # type: ignore[arg-type]


def refusal(functions: FakeLambda, *deployed: str) -> PlldbError:
    with pytest.raises(PlldbError) as raised:
        run(functions, *deployed)
    return raised.value


def test_it_asks_the_helper_stack_for_all_of_the_stack_whoever_instrumented_it() -> None:
    functions = FakeLambda({"restored": ["A", "B"], "failed": {"C": "it was deleted"}})
    assert run(functions, "app", "helper") == Restoration(("A", "B"), {"C": "it was deleted"})
    ((name, request),) = functions.calls
    assert name == "helper-instrument"
    assert request == {
        "operation": "restore",
        "stackName": "app",
        "holds": None,
        "sessionRef": None,  # for a helper stack of 0.1.0
        "connectionId": None,
    }


def test_each_stack_is_looked_up_once() -> None:
    target = Target(FakeLambda({"restored": [], "failed": {}}), "app", "helper")
    restore(target, "app", "helper")  # type: ignore[arg-type]
    assert target.cloudformation.lookups == ["app", "helper"]


def test_nothing_to_restore() -> None:
    functions = FakeLambda({"restored": [], "failed": {}})
    assert run(functions, "app", "helper") == Restoration((), {})


def test_a_missing_helper_stack_is_named_and_nothing_is_asked_for() -> None:
    functions = FakeLambda({})
    error = refusal(functions, "app")
    assert isinstance(error, StackError)
    assert "'helper'" in error.message
    assert functions.calls == []


class TestNoStack:
    """It may be a mere list, which the helper stack knows, or the settings file."""

    def test_one_that_the_helper_stack_knows(self) -> None:
        functions = FakeLambda({"restored": ["greeter"], "failed": {}})
        assert run(functions, "helper") == Restoration(("greeter",), {})
        assert "members" not in functions.calls[0][1]

    def test_one_that_the_settings_file_has_is_restored_by_that(self) -> None:
        functions = FakeLambda({"restored": [], "failed": {}})
        target, members = Target(functions, "helper"), {"Greeter": "greeter-fn"}
        done = restore(target, "app", "helper", lambda: members)  # type: ignore[arg-type]
        assert done == Restoration()
        assert functions.calls[0][1]["members"] == members

    def test_what_nobody_knows_is_an_error(self) -> None:
        error = refusal(FakeLambda({"restored": [], "failed": {}}), "helper")
        assert isinstance(error, StackError)
        assert "'app'" in error.message

    def test_for_a_stack_the_settings_file_says_nothing(self) -> None:
        functions = FakeLambda({"restored": [], "failed": {}})
        target = Target(functions, "app", "helper")
        restore(target, "app", "helper", lambda: {"A": "a"})  # type: ignore[arg-type]
        assert "members" not in functions.calls[0][1]


def test_a_failure_of_the_restoring_function_is_told_with_its_reason() -> None:
    error = refusal(FakeLambda({"errorMessage": "out of memory"}, "Unhandled"), "app", "helper")
    assert isinstance(error, StackError)
    assert "'app'" in error.message
    assert "out of memory" in error.message
    assert "/plldb/helper" in str(error.hint)


def test_a_missing_permission_is_an_error_of_ours() -> None:
    functions = FakeLambda({})
    functions.refusal = client_error("AccessDeniedException", "not allowed", "Invoke")
    error = refusal(functions, "app", "helper")
    assert isinstance(error, AccessDeniedError)
    assert "instrumentation function" in error.message
