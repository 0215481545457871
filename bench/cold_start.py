"""How long a cold helper function takes with the CPU that a memory size buys.

Lambda gives 1,769 MB one vCPU and less memory its part of one
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). A Linux control group with
a CPU quota stands for that: a process of its own imports the function's handler there and calls it
twice, with DynamoDB, Lambda and the connections of the emulator outside of the quota.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plldb import bootstrap
from plldb.aws import Target
from plldb.stacks import HelperStack

from .report import Report

MEMORY_SIZES = (128, 256, 512, 1024)
_FULL_CPU_MB = 1769
# Microseconds. Lambda's own is 20 ms: with a longer one, short calls would fit into one period.
_PERIOD = 20_000
_ROUNDS = 5
_FOLDER = Path(bootstrap.__file__).with_name("cloudformation")
# Waits for its group, then times the import of a handler's module and two calls of it.
_CHILD = """
import importlib, json, sys, time
module, event = sys.argv[1], json.loads(sys.argv[2])
sys.stdin.readline()
times = [time.perf_counter()]
handler = importlib.import_module("lambda_functions.handlers." + module).handler
times.append(time.perf_counter())
for _ in range(2):
    handler(event, None)
    times.append(time.perf_counter())
print(json.dumps([(b - a) * 1000 for a, b in zip(times, times[1:])]))
"""


@dataclass(frozen=True)
class Cold:
    """Milliseconds that one environment took for its import, its first call, and the next."""

    init: float
    first: float
    second: float


def measure_cold_starts(
    report: Report, target: Target, helper: HelperStack, events: Mapping[str, dict[str, Any]]
) -> None:
    """Adds lines for each handler that ``events`` names, by its module, and each memory size."""
    if not _can_limit():
        report.add_figure("cold starts", 0, "", "no right to make control groups")
        return
    for module, event in events.items():
        environment = _read_environment(target, helper, module)
        for size in MEMORY_SIZES:
            runs = [_run_cold(module, event, environment, size) for _ in range(_ROUNDS)]
            init, first, second = (
                statistics.median(values)
                for values in zip(*((run.init, run.first, run.second) for run in runs), strict=True)
            )
            report.add_figure(
                f"cold {module}, {size} MB",
                init + first,
                "",
                f"init {init:.0f}, first {first:.0f}, next {second:.0f}",
            )


def _read_environment(target: Target, helper: HelperStack, module: str) -> dict[str, str]:
    """The variables of the deployed function, and those with which it reaches the emulator."""
    stack = target.client("cloudformation").describe_stack_resource(
        StackName=helper.name, LogicalResourceId=f"{module.capitalize()}Function"
    )
    name = stack["StackResourceDetail"]["PhysicalResourceId"]
    configuration = target.client("lambda").get_function_configuration(FunctionName=name)
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    own = {"AWS_DEFAULT_REGION": target.region, "AWS_REGION": target.region}
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_FOLDER)}
    return variables | own | path | target.child_environment()


def _run_cold(
    module: str, event: dict[str, Any], environment: dict[str, str], memory_size: int
) -> Cold:
    with (
        _cpu_quota(memory_size / _FULL_CPU_MB) as group,
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, module, json.dumps(event)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        (group / "cgroup.procs").write_text(str(process.pid))
        output, _ = process.communicate("go\n")
        assert process.returncode == 0, output
    return Cold(*json.loads(output.splitlines()[-1]))


def _find_root() -> tuple[Path, bool]:
    """The folder of groups, and whether they are of version 2."""
    root = Path("/sys/fs/cgroup")
    is_unified = (root / "cgroup.controllers").exists()
    return (root if is_unified else root / "cpu"), is_unified


def _can_limit() -> bool:
    try:
        with _cpu_quota(1.0):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _cpu_quota(share: float) -> Iterator[Path]:
    """A control group whose processes get that share of one CPU."""
    root, is_unified = _find_root()
    group = root / f"plldb-bench-{os.getpid()}"
    quota = round(share * _PERIOD)
    group.mkdir()
    try:
        if is_unified:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        yield group
    finally:
        group.rmdir()
