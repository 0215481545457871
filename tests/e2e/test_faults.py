"""Whatever breaks in the helper stack or around it: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from lambda_functions.sessions.reaping import CONNECTING_SECONDS

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.emulators.state import StateFile

from .faulty_dynamodb import Fault, FaultyDynamoDb, faulty_dynamodb
from .project import Project, attach, deployed_project, detach
from .support import Backend, Plldb, clean_environment, poll, random_name


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha"]) as project:
        yield project


# --- DynamoDB ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dynamodb(backend: Backend, address: EmulatorAddress) -> Iterator[FaultyDynamoDb]:
    with faulty_dynamodb(backend, address.endpoint_url) as faulty:
        yield faulty


@pytest.mark.needs("process")
@pytest.mark.parametrize("fault", list(Fault))
def test_a_call_to_the_table_that_fails_once_is_not_noticed(
    plldb: Plldb, backend: Backend, project: Project, dynamodb: FaultyDynamoDb, fault: Fault
) -> None:
    """Throttled, refused, cut off, or done without an answer: each first attempt of each call."""
    before = project.configurations()
    with dynamodb.failing(fault):
        with attach(plldb, project) as attached:
            attached.wait_for("ready")
            answers = [project.invoke("Alpha", n).json for n in range(5)]
            detach(attached)
        (session,) = backend.sessions_of(project.stack_name)

    assert [(answer["ran"], answer["event"]) for answer in answers] == [
        ("here", n) for n in range(5)
    ]
    assert session["Status"] == "CLOSED"
    assert dynamodb.failed > 10
    assert project.configurations() == before


@pytest.mark.needs("process")
@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.CUT])
def test_without_its_table_the_helper_stack_refuses_and_explains_nothing_of_its_inside(
    plldb: Plldb, backend: Backend, project: Project, dynamodb: FaultyDynamoDb, fault: Fault
) -> None:
    session_id = backend.new_session()

    with dynamodb.failing(fault, every=True):
        answer = backend.post_sessions({"stackName": "some-stack"})
        health = backend.call("GET", "/health")
        refused = plldb("attach", "--stack-name", project.stack_name).failed()
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


# --- Workers -------------------------------------------------------------------------------------

# Says that it has begun, and goes on when the test says so.
_WAITING = """
    import pathlib, time

    def handler(event, context):
        folder = pathlib.Path(__file__).parent
        (folder / "begun").touch()
        while not (folder / "go-on").exists():
            time.sleep(0.01)
        return {"ran": "here", "event": event}
"""


def worker_of(home: Path, function_name: str) -> psutil.Process:
    """The process that runs an invocation of a function."""
    running = StateFile(home).read()
    assert running is not None

    def look() -> psutil.Process | None:
        for process in psutil.Process(running.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function_name:
                    return process
        return None

    return poll(look, f"a worker of {function_name}")


@pytest.mark.needs("process")
def test_a_killed_broker_loses_no_invocation(
    plldb: Plldb, backend: Backend, project: Project, home: Path
) -> None:
    """The function asks again, and the answer finds it."""
    before = project.configurations()
    project.write("Alpha", _WAITING)
    with attach(plldb, project) as attached, ThreadPoolExecutor(1) as caller:
        attached.wait_for("ready")
        call = caller.submit(project.invoke, "Alpha", 7)
        poll((project.folder / "Alpha" / "begun").exists, "the invocation runs here")

        worker_of(home, backend.function_name("BrokerFunction")).kill()
        (project.folder / "Alpha" / "go-on").touch()

        assert call.result(60).json == {"ran": "here", "event": 7}
        assert attached.wait_for("invocation")["outcome"] == "succeeded"
        detach(attached)
    assert project.configurations() == before


@pytest.mark.needs("process")
def test_a_killed_function_is_an_error_to_its_caller_and_ends_nothing_else(
    plldb: Plldb, project: Project, home: Path
) -> None:
    before = project.configurations()
    project.write("Alpha", _WAITING)
    with attach(plldb, project) as attached, ThreadPoolExecutor(1) as caller:
        attached.wait_for("ready")
        call = caller.submit(project.invoke, "Alpha", 7)
        poll((project.folder / "Alpha" / "begun").exists, "the invocation runs here")

        worker_of(home, project.name("Alpha")).kill()
        assert call.result(60).error is not None
        (project.folder / "Alpha" / "go-on").touch()

        assert project.invoke("Alpha", 8).json == {"ran": "here", "event": 8}
        detach(attached)
    assert project.configurations() == before


@pytest.mark.needs("process")
@pytest.mark.parametrize("logical_id", ["ManagementFunction", "ConnectFunction", "MessageFunction"])
def test_workers_that_are_killed_again_and_again_do_not_keep_a_debugger_out(
    plldb: Plldb, backend: Backend, project: Project, home: Path, logical_id: str
) -> None:
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        detach(attached)
    worker_of(home, backend.function_name(logical_id)).kill()

    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        assert project.invoke("Alpha", 1).json["ran"] == "here"
        detach(attached)
    assert {s["Status"] for s in backend.sessions_of(project.stack_name)} == {"CLOSED"}


# --- Events in the wrong order -------------------------------------------------------------------


def event_of(route: str, session_id: str, connection_id: str) -> bytes:
    """What API Gateway hands to the functions of $connect and $disconnect."""
    context = {
        "routeKey": route,
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
        event = event_of("$disconnect", session_id, connection_id)
        assert backend.invoke("DisconnectFunction", event) == {"statusCode": 200}
        assert backend.item(session_id) == closed


def test_a_disconnect_before_connect_has_finished_leaves_nothing_active(backend: Backend) -> None:
    """In whatever order they arrive: what $connect still opens, the reaper closes."""
    sessions = [backend.new_session() for _ in range(10)]

    def both(number: int) -> None:
        session_id, connection_id = sessions[number], f"{random_name('gone')}="
        calls = [
            ("DisconnectFunction", event_of("$disconnect", session_id, connection_id)),
            ("ConnectFunction", event_of("$connect", session_id, connection_id)),
        ]
        with ThreadPoolExecutor(2) as pool:
            # Half of them in order, half of them at once.
            mapping = pool.map if number % 2 else map
            for _ in mapping(lambda call: backend.invoke(*call), calls):
                pass

    for number in range(len(sessions)):
        both(number)
        backend.set_connected_at(sessions[number], time.time() - CONNECTING_SECONDS)

    def all_closed() -> bool:
        backend.reap()
        return {backend.item(one)["Status"] for one in sessions} == {"CLOSED"}

    poll(all_closed, "all are closed")


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
        return "ACTIVE" not in {backend.item(one)["Status"] for one in sessions}

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
            attach(plldb, before) as attached,
        ):
            attached.wait_for("ready")
            assert before.invoke("Alpha", 1).json["ran"] == "here"
            workers = emulator.children(recursive=True)
            emulator.kill()
            attached.wait_for("reconnecting")

            assert plldb("local", "status", "--output", "json").json == {"running": False}
            plldb("local", "up", "--detach", "--port", port).succeeded()
            plldb("bootstrap").succeeded()
            # It found the new helper stack, or none in the moment between: either is told.
            attached.signal(signal.SIGINT)
            assert attached.exit_code(60) in (0, 1)
            assert "Traceback" not in attached.errors()
        with deployed_project(target, tmp_path / "after", ["Alpha"]) as after:
            with attach(plldb, after) as attached:
                attached.wait_for("ready")
                assert after.invoke("Alpha", 2).json["ran"] == "here"
                detach(attached)
            assert after.invoke("Alpha", 3).json["ran"] == "deployed"
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert alive == [], "workers of the killed emulator are left"
    finally:
        plldb("local", "down").succeeded()
