"""A failing invocation is recorded, the code is mended, and the file is green without any cloud."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from plldb.aws import Target

from .project import attach, deployed_project, detach
from .support import PATIENT, Backend, Plldb, poll

_PASSWORD = "correct-horse-battery"
_BROKEN = """
import os

def handler(event, context):
    print("order of", event["user"])
    total = sum(item["price"] for item in event["items"])
    return {"total": total, "id": context.aws_request_id, "db": os.environ["DB_PASSWORD"][:0]}
"""
_MENDED = _BROKEN.replace('item["price"]', 'item.get("price", 0)')
_EVENT = {"user": "ada", "token": "abcdefghijklmnop", "items": [{"price": 2}]}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """With no target at all: there is none that would answer."""
    environ = {name: value for name, value in os.environ.items() if "AWS" not in name}
    environ = {name: value for name, value in environ.items() if not name.startswith("PLLDB")}
    environ |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_whole_story(plldb: Plldb, target: Target, backend: Backend, tmp_path: Path) -> None:
    variables = {"DB_PASSWORD": _PASSWORD}
    with deployed_project(target, tmp_path, ["FnOrders"], variables) as project:
        project.write("FnOrders", _BROKEN)
        records = tmp_path / "recordings"
        here = plldb.within(tmp_path)
        with attach(here, project, "--record", str(records), *PATIENT) as attached:
            attached.wait_for("ready")
            good = project.invoke_once("FnOrders", _EVENT)
            assert good.error is None
            bad = project.invoke_once("FnOrders", _EVENT | {"items": [{"price": 1}, {}]})
            assert bad.error is not None
            poll(lambda: len([*records.glob("*.plldb.json")]) == 2, "recorded")
            detach(attached)

    files = sorted(records.iterdir())
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_text()
        assert _PASSWORD not in text
        assert _EVENT["token"] not in text
        assert "AWS_" not in text
    answered, failed = files
    assert json.loads(answered.read_text())["answer"] == good.json
    error = json.loads(failed.read_text())["error"]
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'price'")

    # The stack is gone, and no call would get anywhere.
    replay = ("plldb", "replay", str(answered), str(failed), "--env", "DB_PASSWORD=x")
    before = run(tmp_path, *replay)
    assert before.returncode == 1, before.stderr
    assert "✔ FnOrders" in before.stdout
    assert "fails as it did when it was recorded: KeyError: 'price'" in before.stdout
    assert "FnOrders │ order of ada" in before.stderr

    project.write("FnOrders", _MENDED)
    after = run(tmp_path, *replay, "--output", "json")
    assert after.returncode == 0, after.stderr
    lines = [json.loads(line) for line in after.stdout.splitlines()]
    assert [line["isGood"] for line in lines] == [True, True]
    assert lines[1]["answer"]["total"] == 1

    listed = run(tmp_path, "plldb", "recordings", "recordings", "--output", "json")
    assert [one["error"] for one in json.loads(listed.stdout)["recordings"]] == [None, "KeyError"]

    tested = run(tmp_path, "pytest", "-p", "plldb.pytest_plugin", "recordings")
    assert "2 passed" in tested.stdout, tested.stdout
