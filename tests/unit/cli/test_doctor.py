"""``plldb doctor`` as a command: its output, its exit code, and that it always runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from plldb.cli.doctor import _describe
from plldb.cli.main import plldb
from plldb.doctor.findings import CheckResult, Finding
from plldb.emulators.base import RunningEmulator
from plldb.emulators.process import MiniStack
from plldb.emulators.state import StateFile
from plldb.errors import PlldbError


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLLDB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")


def doctor(*options: str) -> Result:
    return CliRunner().invoke(plldb, ["doctor", *options])


def statuses(result: Result) -> dict[str, str]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert all({"check", "status", "found", "hint"} <= line.keys() for line in lines)
    return {line["check"]: line["status"] for line in lines}


def test_with_nothing_to_talk_to_it_says_so_and_fails() -> None:
    result = doctor("--output", "json")

    assert isinstance(result.exception, PlldbError)
    assert "1 problem was found" in result.exception.message
    found = statuses(result)
    assert list(found)[:2] == ["settings", "target"]
    assert found.pop("target") == "problem"
    assert found["permissions: attach"] == "skipped"
    assert found["emulator"] == "ok"
    assert "problem" not in found.values()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("environment =", "plldb.toml"),
        ('environment = "moon"', "moon"),
        ("[environments.development.parameters]\nNonsense = 1", "Nonsense"),
        ('[environments.development]\noutput = "xml"', "xml"),
    ],
)
def test_settings_that_make_no_sense_are_one_of_the_problems(text: str, said: str) -> None:
    Path("plldb.toml").write_text(text, encoding="utf-8")

    result = doctor("--output", "json")

    assert isinstance(result.exception, PlldbError)
    assert statuses(result)["settings"] == "problem"
    assert said in result.stdout.splitlines()[0]


def test_the_emulator_is_found_whatever_is_wrong_with_the_settings() -> None:
    home = Path(os.environ["PLLDB_HOME"])
    gone = RunningEmulator(MiniStack.name, "http://127.0.0.1:1", "http://127.0.0.1:1", pid=2**22)
    StateFile(home).write(gone)
    Path("plldb.toml").write_text("environment =", encoding="utf-8")

    result = doctor("--output", "json")

    (line,) = [line for line in result.stdout.splitlines() if '"check": "emulator"' in line]
    assert "gone without being stopped" in line


def test_text_has_marks_and_hints() -> None:
    lines = doctor().stdout.splitlines()

    assert lines[0].startswith("✓ settings: ")
    assert lines[1].startswith("✗ target [problem]: ")
    assert lines[2].startswith("    → Run 'plldb local up'")
    assert any(line.startswith("- region [skipped]: ") for line in lines)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (CheckResult.ok("fine"), "✓ a: fine"),
        (CheckResult.warning("so so", "look"), "! a [warning]: so so\n    → look"),
        (CheckResult.problem("bad", None), "✗ a [problem]: bad"),
        (CheckResult.skipped("unseen"), "- a [skipped]: unseen"),
    ],
)
def test_each_status_has_a_mark_of_its_own(result, text: str) -> None:
    assert _describe(Finding("a", result)) == text
