"""Finding stacks, and saying what is wrong with those that can't be used."""

from __future__ import annotations

from typing import Any

import pytest
from lambda_functions.instrumentation.request import restore_request

import plldb
from plldb.deployed import DeployedFunction, DeployedStack
from plldb.errors import AccessDeniedError, StackError
from plldb.stacks import (
    HelperStack,
    find_helper_stack,
    find_stack,
    read_deployed_stack,
    require_debuggable_stack,
    restore_functions,
)
from tests.unit.fakes import FakeTarget, client_error

USABLE = [
    "CREATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_FAILED",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_FAILED",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_IN_PROGRESS",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_IN_PROGRESS",
    "IMPORT_ROLLBACK_FAILED",
    "IMPORT_ROLLBACK_COMPLETE",
]
NOT_USABLE = [
    "CREATE_IN_PROGRESS",
    "CREATE_FAILED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_FAILED",
    "ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS",
    "DELETE_FAILED",
    "REVIEW_IN_PROGRESS",
]
OUTPUTS = {
    "ManagementApiId": "rest1",
    "ManagementApiUrl": "https://rest1.execute-api.us-east-1.amazonaws.com/plldb",
    "WebSocketApiId": "ws1",
    "WebSocketUrl": "wss://ws1.execute-api.us-east-1.amazonaws.com/plldb",
    "SessionsTableName": "PLLDBSessions",
    "DebuggerTableName": "PLLDBDebugger",
    "InstrumentationFunctionName": "plldb-instrument",
}


def outputs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"OutputKey": key, "OutputValue": value} for key, value in values.items()]


@pytest.fixture
def target() -> Any:
    return FakeTarget()


class TestFindStack:
    def test_one_that_is_not_there_is_none(self, target: Any) -> None:
        assert find_stack(target, "app") is None

    def test_it_is_found_by_name_and_by_arn(self, target: Any) -> None:
        arn = target.cloudformation.add(
            "app",
            "UPDATE_ROLLBACK_COMPLETE",
            StackStatusReason="because",
            Outputs=outputs({"Url": "u"}),
            Tags=[{"Key": "team", "Value": "blue"}],
        )
        by_name, by_arn = find_stack(target, "app"), find_stack(target, arn)
        assert by_name == by_arn
        assert by_name is not None
        assert (by_name.name, by_name.stack_id, by_name.reason) == ("app", arn, "because")
        assert (by_name.outputs, by_name.tags) == ({"Url": "u"}, {"team": "blue"})

    def test_its_parameters_and_its_protection(self, target: Any) -> None:
        target.cloudformation.add("plain", "CREATE_COMPLETE")
        target.cloudformation.add(
            "protected",
            "CREATE_COMPLETE",
            Parameters=[{"ParameterKey": "Size", "ParameterValue": "3"}],
            EnableTerminationProtection=True,
        )
        plain, protected = (find_stack(target, name) for name in ("plain", "protected"))
        assert plain is not None
        assert protected is not None
        assert (plain.parameters, plain.has_termination_protection) == ({}, False)
        assert (protected.parameters, protected.has_termination_protection) == ({"Size": "3"}, True)

    def test_a_deleted_one_counts_as_none(self, target: Any) -> None:
        arn = target.cloudformation.add("app", "DELETE_COMPLETE")
        assert find_stack(target, "app") is None
        assert find_stack(target, arn) is None

    def test_a_refusal_is_no_missing_stack(self, target: Any) -> None:
        class Refusing:
            def describe_stacks(self, **_: Any) -> Any:
                raise client_error("AccessDenied", "no", "DescribeStacks")

        target.cloudformation = Refusing()
        with pytest.raises(AccessDeniedError, match="'app'"):
            find_stack(target, "app")


class TestHelperStack:
    @pytest.mark.parametrize("status", USABLE)
    def test_a_usable_one_tells_its_endpoints_as_reached_from_here(
        self, target: Any, status: str
    ) -> None:
        target.cloudformation.add("plldb", status, Outputs=outputs(OUTPUTS))
        helper = find_helper_stack(target, "plldb")
        assert (helper.name, helper.status) == ("plldb", status)
        assert helper.management_api_url == f"here:rest1:{OUTPUTS['ManagementApiUrl']}"
        assert helper.websocket_url == f"here:ws1:{OUTPUTS['WebSocketUrl']}"
        assert helper.sessions_table == "PLLDBSessions"
        assert helper.debugger_table == "PLLDBDebugger"

    @pytest.mark.parametrize("status", NOT_USABLE)
    def test_an_unusable_one_is_named_with_its_state(self, target: Any, status: str) -> None:
        target.cloudformation.add("plldb", status, Outputs=outputs(OUTPUTS))
        with pytest.raises(StackError, match=rf"'plldb'.*{status}") as raised:
            find_helper_stack(target, "plldb")
        assert "plldb bootstrap" in str(raised.value.hint)

    def test_a_missing_one_says_where_it_was_looked_for(self, target: Any) -> None:
        with pytest.raises(StackError, match=r"'plldb'.*the test \(us-east-1\)") as raised:
            find_helper_stack(target, "plldb")
        assert "plldb bootstrap" in str(raised.value.hint)

    @pytest.mark.parametrize(
        ("parameters", "word"), [({"FunctionCredentials": "denied"}, "denied"), ({}, "too old")]
    )
    def test_one_that_passes_no_credentials_on_says_so(
        self, target: Any, parameters: dict[str, str], word: str
    ) -> None:
        found = self.deployed(target, parameters)
        with pytest.raises(StackError, match=word) as raised:
            found.require_function_credentials()
        assert "plldb bootstrap" in str(raised.value.hint)

    def test_one_that_does_says_nothing(self, target: Any) -> None:
        self.deployed(target, {"FunctionCredentials": "allowed"}).require_function_credentials()

    def deployed(self, target: Any, parameters: dict[str, str]) -> HelperStack:
        given = [{"ParameterKey": n, "ParameterValue": v} for n, v in parameters.items()]
        target.cloudformation.add(
            "plldb", "CREATE_COMPLETE", Outputs=outputs(OUTPUTS), Parameters=given
        )
        return find_helper_stack(target, "plldb")

    def test_it_says_which_plldb_has_deployed_it(self, target: Any) -> None:
        assert self.deployed(target, {}).version == plldb.__version__
        tags = [{"Key": "plldb:version", "Value": "0.0.1"}]
        target.cloudformation.add("old", "CREATE_COMPLETE", Outputs=outputs(OUTPUTS), Tags=tags)
        assert find_helper_stack(target, "old").version == "0.0.1"

    @pytest.mark.parametrize("missing", OUTPUTS)
    def test_a_stack_without_our_outputs_is_no_helper_stack(
        self, target: Any, missing: str
    ) -> None:
        rest = {key: value for key, value in OUTPUTS.items() if key != missing}
        target.cloudformation.add("plldb", "CREATE_COMPLETE", Outputs=outputs(rest))
        with pytest.raises(StackError, match=missing):
            find_helper_stack(target, "plldb")


class TestStackToDebug:
    @pytest.mark.parametrize("status", USABLE)
    def test_its_resources_must_be_there(self, target: Any, status: str) -> None:
        target.cloudformation.add("app", status)
        assert require_debuggable_stack(target, "app").status == status

    @pytest.mark.parametrize("status", NOT_USABLE)
    def test_otherwise_it_is_named_with_its_state(self, target: Any, status: str) -> None:
        target.cloudformation.add("app", status)
        with pytest.raises(StackError, match=rf"'app'.*{status}"):
            require_debuggable_stack(target, "app")

    def test_a_missing_one_is_told_from_a_missing_helper_stack(self, target: Any) -> None:
        with pytest.raises(StackError, match=r"'app', the one to debug, does not exist") as raised:
            require_debuggable_stack(target, "app")
        assert "--stack-name" in str(raised.value.hint)

    def test_near_names_are_named_but_not_helper_stacks(self, target: Any) -> None:
        target.cloudformation.add("apps", "CREATE_COMPLETE")
        target.cloudformation.add("nested", "CREATE_COMPLETE", ParentId="arn")
        version = [{"Key": "plldb:version", "Value": "1"}]
        target.cloudformation.add("appl", "CREATE_COMPLETE", Tags=version)
        with pytest.raises(StackError) as raised:
            require_debuggable_stack(target, "app")
        assert "Did you mean 'apps'? It is one of apps." in str(raised.value.hint)

    def test_nobody_needs_the_right_to_list_them(self, target: Any) -> None:
        refusal = client_error("AccessDenied", "no", "DescribeStacks")
        target.cloudformation.refusals["list_stacks"] = refusal
        with pytest.raises(StackError, match="does not exist"):
            require_debuggable_stack(target, "app")


def test_restoring_is_asked_for_as_the_helper_stack_takes_it(target: Any) -> None:
    """The request is written on both sides, of which neither imports the other."""
    restore_functions(target, "plldb-instrument", "app")
    ((function, request),) = target.restoring.requests
    assert function == "plldb-instrument"
    # A helper stack of 0.1.0 calls the session otherwise.
    assert request == restore_request("app") | {"sessionRef": None}


# --- What is deployed -----------------------------------------------------------------------------


def resource(logical_id: str, kind: str, physical_id: str | None = None) -> dict[str, str]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": kind,
        "ResourceStatus": "CREATE_COMPLETE",
        "PhysicalResourceId": physical_id or f"app-{logical_id}",
    }


def function(handler: str, runtime: str = "python3.13") -> dict[str, object]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Handler": handler, "Runtime": runtime},
    }


class TestDeployed:
    """A stack with a table, and with one that is nested in one that is nested."""

    @pytest.fixture
    def target(self) -> Any:
        target = FakeTarget()
        stacks = target.cloudformation
        arns = {name: stacks.add(name, "CREATE_COMPLETE") for name in ("app", "app-C", "app-C-G")}
        stacks.resources = {
            "app": [
                resource("Greeter", "AWS::Lambda::Function"),
                resource("Table", "AWS::DynamoDB::Table"),
                resource("Child", "AWS::CloudFormation::Stack", arns["app-C"]),
                resource("Gone", "AWS::Lambda::Function") | {"ResourceStatus": "DELETE_COMPLETE"},
            ],
            "app-C": [
                resource("Grandchild", "AWS::CloudFormation::Stack", arns["app-C-G"]),
                resource("Greeter", "AWS::Lambda::Function", "child-greeter"),
            ],
            "app-C-G": [resource("Greeter", "AWS::Lambda::Function", "grandchild-greeter")],
        }
        stacks.templates = {
            "app": {"Resources": {"Greeter": function("app.main")}},
            "app-C": "Resources:\n  Greeter:\n    Properties: { Handler: !Ref H, Runtime: ruby }",
            "app-C-G": "not a template",
        }
        return target

    def read(self, target: Any) -> DeployedStack:
        return read_deployed_stack(target, require_debuggable_stack(target, "app"))

    def test_functions_are_named_by_their_path(self, target: Any) -> None:
        assert self.read(target).functions == {
            "Greeter": DeployedFunction("app-Greeter", "app.main", "python3.13"),
            "Child/Greeter": DeployedFunction("child-greeter", None, "ruby"),
            "Child/Grandchild/Greeter": DeployedFunction("grandchild-greeter"),
        }

    def test_what_refers_to_a_parameter_store_is_not_known(self, target: Any) -> None:
        referring = function("app.main", "{{resolve:ssm:/runtime}}")
        target.cloudformation.templates["app"] = {"Resources": {"Greeter": referring}}
        greeter = self.read(target).functions["Greeter"]
        assert greeter == DeployedFunction("app-Greeter", "app.main", None)

    def test_the_types_of_all_resources_and_the_parameters(self, target: Any) -> None:
        stack = self.read(target)
        assert stack.resources["Table"] == "AWS::DynamoDB::Table"
        assert "Gone" not in stack.resources
        assert stack.parameters["AWS::StackName"] == "app"
        assert stack.parameters["AWS::Region"] == "us-east-1"
        assert stack.warnings == ()

    def test_without_templates_names_are_known(self, target: Any) -> None:
        denied = client_error("AccessDenied", "not you", "GetTemplate")
        target.cloudformation.refusals["get_template"] = denied
        stack = self.read(target)
        assert stack.functions["Greeter"] == DeployedFunction("app-Greeter")
        (warning,) = stack.warnings
        assert "by its functions' names only" in warning
        assert "not you" in warning

    def test_a_nested_stack_that_may_not_be_read_is_a_warning(self, target: Any) -> None:
        denied = client_error("AccessDenied", "not you", "ListStackResources")
        target.cloudformation.refusals["list_stack_resources app-C"] = denied
        stack = self.read(target)
        assert stack.functions.keys() == {"Greeter"}
        (warning,) = stack.warnings
        assert "The functions of Child are left out" in warning

    def test_the_stack_itself_has_to_be_read(self, target: Any) -> None:
        denied = client_error("AccessDenied", "not you", "ListStackResources")
        target.cloudformation.refusals["list_stack_resources"] = denied
        with pytest.raises(AccessDeniedError, match="list the resources of stack app"):
            self.read(target)
