"""What an attached session survives: lost connections, moved ones, wrong clocks, its own death.

Between the command line and the emulator lies a proxy, which is the network that fails.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress
from plldb.debugger.api_client import ApiClient

from .project import Project, attach, deployed_project, detach
from .proxy import Proxy, proxy_to
from .support import Backend, Plldb, poll

pytestmark = pytest.mark.needs("local")

# Says who ran, and stays until the file that the event names is there.
WAITING = """
import os, time

def handler(event, context):
    with open(event["started"], "a") as started:
        started.write("x")
    while not os.path.exists(event["go"]):
        time.sleep(0.01)
    return {"ran": "here", "event": event}
"""
# Leaves one line for each run.
COUNTING = """
def handler(event, context):
    with open(event["journal"], "a") as journal:
        journal.write(f"{event['number']}\\n")
    return {"ran": "here", "number": event["number"]}
"""


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        yield project


@pytest.fixture
def network(address: EmulatorAddress) -> Iterator[Proxy]:
    with proxy_to(address.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def remote(plldb: Plldb, network: Proxy, address: EmulatorAddress) -> Plldb:
    """The command line behind the proxy."""
    return plldb.with_environment(
        PLLDB_ENDPOINT_URL=network.url, PLLDB_INSIDE_ENDPOINT_URL=address.inside_url
    )


@pytest.fixture
def management(backend: Backend) -> ApiClient:
    return ApiClient(backend.helper.management_api_url, backend.target.execute_api_auth())


def statuses(backend: Backend, project: Project) -> list[str]:
    """Of all sessions that the stack ever had, the oldest first."""
    sessions = sorted(backend.sessions_of(project.stack_name), key=lambda one: one["CreatedAt"])
    return [session["Status"] for session in sessions]


def wait_until_closed(backend: Backend, project: Project) -> None:
    poll(lambda: set(statuses(backend, project)) == {"CLOSED"}, "all sessions CLOSED")


def open_session(backend: Backend, project: Project) -> str:
    (session,) = (
        one for one in backend.sessions_of(project.stack_name) if one["Status"] == "ACTIVE"
    )
    return str(session["SessionId"])


class TestCut:
    def test_while_idle_it_attaches_again_and_goes_on(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            pid = project.invoke("Alpha").json["pid"]
            for attempt in range(3):
                network.cut()
                lost = attached.wait_for("reconnecting")
                assert lost["attempt"] == 1, "it was back meanwhile"
                # Connections that do not last are opened again more and more rarely.
                assert 0 <= lost["delay"] <= 0.5 * 2**attempt
                assert "1006" in lost["reason"]
                attached.wait_for("session.created")
                attached.wait_for("connected")
                assert attached.wait_for("ready")["instrumented"] == 2
                answer = project.invoke("Alpha", attempt).json
                assert (answer["ran"], answer["event"]) == ("here", attempt)
                assert answer["pid"] == pid, "warm children are kept"
                wait_for_old = ["CLOSED"] * (attempt + 1) + ["ACTIVE"]
                poll(lambda: statuses(backend, project) == wait_for_old, "the old one CLOSED")  # noqa: B023
            detach(attached)

        project.wait_until_restored(before)
        wait_until_closed(backend, project)

    def test_in_the_middle_of_an_invocation_its_caller_gets_an_answer(
        self,
        remote: Plldb,
        network: Proxy,
        project: Project,
        backend: Backend,
        tmp_path: Path,
    ) -> None:
        before = project.configurations()
        project.write("Alpha", WAITING)
        event = {"started": str(tmp_path / "started"), "go": str(tmp_path / "go")}
        with attach(remote, project) as attached, ThreadPoolExecutor() as pool:
            attached.wait_for("ready")
            waiting = pool.submit(project.invoke, "Alpha", event)
            poll((tmp_path / "started").exists, "the invocation runs")
            network.cut()
            attached.wait_for("ready")
            (tmp_path / "go").touch()

            answer = waiting.result(60)
            assert answer.error is None, answer.text
            shown = attached.wait_for("invocation")
            outcome_of = {"here": "succeeded", "deployed": "abandoned"}
            assert shown["outcome"] == outcome_of[answer.json["ran"]]
            assert project.invoke("Beta").json["ran"] == "here"
            detach(attached)

        assert (tmp_path / "started").read_text() == "x", "it ran here once"
        project.wait_until_restored(before)
        wait_until_closed(backend, project)

    def test_while_functions_are_being_instrumented_it_begins_again(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("connected")
            network.cut()
            attached.wait_for("reconnecting")
            # What comes from here on is of the new one.
            attached.wait_for("session.created")
            assert attached.wait_for("ready")["instrumented"] == 2
            for function in project.functions:
                assert project.invoke(function).json["ran"] == "here"
            detach(attached)

        project.wait_until_restored(before)
        wait_until_closed(backend, project)

    def test_ctrl_c_while_disconnected_leaves_nothing_behind(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            network.go_down()
            attached.wait_for("reconnecting")
            attached.wait_for("reconnecting")
            attached.signal(signal.SIGINT)
            assert attached.wait_for("closed")["expected"] is True
            assert attached.exit_code() == 0

        # Nobody could be told; the helper stack has seen the connection go.
        project.wait_until_restored(before)
        wait_until_closed(backend, project)

    def test_a_second_ctrl_c_does_not_wait_for_the_network(
        self, remote: Plldb, network: Proxy, project: Project
    ) -> None:
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            network.stall()
            attached.signal(signal.SIGINT)
            # Until it has heard the first one: a signal that is pending comes once.
            poll(lambda: network.held_bytes, "it has asked to be closed")
            attached.signal(signal.SIGINT)
            assert attached.exit_code() == 1
            assert "plldb restore" in attached.errors()


class TestRefresh:
    def test_invocations_all_the_while_are_each_answered_here_and_run_once(
        self, plldb: Plldb, project: Project, backend: Backend, tmp_path: Path
    ) -> None:
        project.write("Alpha", COUNTING)
        journal = tmp_path / "journal"
        quick = plldb.with_environment(PLLDB_REFRESH_SECONDS="2", PLLDB_HEARTBEAT_SECONDS="1")
        with attach(quick, project) as attached, ThreadPoolExecutor(4) as pool:
            attached.wait_for("ready")
            session_id = open_session(backend, project)
            connections = {backend.item(session_id)["ConnectionId"]}
            answers: list[Future[Any]] = []
            refreshes = 0
            while refreshes < 3:
                for _ in range(4):
                    event = {"journal": str(journal), "number": len(answers)}
                    answers.append(pool.submit(project.invoke, "Alpha", event))
                for answer in answers[-4:]:
                    answer.result(60)
                refreshes = sum(one["event"] == "refreshed" for one in list(attached.seen))
            connections.add(backend.item(session_id)["ConnectionId"])
            assert statuses(backend, project) == ["ACTIVE"]
            detach(attached)
            assert not any(one["event"] == "reconnecting" for one in attached.seen)

        assert len(connections) == 2
        numbers = list(range(len(answers)))
        assert [answer.result().json for answer in answers] == [
            {"ran": "here", "number": number} for number in numbers
        ]
        assert sorted(int(line) for line in journal.read_text().split()) == numbers
        wait_until_closed(backend, project)


class TestEnds:
    def test_forced_off_it_stays_off(
        self, remote: Plldb, project: Project, backend: Backend, management: ApiClient
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            created = attached.wait_for("session.created")
            attached.wait_for("ready")
            closed = management.close_session(created["session"], project.stack_name)
            assert (closed.session, closed.status) == (created["session"], "CLOSED")

            ended = attached.wait_for("closed")
            assert ended["expected"] is False
            assert "closed by" in ended["reason"]
            assert attached.exit_code() == 1
            assert "closed by" in attached.errors()
            assert not any(one["event"] == "reconnecting" for one in attached.seen)

        project.wait_until_restored(before)
        assert statuses(backend, project) == ["CLOSED"]

    def test_killed_without_a_word_it_leaves_nothing_behind(
        self, remote: Plldb, project: Project, backend: Backend
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            attached.signal(signal.SIGKILL)
            attached.process.wait()

        project.wait_until_restored(before)
        wait_until_closed(backend, project)


# The command line as on a machine whose clock is off by so many seconds.
_WITH_CLOCK = """
import sys, time, time_machine
with time_machine.travel(time.time() + {off}, tick=True):
    from plldb.cli.main import main
    sys.exit(main())
"""


class OffClock(Plldb):
    off = 0

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _WITH_CLOCK.format(off=self.off), *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.mark.parametrize("off", [-600, 600], ids=["10 minutes slow", "10 minutes fast"])
def test_with_a_clock_that_is_off_all_is_as_ever(
    plldb: Plldb, project: Project, backend: Backend, off: int
) -> None:
    before = project.configurations()
    elsewhen = OffClock(plldb.environment, plldb.folder)
    elsewhen.off = off
    with attach(elsewhen, project) as attached:
        assert attached.wait_for("ready")["instrumented"] == 2
        for number in range(3):
            answer = project.invoke("Alpha", number).json
            assert (answer["ran"], answer["event"]) == ("here", number)
            assert attached.wait_for("invocation")["outcome"] == "succeeded"
        detach(attached)

    assert project.configurations() == before
    wait_until_closed(backend, project)
