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
_INVOCATION = {"RequestId": {"S": "nothing"}}
_DENIED = {"AccessDenied", "AccessDeniedException"}
Call = tuple[str, str, dict[str, Any]]
_FORBIDDEN_TO_ALL: list[Call] = [
    ("dynamodb", "scan", {"TableName": "PLLDBSessions"}),
    ("dynamodb", "scan", {"TableName": "PLLDBDebugger"}),
    ("dynamodb", "delete_item", {"TableName": "PLLDBSessions", "Key": _KEY}),
    ("dynamodb", "delete_table", {"TableName": "PLLDBSessions"}),
    ("dynamodb", "list_tables", {}),
    ("lambda", "list_functions", {}),
    ("lambda", "get_function", {"FunctionName": "f"}),
    ("lambda", "delete_function", {"FunctionName": "f"}),
    ("lambda", "update_function_code", {"FunctionName": "f", "S3Bucket": "bucket", "S3Key": "k"}),
    ("lambda", "invoke", {"FunctionName": "f"}),
    ("s3", "list_buckets", {}),
    ("iam", "list_roles", {}),
    ("iam", "get_role", {"RoleName": "r"}),
    ("cloudformation", "describe_stacks", {}),
    ("cloudformation", "delete_stack", {"StackName": "s"}),
    ("logs", "describe_log_groups", {}),
    ("apigateway", "get_rest_apis", {}),
]
_FORBIDDEN_TO_DEBUGGERS: list[Call] = [
    ("lambda", "get_function_configuration", {"FunctionName": "f"}),
    ("lambda", "update_function_configuration", {"FunctionName": "f", "Handler": "a.b"}),
    ("lambda", "list_event_source_mappings", {}),
    ("cloudformation", "list_stack_resources", {"StackName": "s"}),
    ("sqs", "get_queue_attributes", {"QueueUrl": "http://localhost/000000000000/q"}),
]
_FORBIDDEN_TO_MANAGERS: list[Call] = [
    ("dynamodb", "get_item", {"TableName": "PLLDBSessions", "Key": _KEY}),
    ("dynamodb", "get_item", {"TableName": "PLLDBDebugger", "Key": _INVOCATION}),
    ("dynamodb", "put_item", {"TableName": "PLLDBDebugger", "Item": _INVOCATION}),
    ("lambda", "publish_version", {"FunctionName": "f"}),
    (
        "lambda",
        "put_function_concurrency",
        {"FunctionName": "f", "ReservedConcurrentExecutions": 1},
    ),
    ("cloudformation", "list_stacks", {}),
    ("sqs", "receive_message", {"QueueUrl": "http://localhost/000000000000/q"}),
]


def test_the_debugger_role_reads_and_writes_both_tables(
    as_debugger: Probe, backend: Backend
) -> None:
    sessions, debugger = backend.helper.sessions_table, backend.helper.debugger_table

    assert as_debugger("dynamodb", "get_item", TableName=sessions, Key=_KEY) == "allowed"
    assert as_debugger("dynamodb", "get_item", TableName=debugger, Key=_INVOCATION) == "allowed"
    query = {
        "TableName": sessions,
        "KeyConditionExpression": "StackName = :stack",
        "ExpressionAttributeValues": {":stack": {"S": "s"}},
    }
    assert as_debugger("dynamodb", "query", IndexName="GSI-StackName", **query) == "allowed"
    assert as_debugger("dynamodb", "query", **query) in _DENIED


@pytest.mark.parametrize(
    ("service", "operation", "parameters"), [*_FORBIDDEN_TO_ALL, *_FORBIDDEN_TO_DEBUGGERS]
)
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


def test_the_debugger_role_sees_payloads_and_no_other_object(
    as_debugger: Probe, backend: Backend
) -> None:
    target = backend.target
    bucket = f"plldb-core-infrastructure-{target.region}-{target.account_id}"
    own, others = f"payloads/{backend.helper.name}/x", "payloads/another/x"

    assert as_debugger("s3", "put_object", Bucket=bucket, Key=own, Body="x") == "allowed"
    assert as_debugger("s3", "get_object", Bucket=bucket, Key=own) == "allowed"
    assert as_debugger("s3", "delete_object", Bucket=bucket, Key=own) in _DENIED
    assert as_debugger("s3", "put_object", Bucket=bucket, Key=others, Body="x") in _DENIED
    for artifact in target.client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
        if not artifact["Key"].startswith("payloads/"):
            key = artifact["Key"]
            assert as_debugger("s3", "get_object", Bucket=bucket, Key=key) in _DENIED
            assert as_debugger("s3", "put_object", Bucket=bucket, Key=key, Body="x") in _DENIED
    target.client("s3").delete_object(Bucket=bucket, Key=own)


def test_the_debugger_role_invokes_the_instrumentation_function_only(
    as_debugger: Probe, backend: Backend
) -> None:
    name = backend.helper.instrumentation_function
    payload = json.dumps(
        {"operation": "restore", "stackName": "none", "sessionRef": None, "connectionId": None}
    )

    assert as_debugger("lambda", "invoke", FunctionName=name, Payload=payload) == "allowed"
    configuration = {"FunctionName": name, "Handler": "a.b"}
    assert as_debugger("lambda", "update_function_configuration", **configuration) in _DENIED


def test_the_manager_role_reads_and_redirects_functions(
    as_manager: Probe, backend: Backend
) -> None:
    stack, name = backend.helper.name, backend.helper.instrumentation_function

    assert as_manager("cloudformation", "list_stack_resources", StackName=stack) == "allowed"
    assert as_manager("lambda", "get_function_configuration", FunctionName=name) == "allowed"
    assert as_manager("lambda", "list_aliases", FunctionName=name) == "allowed"
    assert as_manager("lambda", "list_event_source_mappings") == "allowed"
    changed = as_manager(
        "lambda", "update_function_configuration", FunctionName="no-such-function", Timeout=3
    )
    assert changed == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("service", "operation", "parameters"), [*_FORBIDDEN_TO_ALL, *_FORBIDDEN_TO_MANAGERS]
)
def test_the_manager_role_may_do_nothing_else(
    as_manager: Probe, service: str, operation: str, parameters: dict[str, Any]
) -> None:
    assert as_manager(service, operation, **parameters) in _DENIED


def test_the_manager_role_sees_no_object_and_hands_on_no_role(
    as_manager: Probe, backend: Backend
) -> None:
    target, role = backend.target, role_arn(backend, "PLLDBDebuggerRole")
    bucket = f"plldb-core-infrastructure-{target.region}-{target.account_id}"
    key = target.client("s3").list_objects_v2(Bucket=bucket)["Contents"][0]["Key"]

    assert as_manager("s3", "get_object", Bucket=bucket, Key=key) in _DENIED
    created = as_manager(
        "lambda",
        "create_function",
        FunctionName=random_name("created"),
        Runtime="python3.13",
        Handler="a.b",
        Role=role,
        Code={"S3Bucket": bucket, "S3Key": key},
    )
    assert created in _DENIED
