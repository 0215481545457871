"""One identity for plldb and for the code that it runs, for longer than any credentials live."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pexpect.fdpexpect import fdspawn

from plldb.aws import Target
from plldb.config import EmulatorAddress

from .project import Project, attach, deployed_project, detach
from .support import (
    DEADLINE_SECONDS,
    Attached,
    Backend,
    Plldb,
    allowed,
    at_terminal,
    random_name,
    table,
    user,
)

# Shorter than AWS allows, so that they end more than once while the code runs.
_LIFETIME_SECONDS = 6
_RENEWED = 3
_MFA_CODE = "123456"

_HANDLER = f"""
import os, time
import boto3

dynamodb, sts = boto3.client("dynamodb"), boto3.client("sts")
credentials = boto3.DEFAULT_SESSION.get_credentials()

def handler(event, context):
    callers, keys, count = set(), set(), 0
    while len(keys) <= {_RENEWED}:
        item = {{"Id": {{"S": "calls"}}, "Count": {{"N": str(count)}}}}
        dynamodb.put_item(TableName=event["table"], Item=item)
        callers.add(sts.get_caller_identity()["Arn"])
        keys.add(credentials.get_frozen_credentials().access_key)
        count += 1
        time.sleep(0.25)
    names = [name for name in os.environ if name.startswith(("AWS_PROFILE", "AWS_ACCESS_KEY"))]
    return {{"callers": sorted(callers), "keys": len(keys), "count": count, "names": names}}
"""


@pytest.fixture
def project(backend: Backend, target: Target, tmp_path: Path) -> Iterator[Project]:
    with deployed_project(target, tmp_path / "project", ["Alpha"]) as project:
        yield project


@contextmanager
def role(target: Target, trusted: str, *statements: dict[str, Any]) -> Iterator[str]:
    """The ARN of a role that this principal may assume."""
    iam, name = target.client("iam"), random_name("role")
    trust = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    try:
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_policy(*statements))
        yield str(arn)
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="all")
        iam.delete_role(RoleName=name)


@pytest.mark.needs("iam", "local")
def test_an_mfa_profile_a_credential_process_and_an_assumed_role_are_one_identity_for_both(
    plldb: Plldb, project: Project, backend: Backend, address: EmulatorAddress, tmp_path: Path
) -> None:
    """The process gives a user's keys, an MFA code makes them a role's, and those another role's.

    The last ones live for seconds. In the environment are those of somebody who may do nothing.
    """
    target = backend.target
    project.write("Alpha", _HANDLER)
    with (
        user(target) as (_, nobody),
        user(target, allowed("sts:AssumeRole")) as (me, keys),
        role(target, me, allowed("sts:AssumeRole")) as with_mfa,
        role(target, _session_arn(with_mfa), allowed("*")) as worker,
        table(target) as name,
    ):
        runs = _write_process(tmp_path, keys.access_key_id, keys.secret_access_key)
        (tmp_path / "config").write_text(
            _CONFIG.format(
                url=address.endpoint_url,
                process=tmp_path / "process",
                with_mfa=with_mfa,
                worker=worker,
                lifetime=_LIFETIME_SECONDS,
            )
        )
        environment = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_PROFILE": "base",
            "AWS_ACCESS_KEY_ID": nobody.access_key_id,
            "AWS_SECRET_ACCESS_KEY": nobody.secret_access_key,
            "AGENT_SOCKET": "/run/agent",
        }
        with (
            _attached_in_terminal(plldb.with_environment(**environment), project) as (
                process,
                terminal,
            ),
            Attached(process, plldb.said) as attached,
        ):
            terminal.expect_exact("Enter MFA code for arn:aws:iam::000000000000:mfa/me: ")
            terminal.sendline(_MFA_CODE)
            attached.wait_for("ready")
            answer = project.invoke("Alpha", {"table": name})
            assert answer.error is None, answer.text
            seen = answer.json
            owner = _find_owner(backend, project)
            detach(attached)

    assert seen["callers"] == [owner] == [_session_arn(worker)]
    assert seen["count"] >= seen["keys"] > _RENEWED
    assert seen["names"] == []
    assert len(runs.read_text().splitlines()) == 1


# They are renewed at half of it; attaching must not take as long.
_MFA_LIFETIME_SECONDS = 120
_MFA_CONFIG = """
[profile base]
credential_process = {process}

[profile work]
region = us-east-1
endpoint_url = {url}
role_arn = {role}
role_session_name = me
source_profile = base
mfa_serial = arn:aws:iam::000000000000:mfa/me
duration_seconds = {lifetime}
parameter_validation = false
"""
_UNTIL = """
import time
import boto3

sts = boto3.client("sts")

def handler(event, context):
    while True:
        arn = sts.get_caller_identity()["Arn"]
        if time.time() >= event["until"]:
            return arn
        time.sleep(0.25)
"""


@pytest.mark.needs("iam", "local")
def test_another_mfa_code_is_asked_for_below_the_live_view_before_they_end(
    plldb: Plldb, project: Project, target: Target, address: EmulatorAddress, tmp_path: Path
) -> None:
    project.write("Alpha", _UNTIL)
    with (
        user(target, allowed("sts:AssumeRole")) as (me, keys),
        role(target, me, allowed("*")) as arn,
        ThreadPoolExecutor() as pool,
    ):
        _write_process(tmp_path, keys.access_key_id, keys.secret_access_key)
        (tmp_path / "config").write_text(
            _MFA_CONFIG.format(
                url=address.endpoint_url,
                process=tmp_path / "process",
                role=arn,
                lifetime=_MFA_LIFETIME_SECONDS,
            )
        )
        environment = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AGENT_SOCKET": "/run/agent",
            "TERM": "xterm",
        }
        with _attached_in_terminal(plldb.with_environment(**environment), project, "text") as (
            process,
            terminal,
        ):
            terminal.expect_exact("Enter MFA code")
            began = time.time()
            terminal.sendline(_MFA_CODE)
            terminal.expect_exact("Ready:")
            until = began + _MFA_LIFETIME_SECONDS + 20
            calling = pool.submit(project.invoke, "Alpha", {"until": until})
            for _ in range(2):
                terminal.expect_exact("Enter MFA code")
                assert time.time() < until
                terminal.sendline(_MFA_CODE)
            terminal.expect_exact("✔ Alpha")
            assert calling.result().json == _session_arn(arn)
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_SECONDS) == 0


_FAILING_PROCESS = """\
#!/bin/sh
test -e {folder}/login || {{ echo "run company-login" >&2; exit 1; }}
end=$(date -u -d "+$(cat {folder}/seconds) seconds" +%Y-%m-%dT%H:%M:%SZ)
cat <<END
{{"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test", "Expiration": "$end"}}
END
"""


@pytest.mark.needs("local")
def test_credentials_that_can_not_be_renewed_are_told_of_here_and_missed_in_the_handler(
    plldb: Plldb, project: Project, address: EmulatorAddress, tmp_path: Path
) -> None:
    """They end after seconds; then their process says why, until somebody logs in again."""
    project.write("Alpha", _UNTIL)
    seconds, login, process = (tmp_path / name for name in ("seconds", "login", "process"))
    process.write_text(_FAILING_PROCESS.format(folder=tmp_path))
    process.chmod(0o700)
    login.touch()
    seconds.write_text("20")
    (tmp_path / "config").write_text(
        f"[profile work]\nregion = us-east-1\nendpoint_url = {address.endpoint_url}\n"
        f"credential_process = {process}\n"
    )
    plldb = plldb.with_environment(AWS_CONFIG_FILE=str(tmp_path / "config"), PLLDB_PROFILE="work")
    with attach(plldb, project) as attached:
        attached.wait_for("ready")
        login.unlink()
        failed = project.invoke("Alpha", {"until": time.time() + 25})
        assert failed.error == "Unhandled"
        assert "Error when retrieving credentials from container-role" in failed.text
        assert "plldb has no valid AWS credentials now" in failed.text
        assert "company-login" not in failed.text, "it is the developer's affair"

        seconds.write_text("3600")
        login.touch()
        again = project.invoke("Alpha", {"until": time.time() + 5})
        attached.wait_for("credentials.renewed")
        assert again.json == "arn:aws:iam::000000000000:root"
        detach(attached)

    warnings = [line for line in attached.errors().splitlines() if "company-login" in line]
    assert len(warnings) == 1
    assert "Check the profile" in warnings[0]


_CONFIG = """
[profile base]
credential_process = {process}

[profile with-mfa]
role_arn = {with_mfa}
role_session_name = me
source_profile = base
mfa_serial = arn:aws:iam::000000000000:mfa/me

[profile work]
region = us-east-1
endpoint_url = {url}
role_arn = {worker}
role_session_name = me
source_profile = with-mfa
duration_seconds = {lifetime}
parameter_validation = false
"""


def _write_process(folder: Path, key_id: str, secret: str) -> Path:
    """A credential_process that needs a variable of the developer's; each run leaves a line."""
    runs = folder / "runs"
    keys = {"Version": 1, "AccessKeyId": key_id, "SecretAccessKey": secret}
    (folder / "process").write_text(
        textwrap.dedent(
            f"""\
            #!/bin/sh
            test "$AGENT_SOCKET" = /run/agent || exit 1
            echo run >>{runs}
            echo '{json.dumps(keys)}'
            """
        )
    )
    (folder / "process").chmod(0o700)
    return runs


@contextmanager
def _attached_in_terminal(
    plldb: Plldb, project: Project, output: str = "json"
) -> Iterator[tuple[subprocess.Popen[str], fdspawn]]:
    """``plldb attach`` with a terminal; its stdout is a pipe for JSON, else the terminal."""
    primary, secondary = pty.openpty()
    command = [sys.executable, "-m", "plldb", "attach", "--stack-name", project.stack_name]
    options = ["--template", project.template, "--profile", "work", "--output", output]
    redirected = '<"$0"' if output == "json" else '<"$0" >"$0" 2>&1'
    process = subprocess.Popen(
        # The first terminal that a new session opens becomes its controlling terminal.
        ["sh", "-c", f'exec "$@" {redirected}', os.ttyname(secondary), *command, *options],
        env=plldb.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, at_terminal(primary)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        os.close(primary)
        os.close(secondary)


def _find_owner(backend: Backend, project: Project) -> str:
    """Who opened the session of the project's stack, as the helper stack saw the signature."""
    pages = (
        backend.target.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=backend.helper.sessions_table)
    )
    items = [item for page in pages for item in page["Items"]]
    (owner,) = {
        item["Owner"]["S"] for item in items if item.get("StackName") == {"S": project.stack_name}
    }
    return str(owner)


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _session_arn(role_arn: str) -> str:
    name = role_arn.rpartition("/")[2]
    return f"arn:aws:sts::000000000000:assumed-role/{name}/me"
