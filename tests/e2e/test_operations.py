"""What watches and keeps the helper stack: as deployed by default, and with everything on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from plldb.aws import Target
from plldb.stacks import find_helper_stack
from tests.template import as_list

from .policies import ROLES, TEMPLATE, DeployedTemplate
from .support import Backend, Plldb, function_logs, poll, random_name

FUNCTIONS = sorted(
    name for name, r in TEMPLATE["Resources"].items() if r["Type"] == "AWS::Lambda::Function"
)
EVERYTHING = {
    "Dashboard": "true",
    "DeletionProtection": "true",
    "LogRetentionDays": "90",
    "Metrics": "false",
    "PointInTimeRecovery": "true",
    "ReaperSchedule": "rate(1 hour)",
    "Tracing": "true",
}


def topic(target: Target) -> str:
    """Nobody looks whether there is one of that name, but it has to be of the same region."""
    return f"arn:{target.partition}:sns:{target.region}:{target.account_id}:alarms"


def setup(plldb: Plldb, name: str, parameters: dict[str, str]) -> None:
    flags = [flag for n, v in parameters.items() for flag in ("--parameter", f"{n}={v}")]
    plldb("bootstrap", "--stack-name", name, *flags, timeout=1800).succeeded()


@pytest.fixture(scope="module")
def guarded(plldb: Plldb, target: Target) -> Iterator[Backend]:
    """A second helper stack, with everything on."""
    name = random_name("plldb-guarded")
    try:
        setup(plldb, name, EVERYTHING | {"AlarmTopicArn": topic(target)})
        yield Backend(target, find_helper_stack(target, name))
    finally:
        setup(plldb, name, {"DeletionProtection": "false"})
        plldb("bootstrap", "destroy", "--yes", "--stack-name", name, timeout=1800).succeeded()


class Deployed:
    """What AWS says of a helper stack's resources."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.client = backend.target.client
        self.template = DeployedTemplate(backend.target, backend.helper.name)

    def function(self, name: str) -> dict[str, Any]:
        client = self.client("lambda")
        return dict(client.get_function_configuration(FunctionName=self.template.ref(name)))

    def table(self, name: str) -> dict[str, Any]:
        return dict(self.client("dynamodb").describe_table(TableName=name)["Table"])

    def recovers(self, table: str) -> str:
        found = self.client("dynamodb").describe_continuous_backups(TableName=table)
        backups = found["ContinuousBackupsDescription"]
        return str(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"])

    def alarms(self) -> dict[str, list[str]]:
        """The alarms' names in the template → whom they tell."""
        names = {
            self.template.ref(name): name
            for name, r in TEMPLATE["Resources"].items()
            if r["Type"] == "AWS::CloudWatch::Alarm" and self.template.has(name)
        }
        found = self.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
        return {names[alarm["AlarmName"]]: alarm["AlarmActions"] for alarm in found}

    def dashboards(self) -> list[str]:
        found = self.client("cloudwatch").list_dashboards()["DashboardEntries"]
        name = f"{self.backend.helper.name}-{self.backend.target.region}"
        return [d["DashboardName"] for d in found if d["DashboardName"] == name]

    def retention(self) -> int:
        name = self.template.ref("FunctionsLogGroup")
        groups = self.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        return int(next(g for g in groups if g["logGroupName"] == name)["retentionInDays"])

    def role_actions(self, role: str) -> set[str]:
        """All that the role's policies allow, as IAM has them."""
        iam, name = self.client("iam"), self.template.ref(role)
        actions: set[str] = set()
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for statement in as_list(document["Statement"]):
                actions.update(as_list(statement["Action"]))
        return actions


class TestByDefault:
    @pytest.fixture
    def deployed(self, backend: Backend) -> Deployed:
        return Deployed(backend)

    def test_tables_can_be_deleted_and_have_no_backup(self, deployed: Deployed) -> None:
        helper = deployed.backend.helper
        for table in (helper.sessions_table, helper.debugger_table):
            assert not deployed.table(table).get("DeletionProtectionEnabled")
            assert deployed.recovers(table) == "DISABLED"

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_functions_write_json_and_no_traces(self, deployed: Deployed, name: str) -> None:
        function = deployed.function(name)
        assert function["TracingConfig"]["Mode"] == "PassThrough"
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert function["Environment"]["Variables"]["PLLDB_METRICS"] == "true"

    def test_alarms_tell_nobody(self, deployed: Deployed) -> None:
        alarms = deployed.alarms()
        assert alarms.keys() >= {
            "ManagementErrorsAlarm",
            "ConnectionErrorsAlarm",
            "ReaperErrorsAlarm",
        }
        assert not [actions for actions in alarms.values() if actions]

    def test_there_is_no_dashboard(self, deployed: Deployed) -> None:
        assert deployed.dashboards() == []

    def test_logs_go_after_two_weeks(self, deployed: Deployed) -> None:
        assert deployed.retention() == 14

    @pytest.mark.parametrize("role", ROLES)
    def test_roles_may_not_trace(self, deployed: Deployed, role: str) -> None:
        assert not [a for a in deployed.role_actions(role) if a.startswith("xray:")]

    def test_each_line_carries_metrics(self, backend: Backend) -> None:
        began = time.time()
        session_id = backend.new_session()

        def line() -> dict[str, Any] | None:
            for text in function_logs(backend, began).splitlines():
                if session_id[:8] in text:
                    return dict(json.loads(text[text.index("{") :]))
            return None

        record = poll(line, "the line of POST /sessions")
        (directive,) = record["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == (
            "plldb",
            [["HelperStack", "Function"]],
        )
        assert (record["HelperStack"], record["Function"]) == (backend.helper.name, "management")
        assert record["durationMs"] > 0
        assert record["errors"] == 0


@pytest.mark.needs("monitoring")
class TestWithEverythingOn:
    @pytest.fixture
    def deployed(self, guarded: Backend) -> Deployed:
        return Deployed(guarded)

    @pytest.mark.needs("recovery")
    def test_tables_can_be_recovered(self, deployed: Deployed) -> None:
        for table in ("PLLDBSessions", "PLLDBDebugger"):
            assert deployed.recovers(deployed.template.ref(table)) == "ENABLED"

    def test_tables_can_not_be_deleted(self, deployed: Deployed) -> None:
        dynamodb = deployed.client("dynamodb")
        for table in ("PLLDBSessions", "PLLDBDebugger"):
            name = deployed.template.ref(table)
            assert deployed.table(name)["DeletionProtectionEnabled"] is True
            with pytest.raises(dynamodb.exceptions.ClientError, match="protect"):
                dynamodb.delete_table(TableName=name)

    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_functions_are_traced_and_carry_no_metrics(self, deployed: Deployed, name: str) -> None:
        function = deployed.function(name)
        assert function["TracingConfig"]["Mode"] == "Active"
        assert function["Environment"]["Variables"]["PLLDB_METRICS"] == "false"

    def test_the_management_api_is_traced(self, deployed: Deployed) -> None:
        stage = deployed.client("apigateway").get_stage(
            restApiId=deployed.backend.helper.management_api_id, stageName="plldb"
        )
        assert stage["tracingEnabled"] is True

    @pytest.mark.parametrize("role", ROLES)
    def test_roles_may_trace(self, deployed: Deployed, role: str) -> None:
        traces = {a for a in deployed.role_actions(role) if a.startswith("xray:")}
        assert traces == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

    def test_alarms_tell_the_topic(self, deployed: Deployed, target: Target) -> None:
        alarms = deployed.alarms()
        assert alarms
        assert all(actions == [topic(target)] for actions in alarms.values())

    def test_the_dashboard_draws_what_is_deployed(self, deployed: Deployed) -> None:
        (name,) = deployed.dashboards()
        found = deployed.client("cloudwatch").get_dashboard(DashboardName=name)
        body = found["DashboardBody"]
        assert json.loads(body)["widgets"]
        assert "${" not in body
        for function in FUNCTIONS:
            assert deployed.template.ref(function) in body

    def test_logs_stay_for_90_days(self, deployed: Deployed) -> None:
        assert deployed.retention() == 90

    def test_the_reaper_comes_every_hour(self, deployed: Deployed) -> None:
        rule = deployed.template.ref("ReaperRule").rpartition("|")[2]
        found = deployed.client("events").describe_rule(Name=rule)
        assert found["ScheduleExpression"] == "rate(1 hour)"

    def test_it_works_and_its_lines_carry_no_metrics(self, guarded: Backend) -> None:
        began = time.time()
        session_id = guarded.new_session()
        lines = poll(
            lambda: [t for t in function_logs(guarded, began).splitlines() if session_id[:8] in t],
            "the line of POST /sessions",
        )
        assert not [text for text in lines if "_aws" in text]


def test_a_parameter_that_makes_no_sense_is_refused(plldb: Plldb) -> None:
    for parameter in ("ReaperSchedule=sometimes", "AlarmTopicArn=me@example.org", "Tracing=maybe"):
        plldb("bootstrap", "--dry-run", "--parameter", parameter).failed(2)
