"""``plldb dev --detach``: a session without a terminal, however it is begun and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest

from plldb.emulators.process_identity import is_gone

from .support import DEADLINE_SECONDS, REFUSED_NAME, REFUSED_RESOURCE, SETUP_SECONDS, poll
from .test_dev import _CODE, Project, project

__all__ = ["project"]  # the fixture


def state_of(project: Project) -> dict[str, Any]:
    return project.plldb("status", "--output", "json").succeeded().json


def has_left_nothing(project: Project) -> bool:
    return not project.runs() and not project.processes()


def test_it_outlives_its_terminal_until_it_is_stopped(project: Project) -> None:
    command = [*project.plldb.command, "dev", "--detach"]
    terminal = pexpect.spawn(
        command[0],
        command[1:],
        cwd=project.folder,
        env=project.plldb.environment,
        timeout=SETUP_SECONDS,
    )
    terminal.expect("runs in the background")
    terminal.expect(pexpect.EOF)
    terminal.close(force=True)
    assert terminal.exitstatus == 0

    state = state_of(project)
    assert (state["running"], state["state"]) == (True, "ready")
    assert state["functions"] == ["Greeter"]
    os.kill(state["pid"], signal.SIGHUP)
    project.wait_for_answer()
    project.code.write_text(_CODE.replace("hello", "good morning"))
    project.wait_for_answer("good morning")

    again = project.plldb("dev", "--detach").failed()
    assert f"runs already, process {state['pid']}" in again.stderr

    stopped = project.plldb("stop", "--output", "json").succeeded().json
    assert (stopped["stopped"], stopped["exitCode"], stopped["error"]) == (True, 0, None)
    poll(lambda: has_left_nothing(project), "nothing is left")
    assert state_of(project)["running"] is False
    events = Path(state["events"]).read_text()
    assert '"event": "ready"' in events
    assert '"event": "closed"' in events


def test_of_a_killed_one_status_cleans_up_and_the_next_start_goes_on(project: Project) -> None:
    for is_looked_at in (True, False):
        started = project.plldb("dev", "--detach", "--output", "json").succeeded().json
        killed = psutil.Process(started["pid"])
        killed.kill()
        poll(partial(is_gone, killed), "it is gone")
        if is_looked_at:
            state = state_of(project)
            assert (state["running"], state["error"]) == (False, "It was killed.")
            assert "is stopped now" in state["hint"]
            poll(lambda: has_left_nothing(project), "nothing is left")
    project.plldb("dev", "--detach").succeeded()
    project.wait_for_answer()
    project.plldb("stop").succeeded()
    poll(lambda: has_left_nothing(project), "nothing is left")


def test_whoever_ends_the_command_before_it_is_ready_wants_none(project: Project) -> None:
    with project.plldb.start("dev", "--detach") as command:
        poll(project.runs, "it has begun")
        command.send_signal(signal.SIGINT)
        assert command.wait(90) == 1
        poll(lambda: has_left_nothing(project), "nothing is left")
        assert command.stderr is not None
        assert "Traceback" not in command.stderr.read()
    state = state_of(project)
    assert (state["running"], state["exitCode"]) == (False, 1)


def test_what_can_not_be_deployed_is_said_and_leaves_nothing(project: Project) -> None:
    project.template.write_text(f"Resources: {{T: {REFUSED_RESOURCE}}}")
    failed = project.plldb("dev", "--detach").failed()
    assert REFUSED_NAME in failed.stderr
    poll(lambda: has_left_nothing(project), "nothing is left")


_UNTIL_GO = """
import pathlib, time

def handler(event, context):
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    return "done"
"""


@pytest.mark.parametrize(("options", "outcome"), [((), "succeeded"), (("--now",), "abandoned")])
def test_what_runs_may_end_unless_it_is_abandoned(
    project: Project, options: tuple[str, ...], outcome: str
) -> None:
    project.plldb("dev", "--detach").succeeded()
    # What is deployed goes on without: an invocation that nobody has taken in time is over soon.
    project.code.write_text(_UNTIL_GO)
    caller, id_ = poll(lambda: begin_invocation(project), "it runs")
    with caller, project.plldb.start("stop", *options) as stopping:
        if not options:
            poll(lambda: state_of(project).get("state") == "ending", "it is to end")
            (project.code.parent / "go").touch()
        assert stopping.wait(DEADLINE_SECONDS) == 0
        assert caller.wait(DEADLINE_SECONDS) == (1 if options else 0)
    (listed,) = (one for one in list_invocations(project) if one["id"] == id_)
    assert listed["outcome"] == outcome
    poll(lambda: has_left_nothing(project), "nothing is left")


def begin_invocation(project: Project) -> tuple[subprocess.Popen[str], str] | None:
    """Its caller and its id, once it runs here; None if it has run where it was deployed."""
    caller = project.plldb.start("invoke", "Greeter")
    while caller.poll() is None:
        for one in list_invocations(project):
            if one["state"] == "running":
                return caller, one["id"]
    caller.communicate()
    return None


def list_invocations(project: Project) -> list[dict[str, Any]]:
    listed = project.plldb("invocations", "--output", "json").succeeded().stdout
    return [json.loads(line) for line in listed.splitlines()]
