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
from plldb.doctor.findings import Result, ok, problem, warning
from plldb.errors import AccessDeniedError
from plldb.stacks import require_debuggable_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_BOOTSTRAP = "plldb bootstrap"
_RULE_TYPE = "AWS::Events::Rule"


def debugged_stack(facts: Facts) -> Result:
    if facts.question.stack_name is None:
        return ok("none was named: --stack-name S has one looked at")
    stack = require_debuggable_stack(facts.target, facts.question.stack_name)
    return ok(f"{stack.name} is in state {stack.status}")


def deployed(facts: Facts) -> Result:
    try:
        helper = facts.helper
    except AccessDeniedError as error:
        # Without it, nobody can attach either.
        return problem(error.message, error.hint)
    found = f"{helper.name} is in state {helper.status}"
    if "ROLLBACK" in helper.status or "FAILED" in helper.status:
        return warning(f"{found}: its last update failed", f"Mend it: {_BOOTSTRAP}")
    return ok(found)


def version(facts: Facts) -> Result:
    deployed_version = _tags(facts).get(VERSION_TAG, "unknown")
    if deployed_version == __version__:
        return ok(f"{deployed_version}, as this plldb")
    is_newer = _number(deployed_version) > _number(__version__)
    age = "newer" if is_newer else "older"
    way_out = (
        f"Update this plldb, or bring the helper stack back to {__version__}: {_BOOTSTRAP}"
        if is_newer
        else f"Bring it up to date: {_BOOTSTRAP}"
    )
    return problem(
        f"the helper stack is {age} ({deployed_version}) than this plldb ({__version__})", way_out
    )


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def drift(facts: Facts) -> Result:
    release = facts.release
    if _tags(facts).get(FINGERPRINT_TAG) == release.fingerprint:
        return ok("none: 'plldb bootstrap' would change nothing")
    there = facts.helper_state.parameters if facts.helper_state else {}
    differing = sorted(
        name for name, value in release.parameters.items() if there.get(name) != value
    )
    what = f"parameters {', '.join(differing)}" if differing else "the template"
    return warning(
        f"the helper stack was deployed with another value of: {what}",
        f"{_BOOTSTRAP} --dry-run shows what would change, {_BOOTSTRAP} changes it.",
        differing=differing,
    )


def _tags(facts: Facts) -> dict[str, str]:
    return facts.helper_state.tags if facts.helper_state else {}


def api(facts: Facts) -> Result:
    """It answers from its function, which tries the tables with its own role."""
    try:
        health = facts.management.health()
    except AccessDeniedError as error:
        # API Gateway's words for a path that the API has not.
        if "Missing Authentication Token" in error.message:
            return problem("it has no /health: it is older than this plldb", _BOOTSTRAP)
        raise
    lost = sorted(name for name, is_reachable in health.tables.items() if not is_reachable)
    if lost or not health.is_healthy:
        which = f"can't reach its tables: {', '.join(lost)}" if lost else "is not healthy"
        return problem(
            f"the management API {which}",
            f"The log group /plldb/{facts.helper.name} says why. {_BOOTSTRAP} repairs it.",
        )
    if abs(health.clock_difference) > TOLERANCE_SECONDS:
        return warning(
            f"healthy; its clock differs from this machine's by {health.clock_difference:.0f} s",
            "Have this machine's clock set by NTP.",
        )
    return ok(f"{facts.helper.management_api_url} is healthy, and so are its tables")


def reaper(facts: Facts) -> Result:
    rules = _rules(facts)
    if not rules:
        return warning(
            "the helper stack has none: what crashed sessions leave stays",
            f"Bring it up to date: {_BOOTSTRAP}",
        )
    events = facts.target.client("events")
    for name in rules:
        with aws_errors(f"look at rule {name}"):
            state = events.describe_rule(Name=name)["State"]
        if state != "ENABLED":
            return warning(
                f"rule {name} is {state.lower()}: what crashed sessions leave stays",
                f"Enable it: aws events enable-rule --name {name}",
            )
    return ok(f"rule {', '.join(rules)} is enabled")


def _rules(facts: Facts) -> list[str]:
    cloudformation: CloudFormationClient = facts.target.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources")
    with aws_errors("list the helper stack's resources"):
        return [
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=facts.helper.name)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == _RULE_TYPE
        ]
