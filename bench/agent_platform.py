"""How fast the application of ``examples/agent_platform`` is, over its HTTP API and its tables.

``python -m bench.agent_platform`` measures it alone. Its floor is the same code without a debugger:
the emulator's functions run by this interpreter, which has the packages that it needs.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import requests

from tests.e2e.support import Plldb, clean_environment

from .call_times import time_in_a_row
from .report import Report

_EXAMPLE = Path(__file__).parent.parent / "examples" / "agent_platform"
_STACK = "agent-platform"
_SECONDS = 60


def measure_agent_platform(report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="plldb-bench-") as folder:
        project = Path(folder) / _EXAMPLE.name
        shutil.copytree(_EXAMPLE, project, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        home = str(Path(folder) / "home")
        plldb = Plldb(clean_environment() | {"PLLDB_HOME": home}).within(project)
        try:
            plldb("local", "up", "--detach").succeeded()
            plldb("bootstrap").succeeded()
            deployed = plldb("deploy", "--yes", "--output", "json").succeeded().json
            url = deployed["outputs"]["ApiUrl"].rstrip("/")
            key = _read_secret(plldb, deployed["outputs"]["ServiceKeyArn"])
            floor = _measure(url, key)
            with plldb.attach(_STACK, "--python", sys.executable) as attached:
                attached.wait_for("ready")
                figures = _measure(url, key)
                attached.signal(signal.SIGINT)
                attached.exit_code()
        finally:
            plldb("local", "down")
    for name, goal in (
        ("create a session", "floor ≤ 100 ms"),
        ("validate a session", "floor ≤ 50 ms"),
        ("health", "floor ≤ 10 ms"),
    ):
        report.add_comparison(name, figures[name], floor[name], goal)


def _read_secret(plldb: Plldb, arn: str) -> str:
    code = "import boto3, sys; print(boto3.client('secretsmanager').get_secret_value("
    code += "SecretId=sys.argv[1])['SecretString'])"
    return plldb("exec", "--", sys.executable, "-c", code, arn).succeeded().stdout.strip()


def _measure(url: str, key: str) -> dict[str, list[float]]:
    """Each in milliseconds, without the first ones."""
    with requests.Session() as http:

        def create() -> str:
            given = {"user_id": "bench"}
            headers = {"X-Service-Key": key}
            answer = http.post(f"{url}/sessions", json=given, headers=headers, timeout=_SECONDS)
            answer.raise_for_status()
            return str(answer.json()["token"])

        def get(path: str) -> None:
            http.get(f"{url}{path}", timeout=_SECONDS).raise_for_status()

        http.headers["Authorization"] = f"Bearer {create()}"
        return {
            "create a session": time_in_a_row(create),
            "validate a session": time_in_a_row(lambda: get("/sessions/current")),
            "health": time_in_a_row(lambda: get("/health")),
        }


if __name__ == "__main__":
    shown = Report("agent platform")
    measure_agent_platform(shown)
    shown.show()
