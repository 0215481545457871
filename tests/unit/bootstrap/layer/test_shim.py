"""What runs inside a debugged function: it asks the debugger, or runs the function itself."""

from __future__ import annotations

import ast
import json
import linecache
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import plldb_shim
import pytest
from lambda_functions.websocket import wire
from plldb_shim import bootstrap, constants, remote, variables

from .function import Context, instrumented, reported
from .helper_stack import (
    ASKED,
    REQUEST_ID,
    absent,
    answer,
    answer_with_error,
    answering,
    gone,
    invoked,
)

SHIM = Path(plldb_shim.__file__).parent
SOURCES = sorted(SHIM.glob("*.py"))


class TestAnswers:
    @pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 1.5, "ä🐍\ud800", {"a": [None]}])
    def test_event_and_result_pass_unchanged(
        self, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        with instrumented(monkeypatch, invoked(answer(value))) as stack:
            assert plldb_shim.handler(value, Context()) == value
        (message,) = stack.messages
        assert json.loads(message["event"]) == value

    def test_numbers_keep_their_digits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A body is JSON text that nobody reads on its way."""
        body = '{"result": [12345678901234567890123, 1e2, -0.0]}'
        with instrumented(monkeypatch, invoked(wire.answer(REQUEST_ID, ASKED, body=body))):
            result = plldb_shim.handler([12345678901234567890123], Context())
        assert [str(number) for number in result] == ["12345678901234567890123", "100.0", "-0.0"]

    def test_nothing_else_leaves_the_function(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
        monkeypatch.setenv("COLOUR", "green")
        with instrumented(monkeypatch, invoked(answer(1))) as stack:
            plldb_shim.handler({}, Context())
        sent = json.dumps(stack.messages) + json.dumps(stack.handshakes[0].headers)
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
        with instrumented(monkeypatch, invoked(answer(1))) as stack:
            plldb_shim.handler({}, context)
        sent = stack.messages[0]["context"]["client_context"]
        assert (sent["client"]["app_title"], sent["custom"], sent["env"]) == ("t", {"a": "b"}, None)


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
        with instrumented(monkeypatch, invoked(answer_with_error(error))):
            shown = reported()
        if not trace:
            # Nothing is left after Lambda's frames, so it keeps them.
            shown["stackTrace"] = []
        assert shown == error

    def test_a_trace_printed_by_python_says_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = {"errorType": "CardError", "errorMessage": "no", "stackTrace": TRACE[:2]}
        with (
            instrumented(monkeypatch, invoked(answer_with_error(error))),
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
        with instrumented(monkeypatch, invoked(answer_with_error(error))):
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
        script = answering({"invoke": [[answer_with_error(error)], [absent()]]})
        with instrumented(monkeypatch, script):
            assert reported()["stackTrace"] == trace
            shown = reported("fail")
        assert shown["errorType"] == "KeyError"
        assert shown["stackTrace"] == [
            f'  File "{path}", line 4, in handler\n    raise KeyError("own")\n'
        ]
        assert linecache.getline(path, 4).strip() == 'raise KeyError("own")'

    @pytest.mark.parametrize("word", [gone(), absent()], ids=lambda word: word["type"])
    def test_none_shows_the_shim(self, monkeypatch: pytest.MonkeyPatch, word: Any) -> None:
        with instrumented(monkeypatch, invoked(word), PLLDB_WHEN_ABSENT="error"):
            shown = reported()
        assert shown["errorType"].startswith("Plldb")
        assert all("bootstrap.py" in entry for entry in shown["stackTrace"])


class TestOwnHandler:
    def test_its_own_error_is_its_own(
        self, monkeypatch: pytest.MonkeyPatch, own_code: Path
    ) -> None:
        with instrumented(monkeypatch, invoked(absent())):
            shown = reported("fail")
        assert shown["errorType"] == "KeyError"
        assert shown["errorMessage"] == "'own'"
        (entry,) = shown["stackTrace"]
        assert str(own_code) in entry

    @pytest.mark.parametrize(
        ("handler", "source", "name", "words"),
        [
            ("missing.handler", "", "Runtime.ImportModuleError", "No module named 'missing'"),
            ("src/app.handler", "", "Runtime.ImportModuleError", "import module 'src/app'"),
            ("sys/app.handler", "", "Runtime.ImportModuleError", "import module 'sys/app'"),
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
        with instrumented(monkeypatch, invoked(absent()), PLLDB_ORIGINAL_HANDLER=handler):
            shown = reported()
        assert shown["errorType"] == name
        assert words in shown["errorMessage"]


class TestPublishedVersions:
    @pytest.mark.parametrize("when_absent", ["original", "error"])
    def test_they_run_themselves(self, monkeypatch: pytest.MonkeyPatch, when_absent: str) -> None:
        context = Context()
        context.function_version = "7"
        changes = {constants.WHEN_ABSENT: when_absent}
        with instrumented(monkeypatch, invoked(answer(1)), **changes) as stack:
            assert plldb_shim.handler(1, context) == {"own": 1}
        assert stack.handshakes == []


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
    def test_python_3_8_can_read_it(self, path: Path) -> None:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))

    def test_annotations_are_never_evaluated(self, path: Path) -> None:
        """``X | None`` is none of Python 3.8's."""
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
