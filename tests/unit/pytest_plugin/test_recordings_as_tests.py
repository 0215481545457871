"""pytest collects recordings, and says what differs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
CODE = """
def handler(event, context):
    print("adds", event)
    return {"sum": event["a"] + event["b"], "id": context.aws_request_id, "n": %d}
"""


def make_project(pytester: pytest.Pytester, n: int = 1, **changes: object) -> None:
    source = pytester.mkdir("src")
    (source / "app.py").write_text(CODE % n)
    recording = {
        "plldbRecording": 1,
        "requestId": "r-1",
        "function": {"logicalId": "Adder", "handler": "app.handler", "code": "src", "timeout": 30},
        "event": {"a": 1, "b": 2},
        "outcome": "succeeded",
        "answer": {"sum": 3, "id": "r-1", "n": 1},
    }
    folder = pytester.mkdir("tests")
    (folder / "adder.plldb.json").write_text(json.dumps(recording | changes))


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    plugins = ("-p", "plldb.pytest_plugin", "-p", "no:cacheprovider")
    return pytester.runpytest_subprocess(*plugins, *options)


def test_a_recording_is_a_test(pytester: pytest.Pytester) -> None:
    make_project(pytester)
    result = run(pytester, "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["tests/adder.plldb.json::Adder PASSED*"])


def test_what_differs_is_said_with_the_output_and_how_to_debug_it(
    pytester: pytest.Pytester,
) -> None:
    make_project(pytester, n=2)
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*replay of Adder*",
            "Adder differs from what was recorded, in 1 place:",
            "answer.n",
            "  - 1",
            "  + 2",
            "To debug it: plldb replay tests/adder.plldb.json --pdb",
            "*function output*",
            "adds {'a': 1, 'b': 2}",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_an_error_has_its_trace(pytester: pytest.Pytester) -> None:
    make_project(pytester, event={"a": 1})
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Adder fails: KeyError: 'b'", "*app.py*"])


def test_the_recording_says_what_may_differ(pytester: pytest.Pytester) -> None:
    make_project(pytester, n=2, ignore=["answer.n"])
    run(pytester).assert_outcomes(passed=1)


def test_and_so_does_plldb_toml(pytester: pytest.Pytester) -> None:
    make_project(pytester, n=2)
    (pytester.path / "plldb.toml").write_text('[record]\nignore = ["answer.n"]\n')
    run(pytester).assert_outcomes(passed=1)


def test_a_file_that_makes_no_sense_is_an_error_of_one_line(pytester: pytest.Pytester) -> None:
    make_project(pytester, outcome="lost")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*outcome is "lost", not one of *'])
    assert "Traceback" not in result.stdout.str()


def test_tests_can_be_chosen_as_ever(pytester: pytest.Pytester) -> None:
    make_project(pytester)
    run(pytester, "tests/adder.plldb.json").assert_outcomes(passed=1)
    run(pytester, "-k", "Adder").assert_outcomes(passed=1)
    run(pytester, "-k", "nothing").assert_outcomes(deselected=1)


def test_projects_without_recordings_notice_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            ours = [name for name in sys.modules if name.startswith("plldb")]
            assert set(ours) <= {"plldb", "plldb.pytest_plugin"}
        """
    )
    pytester.makefile(".json", other="{}")
    run(pytester).assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_once_plldb_is_installed() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    plugins = document["project"]["entry-points"]["pytest11"]
    assert plugins == {"plldb.pytest_plugin": "plldb.pytest_plugin"}
