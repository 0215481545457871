"""Where an account has few concurrent executions, paused invocations must not take the last ones.

A function that waits for its debugger is an execution, on AWS as ever. The helper stack needs one
for a moment, and holds none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .journal import WAITING, Calls, calls_of, keep_journal
from .project import Project, assert_restored, attach, deployed_project, detach
from .small_account import SmallAccount, small_account
from .support import DEADLINE_SECONDS, poll

pytestmark = pytest.mark.needs("process")


@pytest.fixture
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallAccount]:
    """The parameter is how many executions there may be at once."""
    folder = tmp_path / "emulator"
    folder.mkdir()
    with small_account(folder, request.param) as account:
        yield account


@pytest.fixture
def project(account: SmallAccount, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(account.target, tmp_path / "project", ["Alpha"]) as project:
        keep_journal(project)
        project.write("Alpha", WAITING)
        yield project


@pytest.fixture
def calls(project: Project, tmp_path: Path) -> Iterator[Calls]:
    with calls_of(project, tmp_path) as calls:
        yield calls


@pytest.mark.parametrize("account", [11], indirect=True)
def test_10_paused_invocations_leave_the_11th_execution_free(
    account: SmallAccount, project: Project, calls: Calls
) -> None:
    before = project.configurations()
    with attach(account.plldb, project) as attached:
        attached.wait_for("ready")
        paused = calls.pause(10)
        for _ in range(20):
            # Waiting functions ask now and then, which takes a moment.
            poll(lambda: account.backend.call("GET", "/health").status_code == 200, "it answers")
        assert not any(call.done() for call in paused)
        calls.go()
        assert {call.result(DEADLINE_SECONDS).json["ran"] for call in paused} == {"here"}
        detach(attached)
    calls.assert_each_ran_once()
    assert_restored(attached, project.configurations, before)


@pytest.mark.parametrize("account", [10], indirect=True)
def test_of_10_executions_5_are_paused_and_5_more_calls_end_as_well(
    account: SmallAccount, project: Project, calls: Calls
) -> None:
    """Those that find the helper stack throttled run where they are."""
    before = project.configurations()
    with attach(account.plldb, project) as attached:
        attached.wait_for("ready")
        paused = calls.pause(5)
        more = [calls.call() for _ in range(5)]
        # As many as the debugger has not got wait for nothing.
        poll(lambda: len(set(calls.runs())) >= 10, "each runs")
        assert not any(call.done() for call in paused)
        calls.go()
        assert {call.result(DEADLINE_SECONDS).json["ran"] for call in paused} == {"here"}
        assert all(call.result(DEADLINE_SECONDS).error is None for call in more)
        poll(lambda: calls.ran() == "here", "it goes on")
        detach(attached)
    calls.assert_each_ran_once()
    project.wait_until_restored(before)
