"""The GitHub action: it declares what it uses, and calls commands that there are."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml

from tests.unit.test_docs import ROOT, resolved, text_of

ACTION: dict[str, Any] = yaml.safe_load(text_of(ROOT / "action.yml"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
PAGE = text_of(ROOT / "docs" / "howto" / "ci.md")


def test_its_steps_take_what_is_given_from_variables_only() -> None:
    """A value that stood in the script itself could be one more command."""
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]


def test_its_inputs_are_used_and_documented() -> None:
    used = {
        name
        for step in STEPS
        for value in step.get("env", {}).values()
        for name in re.findall(r"inputs\.([\w-]+)", value)
    }
    assert used == {*ACTION["inputs"]}
    documented = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    assert documented == used
    for name in ACTION["outputs"]:
        assert f"`{name}`" in PAGE


def test_its_outputs_are_those_of_a_step() -> None:
    ids = {step.get("id"): step["run"] for step in STEPS}
    for name, output in ACTION["outputs"].items():
        step = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.([\w-]+) \}\}", output["value"])
        assert step is not None
        assert step[2] == name
        assert f"{name}=" in ids[step[1]]


def test_it_calls_commands_that_there_are() -> None:
    lines = [line.strip() for step in STEPS for line in step["run"].splitlines()]
    called = [line for line in lines if line.startswith("plldb ")]
    assert len(called) == 2
    for line in called:
        command, options = resolved(line)
        known = {name for option in command.params for name in option.opts}
        assert {*options} <= known, line


def test_it_installs_an_extra_that_there_is() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    assert ACTION["inputs"]["extras"]["default"] in project["optional-dependencies"]
