"""The ``Condition`` of a policy's statement.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from .policy_variables import UnresolvedError, fill, literal, wildcard_match

Keys = Mapping[str, str]
Comparison = Callable[[str, str], bool]


def request_keys(source_ip: str, header: Callable[[str], str | None], at: datetime) -> Keys:
    """The keys of a request at ``at``; ``header`` finds its headers by their names in lower case.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/
    apigateway-resource-policies-aws-condition-keys.html
    """
    keys = {
        "aws:sourceip": source_ip,
        "aws:useragent": header("user-agent"),
        "aws:referer": header("referer"),
        "aws:securetransport": str(header("x-forwarded-proto") == "https").lower(),
        "aws:currenttime": at.isoformat(),
        "aws:epochtime": str(int(at.timestamp())),
    }
    return {name: value for name, value in keys.items() if value is not None}


def _arn_match(pattern: str, text: str) -> bool:
    """Each of the six parts of an ARN has wildcards of its own."""
    patterns, parts = pattern.split(":", 5), text.split(":", 5)
    if len(patterns) != len(parts):
        return pattern == "*"
    return all(map(wildcard_match, patterns, parts))


def _number(compare: Callable[[float, float], bool]) -> Comparison:
    return lambda wanted, actual: compare(float(actual), float(wanted))


def _moment(text: str) -> float:
    """Seconds since the epoch of ISO 8601 text, or of such a number."""
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()


def _date(compare: Callable[[float, float], bool]) -> Comparison:
    return lambda wanted, actual: compare(_moment(actual), _moment(wanted))


def _in_network(wanted: str, actual: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


COMPARISONS: Mapping[str, Comparison] = {
    "stringequals": lambda wanted, actual: wanted == actual,
    "stringequalsignorecase": lambda wanted, actual: wanted.lower() == actual.lower(),
    "stringlike": wildcard_match,
    "arnequals": _arn_match,
    "arnlike": _arn_match,
    "binaryequals": lambda wanted, actual: wanted == actual,
    "bool": lambda wanted, actual: wanted.lower() == actual.lower(),
    "ipaddress": _in_network,
    "numericequals": _number(lambda a, b: a == b),
    "numericlessthan": _number(lambda a, b: a < b),
    "numericlessthanequals": _number(lambda a, b: a <= b),
    "numericgreaterthan": _number(lambda a, b: a > b),
    "numericgreaterthanequals": _number(lambda a, b: a >= b),
    "dateequals": _date(lambda a, b: a == b),
    "datelessthan": _date(lambda a, b: a < b),
    "datelessthanequals": _date(lambda a, b: a <= b),
    "dategreaterthan": _date(lambda a, b: a > b),
    "dategreaterthanequals": _date(lambda a, b: a >= b),
}
WITH_WILDCARDS = ("stringlike", "arnequals", "arnlike")
NEGATED: Mapping[str, str] = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
    "notipaddress": "ipaddress",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
}


def holds(condition: object, keys: Keys, variables: Keys | None = None) -> bool | None:
    """Whether every part of ``condition`` is true of ``keys`` (names in lower case).

    None if one of them can't be told: an operator that is unknown, a value that is no number, one
    of the ``variables`` that is missing.
    """
    if condition is None:
        return True
    if not isinstance(condition, Mapping):
        return None
    if not all(isinstance(pairs, Mapping) for pairs in condition.values()):
        return None
    results = [
        _compare(str(operator), keys.get(str(name).lower()), listed(wanted), variables)
        for operator, pairs in condition.items()
        for name, wanted in pairs.items()
    ]
    if False in results:
        return False
    return None if None in results else True


def _compare(
    operator: str, actual: str | None, wanted: Iterable[Any], variables: Keys | None
) -> bool | None:
    operator = operator.lower()
    quantifier, _, rest = operator.rpartition(":")
    if_exists = rest.endswith("ifexists")
    operation = rest.removesuffix("ifexists")
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in wanted]
    if operation == "null":
        return str(actual is None).lower() in (text.lower() for text in texts)
    positive = NEGATED.get(operation, operation)
    negated = operation in NEGATED
    comparison = COMPARISONS.get(positive)
    if comparison is None or quantifier not in ("", "forallvalues", "foranyvalue"):
        return None
    if actual is None:
        return if_exists or negated or quantifier == "forallvalues"
    try:
        patterns = [fill(text, variables) for text in texts]
        if positive not in WITH_WILDCARDS:
            patterns = [literal(pattern) for pattern in patterns]
        return any(comparison(pattern, actual) for pattern in patterns) != negated
    except (UnresolvedError, ValueError, TypeError):
        return None


def listed(value: Any) -> Iterable[Any]:
    """``value`` as the list that a policy may write as its only element."""
    return value if isinstance(value, (list, tuple)) else [value]
