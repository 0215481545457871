"""``breakpoint()`` in a handler, at a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import re
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.child import Child
from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome, RunState
from plldb.debugger.children.local_function import Pdb
from plldb.errors import SourceError
from tests.unit.debugger.developer import Terminal, debug
from tests.unit.debugger.local_code import Project, error, every_python, invoke, value


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("""
        def handler(event, context):
            print("before")
            total = event["a"] + 1
            breakpoint()
            total += 1
            return total
    """)
    return project


def test_a_start_that_is_cancelled_leaves_nothing_open(
    project: Project, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(invoker: Invoker) -> None:
        is_starting = asyncio.Event()

        async def start(*_: Any) -> None:
            is_starting.set()
            await asyncio.sleep(60)

        monkeypatch.setattr(Child, "start", start)
        await asyncio.to_thread(int)
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        task = asyncio.ensure_future(invoke(invoker, project.function()))
        await is_starting.wait()
        task.cancel()
        await asyncio.wait({task})
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208

    project.run(work, debug=Pdb(terminal.path))


@every_python
def test_look_and_continue(project: Project, terminal: Terminal, python: Interpreter) -> None:
    def developer() -> None:
        assert f"{project.folder}/app.py(" in terminal.expect("(Pdb) ")
        terminal.type("p event")
        assert "{'a': 1, 'é': 'ü'}" in terminal.expect("(Pdb) ")
        terminal.type("w")
        stack = terminal.expect("(Pdb) ")
        assert "handler()" in stack
        assert "runtime/" not in stack
        # After `w`: before Python 3.13, it takes an assignment back.
        terminal.type("total = 40")
        terminal.expect("(Pdb) ")
        terminal.type("print('shown', total)")
        assert "shown 40" in terminal.expect("(Pdb) ")
        terminal.type("c")

    assert value(debug(project, terminal, developer, python=python)) == 41
    assert project.output() == ["before"]
    assert project.output("stderr") == []
    states = [progress.state for progress in project.progress]
    assert states == [
        RunState.QUEUED,
        RunState.RUNNING,
        RunState.PAUSED,
        RunState.RUNNING,
        RunState.FINISHED,
    ]


@every_python
def test_step_to_the_end(project: Project, terminal: Terminal, python: Interpreter) -> None:
    """Beyond the handler is nothing of the developer's: the result goes out."""

    def developer() -> None:
        for _ in range(6):
            prompt = terminal.expect("(Pdb) ")
            terminal.type("n")
            if "--Return--" in prompt:
                break
        else:
            raise AssertionError("the handler did not return")

    assert value(debug(project, terminal, developer, python=python)) == 3


@every_python
def test_each_version_has_its_own_pdb(
    project: Project, terminal: Terminal, python: Interpreter
) -> None:
    """With what is new in it, and Ctrl-C as ever."""
    project.write("""
        import pdb
        def handler(event, context):
            pdb.set_trace(header="Here it is.")
            return event["a"]
    """)

    def developer() -> None:
        assert "Here it is." in terminal.expect("(Pdb) ")
        os.write(terminal.master, b"p 'half")
        terminal.interrupt()
        terminal.expect("(Pdb) ")
        terminal.type("interact")
        terminal.expect(">>> ")
        terminal.type("event['a'] + 41")
        assert "42" in terminal.expect(">>> ")
        os.write(terminal.master, b"\x04")
        terminal.expect("(Pdb) ")
        if python.version >= (3, 13):
            terminal.type("for n in (4, 2):")
            terminal.expect("...")
            terminal.type("    print('line', n)")
            terminal.expect("...")
            terminal.type("")
            assert terminal.expect("(Pdb) ").split()[-4:] == ["line", "4", "line", "2"]
        terminal.type("debug len('four')")
        terminal.expect("((Pdb")
        terminal.type("q")
        terminal.expect("(Pdb) ")
        terminal.type("c")

    assert value(debug(project, terminal, developer, python=python)) == 1


@every_python
def test_stepping_into_input_asks(
    project: Project, terminal: Terminal, python: Interpreter
) -> None:
    project.write("""
        def handler(event, context):
            breakpoint()
            name = input("Who? ")
            return name
    """)

    def developer() -> None:
        while "input(" not in terminal.expect("(Pdb) "):
            terminal.type("s")
        terminal.type("s")
        terminal.expect("Who? ")
        terminal.type("me")
        assert "return name" in terminal.expect("(Pdb) ")
        terminal.type("c")

    assert value(debug(project, terminal, developer, python=python)) == "me"


def test_break_step_and_quit(project: Project, terminal: Terminal) -> None:
    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type(f"b {project.folder}/app.py:7")
        assert "Breakpoint 1" in terminal.expect("(Pdb) ")
        terminal.type("c")
        assert "return total" in terminal.expect("(Pdb) ")
        terminal.type("q")

    assert error(debug(project, terminal, developer))["errorType"] == "BdbQuit"


def test_pdb_itself(project: Project, terminal: Terminal) -> None:
    project.write("""
        import pdb
        def handler(event, context):
            pdb.set_trace()
            return event
    """)

    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type("event = 7")
        terminal.expect("(Pdb) ")
        terminal.type("c")

    assert value(debug(project, terminal, developer)) == 7


@pytest.mark.parametrize("line", ["", "while True: import time; time.sleep(0.1)"])
def test_the_deadline_holds_and_the_terminal_is_as_it_was(
    project: Project, terminal: Terminal, line: str
) -> None:
    """At a prompt, and while it runs an expression."""
    project.write("""
        def handler(event, context):
            try:
                breakpoint()
                print("went on")
            finally:
                print("finally")
    """)
    before = termios.tcgetattr(terminal.slave)

    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type(line)

    outcome = debug(project, terminal, developer, seconds=2, patience=20)
    assert error(outcome)["errorType"] == "Sandbox.Timedout"
    assert outcome.was_paused
    assert project.output() == ["finally"]
    assert termios.tcgetattr(terminal.slave) == before


def test_one_at_a_time(project: Project, terminal: Terminal) -> None:
    async def work(invoker: Invoker) -> list[Any]:
        tasks = [
            asyncio.ensure_future(
                invoke(invoker, project.function(logical_id=f"F{n}"), {"a": n}, seconds=30)
            )
            for n in range(3)
        ]
        for n in range(3):
            await asyncio.to_thread(terminal.expect, "(Pdb) ")
            assert (invoker.running, invoker.waiting) == (1, 2 - n)
            terminal.type("p event")
            assert f"{{'a': {n}}}" in await asyncio.to_thread(terminal.expect, "(Pdb) ")
            terminal.type("c")
        return [value(outcome) for outcome in await asyncio.gather(*tasks)]

    assert project.run(work, debug=Pdb(terminal.path), max_concurrency=5) == [2, 3, 4]


def test_no_terminal(project: Project, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="pdb needs a terminal") as raised:
        project.invoke(debug=Pdb(tmp_path / "tty"))
    assert "--debugpy" in str(raised.value.hint)


def test_a_breakpoint_in_a_module_is_left_to_the_first_invocation(
    project: Project, terminal: Terminal
) -> None:
    """While the function is prepared, nobody waits for an answer."""
    project.write("""
        breakpoint()
        def handler(event, context):
            return event
    """)

    async def work(invoker: Invoker) -> Outcome:
        await invoker.prepare(project.function())
        developing = asyncio.ensure_future(asyncio.to_thread(developer))
        outcome = await invoke(invoker, project.function(), 1)
        await developing
        return outcome

    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type("c")

    assert value(project.run(work, debug=Pdb(terminal.path))) == 1


@every_python
def test_a_process_that_the_code_forks_has_no_debugger(
    project: Project, terminal: Terminal, python: Interpreter
) -> None:
    """It has none of what plldb and its parent say to each other."""
    project.write("""
        import multiprocessing

        def work(answers):
            breakpoint()
            try:
                answers.put(input("name? "))
            except EOFError:
                answers.put("nobody")

        def handler(event, context):
            breakpoint()
            multiprocess = multiprocessing.get_context("fork")
            answers = multiprocess.Queue()
            process = multiprocess.Process(target=work, args=(answers,))
            process.start()
            answer = answers.get()
            process.join()
            return answer, process.exitcode
    """)

    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type("n")
        terminal.expect("(Pdb) ")
        terminal.type("c")

    outcome = debug(project, terminal, developer, python=python)
    assert value(outcome) == ["nobody", 0]
    passed_over = [line for line in project.output("stderr") if "another process" in line]
    assert [re.sub(" was passed over.*", "", line) for line in passed_over] == [
        f"a debugger at {project.folder}/app.py:5",
        f"input at {project.folder}/app.py:7",
    ]


def test_a_thread_that_is_left_at_a_prompt_has_no_keys_of_the_next_invocation(
    project: Project, terminal: Terminal
) -> None:
    project.write("""
        import os, threading
        is_left = threading.Event()
        def stop():
            breakpoint()
            is_left.clear()
        def handler(event, context):
            if event == 1:
                threading.Thread(target=stop, daemon=True).start()
                is_left.wait()
            else:
                breakpoint()
            return os.getpid()
    """)

    async def work(invoker: Invoker) -> list[Any]:
        leaving = asyncio.ensure_future(asyncio.to_thread(leave))
        first = await invoke(invoker, project.function(), 1)
        await leaving
        developing = asyncio.ensure_future(asyncio.to_thread(developer))
        second = await invoke(invoker, project.function(), 2)
        await developing
        return [value(first), value(second)]

    def leave() -> None:
        terminal.expect("(Pdb) ")
        terminal.type("is_left.set(); __import__('time').sleep(60)")

    def developer() -> None:
        terminal.expect("(Pdb) ")
        terminal.type("p event")
        assert "2" in terminal.expect("(Pdb) ")
        terminal.type("c")

    first, second = project.run(work, debug=Pdb(terminal.path), patience=0.2)
    assert first != second


def test_a_module_that_asks_at_the_terminal_is_left_to_the_first_invocation(
    project: Project, terminal: Terminal
) -> None:
    """Past the standard streams, as getpass does."""
    project.write("""
        import getpass
        word = getpass.getpass("word? ")
        def handler(event, context):
            return word
    """)

    async def work(invoker: Invoker) -> Outcome:
        async with asyncio.timeout(10):
            await invoker.prepare(project.function())
        await asyncio.to_thread(terminal.expect, "word? ")
        developing = asyncio.ensure_future(asyncio.to_thread(developer))
        outcome = await invoke(invoker, project.function(), 1)
        await developing
        return outcome

    def developer() -> None:
        terminal.expect("word? ")
        terminal.type("secret")

    assert value(project.run(work, debug=Pdb(terminal.path), patience=0.2)) == "secret"
