"""The recipe of docs/howto/ci.md for a shell: its scripts as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import Plldb, clean_environment

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "ci.md"
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


def run(plldb: Plldb, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=plldb.folder,
        env=plldb.environment,
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
