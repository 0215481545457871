"""Who ran which invocation: no answer tells of a run that nobody should have made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .debugging import Outcome
from .project import Project
from .support import DEADLINE_SECONDS, Backend, poll

# Leaves a line for each run: who it was, and of which invocation.
JOURNALS = """
def note(event, who):
    with open(event["journal"], "a") as journal:
        journal.write(f"{who} {event['number']}\\n")
"""
THERE = (
    JOURNALS
    + """
def handler(event, context):
    try:
        note(event, "deployed")
    except FileNotFoundError:
        pass  # in a container, which has a file system of its own
    return {"ran": "deployed", "number": event["number"], "id": context.aws_request_id}
"""
)
HERE = (
    JOURNALS
    + """
def handler(event, context):
    note(event, "here")
    return {"ran": "here", "number": event["number"]}
"""
)
# Stays until the file that the event names is there.
WAITING = (
    JOURNALS
    + """
import os, time

def handler(event, context):
    note(event, "here")
    while not os.path.exists(event["go"]):
        time.sleep(0.01)
    return {"ran": "here", "number": event["number"]}
"""
)


def keep_journal(project: Project) -> None:
    """Of the function Alpha, deployed and here; of runs in a container, nothing is left."""
    project.deploy("Alpha", THERE)
    project.write("Alpha", HERE)


class Calls:
    """Invocations of Alpha, numbered, and a journal of who ran which."""

    def __init__(self, project: Project, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._project = project
        self._folder = folder
        self._pool = pool
        self._answers: list[Future[Outcome]] = []

    def call(self) -> Future[Outcome]:
        event = {
            "journal": str(self._folder / "journal"),
            "number": len(self._answers),
            "go": str(self._folder / "go"),
        }
        self._answers.append(self._pool.submit(self._project.invoke_once, "Alpha", event))
        return self._answers[-1]

    def ran(self) -> str:
        """Who runs a further one."""
        return str(self.call().result(DEADLINE_SECONDS).json["ran"])

    def run_here(self, times: int = 1) -> None:
        """So many further ones, but for those that nobody has taken in time."""
        until = time.monotonic() + DEADLINE_SECONDS
        while times:
            outcome = self.call().result(DEADLINE_SECONDS)
            if outcome.was_late:
                assert time.monotonic() < until, "each is taken too late"
                continue
            assert outcome.json["ran"] == "here", outcome
            times -= 1

    def go(self) -> None:
        """Lets all end that wait."""
        (self._folder / "go").touch()

    def wait_until_run(self, who: str, number: int = 0) -> None:
        poll(lambda: f"{who} {number}" in self.runs(), f"{number} is run {who}")

    def pause(self, count: int) -> list[Future[Outcome]]:
        """So many that wait here; where starting takes too long, the original may run some."""
        paused: list[Future[Outcome]] = []
        started = time.monotonic()
        while len(paused) < count:
            assert time.monotonic() - started < DEADLINE_SECONDS, f"no {count} wait: {self.runs()}"
            number, call = len(self._answers), self.call()
            lines = {f"here {number}", f"deployed {number}"}
            poll(lambda: call.done() or lines & set(self.runs()), "it runs")  # noqa: B023
            if f"here {number}" in self.runs():
                paused.append(call)
                started = time.monotonic()
        return paused

    def runs(self) -> list[str]:
        journal = self._folder / "journal"
        return journal.read_text().splitlines() if journal.exists() else []

    def assert_each_ran_once(self) -> None:
        """Each where its answer says, and nowhere else."""
        answers = [answer.result(DEADLINE_SECONDS).json for answer in self._answers]
        assert [answer["number"] for answer in answers] == list(range(len(answers)))
        where = [f"{answer['ran']} {answer['number']}" for answer in answers]
        runs = self.runs()
        if not any(run.startswith("deployed") for run in runs):
            where = [run for run in where if run.startswith("here")]
        assert sorted(runs) == sorted(where)


@contextmanager
def calls_of(project: Project, folder: Path) -> Iterator[Calls]:
    with ThreadPoolExecutor(32) as pool:
        calls = Calls(project, folder, pool)
        try:
            yield calls
        finally:
            # Nobody waits for ever for a test that has failed.
            calls.go()


def records(backend: Backend, project: Project) -> list[dict[str, Any]]:
    """Tokens and invocations of a stack's sessions, attribute → typed value."""
    sessions = {one["SessionId"] for one in backend.sessions_of(project.stack_name)}
    scan = backend.target.client("dynamodb").get_paginator("scan")
    pages = scan.paginate(TableName=backend.helper.debugger_table)
    return [item for page in pages for item in page["Items"] if item["SessionId"]["S"] in sessions]


def states(backend: Backend, project: Project) -> list[str]:
    """Of the invocations of a stack's sessions."""
    return [item["State"]["S"] for item in records(backend, project) if "State" in item]
