"""What a policy allows: an authorizer's answer, or what IAM says of a user or a role.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-lambda-authorizer-output.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from .conditions import Keys, holds, listed
from .policy_variables import UnresolvedError, fill, variables_of, wildcard_match

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

    ``keys`` are the request's condition keys, like ``aws:sourceip``, in lower case. A statement
    with a condition or a variable that can't be told allows nothing, and denies.
    """
    verdict = Verdict.NOT_ALLOWED
    for policy in policies:
        variables = variables_of(policy, keys)
        for statement in listed(policy.get("Statement", ())):
            applies = _applies(statement, action, resource, keys, variables)
            if statement.get("Effect") == "Deny" and applies is not False:
                return Verdict.DENY
            if statement.get("Effect") == "Allow" and applies is True:
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
        **_usage_key(answer),
        **{name: _as_string(value) for name, value in values.items()},
    }


def _usage_key(answer: Mapping[str, Any]) -> dict[str, str]:
    """The API key that an authorizer names, for ``$context.authorizer.usageIdentifierKey``.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-websocket-api-selection-expressions.html
    """
    key = answer.get("usageIdentifierKey")
    return {"usageIdentifierKey": key} if isinstance(key, str) else {}


def _as_string(value: object) -> str | None:
    if isinstance(value, (list, dict)):
        raise MalformedAnswerError("context has nested values")
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _applies(
    statement: Mapping[str, Any], action: str, resource: str, keys: Keys, variables: Keys | None
) -> bool | None:
    """None if that can't be told. ``NotAction`` and ``NotResource`` cover what they don't name."""
    if not _covers_action(statement, action.lower()):
        return False
    if "NotResource" in statement:
        is_named = _names(statement["NotResource"], resource, variables)
        covers = None if is_named is None else not is_named
    else:
        covers = _names(statement.get("Resource", ()), resource, variables)
    condition = holds(statement.get("Condition"), keys, variables)
    if False in (covers, condition):
        return False
    return None if None in (covers, condition) else True


def _covers_action(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not _names_action(statement["NotAction"], action)
    return _names_action(statement.get("Action", ()), action)


def _names_action(patterns: Any, action: str) -> bool:
    return any(wildcard_match(str(pattern).lower(), action) for pattern in listed(patterns))


def _names(patterns: Any, resource: str, variables: Keys | None) -> bool | None:
    """None if only a pattern whose variable has no value could name it."""
    unresolved = False
    for pattern in listed(patterns):
        try:
            if wildcard_match(fill(str(pattern), variables), resource):
                return True
        except UnresolvedError:
            unresolved = True
    return None if unresolved else False
