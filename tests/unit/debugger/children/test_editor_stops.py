"""Where an editor stops beside its breakpoints, and what it sees there: the user's code alone."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import RUNTIME, Invoker, Outcome
from plldb.debugger.children.local_function import Debugpy
from tests.unit.debugger.dap import DapClient
from tests.unit.debugger.local_code import HERE, Project, error, interpreters, invoke, value

pytestmark = pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="no debugpy")

CODE = """
    import json

    def divide(event):
        return 1 / event["by"]

    def handler(event, context):
        if event.get("caught"):
            try:
                divide(event)
            except ZeroDivisionError:
                return "caught"
        return divide(event)
"""
OURS = {path.name for path in RUNTIME.parent.glob("*.py")} - {"__init__.py"}
RAISES, LEAVES = ("app.py", 5, "divide"), ("app.py", 13, "handler")

Stop = tuple[str, list[tuple[str, int, str]]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write(CODE)
    return project


def each_interpreter() -> Any:
    return pytest.mark.parametrize(
        "python",
        [one for one in interpreters() if one.version >= (3, 10)],
        ids=lambda interpreter: ".".join(map(str, interpreter.version)),
    )


def two_tracers() -> Any:
    """pydevd is two debuggers: by sys.settrace, and by sys.monitoring as of Python 3.12."""
    supported = [one for one in interpreters() if one.version >= (3, 10)]
    old = [one for one in supported if one.version < (3, 12)]
    return pytest.mark.parametrize(
        "python",
        [*old[-1:], *[one for one in supported if one not in old][-1:]],
        ids=lambda interpreter: ".".join(map(str, interpreter.version)),
    )


class Editor:
    """Attached to the one function of a project. It goes on after each stop, in the way ``then``.

    ``stops`` are the reason of each, and the stack: of each frame its file, line and function.
    """

    def __init__(self, project: Project, invoker: Invoker) -> None:
        self._project = project
        self._invoker = invoker
        self.then = "continue"
        self.stops: list[Stop] = []

    async def invoke(self, event: Any) -> tuple[list[Stop], Outcome]:
        """Where one invocation stopped, and its outcome: it can't have that while it is stopped."""
        self.stops.clear()
        outcome = await invoke(self._invoker, self._project.function(), event, seconds=60)
        return [*self.stops], outcome

    def follow(self, client: DapClient) -> None:
        try:
            while True:
                stopped = client.event("stopped")
                thread = stopped["threadId"]
                frames = [
                    (Path(frame["source"]["path"]).name, frame["line"], frame["name"].split()[0])
                    for frame in client.stack(thread)
                ]
                self.stops.append((stopped["reason"], frames))
                client.request(self.then, threadId=thread)
        except (OSError, ValueError):
            return  # the end of the test


def attached(
    project: Project,
    work: Callable[[Editor], Awaitable[Any]],
    *,
    exceptions: tuple[str, ...] = (),
    lines: tuple[int, ...] = (),
    python: Interpreter = HERE,
    fallback_packages: dict[str, str] | None = None,
    **config: Any,
) -> None:
    """``work`` with an editor, which knows nothing of our launch configuration."""

    async def run(invoker: Invoker) -> None:
        await invoker.prepare(project.function())
        host, port = invoker.assign_debug_address("Greeter")
        client = await asyncio.to_thread(DapClient, host, port, 120)
        with client:
            breakpoints = {project.folder / "app.py": [*lines]}
            await asyncio.to_thread(client.attach, config, breakpoints, exceptions)
            editor = Editor(project, invoker)
            following = threading.Thread(target=editor.follow, args=(client,))
            following.start()
            try:
                await work(editor)
            finally:
                client.hang_up()
                following.join(20)

    project.run(
        run, python=python, debug=Debugpy(wait_for_client=True), fallback_packages=fallback_packages
    )


@each_interpreter()
@pytest.mark.parametrize("just_my_code", [True, False])
def test_it_stops_once_where_the_handler_fails(
    project: Project, python: Interpreter, just_my_code: bool
) -> None:
    """With what an editor has ticked, and with no configuration of ours."""

    async def work(editor: Editor) -> None:
        for _ in range(2):
            stops, outcome = await editor.invoke({"by": 0})
            assert error(outcome)["errorType"] == "ZeroDivisionError"
            assert stops == [("exception", [RAISES, LEAVES])]
            stops, outcome = await editor.invoke({"by": 0, "caught": True})
            assert (stops, value(outcome)) == ([], "caught")

    ticked = ("uncaught", "userUnhandled")
    attached(project, work, python=python, exceptions=ticked, justMyCode=just_my_code)


@two_tracers()
@pytest.mark.parametrize("ticked", ["uncaught", "userUnhandled", ""])
def test_each_kind_of_exception_by_itself(
    project: Project, python: Interpreter, ticked: str
) -> None:
    async def work(editor: Editor) -> None:
        stops, _ = await editor.invoke({"by": 0})
        assert stops == ([("exception", [RAISES, LEAVES])] if ticked else [])

    attached(project, work, python=python, exceptions=(ticked,) if ticked else (), justMyCode=True)


@two_tracers()
@pytest.mark.parametrize("then", ["next", "stepIn", "stepOut"])
def test_a_step_leaves_the_users_code_and_ends_nowhere_else(
    project: Project, python: Interpreter, then: str
) -> None:
    project.write("""
        def handler(event, context):
            a = 1
            return a
    """)
    path = ("app.py", 3, "handler"), ("app.py", 4, "handler")

    async def work(editor: Editor) -> None:
        editor.then = then
        for _ in range(2):
            stops, outcome = await editor.invoke(None)
            assert value(outcome) == 1
            lines = [frames for _, frames in stops]
            expected = [[path[0]]] if then == "stepOut" else [[path[0]], [path[1]]]
            # The end of the function, which some versions of pydevd show as a step of its own.
            assert lines[: len(expected)] == expected
            assert lines[len(expected) :] in ([], [[path[1]]])

    attached(project, work, python=python, lines=(3,), justMyCode=False)


WHAT_FAILS = {
    "while it is imported": ("1 / 0", ["app.py:1"]),
    "in a module that it imports": ("import other", ["other.py:1", "app.py:1"]),
    "a module that is not there": ("import no_such_module", ["app.py:1"]),
    "by leaving": ("import sys\ndef handler(event, context): sys.exit(3)", ["app.py:2"]),
    "with what is no Exception": (
        "class Stop(BaseException): pass\ndef handler(event, context): raise Stop",
        ["app.py:2"],
    ),
    "in a call of ours": (
        "class Row(tuple):\n def _asdict(self): return 1 / 0\n"
        "def handler(event, context): return {Row(): 1}",
        [],
    ),
    "what is no JSON": ("def handler(event, context): return object()", []),
    "a syntax error": ("def handler(", []),
    "no handler": ("", []),
}


@two_tracers()
@pytest.mark.parametrize("case", WHAT_FAILS)
def test_whatever_is_reported_to_the_caller(
    project: Project, python: Interpreter, case: str
) -> None:
    """It stops where the user's code failed. Where there is none of that, there is no stop."""
    code, expected = WHAT_FAILS[case]
    project.write(code)
    project.write("1 / 0", "other.py")

    async def work(editor: Editor) -> None:
        stops, outcome = await editor.invoke(None)
        assert error(outcome)
        stacks = [frames for _, frames in stops]
        assert not any(file in OURS for frames in stacks for file, _, _ in frames)
        # Beside what imports it.
        seen = [
            [f"{file}:{line}" for file, line, _ in frames if file in ("app.py", "other.py")]
            for frames in stacks
        ]
        assert seen == ([expected] if expected else [])

    attached(project, work, python=python, exceptions=("uncaught",), justMyCode=False)


@two_tracers()
def test_a_thread_of_the_users(project: Project, python: Interpreter) -> None:
    project.write("""
        import threading

        def work():
            1 / 0

        def handler(event, context):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    """)

    async def work(editor: Editor) -> None:
        stops, outcome = await editor.invoke(None)
        assert value(outcome) is None
        assert [frames[0] for _, frames in stops] == [("app.py", 5, "work")]
        assert not any(file in OURS for _, frames in stops for file, _, _ in frames)

    attached(project, work, python=python, exceptions=("uncaught",), justMyCode=False)


def test_what_the_user_does_not_have_is_no_code_of_his(tmp_path: Path) -> None:
    """Packages that we lend are libraries, as those that are installed."""
    lent = tmp_path / "packages"
    project = Project(tmp_path / "code")
    project.write("def fail(): 1 / 0", f"{lent}/lent.py")
    project.write("""
        import lent

        def handler(event, context):
            try:
                lent.fail()
            except ZeroDivisionError:
                return 1
    """)

    async def work(editor: Editor) -> None:
        stops, outcome = await editor.invoke(None)
        assert value(outcome) == 1
        assert not [frames for _, frames in stops if frames[0][0] == "lent.py"]

    fallback = {
        "lent": str(lent),
    }
    attached(project, work, exceptions=("raised",), justMyCode=True, fallback_packages=fallback)
