"""A child does what Lambda's own runtime client does, case by case, side by side.

``lambda_cases/app.py`` is the code. It runs under awslambdaric, in a process that asks a Runtime
API over HTTP, and in a child; then what the caller would get is compared, byte for byte, and the
log, stdout and stderr, line by line. Paths are those that the code has on Lambda.

Lambda's own answer can't be had of:

- frames of the runtime, as of a handler that can't be called with two arguments: their lines are
  others in each version of Lambda's runtime;
- how many frames an endless recursion has: so many fit above those of the runtime;
- a text that is no JSON: Lambda refuses it before a function sees it;
- the words of a response that is too large, and what is logged then: the platform's;
- the warning before an error in loading that the runtime may have been updated: it was not;
- the request's id in an error in loading: the function that asks has loaded, and reports it;
- whether a log record or something printed was first: here they are in order, there are two pipes.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.invoker import Invoker, Outcome, OutputWritten
from plldb.debugger.children.local_function import LocalFunction
from tests.unit.debugger.lambda_runtime import Answer, LambdaRuntime
from tests.unit.debugger.local_code import HERE

pytest.importorskip("awslambdaric", reason="awslambdaric can be had for Linux only")
app: Any = importlib.import_module("tests.unit.debugger.lambda_cases.app")

CODE = Path(app.__file__).parent
SECONDS = 30.0
STDLIB = Path(os.__file__).parent
ON_LAMBDA = f"/var/lang/lib/python{HERE.version[0]}.{HERE.version[1]}"
# What is not compared: times, and how many calls fit above the runtime's own, of which Lambda's
# versions have different numbers.
_VARYING = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"), "TIME"),
    (re.compile(r"repeated \d+ more times"), "repeated N more times"),
]
# Frames of either runtime are no part of the user's trace.
_RUNTIME_FRAME = re.compile(r'[ \xa0]{2}File "[^"]*(awslambdaric/|<frozen runpy>)')
SIGNALS = {-2: "interrupt", -6: "aborted", -9: "killed", -11: "segmentation fault"}


@dataclass(frozen=True)
class World:
    """What a function is configured to."""

    runtime: str = "python3.13"
    log_format: str = "Text"
    log_level: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        level = {"AWS_LAMBDA_LOG_LEVEL": self.log_level} if self.log_level else {}
        return {"AWS_LAMBDA_LOG_FORMAT": self.log_format, **level}


UTF_8, ASCII = World(), World("python3.11")
TEXT, JSON = World(), World(log_format="JSON")


@dataclass
class Seen:
    """What a caller gets, and what is written: the same of both."""

    result: bytes | None = None
    error: dict[str, Any] | None = None
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


class Table:
    """Both sides, kept from case to case: a process for each world, unless a case ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lambdas: dict[tuple[World, str], LambdaRuntime] = {}
        self._lines: list[OutputWritten] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._invoker: Invoker = self._run(self._make_invoker())

    def on_lambda(
        self,
        world: World,
        name: str,
        event: str = "null",
        handler: str = "app.handler",
        **headers: str,
    ) -> Seen:
        if (world, handler) not in self._lambdas:
            variables = {
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{world.runtime}",
                "AWS_LAMBDA_FUNCTION_NAME": "greeter",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/greeter",
                "AWS_LAMBDA_LOG_STREAM_NAME": "plldb/[$LATEST]",
                **world.variables,
            }
            self._lambdas[world, handler] = LambdaRuntime(self._folder, handler, variables)
        names = {key: f"Lambda-Runtime-{key.replace('_', '-').title()}" for key in headers}
        answer = self._lambdas[world, handler].invoke(
            event, name, {names[key]: value for key, value in headers.items()}
        )
        return _see_lambda(answer, name, str(self._folder))

    def in_child(
        self,
        world: World,
        name: str,
        event: str = "null",
        handler: str = "app.handler",
        **context: Any,
    ) -> Seen:
        function = LocalFunction(
            logical_id=f"{world}{handler}",
            code_dir=self._folder,
            handler=handler,
            function_name="greeter",
            runtime=world.runtime,
            variables=world.variables,
        )
        arn = "arn:aws:lambda:eu-west-1:1:function:greeter"
        given = {"aws_request_id": name, "invoked_function_arn": arn, **context}
        self._lines.clear()
        invoked = self._invoker.invoke(function, event, given, 4102444800.0)
        return _see_child(self._run(invoked), self._lines)

    def close(self) -> None:
        self._run(self._invoker.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
        for one in self._lambdas.values():
            one.close()

    async def _make_invoker(self) -> Invoker:
        return Invoker(
            python=HERE,
            max_concurrency=64,
            on_output=self._lines.append,
        )

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


def _see_lambda(answer: Answer, name: str, folder: str) -> Seen:
    seen = Seen(
        stdout=_skip_runtime(
            _normalized(_lines_of("".join(map(_ended, answer.log)) + answer.stdout))
        ),
        stderr=_skip_empty_heads(_skip_runtime(_normalized(_lines_of(answer.stderr)))),
    )
    if answer.kind == "response":
        seen.result = answer.content
    elif answer.kind == "exit":
        if answer.status > 0:
            what = f"exited with error: exit status {answer.status}"
        elif answer.status < 0:
            what = f"exited with error: signal: {SIGNALS[answer.status]}"
        else:
            what = "exited without providing a reason"
        message = f"RequestId: {name} Error: Runtime {what}"
        seen.error = {"errorType": "Runtime.ExitError", "errorMessage": message, "stackTrace": []}
    else:
        error = json.loads(answer.content)
        error.pop("requestId", None)
        trace = json.dumps(error.get("stackTrace", []))
        mapped = trace.replace(f"{folder}/", "/var/task/").replace(f"{STDLIB}/", f"{ON_LAMBDA}/")
        seen.error = {**error, "stackTrace": _skip_runtime(_normalized(json.loads(mapped)))}
    return seen


def _see_child(outcome: Outcome, lines: list[OutputWritten]) -> Seen:
    written: dict[str, list[str]] = {"stdout": [], "stderr": [], "plldb": []}
    for line in lines:
        written[line.stream].append(line.text)
    seen = Seen(
        stdout=_normalized(written["stdout"]),
        stderr=_skip_empty_heads(_normalized(written["stderr"])),
    )
    if outcome.raw is not None:
        seen.result = base64.b64decode(outcome.raw)
    elif outcome.result is not None:
        seen.result = outcome.result.encode()
    if outcome.error is not None:
        trace = _normalized(outcome.error["stackTrace"])
        seen.error = {**outcome.error, "stackTrace": trace}
    return seen


def _ended(record: str) -> str:
    return record if record.endswith("\n") else record + "\n"


def _lines_of(text: str) -> list[str]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def _normalized(lines: list[str]) -> list[str]:
    for pattern, word in _VARYING:
        lines = [pattern.sub(word, line) for line in lines]
    return lines


def _skip_runtime(lines: list[str]) -> list[str]:
    """Without the frames of awslambdaric, and without a head if no frame is left."""
    kept: list[str] = []
    is_skipped = False
    for line in lines:
        if line.startswith('{"timestamp"') and "awslambdaric" in line:
            record = json.loads(line)
            record["stackTrace"] = _skip_runtime(record["stackTrace"])
            kept.append(json.dumps(record, ensure_ascii=False))
            continue
        if line.lstrip(" \xa0").startswith("File ") or line[:4].strip(" \xa0"):
            is_skipped = _RUNTIME_FRAME.match(line) is not None
        if not is_skipped:
            kept.append(line)
    return kept


def _skip_empty_heads(lines: list[str]) -> list[str]:
    """Python writes this line only if there are frames, of the runtime or not."""
    head = "Traceback (most recent call last):"
    following = [*lines, ""][1:]
    return [
        line
        for line, next_one in zip(lines, following, strict=True)
        if line != head or next_one.startswith("  File ")
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    folder = tmp_path_factory.mktemp("function")
    for path in CODE.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "module_of_bad_syntax.py").write_text("import os\ndef broken(:\n    pass\n")
    for name, code in MODULES.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    made = Table(folder)
    yield made
    made.close()


def find_cases(prefix: str) -> list[str]:
    return [name for name in vars(app) if name.startswith(prefix)]


# --- The table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [UTF_8, ASCII], ids=["utf-8", "ascii"])
@pytest.mark.parametrize("name", [*app.VALUES, "simplejson_raw"])
def test_values(table: Table, name: str, world: World) -> None:
    seen = table.in_child(world, name)
    expected = table.on_lambda(world, name)
    if (
        expected.error is not None
        and expected.error["errorType"] == "Function.ResponseSizeTooLarge"
    ):
        # The words are the platform's, and Lambda's process ends after it.
        assert seen.error is not None
        assert seen.error["errorType"] == expected.error["errorType"]
    else:
        assert seen == expected


EVENTS = {
    "null": "null",
    "numbers": "[1, -0, 1.0, 1e5, 1E400, -1e400, 0.1, 1e-400, 123456789012345678901234567890]",
    "digits": "[0.1000000000000000055511151231257827, 1.10, 100000000000000000000.5]",
    "text": '"\\u00e9\\ud83d\\ude00 é😀 \\n\\u0000\\u2028"',
    "half": '["\\ud800", {"\\udc00": 1}]',
    "twice": '{"a": 1, "b": 2, "a": 3}',
    "spaces": " \t\r\n{ } ",
    "nested": "[" * 500 + "]" * 500,
    "too_nested": "[" * 100_000 + "]" * 100_000,
    "keys": '{"": {"é": [true, false, null]}}',
    "empty": '""',
    "long": json.dumps({"x": "é" * 100_000}, ensure_ascii=False),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events(table: Table, name: str) -> None:
    event = EVENTS[name]
    for case in ("event_repr", "echo"):
        assert table.in_child(ASCII, case, event) == table.on_lambda(ASCII, case, event)


@pytest.mark.parametrize("world", [TEXT, JSON], ids=["text", "json"])
@pytest.mark.parametrize("name", find_cases("error"))
def test_errors(table: Table, name: str, world: World) -> None:
    assert table.in_child(world, name) == table.on_lambda(world, name)


def test_errors_in_ascii(table: Table) -> None:
    world = World("python3.9", "JSON")
    for name in ("error", "error_surrogate"):
        assert table.in_child(world, name) == table.on_lambda(world, name)


@pytest.mark.parametrize("name", find_cases("exit"))
def test_exits(table: Table, name: str) -> None:
    assert table.in_child(TEXT, name) == table.on_lambda(TEXT, name)


CLIENT_CONTEXT = {
    "custom": {"a": 1, "é": None},
    "env": {"b": "c"},
    "client": {"app_title": "App", "app_version_code": 7, "unknown": 1},
}
IDENTITY = {"cognitoIdentityId": "me", "cognitoIdentityPoolId": "pool"}
TRACE = {"traceparent": "00-a-b-01", "tracestate": 3, "other": "x"}


@pytest.mark.parametrize("is_given", [False, True], ids=["plain", "given"])
@pytest.mark.parametrize(
    "name", [name for name in find_cases("context") if name != "context_client"]
)
def test_the_context(table: Table, name: str, is_given: bool) -> None:
    headers: dict[str, str] = {}
    context: dict[str, Any] = {}
    if is_given:
        headers = {
            "client_context": json.dumps({**CLIENT_CONTEXT, "w3c": TRACE}),
            "cognito_identity": json.dumps(IDENTITY),
            "aws_tenant_id": "blue",
        }
        identity = {"cognito_identity_id": "me", "cognito_identity_pool_id": "pool"}
        context = {
            "client_context": CLIENT_CONTEXT,
            "w3c": TRACE,
            "identity": identity,
            "tenant_id": "blue",
        }
    assert table.in_child(TEXT, name, **context) == table.on_lambda(TEXT, name, **headers)


@pytest.mark.parametrize(
    "client_context",
    [CLIENT_CONTEXT, {}, {"client": {}}, {"custom": None, "env": [1], "client": None}],
)
def test_the_clients_context(table: Table, client_context: dict[str, Any]) -> None:
    seen = table.in_child(TEXT, "context_client", client_context=client_context)
    header = json.dumps(client_context)
    assert seen == table.on_lambda(TEXT, "context_client", client_context=header)


@pytest.mark.parametrize("name", find_cases("world"))
def test_the_surroundings(table: Table, name: str) -> None:
    assert table.in_child(TEXT, name) == table.on_lambda(TEXT, name)


@pytest.mark.parametrize("name", find_cases("output"))
def test_output(table: Table, name: str) -> None:
    assert table.in_child(TEXT, name) == table.on_lambda(TEXT, name)


LOG_WORLDS = {
    "text": TEXT,
    "json": JSON,
    "text-info": World(log_level="INFO"),
    "json-debug": World(log_format="json", log_level="debug"),
    "json-trace": World(log_format="JSON", log_level="TRACE"),
    "json-fatal": World(log_format="JSON", log_level="FATAL"),
    "json-wrong": World(log_format="JSON", log_level="LOUD"),
}


@pytest.mark.parametrize("world", LOG_WORLDS.values(), ids=LOG_WORLDS)
@pytest.mark.parametrize("name", ["log_levels", "log_own_level", "log_tenant", "world_logging"])
def test_levels_of_the_log(table: Table, name: str, world: World) -> None:
    seen = table.in_child(world, name, tenant_id="blue")
    assert seen == table.on_lambda(world, name, aws_tenant_id="blue")


@pytest.mark.parametrize("world", [TEXT, JSON], ids=["text", "json"])
@pytest.mark.parametrize("name", find_cases("log_"))
def test_the_log(table: Table, name: str, world: World) -> None:
    assert table.in_child(world, name) == table.on_lambda(world, name)


# --- Loading --------------------------------------------------------------------------------------

MODULES = {
    "prints": "print('loading')\ndef handler(event, context):\n    print('called')\n    return 1\n",
    "logs": "import logging\nlogging.warning('loaded')\n"
    "def handler(event, context):\n    logging.warning('called')\n    return 1\n",
    "raises": "import os\nTABLE = os.environ['TABLE']\ndef handler(event, context): pass\n",
    "raises_deep": "from raises import handler\n",
    "imports_missing": "import not_installed\n",
    "imports_missing_deep": "import imports_missing\n",
    "imports_name": "from os import no_such_name\n",
    "raises_import_error": "raise ImportError('by itself')\n",
    "syntax": "def handler(event, context):\n    return (1\n    x = = 2\n",
    "syntax_deep": "import syntax\n",
    "indentation": "def handler(event, context):\nreturn 1\n",
    "tabs": "if True:\n        x = 1\n\ty = 2\n",
    "null": "x = '\0'\n",
    "not_utf_8": "# é\nx = 1 +\n",
    "exits": "import sys\nsys.exit(9)\n",
    "exits_os": "import os\nos._exit(3)\n",
    "exits_quietly": "raise SystemExit\n",
    "raises_base": "raise KeyboardInterrupt\n",
    "raises_group": "raise ExceptionGroup('many', [KeyError('x')])\n",
    "raises_chained": "try:\n    {}['x']\nexcept KeyError as e:\n    raise ValueError from e\n",
    "raises_module_error": "raise ModuleNotFoundError\n",
    "recursion": "def load(): return load()\nload()\n",
    "number": "handler = 7\n",
    "takes_one": "def handler(event): pass\n",
    "made_on_demand": "def __getattr__(name):\n    raise AttributeError(name)\n",
    "demands": "def __getattr__(name):\n    raise LookupError(name)\n",
    "a_class": "class handler:\n    def __init__(self, event, context): pass\n",
    "builtin": "handler = max\n",
    "surrogates": "raise ValueError('\\ud800')\n",
    "partly": "import functools\nhandler = functools.partial(lambda a, e, c: a, 5)\n",
    "asynchronous": "import warnings\nwarnings.simplefilter('ignore')\n"
    "async def handler(event, context): return 1\n",
    "generates": "def handler(event, context):\n    yield 1\n",
}
HANDLERS = [
    *(f"{name}.handler" for name in MODULES),
    "nothing",
    "",
    ".handler",
    "app.",
    "no_such_module.handler",
    "no/such/module.handler",
    "app.no_such_handler",
    "sys.exit",
    "sys/x.exit",
    "time.sleep",
    "app/x.handler",
    "json.loads",
]
# Lambda adds this warning before the error; it is about updates of the runtime.
_INIT_WARNING = "LAMBDA_WARNING: Unhandled exception."


@pytest.mark.parametrize(
    ("handler", "world"),
    [
        *((handler, TEXT) for handler in HANDLERS),
        *((f"{name}.handler", JSON) for name in ("logs", "raises", "imports_missing", "syntax")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.log_format,
)
def test_loading(table: Table, handler: str, world: World) -> None:
    seen = table.in_child(world, "request-1", handler=handler)
    expected = table.on_lambda(world, "request-1", handler=handler)
    expected.stdout = [line for line in expected.stdout if _INIT_WARNING not in line]
    assert seen == expected
