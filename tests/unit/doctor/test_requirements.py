"""The list of permissions is complete: for the template, and for what plldb calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plldb.bootstrap.release import read_template
from plldb.doctor import permissions, requirements
from plldb.doctor.requirements import PURPOSES, Purpose
from tests.unit.doctor.patient import patient

LOCAL_CODE = Path(requirements.__file__).parents[1]
_RESOURCE = re.compile(
    r"^  (\w+):\n    Type: AWS::ApiGateway::(Resource|Method)\n(.*?)(?=\n\n)", re.M | re.S
)


def signed_methods() -> set[str]:
    """``POST/sessions`` and so on: the methods of the management API under AWS_IAM."""
    paths: dict[str, str] = {}
    methods = set()
    for name, kind, body in _RESOURCE.findall(read_template()):
        if kind == "Resource":
            parent = re.search(r"ParentId: !Ref (\w+)", body)
            part = re.search(r'PathPart: "?([^"\n]+)', body)
            assert part
            paths[name] = f"{paths[parent.group(1)] if parent else ''}/{part.group(1)}"
        elif "AuthorizationType: AWS_IAM" in body:
            resource = re.search(r"ResourceId: !Ref (\w+)", body)
            method = re.search(r"HttpMethod: (\w+)", body)
            assert resource
            assert method
            path = re.sub(r"\{sessionId\}", "*", paths[resource.group(1)])
            path = path.replace("{stackName}", "{stack}")
            methods.add(method.group(1) + path)
    return methods


def test_each_resource_type_of_the_template_is_there_and_no_other() -> None:
    types = set(re.findall(r"^    Type: (AWS::\S+)", read_template(), re.M))
    assert types == set(requirements.RESOURCE_TYPES)


def test_each_signed_method_of_the_management_api_is_there_and_no_other() -> None:
    purposes = (requirements.ATTACH, requirements.SESSIONS)
    needed = {
        permission.resource.partition("/plldb/")[2]
        for purpose in purposes
        for permission in (*purpose.permissions, *purpose.alternatives.values())
        if permission.action == "execute-api:Invoke"
    }
    assert needed == signed_methods()


@pytest.mark.parametrize("purpose", PURPOSES, ids=lambda purpose: purpose.name)
def test_each_is_well_formed_and_there_once(purpose: Purpose) -> None:
    assert len(set(purpose.permissions)) == len(purpose.permissions)
    for permission in purpose.permissions:
        assert re.fullmatch(r"[a-z0-9-]+:[A-Z]\w+", permission.action)
        assert permission.resource.startswith(("arn:{partition}:", "*", "{identity}"))


@pytest.mark.parametrize("purpose", PURPOSES, ids=lambda purpose: purpose.name)
def test_every_name_in_a_resource_is_known(purpose: Purpose) -> None:
    placeholders = permissions.Placeholders(patient(stack_name="app"))
    filled = [placeholders.fill(permission.resource) for permission in purpose.permissions]
    assert None not in filled
    assert not [resource for resource in filled if "{" in str(resource)]


def test_what_bootstrap_calls_itself_is_there() -> None:
    """The S3 and CloudFormation calls of plldb's own code, by their IAM actions."""
    actions = {permission.action for permission in requirements.BOOTSTRAP.permissions}
    code = "".join(
        (LOCAL_CODE / "bootstrap" / name).read_text(encoding="utf-8")
        for name in ("observer.py", "executor.py", "stack_operation.py")
    )
    calls = set(re.findall(r"(?:s3|_s3|_cloudformation|cloudformation)\.(\w+_\w+)\(", code))
    calls -= {"get_paginator"}
    calls |= set(re.findall(r'get_paginator\("(\w+)"\)', code))
    missing = {call for call in calls if _action(call) not in actions}
    assert not missing


# Where the action is called otherwise than the operation.
_OTHERWISE = {
    "head_bucket": "s3:ListBucket",
    "list_objects_v2": "s3:ListBucket",
    "list_object_versions": "s3:ListBucketVersions",
    "delete_objects": "s3:DeleteObject",
    "put_public_access_block": "s3:PutBucketPublicAccessBlock",
    "get_public_access_block": "s3:GetBucketPublicAccessBlock",
    "put_bucket_encryption": "s3:PutEncryptionConfiguration",
    "get_bucket_encryption": "s3:GetEncryptionConfiguration",
    "put_bucket_lifecycle_configuration": "s3:PutLifecycleConfiguration",
    "get_bucket_lifecycle_configuration": "s3:GetLifecycleConfiguration",
    "scan": "dynamodb:Scan",
}


def _action(call: str) -> str:
    name = "".join(word.capitalize() for word in call.split("_"))
    is_s3 = "bucket" in call or "object" in call
    return _OTHERWISE.get(call, f"{'s3' if is_s3 else 'cloudformation'}:{name}")


def test_only_attaching_is_for_everybody() -> None:
    assert [purpose.name for purpose in PURPOSES if purpose.is_essential] == ["attach"]
