"""What the helper stack is made of, and what it may do."""

from __future__ import annotations

import hashlib
import json
import os
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from plldb.bootstrap.release import build_release
from tests.template import TEMPLATE, as_list, load
from tests.unit.bootstrap.lambda_functions.handlers.loading import fresh_handlers

FUNCTIONS = TEMPLATE.parent / "lambda_functions"
RESOURCES: dict[str, dict[str, Any]] = load()["Resources"]


def of_type(*types: str) -> dict[str, dict[str, Any]]:
    return {name: r for name, r in RESOURCES.items() if r["Type"] in types}


def source_of(module: str) -> str:
    return (FUNCTIONS / f"{module}.py").read_text(encoding="utf-8")


def routes() -> dict[str, tuple[str, str]]:
    """``POST /sessions`` → (type of authorization, logical id of the function)."""

    def path(name: str) -> str:
        properties = RESOURCES[name]["Properties"]
        parent = properties["ParentId"].get("Ref")
        return f"{path(parent) if parent else ''}/{properties['PathPart']}"

    found = {}
    for method in of_type("AWS::ApiGateway::Method").values():
        properties = method["Properties"]
        uri = properties["Integration"]["Uri"]["Fn::Sub"]
        function = re.search(r"functions/\$\{(\w+)\.Arn\}", uri)
        assert function
        route = f"{properties['HttpMethod']} {path(properties['ResourceId']['Ref'])}"
        found[route] = (properties["AuthorizationType"], function[1])
    return found


def statements(role: str) -> list[dict[str, Any]]:
    """Without those that tracing adds."""
    policies = [p for p in RESOURCES[role]["Properties"]["Policies"] if "Fn::If" not in p]
    return [s for policy in policies for s in as_list(policy["PolicyDocument"]["Statement"])]


class RecordingEnviron(dict[str, str]):
    """The environment's variables, and which of them were read."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


class TestSizeAndShape:
    def test_it_fits_into_a_call(self) -> None:
        """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
        assert len(TEMPLATE.read_bytes()) < 51_200

    def test_it_is_vanilla_cloudformation(self) -> None:
        assert "Transform" not in load()
        assert all(r["Type"].startswith("AWS::") for r in RESOURCES.values())
        assert not of_type("AWS::CloudFormation::Stack", "AWS::CloudFormation::CustomResource")

    def test_the_release_gives_exactly_the_parameters_that_have_no_default_or_are_its_own(
        self,
    ) -> None:
        parameters = load()["Parameters"]
        given = build_release(
            stack_name="plldb", region="r", account_id="1", execute_api_base_url=""
        ).parameters
        required = {name for name, p in parameters.items() if "Default" not in p}
        assert required <= given.keys() <= parameters.keys()

    def test_every_parameter_is_described_and_used(self) -> None:
        text = TEMPLATE.read_text(encoding="utf-8")
        for name, parameter in load()["Parameters"].items():
            assert parameter["Description"], name
            assert re.search(rf"!Ref {name}\b|\$\{{{name}\}}", text), name

    def test_the_outputs(self) -> None:
        assert {
            "ManagementApiId",
            "ManagementApiUrl",
            "WebSocketApiId",
            "WebSocketUrl",
            "SessionsTableName",
            "DebuggerTableName",
            "DebuggerLayerArn",
            "InstrumentationFunctionName",
        } <= load()["Outputs"].keys()

    def test_no_api_gateway_v2_deployment_which_not_every_emulator_has(self) -> None:
        assert not of_type("AWS::ApiGatewayV2::Deployment")
        for stage in of_type("AWS::ApiGatewayV2::Stage").values():
            assert stage["Properties"]["AutoDeploy"] is True


class TestTables:
    def test_each_is_encrypted_on_demand_and_forgets_by_itself(self) -> None:
        """Tables are encrypted in any case; naming SSE means KMS, which counts each use of a key:

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
        """
        tables = of_type("AWS::DynamoDB::Table")
        assert tables.keys() == {"PLLDBSessions", "PLLDBDebugger"}
        for table in tables.values():
            properties = table["Properties"]
            assert "SSESpecification" not in properties
            assert properties["BillingMode"] == "PAY_PER_REQUEST"
            ttl = {"AttributeName": "TTL", "Enabled": True}
            assert properties["TimeToLiveSpecification"] == ttl
            recovery = properties["PointInTimeRecoverySpecification"]
            assert recovery == {"PointInTimeRecoveryEnabled": {"Ref": "PointInTimeRecovery"}}

    def test_keys_and_indexes(self) -> None:
        def keys(schema: list[dict[str, str]]) -> dict[str, str]:
            return {key["KeyType"]: key["AttributeName"] for key in schema}

        sessions = RESOURCES["PLLDBSessions"]["Properties"]
        assert keys(sessions["KeySchema"]) == {"HASH": "SessionId"}
        indexes = {i["IndexName"]: keys(i["KeySchema"]) for i in sessions["GlobalSecondaryIndexes"]}
        assert indexes == {
            "GSI-StackName": {"HASH": "StackName", "RANGE": "TTL"},
            "GSI-ConnectionId": {"HASH": "ConnectionId", "RANGE": "SessionId"},
        }
        debugger = RESOURCES["PLLDBDebugger"]["Properties"]
        assert keys(debugger["KeySchema"]) == {"HASH": "RequestId"}
        (index,) = debugger["GlobalSecondaryIndexes"]
        assert (index["IndexName"], keys(index["KeySchema"])) == ("GSI-Open", {"HASH": "Open"})
        # Reading an index costs by what is in it: what decides and what is needed, and no answer.
        assert index["Projection"] == {
            "ProjectionType": "INCLUDE",
            "NonKeyAttributes": ["Deadline", "SessionId", "StackName", "Hold"],
        }

    def test_the_store_writes_the_attributes_that_the_table_has(self) -> None:
        from dataclasses import replace

        from lambda_functions.sessions.dynamodb import DynamoDbSessionStore
        from lambda_functions.sessions.session import new_session

        from tests.unit.fakes import FakeDynamoDb

        client = FakeDynamoDb()
        session = replace(new_session("app", "me", 0), connection_id="c")
        DynamoDbSessionStore(client, "t").create(session)
        (item,) = client.items.values()

        table = RESOURCES["PLLDBSessions"]["Properties"]
        for attribute in table["AttributeDefinitions"]:
            assert list(item[attribute["AttributeName"]]) == [attribute["AttributeType"]]
        assert "N" in item[table["TimeToLiveSpecification"]["AttributeName"]]


class TestRoles:
    def test_the_session_functions_may_do_this_and_nothing_else(self) -> None:
        actions = {a for s in statements("PLLDBDebuggerRole") for a in as_list(s["Action"])}
        assert actions == {
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
            "execute-api:ManageConnections",
            "lambda:InvokeFunction",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:GetObject",
            "s3:PutObject",
        }
        assert "ManagedPolicyArns" not in RESOURCES["PLLDBDebuggerRole"]["Properties"]

    def test_and_only_on_their_own_resources(self) -> None:
        for statement in statements("PLLDBDebuggerRole"):
            resources = json.dumps(statement["Resource"])
            own = r"PLLDBSessions|PLLDBAPI|FunctionsLogGroup|PayloadsPrefix|InstrumentationFunction"
            assert re.search(own, resources)

    def test_payloads_lie_in_this_accounts_bucket(self) -> None:
        """Whoever has a bucket of the same name elsewhere sees none of them."""
        (payloads,) = [
            one
            for one in statements("PLLDBDebuggerRole")
            if "s3:PutObject" in as_list(one["Action"])
        ]
        own = {"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}}
        # An emulator may not know the key.
        assert payloads["Condition"] == {"Fn::If": ["OnAws", own, {"Ref": "AWS::NoValue"}]}

    def test_reading_many_sessions_is_limited_to_what_it_is_for(self) -> None:
        """Nobody scans a table: an index of what is attached, and a stack's part of another."""

        def resources(action: str) -> list[Any]:
            return [
                resource
                for statement in statements("PLLDBDebuggerRole")
                if action in as_list(statement["Action"])
                for resource in as_list(statement["Resource"])
            ]

        by_stack, by_connection = (
            {"Fn::Sub": f"${{PLLDBSessions.Arn}}/index/{index}"}
            for index in ("GSI-StackName", "GSI-ConnectionId")
        )
        assert resources("dynamodb:Scan") == [by_connection]
        assert resources("dynamodb:Query") == [by_stack, by_connection]
        assert resources("dynamodb:BatchGetItem") == [{"Fn::GetAtt": ["PLLDBSessions", "Arn"]}]

    def test_the_instrumentation_function_may_do_this_and_nothing_else(self) -> None:
        actions = {a for s in statements("PLLDBManagerRole") for a in as_list(s["Action"])}
        assert actions == {
            "cloudformation:DescribeStacks",
            "cloudformation:ListStackResources",
            "dynamodb:GetItem",
            "dynamodb:UpdateItem",
            "execute-api:ManageConnections",
            "lambda:DeleteFunction",
            "lambda:GetFunctionConcurrency",
            "lambda:GetFunctionConfiguration",
            "lambda:GetLayerVersion",
            "lambda:GetPolicy",
            "lambda:ListAliases",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "lambda:ListProvisionedConcurrencyConfigs",
            "lambda:ListVersionsByFunction",
            "lambda:PublishVersion",
            "lambda:UpdateAlias",
            "lambda:UpdateFunctionConfiguration",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "sqs:GetQueueAttributes",
        }
        assert "ManagedPolicyArns" not in RESOURCES["PLLDBManagerRole"]["Properties"]

    def test_it_changes_no_session_but_what_is_known_of_mere_lists(self) -> None:
        from lambda_functions.shared.constants import FUNCTION_LISTS_PREFIX

        (statement,) = (
            one for one in statements("PLLDBManagerRole") if one["Action"] == "dynamodb:UpdateItem"
        )
        keys = {"dynamodb:LeadingKeys": [f"{FUNCTION_LISTS_PREFIX}*"]}
        assert statement["Condition"] == {"ForAllValues:StringLike": keys}

    def test_each_does_with_connections_what_it_has_to_and_no_more(self) -> None:
        def methods(role: str) -> set[str]:
            (resources,) = (
                as_list(statement["Resource"])
                for statement in statements(role)
                if statement["Action"] == "execute-api:ManageConnections"
            )
            found = [
                re.fullmatch(r".*:\$\{PLLDBAPI\}/plldb/([A-Z]+)/@connections/\*", r["Fn::Sub"])
                for r in resources
            ]
            return {one[1] for one in found if one}

        assert methods("PLLDBDebuggerRole") == {"POST", "DELETE"}
        assert methods("PLLDBManagerRole") == {"POST"}
        assert methods("PLLDBReaperRole") == {"GET", "DELETE"}

    def test_no_role_may_do_everything_or_to_everything(self) -> None:
        for role in of_type("AWS::IAM::Role"):
            for statement in statements(role):
                assert statement["Effect"] == "Allow"
                assert not {"NotAction", "NotResource"} & statement.keys()
                for action in as_list(statement["Action"]):
                    assert "*" not in action, role
                # The actions for which AWS knows no resource.
                lists = ["lambda:ListEventSourceMappings", "lambda:ListFunctions"]
                if statement["Action"] != lists:
                    assert "*" not in as_list(statement["Resource"]), role

    def test_only_lambda_takes_them(self) -> None:
        for role in of_type("AWS::IAM::Role").values():
            (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
            assert statement["Action"] == "sts:AssumeRole"

    def test_the_only_other_policy_keeps_the_helper_stack_from_debugging_itself(self) -> None:
        (policy,) = [r for r in RESOURCES.values() if "Policy" in r["Type"]]
        assert policy["Type"] == "AWS::IAM::Policy"
        assert policy["Properties"]["Roles"] == [{"Ref": "PLLDBManagerRole"}]
        own, whole = policy["Properties"]["PolicyDocument"]["Statement"]
        assert own == {
            "Effect": "Deny",
            "Action": [
                "lambda:PublishVersion",
                "lambda:UpdateAlias",
                "lambda:UpdateFunctionConfiguration",
            ],
            "Resource": [
                {"Fn::GetAtt": [name, "Arn"]} for name in of_type("AWS::Lambda::Function")
            ],
        }
        # A version that is none, but the function with all that it has.
        assert (whole["Effect"], whole["Action"]) == ("Deny", "lambda:DeleteFunction")
        assert whole["Resource"]["Fn::Sub"].endswith(":function:*:$LATEST")

    def test_the_instrumentation_function_deletes_versions_and_never_a_function(self) -> None:
        (statement,) = (
            one
            for one in statements("PLLDBManagerRole")
            if "lambda:DeleteFunction" in as_list(one["Action"])
        )
        assert statement["Action"] == "lambda:DeleteFunction"
        pattern = statement["Resource"]["Fn::Sub"].rpartition("function:")[2]
        assert pattern == "${DebuggableFunctions}:*"
        for names in ("*", "ord*", "orders"):
            of_names = pattern.replace("${DebuggableFunctions}", names)
            assert not fnmatchcase("orders", of_names)
            assert fnmatchcase("orders:7", of_names)

    def test_only_what_may_be_debugged_can_be_changed(self) -> None:
        """By name and by tag; whatever reads is for all, as ListFunctions is in any case."""
        tag = {"StringEquals": {"aws:ResourceTag/plldb:debug": {"Ref": "DebuggableTag"}}}
        changing = [
            one
            for one in statements("PLLDBManagerRole")
            if any(
                action in ("lambda:UpdateFunctionConfiguration", "lambda:DeleteFunction")
                for action in as_list(one["Action"])
            )
        ]
        assert len(changing) == 2
        for statement in changing:
            assert statement["Condition"] == {"Fn::If": ["ByTag", tag, {"Ref": "AWS::NoValue"}]}
            for resource in as_list(statement["Resource"]):
                assert "function:${DebuggableFunctions}" in resource["Fn::Sub"]
        reading = {"Get", "List"}
        for statement in statements("PLLDBManagerRole"):
            arns = json.dumps(statement["Resource"])
            if "function:*" in arns:
                verbs = {re.match(r"lambda:([A-Z][a-z]+)", a)[1] for a in statement["Action"]}  # type: ignore[index]
                assert verbs <= reading

    def test_a_company_bounds_them_and_says_where_they_lie(self) -> None:
        from lambda_functions.instrumentation.scope import TAG

        assert TAG == "plldb:debug"
        for role in of_type("AWS::IAM::Role").values():
            bounded = ["Bounded", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]
            assert role["Properties"]["PermissionsBoundary"] == {"Fn::If": bounded}
            assert role["Properties"]["Path"] == {"Ref": "RolePath"}

    @pytest.mark.parametrize(
        ("name", "good", "bad"),
        [
            (
                "PermissionsBoundaryArn",
                [
                    "",
                    "arn:aws:iam::123456789012:policy/team/Boundary",
                    "arn:aws-us-gov:iam::123456789012:policy/B",
                    "arn:aws-cn:iam::aws:policy/PowerUserAccess",
                ],
                ["Boundary", "arn:aws:iam::123456789012:role/x", "arn:aws:iam::1:policy/x"],
            ),
            (
                "RolePath",
                ["/", "/team/", "/a/b-c/"],
                ["", "team", "/team", "team/", "//x", "/a b/"],
            ),
            ("DebuggableFunctions", ["*", "dev-*", "orders"], ["", "a:b", "a/b", "[a]"]),
            ("DebuggableTag", ["", "yes", "team a"], ["a*", '"']),
            ("IpAddressType", ["ipv4", "dualstack"], ["", "ipv6"]),
        ],
    )
    def test_their_values_are_checked(self, name: str, good: list[str], bad: list[str]) -> None:
        from plldb.bootstrap.parameters import Parameter

        parameter = Parameter.from_template(name, load()["Parameters"][name])
        assert [one for one in good if parameter.describe_violation(one)] == []
        assert [one for one in bad if not parameter.describe_violation(one)] == []

    def test_each_function_tells_that_it_is_of_a_helper_stack(self) -> None:
        """By that, the instrumentation function of another one leaves it alone."""
        from lambda_functions.shared import constants

        for function in of_type("AWS::Lambda::Function").values():
            variables = function["Properties"]["Environment"]["Variables"]
            assert variables[constants.HELPER_STACK] == {"Ref": "AWS::StackName"}

    def test_names_are_cloudformations_so_that_no_named_iam_capability_is_needed(self) -> None:
        for role in of_type("AWS::IAM::Role").values():
            assert "RoleName" not in role["Properties"]


class TestFunctions:
    def test_each_has_a_file_of_its_own_that_is_named_after_it(self) -> None:
        names = {
            name.removesuffix("Function").lower(): function["Properties"]["Handler"]
            for name, function in of_type("AWS::Lambda::Function").items()
        }
        files = {file.stem for file in (FUNCTIONS / "handlers").glob("[a-z]*.py")}
        assert names == {stem: f"lambda_functions.handlers.{stem}.handler" for stem in files}

    def test_none_is_inlined(self) -> None:
        for function in of_type("AWS::Lambda::Function").values():
            assert function["Properties"]["Code"].keys() == {"S3Bucket", "S3Key"}

    @pytest.mark.parametrize("name", of_type("AWS::Lambda::Function"))
    def test_each_has_the_variables_that_it_reads_and_no_others(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        properties = RESOURCES[name]["Properties"]
        given = dict.fromkeys(properties["Environment"]["Variables"], "0")
        if "PLLDB_CONNECTIONS_URL" in given:  # a client may be made of it at once
            given["PLLDB_CONNECTIONS_URL"] = "https://here/plldb"
        environ = RecordingEnviron(os.environ | given | {"AWS_DEFAULT_REGION": "eu-west-1"})
        monkeypatch.setattr(os, "environ", environ)
        with fresh_handlers(monkeypatch) as handlers:
            assert handlers[properties["Handler"].split(".")[2]]
        if "PLLDB_METRICS" in given:
            environ["PLLDB_HELPER_STACK"]  # which the log reads where metrics are on
        assert {one for one in environ.read if one.startswith("PLLDB_")} == given.keys()

    def test_each_runs_as_its_role_and_logs_to_the_group_with_retention(self) -> None:
        for name, function in of_type("AWS::Lambda::Function").items():
            properties = function["Properties"]
            others = {
                "InstrumentationFunction": "PLLDBManagerRole",
                "ReaperFunction": "PLLDBReaperRole",
            }
            role = others.get(name, "PLLDBDebuggerRole")
            assert properties["Role"] == {"Fn::GetAtt": [role, "Arn"]}, name
            assert properties["LoggingConfig"]["LogGroup"] == {"Ref": "FunctionsLogGroup"}, name
            # API Gateway waits for 29 s; nobody waits for the others.
            assert name in others or properties["Timeout"] < 29, name

    def test_those_that_end_sessions_can_have_them_restored(self) -> None:
        for name in ("WebSocketFunction", "ManagementFunction", "ReaperFunction"):
            variables = RESOURCES[name]["Properties"]["Environment"]["Variables"]
            target = {"Ref": "InstrumentationFunction"}
            assert variables["PLLDB_INSTRUMENTATION_FUNCTION"] == target

    def test_each_log_group_forgets(self) -> None:
        groups = of_type("AWS::Logs::LogGroup")
        assert groups
        for group in groups.values():
            assert group["Properties"]["RetentionInDays"]

    def test_each_permission_names_the_api_that_may_call(self) -> None:
        permissions = of_type("AWS::Lambda::Permission")
        functions = {p["Properties"]["FunctionName"]["Ref"] for p in permissions.values()}
        # That one is invoked by a role.
        assert functions == of_type("AWS::Lambda::Function").keys() - {"InstrumentationFunction"}
        for name, permission in permissions.items():
            if name == "ReaperPermission":  # which has the schedule's rule
                continue
            source = permission["Properties"]["SourceArn"]["Fn::Sub"]
            assert "${PLLDBAPI}" in source or "${PLLDBManagementAPI}" in source
            assert permission["Properties"]["Principal"] == "apigateway.amazonaws.com"

    def test_arns_name_no_partition_of_their_own(self) -> None:
        text = TEMPLATE.read_text(encoding="utf-8")
        assert "arn:aws" not in text
        assert "amazonaws.com/" not in text


class TestApis:
    def test_every_operation_needs_a_signature(self) -> None:
        assert routes()
        for route, given in routes().items():
            assert given == ("AWS_IAM", "ManagementFunction"), route

    def test_there_is_a_method_for_every_operation(self) -> None:
        operations = re.findall(
            r'^    "([A-Z]+ /\S+)":', source_of("handlers/management"), re.MULTILINE
        )
        assert sorted(operations) == sorted(routes())

    def test_connecting_asks_the_authorizer(self) -> None:
        from plldb.bootstrap.cloudformation.lambda_functions.websocket.wire import (
            SESSION_ID_PARAMETER,
        )

        (authorizer,) = of_type("AWS::ApiGatewayV2::Authorizer").values()
        source = f"route.request.querystring.{SESSION_ID_PARAMETER}"
        assert authorizer["Properties"]["IdentitySource"] == [source]
        assert authorizer["Properties"]["AuthorizerType"] == "REQUEST"
        connect = RESOURCES["ConnectRoute"]["Properties"]
        assert connect["RouteKey"] == "$connect"
        assert connect["AuthorizationType"] == "CUSTOM"
        assert connect["AuthorizerId"] == {"Ref": "SessionAuthorizer"}

    def test_all_routes_and_the_authorizer_are_one_function(self) -> None:
        """What a message wants is in it: a route for each action would add nothing. And whoever
        has been admitted finds an environment that has started.
        """
        routes = of_type("AWS::ApiGatewayV2::Route")
        targets = {
            route["Properties"]["RouteKey"]: route["Properties"]["Target"]["Fn::Sub"]
            for route in routes.values()
        }
        integration = "integrations/${WebSocketIntegration}"
        assert targets == dict.fromkeys(("$connect", "$disconnect", "$default"), integration)
        for resource, key in (
            ("SessionAuthorizer", "AuthorizerUri"),
            ("WebSocketIntegration", "IntegrationUri"),
        ):
            assert "${WebSocketFunction.Arn}" in RESOURCES[resource]["Properties"][key]["Fn::Sub"]
        (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
        assert set(stage["DependsOn"]) == routes.keys()

    def test_a_function_is_called_by_post(self) -> None:
        """As Lambda integrations of WebSocket APIs have to be:

        https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html
        """
        for integration in of_type("AWS::ApiGatewayV2::Integration").values():
            assert integration["Properties"]["IntegrationType"] == "AWS_PROXY"
            assert integration["Properties"]["IntegrationMethod"] == "POST"

    def test_both_are_throttled(self) -> None:
        (rest,) = of_type("AWS::ApiGateway::Stage").values()
        (settings,) = rest["Properties"]["MethodSettings"]
        (websocket,) = of_type("AWS::ApiGatewayV2::Stage").values()
        for throttled in (settings, websocket["Properties"]["DefaultRouteSettings"]):
            assert throttled["ThrottlingRateLimit"] == {"Ref": "ThrottlingRate"}
            assert throttled["ThrottlingBurstLimit"] == {"Ref": "ThrottlingBurst"}

    def test_what_everybody_may_do_is_throttled_further(self) -> None:
        (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
        (route, settings), *others = stage["Properties"]["RouteSettings"].items()
        assert (route, others) == ("$connect", [])
        assert settings["ThrottlingRateLimit"] == {"Ref": "ConnectRate"}
        parameters = load()["Parameters"]
        assert parameters["ConnectRate"]["Default"] < parameters["ThrottlingRate"]["Default"]
        assert parameters["ConnectRate"]["MinValue"] == 1

    def test_who_is_attached_learns_how_many_invocations_may_wait(self) -> None:
        variables = RESOURCES["InstrumentationFunction"]["Properties"]["Environment"]["Variables"]
        assert variables["PLLDB_MAX_WAITING_INVOCATIONS"] == {"Ref": "MaxWaitingInvocations"}
        assert load()["Parameters"]["MaxWaitingInvocations"]["MinValue"] == 1

    def test_the_limits_and_their_defaults(self) -> None:
        parameters = load()["Parameters"]
        assert {name: parameters[name]["Default"] for name in parameters if "Max" in name} == {
            "MaxPendingSessions": 1000,
            "MaxRequestBytes": 8192,
            "MaxMessageBytes": 131_072,
            "MaxWaitingInvocations": 200,
        }

    def test_a_changed_method_gets_a_new_deployment(self) -> None:
        """A deployment is a snapshot; only a new logical id makes CloudFormation take another."""
        snapshot = {
            name: resource
            for name, resource in RESOURCES.items()
            if name == "PLLDBManagementAPI"
            or resource["Type"]
            in {
                f"AWS::ApiGateway::{kind}"
                for kind in (
                    "Resource",
                    "Method",
                    "Authorizer",
                    "Model",
                    "RequestValidator",
                    "GatewayResponse",
                )
            }
        }
        canonical = json.dumps(snapshot, sort_keys=True, separators=(",", ":"))
        suffix = hashlib.sha256(canonical.encode()).hexdigest()[:8]
        (deployment,) = of_type("AWS::ApiGateway::Deployment")
        expected = f"ManagementDeployment{suffix}"
        assert deployment == expected, f"rename {deployment} in template.yaml to {expected}"
        (stage,) = of_type("AWS::ApiGateway::Stage").values()
        assert stage["Properties"]["DeploymentId"] == {"Ref": expected}

    def test_the_deployment_waits_for_every_method(self) -> None:
        (deployment,) = of_type("AWS::ApiGateway::Deployment").values()
        assert set(deployment["DependsOn"]) == of_type("AWS::ApiGateway::Method").keys()


@pytest.mark.parametrize("name", ["PLLDBSessions", "PLLDBDebugger", "FunctionsLogGroup"])
def test_what_holds_data_leaves_with_the_stack(name: str) -> None:
    assert RESOURCES[name]["DeletionPolicy"] == "Delete"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Delete"
