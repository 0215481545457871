"""The run that is meant for AWS, rehearsed on an emulator: it sees what it must, and cleans up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress
from tools.acceptance_leftovers import find_leftovers

from .support import Plldb

_ROOT = Path(__file__).parents[2]
_STEPS = (
    "doctor",
    "bootstrap",
    "bootstrap again",
    "doctor --deep",
    "debugging",
    "crash",
    "runs",
    "destroy",
    "cleaning up",
)


def _rehearse(address: EmulatorAddress, report: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.aws_acceptance", "--part", "none"]
    where = ["--endpoint-url", address.endpoint_url, "--report", str(report)]
    return subprocess.Popen(
        [*command, *where],
        cwd=_ROOT,
        # What a killed one leaves in its temporary folder is gone with the report.
        env={name: value for name, value in os.environ.items() if name != "PROFILE"}
        | {"TMPDIR": str(report)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.needs("process")
def test_a_rehearsal_sees_all_that_it_must_and_leaves_nothing_not_even_of_one_that_was_killed(
    plldb: Plldb, target: Target, address: EmulatorAddress, tmp_path: Path
) -> None:
    with _rehearse(address, tmp_path) as killed:
        assert killed.stdout is not None
        begun = next((line for line in killed.stdout if line.startswith("bootstrap again")), None)
        # With all that it has started, as if the machine went down.
        os.killpg(killed.pid, signal.SIGKILL)
    assert begun is not None, killed.stdout
    (run,) = [path.name for path in (tmp_path / "runs").iterdir()]
    (helper,) = [one for one in find_leftovers(target, run) if one.startswith("helper stack")]
    # As a test has it that may be killed, too.
    protected = ("--parameter", "DeletionProtection=true")
    name = helper.removeprefix("helper stack ")
    plldb("bootstrap", "--stack-name", name, *protected).succeeded()

    with _rehearse(address, tmp_path) as process:
        said, _ = process.communicate(timeout=500)

    assert process.returncode == 0, said
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    steps = {step["name"]: step["outcome"] for step in document["steps"]}
    assert steps == dict.fromkeys([f"cleaning up after {run}", *_STEPS], "ok")
    measured = {latency["name"] for latency in document["latencies"]}
    assert {"invocation, deployed", "invocation, debugged", "session: connect"} <= measured
    for one in (run, document["environment"]["run"]):
        assert find_leftovers(target, one) == []
    assert [*(tmp_path / "runs").iterdir()] == []
