"""``plldb replay`` and ``plldb recordings``, as they are called; nothing here has a target."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from plldb.debugger.launch_config import make_launch_config
from tests.unit.debugger.dap import DapClient, substitute

CODE = """
import os

def handler(event, context):
    print("adds", event)
    breakpoint()
    return {"sum": event["a"] + event["b"], "key": os.environ.get("API_KEY")}
"""
RECORDING = {
    "plldbRecording": 1,
    "requestId": "0a1b2c3d-2222-4333-8444-5e6f708192a3",
    "times": {"recordedAt": "2026-11-26T10:15:00+00:00", "durationMs": 12.5},
    "function": {"logicalId": "Adder", "handler": "app.handler", "code": "src", "timeout": 30},
    "variables": {"API_KEY": "***masked***"},
    "event": {"a": 1, "b": 2},
    "outcome": "succeeded",
    "answer": {"sum": 3, "key": "***masked***"},
}


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "src").mkdir()
        (folder / "src" / "app.py").write_text(CODE)
        self.write("good.plldb.json")

    def write(self, name: str, **changes: Any) -> None:
        (self.folder / name).write_text(json.dumps(RECORDING | changes))

    def environ(self) -> dict[str, str]:
        own = {name: one for name, one in os.environ.items() if "AWS" not in name}
        return own | {"PLLDB_HOME": str(self.folder / "home"), "PLLDB_CONFIG": ""}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "plldb", *arguments],
            cwd=self.folder,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_0_if_all_is_as_it_was_recorded(project: Project) -> None:
    done = project.run("replay", "good.plldb.json")
    assert done.returncode == 0, done.stderr
    assert "✔ Adder  good.plldb.json" in done.stdout
    assert '{"sum": 3' in done.stdout
    assert "Adder │ adds {'a': 1, 'b': 2}" in done.stderr
    assert "API_KEY was masked" in done.stderr


def test_1_if_one_differs_and_all_are_run(project: Project) -> None:
    project.write("bad.plldb.json", answer={"sum": 4})
    command = ("replay", "bad.plldb.json", "good.plldb.json", "--env", "API_KEY=k")
    done = project.run(*command)
    assert done.returncode == 1
    assert "answer.sum\n  - 4\n  + 3" in done.stdout
    assert "✔ Adder" in done.stdout
    assert "Error: 1 of 2 replays" in done.stderr
    assert project.run(*command, "--ignore", "answer.*").returncode == 0


def test_json_is_one_object_a_file(project: Project) -> None:
    project.write("bad.plldb.json", event={"a": 1})
    done = project.run("replay", "good.plldb.json", "bad.plldb.json", "--output", "json")
    good, bad = (json.loads(line) for line in done.stdout.splitlines())
    assert (good["isGood"], good["answer"]["sum"], good["error"]) == (True, 3, None)
    assert good["log"][0] == "adds {'a': 1, 'b': 2}"
    assert (bad["isGood"], bad["answer"], bad["error"]["errorType"]) == (False, None, "KeyError")


@pytest.mark.parametrize("depth", [300, 980])
def test_an_answer_that_readers_of_json_could_not_take_is_its_text(
    project: Project, depth: int
) -> None:
    text = "[" * depth + "]" * depth
    (project.folder / "src" / "app.py").write_text(
        f"def handler(event, context): return {text.encode()!r}\n"
    )
    done = project.run("replay", "good.plldb.json", "--output", "json")
    assert json.loads(done.stdout)["answer"] == text
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["replay"], 2, "FILE"),
        (["replay", "x", "--env", "A"], 2, "NAME=VALUE"),
        (["replay", "x", "--pdb", "--debugpy"], 2, "Choose one"),
        (["replay", "missing.plldb.json"], 1, "missing.plldb.json can't be read"),
        (["replay", "good.plldb.json", "--code", "nowhere"], 1, "nowhere is no folder"),
        (["replay", "good.plldb.json", "--python", "no-such"], 1, "no such program"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense(project: Project, arguments: list[str], code: int, said: str) -> None:
    done = project.run(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def spawn(project: Project, *arguments: str) -> Any:
    """A replay under pdb, at a terminal."""
    return pexpect.spawn(
        sys.executable,
        ["-m", "plldb", "replay", "good.plldb.json", "--pdb", *arguments],
        cwd=project.folder,
        env=project.environ(),
        timeout=40,
        encoding="utf-8",
    )


def test_under_pdb(project: Project) -> None:
    terminal = spawn(project)
    try:
        terminal.expect(r"\(Pdb.*\) ")
        terminal.sendline("event['b'] = 40")
        terminal.expect(r"\(Pdb.*\) ")
        terminal.sendline("c")
        terminal.expect(r"\+ 41")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 1


@pytest.mark.parametrize("broken", ["    return event['c']", "import no_such_module", "def ("])
def test_a_failure_is_mended_under_pdb(project: Project, broken: str) -> None:
    """Whatever it was; nobody waits, so no time is named."""
    app = project.folder / "src" / "app.py"
    mended = CODE.replace("    breakpoint()\n", "")
    app.write_text(mended.replace('    print("adds", event)', broken))
    terminal = spawn(project)
    try:
        terminal.expect(r"\(Pdb.*\) ")
        assert "app.py(5)" in terminal.before
        assert "deadline" not in terminal.before
        app.write_text(mended.replace('event["a"] +', "40 +"))
        terminal.sendline("restart")
        terminal.expect(r"\+ 42")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 1
    app.write_text(mended.replace('event["a"]', 'event["c"]'))
    terminal = spawn(project)
    try:
        terminal.expect(r"\(Pdb.*\) ")
        app.write_text(mended)
        terminal.sendline("retry")
        terminal.expect("✔ Adder")
        terminal.expect(pexpect.EOF)
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 0


def test_without_post_mortem(project: Project) -> None:
    (project.folder / "src" / "app.py").write_text("def handler(event, context): return event['c']")
    terminal = spawn(project, "--no-post-mortem")
    try:
        terminal.expect("KeyError")
        terminal.expect(pexpect.EOF)
        assert "(Pdb" not in terminal.before
    finally:
        terminal.close(force=True)
    assert terminal.exitstatus == 1


@pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="no debugpy")
@pytest.mark.parametrize("fails", [False, True], ids=["answers", "fails"])
def test_in_an_editor(project: Project, fails: bool) -> None:
    """It waits for the editor, and stops at its breakpoints and at what nobody catches."""
    app = project.folder / "src" / "app.py"
    app.write_text(CODE.replace("    breakpoint()\n", ""))
    if fails:
        app.write_text(app.read_text().replace('event["b"]', 'event["c"]'))
    with subprocess.Popen(
        [sys.executable, "-m", "plldb", "replay", "good.plldb.json", "--debugpy"],
        cwd=project.folder,
        env=project.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "waits for an editor" not in said:
                said = process.stderr.readline()
                assert said, "it has ended"
            host, port = said.strip().rstrip(".").rpartition(" ")[2].rsplit(":", 1)
            with DapClient(host, int(port), seconds=40) as editor:
                config = make_launch_config("Adder", "stack", (host, int(port)))
                filters = ["uncaught", "userUnhandled"]
                editor.attach(substitute(config, project.folder), {app: [5]}, filters)
                thread, frame = editor.stopped_in()
                assert (frame["line"], editor.variables(frame)["event"]) == (5, "{'a': 1, 'b': 2}")
                editor.go_on(thread)
                if fails:
                    thread, frame = editor.stopped_in()
                    assert frame["line"] == 6
                    editor.go_on(thread)
                answer, _ = process.communicate(timeout=40)
        finally:
            process.kill()
    assert process.returncode == int(fails)
    assert ("KeyError" if fails else "✔ Adder") in answer


def test_recordings_are_listed_the_oldest_first(project: Project) -> None:
    failed = {"errorType": "KeyError", "errorMessage": "'b'"}
    times = {"recordedAt": "2026-11-26T09:00:00+00:00"}
    project.write("older.plldb.json", outcome="failed", error=failed, times=times)
    (project.folder / "broken.plldb.json").write_text("{")
    done = project.run("recordings")
    assert done.returncode == 0
    older, newer = done.stdout.splitlines()[1:]
    assert "older.plldb.json" in older
    assert "KeyError" in older
    row = ["good.plldb.json", "Adder", "2026-11-26", "10:15:00", "12.5", "succeeded"]
    assert newer.split() == row
    assert "broken.plldb.json is no JSON" in done.stderr
    listed = json.loads(project.run("recordings", ".", "--output", "json").stdout)
    assert [one["outcome"] for one in listed["recordings"]] == ["failed", "succeeded"]


def test_an_empty_folder(project: Project) -> None:
    said = project.run("recordings", "src").stdout
    assert said.startswith(f"There are no recordings in {project.folder.resolve() / 'src'}. ")
    assert "--record" in said
    (project.folder / "good.plldb.json").rename(project.folder / "src" / "good.plldb.json")
    (project.folder / "src").rename(project.folder / "recordings")
    assert "plldb recordings recordings" in project.run("recordings").stdout
    assert project.run("recordings", "nowhere").returncode == 2
