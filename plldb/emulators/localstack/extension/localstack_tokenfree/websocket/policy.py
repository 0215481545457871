"""What an authorizer's answer allows.

https://docs.aws.amazon.com/apigateway/latest/developerguide/
apigateway-lambda-authorizer-output.html
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

INVOKE = "execute-api:invoke"


class Verdict(Enum):
    ALLOW = "allow"
    DENY = "deny"
    NOT_ALLOWED = "not allowed"


class MalformedAnswerError(Exception):
    """The function's answer is no authorizer output: AWS answers 500."""


def evaluate(answer: object, method_arn: str) -> Verdict:
    """One matching Deny wins; without a matching Allow it is NOT_ALLOWED."""
    if not isinstance(answer, Mapping) or not answer.get("principalId"):
        raise MalformedAnswerError("no principalId")
    policy = answer.get("policyDocument")
    if not isinstance(policy, Mapping) or not isinstance(policy.get("Statement"), (list, Mapping)):
        raise MalformedAnswerError("no policyDocument")
    verdict = Verdict.NOT_ALLOWED
    for statement in _listed(policy["Statement"]):
        if not _applies(statement, method_arn):
            continue
        if statement.get("Effect") == "Deny":
            return Verdict.DENY
        if statement.get("Effect") == "Allow":
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


def _applies(statement: object, method_arn: str) -> bool:
    if not isinstance(statement, Mapping):
        raise MalformedAnswerError("a statement is no object")
    actions = _listed(statement.get("Action", ()))
    resources = _listed(statement.get("Resource", ()))
    return any(_matches(str(action).lower(), INVOKE) for action in actions) and any(
        _matches(str(resource), method_arn) for resource in resources
    )


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _matches(pattern: str, text: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None
