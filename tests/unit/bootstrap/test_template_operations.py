"""How the helper stack is watched and kept: alarms, dashboard, tracing, metrics, the reaper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.template import TEMPLATE, as_list, load

PARAMETERS = load()["Parameters"]
CONDITIONS = load()["Conditions"]
RESOURCES: dict[str, dict[str, Any]] = load()["Resources"]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: r for name, r in RESOURCES.items() if r["Type"] == kind}


FUNCTIONS = of_type("AWS::Lambda::Function")
ALARMS = of_type("AWS::CloudWatch::Alarm")
TRACED = {"Fn::If": ["Traced", "Active", "PassThrough"]}


def properties(name: str) -> dict[str, Any]:
    found = RESOURCES[name]["Properties"]
    assert isinstance(found, dict)
    return found


def switch(parameter: str) -> dict[str, Any]:
    """The condition that a parameter is "true"."""
    return {"Fn::Equals": [{"Ref": parameter}, "true"]}


def policies(role: str, *, traced: bool = True) -> Iterator[dict[str, Any]]:
    """A role's policies, with or without those that tracing adds."""
    for policy in properties(role)["Policies"]:
        if "Fn::If" in policy:
            condition, with_tracing, without = policy["Fn::If"]
            assert (condition, without) == ("Traced", {"Ref": "AWS::NoValue"})
            if traced:
                yield with_tracing
        else:
            yield policy


def statements(role: str, *, traced: bool = True) -> list[dict[str, Any]]:
    found = policies(role, traced=traced)
    return [s for policy in found for s in as_list(policy["PolicyDocument"]["Statement"])]


ROLES = sorted(of_type("AWS::IAM::Role"))


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "default"),
        [
            ("PointInTimeRecovery", "false"),
            ("DeletionProtection", "false"),
            ("Tracing", "false"),
            ("Dashboard", "false"),
            ("Metrics", "true"),
        ],
    )
    def test_a_switch_is_true_or_false(self, name: str, default: str) -> None:
        assert PARAMETERS[name]["Default"] == default
        assert PARAMETERS[name]["AllowedValues"] == ["true", "false"]

    def test_no_topic_and_five_minutes(self) -> None:
        assert PARAMETERS["AlarmTopicArn"]["Default"] == ""
        assert PARAMETERS["ReaperSchedule"]["Default"] == "rate(5 minutes)"

    @pytest.mark.parametrize(
        ("schedule", "is_one"),
        [
            ("rate(1 minute)", True),
            ("rate(5 minutes)", True),
            ("rate(10 hours)", True),
            ("cron(0/15 * * * ? *)", True),
            ("rate(1 minutes)", False),
            ("rate(5 minute)", False),
            ("rate(0 minutes)", False),
            ("rate(05 minutes)", False),
            ("rate(5 seconds)", False),
            ("cron(* * * * *)", False),
            ("every day", False),
        ],
    )
    def test_schedules_are_as_eventbridge_takes_them(self, schedule: str, is_one: bool) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html"""
        pattern = PARAMETERS["ReaperSchedule"]["AllowedPattern"]
        assert bool(re.search(pattern, schedule)) is is_one

    def test_conditions_read_the_parameters(self) -> None:
        assert CONDITIONS["Protected"] == switch("DeletionProtection")
        assert CONDITIONS["Traced"] == switch("Tracing")
        assert CONDITIONS["WithDashboard"] == switch("Dashboard")


class TestTables:
    def test_protection_is_by_parameter(self) -> None:
        for table in of_type("AWS::DynamoDB::Table"):
            protected = properties(table)["DeletionProtectionEnabled"]
            assert protected == {"Fn::If": ["Protected", True, False]}


class TestPolicies:
    @pytest.mark.parametrize("role", ROLES)
    def test_no_action_has_a_wildcard(self, role: str) -> None:
        for statement in statements(role):
            assert statement["Effect"] == "Allow"
            assert not {"NotAction", "NotResource"} & statement.keys()
            for action in as_list(statement["Action"]):
                assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action)

    def test_everything_is_the_resource_only_where_a_comment_says_why(self) -> None:
        """Two statements: what AWS knows no resource for."""
        text = TEMPLATE.read_text(encoding="utf-8")
        argued = re.findall(r"# AWS knows no resource for th[^#\n]*\n(?:(?! *#).*\n){1,4}", text)
        wildcards = len(re.findall(r'Resource: "\*"', text))
        assert wildcards == sum('Resource: "*"' in block for block in argued)
        actions = {
            action
            for role in ROLES
            for statement in statements(role)
            if "*" in as_list(statement["Resource"])
            for action in as_list(statement["Action"])
        }
        assert actions == {
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        }

    def test_wildcards_inside_resources_are_these(self) -> None:
        """The stacks that are debugged can't be known; the rest is below something of ours."""
        allowed = {
            ("PLLDBManagerRole", "cloudformation", "stack/*"),
            ("PLLDBManagerRole", "lambda", "function:*"),
            ("PLLDBManagerRole", "lambda", "function:${DebuggableFunctions}:*"),
            ("PLLDBManagerRole", "lambda", "*:layer:*"),
            ("PLLDBManagerRole", "sqs", "*"),
        }
        ours = re.compile(
            r"\$\{PLLDBAPI\}/plldb/(GET|POST|DELETE)/@connections/\*$"
            r"|\$\{ArtifactsBucket\}/\$\{PayloadsPrefix\}\*$"
        )
        found = set()
        for role in ROLES:
            for resource in (r for s in statements(role) for r in as_list(s["Resource"])):
                arn = resource.get("Fn::Sub", "") if isinstance(resource, dict) else ""
                if "*" in arn and not ours.search(arn):
                    service, rest = arn.removeprefix("arn:${AWS::Partition}:").split(":", 1)
                    rest = rest.removeprefix("${AWS::Region}:").removeprefix("${AWS::AccountId}:")
                    found.add((role, service, rest))
        assert found == allowed

    def test_the_reaper_may_do_this_and_nothing_else(self) -> None:
        found = statements("PLLDBReaperRole", traced=False)
        assert {a for s in found for a in as_list(s["Action"])} == {
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
            "execute-api:ManageConnections",
            "lambda:InvokeFunction",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        }
        (scan,) = [s for s in found if s["Action"] == "dynamodb:Scan"]
        # Of the sessions, only those with a connection; of the rest, only what is not over.
        assert scan["Resource"] == [
            {"Fn::Sub": "${PLLDBSessions.Arn}/index/GSI-ConnectionId"},
            {"Fn::Sub": "${PLLDBDebugger.Arn}/index/GSI-Open"},
        ]
        (invoke,) = [s for s in found if s["Action"] == "lambda:InvokeFunction"]
        assert invoke["Resource"] == {"Fn::GetAtt": ["InstrumentationFunction", "Arn"]}


class TestReaper:
    def test_the_schedule_invokes_it_and_nothing_else_may(self) -> None:
        rule = properties("ReaperRule")
        assert rule["ScheduleExpression"] == {"Ref": "ReaperSchedule"}
        assert rule["State"] == "ENABLED"
        (target,) = rule["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": ["ReaperFunction", "Arn"]}
        permission = properties("ReaperPermission")
        assert permission["FunctionName"] == {"Ref": "ReaperFunction"}
        assert permission["Principal"] == "events.amazonaws.com"
        assert permission["SourceArn"] == {"Fn::GetAtt": ["ReaperRule", "Arn"]}

    def test_it_runs_as_its_own_role(self) -> None:
        role = {"Fn::GetAtt": ["PLLDBReaperRole", "Arn"]}
        assert [n for n, f in FUNCTIONS.items() if f["Properties"]["Role"] == role] == [
            "ReaperFunction"
        ]

    def test_it_is_over_before_the_next_one_starts(self) -> None:
        assert properties("ReaperFunction")["Timeout"] <= 5 * 60


class TestLogsMetricsAndTraces:
    @pytest.mark.parametrize("name", sorted(FUNCTIONS))
    def test_each_function_logs_json_with_metrics_and_is_traced(self, name: str) -> None:
        logging = properties(name)["LoggingConfig"]
        assert logging == {"LogGroup": {"Ref": "FunctionsLogGroup"}, "LogFormat": "JSON"}
        variables = properties(name)["Environment"]["Variables"]
        assert variables["PLLDB_METRICS"] == {"Ref": "Metrics"}
        assert variables["PLLDB_HELPER_STACK"] == {"Ref": "AWS::StackName"}
        assert properties(name)["TracingConfig"] == {"Mode": TRACED}

    def test_the_management_api_is_traced_with_them(self) -> None:
        (stage,) = of_type("AWS::ApiGateway::Stage")
        assert properties(stage)["TracingEnabled"] == {"Fn::If": ["Traced", True, False]}

    @pytest.mark.parametrize("role", ROLES)
    def test_a_role_may_write_traces_only_where_there_are_any(self, role: str) -> None:
        without = [a for s in statements(role, traced=False) for a in as_list(s["Action"])]
        (tracing,) = [s for s in statements(role) if s not in statements(role, traced=False)]
        assert not [action for action in without if action.startswith("xray:")]
        assert tracing == {
            "Effect": "Allow",
            "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
            "Resource": "*",
        }


class TestAlarms:
    @pytest.mark.parametrize("name", sorted(ALARMS))
    def test_each_says_what_is_wrong_and_tells_the_topic(self, name: str) -> None:
        alarm = properties(name)
        assert "plldb" in alarm["AlarmDescription"]
        assert alarm["TreatMissingData"] == "notBreaching"
        topic = [{"Ref": "AlarmTopicArn"}]
        assert alarm["AlarmActions"] == {
            "Fn::If": ["WithAlarmTopic", topic, {"Ref": "AWS::NoValue"}]
        }

    def test_what_they_watch(self) -> None:
        assert ALARMS.keys() == {
            "ConnectionErrorsAlarm",
            "FunctionErrorsAlarm",
            "FunctionThrottlesAlarm",
            "ManagementErrorsAlarm",
            "ReaperErrorsAlarm",
        }
        reaper = properties("ReaperErrorsAlarm")
        assert (reaper["Namespace"], reaper["MetricName"]) == ("AWS/Lambda", "Errors")
        assert reaper["Dimensions"] == [
            {"Name": "FunctionName", "Value": {"Ref": "ReaperFunction"}}
        ]

    @pytest.mark.parametrize(
        ("name", "metric"),
        [("FunctionErrorsAlarm", "Errors"), ("FunctionThrottlesAlarm", "Throttles")],
    )
    def test_two_sum_over_every_function(self, name: str, metric: str) -> None:
        """An alarm takes ten metrics and expressions.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create-alarm-on-metric-math-expression.html
        """
        total, *metrics = properties(name)["Metrics"]
        assert len(metrics) + 1 <= 10
        ids = [one["Id"] for one in metrics]
        assert total["Expression"] == f"SUM([{', '.join(ids)}])"
        assert len(set(ids)) == len(ids)
        watched = []
        for one in metrics:
            assert one["ReturnData"] is False
            source = one["MetricStat"]["Metric"]
            assert (source["Namespace"], source["MetricName"]) == ("AWS/Lambda", metric)
            (dimension,) = source["Dimensions"]
            watched.append(dimension["Value"]["Ref"])
        assert sorted(watched) == sorted(FUNCTIONS)


class TestDashboard:
    @pytest.fixture
    def widgets(self) -> list[dict[str, Any]]:
        """With every ``${Name}`` left as it is."""
        body = json.loads(properties("OperationsDashboard")["DashboardBody"]["Fn::Sub"])
        assert body.keys() == {"widgets"}
        return [widget["properties"] for widget in body["widgets"]]

    def test_it_is_there_when_asked_for(self) -> None:
        assert RESOURCES["OperationsDashboard"]["Condition"] == "WithDashboard"

    def test_each_widget_draws_in_this_region(self, widgets: list[dict[str, Any]]) -> None:
        for widget in widgets:
            assert widget["title"]
            assert widget["region"] == "${AWS::Region}"
            assert widget["stat"] in {"Sum", "p95"}

    def test_it_shows_every_function(self, widgets: list[dict[str, Any]]) -> None:
        shown = {
            metrics[0][1]: {metric[-1] for metric in metrics}
            for metrics in (widget["metrics"] for widget in widgets)
            if metrics[0][0] == "AWS/Lambda"
        }
        assert shown.keys() == {"Invocations", "Errors", "Duration", "Throttles"}
        for functions in shown.values():
            assert functions == {f"${{{name}}}" for name in FUNCTIONS}

    def test_its_own_metrics_are_those_that_lines_carry(
        self, widgets: list[dict[str, Any]]
    ) -> None:
        from lambda_functions.shared.log import COUNTS, DIMENSIONS, NAMESPACE

        own = [w["metrics"] for w in widgets if w["metrics"][0][0] == NAMESPACE]
        assert own
        for first, *others in own:
            dimensions = dict(zip(first[2::2], first[3::2], strict=True))
            assert list(dimensions) == DIMENSIONS
            assert dimensions["HelperStack"] == "${AWS::StackName}"
            assert {first[1], *(metric[1] for metric in others)} <= set(COUNTS)
