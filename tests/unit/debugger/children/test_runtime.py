"""A handler is loaded and called as on Lambda, under every Python that this machine has."""

from __future__ import annotations

import ast
import base64
import sys
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children import runtime
from plldb.debugger.children.interpreter import MINIMUM, Interpreter
from tests.unit.debugger.local_code import CONTEXT, HERE, Project, error, interpreters, value

FOLDER = Path(str(runtime.__file__)).parent


@pytest.fixture(
    params=interpreters(), ids=lambda interpreter: ".".join(map(str, interpreter.version))
)
def python(request: pytest.FixtureRequest) -> Interpreter:
    interpreter: Interpreter = request.param
    return interpreter


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestFiles:
    """They run in an interpreter that we know little about."""

    @pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
    def test_every_python_can_read_it(self, path: Path) -> None:
        """Also those that this machine does not have."""
        ast.parse(path.read_text(encoding="utf-8"), feature_version=MINIMUM)

    def test_no_neighbour_can_be_taken_for_the_standard_library(self) -> None:
        """Its folder is on sys.path while it starts."""
        neighbours = {path.stem for path in FOLDER.iterdir()}
        assert not neighbours & sys.stdlib_module_names


class TestContext:
    def test_all_that_lambda_gives(self, project: Project, python: Interpreter) -> None:
        project.write("""
            def handler(event, context):
                return {
                    "name": context.function_name,
                    "version": context.function_version,
                    "arn": context.invoked_function_arn,
                    "memory": context.memory_limit_in_mb,
                    "id": context.aws_request_id,
                    "group": context.log_group_name,
                    "stream": context.log_stream_name,
                    "identity": [context.identity.cognito_identity_id,
                                 context.identity.cognito_identity_pool_id],
                    "client": context.client_context,
                    "tenant": context.tenant_id,
                    "left": context.get_remaining_time_in_millis(),
                    "log": context.log("said"),
                    "repr": repr(context),
                }
        """)
        outcome = project.invoke({}, python=python, seconds=9)
        answer = value(outcome)
        assert 5000 < answer.pop("left") <= 9000
        assert answer.pop("repr").startswith("LambdaContext([aws_request_id=request-1,")
        assert answer == {
            "name": "stack-Greeter-1",
            "version": "$LATEST",
            "arn": CONTEXT["invoked_function_arn"],
            "memory": "128",
            "id": "request-1",
            "group": "/aws/lambda/stack-Greeter-1",
            "stream": "plldb/[$LATEST]",
            "identity": [None, None],
            "client": None,
            "tenant": None,
            "log": None,
        }
        assert project.output() == ["said"]

    def test_what_the_function_was_given_there(self, project: Project) -> None:
        project.write("""
            def handler(event, context):
                client = context.client_context
                return [context.log_stream_name, context.memory_limit_in_mb,
                        context.identity.cognito_identity_id, client.custom, client.env,
                        client.client.app_title, client.client.app_package_name]
        """)
        context = CONTEXT | {
            "log_stream_name": "2026/11/21/[$LATEST]ab",
            "memory_limit_in_mb": 256,
            "identity": {"cognito_identity_id": "me", "cognito_identity_pool_id": None},
            "client_context": {"custom": {"a": 1}, "env": {}, "client": {"app_title": "App"}},
        }
        answer = value(project.invoke({}, context=context))
        assert answer == ["2026/11/21/[$LATEST]ab", "256", "me", {"a": 1}, {}, "App", None]


class TestSurroundings:
    def test_folder_path_and_encoding(self, project: Project, python: Interpreter) -> None:
        project.write("""
            import os, sys, locale, threading
            def handler(event, context):
                print("\\u00e9\\u4f60", file=sys.stderr)
                with open("data.txt") as file:
                    text = file.read()
                return [os.getcwd(), sys.path[0], text, sys.stdin.read(),
                        __file__, sys.flags.dont_write_bytecode]
        """)
        (project.folder / "data.txt").write_text("ünï", encoding="utf-8")
        folder = str(project.folder)
        outcome = project.invoke({}, python=python)
        assert value(outcome) == [folder, folder, "ünï", "", f"{folder}/app.py", 1]
        assert project.output("stderr") == ["\u00e9\u4f60"]

    def test_nothing_of_plldb_can_be_imported(self, project: Project) -> None:
        project.write("""
            import sys
            def handler(event, context):
                for name in event:
                    try:
                        __import__(name)
                        return name
                    except ImportError:
                        pass
                return [path for path in sys.path if path.endswith("plldb/debugger")]
        """)
        bare = next((one for one in interpreters() if one.path != HERE.path), None)
        if bare is None:
            pytest.skip("no interpreter without plldb's packages")
        assert value(project.invoke(["plldb", "rich", "websockets"], python=bare)) == []

    def test_no_file_of_plldb_hides_one_of_the_users(
        self, project: Project, python: Interpreter
    ) -> None:
        """Nor can any of them be imported by mistake: they are in a package of its own name."""
        project.write("""
            import sys, frames
            def handler(event, context):
                try:
                    import invoker
                except ImportError:
                    ours = [name for name in sys.modules
                            if "plldb" in name and not name.startswith("plldb_runtime")]
                    return [frames.VALUE, ours]
        """)
        project.write("VALUE = 1", "frames.py")
        assert value(project.invoke(python=python)) == [1, []]

    def test_signals_are_for_the_users_threads(self, project: Project, python: Interpreter) -> None:
        """So the main thread is interrupted where it waits, if there is no other one."""
        project.write("""
            import os, signal
            def handler(event, context):
                signal.signal(signal.SIGUSR1, lambda *_: None)
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
                os.kill(os.getpid(), signal.SIGUSR1)
                return signal.SIGUSR1 in signal.sigpending()
        """)
        assert value(project.invoke(python=python)) is True

    def test_boto3_is_there_as_on_lambda(self, project: Project, python: Interpreter) -> None:
        if python.version < (3, 10):
            pytest.skip("boto3 does not run there")
        project.write("""
            import boto3
            def handler(event, context):
                return boto3.client("s3").meta.region_name
        """)
        assert value(project.invoke(python=python)) == "us-east-1"

    @pytest.mark.parametrize("safe", ["", "1"])
    def test_the_path_is_that_of_lambda(self, project: Project, safe: str) -> None:
        project.write("import sys\ndef handler(event, context): return sys.path")
        path = value(project.invoke(variables={"PYTHONSAFEPATH": safe}))
        assert path[0] == str(project.folder)
        assert str(FOLDER) not in path
        assert any(folder.endswith("lib-dynload") for folder in path)

    def test_log_lines_are_those_of_lambda(self, project: Project, python: Interpreter) -> None:
        project.write("""
            import logging
            logger = logging.getLogger()
            def handler(event, context):
                logger.info("not shown")
                logger.warning("careful: %s", event)
                logger.setLevel("INFO")
                logging.getLogger("x").info("shown")
        """)
        project.invoke(7, python=python)
        [first, second] = [line.split("\t") for line in project.output()]
        assert [first[0], *first[2:]] == ["[WARNING]", "request-1", "careful: 7"]
        assert second[3] == "shown"
        assert first[1][-1] == "Z"


class TestHandlerName:
    @pytest.mark.parametrize(
        ("handler", "file"),
        [
            ("app.handler", "app.py"),
            ("a/b.handler", "a/b.py"),
            ("a.b.handler", "a/b.py"),
            ("a/b/c.handler", "a/b/c.py"),
            ("json2.handler", "json2.py"),
        ],
    )
    def test_names(self, project: Project, handler: str, file: str) -> None:
        project.write("def handler(event, context): return __name__", file)
        assert value(project.invoke(handler=handler)) == file[:-3].replace("/", ".")

    def test_a_module_of_the_project_hides_one_that_is_installed(self, project: Project) -> None:
        project.write("def handler(event, context): return 1", "runner.py")
        project.write("VALUE = 2", "yaml.py")
        project.write("import yaml\ndef handler(event, context): return yaml.VALUE")
        assert value(project.invoke(handler="runner.handler")) == 1
        assert value(project.invoke()) == 2

    @pytest.mark.parametrize("name", ["queue", "platform", "signal", "urllib", "struct"])
    def test_a_module_of_the_project_hides_one_that_only_plldb_has_loaded(
        self, project: Project, python: Interpreter, name: str
    ) -> None:
        project.write("def handler(event, context): return __file__", f"{name}.py")
        found = value(project.invoke(handler=f"{name}.handler", python=python))
        assert found == str(project.folder / f"{name}.py")

    def test_but_none_that_lambda_has_loaded(self, project: Project, python: Interpreter) -> None:
        project.write("def handler(event, context): return 1", "json.py")
        answer = error(project.invoke(handler="json.handler", python=python))
        assert answer["errorMessage"] == "Handler 'handler' missing on module 'json'"

    @pytest.mark.parametrize(
        ("handler", "kind", "message"),
        [
            (
                "app",
                "Runtime.MalformedHandlerName",
                "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
            ),
            ("app.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'app'"),
            (
                "nope.handler",
                "Runtime.ImportModuleError",
                "Unable to import module 'nope': No module named 'nope'",
            ),
            (
                "sys.exit",
                "Runtime.BuiltInModuleConflict",
                "Cannot use built-in module sys as a handler module",
            ),
        ],
    )
    def test_wrong_ones(
        self, project: Project, python: Interpreter, handler: str, kind: str, message: str
    ) -> None:
        project.write("")
        assert error(project.invoke(handler=handler, python=python)) == {
            "errorType": kind,
            "errorMessage": message,
            "stackTrace": [],
        }


class TestErrors:
    def test_as_lambda_reports_them(self, project: Project, python: Interpreter) -> None:
        project.write("""
            class TeapotError(Exception):
                pass
            def handler(event, context):
                return brew(event)
            def brew(what):
                raise TeapotError(f"no {what}: \\u00e9")
        """)
        assert error(project.invoke("coffee", python=python)) == {
            "errorType": "TeapotError",
            "errorMessage": "no coffee: é",
            "stackTrace": [
                '  File "/var/task/app.py", line 5, in handler\n    return brew(event)\n',
                '  File "/var/task/app.py", line 7, in brew\n'
                '    raise TeapotError(f"no {what}: \\u00e9")\n',
            ],
        }

    def test_the_developer_sees_the_paths_of_this_machine(self, project: Project) -> None:
        project.write("""
            def handler(event, context):
                try:
                    {}["x"]
                except KeyError as error:
                    raise ValueError("boom") from error
        """)
        error(project.invoke())
        log, more = project.output(), project.output("plldb")
        assert log[0] == "[ERROR] ValueError: boom"
        assert more[0] == "Traceback (most recent call last):"
        assert "KeyError: 'x'" in more
        for shown in ("\n".join(log).replace("\u00a0", " "), "\n".join(more)):
            assert f'File "{project.folder}/app.py", line 6, in handler' in shown
            assert str(FOLDER) not in shown
            assert "/var/task" not in shown

    def test_an_error_without_a_cause_is_shown_once(self, project: Project) -> None:
        project.write("def handler(event, context): raise ValueError('boom')")
        error(project.invoke())
        assert project.output()[0] == "[ERROR] ValueError: boom"
        assert project.output("plldb") == []

    def test_a_link_to_the_folder_changes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        project = Project(tmp_path / "link")
        project.write("def handler(event, context): 1 / 0")
        [frame] = error(project.invoke())["stackTrace"]
        assert frame.startswith('  File "/var/task/app.py", line 1, in handler')

    def test_the_developer_sees_where_an_import_fails(
        self, project: Project, python: Interpreter
    ) -> None:
        """Lambda does not say it to anybody."""
        project.write("from lib import thing\ndef handler(event, context): pass")
        project.write("\nimport not_installed\n", "lib/thing.py")
        assert error(project.invoke(python=python)) == {
            "errorType": "Runtime.ImportModuleError",
            "errorMessage": "Unable to import module 'app': No module named 'not_installed'",
            "stackTrace": [],
        }
        shown = "\n".join(project.output("plldb"))
        assert f'"{project.folder}/lib/thing.py", line 2' in shown
        assert "frozen importlib" not in shown

    def test_the_developer_sees_where_the_syntax_is_wrong(
        self, project: Project, python: Interpreter
    ) -> None:
        project.write("def handler(event, context):\n    return (1\n    x = = 2\n")
        answer = error(project.invoke(python=python))
        assert answer["errorType"] == "Runtime.UserCodeSyntaxError"
        [frame] = answer["stackTrace"]
        assert frame.startswith('  File "/var/task/app.py" Line ')
        assert f'"{project.folder}/app.py", line' in "\n".join(project.output("plldb"))

    def test_whatever_became_of_stderr(self, project: Project) -> None:
        project.write("import sys\ndef handler(event, context): sys.stderr = None; 1 / 0")
        assert error(project.invoke())["errorType"] == "ZeroDivisionError"

    def test_endless_recursion(self, project: Project, python: Interpreter) -> None:
        project.write("def handler(event, context): return handler(event, context)")
        answer = error(project.invoke(python=python))
        assert answer["errorType"] == "RecursionError"
        assert len(answer["stackTrace"]) < 10

    def test_one_that_is_its_own_cause_in_the_end(
        self, project: Project, python: Interpreter
    ) -> None:
        """It ends the process, and is shown once."""
        project.write("""
            def handler(event, context):
                end, why = BaseException("end"), ValueError("why")
                end.__cause__, why.__cause__ = why, end
                raise end
        """)
        answer = error(project.invoke(python=python, seconds=10))
        assert answer["errorType"] == "Runtime.ExitError"
        assert project.output("stderr")[-1] == "BaseException: end"

    def test_an_event_that_is_no_json(self, project: Project) -> None:
        project.write("def handler(event, context): return 1")

        async def work(invoker: Any) -> Any:
            return await invoker.invoke(project.function(), "{", CONTEXT, 2e9 * 2)

        answer = error(project.run(work))
        assert answer["errorType"] == "Runtime.UnmarshalError"
        assert answer["errorMessage"].startswith("Unable to unmarshal input: ")


class TestResults:
    def test_bytes_that_are_nested_too_deeply_to_be_looked_at(
        self, project: Project, python: Interpreter
    ) -> None:
        project.write("def handler(event, context): return b'[' * 200_000 + b']' * 200_000")
        outcome = project.invoke(python=python)
        assert outcome.error is None
        assert base64.b64decode(outcome.raw or "") == b"[" * 200_000 + b"]" * 200_000

    def test_six_megabytes_and_not_more(self, project: Project, python: Interpreter) -> None:
        project.write("def handler(event, context): return 'x' * (event - 2)")
        limit = 6 * 1024 * 1024
        assert len(value(project.invoke(limit, python=python))) == limit - 2
        assert error(project.invoke(limit + 101, python=python)) == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size (6291557 bytes) exceeded maximum allowed "
            "payload size (6291556 bytes).",
            "stackTrace": [],
        }
