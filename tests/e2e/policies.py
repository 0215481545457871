"""What the roles of the template may do, resolved against the deployed helper stack."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from plldb.aws import Target
from tests.template import as_list, load

TEMPLATE = load()
ROLES = sorted(n for n, r in TEMPLATE["Resources"].items() if r["Type"] == "AWS::IAM::Role")
_NOTHING = {"Ref": "AWS::NoValue"}
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
_ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
}


@dataclass(frozen=True)
class Grant:
    """One line of a policy; the resource is an ARN with IAM's wildcards."""

    action: str
    resource: str

    def covers(self, action: str, resource: str) -> bool:
        return self.action == action and fnmatchcase(resource, self.resource)


class DeployedTemplate:
    """template.yaml, with the values that it has in a deployed stack."""

    def __init__(self, target: Target, stack_name: str) -> None:
        self._target = target
        self._stack_name = stack_name
        self.pseudo = {
            "AWS::AccountId": target.account_id,
            "AWS::Partition": target.partition,
            "AWS::Region": target.region,
            "AWS::StackName": stack_name,
        }

    def grants(self, role: str) -> list[Grant]:
        """All that the role's policies allow; a policy that denies anything is not expected."""
        properties = TEMPLATE["Resources"][role]["Properties"]
        assert "ManagedPolicyArns" not in properties
        grants = []
        for policy in self.resolve(properties["Policies"]):
            for statement in as_list(policy["PolicyDocument"]["Statement"]):
                assert statement.keys() - {"Condition"} == {"Effect", "Action", "Resource"}
                assert statement["Effect"] == "Allow"
                grants += [
                    Grant(action, resource)
                    for action in as_list(statement["Action"])
                    for resource in as_list(statement["Resource"])
                ]
        return grants

    def resolve(self, value: Any) -> Any:
        """The value without intrinsic functions; in lists, what is no value is left out."""
        if isinstance(value, list):
            resolved = [self.resolve(one) for one in value]
            return [one for one in resolved if one != _NOTHING]
        if isinstance(value, dict) and value != _NOTHING:
            return self._resolve_object(value)
        return value

    def _resolve_object(self, value: dict[str, Any]) -> Any:
        match value:
            case {"Ref": str(name)}:
                return self.ref(name)
            case {"Fn::GetAtt": [name, "Arn"]}:
                return self.arn(name)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([^}]+)\}", lambda match: self._substitute(match[1]), text)
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self._holds(condition) else otherwise)
        return {key: self.resolve(one) for key, one in value.items()}

    def ref(self, name: str) -> str:
        """A parameter's value, or a resource's physical id."""
        known = self.pseudo | self._parameters | self._physical
        return known[name]

    def has(self, name: str) -> bool:
        """Whether its condition holds, if it has one."""
        condition = TEMPLATE["Resources"][name].get("Condition")
        return condition is None or self._holds(condition)

    def arn(self, name: str) -> str:
        form = _ARNS[TEMPLATE["Resources"][name]["Type"]]
        where = {"region": self._target.region, "account": self._target.account_id}
        return f"arn:{self._target.partition}:{form.format(name=self.ref(name), **where)}"

    def _substitute(self, name: str) -> str:
        resource, _, attribute = name.partition(".")
        return self.arn(resource) if attribute == "Arn" else self.ref(name)

    def _holds(self, condition: str) -> bool:
        def holds(value: dict[str, Any]) -> bool:
            match value:
                case {"Condition": str(name)}:
                    return self._holds(name)
                case {"Fn::Not": [negated]}:
                    return not holds(negated)
                case {"Fn::Equals": [one, other]}:
                    return bool(self.resolve(one) == self.resolve(other))
            raise AssertionError(f"{condition} has something new: {value}")

        return holds(TEMPLATE["Conditions"][condition])

    @cached_property
    def _parameters(self) -> dict[str, str]:
        (stack,) = self._target.client("cloudformation").describe_stacks(
            StackName=self._stack_name
        )["Stacks"]
        defaults = {
            n: str(p["Default"]) for n, p in TEMPLATE["Parameters"].items() if "Default" in p
        }
        given = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}
        return defaults | given

    @cached_property
    def _physical(self) -> dict[str, str]:
        pages = self._target.client("cloudformation").get_paginator("list_stack_resources")
        return {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=self._stack_name)
            for resource in page["StackResourceSummaries"]
        }
