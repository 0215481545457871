"""What can't be debugged is known by what Lambda says of a function, and says why."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session
from lambda_functions.instrumentation.obstacles import find_obstacle, list_cautions

PLAIN = {"Runtime": "python3.13", "Handler": "app.handler"}
# Every member of the answer: what it may say, and what becomes of the function. A new one of AWS's
# is to be thought of.
NEVER_IN_THE_WAY: dict[str, Any] = {
    "Architectures": ["arm64"],
    "CodeSha256": "x",
    "CodeSize": 1,
    "ConfigSha256": "x",
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:eu-west-1:1:dead"},
    "Description": "plldb",
    "EphemeralStorage": {"Size": 10240},
    "FunctionArn": "arn:aws:lambda:eu-west-1:1:function:app-Fn",
    "FunctionName": "app-Fn",
    "KMSKeyArn": "arn:aws:kms:eu-west-1:1:key/k",
    "LastModified": "2026-01-01T00:00:00.000+0000",
    # The configuration before the last update is in force, and may be updated again.
    "LastUpdateStatus": "Failed",
    "LastUpdateStatusReason": "no such subnet",
    "LastUpdateStatusReasonCode": "InvalidSubnet",
    "Layers": [{"Arn": "arn:aws:lambda:eu-west-1:1:layer:l:1"}],
    "LoggingConfig": {"LogFormat": "JSON"},
    "MemorySize": 10240,
    "RevisionId": "r",
    "Role": "arn:aws:iam::1:role/r",
    "RuntimeVersionConfig": {"RuntimeVersionArn": "arn:aws:lambda:eu-west-1::runtime:x"},
    # Lambda itself refuses a layer, where the policy of the signing is to enforce it.
    "SigningJobArn": "arn:aws:signer:eu-west-1:1:/signing-jobs/j",
    "SigningProfileVersionArn": "arn:aws:signer:eu-west-1:1:/signing-profiles/p/v",
    # Snapshots are of published versions.
    "SnapStart": {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"},
    "Timeout": 900,
    "TracingConfig": {"Mode": "Active"},
    "Version": "$LATEST",
}
IN_THE_WAY: dict[str, list[tuple[Any, str]]] = {
    "CapacityProviderConfig": [
        ({"LambdaManagedInstancesCapacityProviderConfig": {}}, "managed instances")
    ],
    "DurableConfig": [({"ExecutionTimeout": 60}, "durable function")],
    "Environment": [
        ({"Error": {"ErrorCode": "X", "Message": "no kms:Decrypt"}}, "no kms:Decrypt"),
        ({"Error": {"ErrorCode": "AccessDenied"}}, "AccessDenied"),
        ({"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"}}, "/opt/bootstrap"),
        ({"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": ""}}, "AWS_LAMBDA_EXEC_WRAPPER"),
    ],
    "Handler": [("", "no handler"), (None, "no handler")],
    "ImageConfigResponse": [],
    "MasterArn": [("arn:aws:lambda:us-east-1:1:function:f:1", "Lambda@Edge")],
    "PackageType": [("Image", "container image")],
    "Runtime": [
        *((name, name) for name in ("nodejs22.x", "python2.7", "provided.al2023", "java21")),
        *((name, name) for name in ("python3.x", "python3.6", "dotnet8", "ruby3.4", "go1.x")),
        ("python3.7", "Python 3.8 and later"),
        (None, "unknown"),
    ],
    "State": [
        ("Inactive", "call it once"),
        ("Failed", "Failed"),
        ("Deleting", "being deleted"),
        ("Deactivating", "deactivated"),
        ("Deactivated", "deactivated"),
        ("ActiveNonInvocable", "can't be called"),
    ],
    "StateReason": [],
    "StateReasonCode": [],
    "TenancyConfig": [({"TenantIsolationMode": "PER_TENANT"}, "tenants")],
}
TO_BE_KNOWN: dict[str, tuple[Any, str]] = {
    "VpcConfig": ({"VpcId": "vpc-1", "SubnetIds": ["s"]}, "vpc-1"),
    "FileSystemConfigs": ([{"Arn": "a", "LocalMountPath": "/mnt/data"}], "/mnt/data"),
}


def test_each_member_that_lambda_tells_was_thought_of() -> None:
    lambda_ = get_session().get_service_model("lambda")
    told = lambda_.operation_model("GetFunctionConfiguration").output_shape
    assert told is not None
    assert {*told.members} <= {*NEVER_IN_THE_WAY, *IN_THE_WAY, *TO_BE_KNOWN}


@pytest.mark.parametrize("minor", range(8, 16))
def test_python_can_be_debugged(minor: int) -> None:
    found = PLAIN | NEVER_IN_THE_WAY | {"Runtime": f"python3.{minor}", "PackageType": "Zip"}
    for state in ("Active", "Pending"):
        assert find_obstacle(found | {"State": state}) is None
    assert [*list_cautions(found)] == []


@pytest.mark.parametrize(
    ("member", "value", "word"),
    [(member, *case) for member, cases in IN_THE_WAY.items() for case in cases],
)
def test_what_can_not_says_why(member: str, value: Any, word: str) -> None:
    assert word in str(find_obstacle(PLAIN | NEVER_IN_THE_WAY | {member: value}))


def test_lambdas_own_words_are_added() -> None:
    reason = find_obstacle(PLAIN | {"State": "Failed", "StateReason": "no such subnet"})
    assert reason == "it is in the state Failed (no such subnet)"


@pytest.mark.parametrize(("member", "value", "word"), [(n, *c) for n, c in TO_BE_KNOWN.items()])
def test_what_is_to_be_known(member: str, value: Any, word: str) -> None:
    found = PLAIN | {member: value}
    assert find_obstacle(found) is None
    (caution,) = list_cautions(found)
    assert word in caution


@pytest.mark.parametrize("empty", [{}, {"VpcId": "", "SubnetIds": []}, None])
def test_of_a_function_in_no_vpc_nothing_is(empty: Any) -> None:
    assert [*list_cautions(PLAIN | {"VpcConfig": empty, "FileSystemConfigs": []})] == []
