"""coverage.py measures what runs in children, as it measures any other process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import coverage
import pytest

from plldb.debugger.children.child_environment import choose_environ, make_child_environment
from plldb.debugger.children.invoker import Invoker
from plldb.debugger.children.local_function import NO_DEBUGGER, DebugMode, Debugpy, Pdb
from tests.unit.debugger.children.test_child_environment import FUNCTION
from tests.unit.debugger.local_code import Project, invoke, value

CODE = """\
import time

def handler(event, context):
    if event == "wait":
        time.sleep(60)
    if event:
        return "yes"
    return "no"
"""
# To write down what was measured: on a busy machine that takes a while.
PATIENCE = 20.0


class Measured:
    """A project whose code is measured."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder / "src")
        self.code = self.project.write(CODE)
        self._folder = folder
        settings = folder / "coveragerc"
        settings.write_text("[run]\npatch = subprocess\nsource = src\ndata_file = data/found\n")
        (folder / "data").mkdir()
        # What coverage.py's patch sets in a measured process.
        config = coverage.Coverage(config_file=str(settings)).config.serialize()
        outer = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        self.environ = outer | {"COVERAGE_PROCESS_CONFIG": config}

    def invoker(self) -> Invoker:
        return self.project.invoker(environ=self.environ, patience=PATIENCE)

    def read_lines(self) -> list[int]:
        """Those of the code that were run."""
        data = coverage.CoverageData(basename=str(self._folder / "all"))
        for file in (self._folder / "data").iterdir():
            part = coverage.CoverageData(basename=str(file))
            part.read()
            data.update(part)
        return sorted(data.lines(str(self.code)) or [])


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measured:
    monkeypatch.chdir(tmp_path)
    return Measured(tmp_path)


def test_what_an_invocation_runs_is_measured(measured: Measured) -> None:
    async def main() -> None:
        async with measured.invoker() as invoker:
            assert value(await invoke(invoker, measured.project.function(), "hello")) == "yes"

    asyncio.run(main())
    assert measured.read_lines() == [1, 3, 4, 6, 7]


def test_so_is_what_was_saved_meanwhile(measured: Measured) -> None:
    async def main() -> None:
        async with measured.invoker() as invoker:
            function = measured.project.function()
            assert value(await invoke(invoker, function, "hello")) == "yes"
            measured.code.write_text(CODE.replace('"no"', '"never"'))
            assert value(await invoke(invoker, function)) == "never"

    asyncio.run(main())
    assert measured.read_lines() == [1, 3, 4, 6, 7, 8]


def test_a_process_that_is_ended_for_its_time_writes_down_what_it_has_run(
    measured: Measured,
) -> None:
    async def main() -> None:
        async with measured.invoker() as invoker:
            function = measured.project.function()
            # It is loaded, whatever the machine has to do.
            assert value(await invoke(invoker, function, "hello")) == "yes"
            outcome = await invoke(invoker, function, "wait", seconds=4)
            assert outcome.error is not None

    asyncio.run(main())
    assert 5 in measured.read_lines()


def test_its_variables_pass_and_files_are_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "COVERAGE_PROCESS_CONFIG": "data",
        "COVERAGE_PROCESS_START": "coveragerc",
        "COVERAGE_FILE": ".coverage",
        "COVERAGE_CORE": "ctrace",
        "COVERAGE_OTHER": "no",
    }
    made = make_child_environment(FUNCTION, environ, {})
    assert {name: value for name, value in made.items() if name.startswith("COVERAGE")} == {
        "COVERAGE_PROCESS_CONFIG": "data",
        "COVERAGE_PROCESS_START": str(tmp_path / "coveragerc"),
        "COVERAGE_FILE": str(tmp_path / ".coverage"),
        "COVERAGE_CORE": "ctrace",
    }


@pytest.mark.parametrize("debug", [Pdb(), Debugpy()], ids=["pdb", "debugpy"])
def test_under_a_debugger_nothing_is_measured(debug: DebugMode) -> None:
    environ = {"COVERAGE_PROCESS_CONFIG": "data", "COVERAGE_FILE": ".coverage", "HOME": "/me"}
    assert choose_environ(environ, debug) == {"HOME": "/me"}
    assert choose_environ(environ, NO_DEBUGGER) == environ
