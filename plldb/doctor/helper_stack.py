"""Checks of the helper stack, and of the stack to debug."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from plldb import __version__
from plldb.aws import aws_errors
from plldb.bootstrap.release import FINGERPRINT_TAG
from plldb.clock_skew import TOLERANCE_SECONDS
from plldb.config import VERSION_TAG
from plldb.doctor.facts import Facts
from plldb.doctor.findings import CheckResult
from plldb.errors import AccessDeniedError
from plldb.stacks import require_debuggable_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_BOOTSTRAP = "plldb bootstrap"
_RULE_TYPE = "AWS::Events::Rule"


def check_debugged_stack(facts: Facts) -> CheckResult:
    if facts.context.stack_name is None:
        return CheckResult.ok("none was named: --stack-name S has one looked at")
    stack = require_debuggable_stack(facts.target, facts.context.stack_name)
    return CheckResult.ok(f"{stack.name} is in state {stack.status}")


def check_deployed(facts: Facts) -> CheckResult:
    try:
        helper = facts.helper_stack
    except AccessDeniedError as error:
        # Who may not look at the helper stack can't attach either.
        return CheckResult.problem(error.message, error.hint)
    found = f"{helper.name} is in state {helper.status}"
    if "ROLLBACK" in helper.status or "FAILED" in helper.status:
        return CheckResult.warning(f"{found}: its last update failed", f"Mend it: {_BOOTSTRAP}")
    return CheckResult.ok(found)


def check_version(facts: Facts) -> CheckResult:
    deployed_version = _get_tags(facts).get(VERSION_TAG, "unknown")
    if deployed_version == __version__:
        return CheckResult.ok(f"{deployed_version}, as this plldb")
    is_newer = _parse_version(deployed_version) > _parse_version(__version__)
    age = "newer" if is_newer else "older"
    way_out = (
        f"Update this plldb, or bring the helper stack back to {__version__}: {_BOOTSTRAP}"
        if is_newer
        else f"Bring it up to date: {_BOOTSTRAP}"
    )
    return CheckResult.problem(
        f"the helper stack is {age} ({deployed_version}) than this plldb ({__version__})", way_out
    )


def _parse_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def check_drift(facts: Facts) -> CheckResult:
    release = facts.release
    if _get_tags(facts).get(FINGERPRINT_TAG) == release.fingerprint:
        return CheckResult.ok("none: 'plldb bootstrap' would change nothing")
    there = facts.helper_stack_state.parameters if facts.helper_stack_state else {}
    differing = sorted(
        name for name, value in release.parameters.items() if there.get(name) != value
    )
    what = f"parameters {', '.join(differing)}" if differing else "the template"
    return CheckResult.warning(
        f"the helper stack was deployed with another value of: {what}",
        f"{_BOOTSTRAP} --dry-run shows what would change, {_BOOTSTRAP} changes it.",
        differing=differing,
    )


def _get_tags(facts: Facts) -> dict[str, str]:
    return facts.helper_stack_state.tags if facts.helper_stack_state else {}


def check_management_api(facts: Facts) -> CheckResult:
    """The API answers from its function, which tries the tables with its own role."""
    health = facts.api_client.health()
    lost = sorted(name for name, is_reachable in health.tables.items() if not is_reachable)
    if lost or not health.is_healthy:
        which = f"can't reach its tables: {', '.join(lost)}" if lost else "is not healthy"
        return CheckResult.problem(
            f"the management API {which}",
            f"The log group /plldb/{facts.helper_stack.name} says why. {_BOOTSTRAP} repairs it.",
        )
    if abs(health.clock_difference) > TOLERANCE_SECONDS:
        return CheckResult.warning(
            f"healthy; its clock differs from this machine's by {health.clock_difference:.0f} s",
            "Have this machine's clock set by NTP.",
        )
    return CheckResult.ok(
        f"{facts.helper_stack.management_api_url} is healthy, and so are its tables"
    )


def check_reaper(facts: Facts) -> CheckResult:
    rules = _find_rules(facts)
    events = facts.target.client("events")
    for name in rules:
        with aws_errors(f"look at rule {name}"):
            state = events.describe_rule(Name=name)["State"]
        if state != "ENABLED":
            return CheckResult.warning(
                f"rule {name} is {state.lower()}: what crashed sessions leave stays",
                f"Enable it: aws events enable-rule --name {name}",
            )
    return CheckResult.ok(f"rule {', '.join(rules)} is enabled")


def _find_rules(facts: Facts) -> list[str]:
    cloudformation: CloudFormationClient = facts.target.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources")
    with aws_errors("list the helper stack's resources"):
        return [
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=facts.helper_stack.name)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == _RULE_TYPE
        ]
