"""A stack that is deployed again while it is attached: its functions come back by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target

from .debugging import Outcome
from .project import DEPLOYED, Project, attach, deployed_project, detach
from .support import Attached, Backend, Plldb, poll

FUNCTIONS = ["Fn0", "Fn1"]


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path, FUNCTIONS) as project:
        yield project


def runs_here(project: Project, function: str) -> bool:
    return outcome_of(project.invoke(function, 1)) == "here"


def wait_until_told_of_all(attached: Attached) -> None:
    """A look in the middle of a deployment finds some, and the next one the others."""
    told: set[str] = set()
    while told != set(FUNCTIONS):
        told |= {*attached.wait_for("redeployed")["functions"]}


def wait_until_they_run_here(project: Project) -> None:
    """Of two takes, ``ready`` may be the first one's; and a busy machine may be late once."""
    poll(lambda: all(runs_here(project, name) for name in FUNCTIONS), "they run here again")


def outcome_of(outcome: Outcome) -> str:
    """Who has answered."""
    return outcome.text if outcome.error else str(outcome.json["ran"])


class TestWhoeverDeploys:
    def test_by_cloudformation(self, plldb: Plldb, project: Project) -> None:
        before = project.configurations()
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            project.redeploy(MemorySize=256)
            wait_until_told_of_all(attached)
            assert attached.wait_for("ready")["instrumented"] == 2
            wait_until_they_run_here(project)
            detach(attached)
        project.wait_until_restored(
            {name: found | {"MemorySize": 256} for name, found in before.items()}
        )

    def test_its_variables_and_handler_are_the_new_ones(
        self, plldb: Plldb, project: Project
    ) -> None:
        project.write(
            "Fn0",
            """
            import os
            def handler(event, context):
                return {"ran": "here", "greeting": os.environ["GREETING"]}
            def other(event, context):
                return {"ran": "here", "other": os.environ["GREETING"]}
            """,
        )
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            assert project.invoke("Fn0").json["greeting"] == "hello"
            project.redeploy(Handler="app.other", Environment={"Variables": {"GREETING": "hi"}})
            attached.wait_for("redeployed")
            attached.wait_for("instrumented", function="Fn0")
            poll(lambda: project.invoke("Fn0").json.get("other") == "hi", "the new variables")
            detach(attached)

    def test_an_edit_in_the_console_stays_and_is_in_effect(
        self, plldb: Plldb, project: Project
    ) -> None:
        project.write(
            "Fn0", "import os\ndef handler(*_):\n    return {'NEW': os.environ.get('NEW')}\n"
        )
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            found = project.configuration("Fn0")["Environment"]["Variables"]
            project.update("Fn0", Environment={"Variables": found | {"NEW": "yes"}})
            attached.wait_for("instrumented", function="Fn0")
            poll(lambda: project.invoke("Fn0").json.get("NEW") == "yes", "the new variable")
            detach(attached)
        poll(
            lambda: (
                project.configuration("Fn0")["Environment"]["Variables"]
                == {"GREETING": "hello", "EMPTY": "", "NEW": "yes"}
            ),
            "restored, with the edit",
        )

    def test_other_code_alone_changes_nothing(self, plldb: Plldb, project: Project) -> None:
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            project.deploy("Fn0", DEPLOYED + "\n# more")
            assert runs_here(project, "Fn0")
            detach(attached)


class TestWhatTheStackHas:
    @pytest.mark.needs("deployments")
    def test_a_function_that_is_added_is_taken(self, plldb: Plldb, project: Project) -> None:
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            project.add("Fn2")
            assert attached.wait_for("instrumented", function="Fn2")
            assert attached.wait_for("ready")["instrumented"] == 3
            assert runs_here(project, "Fn2")
            detach(attached)

    def test_one_that_is_removed_is_said(self, plldb: Plldb, project: Project) -> None:
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            project.remove("Fn1")
            assert attached.wait_for("removed")["function"] == "Fn1"
            assert attached.wait_for("ready")["instrumented"] == 1
            assert runs_here(project, "Fn0")
            detach(attached)

    @pytest.mark.needs("deployments")
    def test_one_that_is_renamed_is_said_and_taken(self, plldb: Plldb, project: Project) -> None:
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            project.redeploy(["Fn0"], FunctionName=f"{project.stack_name}-renamed")
            told = attached.wait_for("replaced")
            assert told["functionName"] == f"{project.stack_name}-renamed"
            assert attached.wait_for("ready")["instrumented"] == 2
            assert runs_here(project, "Fn0")
            detach(attached)


REDEPLOYMENTS = 20
INVOCATIONS = 200
COUNTING = """
import os

def handler(event, context):
    with open(os.path.join(os.path.dirname(__file__), "calls"), "a") as calls:
        calls.write(f"{event}\\n")
    return {"ran": "here", "event": event}
"""


class Callers:
    """Some threads that invoke the functions in turn until they have done so often enough.

    ``outcomes`` has what each event got: who ran it, or the engine's error.
    """

    def __init__(self, project: Project, count: int) -> None:
        self._project = project
        self._count = count
        self._events = iter(range(count))
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._call) for _ in range(3)]
        self.outcomes: dict[int, str] = {}
        for thread in self._threads:
            thread.start()

    def let_go_on(self, calls: int) -> None:
        self._slots.release(calls)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while True:
            with self._lock:
                event = next(self._events, None)
            if event is None:
                return
            self._slots.acquire()
            outcome = self._project.invoke_once(FUNCTIONS[event % 2], event)
            self.outcomes[event] = "stopped" if outcome.was_stopped else outcome_of(outcome)


@pytest.mark.needs("rolling")
def test_20_redeployments_during_200_invocations(plldb: Plldb, project: Project) -> None:
    """Every invocation is answered, and runs once; after each notice, they run here."""
    quick = plldb.with_environment(PLLDB_WATCH_SECONDS="0.5")
    for name in FUNCTIONS:
        project.write(name, COUNTING)
    with attach(quick, project) as attached:
        attached.wait_for("ready")
        callers = Callers(project, INVOCATIONS)
        try:
            for number in range(REDEPLOYMENTS):
                callers.let_go_on(INVOCATIONS // REDEPLOYMENTS)
                project.redeploy(Environment={"Variables": {"NUMBER": str(number)}})
                wait_until_told_of_all(attached)
                assert attached.wait_for("ready")["instrumented"] == 2
                wait_until_they_run_here(project)
        finally:
            callers.let_go_on(INVOCATIONS)
            callers.join()
        detach(attached)
    assert len(callers.outcomes) == INVOCATIONS
    assert set(callers.outcomes.values()) <= {"here", "deployed", "stopped"}
    calls = [
        int(line)
        for name in FUNCTIONS
        for line in project.code(name).with_name("calls").read_text().splitlines()
        if line != "1"
    ]
    assert len(calls) == len(set(calls))
    ran_here = {event for event, outcome in callers.outcomes.items() if outcome == "here"}
    assert ran_here - {1} <= set(calls)
    assert not {event for event, outcome in callers.outcomes.items() if outcome == "deployed"} & {
        *calls
    }
