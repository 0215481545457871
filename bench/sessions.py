"""How fast plldb is, as ratios within one run on one emulator.

The floor of a route is the same kind of route to a function that prints one line and returns; that
of a debugged invocation is the same function invoked without a debugger. Floor and plldb are
measured in turns where they can be, so that whatever else the machine does hits both.

``python -m bench.sessions ministack localstack`` measures one engine after the other.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import urlopen

from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from plldb import bootstrap
from plldb.aws import Target
from plldb.config import (
    DEFAULT_EMULATOR_REGION,
    DEFAULT_HELPER_STACK,
    EmulatorAddress,
    TargetSettings,
)
from plldb.debugger.api_client import ApiClient
from plldb.emulators.state import StateFile
from plldb.stacks import HelperStack, find_helper_stack
from tests.e2e.load import Shape, run_load
from tests.e2e.project import Project, deployed_project
from tests.e2e.support import Attached, Plldb, clean_environment

from .agent_platform import measure_agent_platform
from .call_times import time_call, time_in_turns
from .cold_start import measure_cold_starts
from .large_stack import measure_large_stack
from .one_command import measure_one_command
from .report import Report

_CROWD = 200
_TAILS = 5
_MANY = [f"Function{number:02}" for number in range(30)]
_RESULTS = Path(__file__).with_name("results")
_FLOOR_TEMPLATE = Path(__file__).with_name("floor.yaml")
# The same for both sides: it prints one line and returns.
_HANDLER = """
import time

def handler(event, context):
    print("line")
    time.sleep(event.get("sleep", 0))
    return event | {"ended": time.time()}
"""
# What an instrumented function's cold start takes longer by.
_LAYER = Path(bootstrap.__file__).with_name("cloudformation") / "layer" / "python"
_IMPORT_SHIM = """
import time
began = time.perf_counter()
import plldb_shim
print((time.perf_counter() - began) * 1000)
"""


def time_process(*arguments: str) -> float:
    """Times one run of Python with these arguments, as a whole process."""
    command = [sys.executable, *arguments]
    return time_call(lambda: subprocess.run(command, check=True, capture_output=True))


def time_fastest(*arguments: str) -> float:
    return min(time_process(*arguments) for _ in range(10))


def time_shim_import() -> float:
    """Times the import in an interpreter that has loaded nothing yet."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _IMPORT_SHIM],
        env={"PYTHONPATH": str(_LAYER)},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


class Routes:
    """The two routes of one stack, plldb's or the floor's."""

    def __init__(self, target: Target, helper: HelperStack) -> None:
        self._helper = helper
        self._management = ApiClient(helper.management_api_url, target.execute_api_auth())

    def time_post(self) -> float:
        return time_call(self.create_session)

    def create_session(self) -> str:
        return self._management.create_session("bench")

    def make_url(self) -> str:
        return f"{self._helper.websocket_url}?sessionId={self.create_session()}"

    def time_connect(self) -> float:
        """Times from the request to the open socket: authorizer and $connect."""
        url = self.make_url()
        started = time.perf_counter()
        with connect(url):
            return (time.perf_counter() - started) * 1000

    async def connect_crowd(self, size: int) -> int:
        """Creates and connects so many sessions at once, and returns how many succeeded."""

        async def connect_one() -> None:
            url = await asyncio.to_thread(self.make_url)
            async with connect_async(url, open_timeout=60):
                pass

        ends = await asyncio.gather(*(connect_one() for _ in range(size)), return_exceptions=True)
        return sum(end is None for end in ends)


def deploy_floor(target: Target) -> HelperStack:
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(
        StackName="floor",
        TemplateBody=_FLOOR_TEMPLATE.read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_IAM"],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName="floor", WaiterConfig={"Delay": 1})
    return find_helper_stack(target, "floor")


def measure_sessions(report: Report, plldb: Plldb, target: Target) -> None:
    report.add_figure(
        "bootstrap, clean", plldb("bootstrap").succeeded().seconds * 1000, "≤ 3000 ms"
    )
    report.add_figure(
        "bootstrap, unchanged", plldb("bootstrap").succeeded().seconds * 1000, "≤ 1000 ms"
    )
    ours = Routes(target, find_helper_stack(target, DEFAULT_HELPER_STACK))
    floor = Routes(target, deploy_floor(target))
    report.add_comparison(
        "POST /sessions", *time_in_turns(ours.time_post, floor.time_post), "≤ 1.6 floors"
    )
    report.add_comparison(
        "WebSocket connect", *time_in_turns(ours.time_connect, floor.time_connect), "≤ 1.6 floors"
    )
    started = time.perf_counter()
    succeeded = asyncio.run(ours.connect_crowd(_CROWD))
    elapsed = (time.perf_counter() - started) * 1000
    report.add_figure(
        f"{_CROWD} sessions at once", elapsed, "all succeed", f"{succeeded} succeeded"
    )


def measure_cold_functions(report: Report, target: Target) -> None:
    """Those that a caller waits for: the authorizer, and the messages of an invocation."""
    helper = find_helper_stack(target, DEFAULT_HELPER_STACK)
    session_id = Routes(target, helper).create_session()
    # What the emulator says of its own, and a heartbeat from nobody: the store is asked, and
    # the answer is posted to a connection that is not there.
    connection = {"connectionId": "bm90LXRoZXJlCg==", "routeKey": "$default"}
    heartbeat = json.dumps({"action": "heartbeat", "sessionId": session_id})
    events = {
        "authorizer": {
            "methodArn": "arn:aws:execute-api:us-east-1:000000000000:api/v1/$connect",
            "queryStringParameters": {"sessionId": session_id},
        },
        "message": {"requestContext": connection, "body": heartbeat},
    }
    measure_cold_starts(report, target, helper, events)


def measure_debugging(report: Report, plldb: Plldb, target: Target, folder: Path) -> None:
    with deployed_project(target, folder / "one", ["Function", "Direct"]) as project:
        for logical_id in project.functions:
            project.deploy(logical_id, _HANDLER)
            project.write(logical_id, _HANDLER)
        options = ("--template", project.template, "--function", "Function")
        with plldb.attach(project.stack_name, *options) as attached:
            attached.wait_for("ready")
            debugged, direct = time_in_turns(
                *(partial(time_invocation, project, name) for name in ("Function", "Direct"))
            )
            tails = {seconds: time_tails(project, seconds) for seconds in (0, 1, 5)}
            silent = time_silence(project, attached)
            attached.signal(signal.SIGINT)
            attached.exit_code()
    report.add_comparison("debugged invocation", debugged, direct, "≤ 3 floors; 4 on LocalStack")
    for seconds, figures in tails.items():
        name = f"handler's end to answer, {seconds} s"
        report.add_comparison(name, figures, tails[0], "≤ 1.3 of 0 s")
    report.add_figure("debugger stopped: original", silent[0], "≤ 6000 ms")
    report.add_figure("debugger stopped: the next", silent[1], "≤ 1000 ms")
    with deployed_project(target, folder / "many", _MANY) as project:
        started = time.perf_counter()
        with plldb.attach(project.stack_name, "--template", project.template) as attached:
            ready = attached.wait_for("ready", 120)
            report.add_figure(
                "attach to 30 functions",
                (time.perf_counter() - started) * 1000,
                "≤ 5000 ms",
                f"{ready['instrumented']} ready",
            )
            first = time_call(lambda: project.invoke(_MANY[-1]))
            report.add_figure("attached to 30: first call of the last", first, "≤ 1000 ms")
            started = time.perf_counter()
            attached.signal(signal.SIGINT)
            attached.exit_code(120)
            restored = (time.perf_counter() - started) * 1000
            report.add_figure("detach from 30 functions", restored, "≤ 5000 ms")


def measure_watching(report: Report, plldb: Plldb, target: Target, folder: Path) -> None:
    """What a debugged invocation takes longer by while it is recorded, and a page shows it."""
    with (
        deployed_project(target, folder / "alone", ["Function"]) as alone,
        deployed_project(target, folder / "seen", ["Function"]) as seen,
    ):
        for project in (alone, seen):
            project.deploy("Function", _HANDLER)
            project.write("Function", _HANDLER)
        options = ("--record", str(folder / "recordings"), "--inspect")
        with (
            plldb.attach(alone.stack_name, "--template", alone.template) as first,
            plldb.attach(seen.stack_name, "--template", seen.template, *options) as second,
        ):
            url = second.wait_for("inspector")["url"]
            for attached in (first, second):
                attached.wait_for("ready")
            with _looking_at(url):
                figures, floor = time_in_turns(
                    *(partial(time_invocation, one, "Function") for one in (seen, alone))
                )
            for attached in (first, second):
                attached.signal(signal.SIGINT)
                attached.exit_code()
    report.add_comparison("the same, recorded and inspected", figures, floor, "≤ 1.05 of it alone")


@contextmanager
def _looking_at(url: str) -> Iterator[None]:
    """As an open page does."""
    with urlopen(f"{url}api/changes", timeout=60) as changes:
        reader = threading.Thread(target=_read_all, args=(changes,), daemon=True)
        reader.start()
        yield


def _read_all(changes: HTTPResponse) -> None:
    # It is closed at the end.
    with suppress(OSError, ValueError, AttributeError):
        while changes.readline():
            pass


def time_tails(project: Project, seconds: int) -> list[float]:
    """From the end of a handler that takes so long until its caller has the answer."""
    tails = []
    for _ in range(_TAILS):
        ended = project.invoke("Function", {"sleep": seconds}).json["ended"]
        tails.append((time.time() - ended) * 1000)
    return tails


def time_silence(project: Project, attached: Attached) -> list[float]:
    """Two calls in turn while the debugger is stopped, which nothing tells the helper stack."""
    attached.signal(signal.SIGSTOP)
    try:
        return [time_invocation(project, "Function") for _ in range(2)]
    finally:
        attached.signal(signal.SIGCONT)


def measure_load(report: Report, target: Target, home: Path) -> None:
    """Measures what ``tests/e2e/test_load.py`` holds to be flat and lossless."""
    running = StateFile(home).read()
    if running is None or not running.pid:
        return  # a container's memory is another measure
    shape = Shape()
    figures = run_load(target, find_helper_stack(target, DEFAULT_HELPER_STACK), running.pid, shape)
    failed = f", {len(figures.errors)} errors" if figures.errors else ""
    report.add_series(
        f"load: {shape.created} created", figures.created, "no error", f"{len(figures.created)} ok"
    )
    report.add_series(
        f"load: {shape.held} connected",
        figures.connected,
        "no error",
        f"{len(figures.connected)} ok",
    )
    report.add_series(
        f"load: heartbeats, {shape.seconds:.0f} s",
        figures.heartbeats,
        "none lost",
        f"{figures.sent} sent, {figures.lost} lost{failed}",
    )
    growth = f"{figures.growth:.2f} of the start"
    report.add_figure("load: memory, MB", figures.memory[-1][1], "flat", growth)
    report.add_memory(figures.memory)


def time_invocation(project: Project, logical_id: str) -> float:
    return time_call(lambda: project.invoke(logical_id, {"n": 1}))


def measure(engine: str) -> None:
    report = Report(engine)
    with tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder:
        plldb = Plldb(clean_environment() | {"PLLDB_HOME": folder})
        try:
            up = plldb("local", "up", "--detach", "--emulator", engine, timeout=900).succeeded()
            url = plldb("local", "status", "--output", "json").json["endpointUrl"]
            report.add_figure(
                "local up", up.seconds * 1000, "≤ 5000 ms" if "local" in engine else ""
            )
            inside = "http://localhost:4566" if engine == "localstack" else url
            address = EmulatorAddress(url, inside)
            target = Target(TargetSettings("emulator", DEFAULT_EMULATOR_REGION, emulator=address))
            measure_sessions(report, plldb, target)
            measure_cold_functions(report, target)
            measure_debugging(report, plldb, target, Path(folder))
            measure_watching(report, plldb, target, Path(folder))
            measure_large_stack(report, plldb, target, Path(folder))
            measure_load(report, target, Path(folder))
        finally:
            plldb("local", "down")
    publish(report)


def publish(report: Report) -> None:
    report.show()
    for path in report.write(_RESULTS):
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def measure_command_line() -> None:
    report = Report("command line")
    runs = [time_fastest("-m", "plldb", "--help")]
    floor = [time_fastest("-c", "import click")]
    goal = "≤ 1.6 × import click"  # noqa: RUF001
    report.add_comparison("plldb --help, fastest of 10", runs * 2, floor * 2, goal)
    imports = min(time_shim_import() for _ in range(10))
    report.add_figure("import of the shim, fastest of 10", imports, "≤ 15 ms")
    publish(report)
    report = Report("one command")
    measure_one_command(report)
    publish(report)


def measure_example() -> None:
    report = Report("agent platform")
    measure_agent_platform(report)
    publish(report)


if __name__ == "__main__":
    for engine_name in sys.argv[1:] or ["ministack"]:
        measure(engine_name)
    measure_command_line()
    measure_example()
