"""What runs inside a debugged function: it asks the debugger, or runs the function itself."""

from __future__ import annotations

import ast
import json
import linecache
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import plldb_shim
import pytest
from plldb_shim import bootstrap, broker_client, constants, original, remote, variables

from tests.unit.fakes import Answer, LocalServer, Request, local_server

SHIM = Path(plldb_shim.__file__).parent
SOURCES = sorted(SHIM.glob("*.py"))
OWN_HANDLER = "shop/till.handler"


class Context:
    function_name = "app-Fn"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:app-Fn"
    memory_limit_in_mb = "128"
    log_group_name = "/aws/lambda/app-Fn"
    log_stream_name = "stream"
    aws_request_id = "request-1"
    client_context = None
    identity = None

    def __init__(self, seconds: float = 900) -> None:
        self._deadline = time.time() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline - time.time()) * 1000)


@pytest.fixture(autouse=True)
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The function's code, in a folder of its own."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "shop/till.py").write_text(
        textwrap.dedent("""
            def handler(event, context):
                if event == "fail":
                    raise KeyError("own")
                return {"own": event}
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(original, "_loaded", {})
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "broken")]:
        del sys.modules[name]


@contextmanager
def instrumented(
    monkeypatch: pytest.MonkeyPatch,
    respond: Callable[[Request], Answer],
    **changes: str,
) -> Iterator[LocalServer]:
    """The function as plldb left it, with a broker that answers so."""
    with local_server(respond) as server:
        taken = {
            constants.ORIGINAL_HANDLER: OWN_HANDLER,
            constants.FUNCTION: "Fn",
            constants.BROKER_URL: f"{server.url}/plldb",
            constants.TOKEN: "the-token",
            constants.SESSION: "12345678",
            constants.HELD_BY: "arn:aws:iam::1:user/me",
            constants.WHEN_ABSENT: "original",
        }
        monkeypatch.setattr(variables, "TAKEN", taken | changes)
        yield server


def answering(*answers: Answer | dict[str, Any]) -> Callable[[Request], Answer]:
    """One after the other; the last one stays."""
    left = [
        answer if isinstance(answer, Answer) else Answer(200, json.dumps(answer))
        for answer in answers
    ]
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def result(value: Any) -> dict[str, Any]:
    return {"state": "answered", "result": json.dumps(value)}


@contextmanager
def full_port() -> Iterator[int]:
    """A port of this machine whose queue of connections is full: nobody gets in."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


WAITING = Answer(202, '{"state": "waiting"}')
GONE = Answer(410, '{"state": "gone"}')


class TestAnswers:
    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 1.5, "ä🐍\ud800", {"a": [None]}])
    def test_event_and_result_pass_unchanged(
        self, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        with instrumented(monkeypatch, answering(result(value))) as server:
            assert plldb_shim.handler(value, Context()) == value
        (request,) = server.requests
        body = json.loads(request.body)
        assert json.loads(body["event"]) == value
        assert (request.method, request.path) == ("POST", "/plldb/debug/invocations")
        assert request.headers["authorization"] == "Bearer the-token"

    def test_nothing_else_leaves_the_function(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
        monkeypatch.setenv("COLOUR", "green")
        before = time.time()
        with instrumented(monkeypatch, answering(result(1))) as server:
            plldb_shim.handler({}, Context(900))
        (request,) = server.requests
        body = json.loads(request.body)
        assert before + 898 < body.pop("deadline") < time.time() + 899.1
        assert body == {
            "requestId": "request-1",
            "function": "Fn",
            "context": {
                "function_name": "app-Fn",
                "function_version": "$LATEST",
                "invoked_function_arn": Context.invoked_function_arn,
                "memory_limit_in_mb": "128",
                "log_group_name": "/aws/lambda/app-Fn",
                "log_stream_name": "stream",
                "client_context": None,
                "identity": {"cognito_identity_id": None, "cognito_identity_pool_id": None},
            },
            "event": "{}",
        }
        sent = json.dumps(request.headers) + request.body
        for secret in ("the-secret", "green", "AWS_", "12345678", "user/me"):
            assert secret not in sent

    def test_a_clients_context_goes_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Client:
            installation_id = "i"
            app_title = "t"

        class ClientContext:
            client = Client()
            custom = {"a": "b"}
            env = None

        context = Context()
        context.client_context = ClientContext()  # type: ignore[assignment]
        with instrumented(monkeypatch, answering(result(1))) as server:
            plldb_shim.handler({}, context)
        sent = json.loads(server.requests[0].body)["context"]["client_context"]
        assert (sent["client"]["app_title"], sent["custom"], sent["env"]) == ("t", {"a": "b"}, None)

    def test_it_asks_until_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with instrumented(monkeypatch, answering(WAITING, WAITING, result("late"))) as server:
            assert plldb_shim.handler({}, Context()) == "late"
        assert [(r.method, r.path) for r in server.requests] == [
            ("POST", "/plldb/debug/invocations"),
            ("GET", "/plldb/debug/invocations/request-1"),
            ("GET", "/plldb/debug/invocations/request-1"),
        ]

    def test_large_ones_go_through_the_bucket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        large = "x" * 1_000_000
        stored: dict[str, str] = {}

        def respond(request: Request) -> Answer:
            if request.path == "/plldb/debug/uploads":
                url = f"{request.url.rpartition('/plldb')[0]}/bucket/k?signature=s"
                return Answer(200, json.dumps({"key": "k", "url": url}))
            if request.method == "PUT":
                stored["k"] = request.body
                return Answer(200)
            if request.path == "/bucket/result":
                return Answer(200, json.dumps(large))
            base = request.url.rpartition("/plldb")[0]
            return Answer(200, json.dumps({"resultUrl": f"{base}/bucket/result?signature=s"}))

        with instrumented(monkeypatch, respond) as server:
            assert plldb_shim.handler(large, Context()) == large
        assert json.loads(stored["k"]) == large
        (post,) = [r for r in server.requests if r.path == "/plldb/debug/invocations"]
        assert json.loads(post.body)["eventKey"] == "k"
        assert "event" not in json.loads(post.body)
        for request in server.requests:
            if request.path.startswith("/bucket"):
                assert "authorization" not in request.headers, "the token is the broker's only"


def as_lambda_reports(error: BaseException) -> dict[str, Any]:
    """What awslambdaric makes of an exception of the handler.

    https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py
    """
    entries = [
        (frame.filename, frame.lineno, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    for number, entry in enumerate(entries):
        if "/bootstrap.py" not in entry[0]:
            entries = entries[number:]
            break
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_list(entries),
    }


def reported(event: Any = None, context: Any = None) -> dict[str, Any]:
    # As Lambda's own frame, which is called bootstrap.py as well.
    namespace: dict[str, Any] = {"handler": plldb_shim.handler}
    code = "def call(event, context):\n    handler(event, context)\n"
    exec(compile(code, "/var/runtime/awslambdaric/bootstrap.py", "exec"), namespace)
    with pytest.raises(BaseException) as raised:
        namespace["call"](event, context or Context())
    # This test's own frame is not Lambda's.
    raised.value.__traceback__ = raised.value.__traceback__.tb_next  # type: ignore[union-attr]
    return as_lambda_reports(raised.value)


TRACE = [
    '  File "/var/task/app.py", line 12, in handler\n    return charge(event)\n',
    '  File "/var/task/shop/till.py", line 3, in charge\n    raise CardError("no")\n',
    '  File "/home/me/köln/a b.py", line 999999999, in <lambda>\n',
]


class TestErrors:
    @pytest.mark.parametrize("name", ["CardError", "KeyError", "Runtime.ImportModuleError", "Ä"])
    @pytest.mark.parametrize("trace", [TRACE, TRACE[:1], []])
    def test_they_look_as_if_they_were_raised_here(
        self, monkeypatch: pytest.MonkeyPatch, name: str, trace: list[str]
    ) -> None:
        error = {"errorType": name, "errorMessage": "no: ä\nsecond line", "stackTrace": trace}
        with instrumented(monkeypatch, answering({"state": "answered", "error": error})):
            shown = reported()
        if not trace:
            # Nothing is left after Lambda's frames, so it keeps them.
            shown["stackTrace"] = []
        assert shown == error

    def test_a_trace_printed_by_python_says_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = {"errorType": "CardError", "errorMessage": "no", "stackTrace": TRACE[:2]}
        with (
            instrumented(monkeypatch, answering({"error": error})),
            pytest.raises(Exception, match="no") as raised,
        ):
            plldb_shim.handler({}, Context())
        text = "".join(traceback.format_exception(raised.value))
        assert text.endswith("".join(TRACE[:2]) + "CardError: no\n")
        assert "During handling" not in text

    @pytest.mark.parametrize(
        "trace", [["nonsense"], ["", 'File "x"'], ['  File "x", line y, in z'], [TRACE[0], "?"]]
    )
    def test_a_strange_trace_is_taken_as_far_as_it_goes(
        self, monkeypatch: pytest.MonkeyPatch, trace: list[str]
    ) -> None:
        error = {"errorType": "E", "errorMessage": "m", "stackTrace": trace}
        with instrumented(monkeypatch, answering({"error": error})):
            shown = reported()
        assert (shown["errorType"], shown["errorMessage"]) == ("E", "m")
        if TRACE[0] in trace:
            assert shown["stackTrace"] == [TRACE[0]]

    def test_the_functions_own_sources_are_shown_again_afterwards(
        self, monkeypatch: pytest.MonkeyPatch, own_code: Path
    ) -> None:
        path = str(own_code / "shop/till.py")
        trace = [f'  File "{path}", line 4, in handler\n    what stands here on the laptop\n']
        error = {"errorType": "E", "errorMessage": "m", "stackTrace": trace}
        with instrumented(monkeypatch, answering({"error": error}, GONE)):
            assert reported()["stackTrace"] == trace
            shown = reported("fail")
        assert shown["errorType"] == "KeyError"
        assert shown["stackTrace"] == [
            f'  File "{path}", line 4, in handler\n    raise KeyError("own")\n'
        ]
        assert linecache.getline(path, 4).strip() == 'raise KeyError("own")'


class TestAbsent:
    @pytest.mark.parametrize(
        "answer",
        [
            GONE,
            *(
                Answer(status, '{"message": "x"}')
                for status in (400, 401, 403, 404, 429, 500, 502, 504)
            ),
        ],
    )
    def test_the_function_runs_itself(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        answer: Answer,
    ) -> None:
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        with instrumented(monkeypatch, answering(answer)):
            assert plldb_shim.handler("x", Context()) == {"own": "x"}
        expected = "plldb: no debugger attached, running the original handler\n"
        assert capsys.readouterr().out == expected

    def test_or_says_that_nobody_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with instrumented(monkeypatch, answering(GONE), PLLDB_WHEN_ABSENT="error"):
            shown = reported("x")
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "no debugger attached" in shown["errorMessage"]
        assert "410" in shown["errorMessage"]

    def test_after_a_while_of_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with instrumented(monkeypatch, answering(WAITING, WAITING, GONE)):
            assert plldb_shim.handler(1, Context()) == {"own": 1}

    @pytest.mark.parametrize("url", ["http://127.0.0.1:1/plldb", ""])
    def test_a_broker_that_can_not_be_reached(
        self, monkeypatch: pytest.MonkeyPatch, url: str
    ) -> None:
        with instrumented(monkeypatch, answering(GONE), PLLDB_BROKER_URL=url):
            assert plldb_shim.handler(1, Context()) == {"own": 1}

    def test_a_broker_that_takes_no_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker_client, "CONNECT_SECONDS", 0.2)
        with (
            full_port() as port,
            instrumented(
                monkeypatch, answering(GONE), PLLDB_BROKER_URL=f"http://127.0.0.1:{port}/plldb"
            ),
        ):
            assert plldb_shim.handler(1, Context()) == {"own": 1}

    @pytest.mark.parametrize("event", ["x", "x" * 30_000])
    def test_too_little_time_to_ask_anybody(
        self, monkeypatch: pytest.MonkeyPatch, event: str
    ) -> None:
        with instrumented(monkeypatch, answering(result(1))) as server:
            assert plldb_shim.handler(event, Context(0.9)) == {"own": event}
            monkeypatch.setitem(variables.TAKEN, constants.WHEN_ABSENT, "error")
            shown = reported(event, Context(0.9))
        assert shown["errorType"] == "PlldbNoDebugger"
        assert "time" in shown["errorMessage"]
        assert server.requests == []

    def test_its_own_error_is_its_own(
        self, monkeypatch: pytest.MonkeyPatch, own_code: Path
    ) -> None:
        with instrumented(monkeypatch, answering(GONE)):
            shown = reported("fail")
        assert shown["errorType"] == "KeyError"
        assert shown["errorMessage"] == "'own'"
        (entry,) = shown["stackTrace"]
        assert str(own_code) in entry

    @pytest.mark.parametrize(
        ("handler", "source", "name", "words"),
        [
            ("missing.handler", "", "Runtime.ImportModuleError", "No module named 'missing'"),
            ("broken.handler", "import nothing", "Runtime.ImportModuleError", "'nothing'"),
            ("broken.handler", "def", "Runtime.UserCodeSyntaxError", "Syntax error"),
            ("broken.handler", "x = 1", "Runtime.HandlerNotFound", "'handler' missing"),
            ("broken.handler", "1 / 0", "ZeroDivisionError", "division"),
            ("handler", "", "Runtime.MalformedHandlerName", "Bad handler"),
            ("sys.exit", "", "Runtime.BuiltInModuleConflict", "built-in"),
        ],
    )
    def test_a_handler_that_does_not_load_is_reported_as_lambda_does(
        self,
        monkeypatch: pytest.MonkeyPatch,
        own_code: Path,
        handler: str,
        source: str,
        name: str,
        words: str,
    ) -> None:
        (own_code / "broken.py").write_text(source)
        with instrumented(monkeypatch, answering(GONE), PLLDB_ORIGINAL_HANDLER=handler):
            shown = reported()
        assert shown["errorType"] == name
        assert words in shown["errorMessage"]


class TestAddresses:
    """A host may have several, of which some lead nowhere."""

    def resolve(self, monkeypatch: pytest.MonkeyPatch, *ports: int) -> str:
        """The URL of a host whose addresses are these ports of this machine."""
        resolve = socket.getaddrinfo

        def addresses(host: str, *args: Any, **options: Any) -> list[Any]:
            if host != "many.example":
                return resolve(host, *args, **options)
            kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [(*kind, ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        return "http://many.example/plldb"

    def test_all_of_them_together_get_the_time_of_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker_client, "CONNECT_SECONDS", 0.5)
        with full_port() as port:
            url = self.resolve(monkeypatch, *[port] * 5)
            with instrumented(monkeypatch, answering(GONE), PLLDB_BROKER_URL=url):
                began = time.monotonic()
                assert plldb_shim.handler(1, Context()) == {"own": 1}
                assert time.monotonic() - began < 1.5

    def test_one_that_works_is_found_behind_those_that_do_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker_client, "CONNECT_SECONDS", 0.9)
        with full_port() as hole, instrumented(monkeypatch, answering(result("x"))) as server:
            works = int(server.url.rpartition(":")[2])
            url = self.resolve(monkeypatch, hole, 1, works)
            monkeypatch.setitem(variables.TAKEN, constants.BROKER_URL, url)
            assert plldb_shim.handler({}, Context()) == "x"


class TestPublishedVersions:
    @pytest.mark.parametrize("when_absent", ["original", "error"])
    def test_they_run_themselves(self, monkeypatch: pytest.MonkeyPatch, when_absent: str) -> None:
        context = Context()
        context.function_version = "7"
        changes = {constants.WHEN_ABSENT: when_absent}
        with instrumented(monkeypatch, answering(result(1)), **changes) as server:
            assert plldb_shim.handler(1, context) == {"own": 1}
        assert server.requests == []


class TestConnection:
    def test_one_that_the_broker_closes_is_opened_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closing = Answer(202, WAITING.body, {"Connection": "close"})
        with instrumented(monkeypatch, answering(closing, closing, result("x"))):
            assert plldb_shim.handler({}, Context()) == "x"

    @pytest.mark.parametrize("status", [429, 500, 503, 504])
    def test_a_broker_that_fails_for_a_while_is_asked_again(
        self, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        busy = Answer(status, "{}")
        with instrumented(monkeypatch, answering(WAITING, *[busy] * 5, result("x"))):
            assert plldb_shim.handler({}, Context()) == "x"

    def test_but_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        with instrumented(monkeypatch, answering(WAITING, Answer(500, "{}"))) as server:
            assert plldb_shim.handler(1, Context()) == {"own": 1}
        assert len(server.requests) == 1 + broker_client.BUSY_ATTEMPTS + 1

    @pytest.mark.parametrize("failure", [None, 429, 502])
    def test_an_invocation_whose_answer_is_lost_is_sent_again_as_it_was(
        self, monkeypatch: pytest.MonkeyPatch, failure: int | None
    ) -> None:
        """The broker may have it already: it tells the same one by its id and deadline."""
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        bodies: list[str] = []

        def respond(request: Request) -> Answer:
            assert request.method == "POST"
            bodies.append(str(request.body))
            if len(bodies) < 3 and failure is None:
                raise ConnectionResetError
            if len(bodies) < 3:
                return Answer(int(failure or 0), "{}")
            return Answer(200, json.dumps(result("once")))

        with instrumented(monkeypatch, respond):
            assert plldb_shim.handler({}, Context()) == "once"
        assert len(bodies) == 3
        assert len(set(bodies)) == 1

    def test_a_bucket_that_fails_for_a_moment_is_asked_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The debugger has run the invocation: the function must not run it as well."""
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        downloads = iter([503, 500, 200])

        def respond(request: Request) -> Answer:
            base, is_of_broker, _ = request.url.rpartition("/plldb")
            if is_of_broker:
                return Answer(200, json.dumps({"resultUrl": f"{base}/bucket/result?signature=s"}))
            return Answer(next(downloads), '"x"')

        with instrumented(monkeypatch, respond):
            assert plldb_shim.handler({}, Context()) == "x"

    @pytest.mark.parametrize("breaks", [1, 2, 11])
    def test_breaks_while_waiting_are_survived(
        self, monkeypatch: pytest.MonkeyPatch, breaks: int
    ) -> None:
        """The debugger may be running the invocation: the function must not run it as well."""
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)
        answers = iter([WAITING, *[None] * breaks, result("x")])

        def respond(request: Request) -> Answer:
            answer = next(answers)
            if answer is None:
                raise ConnectionResetError
            return answer if isinstance(answer, Answer) else Answer(200, json.dumps(answer))

        with instrumented(monkeypatch, respond):
            assert plldb_shim.handler({}, Context()) == "x"

    def test_but_one_that_lasts_means_that_nobody_is_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker_client, "BUSY_SECONDS", 0.001)

        def respond(request: Request) -> Answer:
            if request.method == "POST":
                return WAITING
            raise ConnectionResetError

        with instrumented(monkeypatch, respond):
            assert plldb_shim.handler(1, Context()) == {"own": 1}

    def test_the_end_of_the_functions_time_is_an_error_and_no_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def respond(request: Request) -> Answer:
            time.sleep(0.05)
            return WAITING

        monkeypatch.setattr(broker_client, "MARGIN_SECONDS", 0.3)
        context = Context(0.8)
        with instrumented(monkeypatch, respond):
            shown = reported({}, context)
        assert shown["errorType"] == "PlldbTimeout"
        assert context.get_remaining_time_in_millis() > 100

    def test_also_while_one_answer_takes_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def respond(request: Request) -> Answer:
            time.sleep(1)
            return WAITING

        monkeypatch.setattr(broker_client, "MARGIN_SECONDS", 0.3)
        with instrumented(monkeypatch, respond):
            assert reported({}, Context(0.7))["errorType"] == "PlldbTimeout"


class TestVariables:
    def test_the_function_does_not_see_them(self) -> None:
        environ = dict.fromkeys(constants.FUNCTION_VARIABLES, "x") | {
            "COLOUR": "green",
            "PLLDB_OWN": "the user's",
            "_HANDLER": "plldb_shim.handler",
            constants.ORIGINAL_HANDLER: "app.handler",
        }
        taken = variables.take(environ)
        assert taken.keys() == set(constants.FUNCTION_VARIABLES)
        assert environ == {"COLOUR": "green", "PLLDB_OWN": "the user's", "_HANDLER": "app.handler"}

    def test_a_function_without_them_stays_as_it_is(self) -> None:
        environ = {"_HANDLER": "app.handler"}
        assert variables.take(environ) == {}
        assert environ == {"_HANDLER": "app.handler"}


class TestImport:
    def run(self, code: str, **environ: str) -> str:
        """In an interpreter that has loaded nothing yet."""
        done = subprocess.run(
            [sys.executable, "-S", "-c", code],
            env={"PYTHONPATH": str(SHIM.parent)} | environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout.strip()

    def test_it_loads_nothing_heavy(self) -> None:
        code = "import sys, plldb_shim; print(' '.join(sys.modules))"
        loaded = set(self.run(code).split())
        assert not loaded & {"http.client", "ssl", "socket", "typing", "urllib.request", "email"}

    def test_on_aws_signals_stay_as_they_are(self) -> None:
        code = "import signal, plldb_shim; print(signal.getsignal(15) is signal.SIG_DFL)"
        assert self.run(code) == "True"
        assert self.run(code, AWS_ENDPOINT_URL="http://localhost") == "False"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
class TestSources:
    def test_python_3_9_can_read_it(self, path: Path) -> None:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))

    def test_annotations_are_never_evaluated(self, path: Path) -> None:
        """``X | None`` is none of Python 3.9's."""
        source = path.read_text(encoding="utf-8")
        assert "def " not in source or "from __future__ import annotations" in source

    def test_it_needs_the_standard_library_only(self, path: Path) -> None:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {a.name.partition(".")[0] for a in node.names} <= sys.stdlib_module_names
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").partition(".")[0] in sys.stdlib_module_names


def test_errors_are_raised_from_files_that_lambda_leaves_out() -> None:
    assert Path(bootstrap.__file__).name == "bootstrap.py"
    assert plldb_shim.handler is bootstrap.handler
    assert issubclass(type(remote.error("X", "m")), Exception)


class TestTermination:
    """An emulator stops the process of a function that is updated, and waits two seconds."""

    @contextmanager
    def process(self, own_code: Path, url: str, body: str) -> Iterator[subprocess.Popen[str]]:
        (own_code / "shop/till.py").write_text(textwrap.dedent(body))
        code = textwrap.dedent("""
            import plldb_shim, time
            class Context:
                aws_request_id = "r"
                def get_remaining_time_in_millis(self): return 60000
            print("ready", flush=True)
            input()
            print(plldb_shim.handler("x", Context()), flush=True)
            time.sleep(30)
        """)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={
                "PYTHONPATH": f"{SHIM.parent}{os.pathsep}{own_code}",
                "AWS_ENDPOINT_URL": "http://localhost",
                constants.BROKER_URL: url,
                constants.ORIGINAL_HANDLER: OWN_HANDLER,
                constants.TOKEN: "t",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
            process.communicate()

    def begin(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    def rest(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.read()

    def test_between_invocations_it_ends_at_once(self, own_code: Path) -> None:
        with self.process(own_code, "http://127.0.0.1:1", "") as process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0

    def test_one_that_waits_gets_the_functions_own_answer(self, own_code: Path) -> None:
        arrived: list[Request] = []

        is_over = threading.Event()

        def respond(request: Request) -> Answer:
            arrived.append(request)
            is_over.wait(30)
            return WAITING

        body = "def handler(event, context): return 'own'"
        with local_server(respond) as server, self.process(own_code, server.url, body) as process:
            try:
                self.begin(process)
                while not arrived:
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                # Before the broker has answered.
                assert self.rest(process).splitlines()[-1] == "own"
            finally:
                is_over.set()

    def test_one_that_runs_may_end(self, own_code: Path) -> None:
        body = """
            import time
            def handler(event, context):
                print("running", flush=True)
                time.sleep(0.5)
                return "own"
        """
        with (
            local_server(lambda _: GONE) as server,
            self.process(own_code, server.url, body) as process,
        ):
            self.begin(process)
            assert process.stdout is not None
            while process.stdout.readline() != "running\n":
                pass
            process.send_signal(signal.SIGTERM)
            assert self.rest(process).splitlines() == ["own"]
