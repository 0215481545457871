"""Other people's tools against the target: ``plldb exec``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from plldb.aws import Target
from plldb.config import EmulatorAddress

from .support import Plldb, allowed, random_name, user

_WHO = "import boto3, json; print(json.dumps(boto3.client('sts').get_caller_identity()['Arn']))"
# Somebody's real account, which nothing may reach.
_FOREIGN = {
    "AWS_PROFILE": "no-such-profile",
    "AWS_ACCESS_KEY_ID": "AKIAFOREIGNFOREIGN00",
    "AWS_SECRET_ACCESS_KEY": "foreign",
    "AWS_SESSION_TOKEN": "foreign",
    "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


def test_python_finds_the_target_whatever_else_is_set_here(plldb: Plldb, target: Target) -> None:
    me = target.client("sts").get_caller_identity()["Arn"]
    foreign = plldb if target.is_aws else plldb.with_environment(**_FOREIGN)
    done = foreign("exec", "--", sys.executable, "-c", _WHO).succeeded()
    assert json.loads(done.stdout) == me
    assert done.stderr == ""


def test_the_exit_code_and_the_streams_are_the_tools(plldb: Plldb) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(42)"
    done = plldb("exec", sys.executable, "-c", code)
    assert (done.exit_code, done.stdout, done.stderr) == (42, "out\n", "err\n")


def test_options_after_the_tools_name_are_its_own(plldb: Plldb) -> None:
    code = "import sys; print(sys.argv[1:])"
    done = plldb("exec", sys.executable, "-c", code, "--region", "x", "--output=json", "-v")
    assert done.stdout == "['--region', 'x', '--output=json', '-v']\n"


def test_pytest_runs_a_projects_tests_against_it(
    plldb: Plldb, target: Target, tmp_path: Path
) -> None:
    name = random_name("parameter")
    (tmp_path / "test_it.py").write_text(
        "import boto3\n"
        "def test_it():\n"
        "    ssm = boto3.client('ssm')\n"
        f"    ssm.put_parameter(Name='{name}', Value='here', Type='String')\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    here = plldb.within(tmp_path)
    try:
        here("exec", "--", sys.executable, "-m", "pytest", "-q", "-n", "0", ".").succeeded()
        found = target.client("ssm").get_parameter(Name=name)["Parameter"]
        assert found["Value"] == "here"
    finally:
        target.client("ssm").delete_parameter(Name=name)


@pytest.mark.needs("local")
def test_plldb_itself_has_the_same_target_in_it(plldb: Plldb, address: EmulatorAddress) -> None:
    elsewhere = plldb.with_environment(PLLDB_TARGET="emulator")
    inner = [sys.executable, "-m", "plldb", "exec", "--", sys.executable, "-c"]
    code = "import os; print(os.environ['AWS_ENDPOINT_URL'])"
    done = elsewhere("exec", "--", *inner, code).succeeded()
    assert done.stdout.strip() == address.endpoint_url


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_the_aws_cli_makes_a_bucket_and_copies_into_it(
    plldb: Plldb, target: Target, tmp_path: Path
) -> None:
    bucket = random_name("exec")
    (tmp_path / "file.txt").write_text("content")
    here = plldb.within(tmp_path)
    try:
        here("exec", "--", "aws", "s3", "mb", f"s3://{bucket}").succeeded()
        here("exec", "--", "aws", "s3", "cp", "file.txt", f"s3://{bucket}/").succeeded()
        listed = here("exec", "--", "aws", "s3", "ls", bucket).succeeded()
        assert listed.stdout.endswith(" file.txt\n")
    finally:
        target.client("s3").delete_object(Bucket=bucket, Key="file.txt")
        target.client("s3").delete_bucket(Bucket=bucket)


def test_the_aws_cli_finds_queues_in_whatever_version(plldb: Plldb, target: Target) -> None:
    url = target.client("sqs").create_queue(QueueName=(name := random_name("exec")))["QueueUrl"]
    try:
        found = plldb("exec", "--", "aws", "sqs", "get-queue-url", "--queue-name", name)
        assert json.loads(found.succeeded().stdout)["QueueUrl"].endswith(f"/{name}")
    finally:
        target.client("sqs").delete_queue(QueueUrl=url)


@pytest.mark.needs("iam", "local")
def test_with_a_profile_it_is_who_plldb_is(
    plldb: Plldb, target: Target, address: EmulatorAddress, tmp_path: Path
) -> None:
    """By a credential_process, whose keys plldb serves on: other keys that are set do not win."""
    with user(target, allowed("sts:*")) as (me, keys):
        given = {
            "Version": 1,
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key,
        }
        (process := tmp_path / "process").write_text(f"#!/bin/sh\necho '{json.dumps(given)}'\n")
        process.chmod(0o700)
        (config := tmp_path / "config").write_text(
            f"[profile emulated]\nregion = us-east-1\nendpoint_url = {address.endpoint_url}\n"
            f"credential_process = {process}\n"
        )
        mine = plldb.with_environment(**_FOREIGN | {"AWS_CONFIG_FILE": str(config)})
        done = mine("exec", "--profile", "emulated", "--", sys.executable, "-c", _WHO)
    assert done.succeeded().stdout == f'"{me}"\n'


@pytest.mark.needs("process")
def test_a_bucket_that_denies_http_can_be_used_on_the_embedded_emulator(target: Target) -> None:
    """As those that ``cdk bootstrap`` makes, and whatever has ``enforceSSL``."""
    s3, bucket = target.client("s3"), random_name("tls-only")
    s3.create_bucket(Bucket=bucket)
    try:
        denied = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        policy = {"Version": "2012-10-17", "Statement": [denied]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        s3.put_object(Bucket=bucket, Key="key", Body=b"content")
        s3.delete_object(Bucket=bucket, Key="key")
    finally:
        s3.delete_bucket(Bucket=bucket)


def test_a_command_that_is_not_there(plldb: Plldb) -> None:
    failed = plldb("exec", "--", "no-such-command").failed(127)
    assert failed.stderr.startswith("Error: There is no command 'no-such-command'.\nHint: ")
    plldb("exec", "--", "/").failed(126)
    plldb("exec").failed(2)
