"""What the code finds around it: Lambda's variables, and those of the developer's machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plldb.aws import Target

from .project import Project, attach, deployed_project, detach
from .support import Backend, Plldb

# Nobody listens at the discard port.
DEAD_PROXY = "http://127.0.0.1:9"
WRAPPER = "datadog_lambda.handler.handler"
ENVIRONMENT = """
import os, subprocess

def handler(event, context):
    if event == "tool":
        return subprocess.check_output("tool", text=True)
    return {
        "context": [context.log_group_name, context.log_stream_name],
        "handler": os.environ["_HANDLER"],
        **{name: os.environ.get(name) for name in event},
    }
"""
CALL = """
import boto3

def handler(event, context):
    return boto3.client("sts").get_caller_identity()["Account"]
"""


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    variables = {"TABLE": "deployed", "CONFIG": "/var/task/config.json", "PATH": "/var/task/bin"}
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"], variables) as project:
        yield project


# Where all is sampled that is traced, so that the header can be told from one made up here.
@pytest.mark.needs("process")
def test_trace_id_and_logging_are_those_of_the_function(plldb: Plldb, project: Project) -> None:
    group = f"/plldb-e2e/{project.stack_name}"
    project.update(
        "Alpha",
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": group},
    )
    project.write("Alpha", ENVIRONMENT)
    names = ["_X_AMZN_TRACE_ID"]
    names += [f"AWS_LAMBDA_LOG_{name}" for name in ("FORMAT", "LEVEL", "GROUP_NAME", "STREAM_NAME")]
    with attach(plldb, project, "--function", "Alpha") as attached:
        attached.wait_for("ready")
        answers = [project.invoke("Alpha", names).json for _ in range(2)]
        detach(attached)

    first, second = (answer["_X_AMZN_TRACE_ID"] for answer in answers)
    assert first != second
    for header in (first, second):
        assert header.startswith("Root=1-")
        assert "Sampled=1" in header
    for answer in answers:
        assert answer["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
        assert answer["AWS_LAMBDA_LOG_LEVEL"] == "DEBUG"
        assert answer["AWS_LAMBDA_LOG_GROUP_NAME"] == answer["context"][0] == group
        assert answer["AWS_LAMBDA_LOG_STREAM_NAME"] == answer["context"][1]
        assert answer["context"][1]


def test_a_developers_own_variables_and_handler(
    plldb: Plldb, project: Project, tmp_path: Path
) -> None:
    """From the command line, a .env and plldb.toml; and the functions' own, with local folders."""
    for name in ("Alpha", "Beta"):
        project.write(name, ENVIRONMENT)
        project.update(
            name,
            Handler=WRAPPER,
            Environment={
                "Variables": project.configuration(name)["Environment"]["Variables"]
                | {"DD_LAMBDA_HANDLER": "app.handler"}
            },
        )
    (project.code("Alpha").parent / "other.py").write_text(ENVIRONMENT)
    tool = project.code("Alpha").parent / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho ran | cat\n")
    tool.chmod(0o755)
    (tmp_path / ".env").write_text("A=file\nB='of the file'\n")
    (tmp_path / "plldb.toml").write_text(
        f'[stacks.{project.stack_name}]\nenv = {{ A = "toml", C = 3 }}\n'
        f'[stacks.{project.stack_name}.functions.Alpha]\nhandler = "other.handler"\n'
    )
    plldb = plldb.within(tmp_path)
    options = ("--env-file", ".env", "--env", "TABLE=mine", "--env", "Beta:B=one")
    with attach(plldb, project, *options) as attached:
        attached.wait_for("ready")
        names = ["TABLE", "A", "B", "C", "CONFIG"]
        alpha, beta = (project.invoke(name, names).json for name in ("Alpha", "Beta"))
        tool_said = project.invoke("Alpha", "tool").json
        detach(attached)

    del alpha["context"], beta["context"]
    common = {"TABLE": "mine", "A": "file", "C": "3"}
    assert alpha == common | {
        "handler": "other.handler",
        "B": "of the file",
        "CONFIG": str(project.code("Alpha").parent / "config.json"),
    }
    assert beta == common | {
        "handler": "app.handler",
        "B": "one",
        "CONFIG": str(project.code("Beta").parent / "config.json"),
    }
    assert tool_said == "ran\n"


def test_what_can_not_be_set_is_said_before_anything_is_done(
    plldb: Plldb, project: Project
) -> None:
    arguments = ("attach", "--stack-name", project.stack_name, "--template", project.template)
    for option, said in (
        ("Alhpa:A=1", "Did you mean 'Alpha'?"),
        ("AWS_SECRET_ACCESS_KEY=a-secret", "'AWS_SECRET_ACCESS_KEY' can't be set"),
    ):
        result = plldb(*arguments, "--env", option, "--output", "json")
        assert result.exit_code == 2
        assert said in json.dumps(result.stderr)
        assert "a-secret" not in result.stderr


@pytest.mark.needs("local")
def test_no_proxy_is_asked_for_what_is_on_this_machine(plldb: Plldb, project: Project) -> None:
    """Neither by plldb nor by the code, which has the machine's proxy."""
    project.write("Alpha", CALL)
    project.write("Beta", ENVIRONMENT)
    behind = plldb.with_environment(HTTP_PROXY=DEAD_PROXY, HTTPS_PROXY=DEAD_PROXY, NO_PROXY="")
    with attach(behind, project) as attached:
        attached.wait_for("ready")
        account = project.invoke("Alpha")
        proxy = project.invoke("Beta", ["HTTPS_PROXY"]).json["HTTPS_PROXY"]
        detach(attached)
    assert account.error is None, account.text
    assert account.json == project.target.client("sts").get_caller_identity()["Account"]
    assert proxy == DEAD_PROXY
