"""Starting in the background, and what is said of it: each command is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plldb.background.session_folder import SessionFolder
from plldb.background.session_record import SessionRecord
from plldb.cli.background import clean_up
from plldb.emulators.base import RunningEmulator
from plldb.emulators.state import StateFile

NOWHERE = "http://127.0.0.1:9"


class Shell:
    """Runs plldb in a project's folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "shop"
        self.project.mkdir()
        self.place = SessionFolder(self.home, self.project)

    def __call__(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "plldb", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            input=given,
            check=False,
            cwd=self.project,
            env=os.environ | {"PLLDB_HOME": str(self.home), "AWS_ENDPOINT_URL": NOWHERE},
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        done = self(*arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def write(self, **changes: Any) -> SessionRecord:
        record = SessionRecord(
            str(self.project),
            "attach",
            2**22 + 1,  # no process has that number
            "2026-11-26T10:15:00+00:00",
            "ready",
            ("shop",),
        )
        self.place.create()
        self.place.write_record(replace(record, **changes))
        return record


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


class TestStart:
    def test_an_error_comes_back_with_its_hint_and_nothing_runs(self, shell: Shell) -> None:
        failed = shell("attach", "--detach", "shop")
        assert failed.returncode == 1
        assert failed.stderr.startswith("Error: ")
        assert NOWHERE in failed.stderr
        assert "Hint: " in failed.stderr
        assert not shell.place.is_running()
        state = shell.json("status")
        assert (state["running"], state["state"], state["exitCode"]) == (False, "ended", 1)
        assert NOWHERE in state["error"]
        assert shell.json("status", "--stack-name", "shop") == state

    def test_what_stdin_says_of_terraform_reaches_it(self, shell: Shell) -> None:
        said = json.dumps({"format_version": "9.0"})
        failed = shell("attach", "--detach", "--terraform", "-", "mine", given=said)
        assert failed.returncode == 1
        assert "<stdin> has format 9.0, which is not known." in failed.stderr

    def test_in_json_as_well(self, shell: Shell) -> None:
        failed = shell("attach", "--detach", "shop", "--output", "json")
        assert (failed.returncode, failed.stdout) == (1, "")
        error = json.loads(failed.stderr)
        assert NOWHERE in error["error"]
        assert error["hint"]

    def test_wrong_usage_that_only_the_session_finds_is_exit_code_2(self, shell: Shell) -> None:
        failed = shell("attach", "--detach", "shop", "--debugpy=nonsense")
        assert failed.returncode == 2
        assert "--debugpy nonsense" in failed.stderr

    @pytest.mark.parametrize("command", ["attach", "dev"])
    def test_pdb_has_no_terminal_there(self, shell: Shell, command: str) -> None:
        failed = shell(command, "--detach", "--pdb", *(["shop"] if command == "attach" else []))
        assert failed.returncode == 2
        assert "--debugpy" in failed.stderr
        assert not shell.place.path.exists()

    def test_a_second_one_is_told_that_one_runs(self, shell: Shell) -> None:
        shell.write()
        lock = shell.place.lock()
        assert lock is not None
        try:
            failed = shell("attach", "--detach", "shop")
        finally:
            os.close(lock)
        assert failed.returncode == 1
        assert f"runs already, process {2**22 + 1}" in failed.stderr
        assert "plldb stop" in failed.stderr

    @pytest.mark.parametrize("number", ["2", "900"])
    def test_what_it_is_started_by_is_no_option_for_people(self, shell: Shell, number: str) -> None:
        failed = shell("attach", "shop", "--background", number)
        assert failed.returncode == 2
        assert "Traceback" not in failed.stderr


class TestStatus:
    @pytest.mark.parametrize("command", ["status", "stop"])
    def test_without_any_it_succeeds(self, shell: Shell, command: str) -> None:
        assert shell.json(command)["running"] is False
        assert shell(command).stdout == "No session runs in the background.\n"

    def test_a_killed_one_is_said_to_have_been(self, shell: Shell) -> None:
        shell.write()
        for _ in range(2):
            state = shell.json("status")
            assert (state["running"], state["state"]) == (False, "ended")
            assert state["error"] == "It was killed."
            assert "plldb restore --stack-name shop" in state["hint"]
        assert shell.json("stop") == {"running": False, "stopped": False}

    def test_one_that_begins_while_a_killed_one_is_cleaned_up_keeps_its_record(
        self, shell: Shell
    ) -> None:
        begun = replace(shell.write(), pid=2**22 + 2, state="starting")
        StateFile(shell.home).write(RunningEmulator("ministack", "", ""))
        factory: Any = SimpleNamespace(
            home=SimpleNamespace(value=shell.home),
            lifecycle=SimpleNamespace(down_if_left=lambda: shell.place.write_record(begun)),
        )
        assert clean_up(factory, shell.place) == begun
        lock = shell.place.lock()
        assert lock is not None
        try:
            assert clean_up(factory, shell.place) == begun
        finally:
            os.close(lock)
        assert shell.place.read_record() == begun

    def test_one_that_runs_is_found_from_a_folder_below_and_by_its_stack(
        self, shell: Shell, tmp_path: Path
    ) -> None:
        shell.write(functions=("Greeter",), skipped={"Old": "it is an image"})
        lock = shell.place.lock()
        assert lock is not None
        try:
            project, inner, other = shell.project, shell.project / "src", tmp_path / "other"
            inner.mkdir()
            other.mkdir()
            for folder, options in ((project, ()), (inner, ()), (other, ("--stack-name", "shop"))):
                shell.project = folder
                state = shell.json("status", *options)
                assert (state["running"], state["folder"]) == (True, str(project))
            assert shell.json("status", "--all")["functions"] == ["Greeter"]
            assert shell.json("status")["running"] is False
            shell.project = project
            text = shell("status").stdout
        finally:
            os.close(lock)
        assert "Greeter runs here" in text
        assert "Old is skipped: it is an image" in text

    def test_junk_in_its_place_is_none(self, shell: Shell) -> None:
        shell.write()
        shell.place.record_file.write_text("junk")
        assert shell.json("status")["running"] is False
        assert shell("status", "--all").returncode == 0

    @pytest.mark.parametrize("command", ["status", "stop"])
    def test_at_what_fails_all_the_others_are_not_passed_over(
        self, shell: Shell, tmp_path: Path, command: str
    ) -> None:
        shell.write()
        (shell.place.path / "lock").mkdir()
        others = [SessionFolder(shell.home, tmp_path / name) for name in ("a", "z")]
        for place in others:
            place.create()
            place.write_record(replace(shell.write(), folder=str(place.path)))
        failed = shell(command, "--all")
        assert failed.returncode == 1
        assert f"{shell.project}: " in failed.stderr
        assert f"It failed for 1 of 3 sessions: {shell.project}." in failed.stderr
        for place in others:
            record = place.read_record()
            assert record is not None
            assert record.has_ended

    def test_all_and_one_are_not_asked_for_at_once(self, shell: Shell) -> None:
        assert shell("status", "--all", "--stack-name", "shop").returncode == 2
