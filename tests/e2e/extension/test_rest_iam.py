"""AWS_IAM on a REST API, in a stack with everything a serverless application brings."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .cloud import REGION, Cloud, Stack, wait_for
from .code import bucket_with, zipped

APP = """
import json
import helper

def handler(event, context):
    print(json.dumps({"path": event["path"]}))
    return {"statusCode": 201, "headers": {"X-Helper": helper.NAME}, "body": json.dumps(event)}
"""


@pytest.fixture(scope="module")
def kit(cloud: Cloud) -> Iterator[Stack]:
    objects = {
        "app.zip": zipped(app=APP),
        "layer.zip": zipped(python__helper="NAME = 'from the layer'"),
    }
    with (
        bucket_with(cloud, objects) as bucket,
        cloud.stack(
            "serverless_kit", CodeBucket=bucket, CodeKey="app.zip", LayerKey="layer.zip"
        ) as stack,
    ):
        yield stack


def call(
    cloud: Cloud,
    stack: Stack,
    method: str,
    path: str,
    credentials: Credentials | None = None,
    data: bytes | None = None,
) -> tuple[int, Any, Any]:
    url = cloud.stage_url(stack.outputs["ApiId"], "v1") + path
    request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json"})
    if credentials:
        SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    plain = urllib.request.Request(url, data=data, method=method, headers=dict(request.headers))
    try:
        with urllib.request.urlopen(plain) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


@pytest.mark.parametrize(("method", "path"), [("POST", "/guarded"), ("GET", "/guarded/7")])
def test_unsigned_request_is_refused(cloud: Cloud, kit: Stack, method: str, path: str) -> None:
    status, body, headers = call(cloud, kit, method, path)
    assert (status, body) == (403, {"message": "Missing Authentication Token"})
    assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "name", ["", f"execute-api.{REGION}.amazonaws.com", "execute-api.localhost.localstack.cloud"]
)
def test_names_of_the_api(cloud: Cloud, kit: Stack, name: str) -> None:
    """By each of them it answers, and in its event it has one that functions can call."""
    api_id = kit.outputs["ApiId"]
    host = f"{api_id}.{name}"
    url = f"{cloud.endpoint}/v1/open" if name else f"{cloud.stage_url(api_id, 'v1')}/open"
    request = urllib.request.Request(url, headers={"Host": host} if name else {})
    with urllib.request.urlopen(request) as response:
        context = json.load(response)["requestContext"]
    assert context["domainName"] == (
        host if name else f"{api_id}.execute-api.{REGION}.amazonaws.com"
    )
    assert context["domainPrefix"] == api_id


def test_method_without_authorization_stays_open(cloud: Cloud, kit: Stack) -> None:
    status, event, headers = call(cloud, kit, "GET", "/open?a=1")
    assert status == 201
    assert headers["X-Helper"] == "from the layer"
    assert event["queryStringParameters"] == {"a": "1"}
    assert event["requestContext"]["identity"]["userArn"] is None


def test_callers_arn_reaches_the_function(cloud: Cloud, kit: Stack) -> None:
    status, event, _ = call(
        cloud, kit, "POST", "/guarded", Credentials("test", "test"), b'{"a": 1}'
    )
    assert status == 201
    assert json.loads(event["body"]) == {"a": 1}
    identity = event["requestContext"]["identity"]
    assert identity["userArn"] == "arn:aws:iam::000000000000:root"
    assert identity["accountId"] == "000000000000"
    assert identity["accessKey"] == "test"


def test_assumed_role_is_named(cloud: Cloud, kit: Stack) -> None:
    role = kit.outputs["RoleArn"]
    assumed = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="alice")["Credentials"]
    credentials = Credentials(
        assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"]
    )
    _, event, _ = call(cloud, kit, "GET", "/guarded/7", credentials)
    arn = event["requestContext"]["identity"]["userArn"]
    assert arn == f"arn:aws:sts::000000000000:assumed-role/{role.split('/')[-1]}/alice"
    assert event["pathParameters"] == {"id": "7"}


def test_user_is_named(cloud: Cloud, kit: Stack) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="bob")
    try:
        key = iam.create_access_key(UserName="bob")["AccessKey"]
        credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
        _, event, _ = call(cloud, kit, "GET", "/guarded/7", credentials)
        assert event["requestContext"]["identity"]["userArn"].endswith(":user/bob")
    finally:
        iam.delete_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName="bob")


def test_other_resources(cloud: Cloud, kit: Stack) -> None:
    table = cloud.client("dynamodb")
    described = table.describe_table(TableName=kit.outputs["TableName"])["Table"]
    assert len(described["GlobalSecondaryIndexes"]) == 2
    ttl = table.describe_time_to_live(TableName=kit.outputs["TableName"])
    assert ttl["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED"
    backups = table.describe_continuous_backups(TableName=kit.outputs["TableName"])
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"
    groups = cloud.client("logs").describe_log_groups(
        logGroupNamePrefix=kit.outputs["LogGroupName"]
    )
    assert groups["logGroups"][0]["retentionInDays"] == 7


def test_log_lines_reach_cloudwatch(cloud: Cloud, kit: Stack) -> None:
    call(cloud, kit, "GET", "/open")
    logs = cloud.client("logs")

    def lines() -> list[str]:
        events = logs.filter_log_events(logGroupName=kit.outputs["LogGroupName"])["events"]
        return [event["message"].strip() for event in events]

    found = wait_for(lines, lambda lines: '{"path": "/open"}' in lines)
    assert '{"path": "/open"}' in found
    assert any(line.startswith("REPORT RequestId: ") for line in found)
