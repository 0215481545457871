"""Custom resources on MiniStack: those that the CDK brings along, and those of Node's functions.

MiniStack runs Node's functions with stand-ins for a part of the AWS SDK, and passes over the error
of one that needs more: it goes on waiting for the answer, for an hour if the template says nothing.
Functions that run a program of a layer by its path below ``/opt`` do not find it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudformation-customresource.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plldb.debugger.sources.functions import find_logical_id
from plldb.deployed import FUNCTION_TYPE
from plldb.dev.omission import leave_out
from plldb.templates import as_dict

# What the CDK has them for that an emulator can do without.
# https://github.com/aws/aws-cdk/tree/main/packages/@aws-cdk/custom-resource-handlers
_DISPENSABLE = {
    "Custom::CDKBucketDeployment": "its files do not come into the bucket",
    "Custom::LogRetention": "logs are kept as long as the emulator runs",
    "Custom::S3AutoDeleteObjects": "MiniStack deletes a bucket with all that is in it",
    "Custom::VpcRestrictDefaultSG": "the default security group of the network stays open",
}
_PATIENCE_SECONDS = 60


def adapt_custom_resource(logical_id: str, body: dict[str, Any]) -> list[str]:
    """Changes one of a template; says what it did."""
    resource = body["Resources"][logical_id]
    properties = as_dict(resource.get("Properties"))
    if (reason := _DISPENSABLE.get(resource["Type"])) is not None:
        bucket_arn = ["arn:aws:s3:::", properties.get("DestinationBucketName", "")]
        attributes = {
            "LogGroupName": properties.get("LogGroupName"),
            "DestinationBucketArn": {"Fn::Join": ["", bucket_arn]},
        }
        leave_out(logical_id, body, attributes)
        return [f"{logical_id}: left out: {reason}"]
    provider = _find_provider(properties, body)
    if not provider:
        return []
    properties.setdefault("ServiceTimeout", _PATIENCE_SECONDS)
    return [
        f"{logical_id}: {provider} answers for it, which is Node's: MiniStack has a part of the AWS"
        " SDK for such functions, and this fails if that is not enough"
    ]


def _find_provider(properties: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """The logical id of the function of Node's that is asked; empty if there is none here."""
    name = find_logical_id(properties.get("ServiceToken"))
    function = as_dict(body["Resources"].get(name))
    # The CDK also writes {"Fn::FindInMap": ["LatestNodeRuntimeMap", …]}.
    runtime = json.dumps(as_dict(function.get("Properties")).get("Runtime")).lower()
    return name if function.get("Type") == FUNCTION_TYPE and "node" in runtime else ""
