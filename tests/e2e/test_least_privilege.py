"""Each role may do what it is for, and is refused everything else, by the engine's IAM."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plldb.aws import Target

from .support import Backend, poll, random_name

pytestmark = pytest.mark.needs("iam")

# Runs as the role under test: makes one call and answers with its error code, or with "allowed".
_PROBE = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    print("probing", event["service"], event["operation"])
    client = boto3.client(event["service"], endpoint_url=event.get("endpoint"))
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "allowed"
"""

Probe = Callable[..., str]


def probe_as(target: Target, role_arn: str) -> Iterator[Probe]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("probe.py", _PROBE)
    functions = target.client("lambda")
    name = random_name("probe")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="probe.handler",
        Role=role_arn,
        Timeout=30,
        Code={"ZipFile": archive.getvalue()},
    )
    poll(
        lambda: functions.get_function_configuration(FunctionName=name)["State"] == "Active",
        "probe is active",
    )

    def probe(service: str, operation: str, endpoint: str | None = None, **parameters: Any) -> str:
        event = {"service": service, "operation": operation, "parameters": parameters}
        answer = functions.invoke(
            FunctionName=name, Payload=json.dumps(event | {"endpoint": endpoint})
        )
        return str(json.load(answer["Payload"]))

    try:
        yield probe
    finally:
        functions.delete_function(FunctionName=name)


def role_arn(backend: Backend, logical_id: str) -> str:
    resource = backend.target.client("cloudformation").describe_stack_resource(
        StackName=backend.helper.name, LogicalResourceId=logical_id
    )
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    return str(backend.target.client("iam").get_role(RoleName=name)["Role"]["Arn"])


@pytest.fixture(scope="module")
def as_debugger(backend: Backend) -> Iterator[Probe]:
    yield from probe_as(backend.target, role_arn(backend, "PLLDBDebuggerRole"))


@pytest.fixture(scope="module")
def as_manager(backend: Backend) -> Iterator[Probe]:
    yield from probe_as(backend.target, role_arn(backend, "PLLDBManagerRole"))


_KEY = {"SessionId": {"S": "nothing"}}
_DENIED = {"AccessDenied", "AccessDeniedException"}
_FORBIDDEN_TO_ALL: list[tuple[str, str, dict[str, Any]]] = [
    ("dynamodb", "put_item", {"TableName": "PLLDBDebugger", "Item": {"RequestId": {"S": "x"}}}),
    ("dynamodb", "get_item", {"TableName": "PLLDBDebugger", "Key": {"RequestId": {"S": "x"}}}),
    ("dynamodb", "scan", {"TableName": "PLLDBSessions"}),
    ("dynamodb", "delete_item", {"TableName": "PLLDBSessions", "Key": _KEY}),
    ("dynamodb", "delete_table", {"TableName": "PLLDBSessions"}),
    ("dynamodb", "list_tables", {}),
    ("lambda", "list_functions", {}),
    ("s3", "list_buckets", {}),
    ("iam", "list_roles", {}),
    ("cloudformation", "describe_stacks", {}),
    ("logs", "describe_log_groups", {}),
    ("apigateway", "get_rest_apis", {}),
]


def test_the_debugger_role_reads_and_writes_sessions(as_debugger: Probe, backend: Backend) -> None:
    table = backend.helper.sessions_table

    assert as_debugger("dynamodb", "get_item", TableName=table, Key=_KEY) == "allowed"


@pytest.mark.parametrize(("service", "operation", "parameters"), _FORBIDDEN_TO_ALL)
def test_the_debugger_role_may_do_nothing_else(
    as_debugger: Probe, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    assert as_debugger(service, operation, **parameters) in _DENIED


def test_the_debugger_role_posts_to_its_own_api_only(as_debugger: Probe, backend: Backend) -> None:
    own = backend.helper.websocket_url.replace("ws", "http", 1)
    other = own.replace(backend.helper.websocket_api_id, "a1b2c3d4")
    post = {"ConnectionId": "L0SM9cOFvHcCIhw=", "Data": "x"}

    assert as_debugger("apigatewaymanagementapi", "post_to_connection", own, **post) == (
        "GoneException"
    )
    refused = as_debugger("apigatewaymanagementapi", "post_to_connection", other, **post)
    assert refused in _DENIED | {"ForbiddenException"}
    delete = {"ConnectionId": post["ConnectionId"]}
    refused = as_debugger("apigatewaymanagementapi", "delete_connection", own, **delete)
    assert refused in _DENIED | {"ForbiddenException"}


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        *_FORBIDDEN_TO_ALL,
        ("dynamodb", "get_item", {"TableName": "PLLDBSessions", "Key": _KEY}),
        ("lambda", "update_function_configuration", {"FunctionName": "f", "Handler": "a.b"}),
    ],
)
def test_the_manager_role_may_do_nothing_yet(
    as_manager: Probe, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    assert as_manager(service, operation, **parameters) in _DENIED
