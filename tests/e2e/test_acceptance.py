"""The run that is meant for AWS, rehearsed on an emulator: it sees what it must, and cleans up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress
from tools.aws_acceptance import find_leftovers

_ROOT = Path(__file__).parents[2]


@pytest.mark.needs("process")
def test_a_rehearsal_sees_all_that_it_must_and_leaves_nothing(
    target: Target, address: EmulatorAddress, tmp_path: Path
) -> None:
    url, report = address.endpoint_url, tmp_path / "report"
    command = [sys.executable, "-m", "tools.aws_acceptance", "--endpoint-url", url]

    done = subprocess.run(
        [*command, "--part", "none", "--report", str(report)],
        cwd=_ROOT,
        env={name: value for name, value in os.environ.items() if name != "PROFILE"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    document = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert {step["name"]: step["outcome"] for step in document["steps"]} == dict.fromkeys(
        [
            "doctor",
            "bootstrap",
            "bootstrap again",
            "doctor --deep",
            "debugging",
            "crash",
            "runs",
            "destroy",
            "cleaning up",
        ],
        "ok",
    )
    measured = {latency["name"] for latency in document["latencies"]}
    assert {"invocation, deployed", "invocation, debugged", "session: connect"} <= measured
    run = document["environment"]["run"]
    assert [str(one) for one in find_leftovers(target, run, lambda _: None)] == []
