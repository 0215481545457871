"""Environments: what `plldb.toml`, the command line and what is built in make of a helper stack.

Each test has a helper stack of its own name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plldb.aws import Target
from plldb.bootstrap.executor import Executor
from plldb.bootstrap.operations import BootstrapOperation
from plldb.errors import BootstrapError
from plldb.stacks import find_stack

from .project import deployed_project
from .support import Plldb, Result, random_name

SETTINGS = """
[environments.development]
helper-stack = "{stack}"
region = "{region}"

[environments.development.parameters]
LogRetentionDays = 7

[environments.production]
helper-stack = "{stack}"
region = "{region}"
output = "json"

[environments.production.parameters]
ThrottlingRate = 50
"""


class Project:
    """A folder with a plldb.toml, and the helper stack that this names."""

    def __init__(self, plldb: Plldb, target: Target, folder: Path) -> None:
        self.target = target
        self.stack_name = random_name("environment")
        self.file = folder / "plldb.toml"
        self.file.write_text(
            SETTINGS.format(stack=self.stack_name, region=target.region), encoding="utf-8"
        )
        # The suite's own helper stack is none of the settings here.
        self._plldb = plldb.within(folder).with_environment(PLLDB_HELPER_STACK="")

    def __call__(self, *arguments: str, environment: str = "development") -> Result:
        return self._plldb(*arguments, "--environment", environment)

    def bootstrap(self, *arguments: str, environment: str = "development") -> dict[str, Any]:
        arguments = ("bootstrap", *arguments, "--output", "json")
        return self(*arguments, environment=environment).succeeded().json

    def tables(self) -> list[dict[str, Any]]:
        """As DynamoDB describes them."""
        dynamodb = self.target.client("dynamodb")
        names = [f"{name}-{self.stack_name}" for name in ("PLLDBSessions", "PLLDBDebugger")]
        return [dynamodb.describe_table(TableName=name)["Table"] for name in names]

    def has_point_in_time_recovery(self) -> bool:
        """As the stack has it: MiniStack's CloudFormation does not hand it on to its DynamoDB."""
        stack = find_stack(self.target, self.stack_name)
        assert stack is not None
        return stack.parameters["PointInTimeRecovery"] == "true"

    def retention_days(self) -> set[int]:
        """Of the log groups of the stack."""
        names = self.resources("AWS::Logs::LogGroup")
        assert names
        pages = self.target.client("logs").get_paginator("describe_log_groups").paginate()
        groups = [group for page in pages for group in page["logGroups"]]
        return {group["retentionInDays"] for group in groups if group["logGroupName"] in names}

    def resources(self, kind: str) -> set[str]:
        found = self.target.client("cloudformation").describe_stack_resources(
            StackName=self.stack_name
        )["StackResources"]
        return {one["PhysicalResourceId"] for one in found if one["ResourceType"] == kind}

    def is_protected(self) -> bool:
        stack = find_stack(self.target, self.stack_name)
        assert stack is not None
        return stack.has_termination_protection


@pytest.fixture
def project(plldb: Plldb, target: Target, tmp_path: Path) -> Iterator[Project]:
    project = Project(plldb, target, tmp_path)
    try:
        yield project
    finally:
        project.bootstrap()
        project.bootstrap("destroy", "--yes")
        assert find_stack(target, project.stack_name) is None


@pytest.mark.needs("updates")
def test_production_there_and_back(project: Project) -> None:
    assert project.bootstrap(environment="production")["stackName"] == project.stack_name
    assert project.has_point_in_time_recovery()
    assert project.retention_days() == {90}
    assert project.is_protected()
    assert {table["DeletionProtectionEnabled"] for table in project.tables()} == {True}
    assert project.resources("AWS::CloudWatch::Dashboard")
    assert project.bootstrap(environment="production")["changed"] is False

    plan = project.bootstrap("--dry-run")["plan"]
    assert plan == [
        f"update stack {project.stack_name}",
        f"turn off protection of stack {project.stack_name}",
    ]
    assert project.bootstrap()["changed"] is True

    assert not project.has_point_in_time_recovery()
    assert project.retention_days() == {7}
    assert not project.is_protected()
    assert {table["DeletionProtectionEnabled"] for table in project.tables()} == {False}
    assert not project.resources("AWS::CloudWatch::Dashboard")
    assert project.bootstrap()["changed"] is False


def test_a_protected_stack_is_not_destroyed_and_nothing_is_restored(
    project: Project, plldb: Plldb, tmp_path: Path
) -> None:
    project.bootstrap(environment="production")
    with deployed_project(project.target, tmp_path / "code", ["Alpha"]) as code:
        before = code.configurations()
        flags = ("--helper-stack", project.stack_name, "--region", project.target.region)
        with plldb.attach(code.stack_name, *flags, "--template", code.template) as attached:
            attached.wait_for("ready")
            instrumented = code.configurations()
            assert instrumented != before

            for arguments in (("--yes",), ("--dry-run",)):
                refused = project("bootstrap", "destroy", *arguments).failed().stderr
                assert "is protected against deletion" in refused
                assert "--parameter DeletionProtection=false" in refused

            assert code.configurations() == instrumented
            assert code.invoke("Alpha").json["ran"] == "here"
        assert project.bootstrap(environment="production")["changed"] is False

    lift = ("--parameter", "DeletionProtection=false")
    assert project.bootstrap(*lift, environment="production")["changed"] is True
    assert project.bootstrap("destroy", "--yes", environment="production")["changed"] is True


@pytest.mark.needs("updates")
def test_parameters_of_the_command_line_win_until_the_next_run_without_them(
    project: Project,
) -> None:
    project.bootstrap(
        "--parameter", "LogRetentionDays=1", "--parameter", "PointInTimeRecovery=true"
    )
    assert project.retention_days() == {1}
    assert project.has_point_in_time_recovery()

    assert project.bootstrap()["changed"] is True
    assert project.retention_days() == {7}
    assert not project.has_point_in_time_recovery()


BROKEN_AND_PROTECTED = """
Parameters:
  DeletionProtection: { Type: String }
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: Id, AttributeType: S }]
      KeySchema: [{ AttributeName: Id, KeyType: HASH }]
      DeletionProtectionEnabled: !Ref DeletionProtection
  Broken:
    Type: Custom::Broken
    DependsOn: Table
    Properties:
      ServiceToken: !Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:no-such-thing"
"""


@pytest.mark.needs("rollback")
def test_a_protected_stack_that_failed_to_be_created_is_no_dead_end(project: Project) -> None:
    parameters = {"DeletionProtection": "true"}
    setup = BootstrapOperation.for_setup(project.target, project.stack_name, parameters)
    assert setup.release is not None
    broken = replace(setup.release, template=BROKEN_AND_PROTECTED, parameters=parameters)
    with pytest.raises(BootstrapError, match="Broken"):
        replace(setup, release=broken).run(
            lambda target: Executor(target, lambda step: None, lambda event: None)
        )
    assert project.is_protected()

    assert project.bootstrap()["status"] == "CREATE_COMPLETE"
    assert not project.is_protected()


def test_the_settings_show_what_bootstrap_uses(project: Project) -> None:
    shown = json.loads(project("config", environment="production").succeeded().stdout)

    table = "plldb.toml [environments.production]"
    assert shown["settings"]["helper-stack"] == {"value": project.stack_name, "source": table}
    assert shown["settings"]["region"] == {"value": project.target.region, "source": table}
    assert shown["parameters"]["ThrottlingRate"]["value"] == "50"

    project.bootstrap(environment="production")

    stack = find_stack(project.target, project.stack_name)
    assert stack is not None
    deployed = {name: stack.parameters[name] for name in shown["parameters"]}
    assert deployed == {name: one["value"] for name, one in shown["parameters"].items()}
