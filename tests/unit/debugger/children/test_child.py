"""A child is asked to end, then terminated, then killed; and nothing that it started stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome
from tests.unit.debugger.local_code import (
    Project,
    error,
    every_python,
    invoke,
    processes_in,
    value,
)
from tests.unit.polling import poll, until

# For children that end when they are asked to, however slow this machine is; and for those that
# do not, so that the next step comes soon. In seconds.
PATIENT, IMPATIENT = 30.0, 0.2

# With "idle" the handler is done at once; else it sleeps, or does what it is told.
CODE = textwrap.dedent("""
    import atexit, os, signal, subprocess, sys, threading, time

    atexit.register(print, "atexit")

    def handler(event, context):
        if event == "idle":
            return os.getpid()
        try:
            print("busy", flush=True)
            time.sleep(60)
        finally:
            print("finally")
""")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path)
    project.write(CODE)
    yield project
    # The system may take a moment for what a child started.
    poll(lambda: processes_in(tmp_path) == [])


async def seconds_to_close(invoker: Invoker) -> float:
    started = time.monotonic()
    await invoker.close()
    return time.monotonic() - started


async def start_busy(project: Project, invoker: Invoker) -> asyncio.Future[Outcome]:
    """An invocation that is in the middle of its handler."""
    running = asyncio.ensure_future(invoke(invoker, project.function(), "busy", seconds=60))
    await until(lambda: "busy" in project.output())
    return running


class TestIdle:
    @every_python
    def test_its_interpreter_shuts_down_as_after_any_program(
        self, project: Project, python: Interpreter
    ) -> None:
        project.invoke("idle", python=python, patience=PATIENT)
        assert project.output() == ["atexit"]
        assert project.output("stderr") == []

    def test_threads_are_waited_for(self, project: Project) -> None:
        project.write("""
            import threading, time
            def work():
                time.sleep(0.3)
                print("done")
            def handler(event, context):
                threading.Thread(target=work).start()
        """)
        project.invoke("idle", patience=PATIENT)
        assert project.output() == ["done"]

    def test_one_whose_code_has_changed_ends_while_the_next_one_works(
        self, project: Project
    ) -> None:
        async def work(invoker: Invoker) -> None:
            first = value(await invoke(invoker, project.function(), "idle"))
            project.write(CODE + "# changed")
            assert value(await invoke(invoker, project.function(), "idle")) != first
            await until(lambda: project.output() == ["atexit"])

        project.run(work, patience=PATIENT)
        assert project.output() == ["atexit"] * 2

    def test_one_that_does_not_listen_is_terminated(self, project: Project) -> None:
        project.write("""
            import atexit, threading, time
            atexit.register(print, "atexit")
            def handler(event, context):
                threading.Thread(target=time.sleep, args=(60,)).start()
        """)

        project.invoke(patience=2)
        assert project.output() == ["atexit"]

    def test_one_that_ignores_everything_is_killed_with_all_that_it_started(
        self, project: Project
    ) -> None:
        project.write("""
            import atexit, signal, subprocess, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            atexit.register(time.sleep, 60)
            def handler(event, context):
                subprocess.Popen(["sleep", "60"])
        """)

        async def work(invoker: Invoker) -> float:
            await invoke(invoker, project.function())
            assert len(processes_in(project.folder)) == 2
            return await seconds_to_close(invoker)

        assert project.run(work, patience=IMPATIENT) >= 2 * IMPATIENT

    def test_what_it_started_does_not_outlive_it(self, project: Project) -> None:
        project.write("""
            import subprocess
            def handler(event, context):
                subprocess.Popen(["sleep", "60"])
        """)
        project.invoke()

    def test_many_end_side_by_side(self, project: Project) -> None:
        project.write(CODE + "atexit.register(time.sleep, 3)")

        async def work(invoker: Invoker) -> float:
            functions = [project.function(logical_id=f"F{number}") for number in range(10)]
            await asyncio.gather(*(invoke(invoker, function, "idle") for function in functions))
            return await seconds_to_close(invoker)

        assert project.run(work, patience=PATIENT) < 20, "one after the other is half a minute"
        assert project.output() == ["atexit"] * 10


class TestBusy:
    def test_a_second_sigterm_disturbs_no_cleaning_up(self, project: Project) -> None:
        """It comes if the child has not ended yet: the first one may have been lost."""
        project.write("""
            import time
            def handler(event, context):
                try:
                    print("busy", flush=True)
                    time.sleep(60)
                finally:
                    time.sleep(1)
                    print("finally")
        """)

        async def work(invoker: Invoker) -> None:
            running = await start_busy(project, invoker)
            await invoker.close()
            assert error(await running)["errorType"] == "Runtime.ExitError"

        project.run(work, patience=1.8)
        assert project.output() == ["busy", "finally"]

    @every_python
    def test_its_finally_runs_and_its_interpreter_shuts_down(
        self, project: Project, python: Interpreter
    ) -> None:
        async def work(invoker: Invoker) -> None:
            running = await start_busy(project, invoker)
            await invoker.close()
            assert error(await running)["errorType"] == "Runtime.ExitError"

        project.run(work, python=python, patience=PATIENT)
        assert project.output() == ["busy", "finally", "atexit"]
        assert project.output("stderr") == []

    def test_so_does_it_after_the_deadline_for_which_nobody_waits(self, project: Project) -> None:
        project.write(CODE.replace("finally:", "finally:\n        time.sleep(2)"))

        async def work(invoker: Invoker) -> None:
            outcome = await invoke(invoker, project.function(), "busy", seconds=1)
            assert error(outcome)["errorType"] == "Sandbox.Timedout"
            assert project.output() == ["busy"]

        project.run(work, patience=PATIENT)
        assert project.output() == ["busy", "finally", "atexit"]

    def test_and_when_it_is_cancelled(self, project: Project) -> None:
        async def work(invoker: Invoker) -> None:
            running = await start_busy(project, invoker)
            running.cancel()
            await until(lambda: project.output() == ["busy", "finally", "atexit"])

        project.run(work, patience=PATIENT)

    def test_code_with_a_handler_of_its_own_for_sigterm_is_asked(self, project: Project) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown"""
        project.write(
            CODE + "signal.signal(signal.SIGTERM, lambda *_: [print('shut down'), sys.exit()])"
        )

        async def work(invoker: Invoker) -> None:
            await start_busy(project, invoker)
            await invoker.close()

        project.run(work, patience=PATIENT)
        assert project.output() == ["busy", "shut down", "finally", "atexit"]

    def test_code_that_catches_everything_ends_after_its_answer(self, project: Project) -> None:
        project.write(CODE.replace("finally:", "except BaseException as caught:"))

        async def work(invoker: Invoker) -> float:
            await start_busy(project, invoker)
            return await seconds_to_close(invoker)

        assert project.run(work, patience=PATIENT) < PATIENT
        assert project.output() == ["busy", "finally", "atexit"]

    def test_one_that_ignores_it_is_killed(self, project: Project) -> None:
        project.write(CODE + "signal.signal(signal.SIGTERM, signal.SIG_IGN)")

        async def work(invoker: Invoker) -> None:
            running = await start_busy(project, invoker)
            await invoker.close()
            assert "signal: killed" in error(await running)["errorMessage"]

        project.run(work, patience=IMPATIENT)
        assert project.output() == ["busy"]

    def test_whoever_has_no_patience_has_it_killed_at_once(self, project: Project) -> None:
        project.write(CODE + "signal.signal(signal.SIGTERM, signal.SIG_IGN)")

        async def work(invoker: Invoker) -> None:
            await start_busy(project, invoker)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await invoker.close()
            await until(lambda: processes_in(project.folder) == [])

        project.run(work, patience=PATIENT)

    def test_processes_that_the_code_forks_are_terminated_as_anywhere(
        self, project: Project
    ) -> None:
        project.write("""
            import os, signal, time
            def handler(event, context):
                child = os.fork()
                if child == 0:
                    time.sleep(60)
                    os._exit(0)
                time.sleep(0.1)
                os.kill(child, signal.SIGTERM)
                return os.waitpid(child, 0)[1]
        """)
        assert value(project.invoke()) == 15

    @every_python
    def test_also_those_that_are_terminated_at_once(
        self, project: Project, python: Interpreter
    ) -> None:
        """While Python still gets the new process going; also if a thread forks them."""
        project.write("""
            import multiprocessing, threading, time
            def run_some(codes):
                fork = multiprocessing.get_context("fork")
                for _ in range(10):
                    process = fork.Process(target=time.sleep, args=(5,))
                    process.start()
                    process.terminate()
                    process.join()
                    codes.append(process.exitcode)
            def handler(event, context):
                codes = []
                run_some(codes)
                thread = threading.Thread(target=run_some, args=(codes,))
                thread.start()
                thread.join()
                return codes
        """)
        assert value(project.invoke(python=python)) == [-15] * 20

    @every_python
    @pytest.mark.parametrize("way", ["return 'forked'", "raise ValueError('forked')"])
    def test_one_that_leaves_the_handler_answers_once_and_ends(
        self, project: Project, python: Interpreter, way: str
    ) -> None:
        """As on Lambda, the first of both answers counts, and only for its own invocation."""
        project.write(f"""
            import os
            def handler(event, context):
                if event != "fork":
                    return event
                child = os.fork()
                if child == 0:
                    {way}
                return os.waitpid(child, 0)
        """)

        async def work(invoker: Invoker) -> list[Any]:
            first = await invoke(invoker, project.function(), "fork")
            return [first, *[value(await invoke(invoker, project.function(), n)) for n in range(3)]]

        first, *others = project.run(work, python=python)
        assert "forked" in (first.result or error(first)["errorMessage"])
        assert others == [0, 1, 2]


class TestWithoutPlldb:
    """plldb itself was killed, and can't end anything."""

    PROGRAM = """
        import asyncio, sys, time
        from pathlib import Path
        from plldb.debugger.children.invoker import Invoker
        from plldb.debugger.children.local_function import LocalFunction
        async def main():
            invoker = Invoker(python=Path(sys.executable), patience={patience})
            function = LocalFunction("F", Path({folder!r}), "app.handler", "f")
            await invoker.invoke(function, {event!r}, {{}}, time.time() + 60)
            print("idle", flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """

    def kill(
        self,
        project: Project,
        event: str,
        is_started: Callable[[Any], bool],
        patience: float = PATIENT,
    ) -> None:
        """Starts plldb with one child, and kills it once the child has started what it should."""
        program = self.PROGRAM.format(folder=str(project.folder), event=event, patience=patience)
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE
        ) as plldb:
            try:
                poll(lambda: is_started(plldb))
            finally:
                plldb.kill()
        poll(lambda: processes_in(project.folder) == [])

    @pytest.fixture
    def notes(self, project: Project) -> Path:
        """What the child wrote down: nobody reads its output any more."""
        project.write("""
            import atexit, pathlib, subprocess, time
            NOTES = pathlib.Path(__file__).with_name("notes")
            def note(text):
                with NOTES.open("a") as file:
                    file.write(text + "\\n")
            atexit.register(note, "atexit")
            def handler(event, context):
                subprocess.Popen(["sleep", "60"])
                if not event:
                    return
                note("busy")
                try:
                    time.sleep(60)
                finally:
                    note("finally")
        """)
        return project.folder / "notes"

    def test_a_busy_child_ends_in_order_with_all_that_it_started(
        self, project: Project, notes: Path
    ) -> None:
        self.kill(project, "1", lambda _: notes.exists() and notes.read_text() == "busy\n")
        assert notes.read_text() == "busy\nfinally\natexit\n"

    def test_so_does_an_idle_one(self, project: Project, notes: Path) -> None:
        self.kill(project, "0", lambda plldb: plldb.stdout.readline() == b"idle\n")
        assert notes.read_text() == "atexit\n"

    def test_one_that_ignores_it_is_killed(self, project: Project) -> None:
        notes = project.folder / "notes"
        project.write("""
            import pathlib, signal
            NOTES = pathlib.Path(__file__).with_name("notes")
            def handler(event, context):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                NOTES.write_text("busy\\n")
                while True:
                    pass
        """)
        self.kill(project, "1", lambda _: notes.exists(), IMPATIENT)
