"""Whatever breaks in the helper stack or around it: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_bytes

import psutil
import pytest
from lambda_functions.sessions.reaping import CONNECTING_SECONDS

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.emulators.state import StateFile

from .faulty_dynamodb import Fault, FaultyDynamoDb, faulty_dynamodb
from .journal import WAITING, Calls, calls_of, keep_journal, records, states
from .project import Project, assert_restored, attach, deployed_project, detach
from .support import DEADLINE_SECONDS, Backend, Plldb, clean_environment, poll


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha"]) as project:
        keep_journal(project)
        yield project


@pytest.fixture
def calls(project: Project, tmp_path: Path) -> Iterator[Calls]:
    with calls_of(project, tmp_path) as calls:
        yield calls


# --- DynamoDB ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dynamodb(backend: Backend, address: EmulatorAddress) -> Iterator[FaultyDynamoDb]:
    with faulty_dynamodb(backend, address.endpoint_url) as faulty:
        yield faulty


@pytest.mark.needs("process")
@pytest.mark.parametrize("fault", list(Fault))
def test_a_call_to_the_table_that_fails_once_is_not_noticed(
    plldb: Plldb,
    backend: Backend,
    project: Project,
    dynamodb: FaultyDynamoDb,
    calls: Calls,
    fault: Fault,
) -> None:
    """Throttled, refused, cut off, or done without an answer: each first attempt of each call.

    No redeployment is looked for meanwhile: what waits for its own second attempts would be in
    the way of an invocation, and add to the time that this takes.
    """
    before = project.configurations()
    with dynamodb.failing(fault):
        with attach(plldb.with_environment(PLLDB_WATCH_SECONDS="3600"), project) as attached:
            attached.wait_for("ready")
            calls.run_here(6)
            detach(attached)
        (session,) = backend.sessions_of(project.stack_name)

    calls.assert_each_ran_once()
    assert session["Status"] == "CLOSED"
    assert dynamodb.failed > 10
    assert_restored(attached, project.configurations, before)


@pytest.mark.needs("process")
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.CUT])
def test_without_its_table_the_helper_stack_refuses_and_explains_nothing_of_its_inside(
    plldb: Plldb, backend: Backend, project: Project, dynamodb: FaultyDynamoDb, fault: Fault
) -> None:
    session_id = backend.new_session()

    with dynamodb.failing(fault, every=True):
        answer = backend.post_sessions({"stackName": "some-stack"})
        health = backend.call("GET", "/health")
        refused = plldb("attach", project.stack_name, "--template", project.template).failed()
        connected = backend.refusal(session_id)

    assert (answer.status_code, answer.json().keys()) == (500, {"message"})
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["tables"]["sessions"] == "unreachable"
    for inside in ("Traceback", "botocore", "dynamodb", "lambda_functions", "a bad day"):
        assert inside not in answer.text
    assert "/sessions was refused" in refused.stderr
    assert connected in (401, 403)
    assert backend.item(session_id)["Status"] == "PENDING"
    assert backend.sessions_of(project.stack_name) == [], "something was half written"
    assert backend.refusal(session_id) == 101, "the session was lost for a passing failure"


@pytest.mark.needs("process")
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.CUT])
def test_while_the_tables_are_gone_originals_run_and_what_has_begun_is_answered_later(
    plldb: Plldb, project: Project, dynamodb: FaultyDynamoDb, calls: Calls, fault: Fault
) -> None:
    before = project.configurations()
    project.write("Alpha", WAITING)
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        (waiting,) = calls.pause(1)
        with dynamodb.failing(fault, every=True):
            assert calls.ran() == "deployed"
            calls.go()
            seen = dynamodb.failed
            # The answer is recorded by one call, and that is tried several times.
            poll(lambda: dynamodb.failed >= seen + 6, "the answer could not be recorded")
            assert not waiting.done()
        assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        calls.run_here()
        detach(attached)
    calls.assert_each_ran_once()
    assert_restored(attached, project.configurations, before)


@pytest.mark.needs("process")
def test_an_invocation_that_is_paused_for_a_minute_costs_a_dozen_reads_at_most(
    plldb: Plldb, backend: Backend, project: Project, dynamodb: FaultyDynamoDb, calls: Calls
) -> None:
    project.write("Alpha", WAITING)
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        (waiting,) = calls.pause(1)
        of_it = [session["SessionId"] for session in backend.sessions_of(project.stack_name)]
        of_it += [record["RequestId"]["S"] for record in records(backend, project)]
        before, since = dynamodb.reads_of(*of_it), time.monotonic()
        poll(lambda: time.monotonic() > since + 60, "a minute")
        calls.go()
        assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        reads = dynamodb.reads_of(*of_it) - before
        detach(attached)
    calls.assert_each_ran_once()
    assert 0 < reads <= 12 * len(calls.runs())


# --- Workers -------------------------------------------------------------------------------------


def workers_of(home: Path, function_name: str) -> list[psutil.Process]:
    """The processes that run invocations of that function."""
    running = StateFile(home).read()
    assert running is not None
    found = []
    for process in psutil.Process(running.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function_name:
                found.append(process)
    return found


def kill_workers(home: Path, function_name: str) -> int:
    """How many there were."""
    killed = workers_of(home, function_name)
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(killed)


def kill_a_worker(home: Path, function_name: str) -> None:
    poll(lambda: kill_workers(home, function_name), f"a worker of {function_name}")


@pytest.mark.needs("process")
def test_killed_workers_lose_no_invocation_that_has_begun(
    plldb: Plldb, backend: Backend, project: Project, home: Path, calls: Calls
) -> None:
    before = project.configurations()
    project.write("Alpha", WAITING)
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        (waiting,) = calls.pause(1)
        assert kill_workers(home, backend.function_name("WebSocketFunction"))
        calls.go()
        assert waiting.result(DEADLINE_SECONDS).json["ran"] == "here"
        detach(attached)
    calls.assert_each_ran_once()
    assert_restored(attached, project.configurations, before)


@pytest.mark.needs("process")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_is_killed_at_any_call_to_the_tables_changes_no_outcome(
    plldb: Plldb,
    backend: Backend,
    project: Project,
    home: Path,
    dynamodb: FaultyDynamoDb,
    calls: Calls,
    moment: str,
) -> None:
    """The first, the second, …: what was written, and what was not, is found by who asks again."""
    name = backend.function_name("WebSocketFunction")
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        calls.run_here()
        try:
            for number in range(1, 9):
                countdown = itertools.count(1 - number)

                def kill_in_time(countdown: Iterator[int] = countdown) -> None:
                    if next(countdown) == 0:
                        kill_workers(home, name)

                setattr(dynamodb, moment, kill_in_time)
                assert calls.ran() in ("here", "deployed")
        finally:
            setattr(dynamodb, moment, lambda: None)
        poll(lambda: calls.ran() == "here", "it goes on")
        detach(attached)
    calls.assert_each_ran_once()


@pytest.mark.needs("process")
def test_workers_that_are_killed_all_the_time_change_no_outcome(
    plldb: Plldb, backend: Backend, project: Project, home: Path, calls: Calls
) -> None:
    before = project.configurations()
    name = backend.function_name("WebSocketFunction")
    is_over = threading.Event()

    # Now and then there is time enough for all of them to start, on a busy machine as well; and not
    # in the rhythm in which whatever finds a worker dead tries again.
    pauses = itertools.cycle([0.5, 0.7, 4, 0.6, 7])

    def kill_all_the_time() -> None:
        while not is_over.wait(next(pauses)):
            kill_workers(home, name)

    with attach(plldb, project) as attached, ThreadPoolExecutor(1) as killer:
        attached.wait_for("ready")
        killing = killer.submit(kill_all_the_time)
        try:
            for _ in range(8):
                for call in [calls.call() for _ in range(4)]:
                    call.result(DEADLINE_SECONDS)
        finally:
            is_over.set()
        killing.result()
        # It may have been taken for silent, until its next word.
        poll(lambda: calls.ran() == "here", "it goes on")
        detach(attached)
    calls.assert_each_ran_once()
    assert_restored(attached, project.configurations, before)


@pytest.mark.needs("process")
def test_a_function_that_is_killed_is_an_error_to_its_caller_and_ends_nothing_else(
    plldb: Plldb, project: Project, home: Path, calls: Calls
) -> None:
    before = project.configurations()
    project.write("Alpha", WAITING)
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        (call,) = calls.pause(1)
        kill_a_worker(home, project.name("Alpha"))
        assert call.result(DEADLINE_SECONDS).error is not None
        calls.go()
        attached.wait_for("invocation", outcome="succeeded")

        calls.run_here()
        detach(attached)
    assert len(calls.runs()) == len(set(calls.runs())), "something ran twice"
    assert_restored(attached, project.configurations, before)


@pytest.mark.needs("process")
def test_nor_does_one_that_is_killed_while_its_invocation_waits(
    plldb: Plldb, backend: Backend, project: Project, home: Path, calls: Calls
) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")

        def is_killed_while_it_waits() -> bool:
            """Not if it was late, or did not wait for so long."""
            calls.run_here()
            attached.signal(signal.SIGSTOP)
            try:
                call = calls.call()
                poll(lambda: call.done() or "WAITING" in states(backend, project), "it waits")
                kill_a_worker(home, project.name("Alpha"))
                return call.result(DEADLINE_SECONDS).error is not None
            finally:
                attached.signal(signal.SIGCONT)

        poll(is_killed_while_it_waits, "it is killed in time")
        calls.run_here()
        detach(attached)
    assert len(calls.runs()) == len(set(calls.runs())), "something ran twice"


@pytest.mark.needs("process")
def test_instrumenting_and_restoring_survive_their_worker(
    plldb: Plldb, backend: Backend, project: Project, home: Path, calls: Calls
) -> None:
    """Lambda invokes again what was to be done without an answer."""
    before = project.configurations()
    name = backend.function_name("InstrumentationFunction")
    with attach(plldb, project) as attached:
        attached.wait_for("connected")
        kill_a_worker(home, name)
        assert attached.wait_for("ready")["instrumented"] == 1
        calls.run_here()
        attached.signal(signal.SIGINT)
        kill_a_worker(home, name)
        assert attached.exit_code() == 0
    project.wait_until_restored(before)
    calls.assert_each_ran_once()


@pytest.mark.needs("process")
@pytest.mark.parametrize("logical_id", ["ManagementFunction", "WebSocketFunction"])
def test_workers_that_are_killed_again_and_again_do_not_keep_a_debugger_out(
    plldb: Plldb, backend: Backend, project: Project, home: Path, calls: Calls, logical_id: str
) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        detach(attached)
    kill_a_worker(home, backend.function_name(logical_id))

    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        calls.run_here()
        detach(attached)
    assert {s["Status"] for s in backend.sessions_of(project.stack_name)} == {"CLOSED"}


# --- Events in the wrong order -------------------------------------------------------------------


def event_of(kind: str, session_id: str, connection_id: str) -> bytes:
    """What API Gateway hands over for $connect and $disconnect."""
    context = {
        "eventType": kind,
        "connectionId": connection_id,
        "authorizer": {"sessionId": session_id},
    }
    return json.dumps({"requestContext": context}).encode()


def test_the_same_disconnect_twice_changes_nothing_the_second_time(backend: Backend) -> None:
    session_id = backend.new_session()

    async def connect_and_leave() -> str:
        async with backend.connect(session_id):
            return str(backend.item(session_id)["ConnectionId"])

    connection_id = asyncio.run(connect_and_leave())
    closed = backend.wait_for_status(session_id, "CLOSED")

    for _ in range(2):
        event = event_of("DISCONNECT", session_id, connection_id)
        assert backend.invoke("WebSocketFunction", event) == {"statusCode": 200}
        assert backend.item(session_id) == closed


def test_a_disconnect_before_connect_has_finished_leaves_nothing_active(backend: Backend) -> None:
    """In whatever order they arrive: what $connect still opens, the reaper closes."""
    sessions = [backend.new_session() for _ in range(10)]

    def both(number: int) -> None:
        # Of a form that API Gateway takes for an id, and of no client's.
        session_id, connection_id = sessions[number], urlsafe_b64encode(token_bytes(11)).decode()
        events = [event_of(kind, session_id, connection_id) for kind in ("DISCONNECT", "CONNECT")]
        with ThreadPoolExecutor(2) as pool:
            # Half of them in order, half of them at once.
            mapping = pool.map if number % 2 else map
            for _ in mapping(partial(backend.invoke, "WebSocketFunction"), events):
                pass

    for number in range(len(sessions)):
        both(number)
        backend.set_connected_at(sessions[number], time.time() - CONNECTING_SECONDS)

    def all_closed() -> bool:
        """The table forgets those that were closed a minute ago."""
        return {backend.item(one).get("Status", "CLOSED") for one in sessions} == {"CLOSED"}

    backend.reap_until(all_closed, "all are closed")


def test_a_client_that_is_gone_before_the_socket_opens_leaves_nothing_active(
    backend: Backend,
) -> None:
    sessions = [backend.new_session() for _ in range(10)]

    async def hang_up(session_id: str, seconds: float) -> None:
        opening = asyncio.create_task(backend.try_connect(session_id))
        await asyncio.wait([opening], timeout=seconds)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            websocket = await opening
            assert not isinstance(websocket, int)
            websocket.transport.abort()

    async def all_at_different_moments() -> None:
        await asyncio.gather(*(hang_up(one, n * 0.005) for n, one in enumerate(sessions)))

    asyncio.run(all_at_different_moments())

    def none_active() -> bool:
        for session_id in sessions:
            backend.set_connected_at(session_id, time.time() - CONNECTING_SECONDS)
        backend.reap()
        return "ACTIVE" not in {backend.item(one).get("Status") for one in sessions}

    poll(none_active, "none is active")


# --- The emulator --------------------------------------------------------------------------------


def test_a_killed_emulator_is_started_and_bootstrapped_again(tmp_path: Path) -> None:
    """It keeps everything in memory: all is gone, and `plldb` begins anew without being told."""
    home = tmp_path / "home"
    plldb = Plldb(clean_environment() | {"PLLDB_HOME": str(home)})
    try:
        up = plldb("local", "up", "--detach", "--output", "json").succeeded().json
        port = str(up["endpointUrl"]).rpartition(":")[2]
        plldb("bootstrap").succeeded()
        emulator = psutil.Process(up["pid"])
        target = Target(
            TargetSettings(
                "emulator",
                "us-east-1",
                emulator=EmulatorAddress(up["endpointUrl"], up["endpointUrl"]),
            )
        )
        # What is deployed before is gone with the emulator, and can't be removed.
        gone = target.client("s3").exceptions.NoSuchBucket
        with (
            suppress(gone),
            deployed_project(target, tmp_path / "before", ["Alpha"]) as before,
            calls_of(before, tmp_path) as calls,
            attach(plldb, before) as attached,
        ):
            attached.wait_for("ready")
            keep_journal(before)
            before.write("Alpha", WAITING)
            (waiting,) = calls.pause(1)
            workers = emulator.children(recursive=True)
            emulator.kill()
            attached.wait_for("reconnecting")
            calls.go()
            assert waiting.exception(DEADLINE_SECONDS) is not None
            assert calls.runs()[-1].startswith("here")

            assert plldb("local", "status", "--output", "json").json == {"running": False}
            plldb("local", "up", "--detach", "--port", port).succeeded()
            plldb("bootstrap").succeeded()
            # It found the new helper stack, or none in the moment between: either is told.
            attached.signal(signal.SIGINT)
            assert attached.exit_code() in (0, 1)
            assert "Traceback" not in attached.errors()
        with deployed_project(target, tmp_path / "after", ["Alpha"]) as after:
            with attach(plldb, after) as attached:
                attached.wait_for("ready")
                assert after.invoke("Alpha", 2).json["ran"] == "here"
                detach(attached)
            assert after.invoke("Alpha", 3).json["ran"] == "deployed"
        _, alive = psutil.wait_procs(workers, timeout=DEADLINE_SECONDS)
        assert alive == [], "workers of the killed emulator are left"
    finally:
        plldb("local", "down").succeeded()
