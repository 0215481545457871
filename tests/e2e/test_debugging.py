"""Live debugging: a stack's invocations run on the developer's machine."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from lambda_functions.sessions.session import GRACE
from pexpect.fdpexpect import fdspawn

from plldb.aws import Target
from tests.unit.debugger.dap import DapClient, substitute

from .project import Project, assert_restored, attach, deployed_project, detach
from .support import DEADLINE_SECONDS, Attached, Backend, Plldb, at_terminal, poll, random_name

FUNCTIONS = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon"]


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        yield project


def test_invocations_run_here_while_attached_and_there_before_and_after(
    plldb: Plldb, project: Project
) -> None:
    before = project.configurations()
    assert project.invoke("Alpha", {"x": 1}).json == {"ran": "deployed", "event": {"x": 1}}

    with attach(plldb, project) as attached:
        assert attached.wait_for("ready")["instrumented"] == 2
        answer = project.invoke("Alpha", {"x": 1}).json
        assert (answer["ran"], answer["event"]) == ("here", {"x": 1})
        assert answer["file"] == str(project.code("Alpha"))
        assert os.getpgid(answer["pid"]), "it runs in a process of this machine"
        shown = attached.wait_for("invocation", function="Alpha", outcome="succeeded")
        assert shown["durationMs"] > 0
        detach(attached)

    assert_restored(attached, project.configurations, before)
    assert project.invoke("Alpha").json["ran"] == "deployed"


def test_of_many_functions_few_have_processes_and_each_answers(
    plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    """The last one is called when nothing of it was ever loaded, or its place was taken since."""
    names = [f"Fn{number:02}" for number in range(40)]
    with deployed_project(target, tmp_path / "many", names) as project:
        with attach(plldb, project, "--max-concurrency", "4") as attached:
            assert attached.wait_for("ready", 120)["instrumented"] == 40
            most = 0
            for name in (names[-1], *names[::7], names[-1]):
                answer = project.invoke(name).json
                assert (answer["ran"], answer["file"]) == ("here", str(project.code(name)))
                most = max(most, len(list_children(attached)))
            # All have been imported once by then.
            while len([one for one in attached.seen if one["event"] == "prepared"]) < 40:
                attached.wait_for("prepared")
                most = max(most, len(list_children(attached)))
            assert 1 <= most <= 4
            detach(attached)
        assert list_children(attached) == []


def list_children(attached: Attached) -> list[int]:
    """The processes that run functions."""
    try:
        started = psutil.Process(attached.process.pid).children()
    except psutil.NoSuchProcess:
        return []
    found = []
    for process in started:
        with contextlib.suppress(psutil.Error):
            if any("children/runtime" in part for part in process.cmdline()):
                found.append(process.pid)
    return found


def test_what_can_not_be_imported_at_attach_is_left_to_lambda(
    plldb: Plldb, project: Project
) -> None:
    """Its callers get their answers from there until it is mended; others are debugged."""
    project.write("Alpha", "import no_such_module\ndef handler(event, context): return 1")
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        assert project.invoke("Alpha", {"x": 1}).json == {"ran": "deployed", "event": {"x": 1}}
        attached.wait_for("invocation", outcome="abandoned")
        assert project.invoke("Beta").json["ran"] == "here"
        project.write("Alpha", "def handler(event, context): return 'mended'")
        assert project.invoke("Alpha").json == "mended"
        detach(attached)
        said = attached.errors()
    for part in ("Alpha can't be run here", "no_such_module", "--python PATH", sys.executable):
        assert part in said


def test_no_role_is_changed(plldb: Plldb, project: Project) -> None:
    before = project.role()
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        project.invoke("Alpha")
        assert project.role() == before
        detach(attached)
    assert project.role() == before


def test_10_cold_starts_at_once_lose_nothing(plldb: Plldb, project: Project) -> None:
    """Instrumenting has just ended every warm environment."""
    with attach(plldb, project) as attached, ThreadPoolExecutor(10) as pool:
        attached.wait_for("ready")
        answers = list(pool.map(lambda n: project.invoke("Alpha", n).json, range(10)))
        detach(attached)

    # Those that find the helper stack slow, which has to start as well, run where they are.
    for number, answer in enumerate(answers):
        assert answer["event"] == number
        assert answer["ran"] in ("here", "deployed")


VALUES: list[Any] = [
    None,
    False,
    True,
    0,
    -1.5,
    1e300,
    "",
    "ünïcödé \U0001f40d \u2028 \x00",
    [],
    {},
    [[], {}, None, [False, 0, ""]],
    {"a": {"b": {"c": [None, {"": 0}]}}},
]


def test_every_json_value_passes_unchanged_both_ways(plldb: Plldb, project: Project) -> None:
    project.write("Alpha", "def handler(event, context):\n    return event\n")
    with attach(plldb, project, "--function", "Alpha") as attached:
        attached.wait_for("ready")
        for value in VALUES:
            answer = project.invoke("Alpha", value)
            assert answer.error is None, answer.text
            assert answer.json == value
            assert type(answer.json) is type(value)
        detach(attached)


def test_6_mb_pass_both_ways(plldb: Plldb, project: Project) -> None:
    # Lambda's limit is 6 MB for the payload: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    value = {"text": "ä" * 1000, "padding": "x" * (6 * 1024 * 1024 - 20_000)}
    project.write("Alpha", "def handler(event, context):\n    return event\n")
    with attach(plldb, project, "--function", "Alpha") as attached:
        attached.wait_for("ready")
        answer = project.invoke("Alpha", value)
        assert answer.error is None, answer.text[:1000]
        assert answer.json == value
        detach(attached)


FAILING = """
class OutOfStock(Exception):
    pass

def order(item):
    raise OutOfStock(f"no {item} left")

def handler(event, context):
    return order(event["item"])
"""


def test_an_error_travels_back_as_if_it_had_happened_there(plldb: Plldb, project: Project) -> None:
    """The same failing code, deployed and then here: the caller can't tell the difference."""
    project.deploy("Beta", FAILING)
    there = project.invoke("Beta", {"item": "snake"})
    project.write("Alpha", FAILING)
    with attach(plldb, project, "--function", "Alpha") as attached:
        attached.wait_for("ready")
        here = project.invoke("Alpha", {"item": "snake"})
        shown = attached.wait_for("invocation", outcome="failed")
        detach(attached)

    assert here.error == there.error == "Unhandled"
    assert _comparable(here.json) == _comparable(there.json)
    assert here.json["errorMessage"] == "no snake left"
    assert shown["error"]["errorType"] == "OutOfStock"
    for place in ("in handler", "in order", "OutOfStock: no snake left"):
        assert place in here.log, "the function's log has the trace, too"


def _comparable(error: dict[str, Any]) -> dict[str, Any]:
    """Without the request's id, and with the code where it is on AWS."""
    trace = [
        re.sub(r'"[^"]*/app\.py"', '"/var/task/app.py"', s) for s in error.get("stackTrace", [])
    ]
    return {key: value for key, value in error.items() if key != "requestId"} | {
        "stackTrace": trace
    }


def test_a_saved_edit_is_in_the_next_invocation(plldb: Plldb, project: Project) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        for version in (1, 2, 3):
            project.write("Alpha", f"def handler(event, context):\n    return {version}\n")
            assert project.invoke("Alpha").json == version
        detach(attached)


def test_code_that_does_not_import_is_named_by_file_and_line(
    plldb: Plldb, project: Project
) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        # What does not import at attach is left to Lambda.
        project.invoke("Alpha")
        project.write("Alpha", "def handler(event, context):\n    return (\n")
        syntax = project.invoke("Alpha").json
        syntax_event = attached.wait_for("invocation", outcome="failed")
        project.write("Alpha", "import no_such_module\n")
        missing = project.invoke("Alpha").json
        project.write("Alpha", "def handler(event, context):\n    return 'mended'\n")
        mended = project.invoke("Alpha").json
        detach(attached)

    # The types are Lambda's; MiniStack reports no other type than its own.
    assert "Syntax error in module 'app'" in syntax["errorMessage"]
    assert syntax_event["error"]["errorType"] == "Runtime.UserCodeSyntaxError"
    assert "Unable to import module 'app'" in missing["errorMessage"]
    assert "no_such_module" in missing["errorMessage"]
    assert mended == "mended"


def test_the_function_sees_its_own_variables_and_context(plldb: Plldb, project: Project) -> None:
    project.write(
        "Alpha",
        """
        import os

        def handler(event, context):
            return {
                "greeting": os.environ["GREETING"],
                "empty": os.environ["EMPTY"],
                "ours": [name for name in os.environ if name.startswith("PLLDB_")],
                "name": context.function_name,
                "arn": context.invoked_function_arn,
                "request": context.aws_request_id,
                "left": context.get_remaining_time_in_millis(),
                "cwd": os.getcwd(),
            }
        """,
    )
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        seen = project.invoke("Alpha").json
        request_id = attached.wait_for("invocation", outcome="succeeded")["requestId"]
        detach(attached)

    assert (seen["greeting"], seen["empty"], seen["ours"]) == ("hello", "", [])
    assert seen["name"] == project.name("Alpha")
    assert seen["arn"].endswith(project.name("Alpha"))
    assert seen["request"] == request_id
    assert seen["left"] > 60_000, "the timeout was raised"
    assert seen["cwd"] == str(project.code("Alpha").parent)


def test_output_is_shown_by_function(plldb: Plldb, project: Project) -> None:
    project.write("Alpha", "def handler(event, context):\n    print('line', 1)\n")
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        project.invoke("Alpha")
        shown = attached.wait_for("output")
        detach(attached)

    assert (shown["function"], shown["stream"], shown["line"]) == ("Alpha", "stdout", "line 1")


def test_a_crash_and_an_exit_are_reported_and_the_next_invocation_works(
    plldb: Plldb, project: Project
) -> None:
    project.write(
        "Alpha",
        """
        import os

        def handler(event, context):
            if event == "die":
                os._exit(3)
            return "alive"
        """,
    )
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        died = project.invoke("Alpha", "die").json
        shown = attached.wait_for("invocation", outcome="failed")
        alive = project.invoke("Alpha").json
        detach(attached)

    assert shown["error"]["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in died["errorMessage"]
    assert alive == "alive"


def test_100_invocations_at_once_over_5_functions_each_get_their_own_answer(
    plldb: Plldb, backend: Backend, target: Target, tmp_path: Path
) -> None:
    with deployed_project(target, tmp_path / "many", FUNCTIONS) as project:
        for name in FUNCTIONS:
            project.write(name, f"def handler(event, context):\n    return ['{name}', event]\n")
        with attach(plldb, project) as attached:
            assert attached.wait_for("ready")["instrumented"] == 5
            calls = [(FUNCTIONS[n % 5], n) for n in range(100)]
            with ThreadPoolExecutor(100) as pool:
                answers = list(pool.map(lambda call: project.invoke(*call).json, calls))
            detach(attached)
        starts = [event for event in attached.seen if event["event"] == "started"]
        runs = Counter(event["requestId"] for event in starts)

    # Many environments start at once, so some may find the helper stack too slow.
    for (function, number), answer in zip(calls, answers, strict=True):
        assert answer in ([function, number], {"ran": "deployed", "event": number})
    assert set(runs.values()) <= {1}


def test_while_too_many_wait_further_ones_run_where_they_are(
    plldb: Plldb, target: Target, backend: Backend, tmp_path: Path
) -> None:
    """The parameter MaxWaitingInvocations of the helper stack says how many are too many."""
    name, go = random_name("narrow"), tmp_path / "go"
    setup = ("bootstrap", "--stack-name", name, "--parameter", "MaxWaitingInvocations=2")
    try:
        plldb(*setup, timeout=1800).succeeded()
        with (
            deployed_project(target, tmp_path / "project", ["Alpha"]) as project,
            attach(plldb, project, "--helper-stack", name) as attached,
            ThreadPoolExecutor() as pool,
        ):
            project.write("Alpha", _UNTIL.format(go=str(go)))
            attached.wait_for("ready")
            waiting = [pool.submit(project.invoke, "Alpha", n) for n in range(2)]
            for _ in waiting:
                attached.wait_for("output")
            more = [project.invoke("Alpha", n).json for n in range(2, 5)]
            go.touch()
            answers = [call.result(DEADLINE_SECONDS).json for call in waiting]
            assert project.invoke("Alpha", 5).json == ["here", 5]
            detach(attached)
    finally:
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=1800)

    assert answers == [["here", 0], ["here", 1]]
    assert more == [{"ran": "deployed", "event": n} for n in range(2, 5)]


_UNTIL = """
    import pathlib, time

    def handler(event, context):
        print("begun")
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.01)
        return ["here", event]
"""


def test_an_edit_made_meanwhile_survives_the_restoration(plldb: Plldb, project: Project) -> None:
    before = project.configuration("Alpha")
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        held = project.configuration("Alpha")["Environment"]["Variables"]
        project.update("Alpha", MemorySize=512, Environment={"Variables": held | {"NEW": "1"}})
        detach(attached)

    variables = before["Environment"]["Variables"] | {"NEW": "1"}
    edited = before | {"MemorySize": 512, "Environment": {"Variables": variables}}
    assert_restored(attached, lambda: project.configuration("Alpha"), edited)


def test_killed_everything_is_restored_and_the_original_answers_meanwhile(
    plldb: Plldb, project: Project
) -> None:
    before = project.configurations()
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        attached.signal(signal.SIGKILL)
        attached.process.wait()
        assert project.invoke("Alpha", 1).json == {"ran": "deployed", "event": 1}
        assert project.invoke("Beta", 2).json == {"ran": "deployed", "event": 2}

        def is_restored() -> bool:
            """Each call finds nobody, and once nobody can come back, has all restored."""
            outcome = project.invoke("Alpha", 3)
            assert outcome.was_stopped or outcome.json == {"ran": "deployed", "event": 3}
            return project.configurations() == before

        poll(is_restored, "restored", seconds=GRACE + DEADLINE_SECONDS)


def test_when_absent_error_reports_it(plldb: Plldb, project: Project, backend: Backend) -> None:
    with attach(plldb, project, "--when-absent", "error") as attached:
        attached.wait_for("ready")
        # Its end must not be noticed, or the function would be restored; it sends no heartbeat.
        attached.signal(signal.SIGSTOP)
        (session,) = backend.sessions_of(project.stack_name)
        backend.set_ttl(session["SessionId"], int(time.time()) - 1)
        answer = project.invoke("Alpha")

    assert answer.error == "Unhandled"
    assert "no debugger attached" in answer.json["errorMessage"]


def test_two_sessions_side_by_side_held_and_taken_over(plldb: Plldb, project: Project) -> None:
    before = project.configurations()
    with attach(plldb, project, "--function", "Alpha") as first:
        first.wait_for("ready")
        with attach(plldb, project) as second:
            skipped = second.wait_for("skipped")
            assert skipped["function"] == "Alpha"
            assert f"held by arn:{project.target.partition}:" in skipped["reason"], "it tells who"
            assert second.wait_for("ready")["instrumented"] == 1
            assert project.invoke("Alpha").json["ran"] == "here"
            assert project.invoke("Beta").json["ran"] == "here"
            detach(second)
        assert_restored(second, lambda: project.configuration("Beta"), before["Beta"])
        assert project.invoke("Alpha").json["ran"] == "here"

        with attach(plldb, project, "--function", "Alpha", "--take-over") as third:
            assert third.wait_for("ready")["instrumented"] == 1
            assert first.wait_for("taken")["function"] == "Alpha"
            assert project.invoke("Alpha").json["ran"] == "here"
            third.wait_for("invocation", outcome="succeeded")
            detach(first)
            assert project.invoke("Alpha").json["ran"] == "here", "the first took it away"
            detach(third)

    assert_restored(third, project.configurations, before)


def test_restore_works_without_a_session(plldb: Plldb, project: Project) -> None:
    """And whoever holds the functions does not take that for another deployment."""
    before = project.configurations()
    quick = plldb.with_environment(PLLDB_WATCH_SECONDS="0.5")
    with attach(quick, project) as attached:
        attached.wait_for("ready")
        command = ("restore", "--stack-name", project.stack_name, "--output", "json")
        restored = plldb(*command).succeeded().json
        assert sorted(restored["restored"]) == ["Alpha", "Beta"]
        assert project.configurations() == before
        assert plldb(*command).succeeded().json["restored"] == []
        told = {attached.wait_for("restored")["function"] for _ in range(2)}
        assert told == {"Alpha", "Beta"}, "in whatever order"
        detach(attached)


def test_a_function_deleted_while_attached_does_not_stop_the_rest(
    plldb: Plldb, project: Project
) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        project.target.client("lambda").delete_function(FunctionName=project.name("Beta"))
        assert project.invoke("Alpha").json["ran"] == "here"
        detach(attached)

    assert project.invoke("Alpha").json["ran"] == "deployed"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["--function", "Omega"], 1, "Omega"),
        (["--code", "Alpha=/no/such/folder"], 2, "/no/such/folder"),
        (["--code", "Alpha"], 2, "FUNCTION=DIR"),
        (["--python", "/bin/true"], 1, "not a Python interpreter"),
        (["--python", "/no/such/python"], 1, "no such program"),
        (["--pdb", "--debugpy"], 2, "Choose one"),
        (["--wait-for-client"], 2, "--debugpy"),
    ],
)
def test_bad_input_is_refused_before_anything_is_changed(
    plldb: Plldb, project: Project, arguments: list[str], exit_code: int, complaint: str
) -> None:
    before = project.configurations()

    result = plldb(
        "attach", "--stack-name", project.stack_name, "--template", project.template, *arguments
    )

    assert result.exit_code == exit_code
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert project.configurations() == before


def test_a_template_that_is_missing(plldb: Plldb, project: Project) -> None:
    command = ("attach", "--stack-name", project.stack_name, "--template", "no-such.yaml")

    assert "no-such.yaml" in plldb(*command).failed().stderr


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_lets_end_what_runs_and_a_second_one_abandons_it(
    plldb: Plldb, project: Project, presses: int
) -> None:
    before = project.configurations()
    project.write(
        "Alpha",
        """
        import pathlib, time
        def handler(event, context):
            print("began", flush=True)
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            return "here"
        """,
    )
    go = project.code("Alpha").with_name("go")
    with attach(plldb, project, "--function", "Alpha") as attached, ThreadPoolExecutor() as pool:
        attached.wait_for("ready")
        answer = pool.submit(project.invoke, "Alpha")
        try:
            attached.wait_for("output")
            attached.signal(signal.SIGINT)
            (running,) = attached.wait_for("detaching")["running"]
            assert running["function"] == "Alpha"
            if presses == 1:
                assert project.invoke("Alpha").json["ran"] == "deployed"
                go.touch()
                assert answer.result(DEADLINE_SECONDS).json == "here"
            else:
                attached.signal(signal.SIGINT)
                request_id = running["requestId"]
                attached.wait_for("invocation", outcome="abandoned", requestId=request_id)
                lost = answer.result(DEADLINE_SECONDS)
                # Where the engine reports no type, its log has it.
                assert lost.was_stopped or "PlldbDebuggerLost" in lost.text + lost.log, lost
            assert attached.exit_code() == 0
        finally:
            go.touch()
    go.unlink()
    assert_restored(attached, project.configurations, before)


def test_pdb_talks_to_the_terminal(plldb: Plldb, project: Project) -> None:
    """Over a real pseudo-terminal, as a person would type."""
    project.write(
        "Alpha",
        """
        def handler(event, context):
            answer = event["n"] + 1
            breakpoint()
            return answer
        """,
    )
    with _under_pdb(plldb, project) as terminal, ThreadPoolExecutor() as pool:
        answer = pool.submit(project.invoke, "Alpha", {"n": 41})
        terminal.expect_exact("(Pdb ")
        terminal.sendline("p answer")
        terminal.expect_exact("42")
        terminal.sendline("answer = 'typed'")
        terminal.expect_exact("(Pdb ")
        terminal.sendline("c")
        assert answer.result(DEADLINE_SECONDS).json == "typed"


def test_a_failure_is_mended_while_its_caller_waits(plldb: Plldb, project: Project) -> None:
    """Twice in a row, and the caller gets the answer of the code that was saved last."""
    code = """
        def handler(event, context):
            return {"id": context.aws_request_id, "total": event["price"] * 2}
        """
    project.write("Alpha", code)
    with _under_pdb(plldb, project) as terminal, ThreadPoolExecutor() as pool:
        answer = pool.submit(project.invoke, "Alpha", {"cost": 21})
        terminal.expect_exact("(Pdb ")
        seen = terminal.before
        assert "KeyError: 'price'" in seen
        assert "until the caller's deadline" in seen
        terminal.sendline("p event")
        terminal.expect_exact("{'cost': 21}")
        project.write("Alpha", "import no_such_module")
        terminal.sendline("retry")
        terminal.expect_exact("No module named 'no_such_module'")
        terminal.expect_exact("(Pdb ")
        assert not answer.done()
        project.write("Alpha", code.replace("price", "cost"))
        terminal.sendline("retry")
        assert answer.result(DEADLINE_SECONDS).json["total"] == 42
        answer = pool.submit(project.invoke, "Alpha", {"price": 21})
        terminal.expect_exact("KeyError: 'cost'")
        terminal.expect_exact("(Pdb ")
        terminal.sendline("c")
        failed = answer.result(DEADLINE_SECONDS)
        assert failed.error is not None
        # Where the engine reports no type, its log has it.
        assert "KeyError" in failed.text + failed.log


@contextmanager
def _under_pdb(plldb: Plldb, project: Project) -> Iterator[fdspawn]:
    """Attached to Alpha, at this terminal. Detaches by Ctrl-C."""
    primary, secondary = pty.openpty()
    command = [sys.executable, "-m", "plldb", "attach", "--stack-name", project.stack_name]
    arguments = [*command, "--template", project.template, "--function", "Alpha", "--pdb"]
    process = subprocess.Popen(
        # The first terminal that a new session opens becomes its controlling terminal.
        ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(secondary), *arguments],
        env=plldb.environment | {"TERM": "dumb"},
        start_new_session=True,
    )
    try:
        terminal = at_terminal(primary)
        terminal.expect_exact("Ready:")
        yield terminal
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(secondary)
        os.close(primary)


def test_an_editor_attaches_with_debugpy(plldb: Plldb, project: Project, tmp_path: Path) -> None:
    """As VS Code does, with the very launch configuration that is offered."""
    project.write(
        "Alpha",
        """
        def handler(event, context):
            answer = event["n"] + 1
            return answer
        """,
    )
    arguments = ("--function", "Alpha", "--debugpy", f"127.0.0.1:{_free_port()}")
    with attach(plldb, project, *arguments, "--wait-for-client") as attached:
        offered = attached.wait_for("launch.configuration")["configuration"]
        attached.wait_for("ready")
        with ThreadPoolExecutor() as pool:
            address = offered["connect"]
            with poll(lambda: _editor(address["host"], address["port"]), "debugpy") as editor:
                editor.attach(offered, {project.code("Alpha"): [4]})
                answer = pool.submit(project.invoke, "Alpha", {"n": 41})
                thread, frame = editor.stopped_in()
                assert editor.variables(frame)["answer"] == "42"
                editor.go_on(thread)
                assert answer.result(DEADLINE_SECONDS).json == 42
        detach(attached)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _editor(host: str, port: int) -> DapClient | None:
    """None while nobody listens. A mere probe would count as an editor that went away."""
    try:
        return DapClient(host, port, DEADLINE_SECONDS)
    except ConnectionRefusedError:
        return None


def test_f5_attaches_plldb_and_the_editor(plldb: Plldb, project: Project, tmp_path: Path) -> None:
    """As VS Code does it: the task until its end pattern, then the configurations of the compound.

    The files are written once, beside what is in them; a taken port is written anew by the task.
    """
    project.write(
        "Alpha",
        """
        def handler(event, context):
            answer = event["n"] + 1
            return answer
        """,
    )
    launch = tmp_path / ".vscode" / "launch.json"
    launch.parent.mkdir()
    mine = '{\n    // mine\n    "version": "0.2.0",\n    "configurations": []\n}\n'
    launch.write_text(mine)
    port = _free_port()
    arguments = ("--function", "Alpha", f"--debugpy=127.0.0.1:{port}", "--wait-for-client")
    within = plldb.within(tmp_path)
    with attach(within, project, *arguments, "--write-launch-config") as attached:
        written = attached.wait_for("launch.written")["files"]
        assert written == [".vscode/launch.json", ".vscode/tasks.json"]
        attached.wait_for("ready")
        detach(attached)
    assert "// mine" in launch.read_text()

    (task,) = json.loads((launch.parent / "tasks.json").read_text())["tasks"]
    command = [part.replace("${workspaceFolder}", str(tmp_path)) for part in task["args"]]
    with socket.socket() as taken, _running(within, command) as process:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert process.stdout is not None
        is_ready = task["problemMatcher"]["background"]["endsPattern"]
        assert any(re.search(is_ready, line) for line in process.stdout)

        content = json.loads(launch.read_text().replace("// mine", ""))
        (compound,) = content["compounds"]
        assert compound["preLaunchTask"] == task["label"]
        (config,) = content["configurations"]
        assert compound["configurations"] == [config["name"]]
        assert config["connect"]["port"] != port
        with (
            ThreadPoolExecutor() as pool,
            DapClient(**config["connect"], seconds=DEADLINE_SECONDS) as editor,
        ):
            answer = pool.submit(project.invoke, "Alpha", {"n": 41})
            config = substitute(config, tmp_path)
            editor.attach(config, {project.code("Alpha"): [4]})
            thread, frame = editor.stopped_in()
            assert editor.variables(frame)["answer"] == "42"
            editor.go_on(thread)
            assert answer.result(DEADLINE_SECONDS).json == 42
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_SECONDS) == 0


@contextmanager
def _running(plldb: Plldb, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with plldb.start(*command) as process:
        try:
            yield process
        finally:
            process.kill()
