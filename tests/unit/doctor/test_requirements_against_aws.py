"""The list of permissions, held against what AWS publishes of its own.

What CloudFormation does with a resource type is in the type's schema, with the permissions that
each handler may need; cfn-lint ships these schemas:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-type-schemas.html
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from plldb.doctor import permissions, requirements
from plldb.doctor.requirements import BOOTSTRAP, PURPOSES, RESOURCE_TYPES, Permission, Purpose
from tests.service_authorization import find_action, takes_resource
from tests.template import load
from tests.unit.doctor.patient import patient

# Listing is what CloudFormation's own console and IaC generator do; no stack needs it.
_HANDLERS = ("create", "read", "update", "delete")

# What a handler may need for a property that the template has not: (property, actions).
_UNUSED: dict[str, dict[str, tuple[str, ...]]] = {
    "AWS::ApiGateway::Method": {"Credentials": ("iam:PassRole",)},
    "AWS::ApiGateway::RestApi": {
        "BodyS3Location": ("s3:GetObject",),
        "Policy": ("apigateway:UpdateRestApiPolicy",),
        "CloneFrom": ("iam:PassRole",),
    },
    "AWS::ApiGatewayV2::Api": {"BodyS3Location": ("s3:getObject",)},
    "AWS::ApiGatewayV2::Authorizer": {"AuthorizerCredentialsArn": ("iam:PassRole",)},
    "AWS::ApiGatewayV2::Integration": {"CredentialsArn": ("iam:PassRole",)},
    "AWS::DynamoDB::Table": {
        "ContributorInsightsSpecification": ("dynamodb:UpdateContributorInsights",),
        "ImportSourceSpecification": (
            "dynamodb:DescribeImport",
            "dynamodb:ImportTable",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
            "s3:GetObject",
            "s3:GetObjectMetadata",
            "s3:ListBucket",
        ),
        "KinesisStreamSpecification": (
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
            "kinesis:DescribeStream",
            "kinesis:PutRecords",
        ),
        "ResourcePolicy": ("dynamodb:DeleteResourcePolicy", "dynamodb:PutResourcePolicy"),
        "SSESpecification": (
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:ListAliases",
            "kms:RevokeGrant",
        ),
    },
    "AWS::Events::Rule": {"RoleArn": ("iam:PassRole",)},
    "AWS::IAM::Policy": {
        "Groups": ("iam:DeleteGroupPolicy", "iam:GetGroupPolicy", "iam:PutGroupPolicy"),
        "Users": ("iam:DeleteUserPolicy", "iam:GetUserPolicy", "iam:PutUserPolicy"),
    },
    "AWS::IAM::Role": {"ManagedPolicyArns": ("iam:AttachRolePolicy", "iam:DetachRolePolicy")},
    "AWS::Lambda::Function": {
        "CapacityProviderConfig": (
            "lambda:PassCapacityProvider",
            "lambda:PutFunctionScalingConfig",
        ),
        "CodeSigningConfigArn": (
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
        ),
        "FileSystemConfigs": ("elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"),
        "KmsKeyArn": (
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
        ),
        "Layers": ("lambda:GetLayerVersion",),
        "PublishToLatestPublished": ("lambda:PublishVersion",),
        "RecursiveLoop": ("lambda:PutFunctionRecursionConfig",),
        "ReservedConcurrentExecutions": (
            "lambda:DeleteFunctionConcurrency",
            "lambda:PutFunctionConcurrency",
        ),
        "RuntimeManagementConfig": (
            "lambda:AssociateRuntimeAlias",
            "lambda:PutRuntimeManagementConfig",
        ),
        "S3ObjectVersion": ("s3:GetObjectVersion",),
        "VpcConfig": (
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ),
    },
    "AWS::Lambda::LayerVersion": {"S3ObjectVersion": ("s3:GetObjectVersion",)},
    "AWS::Logs::LogGroup": {
        "BearerTokenAuthenticationEnabled": ("logs:PutBearerTokenAuthentication",),
        "DataProtectionPolicy": (
            "firehose:TagDeliveryStream",
            "logs:CreateLogDelivery",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutDataProtectionPolicy",
            "s3:REST.PUT.OBJECT",
        ),
        "DeletionProtectionEnabled": ("logs:PutLogGroupDeletionProtection",),
        "FieldIndexPolicies": ("logs:DeleteIndexPolicy", "logs:PutIndexPolicy"),
        "KmsKeyId": ("logs:AssociateKmsKey", "logs:DisassociateKmsKey"),
        "ResourcePolicyDocument": ("logs:DeleteResourcePolicy", "logs:PutResourcePolicy"),
    },
}
# What replicas in other regions take, which only AWS::DynamoDB::GlobalTable makes:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables-security.html
_REPLICATION = {
    "AWS::DynamoDB::Table": {
        "dynamodb:AssociateTableReplica",
        "dynamodb:BatchWriteItem",
        "dynamodb:CreateTableReplica",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
        "iam:CreateServiceLinkedRole",
    }
}
# Names in schemas that are no actions of IAM, which asks about POST and DELETE instead.
_NO_ACTIONS = {"apigateway:TagResource", "apigateway:UntagResource"}
# AWS lists no dashboards there yet, for which the schema of dashboards asks.
_BY_SCHEMA_ALONE = {
    "cloudwatch:ListTagsForResource",
    "cloudwatch:TagResource",
    "cloudwatch:UntagResource",
}


def schema_of(resource_type: str) -> dict[str, Any]:
    return PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema


def needed(resource_type: str) -> set[str]:
    """All actions that a handler of the type may ever need."""
    schema = schema_of(resource_type)
    handlers = schema["handlers"]
    lists = [handlers[name]["permissions"] for name in _HANDLERS if name in handlers]
    lists.append(schema.get("tagging", {}).get("permissions", []))
    return {action for actions in lists for action in actions}


def unused(resource_type: str) -> set[str]:
    actions = {one for actions in _UNUSED.get(resource_type, {}).values() for one in actions}
    return actions | _REPLICATION.get(resource_type, set())


def keys_of(value: Any) -> set[str]:
    """The names of all properties, on every level."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def grantable() -> list[tuple[Purpose, Permission]]:
    return [(purpose, one) for purpose in PURPOSES for one in purpose.permissions]


class TestResourceTypes:
    @pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
    def test_all_that_cloudformation_needs_is_listed(self, resource_type: str) -> None:
        listed = {one.action for one in RESOURCE_TYPES[resource_type]}
        listed |= {one.action for one in requirements.CALLS if one.action.startswith("s3:")}
        missing = needed(resource_type) - listed - unused(resource_type) - _NO_ACTIONS
        assert not missing, "list them in requirements.py, or say here which property needs them"

    @pytest.mark.parametrize("resource_type", RESOURCE_TYPES)
    def test_and_nothing_that_it_does_not_need(self, resource_type: str) -> None:
        """apigateway's methods are listed together for all types of an API."""
        listed = {one.action for one in RESOURCE_TYPES[resource_type]}
        extra = {one for one in listed - needed(resource_type) if not one.startswith("apigateway:")}
        assert not extra

    @pytest.mark.parametrize("resource_type", _UNUSED)
    def test_what_is_left_out_is_for_properties_that_the_template_has_not(
        self, resource_type: str
    ) -> None:
        schema = schema_of(resource_type)
        known = keys_of(schema["properties"]) | keys_of(schema.get("definitions", {}))
        resources = load()["Resources"].values()
        used = {
            name
            for resource in resources
            if resource["Type"] == resource_type
            for name in keys_of(resource["Properties"])
        }
        assert unused(resource_type) <= needed(resource_type), "no handler needs it any more"
        for name in _UNUSED[resource_type]:
            assert name in known, f"there is no property {name}"
            assert name not in used, f"{name} is used: list what it needs in requirements.py"


@pytest.mark.parametrize(
    ("purpose", "permission"), grantable(), ids=lambda one: getattr(one, "action", None)
)
def test_each_is_an_action_of_aws_for_such_a_resource(
    purpose: Purpose, permission: Permission
) -> None:
    assert find_action(permission.action), "AWS lists no such action"
    resource = permissions.Placeholders(patient(stack_name="app")).fill(permission.resource)
    assert resource is not None
    if permission.resource == "{identity}":
        resource = re.sub(
            ":user/.*", ":role/R" if "Role" in permission.action else ":user/U", resource
        )
    if permission.action in _BY_SCHEMA_ALONE and ":dashboard/" in resource:
        return
    assert takes_resource(permission.action, resource), resource


def test_what_aws_lists_for_dashboards_is_still_less_than_their_schema_asks_for() -> None:
    dashboard = "arn:aws:cloudwatch::1:dashboard/plldb"
    assert not any(takes_resource(action, dashboard) for action in _BY_SCHEMA_ALONE)
    assert {one.action for one in BOOTSTRAP.permissions} >= _BY_SCHEMA_ALONE
