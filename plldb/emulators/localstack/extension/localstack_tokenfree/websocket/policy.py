"""What a policy allows: an authorizer's answer, or what IAM says of a user or a role.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-lambda-authorizer-output.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from .conditions import Keys, holds, listed, wildcard_match

INVOKE = "execute-api:Invoke"
NO_KEYS: Keys = MappingProxyType({})


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    NOT_ALLOWED = "not allowed"


class MalformedAnswerError(Exception):
    """The function's answer is no authorizer output: AWS answers 500."""


def evaluate(answer: object, method_arn: str, keys: Keys = NO_KEYS) -> Verdict:
    """What an authorizer's answer says of opening the connection. ``keys``: see ``decide``."""
    if not isinstance(answer, Mapping) or not answer.get("principalId"):
        raise MalformedAnswerError("no principalId")
    policy = answer.get("policyDocument")
    if not isinstance(policy, Mapping) or not isinstance(policy.get("Statement"), (list, Mapping)):
        raise MalformedAnswerError("no policyDocument")
    if not all(isinstance(statement, Mapping) for statement in listed(policy["Statement"])):
        raise MalformedAnswerError("a statement is no object")
    return decide([policy], INVOKE, method_arn, keys)


def decide(
    policies: Iterable[Mapping[str, Any]], action: str, resource: str, keys: Keys
) -> Verdict:
    """One matching Deny wins; without a matching Allow it is NOT_ALLOWED.

    ``keys`` are the request's condition keys, like ``aws:sourceip``, in lower case. A condition
    that can't be told allows nothing, and denies.
    """
    verdict = Verdict.NOT_ALLOWED
    for policy in policies:
        for statement in listed(policy.get("Statement", ())):
            if not _covers(statement, action, resource):
                continue
            condition = holds(statement.get("Condition"), keys)
            if statement.get("Effect") == "Deny" and condition is not False:
                return Verdict.DENY
            if statement.get("Effect") == "Allow" and condition is True:
                verdict = Verdict.ALLOW
    return verdict


def context(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What reaches ``requestContext.authorizer``: flat values, as strings.

    Arrays and objects aren't allowed there.
    """
    values = answer.get("context") or {}
    if not isinstance(values, Mapping):
        raise MalformedAnswerError("context is no object")
    return {
        "principalId": answer["principalId"],
        **{name: _as_string(value) for name, value in values.items()},
    }


def _as_string(value: object) -> str | None:
    if isinstance(value, (list, dict)):
        raise MalformedAnswerError("context has nested values")
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _covers(statement: Mapping[str, Any], action: str, resource: str) -> bool:
    """``NotAction`` and ``NotResource`` cover what they don't name."""
    if "NotAction" in statement:
        is_action = not _names(statement["NotAction"], action.lower(), lower=True)
    else:
        is_action = _names(statement.get("Action", ()), action.lower(), lower=True)
    if "NotResource" in statement:
        return is_action and not _names(statement["NotResource"], resource)
    return is_action and _names(statement.get("Resource", ()), resource)


def _names(patterns: Any, text: str, lower: bool = False) -> bool:
    texts = (str(pattern) for pattern in listed(patterns))
    return any(wildcard_match(each.lower() if lower else each, text) for each in texts)
