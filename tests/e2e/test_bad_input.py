"""Whatever is wrong, one line says what, and one what to do; nothing is left half-done."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress, TargetSettings
from plldb.stacks import find_stack

from .support import Backend, Keys, Plldb, clean_environment, poll, random_name, signed_in
from .test_bootstrap import BROKEN_TEMPLATE


@pytest.fixture
def bare(tmp_path: Path) -> Plldb:
    """A command line that knows no emulator and no AWS profile."""
    nowhere = {
        "PLLDB_HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Plldb(clean_environment() | nowhere)


def complaint(plldb: Plldb, *arguments: str, exit_code: int = 1) -> str:
    """The error of a command that fails: one line, one hint, nothing else."""
    result = plldb(*arguments).failed(exit_code)
    assert result.stdout == ""
    error, hint = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert hint.startswith("Hint: ")
    return result.stderr


def test_no_emulator_and_no_profile(bare: Plldb) -> None:
    for command in (["bootstrap"], ["attach", "--stack-name", "x"]):
        error = complaint(bare, *command)
        assert "plldb local up" in error
        assert "--profile" in error


def test_aws_credentials_in_the_environment_do_not_select_aws(bare: Plldb) -> None:
    tempted = bare.with_environment(AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="x")

    assert "plldb local up" in complaint(tempted, "bootstrap")


def test_an_endpoint_that_does_not_answer(bare: Plldb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    error = complaint(bare, "--endpoint-url", f"http://127.0.0.1:{port}", "bootstrap")

    assert f"http://127.0.0.1:{port}" in error


@pytest.mark.parametrize("url", ["localhost:4566", "ftp://x", "http://", "http://h:99999"])
def test_an_endpoint_that_is_no_url(bare: Plldb, url: str) -> None:
    assert url in complaint(bare, "bootstrap", "--endpoint-url", url, exit_code=2)


def test_a_profile_that_does_not_exist(bare: Plldb) -> None:
    assert "nobody" in complaint(bare, "--profile", "nobody", "--region", "eu-west-1", "bootstrap")


def test_a_profile_without_credentials(bare: Plldb, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile empty]\nregion = eu-west-1\n")

    assert "credentials" in complaint(bare, "--profile", "empty", "bootstrap").lower()


def test_a_profile_without_region(bare: Plldb, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile empty]\noutput = json\n")

    assert "--region" in complaint(bare, "--profile", "empty", "bootstrap")


def test_a_profile_and_an_endpoint_contradict_each_other(bare: Plldb) -> None:
    arguments = ("--profile", "p", "--endpoint-url", "http://127.0.0.1:1", "bootstrap")

    assert "not both" in complaint(bare, *arguments, exit_code=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("environment = production", "line 1"),
        ('environment = "prod"', "'prod'"),
        ('enviroment = "production"', "Did you mean 'environment'?"),
        ("[environments.production]\nendpoint_url = ''", "Did you mean 'endpoint-url'?"),
        ("[environments.production.parameters]\nLogRetentionDays = 2", "1, 3, 5, 7, 14"),
        ("[environments.production.parameters]\nLogRetention = 7", "LogRetentionDays"),
    ],
)
def test_a_settings_file_that_makes_no_sense(
    bare: Plldb, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "plldb.toml").write_text(text)

    for command in ("bootstrap", "config"):
        error = complaint(bare.within(tmp_path), command, exit_code=2)
        assert "plldb.toml" in error
        assert said in error


def test_a_settings_file_that_is_not_there(bare: Plldb) -> None:
    assert "no.toml" in complaint(bare, "config", "--config", "no.toml", exit_code=2)


def test_a_parameter_that_the_template_does_not_have(bare: Plldb) -> None:
    for wrong in ("Retention=7", "ArtifactsBucket=mine", "LogRetentionDays=2", "LogRetentionDays"):
        assert wrong.partition("=")[0] in complaint(
            bare, "bootstrap", "--parameter", wrong, exit_code=2
        )


def test_errors_are_json_where_that_was_asked_for(bare: Plldb) -> None:
    error = json.loads(bare("bootstrap", "--output", "json").failed().stderr)

    assert set(error) == {"error", "hint"}


def test_attaching_without_a_helper_stack(plldb: Plldb, stack: str) -> None:
    error = complaint(plldb, "attach", "--stack-name", stack, "--helper-stack", "missing")

    assert "helper stack 'missing' does not exist" in error
    assert "plldb bootstrap" in error


def test_attaching_to_a_stack_that_does_not_exist(plldb: Plldb, backend: Backend) -> None:
    error = complaint(plldb, "attach", "--stack-name", "missing")

    assert "'missing', the one to debug, does not exist" in error
    assert backend.sessions_of("missing") == []


def test_attaching_in_the_wrong_region(plldb: Plldb, stack: str) -> None:
    assert "ap-south-1" in complaint(
        plldb, "attach", "--stack-name", stack, "--region", "ap-south-1"
    )


def test_attaching_to_a_stack_that_failed(plldb: Plldb, backend: Backend, target: Target) -> None:
    name = random_name("broken")
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=BROKEN_TEMPLATE)

    poll(lambda: _has_failed(target, name), "it failed")

    error = complaint(plldb, "attach", "--stack-name", name)

    assert "the one to debug, is in state" in error
    assert backend.sessions_of(name) == []
    cloudformation.delete_stack(StackName=name)


def _has_failed(target: Target, name: str) -> bool:
    stack = find_stack(target, name)
    return stack is not None and stack.status in ("ROLLBACK_COMPLETE", "CREATE_FAILED")


def test_attaching_with_a_helper_stack_that_is_none(plldb: Plldb, stack: str) -> None:
    error = complaint(plldb, "attach", "--stack-name", stack, "--helper-stack", stack)

    assert "no plldb helper stack" in error


@pytest.mark.needs("accounts")
def test_a_bucket_of_somebody_else(plldb: Plldb, address: EmulatorAddress) -> None:
    stranger = Target(
        TargetSettings("emulator", "ca-west-1", emulator=address, access_key_id="111111111111")
    )
    bucket = "plldb-core-infrastructure-ca-west-1-000000000000"
    location = {"LocationConstraint": "ca-west-1"}
    stranger.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)

    assert bucket in complaint(plldb, "bootstrap", "--region", "ca-west-1")


@pytest.mark.needs("iam")
def test_credentials_that_may_not(plldb: Plldb, nobody: Keys) -> None:
    assert "AccessDenied" in complaint(signed_in(plldb, nobody), "bootstrap")


@pytest.mark.parametrize(
    "arguments",
    [
        ["attach"],
        ["dance"],
        ["local", "up", "--port", "0"],
        ["local", "up", "--port", "x"],
        ["bootstrap", "--output", "yaml"],
        ["bootstrap", "--stack-name", "9lives"],
    ],
)
def test_wrong_usage_exits_with_2(plldb: Plldb, arguments: list[str]) -> None:
    plldb(*arguments).failed(exit_code=2)
