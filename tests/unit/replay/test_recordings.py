"""From a session's events to a file, and from the file to a replay."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plldb.debugger.children.interpreter import Interpreter
from plldb.debugger.children.invoker import Invoker, Outcome
from plldb.debugger.children.local_function import LocalFunction
from plldb.debugger.children.runtime.frames import make_error_report
from plldb.debugger.invocation_runner import InvocationFinished, InvocationStarted, Legs
from plldb.errors import SourceError
from plldb.replay.local_code import CodeHere, find_local_function, list_masked_variables
from plldb.replay.masks import MASK, Masks
from plldb.replay.recorder import Recorder, choose_variables
from plldb.replay.recording import SUFFIX, read_recording, render
from plldb.replay.replaying import replay
from plldb.replay.verdict import Verdict, judge

REQUEST_ID = "0a1b2c3d-2222-4333-8444-5e6f708192a3"
SECRET = "correct-horse-battery"
NO_B = make_error_report("KeyError", "'b'", ["  File app.py\n"])
CODE = """
import os

def handler(event, context):
    print("runs", context.aws_request_id)
    return {"sum": event["a"] + event["b"], "stage": os.environ["STAGE"],
            "keys": sorted(n for n in os.environ if n.startswith("AWS_ACCESS"))}
"""
ANSWER = {"sum": 3, "stage": "dev", "keys": []}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = folder / "src"
        self.code.mkdir()
        self.write(CODE)
        self.records = folder / "recordings"
        self.warnings: list[str] = []
        self.function = LocalFunction(
            "Child/Adder",
            self.code,
            "app.handler",
            "stack-Adder-1",
            {"STAGE": "dev", "DB_PASSWORD": SECRET, "AWS_LAMBDA_LOG_LEVEL": "DEBUG"},
            runtime="python3.13",
            timeout=20,
        )

    def write(self, code: str) -> None:
        (self.code / "app.py").write_text(code)

    def record(
        self,
        event: Any,
        result: Outcome | None = None,
        outcome: str = "succeeded",
        masks: Masks | None = None,
    ) -> Path:
        """The only file that came of it."""
        context = {"aws_request_id": REQUEST_ID, "function_name": "stack-Adder-1", "other": SECRET}
        started = InvocationStarted(
            "Child/Adder", REQUEST_ID, 1e9, 1e9 + 3, json.dumps(event), context, self.function
        )
        finished = InvocationFinished(
            "Child/Adder",
            REQUEST_ID,
            outcome,
            5.0,
            "",
            False,
            result,
            Legs(1, 2, 3, 4),
            1e9,
            1e9 + 3,
        )
        with self.open(masks) as recorder:
            recorder.take(started)
            recorder.take(finished)
        (path,) = self.records.glob("*")
        return path

    def open(self, masks: Masks | None = None) -> Recorder:
        return Recorder(
            self.records, self.folder, ["stack"], masks or Masks(), self.warnings.append
        )

    def replay(self, path: Path, **here: Any) -> tuple[Outcome, Verdict]:
        recording = read_recording(path)
        function = find_local_function(recording, path, CodeHere(self.folder, **here))
        python = Interpreter(Path(sys.executable), sys.version_info[:3])
        outcome = replay(recording, function, lambda: Invoker(python=python))
        return outcome, judge(recording, outcome)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestRecorder:
    def test_the_file(self, project: Project) -> None:
        path = project.record({"a": 1, "b": 2}, Outcome(json.dumps(ANSWER), None))
        assert path.name == f"Child_Adder-20010909T014640.000000Z-0a1b2c3d{SUFFIX}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        document = json.loads(path.read_text())
        assert document.pop("plldb")
        assert document == {
            "plldbRecording": 1,
            "requestId": REQUEST_ID,
            "times": {
                "recordedAt": "2001-09-09T01:46:40+00:00",
                "durationMs": 5.0,
                "legs": {"claim": 1, "queue": 2, "run": 3, "answer": 4},
            },
            "function": {
                "logicalId": "Child/Adder",
                "name": "stack-Adder-1",
                "handler": "app.handler",
                "runtime": "python3.13",
                "memorySize": 128,
                "timeout": 20,
                "region": "us-east-1",
                "stack": "stack",
                "code": "src",
                "build": None,
                "layers": [],
                "logging": {},
            },
            "variables": {"STAGE": "dev", "DB_PASSWORD": MASK},
            "context": {"aws_request_id": REQUEST_ID, "function_name": "stack-Adder-1"},
            "event": {"a": 1, "b": 2},
            "outcome": "succeeded",
            "expect": "answer",
            "ignore": [],
            "answer": ANSWER,
        }

    def test_a_secret_of_the_variables_is_in_no_other_place(self, project: Project) -> None:
        error = make_error_report("Denied", f"{SECRET} is wrong", [f"login('{SECRET}')"])
        path = project.record({"said": SECRET}, Outcome(None, error), "failed")
        assert SECRET.encode() not in path.read_bytes()
        assert read_recording(path).error == {
            "errorType": "Denied",
            "errorMessage": f"{MASK} is wrong",
            "stackTrace": [f"login('{MASK}')"],
        }

    def test_no_variable_of_the_sdk_is_kept(self) -> None:
        given = {"AWS_SESSION_TOKEN": "x", "aws_profile": "x", "PLLDB_X": "x", "TABLE": "t"}
        assert choose_variables(given) == {"TABLE": "t"}

    def test_what_has_no_answer_is_recorded_too(self, project: Project) -> None:
        recording = read_recording(project.record({}, None, "abandoned"))
        assert recording.outcome == "abandoned"

    def test_what_can_t_be_written_harms_nothing_and_is_told_once(self, project: Project) -> None:
        started = InvocationStarted("F", REQUEST_ID, 1, 2, "{}", {}, project.function)
        finished = InvocationFinished(
            "F", REQUEST_ID, "succeeded", 1, result=Outcome("1", None), deadline=2
        )
        with project.open() as recorder:
            project.records.rmdir()
            for _ in range(3):
                recorder.take(started)
                recorder.take(finished)
        (warning,) = project.warnings
        assert "F 0a1b2c3d" in warning

    def test_what_is_too_deep_is_told(self, project: Project) -> None:
        deep = Outcome("[" * 100_000 + "]" * 100_000, None)
        with pytest.raises(ValueError, match="not enough values"):
            project.record({}, deep)
        assert len(project.warnings) == 1

    def test_a_folder_that_can_t_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SourceError, match="no recordings"):
            Recorder(tmp_path / "file" / "x", tmp_path, ["stack"], Masks(), print)


@given(JSON, JSON)
def test_what_was_written_is_read(event: Any, answer: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        path = project.record(event, Outcome(json.dumps(answer), None))
        recording = read_recording(path)
        assert (recording.event, recording.answer) == (event, answer)
        assert render(recording.to_document()) == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"plldbRecording": 2}, "plldbRecording"),
        ({"outcome": "lost"}, "outcome"),
        ({"expect": 1}, "expect"),
        ({"function": []}, "function"),
        ({"function": {"handler": 1}}, "function.handler"),
        ({"function": {}}, "function.handler"),
        ({"function": {"handler": "a.b", "timeout": True}}, "function.timeout"),
        ({"variables": {"A": 1}}, "variables.A"),
        ({"ignore": [1]}, "ignore"),
        ({"error": {"errorType": 1}}, "error.errorType"),
        ({"context": "x"}, "context"),
    ],
)
def test_a_file_that_makes_no_sense(project: Project, change: Any, where: str) -> None:
    path = project.record({}, Outcome("1", None))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SourceError) as caught:
        read_recording(path)
    assert f"{path}: {where} is " in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"x{SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.plldb\.json"):
        read_recording(path)


class TestReplay:
    def test_the_same_answer(self, project: Project) -> None:
        path = project.record({"a": 1, "b": 2}, Outcome(json.dumps(ANSWER), None))
        outcome, verdict = project.replay(path)
        assert outcome.error is None
        assert verdict.is_good

    def test_another_one(self, project: Project) -> None:
        path = project.record({"a": 1, "b": 3}, Outcome(json.dumps(ANSWER), None))
        _, verdict = project.replay(path)
        assert not verdict.is_good
        assert "answer.sum\n  - 3\n  + 4" in verdict.explanation

    def test_a_failure_is_bad_until_it_is_mended(self, project: Project) -> None:
        path = project.record(
            {"a": 1}, Outcome(None, make_error_report("KeyError", "'b'")), "failed"
        )
        _, before = project.replay(path)
        project.write(CODE.replace('event["b"]', 'event.get("b", 0)'))
        _, after = project.replay(path)
        assert (before.is_good, after.is_good) == (False, True)
        assert "fails as it did when it was recorded: KeyError" in before.explanation
        assert "app.py" in before.explanation

    def test_a_failure_that_is_meant(self, project: Project) -> None:
        path = project.record(
            {"a": 1}, Outcome(None, make_error_report("KeyError", "'b'")), "failed"
        )
        path.write_text(path.read_text().replace('"expect": "answer"', '"expect": "error"'))
        _, verdict = project.replay(path)
        assert verdict.is_good
        project.write("def handler(event, context):\n    raise KeyError('c')")
        _, verdict = project.replay(path)
        assert "error.errorMessage" in verdict.explanation
        project.write("def handler(event, context): pass")
        _, verdict = project.replay(path)
        assert not verdict.is_good

    def test_the_code_is_found_above_the_file(self, project: Project, tmp_path: Path) -> None:
        path = project.record({"a": 1, "b": 2}, Outcome(json.dumps(ANSWER), None))
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        found = find_local_function(read_recording(path), path, CodeHere(elsewhere))
        assert found.code_dir == project.code

    def test_or_as_attach_finds_it(self, project: Project, tmp_path: Path) -> None:
        path = project.record({}, Outcome("1", None))
        project.function = replace(project.function, logical_id="Adder")
        path.write_text(path.read_text().replace("Child/Adder", "Adder"))
        project.code.rename(tmp_path / "moved")
        template = {
            "Resources": {
                "Adder": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Handler": "app.handler",
                        "Runtime": "python3.13",
                        "Code": "moved",
                    },
                }
            }
        }
        (tmp_path / "template.json").write_text(json.dumps(template))
        found = find_local_function(read_recording(path), path, CodeHere(tmp_path))
        assert found.code_dir == tmp_path / "moved"

    def test_code_that_is_nowhere(self, project: Project, tmp_path: Path) -> None:
        path = project.record({}, Outcome("1", None))
        (project.code / "app.py").unlink()
        project.code.rmdir()
        with pytest.raises(SourceError, match="not here"):
            find_local_function(read_recording(path), path, CodeHere(tmp_path))

    def test_masked_variables_come_from_the_environment(self, project: Project) -> None:
        path = project.record({}, Outcome("1", None))
        recording = read_recording(path)
        nothing, here = (
            CodeHere(project.folder),
            CodeHere(project.folder, environ={"DB_PASSWORD": "x", "STAGE": "mine"}),
        )
        assert list_masked_variables(recording, nothing) == ["DB_PASSWORD"]
        assert find_local_function(recording, path, here).variables == {
            "STAGE": "dev",
            "DB_PASSWORD": "x",
        }

    def test_its_deadline_is_the_functions_own(self, project: Project) -> None:
        project.function = replace(project.function, timeout=1)
        project.write("def handler(event, context):\n    while True: pass")
        path = project.record({}, Outcome("1", None))
        began = time.monotonic()
        _, verdict = project.replay(path)
        assert "Task timed out" in verdict.explanation
        assert time.monotonic() - began < 30

    def test_nothing_of_aws_is_loaded(self) -> None:
        program = (
            "import sys, plldb.replay.replaying, plldb.replay.local_code, plldb.replay.verdict, "
            "plldb.cli.replay, plldb.cli.recordings, plldb.cli.factory, plldb.settings_file; "
            "print({'boto3', 'botocore', 'requests', 'websockets'} & {*sys.modules})"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "set()"
