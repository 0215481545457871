"""What docs/howto/ci.md has for CI, as it stands there: the shell's scripts, the action's steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .support import Plldb, clean_environment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "ci.md"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
SCRIPTS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
# It has an emulator of its own, whatever the others of this suite run against.
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Greeter:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: src, Handler: app.handler, Runtime: python3.13, FunctionName: greeter}
"""
CODE = """
def handler(event, context):
    return {"by": "%s"}
"""
TEST = """
import json

import boto3


def test_it_is_answered_here():
    answer = boto3.client("lambda").invoke(FunctionName="greeter", Payload="{}")
    assert json.load(answer["Payload"]) == {"by": "%s"}
"""


@pytest.fixture
def plldb(tmp_path: Path) -> Iterator[Plldb]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = clean_environment() | {"PLLDB_HOME": str(tmp_path / "home"), "PATH": programs}
    plldb = Plldb(found, tmp_path / "project")
    yield plldb
    plldb("local", "down")


def run(
    plldb: Plldb, script: str, shell: tuple[str, ...] = ("/bin/sh",), **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, "-c", script],
        cwd=plldb.folder,
        env=plldb.environment | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.needs("process")
def test_its_scripts_do_what_the_page_says(plldb: Plldb) -> None:
    folder = plldb.folder
    assert folder is not None
    (folder / "src").mkdir(parents=True)
    (folder / "tests" / "integration").mkdir(parents=True)
    test = folder / "tests" / "integration" / "test_greeter.py"
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "src" / "app.py").write_text(CODE % "there")
    prepare, debugged_test = SCRIPTS

    prepared = run(plldb, prepare)
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr

    (folder / "src" / "app.py").write_text(CODE % "here")
    test.write_text(TEST % "here")
    good = run(plldb, debugged_test)
    assert good.returncode == 0, good.stdout + good.stderr

    test.write_text(TEST % "elsewhere")
    assert run(plldb, debugged_test).returncode == 1


@pytest.mark.needs("process")
def test_the_steps_of_the_action_leave_an_emulator_that_is_ready(
    plldb: Plldb, tmp_path: Path
) -> None:
    assert plldb.folder is not None
    plldb.folder.mkdir()
    output = tmp_path / "output"
    programs = make_environment(tmp_path / "environment")
    plldb = plldb.with_environment(PATH=f"{programs}:{plldb.environment['PATH']}")
    given = {name: str(one["default"]) for name, one in ACTION["inputs"].items()}
    for step in ACTION["runs"]["steps"]:
        variables = {
            name: fill_in(value, {"github.action_path": str(ROOT)}, given)
            for name, value in step.get("env", {}).items()
        }
        # https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#exit-codes-and-error-action-preference
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
        done = run(plldb, step["run"], shell, GITHUB_OUTPUT=str(output), **variables)
        assert done.returncode == 0, f"{step['name']}: {done.stdout}{done.stderr}"

    assert (programs / "plldb").is_file()
    status = plldb("local", "status", "--output", "json").succeeded().json
    assert output.read_text() == f"endpoint-url={status['endpointUrl']}\n"
    assert plldb("bootstrap", "--dry-run", "--output", "json").succeeded().json["plan"] == []


def make_environment(folder: Path) -> Path:
    """Where to install plldb, with what it needs at hand; returns the folder of its programs."""
    venv.create(folder, symlinks=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "at_hand.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def fill_in(value: str, contexts: dict[str, str], inputs: dict[str, str]) -> str:
    """An expression, as GitHub evaluates it: ${{ inputs.port }}."""
    known = contexts | {f"inputs.{name}": one for name, one in inputs.items()}
    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known[found[1]], value)
