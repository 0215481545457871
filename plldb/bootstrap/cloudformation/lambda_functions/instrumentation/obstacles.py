"""Which functions can't be debugged, and what is to be known of those that can.

Each kind is decided by what GetFunctionConfiguration says of a function, before anything of it is
changed: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html. Texts
follow "because": they begin with "it" or "its".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from .image_config import find_image_obstacle, is_image

Found = dict[str, Any]

# A script that starts the runtime, and decides by itself what that runs:
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
EXEC_WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
# The shim needs Python 3.8.
_RUNTIME = re.compile(r"python3\.(8|9|\d{2})")
# https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
_STATES = {
    "Inactive": "it is inactive, since nobody has called it for weeks: call it once, and attach "
    "again when it is active",
    "Failed": "it is in the state Failed",
    "Deleting": "it is being deleted",
    "Deactivating": "it is being deactivated",
    "Deactivated": "it is deactivated",
    "ActiveNonInvocable": "it can't be called at the moment",
}


def find_obstacle(found: Found) -> str | None:
    """Why a function can't be debugged; None if it can.

    What ListFunctions answers will do as well: of a function's state, it says nothing.
    """
    for check in _CHECKS:
        if reason := check(found):
            return reason
    return None


def list_cautions(found: Found) -> Iterator[str]:
    """What a developer should know of a function that is debugged."""
    vpc = (found.get("VpcConfig") or {}).get("VpcId")
    if vpc:
        yield (
            f"it is in {vpc}, and reaches plldb only if that has a way to the internet; without "
            "one, each call waits 2 s and then runs its own handler"
        )
    paths = [one.get("LocalMountPath", "") for one in found.get("FileSystemConfigs") or ()]
    if paths:
        yield f"its file system at {', '.join(paths)} is not on this machine"


def find_hidden_variables(found: Found) -> str | None:
    """Why the variables of a function can't be read, for example by its key; None if they can."""
    refused = (found.get("Environment") or {}).get("Error")
    if not refused:
        return None
    return f"its variables can't be read: {refused.get('Message', refused.get('ErrorCode'))}"


def _check_package(found: Found) -> str | None:
    return find_image_obstacle(found) if is_image(found) else None


def _check_runtime(found: Found) -> str | None:
    if is_image(found):
        return None  # Lambda does not know it
    runtime = found.get("Runtime") or "unknown"
    if not runtime.startswith("python3."):
        return f"its runtime is {runtime}; plldb debugs Python"
    if not _RUNTIME.fullmatch(runtime):
        return f"its runtime is {runtime}; plldb debugs Python 3.8 and later"
    return None


def _check_replica(found: Found) -> str | None:
    """https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-at-the-edge.html"""
    if found.get("MasterArn"):
        return "it is a replica of Lambda@Edge, which can't be changed"
    return None


def _check_managed_instances(found: Found) -> str | None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html"""
    if found.get("CapacityProviderConfig"):
        return (
            "it runs on managed instances: versions of it answer, several calls at once in one "
            "environment"
        )
    return None


def _check_durability(found: Found) -> str | None:
    """https://docs.aws.amazon.com/lambda/latest/dg/durable-functions.html"""
    if found.get("DurableConfig"):
        return "it is a durable function, whose steps Lambda keeps and runs again"
    return None


def _check_tenancy(found: Found) -> str | None:
    """https://docs.aws.amazon.com/lambda/latest/dg/tenant-isolation.html"""
    if found.get("TenancyConfig"):
        return "it keeps its tenants apart, who would share processes on this machine"
    return None


def _check_variables(found: Found) -> str | None:
    environment = found.get("Environment") or {}
    if reason := find_hidden_variables(found):
        return reason
    wrapper = (environment.get("Variables") or {}).get(EXEC_WRAPPER)
    if wrapper is not None:
        return (
            f"its {EXEC_WRAPPER}, {wrapper}, decides what Lambda runs, whatever handler there is: "
            "deploy it without that to debug it"
        )
    return None


def _check_handler(found: Found) -> str | None:
    return None if found.get("Handler") or is_image(found) else "it has no handler"


def _check_state(found: Found) -> str | None:
    reason = _STATES.get(found.get("State", ""))
    told = found.get("StateReason")
    return f"{reason} ({told})" if reason and told else reason


_CHECKS: tuple[Callable[[Found], str | None], ...] = (
    _check_package,
    _check_runtime,
    _check_replica,
    _check_managed_instances,
    _check_durability,
    _check_tenancy,
    _check_variables,
    _check_handler,
    _check_state,
)
