"""The shim under Lambda's own runtime client: callers get what the debugger's side wrote, byte for
byte.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plldb_shim
import pytest
from lambda_functions.websocket import wire

from tests.unit.debugger.lambda_runtime import Answer, LambdaRuntime

from .function import variables_of
from .helper_stack import ASKED, REQUEST_ID, Message, absent, accepted, helper_stack

pytest.importorskip("awslambdaric", reason="awslambdaric can be had for Linux only")
LAYER = Path(plldb_shim.__file__).parent.parent


class Function:
    """An instrumented function whose process stays for all cases of a runtime."""

    def __init__(self, folder: Path, runtime: str) -> None:
        self._folder = folder
        self._runtime = runtime
        self._answer: Message = absent()
        self._stack = helper_stack(lambda *_: [accepted(), self._answer])

    def __enter__(self) -> Function:
        stack = self._stack.__enter__()
        variables = variables_of(stack.url) | {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self._runtime}",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "PYTHONPATH": str(LAYER),
        }
        self._lambda = LambdaRuntime(self._folder, "plldb_shim.handler", variables)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._lambda.close()
        self._stack.__exit__(*exception)

    def call(self, answer: Message) -> Answer:
        self._answer = answer
        return self._lambda.invoke("1", REQUEST_ID)


@pytest.fixture(scope="module", params=["python3.11", "python3.13"])
def function(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Function]:
    folder = tmp_path_factory.mktemp("function")
    (folder / "shop").mkdir()
    with Function(folder, request.param) as one:
        yield one


def answer(body: str) -> Message:
    return wire.answer(REQUEST_ID, ASKED, body=body)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "1.10",
        '{"price": 19.90, "digits": 0.1234567890123456789012345678901234567890}',
        "[1E+5, 1e-20, -0, 0E-10, 1e400, 100000000000000000000000000000000001]",
        "[NaN, Infinity, -Infinity, -NaN]".replace(", -NaN", ""),
        '{"a": 1, "a": 2}',
        '"\\u00e9\\ud83d\\ude00"',
        '"é😀\u2028"',
        '"\\ud800"',
        " \r\n[1 ,2]\n",
        '{"raw":1.50}',
        "[" * 500 + "1.0" + "]" * 500,
        '"' + "x" * 20_000 + '"',
        '{"result": {"result": 1.0}}',
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_results(function: Function, text: str) -> None:
    seen = function.call(answer(f'{{"result": {text}}}'))
    assert (seen.kind, seen.content) == ("response", text.encode())


@pytest.mark.parametrize("content", [b"", b"plain", b"\xff\x00", b"\xef\xbb\xbf{}"])
def test_bytes_that_are_no_json(function: Function, content: bytes) -> None:
    text = base64.b64encode(content).decode()
    seen = function.call(answer(json.dumps({"base64": text})))
    assert (seen.kind, seen.content) == ("response", content)


ENTRY = '  File "/var/task/app.py", line 12, in handler\n    return charge(event)\n'


@pytest.mark.parametrize(
    "error",
    [
        {"errorType": "CardError", "errorMessage": "no", "stackTrace": [ENTRY]},
        {"errorType": "CardError", "errorMessage": "no", "stackTrace": []},
        {"errorType": "KeyError", "errorMessage": "", "stackTrace": [ENTRY]},
        {"errorType": "E", "errorMessage": "a\nb é\u2028", "stackTrace": [ENTRY] * 2},
        {
            "errorType": "RecursionError",
            "errorMessage": "maximum recursion depth exceeded",
            "stackTrace": [ENTRY] * 3 + ["  [Previous line repeated 989 more times]\n"],
        },
        {
            "errorType": "E",
            "errorMessage": "m",
            "stackTrace": [ENTRY] * 3 + ["  [Previous line repeated 1 more time]\n", ENTRY],
        },
        {
            "errorType": "Runtime.UserCodeSyntaxError",
            "errorMessage": "Syntax error in module 'app': invalid syntax (app.py, line 2)",
            "stackTrace": ['  File "/var/task/app.py" Line 2\n    def broken(:\n'],
        },
        {"errorType": "E", "errorMessage": "m", "stackTrace": ["nonsense", "", ENTRY]},
        {"errorType": "T\x00", "errorMessage": "m", "stackTrace": [ENTRY]},
        {
            "errorType": "E",
            "errorMessage": "m",
            "stackTrace": ['  File "<made>", line 3, in <module>\n', ENTRY],
        },
    ],
    ids=lambda error: error["errorType"],
)
def test_errors(function: Function, error: dict[str, Any]) -> None:
    seen = function.call(answer(json.dumps({"error": error})))
    assert seen.kind == "error"
    assert json.loads(seen.content) == error | {"requestId": REQUEST_ID}


def test_errors_of_the_shim_show_no_frames(function: Function) -> None:
    """Lambda itself would report that the handler is missing when it loads the function."""
    seen = json.loads(function.call(absent()).content)
    assert seen["errorType"] == "Runtime.ImportModuleError"
    assert seen["stackTrace"] == []
