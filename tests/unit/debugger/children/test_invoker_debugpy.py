"""An editor attaches: breakpoints are hit, variables read, and the caller gets its answer."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import socket
import sysconfig
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome, RunState
from plldb.debugger.children.local_function import Debugpy
from plldb.debugger.launch_config import make_launch_config
from plldb.errors import SourceError
from tests.unit.debugger.dap import DapClient, substitute
from tests.unit.debugger.local_code import HERE, Project, error, interpreters, invoke, value

pytestmark = pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="no debugpy")

CODE = """
    def handler(event, context):
        print("before")
        total = event["a"] + 1
        return total
"""
BREAK_LINE = 5
COMPILED = next(Path(sysconfig.get_path("stdlib")).glob("lib-dynload/_bisect.*.so"), None)


# Below those that the kernel gives to whoever asks for any, and others in each worker.
PORTS = itertools.count(20_000 + os.getpid() % 100 * 100, 2)


@pytest.fixture
def port() -> int:
    """Free, as the next one is."""
    return next(port for port in PORTS if is_free(port) and is_free(port + 1))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write(CODE)
    return project


def attached(project: Project, invoker: Invoker, lines: list[int]) -> DapClient:
    """As VS Code does, with the launch configuration that it has of us."""
    address = invoker.assign_debug_address("Greeter")
    client = DapClient(*address)
    config = make_launch_config("Greeter", "stack", address)
    client.attach(substitute(config, project.folder), {project.folder / "app.py": lines})
    return client


def stop_and_go_on(client: DapClient) -> tuple[int, dict[str, str]]:
    """The line at which it stopped, and the variables there."""
    thread, frame = client.stopped_in()
    variables = client.variables(frame)
    client.go_on(thread)
    return frame["line"], variables


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize(
    "python",
    [one for one in interpreters() if one.version >= (3, 10)],
    ids=lambda interpreter: ".".join(map(str, interpreter.version)),
)
def test_break_look_and_go_on(project: Project, python: Interpreter, port: int) -> None:
    """The project's interpreter need not have debugpy: it gets ours."""

    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 41}))
            line, variables = await asyncio.to_thread(stop_and_go_on, client)
            assert line == BREAK_LINE
            assert variables["total"] == "42"
            assert variables["event"] == "{'a': 41}"
            return await outcome

    outcome = project.run(work, python=python, debug=Debugpy(port=port))
    assert value(outcome) == 42
    assert project.output() == ["before"]
    assert project.output("stderr") == []
    assert is_free(port)
    states = [progress.state for progress in project.progress]
    running = RunState.RUNNING
    assert states == [RunState.QUEUED, running, RunState.PAUSED, running, RunState.FINISHED]


def test_an_editor_can_attach_to_code_that_does_not_import(project: Project, port: int) -> None:
    """It is there while the code is being mended, and after that."""
    project.write(CODE + "    import no_such_module")

    async def work(invoker: Invoker) -> Outcome:
        with pytest.raises(SourceError, match="no_such_module"):
            await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
        with client:
            project.write(CODE)
            await invoker.prepare(project.function())
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
            line, _ = await asyncio.to_thread(stop_and_go_on, client)
            assert line == BREAK_LINE
            return await outcome

    assert value(project.run(work, debug=Debugpy(port=port))) == 2


def test_nothing_is_imported_before_an_editor_is_waited_for(project: Project, port: int) -> None:
    project.write("print('imported')\ndef handler(event, context): return 1")

    async def work(invoker: Invoker) -> None:
        await invoker.prepare(project.function())

    project.run(work, debug=Debugpy(port=port, wait_for_client=True))
    assert project.output() == []
    project.run(work, debug=Debugpy(port=port))
    assert project.output() == ["imported"]


async def until_its_deadline(attempt: Callable[[float], Awaitable[Outcome]]) -> Outcome:
    """The outcome of an invocation that is paused when its time is over.

    It has little time, and more if this machine was too busy for it to get so far.
    """
    for seconds in (0.4, 0.8, 1.6, 3.2, 6.4, 12.8):
        outcome = await attempt(seconds)
        if outcome.was_paused:
            return outcome
    raise AssertionError("it was never paused")


def test_the_deadline_holds_while_it_is_paused_and_it_never_goes_on(
    project: Project, port: int
) -> None:
    """Whoever stopped before a line does not expect it to run because time was over."""
    project.write(CODE.replace("return total", 'print("went on")'))

    async def work(invoker: Invoker) -> Outcome:
        async def attempt(seconds: float) -> Outcome:
            project.lines.clear()
            await invoker.prepare(project.function())
            client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
            with client:
                return await invoke(invoker, project.function(), {"a": 1}, seconds=seconds)

        return await until_its_deadline(attempt)

    outcome = project.run(work, debug=Debugpy(port=port))
    assert error(outcome)["errorType"] == "Sandbox.Timedout"
    assert project.output() == ["before"]


def test_nobody_need_attach(project: Project, port: int) -> None:
    project.write(CODE.replace('print("before")', "breakpoint()"))
    outcome = project.invoke({"a": 1}, debug=Debugpy(port=port))
    assert value(outcome) == 2
    assert is_free(port)


def test_breakpoint_stops_once_somebody_has(project: Project, port: int) -> None:
    project.write(CODE.replace('print("before")', "breakpoint()"))

    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
            line, _ = await asyncio.to_thread(stop_and_go_on, client)
            assert line in (3, 4)
            return await outcome

    assert value(project.run(work, debug=Debugpy(port=port))) == 2


def test_waiting_for_a_client(project: Project, port: int) -> None:
    """Not even the module is imported before one is there."""
    project.write("total = 1\n\n\ndef handler(event, context):\n    return total\n")

    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        outcome = asyncio.ensure_future(invoke(invoker, project.function()))
        while RunState.AWAITING_DEBUGGER not in [one.state for one in project.progress]:
            await asyncio.sleep(0.02)
        client = await asyncio.to_thread(attached, project, invoker, [1])
        with client:
            line, _ = await asyncio.to_thread(stop_and_go_on, client)
            assert line == 1
            return await outcome

    debug = Debugpy(port=port, wait_for_client=True)
    assert value(project.run(work, debug=debug)) == 1
    states = [progress.state for progress in project.progress]
    assert states == [
        RunState.QUEUED,
        RunState.RUNNING,
        RunState.AWAITING_DEBUGGER,
        RunState.RUNNING,
        RunState.PAUSED,
        RunState.RUNNING,
        RunState.FINISHED,
    ]


def test_no_client_comes(project: Project, port: int) -> None:
    async def work(invoker: Invoker) -> list[Outcome]:
        async def attempt(seconds: float) -> Outcome:
            await invoker.prepare(project.function())
            return await invoke(invoker, project.function(), seconds=seconds)

        return [await until_its_deadline(attempt) for _ in range(2)]

    debug = Debugpy(port=port, wait_for_client=True)
    for outcome in project.run(work, debug=debug, patience=0.2):
        assert error(outcome)["errorType"] == "Sandbox.Timedout"
    assert is_free(port)


def test_an_edit_is_picked_up_and_the_editor_stays_attached(project: Project, port: int) -> None:
    async def work(invoker: Invoker) -> list[Any]:
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
        answers = []
        with client:
            for code in (CODE, CODE.replace("+ 1", "+ 2"), "syntax error", CODE):
                project.write(code)
                outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
                if code != "syntax error":
                    line, _ = await asyncio.to_thread(stop_and_go_on, client)
                    assert line == BREAK_LINE
                answers.append(await outcome)
        return answers

    first, second, third, fourth = project.run(work, debug=Debugpy(port=port))
    assert [value(first), value(second), value(fourth)] == [2, 3, 2]
    assert error(third)["errorType"] == "Runtime.UserCodeSyntaxError"


@pytest.mark.skipif(COMPILED is None, reason="this Python has no _bisect of its own")
def test_a_package_with_compiled_parts_is_not_read_again(project: Project, port: int) -> None:
    """Such a part can't be loaded twice. The rest of the code is read again after an edit."""
    project.write("""
        import builtins, sys
        import native, plain
        def handler(event, context):
            return builtins.loaded
    """)
    count = """
        import builtins
        builtins.loaded = getattr(builtins, "loaded", []) + [__name__]
    """
    project.write(count + "    from . import _bisect\n", "native/__init__.py")
    (project.folder / "native" / COMPILED.name).write_bytes(COMPILED.read_bytes())

    async def work(invoker: Invoker) -> list[Any]:
        answers = []
        for edit in range(2):
            project.write(count + f"    VALUE = {edit}\n", "plain.py")
            answers.append(value(await invoke(invoker, project.function())))
        return answers

    once, twice = project.run(work, debug=Debugpy(port=port))
    assert once == ["native", "plain"]
    assert twice == ["native", "plain", "plain"]


def test_a_layer_is_read_again_too(project: Project, tmp_path: Path, port: int) -> None:
    """In the same process: the editor stays."""
    layer = tmp_path / "layer"
    project.write("import common, os\ndef handler(event, context): return common.V, os.getpid()")

    async def work(invoker: Invoker) -> list[Any]:
        answers = []
        for number in range(2):
            project.write(f"V = {number}", f"{layer}/python/common.py")
            answers.append(value(await invoke(invoker, project.function(layers=(layer,)))))
        return answers

    (first, pid), (second, same) = project.run(work, debug=Debugpy(port=port))
    assert (first, second) == (0, 1)
    assert pid == same


def test_it_is_there_again_after_a_crash(project: Project, port: int) -> None:
    project.write("import os\ndef handler(event, context):\n    return event or os._exit(3)")

    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [])
        with client:
            crash = await invoke(invoker, project.function(), 0)
            assert error(crash)["errorType"] == "Runtime.ExitError"
            await asyncio.to_thread(client.event, "terminated")
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [3])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), 5))
            assert (await asyncio.to_thread(stop_and_go_on, client))[0] == 3
            return await outcome

    assert value(project.run(work, debug=Debugpy(port=port))) == 5


def test_each_function_has_a_port_and_one_invocation_at_a_time(project: Project, port: int) -> None:
    project.write(
        "import os, time\ndef handler(event, context): time.sleep(0.1); return os.getpid()"
    )
    functions = [project.function(logical_id=name) for name in ("A", "B", "A", "B")]

    async def work(invoker: Invoker) -> list[int]:
        assert invoker.assign_debug_address("A") == ("127.0.0.1", port)
        assert invoker.assign_debug_address("B") == ("127.0.0.1", port + 1)
        return [
            value(one) for one in await asyncio.gather(*(invoke(invoker, one) for one in functions))
        ]

    a, b, again_a, again_b = project.run(work, debug=Debugpy(port=port))
    assert (a, b) == (again_a, again_b)
    assert a != b


def test_closing_while_an_editor_holds_it_paused(project: Project, port: int) -> None:
    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
            await asyncio.to_thread(client.stopped_in)
            await invoker.close()
            assert is_free(port)
            return await outcome

    outcome = project.run(work, debug=Debugpy(port=port))
    assert error(outcome)["errorMessage"].endswith("signal: killed")


def listening(port: int) -> socket.socket:
    other = socket.socket()
    other.bind(("127.0.0.1", port))
    other.listen()
    return other


def test_a_port_that_is_taken_is_passed_over(project: Project, port: int) -> None:
    """No caller notices."""

    async def work(invoker: Invoker) -> Outcome:
        assert invoker.assign_debug_address("Greeter") == ("127.0.0.1", port + 1)
        client = await asyncio.to_thread(DapClient, "127.0.0.1", port + 1)
        with client:
            return await invoke(invoker, project.function(), {"a": 1})

    with listening(port):
        assert value(project.run(work, debug=Debugpy(port=port))) == 2
        assert not is_free(port)
    assert is_free(port + 1)


def test_of_two_at_once_the_second_has_the_next_port(project: Project, port: int) -> None:
    debug = Debugpy(port=port)

    async def attach_twice(first: Invoker) -> list[Outcome]:
        async with project.invoker(debug=debug) as second:
            assert first.assign_debug_address("Greeter") == ("127.0.0.1", port)
            assert second.assign_debug_address("Greeter") == ("127.0.0.1", port + 1)
            both = [invoke(one, project.function(), {"a": 1}) for one in (first, second)]
            return await asyncio.gather(*both)

    assert [value(one) for one in project.run(attach_twice, debug=debug)] == [2, 2]


def test_no_port_is_left(project: Project) -> None:
    with listening(65535), pytest.raises(SourceError, match="65535") as raised:
        project.run(assign, debug=Debugpy(port=65535))
    assert "--debugpy" in str(raised.value.hint)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_nobody_can_listen_at(project: Project, port: int, host: str) -> None:
    with pytest.raises(SourceError, match=f"No editor can attach at {host}:{port}") as raised:
        project.run(assign, debug=Debugpy(host, port))
    assert "--debugpy" in str(raised.value.hint)


async def assign(invoker: Invoker) -> tuple[str, int]:
    return invoker.assign_debug_address("Greeter")


def test_an_editor_may_come_before_there_is_a_child(project: Project, port: int) -> None:
    """It waits until its function is known, and then has a child started."""

    async def work(invoker: Invoker) -> Outcome:
        coming = asyncio.create_task(asyncio.to_thread(attached, project, invoker, [BREAK_LINE]))
        invoker.assign_debug_address("Greeter")
        outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
        with await coming as client:
            line, _ = await asyncio.to_thread(stop_and_go_on, client)
            assert line == BREAK_LINE
            return await outcome

    debug = Debugpy(port=port, wait_for_client=True)
    assert value(project.run(work, debug=debug)) == 2


def test_an_editor_has_a_child_started(project: Project, port: int) -> None:
    """Of many functions, not each has one from the beginning."""

    async def work(invoker: Invoker) -> Outcome:
        await invoker.serve_editors(project.function())
        client = await asyncio.to_thread(attached, project, invoker, [BREAK_LINE])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), {"a": 1}))
            assert (await asyncio.to_thread(stop_and_go_on, client))[0] == BREAK_LINE
            return await outcome

    assert value(project.run(work, debug=Debugpy(port=port))) == 2


def test_an_editor_has_a_child_started_anew(project: Project, port: int) -> None:
    project.write("import os\ndef handler(event, context):\n    return event or os._exit(3)")

    async def work(invoker: Invoker) -> Outcome:
        await invoke(invoker, project.function(), 0)
        client = await asyncio.to_thread(attached, project, invoker, [3])
        with client:
            outcome = asyncio.ensure_future(invoke(invoker, project.function(), 5))
            assert (await asyncio.to_thread(stop_and_go_on, client))[0] == 3
            return await outcome

    assert value(project.run(work, debug=Debugpy(port=port))) == 5


def test_an_editor_of_a_function_that_can_not_be_debugged(project: Project, port: int) -> None:
    """It is hung up on; it is not left waiting."""
    bare = next((one for one in interpreters() if one.path != HERE.path), None)
    if bare is None:
        pytest.skip("no interpreter without debugpy")

    async def work(invoker: Invoker) -> None:
        invoker.assign_debug_address("Greeter")
        client = await asyncio.to_thread(DapClient, "127.0.0.1", port)
        with client, pytest.raises(SourceError):
            await invoker.prepare(project.function())
        with client, pytest.raises((OSError, ValueError)):
            await asyncio.to_thread(client.request, "initialize", adapterID="debugpy")

    project.run(work, python=bare, debug=Debugpy(port=port), fallback_packages={})


def test_ports_are_free_again_without_a_session(project: Project, port: int) -> None:
    invoker = project.invoker(debug=Debugpy(port=port))
    invoker.assign_debug_address("Greeter")
    assert not is_free(port)
    invoker.discard()
    assert is_free(port)


def test_code_outside_of_the_workspace_is_shown_where_it_lies(tmp_path: Path, port: int) -> None:
    """As layers and packages are: an editor opens the file itself, and has no copy of it."""
    workspace, outside = Project(tmp_path / "workspace"), Project(tmp_path / "outside")
    outside.write("def work(call):\n    return call()\n", "layer.py")
    workspace.write("""
        import layer
        def handler(event, context):
            return layer.work(lambda: 1)
    """)
    variables = {"PYTHONPATH": str(outside.folder)}

    async def work(invoker: Invoker) -> Outcome:
        function = workspace.function(variables=variables)
        await invoker.prepare(function)
        client = await asyncio.to_thread(attached, workspace, invoker, [])
        with client:
            await asyncio.to_thread(client.set_breakpoints, outside.folder / "layer.py", [2])
            outcome = asyncio.ensure_future(invoke(invoker, function))
            thread, _ = await asyncio.to_thread(client.stopped_in)
            sources = [frame["source"] for frame in await asyncio.to_thread(client.stack, thread)]
            assert [source["path"] for source in sources] == [
                str(outside.folder / "layer.py"),
                str(workspace.folder / "app.py"),
            ]
            assert not any(source.get("sourceReference") for source in sources)
            await asyncio.to_thread(client.go_on, thread)
            return await outcome

    assert value(workspace.run(work, debug=Debugpy(port=port))) == 1


def test_no_debugpy(project: Project, port: int) -> None:
    bare = next((one for one in interpreters() if one.path != HERE.path), None)
    if bare is None:
        pytest.skip("no interpreter without debugpy")
    with pytest.raises(SourceError, match="No module named 'debugpy'") as raised:
        project.run(
            lambda invoker: invoker.prepare(project.function()),
            python=bare,
            debug=Debugpy(port=port),
            fallback_packages={},
        )
    assert raised.value.hint == f"Install it there: {bare.path} -m pip install debugpy"


@pytest.mark.parametrize("version", [(3, 8), (3, 9)])
def test_an_interpreter_that_our_debugpy_does_not_support(
    project: Project, port: int, version: tuple[int, int]
) -> None:
    old = next((one for one in interpreters() if one.version[:2] == version), None)
    if old is None:
        pytest.skip("not on this machine")
    with pytest.raises(SourceError, match="debugpy can't be loaded") as raised:
        project.run(
            lambda invoker: invoker.prepare(project.function()),
            python=old,
            debug=Debugpy(port=port),
        )
    assert "pip install debugpy" in str(raised.value.hint)
