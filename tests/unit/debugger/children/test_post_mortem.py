"""An exception that the handler does not catch, at a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.credentials import Credentials
from plldb.debugger.children.credential_server import CredentialServer
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome, RunState
from plldb.debugger.children.local_function import Pdb
from plldb.debugger.children.role_lender import RoleLender
from tests.unit.debugger.developer import Terminal, debug
from tests.unit.debugger.local_code import (
    CONTEXT,
    HERE,
    Project,
    error,
    every_python,
    interpreters,
    invoke,
    is_running,
    processes_in,
    value,
)
from tests.unit.polling import poll

PROMPT = "(Pdb) "
QUESTION = "look again: "
CHOICES = "retry reads the saved code again and runs the same event; c reports the error."
FAILS = """
    import os
    runs = 0
    def handler(event, context):
        global runs
        runs += 1
        print("runs", runs)
        wanted = "missing"
        return [runs, context.aws_request_id, event[wanted]]
"""
MENDED = FAILS.replace('"missing"', '"a"')
ANSWER = [1, "request-1", 1]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write(FAILS)
    return project


def undebugged(project: Project) -> dict[str, object]:
    """The error that callers get where nobody looks at it."""
    return error(project.invoke({"a": 1, "é": "ü"}))


@every_python
def test_retry_runs_the_saved_code(
    project: Project, terminal: Terminal, python: Interpreter
) -> None:
    """As often as wanted; the caller gets the last answer."""

    def developer() -> None:
        seen = terminal.expect(PROMPT)
        assert "KeyError: 'missing'" in seen
        assert "s left until the caller's deadline." in seen
        assert CHOICES in seen
        assert f"{project.folder}/app.py(9)handler()" in seen
        assert "'missing'" in terminal.ask("p wanted")
        assert "runtime/" not in terminal.ask("w")
        project.write(FAILS.replace("missing", "absent"))
        assert "KeyError: 'absent'" in terminal.ask("retry")
        project.write(MENDED)
        terminal.type("retry")

    assert value(debug(project, terminal, developer, python=python)) == ANSWER
    assert project.output() == ["runs 1"] * 3
    notes = project.output("plldb")
    assert notes[0] == "plldb: KeyError: 'missing'"
    assert "run again" in notes[1]
    states = [progress.state for progress in project.progress]
    assert states[-1] is RunState.FINISHED
    assert states.count(RunState.QUEUED) == 1
    assert not any(map(is_running, processes_in(project.folder)))


@pytest.mark.parametrize(
    ("leave", "python"),
    [
        *(("c", python) for python in interpreters()),
        ("continue", HERE),
        ("q", HERE),
        ("\x04", HERE),
    ],
    ids=lambda value: getattr(value, "version_text", repr(value)),
)
def test_leaving_reports_the_error(
    project: Project, terminal: Terminal, leave: str, python: Interpreter
) -> None:
    """Byte for byte the one that it is without a debugger, and in the log as well."""
    expected = error(project.invoke({"a": 1, "é": "ü"}, python=python))
    before = [line for line in project.output() if "runs" not in line]
    project.lines.clear()

    def developer() -> None:
        terminal.expect(PROMPT)
        if leave == "\x04":
            os.write(terminal.master, leave.encode())
        else:
            terminal.type(leave)

    assert error(debug(project, terminal, developer, python=python)) == expected
    assert expected["errorType"] == "KeyError"
    assert [line for line in project.output() if "runs" not in line] == before


@pytest.mark.parametrize("name", ["0", "no_such_module.stop", "app.set_trace"])
def test_it_is_pdb_where_none_else_is_named(
    project: Project, terminal: Terminal, name: str
) -> None:
    def developer() -> None:
        terminal.expect(PROMPT)
        terminal.type("c")

    outcome = debug(project, terminal, developer, variables={"PYTHONBREAKPOINT": name})
    assert error(outcome)["errorType"] == "KeyError"


def test_what_has_failed_has_ended_when_the_event_runs_again(
    project: Project, terminal: Terminal
) -> None:
    """It holds no port and no lock any more, and what it has to say comes first."""
    project.write("""
        import atexit, fcntl
        lock = open("lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        atexit.register(print, "bye")
        def handler(event, context):
            print("runs")
            return event["missing"]
    """)

    def developer() -> None:
        for _ in range(3):
            assert "KeyError" in terminal.expect(PROMPT)
            terminal.type("retry")
        terminal.expect(PROMPT)
        terminal.type("c")

    assert error(debug(project, terminal, developer))["errorType"] == "KeyError"
    assert [line for line in project.output() if line in ("runs", "bye")] == ["runs", "bye"] * 4


def test_others_wait_until_it_is_mended(project: Project, terminal: Terminal) -> None:
    async def work(invoker: Invoker) -> list[Outcome]:
        first, second = (
            asyncio.ensure_future(
                invoke(invoker, project.function(logical_id=name), {"a": name}, seconds=60)
            )
            for name in ("First", "Second")
        )
        await asyncio.to_thread(terminal.expect, PROMPT)
        project.write(FAILS.replace("missing", "absent"))
        await asyncio.to_thread(terminal.ask, "retry")
        assert (invoker.running, invoker.waiting) == (1, 1)
        project.write(MENDED)
        terminal.type("retry")
        return [await first, await second]

    outcomes = project.run(work, debug=Pdb(terminal.path))
    assert [value(outcome)[-1] for outcome in outcomes] == ["First", "Second"]


def test_no_post_mortem(project: Project, terminal: Terminal) -> None:
    outcome = debug(project, terminal, lambda: None, post_mortem=False)
    assert error(outcome) == undebugged(project)


def test_the_frames_are_those_of_the_code(project: Project, terminal: Terminal) -> None:
    project.write("""
        def divide(numbers):
            for number in numbers:
                yield 1 / number
        def handler(event, context):
            total = 40
            return list(divide([1, 0]))
    """)

    def developer() -> None:
        assert "ZeroDivisionError" in terminal.expect(PROMPT)
        assert "0" in terminal.ask("p number")
        assert "handler()" in terminal.ask("up")
        terminal.ask("interact", ">>> ")
        assert "42" in terminal.ask("total + 2", ">>> ")
        os.write(terminal.master, b"\x04")
        terminal.expect(PROMPT)
        assert "divide()" in terminal.ask("down")
        terminal.type("restart")
        terminal.expect(PROMPT)
        os.write(terminal.master, b"p 'half")
        terminal.interrupt()
        terminal.expect(PROMPT)
        assert "(Pdb)" not in terminal.ask("help retry")
        terminal.type("c")

    assert error(debug(project, terminal, developer))["errorType"] == "ZeroDivisionError"


@pytest.mark.parametrize("command", ["n", "s", "r"])
def test_there_is_no_next_line(project: Project, terminal: Terminal, command: str) -> None:
    """Whoever goes on by habit has not given the answer away."""

    def developer() -> None:
        terminal.expect(PROMPT)
        terminal.ask(command, QUESTION)
        terminal.ask("what?", QUESTION)
        terminal.interrupt(until=PROMPT)
        terminal.ask(command, QUESTION)
        terminal.ask("d")
        assert "'missing'" in terminal.ask("p wanted")
        project.write(MENDED)
        terminal.ask(command, QUESTION)
        terminal.type("retry")

    assert value(debug(project, terminal, developer)) == ANSWER


class TestTheCodeCannotBeLoaded:
    @every_python
    def test_its_syntax(self, project: Project, terminal: Terminal, python: Interpreter) -> None:
        path = project.write("""
            import os

            def handler(event, context)
                return event["a"]
        """)

        def developer() -> None:
            seen = terminal.expect(PROMPT)
            assert f'File "{path}", line 4' in seen
            assert "SyntaxError" in seen
            assert f"{path}(4)" in seen
            assert "-> def handler(event, context)" in seen
            assert CHOICES in seen
            project.write(MENDED)
            terminal.type("retry")

        assert value(debug(project, terminal, developer, python=python)) == ANSWER

    def test_that_of_a_module_that_it_imports(self, project: Project, terminal: Terminal) -> None:
        project.write(MENDED.replace("import os", "import helper"))
        path = project.write("first = 1\nsecond = (\n", "helper.py")

        def developer() -> None:
            assert f"{path}(2)" in terminal.expect(PROMPT)
            path.write_text("")
            terminal.type("retry")

        assert value(debug(project, terminal, developer))[-1] == 1

    @every_python
    def test_what_it_imports(
        self, project: Project, terminal: Terminal, python: Interpreter
    ) -> None:
        path = project.write("import os\nimport no_such_module\n")

        def developer() -> None:
            seen = terminal.expect(PROMPT)
            assert "ModuleNotFoundError: No module named 'no_such_module'" in seen
            assert f"{path}(2)<module>()" in seen
            assert "importlib" not in terminal.ask("w")
            project.write(MENDED)
            terminal.type("retry")

        assert value(debug(project, terminal, developer, python=python)) == ANSWER

    def test_an_exception_in_a_module(self, project: Project, terminal: Terminal) -> None:
        path = project.write('import os\nlimits = {}\nlimit = limits["a"]\n')
        expected = undebugged(project)

        def developer() -> None:
            assert f"{path}(3)<module>()" in terminal.expect(PROMPT)
            assert "{}" in terminal.ask("p limits")
            terminal.type("c")

        assert error(debug(project, terminal, developer)) == expected

    @pytest.mark.parametrize("handler", ["app.absent", "nowhere.handler", "nothing"])
    def test_the_handler_is_not_there(
        self, project: Project, terminal: Terminal, handler: str
    ) -> None:
        def developer() -> None:
            assert "Runtime." in terminal.expect(PROMPT) or "nowhere" in handler
            project.write(MENDED.replace("handler(", "absent("), "app.py")
            project.write(MENDED, "nowhere.py")
            terminal.type("c" if handler == "nothing" else "retry")

        outcome = debug(project, terminal, developer, handler=handler)
        if handler == "nothing":
            assert error(outcome)["errorType"] == "Runtime.MalformedHandlerName"
        else:
            assert value(outcome) == ANSWER


@every_python
def test_a_result_that_is_no_json(
    project: Project, terminal: Terminal, python: Interpreter
) -> None:
    """It can be looked at, though no frame has it any more."""
    path = project.write(MENDED.replace("event[wanted]", "{1, 2}"))

    def developer() -> None:
        seen = terminal.expect(PROMPT)
        assert "Runtime.MarshalError: Unable to marshal response" in seen
        assert f"{path}(4)" in seen
        assert "{1, 2}" in terminal.ask("p result[-1]")
        assert "request-1" in terminal.ask("p context.aws_request_id, event")
        project.write(MENDED)
        terminal.type("retry")

    assert value(debug(project, terminal, developer, python=python)) == ANSWER


def test_what_ends_the_process(project: Project, terminal: Terminal) -> None:
    project.write("""
        import sys
        def handler(event, context):
            code = 7
            sys.exit(code)
    """)
    expected = undebugged(project)

    def developer() -> None:
        assert "SystemExit: 7" in terminal.expect(PROMPT)
        assert "7" in terminal.ask("p code")
        assert "SystemExit: 7" in terminal.ask("retry")
        terminal.type("c")

    assert error(debug(project, terminal, developer)) == expected
    assert expected["errorType"] == "Runtime.ExitError"


@every_python
def test_causes(project: Project, terminal: Terminal, python: Interpreter) -> None:
    project.write("""
        def handler(event, context):
            try:
                event["b"]
            except KeyError as error:
                raise ValueError("no b") from error
    """)

    def developer() -> None:
        seen = terminal.expect(PROMPT)
        assert "KeyError: 'b'" in seen
        assert "ValueError: no b" in seen
        if python.version >= (3, 13):
            assert "KeyError" in terminal.ask("exceptions")
            assert "event[" in terminal.ask("exceptions 0")
        terminal.type("c")

    assert error(debug(project, terminal, developer, python=python))["errorType"] == "ValueError"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ('raise ExceptionGroup("many", [KeyError(1), OSError(2)])', "ExceptionGroup"),
        ("handler(event, context)", "RecursionError"),
        ("raise MemoryError", "MemoryError"),
        ("import concurrent.futures as c; c.ThreadPoolExecutor().submit(int, 'x').result()", "V"),
        ("import asyncio; asyncio.run(asyncio.wait_for(asyncio.sleep(60), 0.01))", "TimeoutError"),
        ("int('x')", "ValueError"),
        (
            "import dataclasses as d; "
            "raise d.make_dataclass('Frozen', ['code'], bases=(Exception,), frozen=True)(7)",
            "Frozen",
        ),
    ],
    ids=lambda value: value.split("(")[0],
)
def test_kinds_of_exceptions(project: Project, terminal: Terminal, code: str, kind: str) -> None:
    project.write(f"""
        def handler(event, context):
            {code}
    """)
    expected = undebugged(project)

    def developer() -> None:
        assert kind in terminal.expect(PROMPT)
        for _ in range(6):
            terminal.ask("up")
        assert "event" in terminal.ask("p sorted(locals())")
        terminal.type("c")

    assert error(debug(project, terminal, developer)) == expected


class TestNothingToLookAt:
    """What the developer, or nobody, has to mend."""

    @pytest.mark.parametrize("catches", ["", "Exception"])
    def test_an_invocation_that_was_quit(
        self, project: Project, terminal: Terminal, catches: str
    ) -> None:
        project.write(
            """
            def handler(event, context):
                try:
                    breakpoint()
                    return event
                except CAUGHT:
                    raise ValueError("it failed")
        """.replace("CAUGHT", catches or "KeyError")
        )

        def developer() -> None:
            terminal.expect(PROMPT)
            terminal.type("q")

        outcome = debug(project, terminal, developer)
        assert error(outcome)["errorType"] == ("ValueError" if catches else "BdbQuit")

    def test_ctrl_c_at_input(self, project: Project, terminal: Terminal) -> None:
        project.write("""
            def handler(event, context):
                return input("name? ")
        """)

        def developer() -> None:
            terminal.expect("name? ")
            # Again, if Python was just about to wait for a key: it misses the signal.
            while project.progress[-1].state is not RunState.FINISHED:
                os.write(terminal.master, b"\x03")
                time.sleep(0.1)

        assert error(debug(project, terminal, developer))["errorType"] == "Runtime.ExitError"

    def test_the_end_of_a_process_that_the_code_forks(
        self, project: Project, terminal: Terminal
    ) -> None:
        project.write("""
            import os, sys
            def handler(event, context):
                child = os.fork()
                if not child:
                    sys.exit(3)
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """)
        assert value(debug(project, terminal, lambda: None)) == 3

    def test_a_thread(self, project: Project, terminal: Terminal) -> None:
        """Its exception is not the invocation's."""
        project.write("""
            import threading
            def handler(event, context):
                thread = threading.Thread(target=int, args=("x",))
                thread.start()
                thread.join()
                return "done"
        """)
        assert value(debug(project, terminal, lambda: None)) == "done"


class TestRetryAtABreakpoint:
    @every_python
    def test_it_begins_anew(
        self, project: Project, terminal: Terminal, python: Interpreter
    ) -> None:
        """Whatever the code makes of it; its ``finally`` runs."""
        project.write("""
            def handler(event, context):
                try:
                    breakpoint()
                    print("went on")
                except BaseException:
                    return "caught"
                finally:
                    print("finally")
        """)

        def developer() -> None:
            terminal.expect(PROMPT)
            project.write(MENDED)
            terminal.type("retry")

        assert value(debug(project, terminal, developer, python=python)) == ANSWER
        assert project.output() == ["finally", "runs 1"]

    def test_not_in_another_thread(self, project: Project, terminal: Terminal) -> None:
        project.write("""
            import threading
            def stop():
                breakpoint()
                print("went on")
            def handler(event, context):
                thread = threading.Thread(target=stop)
                thread.start()
                thread.join()
                return "done"
        """)

        def developer() -> None:
            terminal.expect(PROMPT)
            assert "retry is for the thread" in terminal.ask("retry")
            terminal.type("c")

        assert value(debug(project, terminal, developer)) == "done"
        assert project.output() == ["went on"]


class TestTheDeadline:
    @pytest.mark.parametrize("line", ["", "import time; time.sleep(60)"])
    def test_the_caller_gets_the_error_in_time(
        self, project: Project, terminal: Terminal, line: str
    ) -> None:
        expected = undebugged(project)
        project.lines.clear()
        before = termios.tcgetattr(terminal.slave)

        def developer() -> None:
            terminal.expect(PROMPT)
            terminal.type(line)

        outcome = debug(project, terminal, developer, seconds=10)
        assert error(outcome) == expected
        assert outcome.was_paused
        assert termios.tcgetattr(terminal.slave) == before
        poll(lambda: not any(map(is_running, processes_in(project.folder))))

    def test_of_what_ends_the_process(self, project: Project, terminal: Terminal) -> None:
        project.write("def handler(event, context): raise SystemExit(3)")
        expected = undebugged(project)
        outcome = debug(project, terminal, lambda: None, seconds=10)
        assert error(outcome) == expected
        assert outcome.was_paused

    def test_a_retry_has_the_time_that_is_left(self, project: Project, terminal: Terminal) -> None:
        def developer() -> None:
            terminal.expect(PROMPT)
            project.write("""
                import time
                def handler(event, context):
                    print(context.get_remaining_time_in_millis() < 10_000)
                    time.sleep(60)
            """)
            terminal.type("retry")

        outcome = debug(project, terminal, developer, seconds=10)
        assert error(outcome)["errorType"] == "Sandbox.Timedout"
        assert not outcome.was_paused
        assert project.output() == ["runs 1", "True"]


def test_a_debugger_that_cannot_be_opened(project: Project, terminal: Terminal) -> None:
    """The caller gets the error as ever."""
    expected = undebugged(project)
    project.write("post_mortem = None\n", "broken.py")
    outcome = debug(
        project, terminal, lambda: None, variables={"PYTHONBREAKPOINT": "broken.set_trace"}
    )
    assert error(outcome) == expected
    assert "no debugger could be opened" in project.output("plldb")[0]


def test_a_message_that_is_no_text(project: Project, terminal: Terminal) -> None:
    """Half of a surrogate pair, as in names of files."""
    project.write(r"""
        def handler(event, context):
            raise ValueError("\udc80")
    """)

    def developer() -> None:
        assert "ValueError" in terminal.expect(PROMPT)
        project.write(MENDED)
        terminal.type("retry")

    assert value(debug(project, terminal, developer)) == ANSWER


def test_a_message_commands_nothing(project: Project, terminal: Terminal) -> None:
    project.write(r"""
        def handler(event, context):
            raise ValueError("no \x1b]0;title\x07 é\x9b2J\n\tof that")
    """)

    def developer() -> None:
        seen = terminal.expect(PROMPT)
        assert "ValueError: no \ufffd]0;title\ufffd é\ufffd2J" in seen
        assert "of that" in seen
        terminal.type("c")

    assert error(debug(project, terminal, developer))["errorType"] == "ValueError"


def test_each_run_has_the_rights_of_the_functions_role(
    project: Project, terminal: Terminal
) -> None:
    project.write("""
        import boto3
        def handler(event, context):
            key = boto3.Session().get_credentials().access_key
            return [key, event["missing"]]
    """)

    async def work(invoker: Invoker) -> Outcome:
        invoking = invoker.invoke(
            project.function(as_function=True),
            '{"a": 1}',
            CONTEXT,
            time.time() + 60,
            Credentials("ID-role", "secret", "token"),
        )
        running = asyncio.ensure_future(invoking)
        await asyncio.to_thread(terminal.expect, PROMPT)
        assert "ID-role" in await asyncio.to_thread(terminal.ask, "p key")
        project.write((project.folder / "app.py").read_text().replace("missing", "a"))
        terminal.type("retry")
        return await running

    with CredentialServer() as server:
        lender = RoleLender(server, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
        outcome = project.run(work, debug=Pdb(terminal.path), lender=lender)
    assert value(outcome) == ["ID-role", 1]
