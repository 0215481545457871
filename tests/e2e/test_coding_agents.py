"""The loop of docs/howto/coding-agents.md: each command of the page, as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.output_schema import check

from .support import SETUP_SECONDS, poll
from .test_dev import Project, project

__all__ = ["project"]  # the fixture

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "coding-agents.md"
COMMANDS = re.findall(r"^\$ (plldb .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.handler
      Runtime: python3.13
      Environment: {Variables: {DB_PASSWORD: correct-horse-battery}}
"""
_SECRET = "correct-horse-battery"
_BROKEN = """
import os

def handler(event, context):
    print("items:", len(event["items"]))
    print(os.environ["DB_PASSWORD"])
    return {"total": sum(item["price"] for item in event["items"])}
"""
_MENDED = _BROKEN.replace('item["price"]', 'item.get("price", 0)')

DEV, STATUS, INVOKE, FAILED, LAST, REPLAY, INVOKE_AGAIN, LIST, STOP = range(9)


class Agent:
    """Has no terminal: it runs lines in a shell, and reads what they say."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def run(self, line: str, exit_code: int = 0) -> list[dict[str, Any]]:
        """The objects on its stdout. Those on its stderr are failures and warnings."""
        path = f"{Path(sys.executable).parent}:{self._project.plldb.environment['PATH']}"
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self._project.folder,
            env=self._project.plldb.environment | {"PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SETUP_SECONDS,
        )
        assert done.returncode == exit_code, f"{line}\n{done.stdout}\n{done.stderr}"
        for said in map(json.loads, done.stderr.splitlines()):
            check("failure" if "error" in said else "warning", said)
        return [json.loads(one) for one in done.stdout.splitlines()]

    def ask(self, line: str, shape: str, exit_code: int = 0) -> dict[str, Any]:
        (found,) = self.run(line, exit_code)
        checked: dict[str, Any] = check(shape, found)
        return checked


def test_the_whole_loop_without_a_terminal(project: Project) -> None:
    project.template.write_text(_TEMPLATE)
    project.code.write_text(_BROKEN)
    (project.folder / "plldb.toml").write_text('[dev]\nwhen-absent = "wait"\n')
    agent = Agent(project)

    started = agent.ask(COMMANDS[DEV], "session")
    assert (started["state"], started["functions"]) == ("ready", ["Orders"])
    assert agent.ask(COMMANDS[STATUS], "session") == started

    failed = agent.ask(COMMANDS[INVOKE], "call", exit_code=1)
    assert failed["answer"] is None
    assert (failed["error"]["errorType"], failed["error"]["errorMessage"]) == (
        "KeyError",
        "'price'",
    )
    assert "app.py" in "".join(failed["error"]["stackTrace"])
    recording = Path(failed["recording"])
    assert recording.parent == project.folder / "recordings"
    assert json.loads(recording.read_text())["outcome"] == "failed"
    here = failed["invocation"]
    assert (here["payload"], here["outcome"]) == ({"items": [{"price": 1}, {}]}, "failed")
    assert [line["line"] for line in here["output"][:2]] == ["items: 2", "***masked***"]
    assert here["legs"]["run"] > 0

    (listed,) = agent.run(COMMANDS[FAILED])
    assert check("listedInvocation", listed)["id"] == here["id"]
    assert agent.ask(COMMANDS[LAST], "invocation") == here
    by_prefix = f"plldb invocation {here['id'][:6]} --output json"
    assert agent.ask(by_prefix, "invocation") == here

    project.code.write_text(_MENDED)
    replayed = agent.ask(f"DB_PASSWORD=x {COMMANDS[REPLAY]}", "replay")
    assert (replayed["isGood"], replayed["answer"]) == (True, {"total": 1})
    mended = agent.ask(COMMANDS[INVOKE_AGAIN], "call")
    assert (mended["answer"], mended["error"]) == ({"total": 1}, None)
    assert mended["invocation"]["outcome"] == "succeeded"
    outcomes = [check("listedInvocation", one)["outcome"] for one in agent.run(COMMANDS[LIST])]
    assert outcomes == ["failed", "succeeded"]

    stopped = agent.ask(COMMANDS[STOP], "session")
    assert (stopped["running"], stopped["exitCode"]) == (False, 0)
    assert_nothing_is_left(project)
    for line in Path(stopped["events"]).read_text().splitlines():
        said = json.loads(line)
        check("event" if "event" in said else "warning", said)

    state = Path(project.plldb.environment["PLLDB_HOME"])
    for path in [*state.rglob("*.jsonl*"), *state.rglob("*.log"), *state.rglob("*.json")]:
        # The emulator's own log is that of the function at Lambda.
        assert path.name == "ministack.log" or _SECRET not in path.read_text(), path

    # What was written down is there still, and no command starts anything.
    assert agent.ask(by_prefix, "invocation") == here
    assert agent.ask(COMMANDS[STATUS], "session")["state"] == "ended"
    assert agent.ask(COMMANDS[STOP], "noSession") == {"running": False, "stopped": False}
    assert_nothing_is_left(project)


def assert_nothing_is_left(project: Project) -> None:
    poll(lambda: not project.runs() and not project.processes(), "nothing is left")
