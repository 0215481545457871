"""Invocations run in children of their own: warm, fresh, in order, and gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plldb.debugger.children.invoker import Invoker, RunState
from plldb.debugger.children.local_function import LocalFunction
from plldb.errors import SourceError
from tests.unit.debugger.local_code import (
    CONTEXT,
    Project,
    error,
    has_exited,
    invoke,
    is_running,
    processes_in,
    value,
)
from tests.unit.polling import poll, until

ECHO = "def handler(event, context): return event\n"
PID = "import os\ndef handler(event, context): return os.getpid()\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield Project(tmp_path)
    assert processes_in(tmp_path) == []


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            *("null", "true", "false", "0", "-0.0", '""', "[]", "{}", "1e-07", "[[[{}]]]"),
            '"é😀\\u0000\\u001f\\"\\\\/\u2028"',
            '"\\ud800"',
            '{"": null, "a": [0, false, "", [], {}, null]}',
            "123456789012345678901234567890",
            "0.1",
        ],
    )
    def test_every_value_comes_back_unchanged(self, project: Project, text: str) -> None:
        project.write(ECHO)

        async def work(invoker: Invoker) -> Any:
            return await invoker.invoke(project.function(), text, CONTEXT, time.time() + 20)

        result = project.run(work).result
        assert result is not None
        assert json.loads(result) == json.loads(text)
        assert str(json.loads(result)) == str(json.loads(text))

    @pytest.mark.parametrize("character", ["x", "é", "😀", '"'])
    def test_six_megabytes_both_ways(self, project: Project, character: str) -> None:
        project.write(ECHO)
        size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
        text = json.dumps(character * ((6 * 1024 * 1024 - 2) // size), ensure_ascii=False)

        async def work(invoker: Invoker) -> Any:
            function = project.function(runtime="python3.13")
            return await invoker.invoke(function, text, CONTEXT, time.time() + 30)

        assert project.run(work).result == text

    def test_any_json(self, project: Project) -> None:
        project.write(ECHO)
        values = st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.text(st.characters(exclude_categories=())),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
        with asyncio.Runner() as runner:
            invoker = runner.run(made(project))

            @settings(suppress_health_check=list(HealthCheck), deadline=None)
            @given(values, st.booleans())
            def check(given_value: Any, ascii: bool) -> None:
                text = json.dumps(given_value, ensure_ascii=ascii)
                with contextlib.suppress(UnicodeEncodeError):
                    text.encode()
                answer = invoker.invoke(project.function(), text, CONTEXT, time.time() + 20)
                assert value(runner.run(wait(answer))) == given_value

            try:
                check()
            finally:
                runner.run(invoker.close())


async def made(project: Project) -> Invoker:
    return project.invoker()


async def wait(awaitable: Any) -> Any:
    return await awaitable


class TestWarmth:
    def test_the_child_stays_for_the_next_one(self, project: Project) -> None:
        project.write(
            "count = 0\ndef handler(event, context):\n global count\n count += 1\n return count"
        )

        async def work(invoker: Invoker) -> list[Any]:
            return [value(await invoke(invoker, project.function())) for _ in range(3)]

        assert project.run(work) == [1, 2, 3]

    def test_an_error_of_the_handlers_does_not_end_it(self, project: Project) -> None:
        project.write("import os\ndef handler(event, context): return event[os.getpid()]")

        async def work(invoker: Invoker) -> list[Any]:
            return [error(await invoke(invoker, project.function(), {})) for _ in range(2)]

        first, second = project.run(work)
        assert first == second
        assert first["errorType"] == "KeyError"

    def test_functions_have_children_of_their_own(self, project: Project) -> None:
        project.write(PID)

        async def work(invoker: Invoker) -> set[int]:
            functions = [project.function(logical_id=name) for name in ("A", "B", "A", "B")]
            return {value(await invoke(invoker, function)) for function in functions}

        assert len(project.run(work)) == 2

    def test_other_variables_need_another_child(self, project: Project) -> None:
        project.write("import os\ndef handler(event, context): return os.environ['TABLE']")

        async def work(invoker: Invoker) -> list[Any]:
            functions = [project.function(variables={"TABLE": name}) for name in "aba"]
            return [value(await invoke(invoker, function)) for function in functions]

        assert project.run(work) == ["a", "b", "a"]

    def test_it_is_cheap(self, project: Project) -> None:
        """Less than starting Python takes, on a machine as busy as it is."""
        project.write(ECHO)

        def python_starts() -> float:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", ""], check=True)
            return time.perf_counter() - started

        async def work(invoker: Invoker) -> float:
            durations = []
            for _ in range(50):
                started = time.perf_counter()
                await invoke(invoker, project.function(), 1)
                durations.append(time.perf_counter() - started)
            return min(durations)

        assert project.run(work) < min(python_starts() for _ in range(10))


class TestFreshness:
    def edit_and_invoke(self, project: Project, edits: list[tuple[str, str]]) -> list[Any]:
        async def work(invoker: Invoker) -> list[Any]:
            outcomes = []
            for name, code in edits:
                project.write(code, name)
                outcomes.append(await invoke(invoker, project.function()))
            return outcomes

        return project.run(work)

    def test_an_edit_is_picked_up(self, project: Project) -> None:
        """Of the same size and within the same second, too."""
        edits = [("app.py", f"def handler(event, context): return {n}") for n in range(5)]
        assert [value(one) for one in self.edit_and_invoke(project, edits)] == [0, 1, 2, 3, 4]

    def test_of_any_file(self, project: Project) -> None:
        project.write("from lib import thing\ndef handler(event, context): return thing.VALUE")
        edits = [("lib/thing.py", "VALUE = 1"), ("lib/thing.py", "VALUE = 2")]
        assert [value(one) for one in self.edit_and_invoke(project, edits)] == [1, 2]

    def test_a_mistake_is_named_and_works_again_once_it_is_mended(self, project: Project) -> None:
        good, bad = "def handler(event, context): return 1", "def handler(event, context) return 1"
        first, second, third = self.edit_and_invoke(
            project, [("app.py", good), ("app.py", bad), ("app.py", good)]
        )
        assert value(first) == value(third) == 1
        assert error(second)["errorType"] == "Runtime.UserCodeSyntaxError"
        assert "app.py, line 1" in error(second)["errorMessage"]

    def test_an_import_that_failed_is_tried_again(self, project: Project) -> None:
        """What it lacks may lie outside of the folder, where nobody sees it change."""
        project.write("""
            import pathlib
            assert pathlib.Path(__file__).with_name(".ready").exists()
            def handler(event, context): return 1
        """)

        async def work(invoker: Invoker) -> Any:
            assert error(await invoke(invoker, project.function()))["errorType"] == "AssertionError"
            (project.folder / ".ready").touch()
            return value(await invoke(invoker, project.function()))

        assert project.run(work) == 1

    def test_no_cache_lands_in_the_project(self, project: Project) -> None:
        project.write(ECHO)
        project.invoke()
        assert [path.name for path in project.folder.iterdir()] == ["app.py"]


class TestConcurrency:
    def test_each_of_many_gets_its_own_answer(self, project: Project) -> None:
        project.write("""
            import os, time
            def handler(event, context):
                open(f"begun-{event}", "w").close()
                while sum(name.startswith("begun-") for name in os.listdir()) < 20:
                    time.sleep(0.05)
                return [event, context.aws_request_id, os.getpid()]
        """)

        async def work(invoker: Invoker) -> list[Any]:
            outcomes = await asyncio.gather(
                *(
                    invoke(invoker, project.function(), n, context={"aws_request_id": f"r{n}"})
                    for n in range(20)
                )
            )
            return [value(outcome) for outcome in outcomes]

        answers = project.run(work, max_concurrency=20)
        assert [answer[:2] for answer in answers] == [[n, f"r{n}"] for n in range(20)]
        assert len({answer[2] for answer in answers}) == 20

    def test_the_others_wait_in_order(self, project: Project) -> None:
        project.write("""
            import time
            def handler(event, context):
                started = time.monotonic()
                time.sleep(0.05)
                return [started, time.monotonic()]
        """)
        functions = [project.function(logical_id=f"F{n % 3}") for n in range(8)]

        async def work(invoker: Invoker) -> list[Any]:
            return [
                value(one)
                for one in await asyncio.gather(*(invoke(invoker, one) for one in functions))
            ]

        times = project.run(work, max_concurrency=2)
        for number, (started, _) in enumerate(times):
            assert sum(a <= started < b for a, b in times) <= 2, number
        order = [progress for progress in project.progress if progress.state is RunState.RUNNING]
        assert [one.function for one in order] == [one.logical_id for one in functions]

    def test_what_waits_and_what_runs_can_be_seen(self, project: Project) -> None:
        project.write("import time\ndef handler(event, context): time.sleep(0.2)")

        async def work(invoker: Invoker) -> None:
            tasks = [
                asyncio.ensure_future(
                    invoke(invoker, project.function(), context={"aws_request_id": name})
                )
                for name in "abc"
            ]
            async with asyncio.timeout(30):
                while (invoker.waiting, invoker.running) != (2, 1):
                    await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            assert (invoker.waiting, invoker.running) == (0, 0)

        project.run(work, max_concurrency=1)
        states = [one.state for one in project.progress if one.request_id == "c"]
        assert states == [RunState.QUEUED, RunState.RUNNING, RunState.FINISHED]
        assert max(one.waiting for one in project.progress) == 2
        assert max(one.running for one in project.progress) == 1
        assert {one.deadline > time.time() for one in project.progress} == {True}

    def test_no_more_children_stay_than_are_of_use(self, project: Project) -> None:
        project.write("import time\ndef handler(event, context): time.sleep(0.1)")

        async def work(invoker: Invoker) -> None:
            for name in ("A", "B", "C"):
                function = project.function(logical_id=name)
                await asyncio.gather(*(invoke(invoker, function) for _ in range(4)))
            await until(lambda: len(processes_in(project.folder)) <= 4)

        project.run(work, max_concurrency=4)

    def test_time_passes_while_one_waits(self, project: Project) -> None:
        project.write("import time\ndef handler(event, context): time.sleep(0.5); return 1")

        async def work(invoker: Invoker) -> list[Any]:
            return await asyncio.gather(
                invoke(invoker, project.function()),
                invoke(invoker, project.function(), seconds=0.2),
                invoke(invoker, project.function()),
            )

        first, second, third = project.run(work, max_concurrency=1)
        assert value(first) == value(third) == 1
        assert error(second)["errorType"] == "Sandbox.Timedout"
        assert not second.was_paused


class TestCrashes:
    @pytest.mark.parametrize(
        ("statement", "reason"),
        [
            ("os._exit(3)", "Runtime exited with error: exit status 3"),
            ("os._exit(0)", "Runtime exited without providing a reason"),
            ("sys.exit(4)", "Runtime exited with error: exit status 4"),
            ("sys.exit()", "Runtime exited without providing a reason"),
            ("sys.exit('bye')", "Runtime exited with error: exit status 1"),
            ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
            ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
            ("os.abort()", "Runtime exited with error: signal: aborted"),
        ],
    )
    @pytest.mark.parametrize("at_import", [False, True])
    def test_as_lambda_reports_them(
        self, project: Project, statement: str, reason: str, at_import: bool
    ) -> None:
        code = """
            import ctypes, os, sys
            AT_IMPORT
            def handler(event, context):
                print("before", end="")
                STATEMENT
        """
        where = "AT_IMPORT" if at_import else "STATEMENT"
        project.write(
            code.replace(where, statement).replace("AT_IMPORT", "").replace("STATEMENT", "")
        )
        assert error(project.invoke()) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: request-1 Error: {reason}",
            "stackTrace": [],
        }
        if not at_import:
            assert project.output() == ["before"]

    def test_the_next_one_gets_a_new_child(self, project: Project) -> None:
        project.write("import os\ndef handler(event, context): return event or os._exit(3)")

        async def work(invoker: Invoker) -> list[Any]:
            return [await invoke(invoker, project.function(), event) for event in (1, 0, 2)]

        first, second, third = project.run(work)
        assert (value(first), value(third)) == (1, 2)
        assert error(second)["errorType"] == "Runtime.ExitError"

    def test_one_that_is_killed_while_it_idles(self, project: Project) -> None:
        project.write(PID)

        async def work(invoker: Invoker) -> tuple[int, int]:
            first = value(await invoke(invoker, project.function()))
            os.kill(first, signal.SIGKILL)
            async with asyncio.timeout(30):
                with contextlib.suppress(ProcessLookupError):
                    while True:
                        os.kill(first, 0)
                        await asyncio.sleep(0.01)
            return first, value(await invoke(invoker, project.function()))

        first, second = project.run(work)
        assert first != second

    @pytest.mark.parametrize("statement", ["while True: pass", "time.sleep(60)", "signal.pause()"])
    def test_a_handler_that_takes_too_long(self, project: Project, statement: str) -> None:
        project.write(f"""
            import os, signal, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            def handler(event, context):
                if not event:
                    return os.getpid()
                {statement}
        """)

        async def work(invoker: Invoker) -> Any:
            pid = value(await invoke(invoker, project.function()))
            started = time.monotonic()
            outcome = await invoke(invoker, project.function(), 1, seconds=0.5)
            assert 0.4 < time.monotonic() - started < 40
            assert value(await invoke(invoker, project.function())) != pid
            return outcome

        shown = error(project.run(work, patience=0.5))
        words = r"RequestId: request-1 Error: Task timed out after (0\.\d\d) seconds"
        allowed = re.fullmatch(words, shown.pop("errorMessage"))
        # As much as was left when the invocation came.
        assert allowed is not None
        assert float(allowed[1]) <= 0.5
        assert shown == {"errorType": "Sandbox.Timedout", "stackTrace": []}

    def test_its_own_children_end_with_it(self, project: Project) -> None:
        project.write("""
            import os, subprocess, sys, time
            def handler(event, context):
                child = subprocess.Popen(["sleep", "60"])
                print(child.pid, flush=True)
                if event == "crash":
                    os._exit(1)
                time.sleep(60)
        """)

        async def work(invoker: Invoker) -> None:
            for count, event in enumerate(("crash", "hang"), 1):
                # What it takes to start a child is not to be of the invocation's time.
                await invoker.prepare(project.function())
                error(await invoke(invoker, project.function(), event, seconds=4))
                assert len(project.output()) == count
                child = int(project.output()[-1])
                await asyncio.to_thread(poll, lambda child=child: not is_running(child))

        project.run(work, patience=1)

    def test_a_deadline_that_is_over(self, project: Project) -> None:
        project.write(ECHO)
        outcome = project.invoke(seconds=-5)
        assert "timed out after 0.00 seconds" in error(outcome)["errorMessage"]

    def test_a_folder_that_is_gone(self, project: Project) -> None:
        function = LocalFunction("F", project.folder / "gone", "app.handler", "f")
        answer = error(project.run(lambda invoker: invoke(invoker, function)))
        assert answer["errorType"] == "Runtime.InvalidEntrypoint"
        assert str(project.folder / "gone") in answer["errorMessage"]
        with pytest.raises(SourceError, match="gone"):
            project.run(lambda invoker: invoker.prepare(function))


class TestOutput:
    def test_line_by_line_and_by_function(self, project: Project) -> None:
        project.write("""
            import os, sys
            def handler(event, context):
                print("one\\ntwo")
                print("error", file=sys.stderr)
                sys.stdout.buffer.write(b"bytes \\xff\\xfe\\r\\n")
                os.system("echo from a child")
                os.write(1, "\\u00e9".encode()[:1])
                os.write(1, "\\u00e9".encode()[1:])
                print(" partial", end="")
                sys.stderr.write("no end")
        """)
        project.invoke()
        assert project.output() == ["one", "two", "bytes \ufffd\ufffd", "from a child", "é partial"]
        assert project.output("stderr") == ["error", "no end"]
        assert {function for function, _, _ in project.lines} == {"Greeter"}

    def test_it_is_there_before_the_outcome_is(self, project: Project) -> None:
        project.write(
            "def handler(event, context): print('x' * 200_000 + '|' + str(event), end='')"
        )

        async def work(invoker: Invoker) -> None:
            for number in range(5):
                await invoke(invoker, project.function(), number)
                assert project.output()[-1].endswith(f"|{number}")

        project.run(work)
        assert [len(line) for line in project.output()] == [200_002] * 5

    def test_it_comes_while_the_handler_runs(self, project: Project) -> None:
        project.write("""
            import os, time
            def handler(event, context):
                print(1)
                while not os.path.exists("seen"):
                    time.sleep(0.01)
        """)
        seen = project.folder / "seen"
        project.run(
            lambda invoker: invoke(invoker, project.function()),
            on_output=lambda *_: seen.touch(),
        )
        assert seen.exists()

    def test_a_flood_does_not_stop_the_rest(self, project: Project) -> None:
        project.write("def handler(event, context):\n while event: print('x' * 1000)\n return 1")

        async def work(invoker: Invoker) -> list[Any]:
            return await asyncio.gather(
                invoke(invoker, project.function(logical_id="Flood"), 1, seconds=1),
                invoke(invoker, project.function()),
            )

        flood, other = project.run(work)
        assert error(flood)["errorType"] == "Sandbox.Timedout"
        assert value(other) == 1

    def test_what_looks_like_the_protocol_is_output(self, project: Project) -> None:
        project.write("""
            import os
            def handler(event, context):
                os.write(1, b'\\0\\0\\0\\x11\\0\\0\\0\\0{"type":"result"}\\n')
                return "mine"
        """)
        assert value(project.invoke()) == "mine"
        assert len(project.output()) == 1


class TestEnd:
    def test_closing_ends_what_runs(self, project: Project) -> None:
        project.write("import time\ndef handler(event, context): time.sleep(60)")

        async def work(invoker: Invoker) -> Any:
            tasks = [asyncio.ensure_future(invoke(invoker, project.function())) for _ in range(3)]
            await until(lambda: len(processes_in(project.folder)) >= 2)
            await invoker.close()
            assert processes_in(project.folder) == []
            late = await invoke(invoker, project.function())
            return [*await asyncio.gather(*tasks), late]

        outcomes = project.run(work, max_concurrency=2)
        assert {error(outcome)["errorType"] for outcome in outcomes} == {"Runtime.ExitError"}

    def test_closing_ends_what_is_just_being_started(self, project: Project) -> None:
        """The process is there already, and the invoker does not know it yet."""
        project.write("import time\ndef handler(event, context): time.sleep(60)")

        async def work(invoker: Invoker) -> Any:
            task = asyncio.ensure_future(invoke(invoker, project.function()))
            async with asyncio.timeout(30):
                while not processes_in(project.folder):
                    await asyncio.sleep(0)
            await invoker.close()
            assert processes_in(project.folder) == []
            return await task

        assert error(project.run(work))["errorType"] == "Runtime.ExitError"

    def test_cancelling_ends_the_child(self, project: Project) -> None:
        project.write("import time\ndef handler(event, context): time.sleep(60)")

        async def work(invoker: Invoker) -> None:
            for delay in (0, 0.001, 0.02, 0.3):
                task = asyncio.ensure_future(invoke(invoker, project.function()))
                await asyncio.sleep(delay)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert task.cancelled()
                assert (invoker.running, invoker.waiting) == (0, 0)
            await until(lambda: not processes_in(project.folder))

        project.run(work, max_concurrency=1)

    def test_one_that_ends_while_its_files_are_looked_at_is_not_used(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project.write("import os\ndef handler(event, context): return os.getpid()")

        async def work(invoker: Invoker) -> None:
            first = value(await invoke(invoker, project.function()))

            def kill(*_: Any) -> list[str]:
                os.kill(first, signal.SIGKILL)
                poll(lambda: has_exited(first))
                return []

            monkeypatch.setattr("plldb.debugger.children.invoker.find_changes", kill)
            assert value(await invoke(invoker, project.function())) != first

        project.run(work)

    @pytest.mark.parametrize("statement", ["while True: pass", "time.sleep(60)"])
    def test_children_do_not_outlive_plldb(self, project: Project, statement: str) -> None:
        """Killed with SIGKILL, it can't end anything itself."""
        project.write(f"""
            import subprocess, time
            def handler(event, context):
                subprocess.Popen(["sleep", "60"])
                {statement}
        """)
        program = textwrap.dedent(f"""
            import asyncio, time, sys
            from pathlib import Path
            from plldb.debugger.children.invoker import Invoker
            from plldb.debugger.children.local_function import LocalFunction
            async def main():
                invoker = Invoker(python=Path(sys.executable))
                function = LocalFunction("F", Path({str(project.folder)!r}), "app.handler", "f")
                await invoker.invoke(function, "1", {{}}, time.time() + 60)
            asyncio.run(main())
        """)
        parent = subprocess.Popen([sys.executable, "-c", program])
        try:
            poll(lambda: len(processes_in(project.folder)) == 2)
        finally:
            parent.kill()
            parent.wait()
        poll(lambda: processes_in(project.folder) == [])

    def test_an_interpreter_that_is_none(self, project: Project) -> None:
        async def work(invoker: Invoker) -> None:
            raise AssertionError

        with pytest.raises(SourceError, match="not a Python interpreter"):
            project.run(work, python=Path("/bin/true"))


class TestPreparing:
    def test_the_child_that_has_imported_the_handler_runs_it(self, project: Project) -> None:
        project.write(
            "import os\nloaded = [os.getpid()]\ndef handler(event, context): return loaded"
        )

        async def work(invoker: Invoker) -> Any:
            await invoker.prepare(project.function())
            [prepared] = processes_in(project.folder)
            return [prepared], value(await invoke(invoker, project.function()))

        prepared, used = project.run(work)
        assert prepared == used

    @pytest.mark.parametrize(
        ("code", "handler", "parts"),
        [
            ("import no_such", "app.handler", ["No module named 'no_such'", "pip install"]),
            ("def handler(", "app.handler", ["Runtime.UserCodeSyntaxError", "line 1"]),
            ("", "app.handler", ["Runtime.HandlerNotFound", "'handler' missing"]),
            ("", "other.handler", ["Unable to import module 'other'"]),
            ("", "handler", ["Runtime.MalformedHandlerName"]),
            ("import os; os.environ['TABLE']", "app.handler", ["KeyError: 'TABLE'"]),
            ("import os; os._exit(3)", "app.handler", ["exit status 3"]),
            ("import sys; sys.exit(4)", "app.handler", ["exit status 4"]),
            ("1 / 0", "app.handler", ["ZeroDivisionError"]),
        ],
    )
    def test_what_does_not_import_is_named_with_interpreter_and_folder(
        self, project: Project, code: str, handler: str, parts: list[str]
    ) -> None:
        project.write(code)

        async def work(invoker: Invoker) -> SourceError:
            with pytest.raises(SourceError) as raised:
                await invoker.prepare(project.function(handler))
            return raised.value

        problem = project.run(work)
        text = f"{problem.message} {problem.hint}"
        version = ".".join(map(str, sys.version_info[:3]))
        for part in [*parts, f"{sys.executable} is Python {version}", str(project.folder)]:
            assert part in text

    def test_it_is_not_tried_again_before_something_has_changed(self, project: Project) -> None:
        project.write("import extra\ndef handler(event, context): return extra.VALUE")

        async def work(invoker: Invoker) -> Any:
            problems = []
            for _ in range(2):
                with pytest.raises(SourceError) as raised:
                    await invoker.prepare(project.function())
                problems.append(raised.value)
            assert problems[0] is problems[1]
            project.write("VALUE = 1", "extra.py")
            await invoker.prepare(project.function())
            return value(await invoke(invoker, project.function()))

        assert project.run(work) == 1

    def test_other_variables_may_mend_it(self, project: Project) -> None:
        project.write("import os; os.environ['TABLE']\ndef handler(event, context): return 1")

        async def work(invoker: Invoker) -> None:
            with pytest.raises(SourceError):
                await invoker.prepare(project.function())
            await invoker.prepare(project.function(variables={"TABLE": "t"}))

        project.run(work)


class TestManyFunctions:
    def test_never_more_children_than_run_at_once(self, project: Project) -> None:
        """Whatever is prepared and called, and in whatever order."""
        project.write(PID)
        functions = [project.function(logical_id=f"F{number}") for number in range(12)]
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, len(processes_in(project.folder)))
                await asyncio.sleep(0.001)

        async def work(invoker: Invoker) -> list[Any]:
            watching = asyncio.ensure_future(watch())
            preparing = [asyncio.ensure_future(invoker.prepare(one)) for one in functions]
            # Two dozen starts of Python, of which three are side by side.
            calls = [
                invoke(invoker, one, seconds=100) for one in [*functions, *reversed(functions)]
            ]
            outcomes = await asyncio.gather(*calls)
            await asyncio.gather(*preparing)
            watching.cancel()
            return [value(outcome) for outcome in outcomes]

        assert len(project.run(work, max_concurrency=3)) == 24
        assert 1 <= most <= 3

    def test_the_one_that_was_idle_for_the_longest_time_gives_way(self, project: Project) -> None:
        project.write(PID)

        async def work(invoker: Invoker) -> list[int]:
            functions = [project.function(logical_id=name) for name in "ABACBA"]
            return [value(await invoke(invoker, function)) for function in functions]

        a, b, a_again, c, b_again, a_third = project.run(work, max_concurrency=2)
        assert a == a_again
        # C took the place of B, and then B that of A.
        assert len({a, b, c, b_again, a_third}) == 5

    def test_one_after_the_other_is_enough(self, project: Project) -> None:
        project.write(PID)

        async def work(invoker: Invoker) -> set[int]:
            functions = [project.function(logical_id=name) for name in "ABAB"]
            return {value(await invoke(invoker, function)) for function in functions}

        assert len(project.run(work, max_concurrency=1)) == 4

    def test_a_child_that_is_slow_to_end_is_waited_for(self, project: Project) -> None:
        project.write("""
            import atexit, os, time
            atexit.register(time.sleep, 0.3)
            def handler(event, context): return os.getpid()
        """)

        async def work(invoker: Invoker) -> int:
            value(await invoke(invoker, project.function(logical_id="A")))
            value(await invoke(invoker, project.function(logical_id="B")))
            return len(processes_in(project.folder))

        assert project.run(work, max_concurrency=1) == 1


class TestLog:
    def test_it_tells_of_children_invocations_and_edits_and_of_nothing_in_them(
        self, project: Project, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, logger="plldb")
        project.write("""
            import os
            def handler(event, context):
                if event["kind"] == "event-secret":
                    return {"answer-secret": os.getpid()}
                raise ValueError("error-secret")
        """)
        function = project.function(variables={"TABLE": "variable-secret"})

        async def work(invoker: Invoker) -> int:
            outcome = await invoke(invoker, function, {"kind": "event-secret"})
            error(await invoke(invoker, function, {"kind": "other"}))
            (project.folder / "app.py").touch()
            await invoke(invoker, function, {"kind": "event-secret"})
            return int(value(outcome)["answer-secret"])

        pid = project.run(work, credentials={"AWS_SECRET_ACCESS_KEY": "key-secret"})
        assert f"child {pid} runs {sys.executable}" in caplog.text
        assert f"child {pid} gets invocation request-1" in caplog.text
        assert f"child {pid} has ended with status 0" in caplog.text
        assert f"1 files have changed: {project.folder / 'app.py'}" in caplog.text
        assert "secret" not in caplog.text
