"""What an attached session survives: lost connections, moves, sleep, wrong clocks, its own death.

Between the command line and the emulator lies a proxy, which is the network that fails.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress
from plldb.debugger.api_client import ApiClient

from .debugging import TRIES, Outcome
from .journal import WAITING, Calls, calls_of, keep_journal, states
from .project import Project, assert_restored, attach, deployed_project, detach
from .proxy import Proxy, proxy_to
from .support import DEADLINE_SECONDS, Attached, Backend, Plldb, poll

pytestmark = pytest.mark.needs("local")


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        keep_journal(project)
        yield project


@pytest.fixture
def calls(project: Project, tmp_path: Path) -> Iterator[Calls]:
    with calls_of(project, tmp_path) as calls:
        yield calls


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
    """Of all sessions that the stack had lately, the oldest first."""
    sessions = sorted(backend.sessions_of(project.stack_name), key=lambda one: one["CreatedAt"])
    return [session["Status"] for session in sessions]


def wait_until_closed(backend: Backend, project: Project) -> None:
    """Until no session is open. Those whose time is over may have been deleted."""
    poll(lambda: set(statuses(backend, project)) <= {"CLOSED"}, "all sessions CLOSED")


def wait_until_one_is_active(backend: Backend, project: Project) -> None:
    """The end of the session before may be noticed after the beginning of the next."""
    poll(lambda: statuses(backend, project).count("ACTIVE") == 1, "one session is ACTIVE")


def wait_until_forgotten(backend: Backend, project: Project, before: dict[str, Any]) -> None:
    """Until all is restored of a debugger that is gone: once nobody waits for it any longer."""
    wait_until_closed(backend, project)
    for session in backend.sessions_of(project.stack_name):
        backend.set_ttl(session["SessionId"], int(time.time()) - 1)
    backend.reap_until(lambda: project.configurations() == before, "restored")


def revisions(project: Project) -> list[str]:
    """These change with each update of the functions."""
    return [project.revision(name) for name in project.functions]


class TestCut:
    def test_while_idle_it_resumes_and_no_function_is_updated(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            held, pid = revisions(project), project.invoke("Beta").json["pid"]
            for attempt in range(3):
                network.cut()
                lost = attached.wait_for("reconnecting")
                assert lost["attempt"] == 1, "it was back meanwhile"
                # Connections that do not last are opened again more and more rarely.
                assert 0 <= lost["delay"] <= 0.5 * 2**attempt
                assert "1006" in lost["reason"]
                attached.wait_for("session.created")
                attached.wait_for("resumed")
                answer = project.invoke("Beta", attempt).json
                assert (answer["ran"], answer["event"]) == ("here", attempt)
                assert answer["pid"] == pid, "warm children are kept"
                wait_until_one_is_active(backend, project)
            assert revisions(project) == held
            detach(attached)

        assert_restored(attached, project.configurations, before)
        wait_until_closed(backend, project)

    def test_in_the_middle_of_an_invocation_its_caller_gets_the_answer(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()
        project.write("Alpha", WAITING)
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            held = revisions(project)
            (waiting,) = calls.pause(1)
            network.cut()
            attached.wait_for("resumed")
            calls.go()

            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
            attached.wait_for("invocation", outcome="succeeded")
            assert revisions(project) == held
            detach(attached)

        calls.assert_each_ran_once()
        assert_restored(attached, project.configurations, before)

    def test_an_answer_that_is_lost_is_given_again(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            (waiting,) = calls.pause(1)
            network.stall()
            calls.go()
            poll(lambda: network.held_bytes, "the answer is on its way")
            network.cut()
            network.resume()

            attached.wait_for("resumed")
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
            detach(attached)
        calls.assert_each_ran_once()

    @pytest.mark.parametrize("breaks", [True, False], ids=["and breaks", "and recovers"])
    def test_while_it_is_stuck_the_original_answers_and_nothing_runs_twice(
        self,
        remote: Plldb,
        network: Proxy,
        project: Project,
        calls: Calls,
        breaks: bool,
    ) -> None:
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            calls.run_here()
            network.stall()
            assert [calls.ran() for _ in range(3)] == ["deployed"] * 3
            if breaks:
                network.cut()
            network.resume()
            if breaks:
                attached.wait_for("resumed")
            else:
                attached.wait_for("invocation", outcome="succeeded")
                attached.wait_for("invocation", outcome="abandoned")

            # Its word that it is there may be later than the next call.
            poll(lambda: calls.ran() == "here", "it goes on")
            detach(attached)
        calls.assert_each_ran_once()

    def test_while_functions_are_being_instrumented_it_begins_again(
        self, remote: Plldb, network: Proxy, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()

        def is_cut_in_time() -> bool:
            with attach(remote, project) as attached:
                attached.wait_for("connected")
                network.cut()
                attached.wait_for("reconnecting")
                told = [one["event"] for one in list(attached.seen)]
                in_time = "ready" not in told[: told.index("reconnecting")]
                # What comes from here on is of the new one.
                attached.wait_for("session.created")
                if in_time:
                    assert attached.wait_for("ready")["instrumented"] == 2
                    assert project.invoke("Beta").json["ran"] == "here"
                    calls.run_here()
                detach(attached)
            project.wait_until_restored(before)
            return in_time

        poll(is_cut_in_time, "it is cut before it is ready")
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
        wait_until_forgotten(backend, project, before)

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


@pytest.mark.needs("process")
class TestTheFunctionsNetwork:
    """Between a function and the helper stack; the debugger has another one."""

    @pytest.fixture
    def inside(self, address: EmulatorAddress) -> Iterator[Proxy]:
        """A function finds a proxy at this machine only if it runs there."""
        with proxy_to(address.endpoint_url) as proxy:
            yield proxy

    @contextmanager
    def attached(
        self, plldb: Plldb, project: Project, inside: Proxy, **changes: Any
    ) -> Iterator[Attached]:
        """The function Alpha reaches the helper stack through the proxy."""

        def kept() -> dict[str, Any]:
            found = project.configuration("Alpha")
            return {name: found[name] for name in found if name not in changes}

        before = kept()
        # plldb would take the function's new address for a deployment, and set it right.
        with attach(plldb.with_environment(PLLDB_WATCH_SECONDS="3600"), project) as attached:
            attached.wait_for("ready")
            variables = project.configuration("Alpha")["Environment"]["Variables"]
            url = variables["PLLDB_WEBSOCKET_URL"]
            host = urlsplit(url).netloc
            through = url.replace(host, urlsplit(inside.url).netloc)
            changed = variables | {"PLLDB_WEBSOCKET_URL": through}
            project.update("Alpha", Environment={"Variables": changed}, **changes)
            yield attached
            detach(attached)
        assert_restored(attached, kept, before)

    def test_cut_between_invocations_it_is_not_noticed(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        with self.attached(plldb, project, inside):
            for _ in range(3):
                calls.run_here()
                inside.cut()
        calls.assert_each_ran_once()

    @pytest.mark.parametrize("times", [1, 3])
    def test_cut_in_the_middle_of_one_the_answer_arrives_all_the_same(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls, times: int
    ) -> None:
        project.write("Alpha", WAITING)
        with self.attached(plldb, project, inside):
            (waiting,) = calls.pause(1)
            for _ in range(times):
                seen = inside.accepted
                inside.cut()
                poll(lambda: inside.accepted > seen, "it has reconnected")  # noqa: B023
            calls.go()
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        calls.assert_each_ran_once()

    def test_down_for_a_while_the_answer_waits_for_it(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        with self.attached(plldb, project, inside) as attached:
            (waiting,) = calls.pause(1)
            inside.go_down()
            calls.go()
            attached.wait_for("invocation", outcome="succeeded")
            inside.come_back()
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        calls.assert_each_ran_once()

    def test_down_for_good_it_is_an_error_and_the_original_is_not_run(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        with self.attached(plldb, project, inside, Timeout=12):
            # On a busy machine, the engine may say it first.
            for _ in range(TRIES):
                (waiting,) = calls.pause(1)
                runs = calls.runs()
                inside.go_down()
                outcome = waiting.result(DEADLINE_SECONDS)
                assert outcome.error == "Unhandled"
                assert calls.runs() == runs
                inside.come_back()
                if "Task timed out" not in outcome.json["errorMessage"]:
                    break
            assert "did not answer before" in outcome.json["errorMessage"]
            calls.go()
        assert calls.runs() == runs

    def test_down_before_an_invocation_the_original_runs(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        with self.attached(plldb, project, inside):
            inside.go_down()
            assert calls.ran() == "deployed"
            inside.come_back()
            calls.run_here()
        calls.assert_each_ran_once()

    def test_stuck_when_an_invocation_is_sent_the_original_runs_alone(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        """What is delivered late is not accepted any more."""
        with self.attached(plldb, project, inside):
            calls.run_here()
            inside.stall()
            assert calls.ran() == "deployed"
            inside.resume()
            calls.run_here()
        calls.assert_each_ran_once()

    def test_stuck_in_the_middle_of_one_the_answer_arrives_afterwards(
        self, plldb: Plldb, project: Project, inside: Proxy, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        with self.attached(plldb, project, inside) as attached:
            (waiting,) = calls.pause(1)
            inside.stall()
            calls.go()
            attached.wait_for("invocation", outcome="succeeded")
            # It asks, and then finds another way, which is as bad.
            poll(lambda: inside.held_bytes, "it asks")
            inside.resume()
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        calls.assert_each_ran_once()


class TestMove:
    """Before API Gateway ends a connection for its age, a session takes the place of another."""

    def test_invocations_all_the_while_are_each_answered_here_and_run_once(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()
        quick = plldb.with_environment(PLLDB_REFRESH_SECONDS="2", PLLDB_HEARTBEAT_SECONDS="1")
        with attach(quick, project) as attached:
            attached.wait_for("ready")
            held = revisions(project)
            answers: list[Future[Outcome]] = []
            while sum(one["event"] == "resumed" for one in list(attached.seen)) < 3:
                answers += [calls.call() for _ in range(4)]
                for answer in answers[-4:]:
                    answer.result(DEADLINE_SECONDS)
            outcomes = [answer.result() for answer in answers]
            assert all(one.json["ran"] == "here" or one.was_late for one in outcomes), outcomes
            assert revisions(project) == held
            wait_until_one_is_active(backend, project)
            detach(attached)
            assert not any(one["event"] == "reconnecting" for one in attached.seen)

        calls.assert_each_ran_once()
        assert_restored(attached, project.configurations, before)
        wait_until_closed(backend, project)

    def test_one_that_outlasts_sessions_is_answered_from_the_last(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        quick = plldb.with_environment(PLLDB_REFRESH_SECONDS="2", PLLDB_HEARTBEAT_SECONDS="1")
        with attach(quick, project) as attached:
            attached.wait_for("ready")
            waiting = calls.pause(3)
            for _ in range(3):
                attached.wait_for("resumed")
            calls.go()
            assert {one.result(DEADLINE_SECONDS).json["ran"] for one in waiting} == {"here"}
            detach(attached)
        calls.assert_each_ran_once()


class TestAsleep:
    """A laptop whose lid is closed: connected, as far as anybody knows, and silent."""

    def test_it_is_found_out_once_and_goes_on_when_it_wakes_up(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            calls.run_here()
            attached.signal(signal.SIGSTOP)
            try:
                (session,) = backend.sessions_of(project.stack_name)
                poll(
                    lambda: (
                        calls.ran() == "deployed" and "Silent" in backend.item(session["SessionId"])
                    ),
                    "it is found out",
                )
                known = [calls.call().result(DEADLINE_SECONDS).json for _ in range(3)]
                assert [one["ran"] for one in known] == ["deployed"] * 3
            finally:
                attached.signal(signal.SIGCONT)

            poll(lambda: calls.ran() == "here", "it goes on")
            detach(attached)
        calls.assert_each_ran_once()
        missed = {one["requestId"] for one in attached.seen if one["event"] == "invocation"}
        assert missed.isdisjoint(one["id"] for one in known), "it was asked for them"

    def test_after_its_lease_it_attaches_again(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        """Nothing stale is run."""
        before = project.configurations()
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            calls.run_here()
            attached.signal(signal.SIGSTOP)
            try:
                assert calls.ran() == "deployed"
                (session,) = backend.sessions_of(project.stack_name)
                backend.set_ttl(session["SessionId"], int(time.time()) - 1)
                backend.reap_until(lambda: project.configurations() == before, "restored")
                assert calls.ran() == "deployed"
            finally:
                attached.signal(signal.SIGCONT)

            attached.wait_for("session.created")
            assert attached.wait_for("ready")["instrumented"] == 2
            calls.run_here()
            detach(attached)
        calls.assert_each_ran_once()
        assert_restored(attached, project.configurations, before)

    def test_what_it_had_begun_is_answered_once_it_wakes_up(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        project.write("Alpha", WAITING)
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            (waiting,) = calls.pause(1)
            attached.signal(signal.SIGSTOP)
            try:
                calls.go()
                # Whoever comes meanwhile is not kept waiting for that.
                assert calls.ran() == "deployed"
                assert not waiting.done()
            finally:
                attached.signal(signal.SIGCONT)
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
            detach(attached)
        calls.assert_each_ran_once()


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

    def test_killed_while_idle_it_leaves_nothing_behind(
        self, remote: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()
        with attach(remote, project) as attached:
            attached.wait_for("ready")
            attached.signal(signal.SIGKILL)
            attached.process.wait()
        assert calls.ran() == "deployed"

        wait_until_forgotten(backend, project, before)
        assert calls.ran() == "deployed"
        calls.assert_each_ran_once()

    def test_killed_before_it_has_begun_an_invocation_the_original_runs(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            attached.signal(signal.SIGSTOP)
            waiting = calls.call()
            # Unless it was late.
            poll(lambda: waiting.done() or "WAITING" in states(backend, project), "it waits")
            attached.signal(signal.SIGKILL)
            attached.process.wait()
            assert waiting.result(DEADLINE_SECONDS).json["ran"] == "deployed"

        wait_until_forgotten(backend, project, before)
        calls.assert_each_ran_once()

    def test_killed_once_it_has_begun_one_it_is_an_error_and_nobody_runs_it_again(
        self, plldb: Plldb, project: Project, backend: Backend, calls: Calls
    ) -> None:
        before = project.configurations()
        project.write("Alpha", WAITING)
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            (waiting,) = calls.pause(1)
            runs = calls.runs()
            attached.signal(signal.SIGKILL)
            attached.process.wait()
            wait_until_closed(backend, project)
            for session in backend.sessions_of(project.stack_name):
                backend.set_ttl(session["SessionId"], int(time.time()) - 1)
            outcome = waiting.result(DEADLINE_SECONDS)

        assert outcome.was_lost, outcome
        assert calls.runs() == runs
        wait_until_forgotten(backend, project, before)
        assert calls.ran() == "deployed"


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
            answer = project.invoke("Beta", number).json
            assert (answer["ran"], answer["event"]) == ("here", number)
            attached.wait_for("invocation", outcome="succeeded")
        detach(attached)

    assert_restored(attached, project.configurations, before)
    wait_until_closed(backend, project)
