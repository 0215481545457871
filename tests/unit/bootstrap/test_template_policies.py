"""The policies of template.yaml say what AWS knows: actions, resources, condition keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.policies import DeployedTemplate
from tests.service_authorization import condition_keys, find_action, takes_resource
from tests.template import as_list, load
from tests.unit.fakes import FakeTarget

# Which each action knows:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
_GLOBAL_KEYS = {"aws:ResourceAccount"}
_RESOURCES: dict[str, dict[str, Any]] = load()["Resources"]


class SketchedTemplate(DeployedTemplate):
    """As if it were deployed, with all that its conditions can add."""

    _parameters = {
        name: str(parameter.get("Default") or name)
        for name, parameter in load()["Parameters"].items()
    } | {
        "Tracing": "true",
        "ExecuteApiBaseUrl": "",
        "DebuggableTag": "yes",
        "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess",
    }
    _physical = {name: name for name in _RESOURCES}


def _statements() -> Iterator[tuple[str, dict[str, Any]]]:
    template = SketchedTemplate(FakeTarget(), "plldb")
    for name, resource in _RESOURCES.items():
        properties = resource["Properties"]
        policies = properties.get("Policies", [properties])
        if resource["Type"] not in ("AWS::IAM::Role", "AWS::IAM::Policy"):
            continue
        for policy in template.resolve(policies):
            for statement in as_list(policy["PolicyDocument"]["Statement"]):
                yield f"{name}.{policy['PolicyName']}", statement


def _grants() -> list[Any]:
    return [
        pytest.param(action, resource, id=f"{where}-{action}-{resource}")
        for where, statement in _statements()
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    ]


@pytest.mark.parametrize(("action", "resource"), _grants())
def test_each_action_is_one_of_aws_for_such_a_resource(action: str, resource: str) -> None:
    assert find_action(action), "AWS lists no such action"
    assert takes_resource(action, resource), "the action never sees such a resource"


@pytest.mark.parametrize(
    ("where", "statement"),
    [pytest.param(w, s, id=f"{w}-{i}") for i, (w, s) in enumerate(_statements())],
)
def test_each_condition_is_about_what_the_action_knows(
    where: str, statement: dict[str, Any]
) -> None:
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    for action in as_list(statement["Action"]):
        known = condition_keys(action)
        for key in keys:
            assert key in _GLOBAL_KEYS or any(key.startswith(one) for one in known), key
