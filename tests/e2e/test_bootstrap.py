"""``plldb bootstrap``: from nothing, again, after a failure, after a crash, and gone without trace.

Each test has a region of its own, and with it a bucket; and a helper stack of its own name, because
roles are an account's.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.operations import BootstrapOperation
from plldb.config import EmulatorAddress, TargetSettings
from plldb.errors import AwsError, BootstrapError
from plldb.stacks import find_stack

from .project import deployed_project
from .support import Plldb, Result, delete_stack, random_name

_REGIONS = itertools.cycle(
    ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "us-west-1", "us-west-2", "sa-east-1"]
)


class Account:
    """One region of the emulator's account, seen from outside plldb."""

    def __init__(self, plldb: Plldb, target: Target) -> None:
        self._plldb = plldb
        self.target = target
        self.stack_name = random_name("helper")
        self.cloudformation = target.client("cloudformation")
        self.s3 = target.client("s3")
        self.dynamodb = target.client("dynamodb")

    @property
    def bucket(self) -> str:
        return f"plldb-core-infrastructure-{self.target.region}-{self.target.account_id}"

    def bootstrap(self, *arguments: str) -> Result:
        return self._plldb("bootstrap", "--stack-name", self.stack_name, *arguments, *self.flags)

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--region", self.target.region, "--output", "json")

    def start_bootstrap(self) -> Any:
        return self._plldb.start(
            "bootstrap", "--stack-name", self.stack_name, "--region", self.target.region
        )

    def debugger_table(self) -> str:
        found = self.cloudformation.describe_stack_resource(
            StackName=self.stack_name, LogicalResourceId="PLLDBDebugger"
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])

    def keys(self) -> set[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {entry["Key"] for entry in found}

    def is_empty(self) -> bool:
        buckets = {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}
        tables = self.dynamodb.list_tables()["TableNames"]
        return (
            find_stack(self.target, self.stack_name) is None
            and self.bucket not in buckets
            and not tables
        )


@pytest.fixture
def account(plldb: Plldb, address: EmulatorAddress) -> Iterator[Account]:
    target = Target(TargetSettings("emulator", next(_REGIONS), emulator=address))
    account = Account(plldb, target)
    try:
        yield account
    finally:
        account.bootstrap("destroy", "--yes").succeeded()
        assert account.is_empty()


def test_from_nothing_again_and_gone_again(account: Account) -> None:
    first = account.bootstrap().succeeded().json
    assert first["status"] == "CREATE_COMPLETE"
    assert first["changed"] is True
    assert first["managementApiUrl"].startswith("http://127.0.0.1:")
    assert first["webSocketUrl"].startswith("ws://127.0.0.1:")

    again = account.bootstrap("setup").succeeded().json
    assert again == first | {"changed": False}

    gone = account.bootstrap("destroy", "--yes").succeeded().json
    assert gone == {"stackName": account.stack_name, "status": "DELETED", "changed": True}
    assert account.is_empty()

    assert account.bootstrap("destroy", "--yes").succeeded().json == gone | {"changed": False}


def test_the_bucket_is_closed_to_the_public_and_encrypted(account: Account) -> None:
    account.bootstrap().succeeded()

    access = account.s3.get_public_access_block(Bucket=account.bucket)
    assert set(access["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = account.s3.get_bucket_encryption(Bucket=account.bucket)
    assert encryption["ServerSideEncryptionConfiguration"]["Rules"]


def test_a_protection_that_was_taken_off_is_put_back(account: Account) -> None:
    account.bootstrap().succeeded()
    account.s3.delete_public_access_block(Bucket=account.bucket)

    assert account.bootstrap().succeeded().json["changed"] is True

    access = account.s3.get_public_access_block(Bucket=account.bucket)
    assert set(access["PublicAccessBlockConfiguration"].values()) == {True}


def test_a_dry_run_shows_the_plan_and_changes_nothing(account: Account) -> None:
    plan = account.bootstrap("--dry-run").succeeded().json["plan"]

    assert [step.split()[0] for step in plan] == ["create", "upload", "upload", "create"]
    assert account.is_empty()

    account.bootstrap().succeeded()
    assert account.bootstrap("--dry-run").succeeded().json["plan"] == []
    destroy = account.bootstrap("destroy", "--dry-run").succeeded().json["plan"]
    assert [step.split()[0] for step in destroy] == ["restore", *["delete"] * 3]
    assert account.bootstrap().succeeded().json["changed"] is False


def test_setup_deploys_and_verbose_output_streams_the_stack_events(
    account: Account, plldb: Plldb
) -> None:
    name, region = account.stack_name, account.target.region
    command = ("bootstrap", "setup", "--stack-name", name, "--region", region)
    result = plldb(*command, "-v").succeeded()

    assert "PLLDBSessions" in result.stderr
    assert "CREATE_COMPLETE" in result.stderr
    assert f"Stack {account.stack_name} is ready" in result.stdout


BROKEN_TEMPLATE = """
Resources:
  Topic:
    Type: AWS::SNS::Topic
  Broken:
    Type: Custom::Broken
    DependsOn: Topic
    Properties:
      ServiceToken: !Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:no-such-thing"
  # MiniStack lets this one pass.
  BrokenFunction:
    Type: AWS::Lambda::Function
    DependsOn: Topic
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Role: !Sub "arn:aws:iam::${AWS::AccountId}:role/none"
      Code: { S3Bucket: no-such-thing, S3Key: code.zip }
"""


def deploy(account: Account, template: str) -> None:
    """What ``plldb bootstrap`` would do if this were its template."""
    setup = BootstrapOperation.for_setup(account.target, account.stack_name)
    assert setup.release is not None
    broken = replace(setup, release=replace(setup.release, template=template, parameters={}))
    broken.run(lambda target: Executor(target, lambda step: None, lambda event: None))


@pytest.mark.needs("rollback")
def test_a_failed_resource_is_named_with_its_reason_and_the_next_run_recovers(
    account: Account,
) -> None:
    with pytest.raises(
        BootstrapError, match=r"Broken.* \((Custom::|AWS::Lambda::).*\): .*(no-such-thing|bucket)"
    ):
        deploy(account, BROKEN_TEMPLATE)
    left = find_stack(account.target, account.stack_name)
    assert left is not None
    assert left.status in ("ROLLBACK_COMPLETE", "CREATE_FAILED")

    recovered = account.bootstrap().succeeded().json

    assert (recovered["status"], recovered["changed"]) == ("CREATE_COMPLETE", True)


@pytest.mark.needs("rollback")
def test_an_update_that_fails_rolls_back_and_the_next_run_recovers(account: Account) -> None:
    account.bootstrap().succeeded()

    with pytest.raises(BootstrapError, match="Broken"):
        deploy(account, BROKEN_TEMPLATE)

    account.bootstrap().succeeded()
    assert account.bootstrap().succeeded().json["changed"] is False


def test_a_template_that_is_refused_leaves_no_stack(account: Account) -> None:
    with pytest.raises(AwsError, match="create stack"):
        deploy(account, "Resources: [")

    assert account.bootstrap().succeeded().json["status"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("step", ["create bucket", "upload", "create stack"])
def test_a_run_that_was_killed_is_finished_by_the_next(account: Account, step: str) -> None:
    process = account.start_bootstrap()
    with process.stderr, process.stdout:
        next(line for line in process.stderr if step in line)
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert account.bootstrap().succeeded().json["status"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    assert account.bootstrap().succeeded().json["changed"] is False


def test_an_outdated_stack_is_updated_and_old_code_removed(account: Account) -> None:
    account.bootstrap().succeeded()
    old = account.keys()
    account.s3.put_object(
        Bucket=account.bucket, Key=f"{account.stack_name}/lambda_functions-0.zip", Body=b""
    )
    stack = account.cloudformation.describe_stacks(StackName=account.stack_name)["Stacks"][0]
    account.cloudformation.update_stack(
        StackName=account.stack_name,
        TemplateBody=account.cloudformation.get_template(StackName=account.stack_name)[
            "TemplateBody"
        ],
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": p["ParameterKey"], "ParameterValue": p["ParameterValue"]}
            for p in stack["Parameters"]
            if p["ParameterKey"] != "LogRetentionDays"
        ]
        + [{"ParameterKey": "LogRetentionDays", "ParameterValue": "1"}],
        Tags=[{"Key": "plldb:version", "Value": "0.0.0"}],
    )
    account.cloudformation.get_waiter("stack_update_complete").wait(
        StackName=account.stack_name, WaiterConfig={"Delay": 1}
    )

    updated = account.bootstrap().succeeded().json

    assert (updated["status"], updated["changed"]) == ("UPDATE_COMPLETE", True)
    assert account.keys() == old
    assert account.bootstrap().succeeded().json["changed"] is False


@pytest.mark.needs("updates")
def test_a_table_that_gets_an_index_keeps_what_is_in_it(account: Account) -> None:
    """Versions before the index of what the reaper may have to act on had a table without it."""
    setup = BootstrapOperation.for_setup(account.target, account.stack_name)
    assert setup.release is not None
    release = replace(setup.release, template=_without_index(setup.release.template))
    replace(setup, release=release).run(
        lambda target: Executor(target, lambda step: None, lambda event: None)
    )
    name, key = account.debugger_table(), {"RequestId": {"S": "kept"}}
    before = account.dynamodb.describe_table(TableName=name)["Table"]
    assert "GlobalSecondaryIndexes" not in before
    account.dynamodb.put_item(TableName=name, Item=key | {"Open": {"S": "session"}})

    updated = account.bootstrap().succeeded().json

    assert updated["status"] == "UPDATE_COMPLETE"
    table = account.dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableId"] == before["TableId"]
    found = account.dynamodb.scan(TableName=name, IndexName="GSI-Open")["Items"]
    assert [item["RequestId"] for item in found] == [key["RequestId"]]


def _without_index(template: str) -> str:
    """The template, but for the index of the debugger table, and the key that only that has."""
    key = "        - { AttributeName: Open, AttributeType: S }\n"
    index = re.compile(
        r" {6}GlobalSecondaryIndexes:\n( {8}#.*\n)* {8}- IndexName: GSI-Open\n( {8}.*\n)+"
    )
    found, count = index.subn("", template.replace(key, ""))
    assert count == 1
    return found


def test_destroy_removes_old_versions_too(account: Account) -> None:
    account.bootstrap().succeeded()
    account.s3.put_bucket_versioning(
        Bucket=account.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    for body in (b"1", b"2"):
        account.s3.put_object(Bucket=account.bucket, Key=f"{account.stack_name}/extra", Body=body)
    account.s3.delete_object(Bucket=account.bucket, Key=f"{account.stack_name}/extra")

    account.bootstrap("destroy", "--yes").succeeded()

    assert account.is_empty()


def test_destroy_restores_the_functions_that_are_being_debugged(
    plldb: Plldb, target: Target, tmp_path: Path
) -> None:
    helper = random_name("helper")
    with deployed_project(target, tmp_path / "project", ["Alpha", "Beta"]) as project:
        before = project.configurations()
        plldb("bootstrap", "--stack-name", helper).succeeded()
        try:
            with plldb.attach(
                project.stack_name, "--helper-stack", helper, "--template", project.template
            ) as attached:
                assert attached.wait_for("ready")["instrumented"] == 2
                assert project.configurations() != before

                plldb("bootstrap", "destroy", "--stack-name", helper, "--yes").succeeded()

                assert project.configurations() == before
            assert project.configurations() == before
        finally:
            plldb("bootstrap", "destroy", "--stack-name", helper, "--yes").succeeded()
        assert project.invoke("Alpha").json["ran"] == "deployed"


def test_destroy_asks_first(account: Account) -> None:
    account.bootstrap().succeeded()

    account.bootstrap("destroy").failed(exit_code=2)

    assert account.bootstrap().succeeded().json["changed"] is False


def test_two_helper_stacks_live_side_by_side(account: Account) -> None:
    account.bootstrap().succeeded()
    second = account.bootstrap("--stack-name", "other").succeeded().json
    try:
        assert second["sessionsTable"] == "PLLDBSessions-other"
    finally:
        account.bootstrap("destroy", "--stack-name", "other", "--yes").succeeded()

    assert account.bootstrap().succeeded().json["changed"] is False, "the first one was harmed"


def test_a_stack_that_only_has_the_name_is_left_alone(account: Account) -> None:
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    account.cloudformation.create_stack(StackName=account.stack_name, TemplateBody=template)
    account.cloudformation.get_waiter("stack_create_complete").wait(
        StackName=account.stack_name, WaiterConfig={"Delay": 1}
    )
    try:
        assert "plldb did not make it" in account.bootstrap().failed().stderr
        assert "plldb did not make it" in account.bootstrap("destroy", "--yes").failed().stderr
        stack = find_stack(account.target, account.stack_name)
        assert stack is not None
        assert stack.status == "CREATE_COMPLETE"
    finally:
        delete_stack(account.target, account.stack_name)
