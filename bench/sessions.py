"""How fast plldb is, as ratios within one run on one emulator.

The floor of a route is the same kind of route to a function that prints one line and returns.
Floor and plldb are measured in turns, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from websockets.sync.client import connect

from plldb.aws import Target
from plldb.config import DEFAULT_EMULATOR_REGION, DEFAULT_HELPER_STACK, TargetSettings
from plldb.debugger.management import ManagementClient
from plldb.emulators.lifecycle import Lifecycle
from plldb.emulators.process import MiniStack
from plldb.stacks import HelperStack, find_helper_stack

_ROUNDS = 200
_WARM_UP = 10
_FLOOR_TEMPLATE = Path(__file__).with_name("floor.yaml")


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def in_turns(*calls: Callable[[], float]) -> list[list[float]]:
    """Each call's figures, the first ones left out."""
    rounds = [[call() for call in calls] for _ in range(_ROUNDS + _WARM_UP)][_WARM_UP:]
    return [list(figures) for figures in zip(*rounds, strict=True)]


class Routes:
    """The two routes of one stack, plldb's or the floor's."""

    def __init__(self, target: Target, helper: HelperStack) -> None:
        self._helper = helper
        self._management = ManagementClient(helper.management_api_url, target.execute_api_auth())

    def post(self) -> float:
        return milliseconds(lambda: self._management.create_session("bench"))

    def connect(self) -> float:
        """From the request to the open socket: authorizer and $connect."""
        url = f"{self._helper.websocket_url}?sessionId={self._management.create_session('bench')}"
        started = time.perf_counter()
        with connect(url):
            return (time.perf_counter() - started) * 1000


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


def process(*arguments: str) -> float:
    """One run of Python with these arguments, as a whole process."""
    command = [sys.executable, *arguments]
    return milliseconds(lambda: subprocess.run(command, check=True, capture_output=True))


def fastest(*arguments: str) -> float:
    return min(process(*arguments) for _ in range(10))


def main() -> None:
    table = Table("", "p50 ms", "p95 ms", "floor p50 ms", "ratio", "goal")

    def row(name: str, figures: list[float], floor: list[float], goal: str) -> None:
        p50, floor_p50 = statistics.median(figures), statistics.median(floor)
        p95 = statistics.quantiles(figures, n=20)[-1]
        cells = [f"{value:.1f}" for value in (p50, p95, floor_p50)]
        table.add_row(name, *cells, f"{p50 / floor_p50:.2f}", goal)

    with tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder:
        home = Path(folder)
        lifecycle = Lifecycle(home, lambda _: MiniStack(home))
        try:
            running = lifecycle.up(MiniStack.name, port=None).running
            settings = TargetSettings("emulator", DEFAULT_EMULATOR_REGION, emulator=running.address)
            target = Target(settings)
            command = ("-m", "plldb", "--endpoint-url", running.endpoint_url, "bootstrap")
            first, again = process(*command), process(*command)
            ours = Routes(target, find_helper_stack(target, DEFAULT_HELPER_STACK))
            floor = Routes(target, deploy_floor(target))
            posts, floor_posts = in_turns(ours.post, floor.post)
            connects, floor_connects = in_turns(ours.connect, floor.connect)
        finally:
            lifecycle.down()
    row("POST /sessions", posts, floor_posts, "≤ 1.6 floors")
    row("WebSocket connect", connects, floor_connects, "≤ 1.6 floors")
    table.add_row("bootstrap, clean", f"{first:.0f}", "", "", "", "≤ 3000 ms")
    table.add_row("bootstrap, unchanged", f"{again:.0f}", "", "", "", "≤ 1000 ms")
    help_, click = fastest("-m", "plldb", "--help"), fastest("-c", "import click")
    ratio = f"{help_ / click:.2f}"
    table.add_row("plldb --help", f"{help_:.0f}", "", f"{click:.0f}", ratio, "≤ 2 floors")
    Console().print(table)


if __name__ == "__main__":
    main()
